"""Calls of addresses that operators typed in, over real sockets: where they go, how long they take, and what is known after."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tactics.config import Settings
from tactics.errors import BadInput
from tactics.gateways.addresses import Blocked
from tactics.gateways.outbound import MOST_BYTES, NotSent, Outbound, Reply, Unclear
from tests.gateways.recaller import Handler, Recaller, answers, dribbles, recalling, resets, waits

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LOOPBACK = ("127.0.0.0/8",)
TLS = Path(__file__).with_name("tls")
FINE = answers({"status": "granted"})


class Names:
    """Resolves every name to the same addresses, or to the next of several answers; counts how often it is asked."""

    def __init__(self, *found: Sequence[str]) -> None:
        self.found = list(found)
        self.asked: list[str] = []

    async def __call__(self, host: str, _: int) -> Sequence[str]:
        """Give the next answer; the last one again and again."""
        self.asked.append(host)
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]


@contextmanager
def _calling(
    act: Callable[[Handler], None],
    *found: Sequence[str],
    tls: ssl.SSLContext | None = None,
    name: str = "provider.test",
) -> Iterator[tuple[Recaller, Outbound, str, Names]]:
    """Run a service, a way out that may call it by a name which leads there, and give its address."""
    names = Names(*(found or (["127.0.0.1"],)))
    with recalling(act, tls) as service:
        base = service.url.replace("127.0.0.1", name)
        with closing(Outbound([base.removesuffix("/recall")], LOOPBACK, names)) as outbound:
            yield service, outbound, base, names


def _post(outbound: Outbound, url: str, deadline_s: float = 5.0, **headers: str) -> Reply:
    return outbound.request("POST", url, headers=headers, body=b'{"a": 1}', deadline_s=deadline_s)


def test_question_and_answer() -> None:
    """Body, path, query and headers arrive as they are, with the name as Host; status, headers and body come back."""
    with _calling(answers(b"{}", 202, **{"X-Told": "yes"})) as (service, outbound, url, names):
        reply = outbound.request(
            "POST", f"{url}?a=%7B1%7D", headers={"Content-Type": "x/y", "X-One": "1"}, body=b'{"a": 1}', deadline_s=5
        )
        assert (reply.status, reply.headers["x-told"], reply.body) == (202, "yes", b"{}")
        assert outbound.request("GET", url, headers={}, deadline_s=5).status == 202
    assert service.asked == [("/recall?a=%7B1%7D", "x/y", {"a": 1}), ("/recall", None, None)]
    sent = service.headers[0]
    assert sent["host"] == url.removeprefix("http://").removesuffix("/recall")
    assert (sent["accept-encoding"], sent["user-agent"], sent["x-one"]) == ("identity", "tactics", "1")
    assert len(service.callers) == 1, "the connection was not kept"
    assert names.asked == ["provider.test"], "a connection that is kept needs no name"


def test_nothing_reaches_an_address_that_is_not_allowed() -> None:
    """One private address among those of a name, or a name, port or scheme that is not listed, and nothing is sent."""
    with _calling(FINE, ["127.0.0.1", "10.0.0.1"]) as (service, outbound, url, _):
        with pytest.raises(Blocked, match=r"10\.0\.0\.1.*TACTICS_OUTBOUND_NETWORKS"):
            _post(outbound, url)
        assert (service.asked, service.callers) == ([], set())
    with _calling(FINE) as (service, outbound, url, _):
        for other in (url.replace("provider", "other"), url.replace("http:", "https:"), service.url, "http://x@y/"):
            with pytest.raises(Blocked):
                _post(outbound, other)
            with pytest.raises(BadInput):
                outbound.check_url(other)
        assert (service.asked, service.callers) == ([], set())
        outbound.check_url(url)
        assert _post(outbound, url).status == 200


def test_a_name_that_changes_its_mind() -> None:
    """What a name leads to is looked at for each new connection, and connected to as it was found (DNS rebinding)."""
    act = answers({}, Connection="close")
    with _calling(act, ["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1"]) as (service, outbound, url, names):
        assert _post(outbound, url).status == 200
        with pytest.raises(Blocked, match=r"169\.254\.169\.254"):
            _post(outbound, url)
        assert _post(outbound, url).status == 200
        assert (len(names.asked), len(service.asked)) == (3, 2)


def test_host_of_an_ipv6_address() -> None:
    """The header Host has brackets around an IPv6 address, with the port behind them."""
    with _calling(FINE, name="[2600::7]") as (service, outbound, url, names):
        assert _post(outbound, url).status == 200
        assert service.headers[0]["host"] == url.removeprefix("http://").removesuffix("/recall")
        assert names.asked == ["2600::7"]


def test_private_networks_are_closed_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own names are checked as well: `localhost` leads to loopback, which is not open by itself."""
    with recalling(FINE) as service:
        url = service.url.replace("127.0.0.1", "localhost")
        host = url.removesuffix("/recall")
        with closing(Outbound([host], ())) as outbound, pytest.raises(Blocked, match="localhost is at"):
            _post(outbound, url)
        assert service.callers == set()
        monkeypatch.setenv("TACTICS_OUTBOUND_HOSTS", f"wallet.example.com, {host}")
        monkeypatch.setenv("TACTICS_OUTBOUND_NETWORKS", "127.0.0.0/8, ::1/128")
        with closing(Outbound.from_settings(Settings())) as outbound:
            assert _post(outbound, url).status == 200


def test_redirects_and_the_environment_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect is an answer like others, and a proxy or a password of the environment is not used."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    statuses = [301, 302, 303, 307, 308]
    with _calling(FINE) as (service, outbound, url, _):
        for status in statuses:
            service.act = answers({}, status, Location=url)
            assert _post(outbound, url).status == status
        assert len(service.asked) == len(statuses)


def test_the_next_address_is_tried() -> None:
    """Where nobody listens at a name's first address, the second one is called."""
    with _calling(FINE, ["127.0.0.2", "127.0.0.1"]) as (service, outbound, url, _):
        assert _post(outbound, url).status == 200
        assert len(service.asked) == 1


def test_names_do_not_share_connections() -> None:
    """Two names at one address have a connection each: what was checked for one says nothing of the other."""
    with recalling(FINE) as service:
        port = service.url.split(":")[2].split("/")[0]
        hosts = [f"http://{name}.test:{port}" for name in ("a", "b")]
        with closing(Outbound(hosts, LOOPBACK, Names(["127.0.0.1"]))) as outbound:
            for host in hosts * 2:
                _post(outbound, f"{host}/x")
        assert len(service.callers) == 2


def test_nothing_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address, a closed port, and a name that is not answered in time: it is known that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    hosts, url = [f"http://provider.test:{port}"], f"http://provider.test:{port}/"
    with closing(Outbound(hosts, LOOPBACK, Names([]))) as outbound, pytest.raises(NotSent, match="no address"):
        _post(outbound, url)
    names = Names(["127.0.0.1"])
    with closing(Outbound(hosts, LOOPBACK, names)) as outbound, pytest.raises(NotSent):
        _post(outbound, url)
    assert names.asked == ["provider.test"], "it was tried again, and its name asked again"

    async def never(_: str, __: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with closing(Outbound(hosts, LOOPBACK, never)) as outbound, pytest.raises(NotSent, match=r"within 0\.1 s"):
        _post(outbound, url, 0.1)

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with closing(Outbound(hosts, LOOPBACK)) as outbound, pytest.raises(NotSent, match=r"provider\.test was not found"):
        _post(outbound, url)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        pytest.param(waits, "within 0.2 s", id="silent"),
        pytest.param(dribbles(b"HTTP/1.1 200 O"), "within 0.2 s", id="in the status"),
        pytest.param(dribbles(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 20"), "within 0.2 s", id="after a 100"),
        pytest.param(dribbles(HEAD + b"X-Slow: "), "within 0.2 s", id="in a header"),
        pytest.param(dribbles(HEAD + b"Content-Length: 100000\r\n\r\n"), "within 0.2 s", id="in the body"),
        pytest.param(dribbles(HEAD + b"Transfer-Encoding: chunked\r\n\r\n10000\r\n"), "within 0.2 s", id="in a chunk"),
        pytest.param(resets, "Error", id="reset"),
    ],
)
def test_unclear(act: Callable[[Handler], None], said: str) -> None:
    """However slowly a service answers, the call ends at its one deadline; the service notices, and the next call works."""
    with _calling(FINE) as (service, outbound, url, _):
        assert _post(outbound, url).status == 200
        service.act = act
        started = time.monotonic()
        with pytest.raises(Unclear, match=said):
            _post(outbound, url, 0.2)
        assert time.monotonic() - started < 1.1, "it ended by the outer limit"
        if said != "Error" and act is not waits:
            assert service.over.wait(10), "the connection stayed open"
        service.act = FINE
        assert _post(outbound, url).status == 200


def test_answers_that_cannot_be_read_to_the_end() -> None:
    """An answer that is too long is cut, one that is too short or no HTTP is told apart from a good one."""
    with _calling(answers(b" " * MOST_BYTES)) as (service, outbound, url, _):
        assert len(_post(outbound, url).body) == MOST_BYTES
        service.act = answers(b" " * (MOST_BYTES + 1))
        with pytest.raises(Unclear, match=f"longer than {MOST_BYTES} bytes") as raised:
            _post(outbound, url)
        assert raised.value.status == 200
        for text in (HEAD + b"Content-Length: 99\r\n\r\nshort", b"SSH-2.0-x\r\n", b"", HEAD + b"A: " + b"a" * 200_000):
            service.act = _writes(text)
            with pytest.raises(Unclear):
                _post(outbound, url)


def _writes(text: bytes) -> Callable[[Handler], None]:
    def act(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(text)

    return act


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Trust the test authority, and give what a server needs to be provider.test."""
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "authority.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "provider.pem")
    return context


def test_tls(authority: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate has to be for the name, which is sent as SNI; else, and without TLS there, nothing is sent."""
    named: list[str | None] = []

    def note(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        named.append(name)

    authority.sni_callback = note
    with _calling(FINE, tls=authority) as (service, outbound, url, _):
        assert _post(outbound, url).status == 200
        assert named == ["provider.test"]
        port = url.split(":")[2].split("/")[0]
        with (
            closing(Outbound([f"other.test:{port}"], LOOPBACK, Names(["127.0.0.1"]))) as other,
            pytest.raises(NotSent, match="certificate is not valid for"),
        ):
            _post(other, f"https://other.test:{port}/")
        monkeypatch.delenv("SSL_CERT_FILE")
        with (
            closing(Outbound([f"provider.test:{port}"], LOOPBACK, Names(["127.0.0.1"]))) as stranger,
            pytest.raises(NotSent, match="certificate"),
        ):
            _post(stranger, url)
        assert len(service.asked) == 1
    with recalling(FINE) as plain:
        port = plain.url.split(":")[2].split("/")[0]
        with (
            closing(Outbound([f"provider.test:{port}"], LOOPBACK, Names(["127.0.0.1"]))) as outbound,
            pytest.raises(NotSent),
        ):
            _post(outbound, f"https://provider.test:{port}/")
        assert plain.asked == []


def test_a_handshake_that_never_ends() -> None:
    """Who takes the connection and says nothing to TLS costs no more than the deadline, and nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with (
            closing(Outbound([f"provider.test:{port}"], LOOPBACK, Names(["127.0.0.1"]))) as outbound,
            pytest.raises(NotSent),
        ):
            _post(outbound, f"https://provider.test:{port}/", 0.2)


def test_many_threads_at_once() -> None:
    """Calls from several threads run beside each other, each with its own answer."""
    together = threading.Barrier(8)

    def act(handler: Handler) -> None:
        together.wait(10)
        FINE(handler)

    with _calling(act) as (service, outbound, url, _), ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: _post(outbound, url), range(8)))
        assert [one.status for one in replies] == [200] * 8
        assert len(service.callers) == 8


def test_closing_ends_what_was_started() -> None:
    """Nothing runs before the first call nor after closing; closing twice, or what was never used, does no harm."""
    with recalling(FINE) as service:
        outbound = Outbound([service.url.removesuffix("/recall")], LOOPBACK)
        assert "tactics.outbound" not in {one.name for one in threading.enumerate()}
        _post(outbound, service.url)
        assert "tactics.outbound" in {one.name for one in threading.enumerate()}
        outbound.close()
        outbound.close()
        assert "tactics.outbound" not in {one.name for one in threading.enumerate()}

"""Benefit systems over HTTP: what they are sent, and what each of their answers says of a grant."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tactics import metrics
from tactics.domain.provider import LineAnswer, Provider, ProviderAnswer, ProviderCall
from tactics.errors import GatewayError
from tactics.gateways.benefits import HttpBenefits, idempotency_key
from tactics.gateways.outbound import MOST_BYTES, Outbound
from tactics.gateways.signing import new_secret, verify
from tests.gateways.recaller import Handler, Recaller, answers, recalling, resets, waits
from tests.provider.faults import ACTS, Faults
from tests.provider.fixtures import Simulated, simulating

NOW = 1_700_000_000.0
SECRETS = (new_secret(), new_secret())
ID = "camp18:茶.%/ ann:1"
CALL = ProviderCall(ID, b'{"idempotency_id": "camp18:x", "b":  1}')


@contextmanager
def _asking(act: Callable[[Handler], None], **other: Any) -> Iterator[tuple[Recaller, HttpBenefits, Provider]]:
    """Run a service that answers like this, and give the port to it and how it is set up."""
    with recalling(act) as service:
        base = service.url.removesuffix("/recall")
        url = f"{base}/grants"
        provider = Provider("wallet", url, f"{url}/{{idempotency_id}}?full=1", f"{url}?a=b", SECRETS, timeout_ms=5_000)
        with closing(Outbound([base], ["127.0.0.0/8"])) as outbound:
            yield service, HttpBenefits(outbound, lambda: NOW), replace(provider, **other)


@pytest.fixture(scope="module")
def asked() -> Iterator[Callable[..., ProviderAnswer]]:
    """Give what asks a service that answers with a body, status and headers; it and the way to it are made once."""
    with _asking(answers(b"")) as (service, port, provider):

        def ask(body: Any, status: int = 200, *, look_up: bool = False, **headers: str) -> ProviderAnswer:
            service.act = answers(body, status, **headers)
            return port.look_up(provider, ID) if look_up else port.grant(provider, CALL)

        yield ask


def test_what_a_provider_is_sent() -> None:
    """The bytes of the call, its id as a header can carry it, and a signature that either secret verifies; look-ups too."""
    with _asking(answers({"status": "granted"})) as (service, port, provider):
        assert port.grant(provider, CALL).kind == "granted"
        assert port.look_up(provider, ID).kind == "granted"
    posted, looked_up = service.headers
    assert posted["idempotency-key"] == "camp18:%E8%8C%B6.%25/%20ann:1"
    assert unquote(posted["idempotency-key"]) == ID
    assert posted["webhook-id"] == "camp18:%E8%8C%B6%2E%25/%20ann:1"
    assert unquote(looked_up["webhook-id"]) == ID
    assert posted["content-type"] == posted["accept"] == "application/json"
    for secret in SECRETS:
        assert verify(posted, [secret], CALL.body, NOW) is None
        assert verify(looked_up, [secret], b"", NOW) is None
    assert service.asked[0] == ("/grants", "application/json", json.loads(CALL.body))
    assert service.asked[1] == ("/grants/camp18%3A%E8%8C%B6.%25%2F%20ann%3A1?full=1", None, None)


def test_without_secrets_there_is_no_signature() -> None:
    """A provider without secrets is sent id and time alone; one with a secret that cannot sign is not called at all."""
    with _asking(answers({"status": "granted"}), signing_secrets=()) as (service, port, provider):
        assert port.grant(provider, CALL).kind == "granted"
        assert "webhook-signature" not in service.headers[0]
        answer = port.grant(replace(provider, signing_secrets=("hunter2",)), CALL)
        assert (answer.kind, "hunter2" in answer.text, len(service.asked)) == ("not_sent", False, 1)


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_granted(asked: Callable[..., ProviderAnswer], status: int) -> None:
    """With any 2xx `granted` is taken, with the provider's own name for it, codes and ends; more keys do no harm."""
    lines = [{"line": 0, "code": "A-1", "valid_until": "2026-01-02T03:04:05+02:00", "more": 1}, {"line": 1}]
    answer = asked({"status": "granted", "reference": "r7", "lines": lines, "model": {"x": [1]}}, status)
    until = datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert answer == ProviderAnswer(
        "granted", "granted", status, None, [LineAnswer(0, "A-1", until), LineAnswer(1)], "r7"
    )


@pytest.mark.parametrize("status", [200, 400, 402, 403, 404, 409, 422])
def test_refused(asked: Callable[..., ProviderAnswer], status: int) -> None:
    """A refusal that says so is definite, with 2xx and 4xx; its reason is told where it is a word, else kept back."""
    assert asked({"status": "refused", "reason": "account_closed"}, status).text == "refused: account_closed"
    answer = asked({"status": "refused", "reason": "ann@example.com has no account"}, status)
    assert (answer.kind, answer.text, answer.status_code) == ("refused", "refused", status)


@pytest.mark.parametrize(
    ("header", "pause_s"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("999999999", 86_400.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e3", None),
        ("9" * 30, None),
        ("", None),
    ],
)
def test_pauses_that_are_asked_for(asked: Callable[..., ProviderAnswer], header: str, pause_s: float | None) -> None:
    """Retry-After is read as seconds or a date, and bounded; what cannot be read is left alone."""
    for status, kind, body in ((503, "unclear", b""), (429, "unclear", {}), (202, "pending", {"status": "pending"})):
        answer = asked(body, status, **{"Retry-After": header})
        assert (answer.kind, answer.retry_after_s) == (kind, pause_s)


SECRET_WORD = "ann-4711"  # noqa: S105  # stands for what is about a user
UNCLEAR: list[tuple[Any, int]] = [
    (b"", 200),
    (b"", 204),
    (b"<html>ann-4711</html>", 200),
    (b'{"status": "granted"', 200),
    (b"[" * 100_000, 200),
    (b"\xff\xfe", 200),
    (b" " * (MOST_BYTES + 1), 200),
    ([], 200),
    (None, 200),
    ("granted", 200),
    ({}, 200),
    ({"status": "ann-4711"}, 200),
    ({"status": "GRANTED"}, 200),
    ({"status": True}, 200),
    ({"status": None}, 200),
    ({"result": "granted"}, 200),
    ({"status": "unknown"}, 200),
    ({"status": "unknown"}, 404),
    (b"", 404),
    ({"status": "granted", "reference": 4711}, 200),
    ({"status": "granted", "reference": ""}, 200),
    ({"status": "granted", "reference": "a\x00b"}, 200),
    ({"status": "granted", "reference": "ann-4711" * 99}, 200),
    ({"status": "granted", "lines": {"0": {}}}, 200),
    ({"status": "granted", "lines": ["ann-4711"]}, 200),
    ({"status": "granted", "lines": [{"code": "ann-4711"}]}, 200),
    ({"status": "granted", "lines": [{"line": "0"}]}, 200),
    ({"status": "granted", "lines": [{"line": -1}]}, 200),
    ({"status": "granted", "lines": [{"line": True}]}, 200),
    ({"status": "granted", "lines": [{"line": 0, "code": ""}]}, 200),
    ({"status": "granted", "lines": [{"line": 0, "code": "A"}, {"line": 0, "code": "B"}]}, 200),
    ({"status": "granted", "lines": [{"line": 0, "valid_until": "2026-01-02T03:04:05"}]}, 200),
    ({"status": "granted", "lines": [{"line": 0, "valid_until": "tomorrow"}]}, 200),
    ({"status": "granted", "lines": [{"line": 0, "valid_until": 1}]}, 200),
    ({"status": "granted"}, 302),
    ({"status": "granted"}, 400),
    ({"status": "granted"}, 409),
    ({"status": "granted"}, 500),
    ({"status": "refused"}, 302),
    ({"status": "refused"}, 500),
    ({"status": "refused"}, 503),
    ({"status": "pending"}, 409),
    ({"status": "pending"}, 500),
    ({"error": "ann-4711"}, 400),
    (b"", 401),
    (b"", 403),
    (b"", 408),
    (b"", 409),
    (b"", 410),
    (b"", 422),
    (b"", 429),
    (b"", 500),
    (b"", 502),
]


def test_everything_else_is_unclear() -> None:
    """No other answer ends a grant, neither well nor badly: and none is quoted, for it may be about a user."""
    with _asking(answers(b"")) as (service, port, provider):
        for body, status in UNCLEAR:
            service.act = answers(body, status)
            answer = port.grant(provider, CALL)
            assert (answer.kind, answer.status_code, answer.lines) == ("unclear", status, ()), (body, answer)
            assert SECRET_WORD not in answer.text, answer.text
            assert "\n" not in answer.text, answer.text
        assert len(service.asked) == len(UNCLEAR), "something was asked again, or not at all"


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"status": "granted"}, 200, "granted"),
        ({"status": "refused"}, 200, "refused"),
        ({"status": "refused"}, 404, "refused"),
        ({"status": "pending"}, 202, "pending"),
        ({"status": "unknown"}, 200, "unknown_id"),
        ({"status": "unknown"}, 404, "unknown_id"),
        (b"Not Found", 404, "unknown_id"),
        (b"", 404, "unknown_id"),
        ({"status": "unknown"}, 400, "unclear"),
        ({"status": "unknown"}, 500, "unclear"),
        ({"status": "granted"}, 404, "unclear"),
        (b"", 200, "unclear"),
        (b"", 400, "unclear"),
        (b"", 410, "unclear"),
        (b"", 503, "unclear"),
    ],
)
def test_look_up(asked: Callable[..., ProviderAnswer], body: Any, status: int, kind: str) -> None:
    """Asked by id, a provider may also say that it never heard of it, by a word or by a bare 404; nothing else says so."""
    assert asked(body, status, look_up=True).kind == kind


def test_a_provider_that_cannot_be_asked() -> None:
    """Without a look-up address nothing is sent."""
    with _asking(waits, look_up_url=None, list_url=None) as (service, port, provider):
        assert port.look_up(provider, ID).kind == "not_sent"
        with pytest.raises(GatewayError, match="no list_url"):
            port.listing(provider, datetime.now(UTC), datetime.now(UTC))
        assert service.asked == []


def test_sent_and_not_sent() -> None:
    """A cut connection and a silent service are unclear; a closed port and a blocked address are known not to be reached."""
    with _asking(resets) as (service, port, provider):
        assert port.grant(provider, CALL).kind == "unclear"
        service.act = waits
        answer = port.grant(replace(provider, timeout_ms=100), CALL)
        assert (answer.kind, answer.text) == ("unclear", "no answer within 0.1 s")
        blocked = port.grant(replace(provider, url=provider.url.replace("http:", "https:")), CALL)
        assert blocked.kind == "not_sent"
        assert "TACTICS_OUTBOUND_HOSTS" in blocked.text
        assert len(service.asked) == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with closing(Outbound([base], ["127.0.0.0/8"])) as outbound:
        assert HttpBenefits(outbound).grant(replace(provider, url=f"{base}/"), CALL).kind == "not_sent"
    with closing(Outbound([base], [])) as outbound:
        shut = HttpBenefits(outbound).grant(replace(provider, url=f"{base}/"), CALL)
        assert (shut.kind, "TACTICS_OUTBOUND_NETWORKS" in shut.text) == ("not_sent", True)


def test_answers_are_counted() -> None:
    """Each call is counted under its provider's name, by what its answer says."""
    name = "counted-here-alone"
    with _asking(answers({"status": "granted"}), name=name) as (service, port, provider):
        port.grant(provider, CALL)
        service.act = answers(b"", 500)
        port.grant(provider, CALL)
        port.look_up(provider, ID)
    lines = metrics.shown().decode().splitlines()
    assert f'tactics_provider_calls_total{{outcome="granted",provider="{name}"}} 1.0' in lines
    assert f'tactics_provider_calls_total{{outcome="unclear",provider="{name}"}} 2.0' in lines
    assert f'tactics_provider_seconds_count{{provider="{name}"}} 3.0' in lines


def test_list() -> None:
    """The list is read page by page, from and to a time; what breaks the contract is an error without users' data."""
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=UTC)
    listed = {"idempotency_id": ID, "status": "granted", "value_minor": 500, "user": "x"}
    with _asking(answers({"grants": [listed], "next_cursor": "a b&c"})) as (service, port, provider):
        page = port.listing(provider, begin, end)
        assert [(one.idempotency_id, one.status, one.value_minor) for one in page.grants] == [(ID, "granted", 500)]
        assert page.next_cursor == "a b&c"
        service.act = answers({"grants": [], "next_cursor": None})
        assert port.listing(provider, begin, end, page.next_cursor).next_cursor is None
        wanted = "/grants?a=b&from=2026-01-01T00%3A00%3A00Z&to=2026-01-01T01%3A00%3A00Z"
        assert [path for path, *_ in service.asked] == [wanted, f"{wanted}&cursor=a+b%26c"]
        assert len({one["webhook-id"] for one in service.headers}) == 2
        assert verify(service.headers[1], SECRETS, b"", NOW) is None
        service.act = answers(b'{"grants": [{"idempotency_id": "\\ud800\\u0000", "status": "granted"}]}')
        (odd,) = port.listing(provider, begin, end).grants  # one id that nothing here can have spoils no list
        assert odd.idempotency_id == "\ud800\x00"
        for body, status in (
            (b"", 200),
            (b"\xff", 200),
            (b"[" * 100_000, 200),
            ({}, 200),
            ({"grants": [{**listed, "idempotency_id": ""}]}, 200),
            ({"grants": [{**listed, "value_minor": 2**63}]}, 200),
            ({"grants": [{"idempotency_id": SECRET_WORD}]}, 200),
            ({"grants": [{**listed, "status": SECRET_WORD}]}, 200),
            ({"grants": [{**listed, "value_minor": 5.5}]}, 200),
            ({"grants": [], "next_cursor": ""}, 200),
            ({"grants": []}, 404),
            ({"grants": []}, 500),
        ):
            service.act = answers(body, status)
            with pytest.raises(GatewayError, match="wallet") as raised:
                port.listing(provider, begin, end)
            assert SECRET_WORD not in raised.value.message
        service.act = resets
        with pytest.raises(GatewayError, match="wallet"):
            port.listing(provider, begin, end)


def test_keys_fit_a_header() -> None:
    """Any id becomes visible ASCII, two ids never the same, and most ids stay as they are."""
    ids = ["camp18:ann:1", "a b", "a%20b", "a\tb", "é", "e\u0301", "a\x7fb", "~!#$&'()*+,/:;=?@[]{}|\\^`\"<>"]
    keys = [idempotency_key(one) for one in ids]
    assert keys[0] == ids[0]
    assert keys[-1] == ids[-1]
    assert len(set(keys)) == len(ids)
    for one, key in zip(ids, keys, strict=True):
        assert unquote(key) == one
        assert all(0x21 <= ord(character) <= 0x7E for character in key)


@contextmanager
def _simulated(log: Path, **options: Any) -> Iterator[tuple[Simulated, HttpBenefits, Provider]]:
    with (
        simulating(log, secret=SECRETS[0], **options) as there,
        closing(Outbound([there.hosts], ["127.0.0.0/8"])) as out,
    ):
        yield there, HttpBenefits(out), there.provider()


def _call(number: int, user: str = "ann") -> ProviderCall:
    said = {"idempotency_id": f"a:{user}:{number}", "activity": "a", "user_id": user, "will_send_count": number}
    lines = [{"line": 0, "value_minor": 500}]
    return ProviderCall(f"a:{user}:{number}", json.dumps({**said, "grant_id": "g", "lines": lines}).encode())


def test_the_simulated_provider(tmp_path: Path) -> None:
    """Whatever the simulated provider does wrong, a repeat under the same id has one effect, also after it was killed."""
    with _simulated(tmp_path / "log", late_ms=800) as (there, port, provider):
        before = port.look_up(provider, "a:ann:1")
        wrong = [one for one in ACTS if one not in {"granted", "refused", "double", "pending"}]
        kinds = []
        for act in (*wrong, "pending", "granted"):
            there.change(next=[act])
            hangs = act in {"commit_then_timeout", "late", "drip"}
            kinds.append(port.grant(replace(provider, timeout_ms=300) if hangs else provider, _call(1)).kind)
        assert (before.kind, kinds) == ("unknown_id", ["unclear"] * 9 + ["pending", "granted"])
        assert port.look_up(provider, "a:ann:1").kind == "granted"
        assert there.effects() == {"a:ann:1": 1}
        changed = port.grant(provider, replace(_call(1), body=_call(1).body + b" "))
        assert (changed.kind, there.lines()[-1]["what"]) == ("unclear", "body_changed")
        there.kill()
        assert port.grant(provider, _call(1)).kind == "not_sent"
        there.start()
        assert port.grant(provider, _call(1)).kind == "granted"
        assert there.effects() == {"a:ann:1": 1}

        there.change(refuse_user="bob")
        refused = [port.grant(provider, _call(1, "bob")) for _ in range(2)]
        assert {(one.kind, one.text) for one in refused} == {("refused", "refused: account_closed")}
        stranger = replace(provider, signing_secrets=(SECRETS[1],))
        assert port.grant(stranger, _call(2)).status_code == 401
        assert there.effects() == {"a:ann:1": 1}

        hour = timedelta(hours=1)
        page = port.listing(provider, datetime.now(UTC) - hour, datetime.now(UTC) + hour)
        assert [(one.idempotency_id, one.status, one.value_minor) for one in page.grants] == [
            ("a:ann:1", "granted", 500),
            ("a:bob:1", "refused", 500),
        ]

        there.change(next=["double"])
        assert port.grant(provider, _call(3)).kind == "granted"
        assert there.effects()["a:ann:3"] == 2, "a provider that breaks its promise is not seen"
        there.change(forget_after_s=0.000001)
        port.grant(provider, _call(1))
        there.change(forget_after_s=0, not_idempotent=True)
        port.grant(provider, _call(1))
        assert there.effects()["a:ann:1"] == 3


def test_the_same_seed_does_the_same_wrong() -> None:
    """Faults are drawn from the seed, the id and the number of the call: each as often as was asked for."""
    faults = Faults(commit_then_timeout=0.1, error_500=0.2, reset=0.2, refuse=0.3)

    def run(seed: int) -> list[str]:
        return [faults.act(seed, f"a:{one}:1", number) for one in range(2_000) for number in (1, 2)]

    first = run(1)
    assert first == run(1) != run(2)
    for act, share in (("commit_then_timeout", 0.1), ("error_before", 0.1), ("error_after", 0.1), ("reset_after", 0.1)):
        assert first.count(act) / 4_000 == pytest.approx(share, abs=0.02)
    assert sum(faults.refuses(1, str(one), "ann") for one in range(2_000)) / 2_000 == pytest.approx(0.3, abs=0.03)

"""The one way in which Tactics calls addresses that operators typed in: benefit providers and webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from concurrent import futures
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from tactics.config import Settings
from tactics.errors import BadInput, GatewayError
from tactics.gateways.addresses import AllowList, Blocked, Resolve, Target
from tactics.gateways.beside import LoopBeside

if TYPE_CHECKING:
    from httpcore import AsyncConnectionPool

MOST_BYTES = 256 * 1024
"""A longer answer is refused, without reading on."""
_GRACE_S = 1.0
_OURS = {"user-agent": "tactics", "accept-encoding": "identity"}
_SENDING = "http11.send_request_headers.started"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that came whole and in time. Names of headers are in lower case; of several alike the last one counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotSent(GatewayError):
    """Nothing of the call went out: no address, no connection, no TLS."""


class Unclear(GatewayError):
    """The call may have arrived: it took too long, the connection broke, or the answer could not be read to its end."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """Keep what happened, and the status where one came."""
        super().__init__(message)
        self.status = status


class Outbound:
    """Calls what the allow-list allows; safe to use from several threads.

    Nothing starts before the first call, so a fork before it does no harm. Redirects are not followed; proxies and
    passwords of the environment are not used.
    """

    def __init__(self, hosts: Iterable[str], networks: Iterable[str], resolve: Resolve | None = None) -> None:
        """Read the allow-list.

        Args:
            hosts: TACTICS_OUTBOUND_HOSTS.
            networks: TACTICS_OUTBOUND_NETWORKS.
            resolve: gives the IP addresses of a name; the system's own way when left out.

        Raises:
            BadInput: one of the settings cannot be read.
        """
        self._allowed = AllowList.parse(hosts, networks)
        self._resolve = resolve
        self._beside = LoopBeside("tactics.outbound")
        self._pool: AsyncConnectionPool | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Outbound:
        """Make it from the settings.

        Raises:
            BadInput: one of them cannot be read.
        """
        return cls(settings.outbound_hosts, settings.outbound_networks)

    def check_url(self, url: str) -> None:
        """Refuse an address that could never be called, when somebody sets it up; its name is not asked for yet.

        Raises:
            BadInput: why not, and what to set.
        """
        self._allowed.target(url)

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, deadline_s: float
    ) -> Reply:
        """Call an address, with one deadline for everything: name, connection, TLS, question and answer.

        Args:
            method: such as POST.
            url: where; everything of it but the path and query is checked against the allow-list, at every call.
            headers: what else to send than Host, Content-Length, User-Agent and Accept-Encoding.
            body: None where there is none.
            deadline_s: seconds from now.

        Raises:
            Blocked: it may not be called; nothing was sent.
            NotSent: nothing was sent.
            Unclear: it may have arrived.
        """
        try:
            target = self._allowed.target(url)
        except BadInput as error:
            raise Blocked(error.message) from None
        asked = self._beside.start(self._ask(_Call(method, target, headers, body, deadline_s)))
        try:
            return asked.result(deadline_s + _GRACE_S)
        except futures.TimeoutError:
            raise Unclear(f"no answer within {deadline_s:g} s") from None
        finally:
            asked.cancel()

    def close(self) -> None:
        """Close connections and end the thread."""
        pool, self._pool = self._pool, None
        self._beside.close(pool.aclose() if pool is not None else None)

    async def _ask(self, call: _Call) -> Reply:
        # Not before it is needed: commands that call nobody start sooner without.
        from tactics.gateways.connecting import make_pool

        if self._pool is None:
            self._pool = make_pool(self._allowed, self._resolve)
        try:
            # In the loop and not in the thread that waits: whether anything was sent is told after all has ended.
            async with asyncio.timeout(call.deadline_s):
                return await call.exchange(self._pool)
        except GatewayError:
            raise
        except TimeoutError:
            call.fail(f"no answer within {call.deadline_s:g} s")
        except Exception as error:  # noqa: BLE001  # whatever it was, whoever asked has to know whether it may have arrived
            said = "" if call.sending else f": {error}"[:200]
            call.fail(f"{type(error).__name__}{said}")


@dataclass(slots=True)
class _Call:
    """A call, and how far it has come."""

    method: str
    target: Target
    headers: Mapping[str, str]
    body: bytes | None
    deadline_s: float
    sending: bool = False
    status: int | None = None

    async def exchange(self, pool: AsyncConnectionPool) -> Reply:
        from tactics.gateways.connecting import url_of

        named = {name.lower(): value for name, value in self.headers.items()}
        sent = list({**named, **_OURS, "host": self.target.host_header}.items())
        extensions = {"trace": self._note, "timeout": {"connect": self.deadline_s}}
        url, text = url_of(self.target), bytearray()
        async with pool.stream(self.method, url, headers=sent, content=self.body, extensions=extensions) as response:
            self.status = response.status
            async for chunk in response.aiter_stream():
                text += chunk
                if len(text) > MOST_BYTES:
                    raise Unclear(f"the answer is longer than {MOST_BYTES} bytes", response.status)
        told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return Reply(response.status, told, bytes(text))

    async def _note(self, event: str, _: Mapping[str, Any]) -> None:
        """Take note of what httpcore does, from its extension `trace`."""
        if event == _SENDING:
            self.sending = True

    def fail(self, text: str) -> NoReturn:
        if self.sending:
            raise Unclear(text, self.status)
        raise NotSent(text)

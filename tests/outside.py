"""An outside benefit system in the test's own process: it keeps its promise, and answers as the test says.

`next` says how the coming calls and look-ups end, one each; when it is empty, they go well. What it has really given is in
`effects`, by idempotency id: more than one for an id would be a second benefit.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from tactics.domain.provider import LineAnswer, ListedGrant, Provider, ProviderAnswer, ProviderCall, ProviderPage
from tactics.store import providers
from tests.driving import Drive

Ending = Literal["granted", "refused", "pending", "unclear", "given_but_unclear", "not_sent"]


@dataclass
class Wallet:
    """The provider `wallet`, idempotent unless told otherwise."""

    provider: Provider = field(default_factory=lambda: Provider("wallet", "https://wallet.example/grants"))
    next: deque[Ending] = field(default_factory=deque)
    lines: list[LineAnswer] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)
    calls: list[ProviderCall] = field(default_factory=list)
    look_ups: list[str] = field(default_factory=list)

    def grant(self, provider: Provider, call: ProviderCall) -> ProviderAnswer:
        """Give it, once for each id, or do what comes next."""
        self.calls.append(call)
        ending = self.next.popleft() if self.next else "granted"
        name = call.idempotency_id
        if ending in {"unclear", "not_sent", "pending"}:
            return _say(ending)
        if ending == "refused" and not self.effects[name]:
            self.refused.add(name)
        if name in self.refused:
            return _say("refused", "as the test wants it")
        if not (provider.idempotent and self.effects[name]):
            self.effects[name] += 1
        return _say("unclear") if ending == "given_but_unclear" else self._given()

    def look_up(self, provider: Provider, idempotency_id: str) -> ProviderAnswer:
        """Tell what it knows, or what comes next."""
        assert provider.look_up_url is not None
        self.look_ups.append(idempotency_id)
        ending = self.next.popleft() if self.next else "granted"
        if ending in {"unclear", "not_sent", "pending"}:
            return _say(ending)
        if idempotency_id in self.refused:
            return _say("refused", "as the test wanted it")
        return self._given() if self.effects[idempotency_id] else ProviderAnswer("unknown_id", "never heard of it", 404)

    def listing(self, provider: Provider, begin: datetime, end: datetime, cursor: str | None = None) -> ProviderPage:
        """List what was given, whenever that was, in pages of two."""
        assert provider.list_url is not None
        assert begin < end
        names = sorted(self.effects.elements())
        start = int(cursor or 0)
        following = str(start + 2) if start + 2 < len(names) else None
        return ProviderPage([ListedGrant(one, "granted") for one in names[start : start + 2]], following)

    def _given(self) -> ProviderAnswer:
        return ProviderAnswer("granted", "granted", 200, lines=self.lines, reference="w-1")


def _say(ending: str, text: str = "") -> ProviderAnswer:
    return ProviderAnswer("unclear" if ending == "given_but_unclear" else ending, text or ending)  # type: ignore[arg-type]  # an ending is a kind


def connect(drive: Drive, **changes: object) -> Wallet:
    """Set the provider `wallet` up, with some of its fields changed, and let the drive's app call it."""
    wallet = Wallet(replace(Provider("wallet", "https://wallet.example/grants"), **changes))  # type: ignore[arg-type]  # fields
    with drive.runtime.engine.begin() as conn:
        providers.save(conn, wallet.provider)
    runtime = drive.app.runtime
    drive.app._runtime = (drive.app._runtime[0], replace(runtime, gateways=replace(runtime.gateways, benefits=wallet)))  # type: ignore[index]  # it is open
    return wallet

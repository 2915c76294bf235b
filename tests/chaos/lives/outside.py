"""An outside benefit system by script, in this process: what it does, what it says, and what of both is lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import get_args

from tactics.domain.provider import AnswerKind, Provider, ProviderAnswer, ProviderCall, ProviderPage
from tactics.errors import GatewayError
from tests.chaos.lives.scene import Killed

CALLED = ("granted", "refused", "pending", "not_sent", "lost", "done_unclear", "lost_dies", "done_dies")
"""What becomes of a call: it is answered; it never arrives; or it does or not, and nobody hears, or whoever asked dies."""
LOOKED_UP = ("honest", "honest", "unclear")
MEANWHILE = ("newer", "twin", None, None, None, None)
"""What happens while it is asked: a newer attempt begins, or the same message comes again."""


@dataclass(frozen=True)
class Ask:
    """What becomes of the next question."""

    called: str = "granted"
    looked_up: str = "honest"
    meanwhile: str | None = None


@dataclass
class Ledger:
    """What the benefit system itself knows: `known` are the ids that it remembers, `effects` what it really gave."""

    idempotent: bool = True
    known: dict[str, AnswerKind] = field(default_factory=dict)
    effects: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, bytes] = field(default_factory=dict)
    same_bodies: bool = True

    def take(self, call: ProviderCall, how: AnswerKind) -> AnswerKind:
        """A call has arrived: what is known is said again."""
        name = call.idempotency_id
        self.same_bodies &= self.bodies.setdefault(name, call.body) == call.body
        if self.idempotent and name in self.known:
            return self.known[name]
        self.known[name] = how
        self.effects[name] += how == "granted"
        return how

    def finish(self, name: str, how: AnswerKind) -> None:
        """What was pending comes to its end."""
        self.known[name] = how
        self.effects[name] += how == "granted"


class ScriptedBenefits:
    """The port to benefit systems, which tells whoever listens what it is asked and what it answers."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.ledger = Ledger()
        self.script: list[Ask] = []
        self.asked: Callable[[str], None] = _nobody
        self.answered: Callable[[str, AnswerKind], None] = _nobody
        self.meanwhile: Callable[[str], None] = _nobody

    def grant(self, provider: Provider, call: ProviderCall) -> ProviderAnswer:
        """Do as the script says."""
        assert provider.name == call.idempotency_id.split(":")[0]
        ask = self._next("call")
        if ask.called == "not_sent":
            said: AnswerKind = "not_sent"
        else:
            if not ask.called.startswith("lost"):
                how = ask.called if ask.called in get_args(AnswerKind) else "granted"
                said = self.ledger.take(call, how)  # type: ignore[arg-type]  # looked at in the line above
            if ask.called.endswith("dies"):
                raise Killed
            said = "unclear" if ask.called in ("lost", "done_unclear") else said
        return self._answer("call", said)

    def look_up(self, provider: Provider, idempotency_id: str) -> ProviderAnswer:
        """Say what is known, or nothing that is of use."""
        assert provider.look_up_url is not None
        honest = self._next("look_up").looked_up == "honest"
        return self._answer("look_up", self.ledger.known.get(idempotency_id, "unknown_id") if honest else "unclear")

    def listing(self, provider: Provider, begin: datetime, end: datetime, cursor: str | None = None) -> ProviderPage:
        """Refuse: no step of a grant's life reads lists."""
        raise GatewayError(f"{provider.name} has no list from {begin} to {end} at {cursor}")

    def _next(self, kind: str) -> Ask:
        self.asked(kind)
        ask = self.script.pop(0) if self.script else Ask()
        if ask.meanwhile is not None:
            self.meanwhile(ask.meanwhile)
        return ask

    def _answer(self, kind: str, said: AnswerKind) -> ProviderAnswer:
        self.answered(kind, said)
        return ProviderAnswer(said, "as the test wants it")


def _nobody(*_: object) -> None:
    """Nobody listens."""

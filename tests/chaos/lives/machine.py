"""Any life of a grant, against paper: a hypothesis state machine over the whole engine, with a real Postgres and Redis.

`python -m tests.chaos.lives --examples 10000` runs it for long; `test_lives.py` for a moment.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tactics.domain.provider import AnswerKind
from tests.chaos.lives.choices import ASKS, CHANGES, FEW, OUTSIDE, WHO
from tests.chaos.lives.outside import Ask, ScriptedBenefits
from tests.chaos.lives.paper import OPEN, Attempt, Line, Outside, Paper, PaperAsset, PaperGrant, Terms, Told
from tests.chaos.lives.scene import LINES, VALID, Crash, Killed, Scene
from tests.driving import NOON, Drive


class GrantMachine(RuleBasedStateMachine):
    """Two users, one activity, and everything that befalls its grants."""

    drive: ClassVar[Drive]
    crash: ClassVar[Crash]
    benefits: ClassVar[ScriptedBenefits]

    visits = Bundle("visits")

    def __init__(self) -> None:
        """Begin at noon."""
        super().__init__()
        self.now = NOON
        self.prepared: set[str] = set()
        self.asked: dict[str, str] = {}
        self.told: dict[str, dict[str, Any]] = {}
        self.settled: dict[str, Told] = {}
        self.ids: dict[tuple[str, int, int], str] = {}
        self.grant_ids: dict[tuple[str, int], str] = {}
        self.scene: Scene
        self.paper: Paper

    @initialize(
        lines=st.sampled_from((LINES, LINES[:1])),
        stock=st.tuples(FEW, FEW),
        per_user=FEW,
        per_day=FEW,
        budget=st.sampled_from((None, None, 1_000, 1_400)),
        prepares=st.sampled_from((False, False, True)),
        outside=st.sampled_from(OUTSIDE),
    )
    def begin(
        self,
        *,
        lines: tuple[Line, ...],
        stock: tuple[int | None, int | None],
        per_user: int | None,
        per_day: int | None,
        budget: int | None,
        prepares: bool,
        outside: Outside | None,
    ) -> None:
        """An activity begins."""
        terms = Terms(lines, per_user, per_day, budget)
        left = {line.benefit: most for line, most in zip(lines, stock, strict=False)}
        self.crash.how = None
        self.scene = Scene(self.drive, terms, left, prepares=prepares, outside=outside)
        self.paper = Paper(terms, left, outside)
        self.benefits.__init__()  # type: ignore[misc]  # it begins anew
        if outside is not None:
            self.benefits.ledger.idempotent = outside.idempotent
        if prepares:
            self.prepare(0)
        else:
            self.prepared.update(self.scene.users)

    @rule(who=WHO)
    def prepare(self, who: int) -> None:
        """A user does what the activity waits for, or does it again."""
        user = self.scene.users[who]
        self.scene.prepare(user, self.now)
        self.prepared.add(user)

    @rule(target=visits, who=WHO, assets_known=st.sampled_from((True, True, True, False)))
    def visit(self, who: int, assets_known: bool) -> str:
        """A user comes by."""
        return self._visit(who, assets_known=assets_known)

    @rule(key=visits)
    def ask_again(self, key: str) -> None:
        """The same request comes once more: it is told what was said, or is answered now if nothing was."""
        user = self.asked[key]
        part = self.scene.visit(user, self.now, key)
        if key in self.told:
            assert part == self.told[key]
        elif key in self.settled:
            self._hears(key, part, self.settled[key])
        else:
            self._hears(key, part, self._on_paper(user))

    @rule(
        target=visits,
        who=WHO,
        assets_known=st.sampled_from((True, True, False)),
        how=st.sampled_from(("redeemed", "redeemed", "revoked", "late", "released", "overtaken")),
    )
    def use_up_and_visit(self, who: int, assets_known: bool, how: str) -> str:
        """All that a user holds comes to its end, and the user comes by again."""
        user = self.scene.users[who]
        if how == "late":
            self.time_passes(25, emptied=not assets_known)
        for owner, made, asset in self.held:
            if owner == user and asset.usable(self.now):
                self._change(user, made, asset, "revoked" if how == "revoked" else "redeemed", None, None)
                if how in ("released", "overtaken"):
                    self._change(user, made, asset, "released", None if how == "released" else 2, None)
        return self._visit(who, assets_known=assets_known)

    @rule(target=visits, who=WHO, how=st.sampled_from(("fails", "before", "after")))
    def visit_and_crash(self, who: int, how: str) -> str:
        """A user comes by, and what answers breaks: a step fails, or the process dies just before or after its commit."""
        user, key = self.scene.users[who], self.scene.new_key()
        self.asked[key] = user
        self.crash.how = how
        try:
            part = self.scene.visit(user, self.now, key)
        except Killed:
            if how == "after":
                self._hears(key, self.scene.visit(user, self.now, key), self._on_paper(user))
            else:
                self.drive.forget()  # it held the lease, which falls in time
        else:
            self._hears(key, part, Told("error"))
        return key

    @rule(hours=st.sampled_from((1, 12, 25, 25)), emptied=st.booleans())
    def time_passes(self, hours: int, emptied: bool) -> None:
        """It gets later: assets become due, another day begins; and Redis may come back with nothing in it."""
        self.now += timedelta(hours=hours)
        if emptied:
            self.drive.forget()

    @precondition(lambda self: self.outside_ones)
    @rule(which=st.integers(0, 3), script=ASKS, late=st.booleans())
    def settle(self, which: int, script: tuple[Ask, ...], late: bool) -> None:
        """A message comes that asks for a grant to be settled: the current one, or one of an attempt long over."""
        made, grant_id = self.outside_ones[-1 - which % len(self.outside_ones)]
        self.benefits.script = list(script)
        self._deliver(made, grant_id, made.attempts - late)

    @rule(target=visits, who=WHO, script=ASKS)
    def visit_and_settle(self, who: int, script: tuple[Ask, ...]) -> str:
        """A user comes by, and what came of it is settled as far as can be."""
        key = self._visit(who, assets_known=True)
        if self.outside_ones:
            self.settle(0, script, late=False)
        return key

    @precondition(lambda self: self.outside_ones)
    @rule(which=st.integers(0, 3), script=ASKS)
    def sweep_and_settle(self, which: int, script: tuple[Ask, ...]) -> None:
        """It is time for another attempt, which is made."""
        made, grant_id = self.outside_ones[-1 - which % len(self.outside_ones)]
        self.benefits.script = list(script)
        self._claim(made, grant_id)
        self._deliver(made, grant_id, made.attempts)

    @precondition(lambda self: self.outside_ones)
    @rule(which=st.integers(0, 3))
    def benefit_system_forgets(self, which: int) -> None:
        """So much time passes that the benefit system has forgotten a grant."""
        made, grant_id = self.outside_ones[-1 - which % len(self.outside_ones)]
        made.forgotten = made.calls > 0
        self.scene.grow_old(grant_id)
        self.benefits.ledger.known.pop(self._name(made), None)

    @precondition(lambda self: "pending" in self.benefits.ledger.known.values())
    @rule(how=st.sampled_from(("granted", "refused")))
    def benefit_system_finishes(self, how: AnswerKind) -> None:
        """What was pending at the benefit system comes to its end there."""
        ledger = self.benefits.ledger
        ledger.finish(next(name for name, said in ledger.known.items() if said == "pending"), how)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 3), changes=CHANGES)
    def change_asset(self, which: int, changes: list[tuple[str, int | None, str | None]]) -> None:
        """Something becomes of an asset, or is told of it late."""
        for what, ago_h, order in changes:
            self._change(*self.held[-1 - which % len(self.held)], what, ago_h, order)

    @rule(benefit=st.integers(0, 1), delta=st.sampled_from((1, 2, -1, -2)))
    def move_stock(self, benefit: int, delta: int) -> None:
        """An operator adds stock, or takes some back."""
        lines = self.paper.terms.lines
        code = lines[benefit % len(lines)].benefit
        assert self.scene.move(code, delta) == self.paper.move(code, delta)

    @invariant()
    def all_is_as_on_paper(self) -> None:
        """Whatever happened: grants, counts, states, assets, stock and limits are those on paper, and none is below zero."""
        if not hasattr(self, "paper"):
            return
        stored, paper = self.scene.stored(), self.paper
        self.ids, self.grant_ids = stored.asset_ids, stored.grant_ids
        assert stored.grants == sorted(
            (user, one.count, one.state, one.usable, one.released) for user, one in paper.each()
        )
        assert stored.assets == sorted(
            (user, made.count, asset.line, asset.status, asset.order) for user, made, asset in self.held
        )
        assert stored.left == paper.left
        assert all(left is None or left >= 0 for left in stored.left.values())
        assert stored.counters == paper.counters()
        for user in self.scene.users:
            held = self.paper.grants[user]
            assert [one.count for one in held] == list(range(1, len(held) + 1))
            assert sum(one.state in OPEN for one in held) <= 1
            assert sum(one.usable and not one.released for one in held) <= 1

    @invariant()
    def benefit_system_gave_what_is_granted(self) -> None:
        """It gave once what is granted, nothing that is refused, and was never called again under another body."""
        if not hasattr(self, "paper") or self.paper.outside is None:
            return
        ledger = self.benefits.ledger
        assert ledger.same_bodies
        assert all(times <= 1 for times in ledger.effects.values())
        for user, made in self.paper.each():
            given = ledger.effects[f"{self.scene.code}:{user}:{made.count}"]
            assert made.state in OPEN or given == (made.state == "granted")

    def teardown(self) -> None:
        """Leave nothing that waits."""
        if hasattr(self, "scene"):
            self.scene.leave()

    @property
    def outside_ones(self) -> list[tuple[PaperGrant, str]]:
        """All grants of the outside benefit system, with their ids."""
        if not hasattr(self, "paper") or self.paper.outside is None:
            return []
        return [(made, self.grant_ids[user, made.count]) for user, made in self.paper.each()]

    @property
    def held(self) -> list[tuple[str, PaperGrant, PaperAsset]]:
        """All assets on paper, in the order in which they were given."""
        return [(user, made, asset) for user, made in self.paper.each() for asset in made.assets]

    def _on_paper(self, user: str, *, assets_known: bool = True) -> Told:
        if user not in self.prepared:
            return Told("not_prepared")
        return self.paper.visit(user, self.now, self.now + VALID, assets_known=assets_known)

    def _visit(self, who: int, *, assets_known: bool) -> str:
        user, key = self.scene.users[who], self.scene.new_key()
        self.asked[key] = user
        part = self.scene.visit(user, self.now, key, assets_known=assets_known)
        self._hears(key, part, self._on_paper(user, assets_known=assets_known))
        return key

    def _name(self, made: PaperGrant) -> str:
        user = next(user for user, one in self.paper.each() if one is made)
        return f"{self.scene.code}:{user}:{made.count}"

    def _claim(self, made: PaperGrant, grant_id: str) -> None:
        """Claim a grant, which is due unless it waits for nobody any more."""
        self.scene.make_due(grant_id)
        claimed = self.scene.claim_due()
        waits = made.state in ("pending", "unknown")
        made.attempts += waits
        assert claimed == ({grant_id: made.attempts} if waits else {})

    def _deliver(self, made: PaperGrant, grant_id: str, number: int) -> None:
        """Deliver an attempt, and follow it on paper."""
        listening = self.benefits.asked, self.benefits.answered, self.benefits.meanwhile
        runs = number == made.attempts and made.state in ("pending", "unknown")
        attempt = Attempt(self.paper, made, number)

        def meanwhile(what: str) -> None:
            if what == "newer":
                self._claim(made, grant_id)
            self._deliver(made, grant_id, made.attempts)

        self.benefits.asked = attempt.asked if runs else _must_not_be_asked
        self.benefits.answered, self.benefits.meanwhile = attempt.answered, meanwhile
        was = made.state
        try:
            self.scene.settle(grant_id, number)
        except Killed:
            assert attempt.died
        finally:
            self.benefits.asked, self.benefits.answered, self.benefits.meanwhile = listening
        if runs:
            attempt.ended()
        if was != made.state and made.state in ("granted", "refused"):
            self._is_told(made)

    def _is_told(self, made: PaperGrant) -> None:
        """Whoever was told that a grant is pending is told what came of it: the one that asked for it, and the others."""
        shown = tuple((made.count, asset.line, asset.status) for asset in made.assets)
        user = next(user for user, one in self.paper.each() if one is made)
        pending = [
            key for key, part in self.told.items() if self.asked[key] == user and part.get("outcome") == "pending"
        ]
        for key in pending:
            outcome = "granted" if key == made.key else "reused"
            self.settled[key] = Told(outcome, shown) if made.state == "granted" else Told("error")
            del self.told[key]

    def _change(
        self, user: str, made: PaperGrant, asset: PaperAsset, what: str, ago_h: int | None, order: str | None
    ) -> None:
        at = None if ago_h is None else self.now - timedelta(hours=ago_h)
        said = self.scene.change(self.ids[user, made.count, asset.line], what, self.now, at, order)
        assert said == self.paper.change(made, asset, what, self.now, at, order)

    def _hears(self, key: str, part: dict[str, Any], expected: Told) -> None:
        """Hold what a visitor is told against paper."""
        assert (part.get("outcome") or part["reason"]) == expected.outcome
        shown = sorted((one["asset_id"], one["status"]) for one in part.get("assets", ()))
        stored, user = self.scene.stored(), self.asked[key]
        self.ids, self.grant_ids = stored.asset_ids, stored.grant_ids
        assert shown == sorted((self.ids[user, count, line], status) for count, line, status in expected.assets)
        self.told[key] = part
        for _, made in self.paper.each():
            made.key = made.key or key


def _must_not_be_asked(kind: str) -> None:
    raise AssertionError(f"{kind}, though the attempt is over")

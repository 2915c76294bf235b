"""Where the state machine of grants runs: an app in this process, and one activity of its own for each example.

Nothing is emptied between examples: new codes, channels and users cost less than truncating does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy import text

from tactics.errors import Conflict
from tactics.flows.stock import move_stock
from tactics.granting import change_asset
from tactics.segment import Segment
from tactics.store import outside_grants
from tests.chaos.lives.paper import Line, Outside, Terms
from tests.driving import Drive, satisfied
from tests.making import document

VALID = timedelta(hours=24)
LINES = (Line("c18", 500), Line("gift", 200))
_NUMBERS = count(1)
_URL = "https://wallet.test/grants"
_PROVIDER = """
    INSERT INTO provider (name, url, look_up_url, signing_secrets, idempotent, remembers_s, timeout_ms, max_concurrency)
    VALUES (:name, :url, :look_up_url, '{}', :idempotent, 86400, 5000, 8)
"""
_DUE = """
    UPDATE outside_grant SET next_attempt_at = now()
    WHERE user_id = ANY (:users) AND grant_id = :grant AND next_attempt_at IS NOT NULL
"""
_OLDER = """
    UPDATE outside_grant
    SET created_at = created_at - interval '2 days', first_called_at = first_called_at - interval '2 days'
    WHERE user_id = ANY (:users) AND grant_id = :grant
"""
_STORED = text("""
    SELECT
        coalesce((SELECT json_agg(json_build_array(user_id, will_send_count, state, usable, released, id)
            ORDER BY user_id, will_send_count) FROM grant_record WHERE user_id = ANY (:users)), '[]'),
        coalesce((SELECT json_agg(json_build_array(user_id, grant_id, line, status, reference, id)
            ORDER BY user_id, grant_id, line) FROM asset WHERE user_id = ANY (:users)), '[]'),
        (SELECT json_object_agg(code, remaining) FROM benefit WHERE activity_code = :code),
        coalesce((SELECT json_agg(json_build_array(scope, period, used)) FROM limit_counter
            WHERE activity_code = :code AND used > 0), '[]')
""")


class Killed(BaseException):
    """The process is no more; only a test can go on after it."""


@dataclass
class Crash:
    """What befalls the next segment at its commit, once: nothing (None), `fails`, `before` or `after`."""

    how: str | None = None

    def take(self) -> str | None:
        """Give it, and have it befall no other."""
        how, self.how = self.how, None
        return how


@contextmanager
def crashing() -> Iterator[Crash]:
    """Let segments of this process crash where they commit."""
    crash, commit = Crash(), Segment.commit

    def changed(self: Segment) -> None:
        how = crash.take()
        if how == "fails":
            raise RuntimeError("as the test wants it")
        if how == "before":
            self.run.conn.invalidate()  # what the server sees of a process that was killed
            raise Killed
        commit(self)
        if how == "after":
            raise Killed

    Segment.commit = changed  # type: ignore[method-assign]
    try:
        yield crash
    finally:
        Segment.commit = commit  # type: ignore[method-assign]


@dataclass(frozen=True)
class Stored:
    """What the database says of the example: the same words as on paper, and the ids by which others ask."""

    grants: list[tuple[str, int, str, bool, bool]]
    assets: list[tuple[str, int, int, str, str | None]]
    left: dict[str, int | None]
    counters: dict[tuple[str, str], int]
    asset_ids: dict[tuple[str, int, int], str]
    grant_ids: dict[tuple[str, int], str]


class Scene:
    """One example's activity."""

    def __init__(
        self,
        drive: Drive,
        terms: Terms,
        stock: dict[str, int | None],
        *,
        prepares: bool,
        outside: Outside | None,
    ) -> None:
        """Make it live."""
        number = next(_NUMBERS)
        self.drive, self.code, self.slot, self.bought = drive, f"a{number}", f"slot{number}", f"bought{number}"
        self.users = [f"u{number}x", f"u{number}y"]
        self._keys = count(1)
        limits = {"per_user": terms.per_user, "per_day": terms.per_day, "budget_minor": terms.budget_minor}
        provider = self.code if outside is not None else "local"
        if outside is not None:
            look_up_url = _URL + "/{idempotency_id}" if outside.can_be_asked else None
            drive.run(_PROVIDER, name=provider, url=_URL, look_up_url=look_up_url, idempotent=outside.idempotent)
        drive.load(
            document(
                code=self.code,
                channels={"prepare": [self.bought] if prepares else [], "grant": [self.slot]},
                rule={"so": {"then": [_action(line.benefit) for line in terms.lines]}},
                benefits={line.benefit: _benefit(line, stock[line.benefit], provider) for line in terms.lines},
                limits={name: most for name, most in limits.items() if most is not None},
            )
        )

    def prepare(self, user: str, now: datetime) -> None:
        """Let the user do what the activity waits for."""
        self.drive.happen(satisfied(user, self.bought, at=now))

    def new_key(self) -> str:
        """Give an idempotency key nobody has used."""
        return f"{self.code}-{next(self._keys)}"

    def visit(self, user: str, now: datetime, key: str, *, assets_known: bool = True) -> dict[str, Any]:
        """Visit the slot; give the one activity's part of the answer."""
        self.drive.assets.failing = not assets_known
        try:
            answer = self.drive.visit(user, self.slot, at=now, key=key)
        finally:
            self.drive.assets.failing = False
        (part,) = [*answer.results, *answer.not_shown]
        return part

    def change(self, asset_id: str, what: Any, now: datetime, at: datetime | None, order: str | None) -> bool:
        """Change an asset; tell whether that is said to be well."""
        try:
            with self.drive.runtime.engine.begin() as conn:
                change_asset(conn, UUID(asset_id), what, now, at=at, reference=order)
        except Conflict:
            return False
        return True

    def move(self, benefit: str, delta: int) -> bool:
        """Add stock or take some back; tell whether that went well."""
        try:
            move_stock(self.drive.runtime, self.code, benefit, delta=delta, reason="as the test wants it")
        except Conflict:
            return False
        return True

    def settle(self, grant_id: str, attempt: int) -> None:
        """Deliver an attempt at settling a grant."""
        provider = f"provider:{self.code}"
        # Its breaker is no part of a grant's life.
        self.drive.runtime.redis.delete(f"tactics:calls:{provider}", f"tactics:breaker:{provider}")
        failed = self.drive.deliver("tactics.settle_grant", grant_id, attempt)
        assert failed is None or not isinstance(failed.retval, Exception), failed.retval

    def make_due(self, grant_id: str) -> None:
        """Let it be time for a grant's next attempt, if there is to be one."""
        self.drive.run(_DUE, users=self.users, grant=grant_id)

    def grow_old(self, grant_id: str) -> None:
        """Let so much time pass that the provider has forgotten a grant."""
        self.drive.run(_OLDER, users=self.users, grant=grant_id)

    def claim_due(self) -> dict[str, int]:
        """Claim what is due, as the sweeper does."""
        with self.drive.runtime.engine.begin() as conn:
            claims = outside_grants.claim_due(conn, limit=1_000, claim_s=3_600)
        return {str(one.grant_id): one.attempt for one in claims}

    def leave(self) -> None:
        """Let nothing of it become due while others are tried."""
        rest = "UPDATE outside_grant SET next_attempt_at = NULL WHERE user_id = ANY (:users)"
        self.drive.run(rest, users=self.users)

    def stored(self) -> Stored:
        """Read what there is now."""
        with self.drive.runtime.reading() as conn:
            grants, assets, left, counters = conn.execute(_STORED, {"users": self.users, "code": self.code}).one()
        counts = {one[5]: one[1] for one in grants}
        return Stored(
            grants=[tuple(one[:5]) for one in grants],
            assets=sorted((user, counts[grant], *rest[:3]) for user, grant, *rest in assets),
            left=left,
            counters={(scope, period): used for scope, period, used in counters},
            asset_ids={(user, counts[grant], line): found for user, grant, line, _, _, found in assets},
            grant_ids={(one[0], one[1]): one[5] for one in grants},
        )


def _action(benefit: str) -> dict[str, Any]:
    if benefit == "c18":
        return {"block": "pbb.action.send_coupon", "params": {"benefit": benefit}}
    return {"block": "pbb.action.gift", "params": {"item_id": "7", "quantity": 1}}


def _benefit(line: Line, stock: int | None, provider: str) -> dict[str, Any]:
    made = {
        "kind": "coupon" if line.benefit == "c18" else "gift",
        "value_minor": line.value_minor,
        "validity_s": int(VALID.total_seconds()),
        "provider": provider,
    }
    return made if stock is None else {**made, "stock": stock}

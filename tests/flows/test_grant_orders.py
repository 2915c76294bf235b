"""Visits, settling, sweeping, retrying, abandoning and comparing in whatever order: nothing is ever given twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tactics.flows import provider_list
from tactics.flows.grant_abandon import abandon_grant
from tactics.flows.grant_retry import retry_grant
from tactics.store.audit import audit
from tests.driving import Drive, at_checkout
from tests.outside import Ending, Wallet, connect

ENDINGS: tuple[Ending, ...] = ("granted", "refused", "pending", "unclear", "given_but_unclear", "not_sent")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.sampled_from(ENDINGS)),
        st.tuples(st.sampled_from(["retry", "abandon"]), st.integers(0, 2)),
        st.tuples(st.sampled_from(["visit", "work", "sweep", "age", "compare", "lose", "spend"]), st.none()),
    ),
    min_size=6,
    max_size=18,
)
_USERS = count(1)


class _Life:
    """One user's grants, and what may happen to them."""

    def __init__(self, drive: Drive, wallet: Wallet) -> None:
        self.drive, self.wallet, self.user = drive, wallet, f"u{next(_USERS)}"
        wallet.next.clear()

    def grants(self) -> list[UUID]:
        query = "SELECT id FROM grant_record WHERE user_id = :user ORDER BY will_send_count DESC"
        return [row[0] for row in self.drive.rows(query, user=self.user)]

    def do(self, what: str, how: object) -> None:
        if what == "answer":
            self.wallet.next.append(how)  # type: ignore[arg-type]  # an ending
        elif what in {"retry", "abandon"}:
            chosen = self.grants()[how : how + 1] if isinstance(how, int) else []
            for one in chosen:
                self._change(what, one)
        else:
            steps: dict[str, Callable[[], object]] = {
                "visit": lambda: self.drive.visit(self.user),
                "work": self.drive.work,
                "sweep": self.drive.sweep,
                "lose": self.drive.forget,
                "age": self._age,
                "compare": self._compare,
                "spend": self._spend,
            }
            steps[what]()

    def _change(self, what: str, one: UUID) -> None:
        if what == "retry":
            retry_grant(self.drive.app, one)
        else:
            abandon_grant(self.drive.runtime, one, reason="so")

    def _age(self) -> None:
        earlier = "first_called_at - interval '2 days'"
        self.drive.run(f"UPDATE outside_grant SET first_called_at = {earlier} WHERE user_id = :user", user=self.user)  # noqa: S608  # ours

    def _compare(self) -> None:
        runtime = self.drive.runtime
        begin, end = provider_list.span(runtime, None, None)
        for _ in provider_list.compare_with_list(
            runtime, self.wallet.provider, begin, end + timedelta(minutes=1), settle=True
        ):
            pass

    def _spend(self) -> None:
        self.drive.run("UPDATE asset SET status = 'redeemed' WHERE user_id = :user", user=self.user)
        self.drive.run("UPDATE grant_record SET usable = false WHERE user_id = :user", user=self.user)

    def check(self) -> None:
        """What must hold after every step; one open grant an instance is a unique key's to hold."""
        ours = {name: many for name, many in self.wallet.effects.items() if name.startswith(f"camp18:{self.user}:")}
        assert set(ours.values()) <= {1}, ours
        granted = "SELECT idempotency_id FROM grant_record WHERE user_id = :user AND state = 'granted'"
        assert {row[0] for row in self.drive.rows(granted, user=self.user)} <= set(ours)
        retried = "SELECT count(*), count(DISTINCT event_id) FROM execution WHERE event_source = 'tactics.retry'"
        ((executions, refused),) = self.drive.rows(retried)
        assert executions == refused


def test_whatever_the_order_nothing_is_given_twice_and_stock_adds_up(drive: Drive) -> None:
    """At most one effect for each idempotency id, a grant only where there is one, and everything adds up in the end."""
    url = "https://wallet.example/list"
    coupon = {"kind": "coupon", "value_minor": 500, "stock": 1_000, "provider": "wallet"}
    wallet = connect(drive, list_url=url, look_up_url="https://wallet.example/{idempotency_id}")
    drive.load(at_checkout(benefits={"c18": coupon}, limits={"budget_minor": 400_000}))

    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def live(steps: list[tuple[str, object]]) -> None:
        one = _Life(drive, wallet)
        for what, how in [("visit", None), *steps]:
            one.do(what, how)
            one.check()
        wallet.next.clear()
        drive.forget()
        drive.settle()
        one.check()
        with drive.runtime.engine.connect() as conn:
            assert not [finding.text for finding in audit(conn)]

    live()

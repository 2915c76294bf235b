"""The replay: what the households did goes in as events, their visits are answered, and everything is counted.

Read top-down: set up → each day, each round: visits, then purchases, then wait → the day's redemptions. At the till a
household first sees the banner and then pays, so a visit finds what was prepared from the baskets before.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tactics.celery_app import TacticsApp
from tactics.demo import documents
from tactics.demo.barrier import wait_until_done
from tactics.demo.ledger import Ledger
from tactics.demo.plan import Plan
from tactics.demo.stream import Basket, Day
from tactics.demo.wallet import Wallets
from tactics.errors import TacticsError
from tactics.flows import setup
from tactics.flows.action import submit_events
from tactics.flows.placement import PlacementAnswer, PlacementRequest, visit

SOURCE = "tactics.demo"
VISITS = "tactics.demo.visits"
ALREADY = frozenset({"reused", "replayed"})
PATIENCE_MS = 60_000

Part = dict[str, Any]


class NotAccepted(TacticsError):
    """The engine refused an event of the replay."""

    code = "not_accepted"


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer as a shopper saw it."""

    user_id: str
    at: datetime
    part: Part


@dataclass
class Replayed:
    """What the replay itself saw: what was acknowledged, and what its visits were answered.

    `parts` counts the activities' answers by outcome or reason; `nothing_running` are visits without any. `met` and
    `unmet` count the data's redemptions: those for which the household held a granted coupon, and the others.
    """

    actions: int = 0
    visits: int = 0
    nothing_running: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    met: int = 0
    unmet: int = 0
    seconds: float = 0.0
    visit_ms: list[float] = field(default_factory=list)
    samples: dict[str, Sample] = field(default_factory=dict)


@dataclass
class _Replay:
    """One replay under way."""

    app: TacticsApp
    plan: Plan
    ledger: Ledger
    check: Callable[[], None]
    tell: Callable[[str, int], None]
    activities: dict[int, str]
    wallets: Wallets = field(default_factory=Wallets)
    redeemed: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: Replayed = field(default_factory=Replayed)

    def wait(self) -> None:
        wait_until_done(self.app.runtime.engine, self.check)


def set_up(app: TacticsApp, plan: Plan) -> None:
    """Import what the plan replays on: users, items, item sets and activities, these published."""
    runtime = app.runtime
    setup.import_users(runtime, plan.users)
    setup.import_items(runtime, plan.items)
    setup.import_item_sets(runtime, plan.item_sets)
    setup.import_activities(runtime, plan.activities, publish=True, known_templates=app.templates.keys())


def replay(
    app: TacticsApp,
    plan: Plan,
    ledger_path: Path,
    *,
    check: Callable[[], None] = lambda: None,
    tell: Callable[[str, int], None] = lambda _day, _actions: None,
) -> Replayed:
    """Replay a plan, day by day, on a database that `set_up` made ready, with workers running.

    Args:
        app: prepared by `tactics.chain.prepare_app`, in replay mode.
        plan: what to replay.
        ledger_path: the file that gets the source and id of everything that was acknowledged.
        check: called between steps and while waiting; raises when there is no point in going on.
        tell: called with the day and the number of purchases whenever some were accepted.

    Returns:
        What was seen. All that was accepted has ended.

    Raises:
        NeverQuiet: something does not end.
        NotAccepted: an event was refused.
    """
    numbers = {campaign.number: documents.code(campaign) for campaign in plan.campaigns}
    started = time.perf_counter()
    with Ledger(ledger_path) as ledger:
        one = _Replay(app, plan, ledger, check, tell, numbers)
        for day in plan.days():
            _replay_day(one, day)
    one.seen.seconds = time.perf_counter() - started
    return one.seen


def _replay_day(one: _Replay, day: Day) -> None:
    for baskets in day.rounds:
        for basket in baskets:
            _visit(one, basket)
        for wave in waves(baskets, one.app.settings.batch_size):
            for batch in wave:
                _submit(one, batch)
                one.seen.actions += len(batch)
                one.tell(day.day.isoformat(), len(batch))
            one.wait()
    redemptions = list(_redemptions(one, day))
    for start in range(0, len(redemptions), one.app.settings.batch_size):
        _submit(one, redemptions[start : start + one.app.settings.batch_size])
    one.wait()


def _visit(one: _Replay, basket: Basket) -> None:
    one.check()
    request = PlacementRequest(
        basket.user_id,
        documents.PLACEMENT,
        placement="till",
        key=basket.basket_id,
        source=VISITS,
        at=basket.at,
        deadline_ms=PATIENCE_MS,  # every visit counts, also on a machine that is slow today
    )
    started = time.perf_counter()
    answer = visit(one.app, request)
    one.seen.visit_ms.append((time.perf_counter() - started) * 1000)
    one.ledger.note([(request.source, basket.basket_id)])
    _count(one, basket, answer)


def _count(one: _Replay, basket: Basket, answer: PlacementAnswer) -> None:
    seen = one.seen
    seen.visits += 1
    seen.nothing_running += answer.complete and not answer.results and not answer.not_shown
    seen.parts["unanswered"] += not answer.complete
    for part in answer.results:
        seen.parts[part["outcome"]] += 1
        _keep(seen, part["outcome"], Sample(basket.user_id, basket.at, part))
        if part["outcome"] not in ALREADY:
            one.wallets.put(basket.user_id, part["activity"], part["assets"])
    for part in answer.not_shown:
        seen.parts[part["reason"]] += 1
        _keep(seen, part["reason"], Sample(basket.user_id, basket.at, part))


def _keep(seen: Replayed, outcome: str, sample: Sample) -> None:
    """Keep the first answer of each kind; of the reuses rather the first one of whom the granted one is shown."""
    kept, granted = seen.samples.setdefault(outcome, sample), seen.samples.get("granted")
    if outcome in ALREADY and granted is not None and sample.user_id == granted.user_id != kept.user_id:
        seen.samples[outcome] = sample


def waves(baskets: Sequence[Basket], most: int) -> Iterator[list[list[dict[str, Any]]]]:
    """Put a round's baskets into submissions.

    A basket's lines stay together: a household's behaviour is judged once for all of them, whichever worker is faster.

    Args:
        baskets: at most one of each household.
        most: events in a submission.

    Yields:
        waves of submissions. Those of one wave may be worked on side by side; what is left of a basket with more than
        `most` lines comes in a wave of its own.
    """
    events = [[_event(action.event_id, action.at, "action", action.data) for action in one.actions] for one in baskets]
    while events:
        yield list(_packed([basket[:most] for basket in events], most))
        events = [rest for basket in events if (rest := basket[most:])]


def _packed(baskets: Iterable[list[dict[str, Any]]], most: int) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for basket in baskets:
        if batch and len(batch) + len(basket) > most:
            yield batch
            batch = []
        batch = batch + basket
    if batch:
        yield batch


def _redemptions(one: _Replay, day: Day) -> Iterator[dict[str, Any]]:
    """Give the day's redemptions as events; one for which nothing was granted cannot be replayed, and is counted."""
    for redemption in day.redemptions:
        key = redemption.user_id, one.activities[redemption.campaign]
        asset_id = one.wallets.take(*key, redemption.at)
        if asset_id is None:
            one.seen.unmet += 1
            continue
        one.seen.met += 1
        one.redeemed[key] += 1
        event_id = f"{':'.join(key)}:redemption:{one.redeemed[key]}"
        yield _event(event_id, redemption.at, "asset", {"asset_id": asset_id, "status": "redeemed"})


def _submit(one: _Replay, events: Sequence[dict[str, Any]]) -> None:
    one.check()
    receipts = submit_events(one.app, events)
    one.ledger.note((receipt.source, receipt.id) for receipt in receipts if receipt.status == "accepted")
    for receipt in receipts:
        if receipt.status != "accepted":
            raise NotAccepted(f"event {receipt.id} was not accepted: {receipt.reason or receipt.status}")


def _event(event_id: str, at: datetime, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "source": SOURCE,
        "id": event_id,
        "type": f"tactics.{kind}",
        "time": at.isoformat(),
        "data": data,
    }

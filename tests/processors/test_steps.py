"""The steps that come with Tactics, each for itself: what it asks, what it leaves, and when it does not apply."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from tactics import rules
from tactics.domain.context import REASONS, SHOWN, ItemContext
from tactics.domain.event import Event
from tactics.errors import GatewayError
from tactics.gateways.ports import Item
from tactics.processor import Processor
from tactics.processors.build_result import build_result
from tactics.processors.check_event import check_event
from tactics.processors.check_rule import check_rule
from tactics.processors.finish_execution import finish_execution
from tactics.processors.load_prepared import load_prepared
from tactics.processors.query_asset import query_asset
from tactics.processors.query_item import MOST_ITEMS, query_item
from tactics.processors.record_event import record_event
from tactics.processors.save_prepared import save_prepared
from tactics.processors.send_benefit import send_benefit
from tactics.store import grants
from tactics.store.grants import Verdict
from tactics.store.instances import InstanceRow
from tactics.store.prepared import Prepared
from tests.driving import NOON
from tests.making import activity

EVENT = Event("shop", "1", "placement", "7", "home", {}, NOON)
NEVER = InstanceRow(1, None, None, None, None)


def _ctx(**members: Any) -> ItemContext:
    changes = {name: members.pop(name) for name in ("rule", "channels", "holdout_percent") if name in members}
    return ItemContext(activity(**changes), EVENT, "grant", NOON, **members)


def _run(**members: Any) -> Any:
    """Give a run whose ports are the test's own."""
    return Mock(instance=NEVER, **members)


@pytest.mark.parametrize("step", [check_event, load_prepared])
def test_activity_that_prepares_on_nothing_skips_preparation(step: Processor[Any]) -> None:
    """Checking and loading prepared data apply only to activities with prepare channels."""
    assert step.applies(_ctx())
    assert not step.applies(_ctx(channels={"prepare": [], "grant": ["home"]}))


def test_check_event_asks_the_instance() -> None:
    """An instance that no event prepared stops the chain as `not_prepared`; a prepared one goes on."""
    ctx = _ctx()
    check_event(ctx, _run())
    assert (ctx.stopped, ctx.outcome) == (True, "not_prepared")
    ctx = _ctx()
    check_event(ctx, Mock(instance=replace(NEVER, prepared_event_id="e")))
    assert not ctx.stopped


def test_load_prepared_refills_or_rebuilds() -> None:
    """What was found fills the context, and nothing is built again; without it the run rebuilds."""
    ctx, run = _ctx(), _run(found_prepared=Prepared(1, "shop", "e", {"items": [{"item_id": "7"}]}))
    load_prepared(ctx, run)
    assert (ctx.items, run.rebuild.called) == ([{"item_id": "7"}], False)
    run.found_prepared = None
    load_prepared(ctx, run)
    run.rebuild.assert_called_once_with(ctx)


def test_query_item_takes_a_few_as_they_come() -> None:
    """Items come from the port, at most so many, in its order, with prices where they are known."""
    run = _run()
    run.gateways.items.of_user.return_value = [Item("7", "Tea", "t", 800, "USD", {"x": 1}), Item("8", "8")]
    ctx = _ctx()
    query_item(ctx, run)
    run.gateways.items.of_user.assert_called_once_with(run.conn, "7", MOST_ITEMS)
    assert [(one["item_id"], one["price_minor"]) for one in ctx.items] == [("7", 800), ("8", None)]


def test_check_rule_asks_only_for_what_the_rule_reads() -> None:
    """A rule over nothing asks neither for the user nor for behaviours; one over the user asks for the user."""
    coupon = rules.send_coupon("c18")
    run = _run()
    ctx = _ctx(rule=rules.to_json(rules.so(coupon)))
    check_rule(ctx, run)
    assert (ctx.status, [one["block"] for one in ctx.effects]) == ("matched", ["pbb.action.send_coupon"])
    assert run.mock_calls == []
    run.gateways.users.attributes.return_value = {"vip": False}
    ctx = _ctx(rule=rules.to_json(rules.so(rules.equals(rules.user_attribute("vip"), True), coupon)))
    check_rule(ctx, run)
    run.gateways.users.attributes.assert_called_once_with(run.conn, "7")
    assert (ctx.outcome, ctx.effects, len(ctx.reasons)) == ("not_matched", [], 1)


def test_query_asset_tells_a_failure_from_nothing() -> None:
    """No assets is an answer; no answer tags the context, and says so in its notes."""
    ctx, run = _ctx(), _run()
    run.gateways.assets.of_instance.return_value = []
    query_asset(ctx, run)
    assert (ctx.assets, ctx.assets_unknown, ctx.notes) == ([], False, [])
    run.gateways.assets.of_instance.side_effect = GatewayError("away")
    query_asset(ctx, run)
    assert (ctx.assets_unknown, len(ctx.notes)) == (True, 1)


def test_send_benefit_gives_nothing_to_the_control_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user held out is asked for as such, and stopped as `holdout`; without effects the step does not apply."""
    ctx, run = (
        _ctx(holdout_percent=100, effects=[{"block": "pbb.action.send_coupon", "params": {}, "times": 1}]),
        _run(),
    )
    give = Mock(return_value=Verdict("holdout", None, "", {}))
    monkeypatch.setattr(grants, "give", give)
    send_benefit(ctx, run)
    assert (ctx.outcome, ctx.stopped, give.call_args.args[3].held_out) == ("holdout", True, True)
    assert not send_benefit.applies(_ctx())


def test_build_result_shows_what_is_shown() -> None:
    """An answer is built for every outcome that is shown and for no reason; absent members are left out."""
    assert all(build_result.applies(_ctx(outcome=one)) for one in SHOWN)
    assert not any(build_result.applies(_ctx(outcome=one)) for one in [*REASONS, None])
    items = [{"item_id": "7", "title": "Tea", "category": "t", "price_minor": 0, "currency": None, "rule": "r"}]
    ctx, run = _ctx(outcome="granted", items=items), _run()
    build_result(ctx, run)
    assert ctx.result is not None
    assert ctx.result["items"] == [{"item_id": "7", "title": "Tea", "price_minor": 0, "rule": "r", "text": "0.00 USD"}]
    assert set(ctx.result) == {"activity", "execution_id", "outcome", "expression", "assets", "items"}
    ctx = _ctx(outcome="granted", notes=["n"], placement="top")
    build_result(ctx, run)
    assert ctx.result is not None
    assert (ctx.result["notes"], ctx.result["placement"]) == (["n"], "top")


def test_what_the_driver_is_told_of_the_steps() -> None:
    """Only the last step always runs, only saving ends what is repeated for lost data, and none asks for isolation."""
    steps = (
        check_event,
        load_prepared,
        query_item,
        check_rule,
        query_asset,
        send_benefit,
        build_result,
        record_event,
        save_prepared,
        finish_execution,
    )
    assert [step.name for step in steps if step.always] == ["finish_execution"]
    assert [step.name for step in steps if step.saves] == ["save_prepared"]
    assert not any(step.isolated for step in steps)
    assert {step.name for step in steps if step.needs is ItemContext} == {"query_item"}

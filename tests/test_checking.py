"""Chains that cannot work are told from what processors declare: names, capabilities, link and order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics.celery_app import create_app
from tactics.checking import MOST_STEPS, chain_problems
from tactics.config import Settings
from tactics.domain.activity import Link
from tactics.domain.context import ItemContext, TacticsInstanceContext
from tactics.flows import register
from tactics.templates import TEMPLATES
from tests.plays import step_of

PROCESSORS = {
    step.name: step
    for step in (
        *(step for template in TEMPLATES for step in template.processors),
        *(step_of(f"do_{number}") for number in range(MOST_STEPS)),
    )
}
GRANT = ("check_event", "load_prepared", "check_rule", "query_asset", "send_benefit", "build_result")


def _found(
    names: Sequence[str], link: Link = "grant", context: type[TacticsInstanceContext] = ItemContext
) -> list[tuple[str, str]]:
    return [(one["path"], one["message"]) for one in chain_problems(link, context, names, PROCESSORS)]


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ((), ("", "it has no steps")),
        (("check_rule",), ("", "the last step must be finish_execution, which closes the execution")),
        (("check_rule", "check_rule", "finish_execution"), ("/1", "step 'check_rule' stands in it twice")),
        (("chek_rule", "finish_execution"), ("/0", "there is no step 'chek_rule' here: is its plugin loaded?")),
        (
            ("query_item", "finish_execution"),
            ("/0", "step 'query_item' needs ItemContext, which TacticsInstanceContext is not"),
        ),
        (
            ("save_prepared", "finish_execution"),
            ("/0", "step 'save_prepared' belongs into prepare chains, this is a grant chain"),
        ),
        (
            ("send_benefit", "check_rule", "finish_execution"),
            ("/0", "step 'send_benefit' must come after 'check_rule'"),
        ),
        (
            ("load_prepared", "check_event", "finish_execution"),
            ("/0", "step 'load_prepared' must come after 'check_event'"),
        ),
        (
            ("build_result", "send_benefit", "finish_execution"),
            ("/0", "step 'build_result' must come after 'send_benefit'"),
        ),
        (
            (*(f"do_{number}" for number in range(MOST_STEPS)), "finish_execution"),
            ("", f"{MOST_STEPS + 1} steps, at most {MOST_STEPS} are allowed"),
        ),
    ],
)
def test_what_keeps_a_chain_from_working_is_told_with_step_and_place(
    steps: Sequence[str], problem: tuple[str, str]
) -> None:
    """Each mistake is found, alone, at the step that it is about."""
    assert _found(steps, context=TacticsInstanceContext) == [problem]


def test_a_preparation_must_save_before_its_event_is_recorded() -> None:
    """What is not saved yet is not recorded as consumed, and what a preparation does is no part of a placement."""
    wrong = ("record_event", "save_prepared", "check_event", "finish_execution")
    assert _found(wrong, "prepare") == [
        ("/0", "step 'record_event' must come after 'save_prepared'"),
        ("/2", "step 'check_event' belongs into grant chains, this is a prepare chain"),
    ]


def test_every_problem_is_listed_at_once() -> None:
    """Whoever corrects a chain sees everything that is wrong with it."""
    found = _found(("send_benefit", "check_rule", "no_such", "save_prepared", "check_rule"))
    assert [path for path, _ in found] == ["", "/0", "/2", "/3", "/4"]


@given(st.permutations(GRANT), st.sets(st.sampled_from(GRANT)))
def test_an_order_is_allowed_where_nothing_stands_before_what_it_needs(order: list[str], kept: set[str]) -> None:
    """A chain of some of the steps is refused exactly where two of them stand the wrong way round."""
    steps = [name for name in order if name in kept]
    wrong = {
        (earlier, later)
        for position, earlier in enumerate(steps)
        for later in steps[position + 1 :]
        if later in PROCESSORS[earlier].after
    }
    messages = [message for _, message in _found([*steps, "finish_execution"])]
    assert sorted(messages) == sorted(f"step {one!r} must come after {other!r}" for one, other in wrong)


def test_declared_needs_name_steps_that_there_are() -> None:
    """A slip of the pen in `after` would declare nothing: every name that built-in steps give is a step's."""
    app = create_app(Settings())
    register(app)
    named = {(step.name, other) for step in app.processors.values() for other in step.after}
    assert named
    assert {other for _, other in named} <= set(app.processors)

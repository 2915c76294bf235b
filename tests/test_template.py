"""Templates: what cannot work is refused when it is declared, and channel codes choose the chain."""

from __future__ import annotations

from typing import Any

import pytest

from tactics.celery_app import create_app
from tactics.checking import MOST_STEPS
from tactics.config import Settings
from tactics.domain.context import ItemContext, TacticsInstanceContext
from tactics.errors import InvalidTemplate
from tactics.processor import InvalidProcessor, Processor, processor, register_processor
from tactics.processors.finish_execution import finish_execution
from tactics.processors.query_item import query_item
from tactics.processors.save_prepared import save_prepared
from tactics.run import Run
from tactics.template import TacticsTemplate, register_template


def _step(name: str, **options: Any) -> Processor[Any]:
    def body(ctx: TacticsInstanceContext, run: Run) -> None:
        ctx.notes.append(name)

    body.__name__ = name
    return processor(needs=options.pop("needs", TacticsInstanceContext), **options)(body)


def _template(**changes: Any) -> TacticsTemplate:
    base: dict[str, Any] = {
        "template_type": "t",
        "context": TacticsInstanceContext,
        "prepare": (save_prepared, finish_execution),
        "grant": (finish_execution,),
    }
    return TacticsTemplate(**{**base, **changes})


_OVERRIDDEN = frozenset({"a", "b"})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"grant": ()}, "grant chain: it has no steps"),
        ({"prepare": (query_item, finish_execution)}, "'query_item' needs ItemContext"),
        ({"prepare": (save_prepared,)}, "last step must be finish_execution"),
        ({"grant": (_step("do_it"), _step("do_it"), finish_execution)}, "'do_it' stands in it twice"),
        (
            {"grant": (*[_step(f"do_{n}") for n in range(MOST_STEPS)], finish_execution)},
            f"{MOST_STEPS + 1} steps, at most {MOST_STEPS}",
        ),
        ({"overrides": {("grant", _OVERRIDDEN): (query_item, finish_execution)}}, "'query_item' needs ItemContext"),
        (
            {
                "overrides": {
                    ("grant", _OVERRIDDEN): (finish_execution,),
                    ("grant", frozenset({"b", "c"})): (finish_execution,),
                }
            },
            r"two chains for \[\('grant', 'b'\)\]",
        ),
    ],
)
def test_chain_that_cannot_run_is_refused_when_declared(changes: dict[str, Any], text: str) -> None:
    """A wrong chain, also an overriding one, is refused with the template's name, the link and the step."""
    with pytest.raises(InvalidTemplate, match=text) as raised:
        _template(**changes)
    assert "template 't'" in raised.value.message


def test_longest_chain_is_allowed() -> None:
    """A chain of exactly so many steps as are allowed can be declared."""
    steps = (*[_step(f"do_{n}") for n in range(MOST_STEPS - 1)], finish_execution)
    assert len(_template(grant=steps).grant) == MOST_STEPS


def test_context_may_offer_more_than_steps_need() -> None:
    """A step that needs the base context runs on a richer one."""
    assert _template(context=ItemContext, prepare=(query_item, save_prepared, finish_execution)).context is ItemContext


def test_codes_share_a_chain_unless_overridden() -> None:
    """Every code of a link runs its chain; those named in an override run that one, on its link alone."""
    special = (_step("do_special"), finish_execution)
    template = _template(overrides={("grant", _OVERRIDDEN): special})
    assert [template.chain("grant", code) for code in ("a", "b", "c")] == [special, special, template.grant]
    assert template.chain("prepare", "a") == template.prepare
    assert {step.name for step in template.processors} == {"do_special", "save_prepared", "finish_execution"}


@pytest.mark.parametrize("name", ["query", "QueryItem", "query-item", "1_item", "_query_item"])
def test_processor_is_named_verb_noun(name: str) -> None:
    """A processor whose name is not verb_noun is refused, with an example."""
    with pytest.raises(InvalidProcessor, match="such as query_item"):
        _step(name)


def test_two_things_of_one_name_are_refused() -> None:
    """Two templates of a type, or two processors of a name, do not get along in one app; the same again is fine."""
    app = create_app(Settings())
    one = _template()
    register_template(app, one)
    register_template(app, one)
    with pytest.raises(InvalidTemplate, match="two templates are called 't'"):
        register_template(app, _template())
    register_processor(app, _step("do_it"))
    with pytest.raises(InvalidProcessor, match="two tasks are called 'do_it'"):
        register_processor(app, _step("do_it"))

    def other() -> None: ...

    app.task(name="tactics.do_other", shared=False)(other)
    with pytest.raises(InvalidProcessor, match="'do_other'"):
        register_processor(app, _step("do_other"))
    assert set(app.tasks) >= {"tactics.save_prepared", "tactics.finish_execution", "tactics.do_it"}


def test_options_of_its_own_isolate_a_step() -> None:
    """A step with its own queue or limits runs by a message of its own, and its task has them."""
    app = create_app(Settings())
    own: tuple[dict[str, Any], ...] = (
        {},
        {"queue": "slow"},
        {"time_limit_s": 5},
        {"time_limit_s": 1},
        {"rate_limit": "9/s"},
    )
    for number, options in enumerate(own):
        step = _step(f"do_{number}", **options)
        register_processor(app, step)
        task = app.tasks[f"tactics.do_{number}"]
        assert step.isolated is task.isolated is bool(options)
        assert task.rate_limit == options.get("rate_limit")
        assert task.time_limit == options.get("time_limit_s", app.conf.task_time_limit)
        assert task.soft_time_limit <= task.time_limit
    assert app.amqp.router.route({}, "tactics.do_1")["queue"].name == "slow"


def test_when_tells_whether_a_step_applies() -> None:
    """A step without `when` always applies; with it, its context decides."""

    class _Context:
        stopped = True

    assert _step("do_it").applies(_Context())
    assert not _step("do_it", when=lambda ctx: not ctx.stopped).applies(_Context())

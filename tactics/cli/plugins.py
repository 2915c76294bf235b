"""`tactics plugins`: what was loaded from where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from tactics.cli.output import Json, print_json

if TYPE_CHECKING:
    from tactics.plugin import Plugin
    from tactics.processor import Processor


def plugins(json: Json = False) -> None:
    """List the plugins: where each comes from, and what it declares. Exit 2 when one cannot be used, and why.

    They are found by their packages' entry points, and by TACTICS_PLUGINS; TACTICS_PLUGINS_OFF leaves some out.
    """
    from tactics.cli import attach
    from tactics.plugin import read_plugins

    settings = attach.from_environment()
    found = read_plugins(settings)
    if json:
        print_json([_plain(one) for one in found])
    else:
        for one in found:
            typer.echo("\n".join(_lines(one)))
        if not found:
            typer.echo(
                "no plugin is loaded: none is installed or named by TACTICS_PLUGINS, or TACTICS_PLUGINS_OFF leaves it out"
            )
    if any(one.problems for one in found):
        raise typer.Exit(2)
    if found and not json:
        from tactics.worker import make_app

        app = make_app(settings)  # whether they get along with the settings, only an app can tell
        typer.echo(f"a worker serves: {', '.join(app.served)}")


def _lines(one: Plugin) -> Iterator[str]:
    yield f"{one.name}  {one.origin}, module {one.module}{f' ({one.file})' if one.file else ''}"
    for template in one.templates:
        yield f"  template   {template.template_type}"
    for step in one.processors:
        yield f"  processor  {step.name}{_limits(step)}"
    for block in one.blocks:
        yield f"  block      {block.id}: {block.description}"
    for wording in one.wordings:
        yield f"  wording    {wording}"
    for problem in one.problems:
        yield f"  WRONG      {problem}"


def _limits(step: Processor[Any]) -> str:
    options, retry = step.options, step.retry
    parts = (
        ("queue {}", options.get("queue")),
        ("at most {} s", options.get("time_limit")),
        ("{}", options.get("rate_limit")),
        ("{} attempts", retry.max_attempts),
    )
    text = ", ".join(form.format(value) for form, value in parts if value is not None)
    return text and f": {text}"


def _plain(one: Plugin) -> dict[str, Any]:
    names = ("name", "module", "distribution", "version", "file", "wordings", "problems")
    return {
        **{name: getattr(one, name) for name in names},
        "templates": [template.template_type for template in one.templates],
        "processors": [
            {
                "name": step.name,
                "queue": step.options.get("queue"),
                "time_limit_s": step.options.get("time_limit"),
                "rate_limit": step.options.get("rate_limit"),
                "max_attempts": step.retry.max_attempts,
                "give_up_on": [error.__name__ for error in step.retry.give_up_on],
            }
            for step in one.processors
        ],
        "blocks": [block.id for block in one.blocks],
    }

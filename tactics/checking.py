"""What a chain must satisfy to be run, told from what its processors declare: for templates, and for stored chains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tactics.domain.activity import Link
from tactics.domain.context import TacticsInstanceContext
from tactics.run import Step

MOST_STEPS = 32
CLOSING = "finish_execution"


def chain_problems(
    link: Link, context: type[TacticsInstanceContext], names: Sequence[str], processors: Mapping[str, Step]
) -> list[dict[str, str]]:
    """Find everything that keeps a chain from running.

    Args:
        link: which journey runs it.
        context: what its steps would work on.
        names: of its steps, in order.
        processors: those there are, by name.

    Returns:
        Problems, each with the `path` (a JSON Pointer into the steps) and a `message` that names the step.
    """
    problems = [{"path": "", "message": message} for message in _as_a_whole(names)]
    for position, name in enumerate(names):
        messages = _of_step(link, context, names[:position], names[position + 1 :], name, processors)
        problems += [{"path": f"/{position}", "message": message} for message in messages]
    return problems


def _as_a_whole(names: Sequence[str]) -> Iterator[str]:
    if not names:
        yield "it has no steps"
        return
    if len(names) > MOST_STEPS:
        yield f"{len(names)} steps, at most {MOST_STEPS} are allowed"
    if names[-1] != CLOSING:
        yield f"the last step must be {CLOSING}, which closes the execution"


def _of_step(
    link: Link,
    context: type[TacticsInstanceContext],
    before: Sequence[str],
    behind: Sequence[str],
    name: str,
    processors: Mapping[str, Step],
) -> Iterator[str]:
    if name in before:
        yield f"step {name!r} stands in it twice"
    step = processors.get(name)
    if step is None:
        yield f"there is no step {name!r} here: is its plugin loaded?"
        return
    if not issubclass(context, step.needs):
        yield f"step {name!r} needs {step.needs.__name__}, which {context.__name__} is not"
    if step.link is not None and step.link != link:
        yield f"step {name!r} belongs into {step.link} chains, this is a {link} chain"
    for other in step.after:
        if other in behind and other not in before:
            yield f"step {name!r} must come after {other!r}"

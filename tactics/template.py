"""What a template is: a context type, and one chain of processors per link, with overrides for sets of channel codes.

A play is a template. The driver is the same for all of them; a new play needs a template and its processors, nothing
else. What cannot work is refused when the template is declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tactics.celery_app import TacticsApp
from tactics.checking import chain_problems
from tactics.domain.activity import Link
from tactics.domain.context import TacticsInstanceContext
from tactics.errors import InvalidTemplate
from tactics.processor import Processor, register_processor

Chain = Sequence[Processor[Any]]


@dataclass(frozen=True)
class TacticsTemplate:
    """One kind of play.

    Args:
        template_type: what activities name it by.
        context: the context type that its steps work on.
        prepare: the chain that behaviour events run.
        grant: the chain that placements run.
        lock: whether an instance is locked while its chain runs, where neither request nor activity decides.
        overrides: other chains for some channel codes: (link, set of codes) → chain.

    Raises:
        InvalidTemplate: a chain is empty or too long, names a step twice, does not close, or has a step that needs
            what the context lacks or stands where it cannot work.
    """

    template_type: str
    context: type[TacticsInstanceContext]
    prepare: Chain
    grant: Chain
    lock: bool = True
    overrides: Mapping[tuple[Link, frozenset[str]], Chain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every chain against the context."""
        check_chain(self.template_type, "prepare", self.context, self.prepare)
        check_chain(self.template_type, "grant", self.context, self.grant)
        seen: set[tuple[str, str]] = set()
        for (link, codes), chain in self.overrides.items():
            check_chain(self.template_type, link, self.context, chain)
            twice = seen & {(link, code) for code in codes}
            if twice:
                raise InvalidTemplate(f"template {self.template_type!r} has two chains for {sorted(twice)}")
            seen |= {(link, code) for code in codes}

    @property
    def context_type(self) -> type[TacticsInstanceContext]:
        """The type of the contexts that the driver builds for it."""
        return self.context

    def chain(self, link: Link, channel_code: str) -> Chain:
        """Give the chain of a link for a channel code, as the code has it; a stored chain may replace it."""
        found = self.override(link, channel_code)
        if found is not None:
            return found
        return self.prepare if link == "prepare" else self.grant

    def override(self, link: Link, channel_code: str) -> Chain | None:
        """Give the chain that this code alone has, if any."""
        for (of_link, codes), steps in self.overrides.items():
            if of_link == link and channel_code in codes:
                return steps
        return None

    @property
    def processors(self) -> list[Processor[Any]]:
        """Every processor of every chain."""
        chains = [self.prepare, self.grant, *self.overrides.values()]
        return list({id(step): step for chain in chains for step in chain}.values())


def check_chain(template_type: str, link: Link, context: type[TacticsInstanceContext], chain: Chain) -> None:
    """Check that a chain can run on a context.

    Raises:
        InvalidTemplate: naming the template, the link and every step that cannot work.
    """
    names = [step.name for step in chain]
    problems = chain_problems(link, context, names, {step.name: step for step in chain})
    if problems:
        text = "; ".join(problem["message"] for problem in problems)
        raise InvalidTemplate(f"template {template_type!r}, {link} chain: {text}", problems=problems)


def register_template(app: TacticsApp, template: TacticsTemplate) -> None:
    """Make a template known to an app, and its processors tasks.

    Raises:
        InvalidTemplate: another template has this type.
    """
    known = app.templates.get(template.template_type)
    if known is not None and known is not template:
        raise InvalidTemplate(f"two templates are called {template.template_type!r}: rename one")
    app.templates[template.template_type] = template
    for step in template.processors:
        register_processor(app, step)

"""A stored chain: the steps of a template's link, as operators write them down and edit them at run time."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from tactics.domain.activity import Code, Document, Link, validation_problems
from tactics.domain.plain import plain_problem
from tactics.errors import BadInput


def _named_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("name at least one code, or leave the key out for all codes")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(map(repr, twice))} stands in it twice")
    return names


Codes = Annotated[tuple[Code, ...], AfterValidator(_named_once)]


class ChainDocument(Document):
    """What an operator says of a chain; no `channel_codes` are all codes that no other stored chain names."""

    chain: Code
    template_type: Code
    link: Link
    channel_codes: Codes | None = None
    steps: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...]

    def to_json(self) -> dict[str, Any]:
        """Give the document as it could be imported again."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def claims(self) -> tuple[str | None, ...]:
        """The channel codes that it is for; None stands for all that are not named."""
        return self.channel_codes if self.channel_codes is not None else (None,)


def parse_chain(document: object) -> ChainDocument:
    """Read a chain's document; whether its steps can run, `tactics.checking` tells.

    Raises:
        BadInput: with every problem in `problems`, each with the `path` (a JSON Pointer) and a `message`.
    """
    if not isinstance(document, dict):
        raise BadInput("a chain is a mapping of the keys chain, template_type, link and steps", problems=[])
    unplain = plain_problem(document)
    try:
        if unplain is None:
            return ChainDocument.model_validate(document)
        problems = [unplain]
    except ValidationError as error:
        problems = validation_problems(error)
    raise refused(str(document.get("chain", "?")), problems)


def refused(name: str, problems: list[dict[str, str]]) -> BadInput:
    """Give the error that lists what is wrong with a chain."""
    lines = [f"{problem['path'] or '/'}: {problem['message']}" for problem in problems]
    text = " " + lines[0] if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
    return BadInput(f"chain {name!r}:{text}", chain=name, problems=problems)

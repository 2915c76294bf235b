"""Rules over facts that are still JSON text: with msgspec installed, only what the rule reads is made into objects.

msgspec checks types while it decodes, so that the lines are counted without a look at them. A rule that reads more than
its decoder can say, and facts that it refuses, go the way of all other facts. Source: msgspec, "Structs".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from types import new_class
from typing import Annotated, Any, TypeAlias, TypedDict

from tactics.rules import quick
from tactics.rules.evaluation import Decision
from tactics.rules.problem import RuleError
from tactics.rules.quick import Quick, Section
from tactics.rules.registry import Blocks
from tactics.rules.standard import is_standard
from tactics.rules.tree import Block
from tactics.rules.typed import TYPED

_HAS_MSGSPEC = find_spec("msgspec") is not None

DecideJson: TypeAlias = Callable[..., Decision]


def over_json(
    decide: Callable[..., Decision],
    typed: Callable[[], Callable[..., Decision]],
    asked: list[Block],
    blocks: Blocks,
) -> DecideJson:
    """A compiled rule's `decide` over JSON text: `decide_json(text, item_id=None)`.

    `typed` makes the rule's function for lines that were decoded for it. Raises RuleError for text that is not JSON;
    what the rule does not read is skipped, not read.
    """

    def plainly(text: bytes | str, item_id: str | None = None) -> Decision:
        try:
            facts = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise RuleError.of("", "json", f"the facts are not JSON: {error}") from None
        return decide(facts, item_id)

    decode = _decoder(asked, blocks)
    if decode is None:
        return plainly
    quickly = typed()

    def decide_json(text: bytes | str, item_id: str | None = None) -> Decision:
        try:
            return quickly(decode(text), item_id)
        except Exception:  # noqa: BLE001 -- the facts are not what was decoded for; the plain way judges any
            return plainly(text, item_id)

    return decide_json


def _decoder(asked: list[Block], blocks: Blocks) -> Callable[[bytes | str], Any] | None:
    """What decodes the facts that a rule of these blocks reads; None where that cannot be said beforehand."""
    sections: set[str] = set()
    keys: set[str] = set()
    measures: set[Any] = set()
    for block in asked:
        definition = blocks.get(block.block)
        if definition is None or definition.scenes or (definition.kind == "condition" and not is_standard(definition)):
            return None
        if definition.kind != "resource":
            continue
        if definition.per_item and not block.params:
            return None
        form = definition.quick
        if isinstance(form, Section):
            sections.add(form.name)
        elif isinstance(form, Quick) and (form.compute if block.params else form.whole) in TYPED:
            measures.add(form.compute if block.params else form.whole)
            keys.update(form.given if block.params else ())
        else:
            return None
    if not _HAS_MSGSPEC or len(keys) > 1:
        return None
    made: Callable[[bytes | str], Any] = _made(tuple(sorted(sections)), next(iter(keys), ""), *_fields(measures))
    return made


def _fields(measures: set[Any]) -> tuple[bool, bool, bool]:
    """Whether lines, prices and batches are read."""
    amounts = {quick.amount_where, quick.amount_of_all}
    return bool(measures), bool(measures & amounts), quick.no_batch_quantity_where in measures


@lru_cache(maxsize=256)
def _made(sections: tuple[str, ...], key: str, lines: bool, prices: bool, batches: bool) -> Any:
    """Make a decoder; one for all rules that read the same fields."""
    import msgspec

    number = Annotated[int, msgspec.Meta(ge=0, le=quick.LARGEST)]
    fields: list[Any] = [("quantity", number, 1)]
    fields += [("key", str | None, None)] if key else []
    fields += [("price_minor", number | None, None)] if prices else []
    fields += [("batch", str | None, None)] if batches else []
    line = msgspec.defstruct("Line", fields, rename={"key": key} if key else None, gc=False)
    order = msgspec.defstruct("Order", [("lines", list[line])], gc=False)  # type: ignore[valid-type]  # made just above
    parts: list[Any] = [(section, Any) for section in sections]
    parts += [("order", order)] if lines else []
    # A plain dictionary of what there is, which compiled rules look into as into any facts.
    facts = new_class("Facts", (TypedDict,), {"total": False}, lambda body: body.update(__annotations__=dict(parts)))
    return msgspec.json.Decoder(facts).decode

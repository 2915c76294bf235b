"""What the rules service is asked and what it answers. The answers stand here for OpenAPI: the engine makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from tactics.api.limits import MAX_RULES
from tactics.domain.plain import as_whole
from tactics.rules.value import show

# Rules and facts are the engine's to read: it says better what is wrong with them, and where.
RuleData = Annotated[Any, Field(description="a rule, as docs/reference/rules.md has it")]
FactsData = Annotated[
    dict[str, Any],
    Field(description="user, event, order, items, behaviours, placement, scene, now, timezone: all may be left out"),
]
Code = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_TEXT = {"type": ["string", "null"]}
_PIECES = {"type": "integer", "minimum": 0}
# What prices are worked out from; anything else about a line is for rules to look at.
_LINE = {
    "type": "object",
    "properties": {
        "price_minor": _PIECES,
        "quantity": {**_PIECES, "type": ["integer", "null"]},
        **dict.fromkeys(("item_id", "sku", "batch", "sales_channel"), _TEXT),
        "category": {"type": ["string", "array", "null"], "items": {"type": "string"}},
    },
    "required": ["price_minor"],
}
ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {"currency": _TEXT, "lines": {"type": "array", "items": _LINE}},
    "required": ["lines"],
}
WHOLE = BeforeValidator(as_whole)
"""JSON's integers: a strict reader would refuse 2.0, which is one of them."""
ItemId = Annotated[str | None, Field(description="the current item, where rules are evaluated per item")]
_SHOWN_KEYS = 3


class Asked(BaseModel):
    """What a body may be: read strictly, and with no keys but those that are known."""

    model_config = ConfigDict(strict=True, json_schema_extra={"additionalProperties": False})

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        # Forbidden extras would each be an error of their own, and there may be a hundred thousand.
        if isinstance(given, Mapping):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            strangers = [key for key in given if key not in known]
            if strangers:
                names = ", ".join(show(key) for key in strangers[:_SHOWN_KEYS])
                raise ValueError(f"{names} does not belong here; known: {', '.join(known)}")
        return given


class NamedRule(Asked):
    """One of many rules, with the caller's code for it."""

    code: Code
    rule: RuleData


class EvaluateRequest(Asked):
    """Facts, and either one `rule` or many `rules`."""

    model_config = ConfigDict(
        json_schema_extra={
            "additionalProperties": False,
            "oneOf": [
                {"required": ["rule"], "properties": {"rules": {"type": "null"}, "matched_only": {"const": False}}},
                {"required": ["rules"], "properties": {"rules": {"type": "array"}}, "not": {"required": ["rule"]}},
            ],
        }
    )

    rule: RuleData = None
    rules: Annotated[list[NamedRule], Field(min_length=1, max_length=MAX_RULES)] | None = None
    facts: FactsData
    item_id: ItemId = None
    explain: Annotated[bool, Field(description="add the tree: each node with its verdict and why")] = False
    matched_only: Annotated[bool, Field(description="of many rules, answer only those that match")] = False

    @model_validator(mode="after")
    def _one_or_many(self) -> EvaluateRequest:
        if ("rule" in self.model_fields_set) == (self.rules is not None):
            raise ValueError("exactly one of `rule` and `rules` is needed")
        if self.matched_only and self.rules is None:
            raise ValueError("`matched_only` is for many `rules`")
        return self


class CheckRequest(Asked):
    """A rule that is about to be saved."""

    rule: RuleData
    open_aliases: Annotated[bool, Field(description="allow parameters that are bound later, as tools have")] = False


class PriceRequest(Asked):
    """An order, and the rules that compete over its price."""

    order: Annotated[Any, Field(description="`{currency?, lines: […]}`", json_schema_extra=ORDER)]
    rules: Annotated[
        list[Any],
        Field(
            max_length=MAX_RULES,
            description="bare rules, or `{code?, rule, priority?, exclusive_group?}`",
            json_schema_extra={"items": {"type": "object"}},
        ),
    ]
    mode: Literal["stack", "best"] = "stack"
    facts: FactsData = Field(default_factory=dict)
    item_id: ItemId = None


class EffectAnswer(BaseModel):
    """An action that applies; `times` is how often it is given."""

    block: str
    params: dict[str, Any]
    times: int


class ReasonAnswer(BaseModel):
    """Why a rule does not hold, or is not known; `found` and `wanted` where there are any."""

    model_config = ConfigDict(extra="allow")

    path: str
    block: str | None
    code: str
    text: str


class NodeAnswer(BaseModel):
    """One node of the tree: its verdict (null: not known), its words, the values it saw, and the nodes below it."""

    model_config = ConfigDict(extra="allow")

    path: str
    node: str
    verdict: bool | None
    text: str
    children: list[NodeAnswer]


class EvaluateAnswer(BaseModel):
    """One rule's answer; `tree` with `explain`, null for a rule that is not well-formed."""

    status: Literal["matched", "not_matched", "unknown", "invalid", "null_rule"]
    matched: bool
    effects: list[EffectAnswer]
    reasons: list[ReasonAnswer]
    tree: NodeAnswer | None = None


class NamedAnswer(EvaluateAnswer):
    """One rule's answer, with its code."""

    code: str


class ManyAnswer(BaseModel):
    """The answers in the order of the rules, and how many rules have each status."""

    results: list[NamedAnswer]
    counts: dict[str, int]


class ProblemAnswer(BaseModel):
    """One thing that is wrong with a rule."""

    path: str
    severity: Literal["error", "warning"]
    code: str
    message: str


class CheckAnswer(BaseModel):
    """Whether a rule may be saved, and everything that is wrong with it or looks wrong."""

    ok: bool
    problems: list[ProblemAnswer]


class AppliedAnswer(BaseModel):
    """An effect of a rule, and what it took off."""

    rule: int
    code: str | None
    effect: EffectAnswer
    saved_minor: int


class LineAnswer(BaseModel):
    """One line's prices, in minor units."""

    line: int
    original_unit_price_minor: int
    unit_price_minor: int
    original_total_minor: int
    total_minor: int
    applied: list[AppliedAnswer]


class OutcomeAnswer(BaseModel):
    """What became of one rule."""

    rule: int
    code: str | None
    status: Literal["applied", "outdone", "no_effect", "not_matched", "unknown"]
    reasons: list[ReasonAnswer]


class PriceAnswer(BaseModel):
    """What the order costs, in minor units, and which rule took off how much."""

    original_total_minor: int
    total_minor: int
    order_discount_minor: int
    lines: list[LineAnswer]
    applied: list[AppliedAnswer]
    rules: list[OutcomeAnswer]


class CatalogueBlock(BaseModel):
    """One block: what it is, what it takes (a JSON Schema), what it gives."""

    id: str
    kind: Literal["resource", "condition", "action"]
    name: str
    description: str
    words: Annotated[str, Field(description="for one line of text, with `{parameter}` in it")]
    params: dict[str, Any]
    gives: str | None = None
    unit: str | None = None
    scenes: Annotated[list[str] | None, Field(description="where it computes differently")] = None


class CatalogueAnswer(BaseModel):
    """Every block there is, plugins' too."""

    language: str
    blocks: list[CatalogueBlock]

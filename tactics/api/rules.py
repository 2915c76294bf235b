"""`/v1/rules/…`: evaluate, check and price rules, and list the blocks. Without activities, database or Redis."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, cast

from fastapi import APIRouter, Body, Header, Query, Response

from tactics import rules
from tactics.api import examples
from tactics.api.body import StrictRoute
from tactics.api.etag import TAGS
from tactics.api.kept import KeptRules
from tactics.api.language import WELL_FORMED, match, preferred, ranges_of
from tactics.api.limits import MAX_LOOKS, MAX_PRICE_LOOKS, PRICE_READING, looks
from tactics.api.problems import Refused, described
from tactics.api.schemas import (
    CatalogueAnswer,
    CheckAnswer,
    CheckRequest,
    EvaluateAnswer,
    EvaluateRequest,
    ManyAnswer,
    PriceAnswer,
    PriceRequest,
)

router = APIRouter(prefix="/v1/rules", tags=["rules"], route_class=StrictRoute)

_OF_BODY = described(400, 408, 413, 415, 422)
_KEPT = KeptRules()


def _known_languages(schema: dict[str, Any]) -> None:
    """Say which there are when OpenAPI is asked for: plugins are loaded by then."""
    schema["pattern"] = ranges_of(rules.default_registry.languages)


# Plain functions: FastAPI runs them in threads, and the event loop goes on meanwhile.
@router.post("/evaluate", responses={**examples.answered(examples.EVALUATE, EvaluateAnswer | ManyAnswer), **_OF_BODY})
def evaluate(
    asked: Annotated[EvaluateRequest, Body(openapi_examples=examples.asked(examples.EVALUATE))],
) -> Response:
    """Evaluate one rule or many over facts: what matches, what it gives, and why not.

    `now` is the clock's where the facts have none. Of many rules, one that is not well-formed is `invalid` on its own.
    """
    given = [asked.rule] if asked.rules is None else [one.rule for one in asked.rules]
    _refuse_too_much(looks(given, asked.facts), MAX_LOOKS)
    facts = _with_now(asked.facts)
    if asked.rules is None:
        return _json(_evaluated(_KEPT.find(asked.rule), facts, asked))
    results, counts = [], Counter[str]()
    for one in asked.rules:
        rule = _KEPT.find(one.rule)
        if asked.matched_only and (status := _decided(rule, facts, asked.item_id)) != "matched":
            counts[status] += 1
            continue
        answer = _evaluated(rule, facts, asked)
        counts[answer["status"]] += 1
        results.append({"code": one.code, **answer})
    return _json({"results": results, "counts": counts})


@router.post("/check", responses={**examples.answered(examples.CHECK, CheckAnswer), **_OF_BODY})
def check(asked: Annotated[CheckRequest, Body(openapi_examples=examples.asked(examples.CHECK))]) -> Response:
    """Say everything that is wrong with a rule, before it is saved; 200 whatever it is."""
    return _json(rules.check(asked.rule, asked.open_aliases))


@router.post("/price", responses={**examples.answered(examples.PRICE, PriceAnswer), **_OF_BODY})
def price(asked: Annotated[PriceRequest, Body(openapi_examples=examples.asked(examples.PRICE))]) -> Response:
    """Work out what an order costs under rules. Rules or an order that are not well-formed are a 422 with their paths."""
    _refuse_too_much(looks(asked.rules, [asked.order, asked.facts], PRICE_READING), MAX_PRICE_LOOKS)
    try:
        listed = [_priced(entry) for entry in asked.rules]
        answer = rules.price(asked.order, listed, asked.mode, _with_now(asked.facts), item_id=asked.item_id)
    except rules.RuleError as error:
        problems = [problem.to_json() for problem in error.problems]
        detail = f"{problems[0]['path']}: {problems[0]['message']}"
        raise Refused(422, "rule_error", detail, problems) from None
    return _json(answer)


@router.get(
    "/blocks",
    responses={200: {"model": CatalogueAnswer}, 304: {"description": "the caller has it already"}, **described(422)},
)
def blocks(
    language: Annotated[
        str | None,
        Query(
            pattern=WELL_FORMED,
            description="en, zh, or another that a plugin has words in",
            examples=["zh"],
            json_schema_extra=_known_languages,
        ),
    ] = None,
    accept_language: Annotated[str, Header(description="counts where `language` is left out")] = "",
    if_none_match: Annotated[str, Header(pattern=TAGS, description="the ETag of what the caller has")] = "",
) -> Response:
    """List the blocks that rules are built from: words, and a JSON Schema of the parameters."""
    known = rules.default_registry.languages
    chosen = preferred(accept_language, known) if language is None else match(language, known)
    if chosen is None:
        raise Refused(422, "form", f"language is one of {', '.join(known)}")
    body = _bytes({"language": chosen, "blocks": rules.default_registry.catalogue(chosen)})
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Content-Language": chosen, "Vary": "Accept-Language", "Cache-Control": "no-cache"}
    held = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    if tag in held or "*" in held:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _evaluated(rule: Any, facts: Mapping[str, Any], asked: EvaluateRequest) -> dict[str, Any]:
    evaluated = rules.explain if asked.explain else rules.calculate
    return evaluated(rule, facts, item_id=asked.item_id).to_json()


def _decided(rule: Any, facts: Mapping[str, Any], item_id: str | None) -> str:
    """The status alone: of many rules few match, and why the others do not is not asked."""
    if isinstance(rule, rules.Node):
        with suppress(rules.RuleError):
            return rules.compile_rule(cast("rules.Rule", rule)).decide(facts, item_id).status
    return rules.calculate(rule, facts, item_id=item_id).status


def _priced(entry: Any) -> Any:
    if isinstance(entry, Mapping) and "rule" in entry:
        return {**entry, "rule": _KEPT.find(entry["rule"])}
    return _KEPT.find(entry)


def _with_now(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return facts if "now" in facts else {**facts, "now": datetime.now(UTC).isoformat()}


def _refuse_too_much(found: int, most: int) -> None:
    if found > most:
        detail = f"blocks of the rules times records of the facts are {found}, at most {most}: send less at once"
        raise Refused(422, "too_much_work", detail)


def _json(answer: object) -> Response:
    return Response(_bytes(answer), media_type="application/json")


def _bytes(answer: object) -> bytes:
    try:
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair came in, escaped, and has no UTF-8: it goes out as it came.
        return json.dumps(answer, separators=(",", ":"), allow_nan=False).encode()

"""`/v1/rules/…` answers what the engine answers, in the forms that its OpenAPI shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from tactics import rules
from tactics.api import examples, schemas
from tactics.rules import so
from tactics.rules.words import BlockWords

FACTS: dict[str, Any] = {"order": {"lines": [{"item_id": "7", "quantity": 2, "price_minor": 300}]}, "user": {"id": 5}}
COUPON = so(rules.amount_at_least(rules.order_amount(), 500), rules.send_coupon("c"))
TOO_MUCH = so(rules.amount_at_least(rules.order_amount(), 700), rules.send_coupon("d"))
UNKNOWN = rules.equals(rules.user_attribute("level"), "gold")
BAD: dict[str, Any] = {"block": "acme.condition.gone"}


def data(rule: Any) -> Any:
    return rules.to_json(rule)


def asked(service: TestClient, route: str, **body: Any) -> Any:
    """What a route answers to a body that it takes."""
    answer = service.post(f"/v1/rules/{route}", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


EXCHANGES = [
    pytest.param(route, model, *exchange, id=f"{route} {name}")
    for route, model, exchanges in (
        ("evaluate", schemas.EvaluateAnswer, examples.EVALUATE),
        ("check", schemas.CheckAnswer, examples.CHECK),
        ("price", schemas.PriceAnswer, examples.PRICE),
    )
    for name, exchange in exchanges.items()
]


@pytest.mark.parametrize(("route", "model", "sent", "answered"), EXCHANGES)
def test_the_examples_of_openapi_are_true(
    service: TestClient, route: str, model: type[BaseModel], sent: Mapping[str, Any], answered: Mapping[str, Any]
) -> None:
    """Each request that OpenAPI shows is answered as it shows, in the form that it promises."""
    found = asked(service, route, **sent)
    assert found == answered
    if "results" in found:
        model = schemas.ManyAnswer
    assert model.model_validate(found).model_dump(exclude_unset=True) == found


def test_openapi_has_examples_and_problems_of_every_route(service: TestClient) -> None:
    """Each body and each answer has examples that fit their schemas, each route its problems, and nothing is loaded from elsewhere."""
    document = service.get("/openapi.json").json()
    routes = {path: one for path, methods in document["paths"].items() for one in methods.values()}
    assert set(routes) == {f"/v1/rules/{name}" for name in ("evaluate", "check", "price", "blocks")} | {"/healthz"}
    for route in ("evaluate", "check", "price"):
        described = routes[f"/v1/rules/{route}"]
        assert set(described["responses"]) == {"200", "400", "408", "413", "415", "422"}
        for part in (described["requestBody"], described["responses"]["200"]):
            content = part["content"]["application/json"]
            validator = Draft202012Validator({**content["schema"], "components": document["components"]})
            assert content["examples"]
            for example in content["examples"].values():
                validator.validate(example["value"])
        for status in ("400", "413", "415", "422"):
            content = described["responses"][status]["content"]["application/problem+json"]
            Draft202012Validator(content["schema"]).validate(content["example"])
    for page in ("/docs", "/redoc"):
        assert service.get(page).status_code == 404


def test_many_rules_are_answered_in_order(service: TestClient) -> None:
    """Each rule has the answer it has alone, with its code; one that is no rule is `invalid` and harms no other."""
    given = [("a", data(COUPON)), ("b", BAD), ("c", data(UNKNOWN)), ("d", data(TOO_MUCH)), ("e", None), ("a", 5)]
    found = asked(service, "evaluate", rules=[{"code": code, "rule": rule} for code, rule in given], facts=FACTS)
    assert found["results"] == [{"code": code, **rules.calculate(rule, FACTS).to_json()} for code, rule in given]
    assert [one["status"] for one in found["results"]] == [
        "matched",
        "invalid",
        "unknown",
        "not_matched",
        "null_rule",
        "invalid",
    ]
    assert found["counts"] == {"matched": 1, "invalid": 2, "unknown": 1, "not_matched": 1, "null_rule": 1}


def test_only_those_that_match_are_answered_on_request(service: TestClient) -> None:
    """With `matched_only` the others are left out, and counted; those that match are answered as they are without it."""
    ladder = rules.tiers(COUPON, TOO_MUCH)
    open_rule = data(rules.exists(rules.Alias("x")))
    listed = [data(TOO_MUCH), data(COUPON), BAD, data(UNKNOWN), data(ladder), None, open_rule, data(rules.now()), 5]
    given = [{"code": str(index), "rule": rule} for index, rule in enumerate(listed)]
    for explain in (False, True):
        everything = asked(service, "evaluate", rules=given, facts=FACTS, explain=explain)
        found = asked(service, "evaluate", rules=given, facts=FACTS, explain=explain, matched_only=True)
        assert found["results"] == [one for one in everything["results"] if one["matched"]]
        assert [one["code"] for one in found["results"]] == ["1", "4"]
        assert found["counts"] == everything["counts"]


@pytest.mark.parametrize("rule", [COUPON, TOO_MUCH, UNKNOWN])
def test_explain_adds_the_tree(service: TestClient, rule: Any) -> None:
    """With `explain` one rule and each of many have the tree that the engine draws; without, none has one."""
    wanted = rules.explain(rule, FACTS).to_json()
    assert asked(service, "evaluate", rule=data(rule), facts=FACTS, explain=True) == wanted
    many = asked(service, "evaluate", rules=[{"code": "x", "rule": data(rule)}], facts=FACTS, explain=True)
    assert many["results"] == [{"code": "x", **wanted}]
    assert "tree" not in asked(service, "evaluate", rule=data(rule), facts=FACTS)


def test_a_rule_that_is_none_is_an_answer(service: TestClient) -> None:
    """`invalid` and `null_rule` are statuses, not failures of the request."""
    for rule, status in ((None, "null_rule"), (BAD, "invalid"), ([], "invalid"), ("text", "invalid")):
        found = asked(service, "evaluate", rule=rule, facts={}, explain=True)
        assert (found["status"], found["matched"], found["tree"]) == (status, False, None)


def test_the_clock_fills_now_in_unless_facts_have_it(service: TestClient) -> None:
    """A rule over the time sees the time of the request; a given `now`, also null, stays."""
    before = datetime.now(UTC)
    recent = data(rules.within(rules.now(), before.isoformat()))
    for given, status in (
        ({}, "matched"),
        ({"now": None}, "unknown"),
        ({"now": "2020-01-01T00:00:00Z"}, "not_matched"),
    ):
        assert asked(service, "evaluate", rule=recent, facts=given)["status"] == status
    off = {"so": {"when": recent, "then": [{"block": "pbb.action.order_amount_off", "params": {"amount_minor": 1}}]}}
    priced = asked(service, "price", order=FACTS["order"], rules=[off])
    assert (priced["total_minor"], priced["rules"][0]["status"]) == (599, "applied")


def test_the_current_item_counts(service: TestClient) -> None:
    """`item_id` is the item that blocks mean when they name none, in evaluating and in pricing."""
    price = so(rules.item_amount_off(amount_minor=10))
    found = asked(service, "evaluate", rule=data(price), facts=FACTS, item_id="7")
    assert found["effects"][0]["params"] == {"amount_minor": 10, "item_id": "7"}
    for item, total in (("7", 580), ("8", 600), (None, 580)):
        body = {"order": FACTS["order"], "rules": [data(price)], **({} if item is None else {"item_id": item})}
        assert asked(service, "price", **body)["total_minor"] == total


def test_check_answers_what_the_engine_finds(service: TestClient) -> None:
    """Problems are an answer of 200; open parameters are problems unless they are allowed."""
    tool = data(rules.exists(rules.Alias("x")))
    for rule in (data(COUPON), BAD, None, [1], tool):
        assert asked(service, "check", rule=rule) == rules.check(rule)
    assert asked(service, "check", rule=tool, open_aliases=True) == {"ok": True, "problems": []}


def test_price_answers_what_the_engine_finds(service: TestClient) -> None:
    """Mode and other facts reach the engine."""
    gold = so(UNKNOWN, rules.order_percent_off(percent=50))
    listed = [data(so(rules.order_amount_off(amount_minor=100))), {"code": "gold", "rule": data(gold)}]
    facts = {"user": {"level": "gold"}}
    for mode in ("stack", "best"):
        found = asked(service, "price", order=FACTS["order"], rules=listed, mode=mode, facts=facts)
        wanted = rules.price(FACTS["order"], listed, mode, facts)
        assert found == wanted
    assert asked(service, "price", order=FACTS["order"], rules=[])["total_minor"] == 600


@pytest.mark.parametrize(
    ("order", "listed", "path"),
    [
        ({"lines": [{"price_minor": 1.5}]}, [], "/order/lines/0/price_minor"),
        (None, [], "/order"),
        ({"lines": []}, [{"code": "x", "rule": {"so": {"then": []}}}], "/rules/0/rule/so/then"),
        ({"lines": []}, [3], "/rules/0"),
    ],
)
def test_what_cannot_be_priced_is_a_problem_with_its_path(
    service: TestClient, order: Any, listed: Any, path: str
) -> None:
    """A rule or an order that is not well-formed answers 422, with everything that is wrong and where."""
    answer = service.post("/v1/rules/price", json={"order": order, "rules": listed})
    found = answer.json()
    assert (answer.status_code, found["code"], found["problems"][0]["path"]) == (422, "rule_error", path)
    with pytest.raises(rules.RuleError) as error:
        rules.price(order, listed)
    assert found["problems"] == [problem.to_json() for problem in error.value.problems]


def test_blocks_speak_the_language_that_is_asked_for(service: TestClient) -> None:
    """By name, else by what the caller's browser prefers, else English; a language by name that nobody has is refused."""
    for query, header, language in (
        ("?language=zh", "en", "zh"),
        ("?language=zh-CN", "", "zh"),
        ("?language=en", "zh", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "fr, en;q=0.2, zh;q=0.7", "zh"),
        ("", "zh;q=0, *;q=0.5", "en"),
        ("", "zh;q=0", "en"),
        ("", "fr", "en"),
        ("", "", "en"),
        ("", ";;;q=,,=", "en"),
    ):
        answer = service.get(f"/v1/rules/blocks{query}", headers={"Accept-Language": header})
        assert answer.json() == {"language": language, "blocks": rules.default_registry.catalogue(language)}
        assert (answer.headers["content-language"], answer.headers["vary"]) == (language, "Accept-Language")
        schemas.CatalogueAnswer.model_validate(answer.json())
    unknown = service.get("/v1/rules/blocks?language=fr")
    assert (unknown.status_code, unknown.json()["detail"]) == (422, "language is one of en, zh")


def test_blocks_that_the_caller_has_are_not_sent_again(service: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ETag holds until a word changes, and differs by language."""
    english = service.get("/v1/rules/blocks")
    tag = english.headers["etag"]
    for held in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = service.get("/v1/rules/blocks", headers={"If-None-Match": held})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for url, held in (("/v1/rules/blocks?language=zh", tag), ("/v1/rules/blocks", '"other"')):
        assert service.get(url, headers={"If-None-Match": held}).status_code == 200
    monkeypatch.setattr(rules.default_registry, "_words", {"zh": {"pbb.resource.now": BlockWords("钟", "几点", "钟")}})
    changed = service.get("/v1/rules/blocks?language=zh", headers={"If-None-Match": tag})
    assert json.loads(changed.content)["blocks"] != english.json()["blocks"]

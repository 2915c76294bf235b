"""Shoppers' codes by HTTP: validated without a change, redeemed by one order, released when it is cancelled."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tactics import rules
from tests.driving import Drive
from tests.http.conftest import Client
from tests.http.giving import audited, give, giving, problem, running

CART = {"currency": "USD", "lines": [{"price_minor": 200, "quantity": 2}]}


def _post(api: Client, code: str, verb: str, **body: Any) -> Any:
    return api.post(f"/v1/codes/{code}/{verb}", json=body)


def _validity(api: Client, code: str, **body: Any) -> tuple[Any, ...]:
    answer = _post(api, code, "validate", **body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    status = found["asset"] and found["asset"]["status"]
    return found["valid"], found["reason"], status, found["takes_off_minor"]


def _reason(answer: Any) -> str:
    assert problem(answer) == (409, "conflict"), answer.text
    return str(answer.json()["reason"])


def test_validating_tells_why_not_and_changes_nothing(
    api: Client, live: Drive, api_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A code is valid until it is used, due or revoked, for its own user and currency; it never takes off more than all."""
    caplog.set_level(logging.DEBUG)
    live.load(running())
    asset = give(live, "u-77")
    code = asset["code"]
    assert api.post(f"/v1/codes/{code}/validate").json()["valid"] is True
    large = {"lines": [{"price_minor": 900}]}
    assert _validity(api, code, user_id="u-77", activity="tea", order=CART) == (True, None, "available", 400)
    assert _validity(api, code, order=large) == (True, None, "available", 500)
    assert _validity(api, code, user_id="2") == (False, "other_user", None, None)
    assert _validity(api, code, order={**CART, "currency": "EUR"}) == (False, "other_currency", "available", None)
    assert problem(_post(api, code, "validate", order={"lines": 7})) == (422, "rule_error")
    assert live.value("SELECT count(*) FROM asset WHERE changed_at IS NOT NULL") == 0
    for unknown in ({"code": "7KQ2M9XWTR4B"}, {"code": code, "activity": "other"}, {"code": code[::-1]}):
        for verb in ("validate", "redeem", "release"):
            body = {key: value for key, value in unknown.items() if key != "code"}
            answer = _post(api, unknown["code"], verb, **body)
            assert (problem(answer), answer.json()["detail"]) == (
                (404, "unknown_code"),
                "nobody holds a benefit with this code; codes are case-sensitive",
            )
    assert problem(_post(api, "a%00b", "validate")) == (422, "form")
    _post(api, code, "redeem")
    assert _validity(api, code, order=CART) == (False, "redeemed", "redeemed", None)
    _post(api, code, "release")
    live.run("UPDATE asset SET valid_until = now()")
    assert _validity(api, code) == (False, "expired", "expired", None)
    assert _reason(_post(api, code, "redeem")) == "expired"
    live.run("UPDATE asset SET status = 'revoked'")
    assert _validity(api, code) == (False, "revoked", "revoked", None)
    assert _reason(_post(api, code, "redeem", reference="o1")) == "revoked"
    live.run("ALTER TABLE asset RENAME COLUMN details TO gone")
    broken = api_of(live, raise_server_exceptions=False)
    assert problem(broken.post(f"/v1/codes/{code}/validate", json={"user_id": "u-77"})) == (500, "internal")
    logged = "\n".join(one.getMessage() for one in caplog.records if one.name != "httpx")  # the test's own client
    assert "/v1/codes/{code}/validate" in logged
    assert code not in logged
    assert "u-77" not in logged


def test_a_code_is_redeemed_for_one_order(api: Client, live: Drive) -> None:
    """The same order is told the same again; any other, one that says no order, or another's user, is refused."""
    live.load(running())
    code = give(live, "1")["code"]
    assert _reason(_post(api, code, "redeem", user_id="2", reference="o1")) == "other_user"
    assert _reason(_post(api, code, "redeem", order={**CART, "currency": "EUR"})) == "other_currency"
    first = _post(api, code, "redeem", user_id="1", order=CART, reference="o1")
    assert (first.status_code, first.json()["reference"]) == (200, "o1")
    assert _post(api, code, "redeem", reference="o1").json() == first.json()
    for body in ({}, {"reference": "o2"}, {"user_id": "1"}):
        assert _reason(_post(api, code, "redeem", **body)) == "redeemed"
    assert _reason(_post(api, code, "release", reference="o2")) == "other_order"
    assert _reason(_post(api, code, "release", user_id="2")) == "other_user"
    for _ in range(2):
        assert _post(api, code, "release", reference="o1").json()["status"] == "available"
    assert _post(api, code, "redeem").json()["reference"] is None
    assert _reason(_post(api, code, "redeem")) == "redeemed"
    assert audited(live) == []


def test_of_many_orders_at_once_one_redeems_a_code(api: Client, live: Drive) -> None:
    """However many checkouts redeem a code in the same moment, exactly one is told that it has it."""
    live.load(running())
    code = give(live, "1")["code"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: _post(api, code, "redeem", reference=f"o{number}"), range(24)))
    (winner,) = [answer.json()["reference"] for answer in answers if answer.status_code == 200]
    assert {_reason(answer) for answer in answers if answer.status_code != 200} == {"redeemed"}
    assert live.rows("SELECT status, reference FROM asset") == [("redeemed", winner)]


def test_a_code_that_many_have_is_narrowed(api: Client, live: Drive) -> None:
    """One code of two activities, or of all users, is ambiguous until it is said whose and of which; then it is theirs."""
    coupon = {"kind": "coupon", "value_minor": 500, "code": "SPRING"}
    pool = {"kind": "coupon", "value_minor": 500, "codes": ["SPRING", "S2"]}
    live.load(running(benefits={"c18": coupon}), running("tee", benefits={"c18": pool}))
    give(live, "1", "tee")
    assert _validity(api, "SPRING")[0] is True
    give(live, "1")
    for verb in ("validate", "redeem", "release"):
        answer = _post(api, "SPRING", verb, user_id="1")
        assert problem(answer) == (409, "ambiguous_code")
        assert "activity" in answer.json()["detail"]
    assert _post(api, "SPRING", "redeem", user_id="1", activity="tee").json()["activity"] == "tee"
    give(live, "2")
    answer = _post(api, "SPRING", "validate", activity="tea")
    assert (problem(answer), "user_id" in answer.json()["detail"]) == ((409, "ambiguous_code"), True)
    assert _validity(api, "SPRING", activity="tea", user_id="2")[0] is True
    assert _validity(api, "SPRING", activity="tea", user_id="3")[1] == "other_user"
    assert _post(api, "SPRING", "redeem", activity="tea", user_id="2").json()["status"] == "redeemed"
    assert live.rows("SELECT user_id, activity_code FROM asset WHERE status = 'redeemed' ORDER BY 1") == [
        ("1", "tee"),
        ("2", "tea"),
    ]


def test_of_two_coupons_with_one_code_each_order_gets_its_own(api: Client, live: Drive) -> None:
    """A user with the same code twice can use it twice, each for one order, also when both orders come at once."""
    twice = giving(rules.send_coupon("c18"), rules.send_coupon("c18"))
    live.load(running(rule=twice, benefits={"c18": {"kind": "coupon", "value_minor": 500, "code": "SPRING"}}))
    give(live, "1")
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda order: _post(api, "SPRING", "redeem", reference=order), ("o1", "o2")))
    assert [answer.json()["reference"] for answer in answers] == ["o1", "o2"]
    assert _reason(_post(api, "SPRING", "redeem", reference="o3")) == "redeemed"
    unclear = _post(api, "SPRING", "release")
    assert (problem(unclear), "reference" in unclear.json()["detail"]) == ((409, "ambiguous_code"), True)
    for _ in range(2):
        released = _post(api, "SPRING", "release", reference="o2").json()
        assert (released["status"], released["reference"]) == ("available", None)
    # The first order asks again while another coupon with its code is usable: it still has its own alone.
    assert _post(api, "SPRING", "redeem", reference="o1").json()["reference"] == "o1"
    assert live.rows("SELECT status, reference FROM asset ORDER BY 2") == [("redeemed", "o1"), ("available", None)]
    assert audited(live) == []


def test_codes_are_found_along_their_index(live: Drive) -> None:
    """Looking a code up reads the index of codes, however many assets there are."""
    with live.runtime.engine.connect() as conn:
        conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = conn.exec_driver_sql(
            "EXPLAIN SELECT user_id FROM asset WHERE (asset.details ->> 'code') = 'x' AND user_id = 'y' LIMIT 1"
        )
        lines = "\n".join(row[0] for row in plan)
    assert "_expr_" in lines, lines

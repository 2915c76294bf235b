"""Stock by HTTP: added and taken back while grants run, each movement once, and the audit adds up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tactics.domain.api_key import NewApiKey
from tactics.flows import api_key
from tests.driving import Drive
from tests.http.conftest import Client
from tests.http.giving import audited, give, problem, running

AT = "/v1/activities/tea/benefits"


def _move(api: Client, delta: int, *, benefit: str = "c18", **body: Any) -> Any:
    return api.post(f"{AT}/{benefit}/movements", json={"delta": delta, "reason": "top up", **body})


def _stock(api: Client, benefit: str = "c18") -> tuple[Any, ...]:
    listed = {one["benefit"]: one for one in api.get(AT).json()["benefits"]}
    found = listed[benefit]
    return tuple(found[name] for name in ("declared", "added", "taken", "remaining"))


def test_stock_is_added_and_taken_back_on_top_of_the_document(api: Client, live: Drive) -> None:
    """Movements change what is left at once, never below nothing, and a later document leaves them alone."""
    live.load(running())
    give(live, "1")
    assert _stock(api) == (10, 0, 1, 9)
    moved = _move(api, 5).json()
    assert (moved["delta"], moved["remaining"], moved["actor"], moved["id"]) == (5, 14, "local", None)
    assert _stock(api) == (10, 5, 1, 14)
    assert _move(api, -14).json()["remaining"] == 0
    refused = _move(api, -1)
    assert problem(refused) == (409, "conflict")
    assert (refused.json()["remaining"], refused.json()["least"]) == (0, 0)
    assert live.visit("2", "tea").not_shown[0]["reason"] == "sold_out"
    _move(api, 1)
    live.load(running(benefits={"c18": {"kind": "coupon", "value_minor": 500, "stock": 12}}))
    assert _stock(api) == (12, -8, 1, 3)
    assert audited(live) == []
    pages: list[Any] = []
    cursor = None
    while len(pages) < 9:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        answer = api.get(f"{AT}/c18/movements", params=params).json()
        pages += answer["movements"]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert [(one["delta"], one["reason"], one["actor"]) for one in pages] == [
        (2, "import", None),
        (1, "top up", "local"),
        (-14, "top up", "local"),
        (5, "top up", "local"),
    ]


def test_a_movement_with_an_id_is_made_once(api: Client, live: Drive) -> None:
    """The same id and movement again is the same, from many threads too; another movement under it is refused."""
    live.load(running())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: _move(api, 5, id="t1"), range(16)))
    assert {(answer.status_code, answer.json()["movement_id"]) for answer in answers} == {
        (200, answers[0].json()["movement_id"])
    }
    assert _stock(api) == (10, 5, 0, 15)
    for other in ({"delta": 6}, {"delta": 5, "reason": "else"}):
        body = {"reason": "top up", "id": "t1", **other}
        assert problem(api.post(f"{AT}/c18/movements", json=body)) == (422, "idempotency_conflict")
    assert _stock(api) == (10, 5, 0, 15)


def test_what_cannot_be_moved_is_refused(api: Client, live: Drive) -> None:
    """An unlimited benefit, one that is not there, nothing, the documents' reason, and more than a pool has codes."""
    benefits = {
        "c18": {"kind": "coupon", "value_minor": 5},
        "pool": {"kind": "coupon", "value_minor": 5, "codes": ["A", "B"]},
    }
    live.load(running(benefits=benefits, rule={"so": {"then": [_send("pool")]}}))
    assert problem(_move(api, 1)) == (409, "conflict")
    assert _stock(api) == (None, 0, None, None)
    assert problem(_move(api, 1, benefit="c19")) == (404, "not_found")
    assert problem(api.get(f"{AT}/c19/movements")) == (404, "not_found")
    assert problem(api.get("/v1/activities/tee/benefits")) == (404, "not_found")
    wrong = api.post(f"{AT}/pool/movements", json={"delta": 0, "reason": "import"})
    assert (problem(wrong), {one["path"] for one in wrong.json()["problems"]}) == (
        (422, "bad_input"),
        {"/delta", "/reason"},
    )
    assert problem(_move(api, 2**53 + 1, benefit="pool")) == (422, "form")
    full = _move(api, 1, benefit="pool")
    assert (problem(full), full.json()["codes_left"]) == ((409, "conflict"), 2)
    assert _move(api, -1, benefit="pool").json()["remaining"] == 1
    give(live, "1")
    assert problem(_move(api, 2, benefit="pool")) == (409, "conflict")
    assert _move(api, 1, benefit="pool").json()["remaining"] == 1
    (found,) = [one for one in api.get(AT).json()["benefits"] if one["benefit"] == "pool"]
    assert (found["codes"], found["codes_left"], found["kind"]) == (2, 1, "coupon")
    assert audited(live) == []


def test_stock_moves_while_grants_run(api: Client, live: Drive) -> None:
    """Grants, top-ups and take-backs at the same moment: never more is given than there was, and the audit adds up."""
    live.load(running(benefits={"c18": {"kind": "coupon", "value_minor": 500, "stock": 3}}))
    begin = threading.Barrier(4)

    def visit(half: int) -> int:
        begin.wait()
        outcomes = [live.visit(f"{half}-{number}", "tea") for number in range(8)]
        return sum(bool(answer.results) for answer in outcomes)

    def move(delta: int) -> int:
        begin.wait()
        return sum(delta for _ in range(6) if _move(api, delta).status_code == 200)

    with ThreadPoolExecutor(4) as pool:
        given = [pool.submit(visit, half) for half in range(2)]
        moved = [pool.submit(move, delta) for delta in (2, -1)]
    granted, added = (sum(one.result() for one in part) for part in (given, moved))
    assert _stock(api) == (3, added, granted, 3 + added - granted)
    assert audited(live) == []


def test_a_movement_tells_who_made_it(api: Client, live: Drive) -> None:
    """Whoever's key it was stands in the movement; without the scope it moves nothing, what is live only with another."""
    live.load(running())
    console, editor, shop = (
        api_key.create(live.runtime, NewApiKey(name=scopes[-1], scopes=scopes))
        for scopes in (("activities:edit", "activities:publish"), ("activities:edit",), ("placements:call",))
    )

    def asked(key: str) -> Any:
        body = {"delta": 1, "reason": "weekend"}
        return api.post(f"{AT}/c18/movements", json=body, headers={"Authorization": f"Bearer {key}"})

    assert asked(console.key).json()["actor"] == f"key:{console.id}"
    assert problem(asked(shop.key)) == (403, "forbidden")
    refused = asked(editor.key)
    assert (problem(refused), refused.json()["needed"]) == ((403, "forbidden"), ["activities:publish"])
    assert live.value("SELECT remaining FROM benefit") == 11
    live.run("UPDATE activity SET status = 'paused'")
    assert asked(editor.key).json()["actor"] == f"key:{editor.id}"


def _send(benefit: str) -> dict[str, Any]:
    return {"block": "pbb.action.send_coupon", "params": {"benefit": benefit}}

"""Importing, publishing and pausing: each one transaction."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event, text

from tactics.errors import BadInput, Conflict
from tactics.flows import setup
from tactics.runtime import Runtime
from tactics.store import activities, behaviour_rules, items, users
from tests.making import bought, document


def _rows(runtime: Runtime, query: str) -> list[tuple[Any, ...]]:
    with runtime.engine.connect() as conn:
        return [tuple(row) for row in conn.execute(text(query))]


def test_documents_become_activities_and_rules(runtime: Runtime) -> None:
    """Activities come back in the order given, then the rules of all documents by key."""
    found = setup.import_activities(
        runtime,
        [
            document(code="z", behaviour_rules={"bought": bought(3)}),
            {"behaviour_rules": {"again": bought(9)}},
            document(code="a", behaviour_rules={"bought": bought(3)}),
        ],
        publish=True,
    )
    assert [(one.kind, one.name, one.version, one.change, one.status) for one in found] == [
        ("activity", "z", 1, "new", "live"),
        ("activity", "a", 1, "new", "live"),
        ("behaviour_rule", "again", 1, "new", None),
        ("behaviour_rule", "bought", 1, "new", None),
    ]
    again = setup.import_activities(runtime, [document(code="z", behaviour_rules={"bought": bought(3)})])
    assert {one.change for one in again} == {"unchanged"}


def test_one_bad_document_stops_all(runtime: Runtime) -> None:
    """With one document refused nothing is imported, and every problem of every document is named."""
    with pytest.raises(BadInput) as raised:
        setup.import_activities(
            runtime, [document(), document(code="b", priority="1"), document(code="c", timezone="Mars/Base")]
        )
    assert [(one["where"], one["path"]) for one in raised.value.fields["problems"]] == [
        ("document 2", "/priority"),
        ("document 3", "/timezone"),
    ]
    assert "document 2: activity 'b': /priority" in raised.value.message
    assert _rows(runtime, "SELECT code FROM activity") == []


def test_refusal_of_the_store_undoes_the_rest(runtime: Runtime) -> None:
    """A stock that cannot be keeps the other activity of the same import out, its rules and revision too."""
    setup.import_activities(runtime, [document(code="z")], publish=True)
    with runtime.engine.begin() as conn:
        conn.execute(text("UPDATE benefit SET remaining = 0"))
        before = activities.revisions(conn)
    less = document(code="z", benefits={"c18": {"kind": "coupon", "value_minor": 500, "stock": 9}})
    with pytest.raises(Conflict):
        setup.import_activities(runtime, [document(code="a", behaviour_rules={"bought": bought(1)}), less])
    with runtime.engine.connect() as conn:
        assert activities.revisions(conn) == before
        assert behaviour_rules.enabled(conn) == []
    assert _rows(runtime, "SELECT code, version FROM activity") == [("z", 1)]


@pytest.mark.parametrize("together", [True, False])
def test_two_meanings_of_a_rule_key_are_refused(runtime: Runtime, together: bool) -> None:
    """Two activities that define a key differently conflict, in one import or in two, and both are named."""
    one = document(code="one", behaviour_rules={"bought": bought(1)})
    two = document(code="two", behaviour_rules={"bought": bought(2)})
    if not together:
        setup.import_activities(runtime, [one])
    with pytest.raises(
        Conflict, match=r"'bought' is defined differently by activity '(one|two)' and by activity"
    ) as hit:
        setup.import_activities(runtime, [one, two] if together else [two])
    assert sorted(hit.value.fields["defined_by"]) == ["activity 'one'", "activity 'two'"]


def test_rule_changes_where_all_who_define_it_agree(runtime: Runtime) -> None:
    """One owner may change its rule alone; two must be imported together."""
    setup.import_activities(runtime, [document(code="one", behaviour_rules={"bought": bought(1)})])
    setup.import_activities(runtime, [document(code="one", behaviour_rules={"bought": bought(2)})])
    both = [document(code=code, behaviour_rules={"bought": bought(2)}) for code in ("one", "two")]
    setup.import_activities(runtime, both)
    with pytest.raises(Conflict):
        setup.import_activities(runtime, [document(code="one", behaviour_rules={"bought": bought(3)})])
    with pytest.raises(Conflict):
        setup.import_activities(runtime, [{"behaviour_rules": {"bought": bought(3)}}])
    both = [document(code=code, behaviour_rules={"bought": bought(3)}) for code in ("one", "two")]
    setup.import_activities(runtime, both)
    with runtime.engine.connect() as conn:
        assert [(one.version, one.rule) for one in behaviour_rules.enabled(conn)] == [(3, bought(3)["rule"])]


@pytest.mark.parametrize(
    ("documents", "path"),
    [
        ([document(), document()], "/code"),
        ([document(template_type="nope")], "/template_type"),
        ([document(expression={"en": "a\x00b"})], "/expression/en"),
        ([document(holdout_percent=float("nan"))], "/holdout_percent"),
        ([{"behaviour_rules": {}}], "/behaviour_rules"),
        ([{"behaviour_rules": {"a": {"rule": {"block": "no.such"}}}}], "/behaviour_rules/a/rule"),
        (["text"], None),
    ],
)
def test_documents_that_are_refused(runtime: Runtime, documents: list[object], path: str | None) -> None:
    """What cannot be imported is named by its path."""
    with pytest.raises(BadInput) as raised:
        setup.import_activities(runtime, documents, known_templates=["full_link_v3"])
    assert {one["path"] for one in raised.value.fields["problems"]} == ({path} if path else set())


def test_imports_at_once_both_count(runtime: Runtime) -> None:
    """Imports of one activity at the same moment come one after another: no version is lost."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: setup.import_activities(runtime, [document(priority=number)]), range(12)))
    assert _rows(runtime, "SELECT version FROM activity") == [(12,)]
    assert _rows(runtime, "SELECT value FROM revision WHERE name = 'activities'") == [(12,)]


def test_publish_and_pause(runtime: Runtime) -> None:
    """A draft goes live, a live one is paused; doing it again changes nothing."""
    setup.import_activities(runtime, [document()])
    assert [setup.publish(runtime, "camp18"), setup.publish(runtime, "camp18")] == [True, False]
    assert [setup.pause(runtime, "camp18"), setup.pause(runtime, "camp18")] == [True, False]
    assert _rows(runtime, "SELECT status FROM activity") == [("paused",)]


def test_users_are_replaced_whole(runtime: Runtime) -> None:
    """Keys beside `user_id` and those under `attributes` are attributes; the next import replaces all of them."""
    rows: list[object] = [{"user_id": "1", "age": 4, "attributes": {"tags": ["a"]}}, {"user_id": "2"}]
    assert setup.import_users(runtime, rows) == 2
    with runtime.engine.connect() as conn:
        assert users.attributes_of(conn, ["1", "2"]) == {"1": {"age": 4, "tags": ["a"]}, "2": {}}
    setup.import_users(runtime, [{"user_id": "1", "city": "蘇州"}])
    with runtime.engine.connect() as conn:
        assert users.attributes(conn, "1") == {"city": "蘇州"}


def test_items_are_replaced_whole(runtime: Runtime) -> None:
    """An item keeps nothing of its former row; one without title is called by its id."""
    full = {"item_id": "7", "category": "tea", "title": "Tea", "price_minor": 800, "currency": "USD"}
    setup.import_items(runtime, [{**full, "attributes": {"a": 1}}, {"item_id": "8"}])
    columns = "SELECT item_id, category, title, price_minor, currency, attributes FROM item ORDER BY 1"
    assert _rows(runtime, columns) == [("7", "tea", "Tea", 800, "USD", {"a": 1}), ("8", None, "8", None, None, {})]
    setup.import_items(runtime, [{"item_id": "7", "title": "Black tea"}])
    assert _rows(runtime, columns)[0] == ("7", None, "Black tea", None, None, {})


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ({"attributes": {}}, "/5000/user_id"),
        ({"user_id": 5}, "/5000/user_id"),
        ({"user_id": ""}, "/5000/user_id"),
        ({"user_id": "a\x00"}, "/5000/user_id"),
        ({"user_id": "a", "attributes": []}, "/5000/attributes"),
        ({"user_id": "a", "x": "\ud800"}, "/5000/attributes"),
        ({"user_id": "a", "x": float("inf")}, "/5000/attributes"),
        ({"user_id": "a", "x": 1, "attributes": {"x": 1}}, "/5000"),
        ({"user_id": "0"}, "/5000"),
        ("a", "/5000"),
    ],
)
def test_bad_user_row_undoes_the_batches_before(runtime: Runtime, row: object, where: str) -> None:
    """A bad row after a full batch is named by its path, and nothing of the file is imported."""
    rows: list[object] = [{"user_id": str(number)} for number in range(setup.BATCH)]
    with pytest.raises(BadInput, match="nothing was imported") as raised:
        setup.import_users(runtime, [*rows, row])
    assert [one["where"] for one in raised.value.fields["problems"]] == [where]
    assert _rows(runtime, "SELECT count(*) FROM user_profile") == [(0,)]


def test_bad_rows_are_named_together(runtime: Runtime) -> None:
    """Several bad rows are named at once, up to a limit."""
    rows: list[object] = [{"item_id": "1", "price_minor": -1}, {"item_id": "2"}, {"item_id": "3", "colour": "red"}]
    with pytest.raises(BadInput) as raised:
        setup.import_items(runtime, rows)
    assert [one["where"] for one in raised.value.fields["problems"]] == ["/0/price_minor", "/2/colour"]
    with pytest.raises(BadInput) as raised:
        setup.import_items(runtime, [{}] * 1000)
    assert len(raised.value.fields["problems"]) == setup.MOST_PROBLEMS


def test_item_sets_are_replaced_whole(runtime: Runtime) -> None:
    """A set named holds exactly what it is given, as rows or as a mapping; the others stay."""
    rows: list[object] = [{"item_set": name, "item_id": one} for name, one in ("ax", "ay", "ax", "bx")]
    assert setup.import_item_sets(runtime, rows) == {"a": 2, "b": 1}
    assert setup.import_item_sets(runtime, {"a": ["z"], "empty": []}) == {"a": 1, "empty": 0}
    with runtime.engine.connect() as conn:
        assert items.sets_of(conn, ["x", "y", "z"]) == {"x": ["b"], "z": ["a"]}
        assert activities.revisions(conn) == {"item_sets": 2}


@pytest.mark.parametrize(
    ("sets", "where"),
    [
        ({"a": ["x", 5]}, "/a/1"),
        ({"a": "xyz"}, "/a"),
        ([{"item_set": "a"}], "/0/item_id"),
    ],
)
def test_bad_item_set_is_refused(runtime: Runtime, sets: Any, where: str) -> None:
    """What is no item id is named by its path, and the sets stay as they were."""
    setup.import_item_sets(runtime, {"a": ["before"]})
    with pytest.raises(BadInput) as raised:
        setup.import_item_sets(runtime, sets)
    assert [one["where"] for one in raised.value.fields["problems"]] == [where]
    assert _rows(runtime, "SELECT item_set, item_id FROM item_set") == [("a", "before")]


def test_rows_are_written_many_at_a_time(runtime: Runtime) -> None:
    """Fifty thousand users and as many items take a statement for every batch, not for every row."""
    statements: list[str] = []
    event.listen(runtime.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    assert setup.import_users(runtime, ({"user_id": str(one), "age": one % 90} for one in range(50_000))) == 50_000
    prices = ({"item_id": str(one), "title": "t", "price_minor": one, "currency": "USD"} for one in range(50_000))
    assert setup.import_items(runtime, prices) == 50_000
    assert len(statements) < 2 * 50_000 / setup.BATCH + 10
    assert _rows(runtime, "SELECT count(*) FROM user_profile UNION ALL SELECT count(*) FROM item") == [(50_000,)] * 2

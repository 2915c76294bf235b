"""Behaviour rules in the store."""

from __future__ import annotations

from sqlalchemy import text

from tactics.domain.activity import BehaviourRule
from tactics.runtime import Runtime
from tactics.store import activities, behaviour_rules
from tests.making import activity, bought


def test_rule_is_versioned_by_what_it_says(runtime: Runtime) -> None:
    """The same rule again changes nothing; another rule or cooldown is a version and a revision."""
    given = [bought(3), bought(3), bought(4), {**bought(4), "cooldown_s": 9}]
    with runtime.engine.begin() as conn:
        saved = [behaviour_rules.save(conn, "bought", BehaviourRule.model_validate(one)) for one in given]
        assert saved == [(1, "new"), (1, "unchanged"), (2, "updated"), (3, "updated")]
        assert activities.revisions(conn) == {"behaviour_rules": 3}
        assert behaviour_rules.enabled(conn) == [
            behaviour_rules.StoredRule("bought", 3, bought(4)["rule"], cooldown_s=9)
        ]


def test_disabled_rule_is_not_evaluated(runtime: Runtime) -> None:
    """Only enabled rules are listed."""
    with runtime.engine.begin() as conn:
        for key in ("b", "a"):
            behaviour_rules.save(conn, key, BehaviourRule.model_validate(bought(1)))
        conn.execute(text("UPDATE behaviour_rule SET enabled = false WHERE rule_key = 'b'"))
        assert [one.rule_key for one in behaviour_rules.enabled(conn)] == ["a"]


def test_current_versions_tell_who_defines_a_key(runtime: Runtime) -> None:
    """A definition counts while it is in the current version of an activity that is not left out."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(code="was", behaviour_rules={"bought": bought(1)}))
        activities.save(conn, activity(code="was"))
        activities.save(conn, activity(code="is", behaviour_rules={"bought": bought(2), "other": bought(5)}))
        activities.save(conn, activity(code="too", behaviour_rules={"bought": bought(2)}))
        found = behaviour_rules.defined_by(conn, {"bought"}, but_not={"too"})
    assert found == [("bought", "is", BehaviourRule.model_validate(bought(2)))]

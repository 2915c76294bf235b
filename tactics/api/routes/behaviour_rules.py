"""`/v1/behaviour-rules`: what user actions must add up to. `/v1/channels`: what the channel codes start."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
from sqlalchemy import Connection

from tactics.api.access import Acting, Asking, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, read_cursor
from tactics.api.edit import Edit
from tactics.api.etag import IfMatch, IfNoneMatch, etag
from tactics.api.examples_setup import answered, asked
from tactics.api.problems import described
from tactics.api.publishing import live_rules_kept
from tactics.api.schemas_plays import (
    BehaviourRuleAnswer,
    BehaviourRuleList,
    BehaviourRuleRequest,
    BehaviourRuleSaved,
    ChannelList,
    RuleKey,
)
from tactics.errors import NotFound
from tactics.flows import behaviour_rule as flow
from tactics.store import behaviour_rules, channels

router = APIRouter(prefix="/v1", route_class=StrictRoute)
READING = needs("activities:edit", "activities:publish", "audit:read")
EDITING = needs("activities:edit")
_TAG = "behaviour rules"


@router.get(
    "/behaviour-rules", tags=[_TAG], dependencies=[READING], responses={**answered("rules_listed"), **described(422)}
)
def list_behaviour_rules(app: Tactics, limit: Limit = 50, cursor: Cursor = None) -> BehaviourRuleList:
    """List the behaviour rules, enabled or not, by key."""
    (after,) = read_cursor(cursor, 1) or [""]
    with app.runtime.engine.connect() as conn:
        found = behaviour_rules.listing(conn, after=after, limit=limit + 1)
        rows, following = page(found, limit, lambda row: [row.rule_key])
        defined_by = _defined_by(conn, [row.rule_key for row in rows])
    return BehaviourRuleList(
        behaviour_rules=[_answer(row, defined_by[row.rule_key]) for row in rows], next_cursor=following
    )


@router.get(
    "/behaviour-rules/{rule_key}",
    tags=[_TAG],
    dependencies=[READING],
    responses={**answered("rule_shown", tagged=True), **described(404, 422)},
)
def show_behaviour_rule(app: Tactics, rule_key: RuleKey, response: Response) -> BehaviourRuleAnswer:
    """Give a behaviour rule, and the activities that define it."""
    with app.runtime.engine.connect() as conn:
        found, codes = _found(conn, rule_key)
    if found is None:
        raise NotFound(f"there is no behaviour rule {rule_key!r}", rule_key=rule_key)
    response.headers["ETag"] = _tag(found, codes)
    return _answer(found, codes)


@router.put(
    "/behaviour-rules/{rule_key}",
    tags=[_TAG],
    dependencies=[EDITING],
    responses={
        **answered("rule_created", new=BehaviourRuleSaved, tagged=True),
        **described(400, 408, 409, 412, 413, 415, 422),
    },
)
def put_behaviour_rule(
    runtime: Acting,
    who: Asking,
    response: Response,
    rule_key: RuleKey,
    body: Annotated[BehaviourRuleRequest, Body(openapi_examples=asked("rule_created"))],
    if_match: IfMatch = "",
    if_none_match: IfNoneMatch = "",
) -> BehaviourRuleSaved:
    """Save a behaviour rule, where it still is what its ETag says; the same again changes nothing.

    What an activity defines is changed with the activity. `enabled: false` keeps a rule that nothing is checked against.
    A rule that a live activity defines, or prepares on, is changed only with the scope activities:publish.
    """

    def tag_of(conn: Connection) -> str | None:
        found, codes = _found(conn, rule_key)
        return None if found is None else _tag(found, codes)

    edit = Edit(tag_of, if_match, if_none_match, within=live_rules_kept(who))
    said = {"rule": body.rule, "cooldown_s": body.cooldown_s}
    saved = flow.save_rule(runtime, rule_key, said, enabled=body.enabled, around=edit)
    edit.tell(response, f"{router.prefix}/behaviour-rules/{rule_key}" if saved.change == "new" else None)
    return BehaviourRuleSaved(rule_key=rule_key, version=saved.version, change=saved.change, enabled=saved.enabled)


@router.get(
    "/channels", tags=["channels"], dependencies=[READING], responses={**answered("channels"), **described(422)}
)
def list_channels(app: Tactics, limit: Limit = 50, cursor: Cursor = None) -> ChannelList:
    """List the channel codes that activities are bound to, by code and link."""
    after = read_cursor(cursor, 2) or ["", ""]
    with app.runtime.engine.connect() as conn:
        found = channels.listing(conn, after, limit + 1)
    rows, following = page(found, limit, lambda row: [row.channel_code, row.link])
    listed = [dict(row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy's documented name
    return ChannelList.model_validate({"channels": listed, "next_cursor": following})


def _found(conn: Connection, rule_key: str) -> tuple[Any | None, list[str]]:
    return behaviour_rules.find(conn, rule_key), _defined_by(conn, [rule_key])[rule_key]


def _defined_by(conn: Connection, rule_keys: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {key: [] for key in rule_keys}
    for key, code, _ in behaviour_rules.defined_by(conn, rule_keys, ()):
        found[key].append(code)
    return found


def _tag(row: Any, codes: list[str]) -> str:
    return etag(row.version, row.enabled, codes)


def _answer(row: Any, codes: list[str]) -> BehaviourRuleAnswer:
    return BehaviourRuleAnswer.model_validate({**row._mapping, "defined_by": codes})  # noqa: SLF001  # SQLAlchemy's documented name

"""`/v1/activities`: what is offered, to whom, when and how much of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, astuple
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from sqlalchemy import Connection

from tactics.api.access import Acting, Asking, Caller, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, read_cursor
from tactics.api.documents import in_body, one_document, with_code
from tactics.api.edit import Edit
from tactics.api.etag import IfMatch, IfNoneMatch, etag
from tactics.api.examples_setup import answered, asked
from tactics.api.problems import described
from tactics.api.publishing import live_rules_kept, must_publish
from tactics.api.schemas_setup import (
    ActivityAnswer,
    ActivityCode,
    ActivityData,
    ActivityList,
    ActivitySaved,
    Draft,
    PublishRequest,
    RollbackRequest,
    Status,
    is_code,
)
from tactics.celery_app import TacticsApp
from tactics.domain.activity import Code
from tactics.errors import NotFound
from tactics.flows import activity as flow
from tactics.flows import setup
from tactics.flows.resume import resume
from tactics.runtime import Runtime
from tactics.store import activities
from tactics.store.activities import Saved

router = APIRouter(prefix="/v1/activities", tags=["activities"], route_class=StrictRoute)
READING = needs("activities:edit", "activities:publish", "audit:read")
EDITING = needs("activities:edit")
PUBLISHING = needs("activities:publish")
Publish = Annotated[bool, Query(description="make it live; needs the scope activities:publish too")]
_OF_EDIT = described(400, 408, 409, 413, 415, 422)
_OF_VERB = described(400, 404, 408, 409, 413, 415, 422)


@router.get("", dependencies=[READING], responses={**answered("listed"), **described(422)})
def list_activities(
    app: Tactics,
    status: Annotated[Status | None, Query(description="only those of this status")] = None,
    channel: Annotated[Code | None, Query(description="only those with this channel code, whatever the link")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ActivityList:
    """List activities, by code."""
    (after,) = read_cursor(cursor, 1) or [""]
    with app.runtime.engine.connect() as conn:
        found = activities.listing(conn, status=status, channel=channel, after=after, limit=limit + 1)
    rows, following = page(found, limit, lambda row: [row.code])
    listed = [{**row._mapping, "channels": {"prepare": row.prepare, "grant": row.grant}} for row in rows]  # noqa: SLF001  # SQLAlchemy's documented name
    return ActivityList.model_validate({"activities": listed, "next_cursor": following})


@router.post(
    "",
    dependencies=[EDITING],
    responses={**answered("created", "made_from_play", "updated", new=ActivitySaved, tagged=True), **_OF_EDIT},
)
def save_activity(
    runtime: Acting,
    app: Tactics,
    who: Asking,
    response: Response,
    document: Annotated[ActivityData, Body(openapi_examples=asked("created", "made_from_play", "updated"))],
    publish: Publish = False,
    draft: Draft = False,
) -> ActivitySaved:
    """Save an activity; a document that says nothing new changes nothing.

    A new version is current at once, unless it is a draft; a new activity does not run before it is published. What is
    live is changed only with the scope activities:publish, or as a draft; so are behaviour rules that it shares with an
    activity that is live.
    """
    code = document.get("code")
    edit = Edit(_tag_of(code), refuse=_refuse(code, who, draft=draft), within=live_rules_kept(who))
    return _save(runtime, app, who, response, edit, document, publish=publish, draft=draft)


@router.get("/{code}", dependencies=[READING], responses={**answered("shown", tagged=True), **described(404, 422)})
def show_activity(app: Tactics, code: ActivityCode, response: Response) -> ActivityAnswer:
    """Give an activity: status, versions, and its document, which can be sent again."""
    with app.runtime.engine.connect() as conn:
        state = flow.state(conn, code)
        row = activities.current(conn, code)
        document = flow.document(conn, code, state.version)
    response.headers["ETag"] = etag(*astuple(state))
    return ActivityAnswer(
        code=code,
        version=state.version,
        status=state.status,
        newest_draft=state.newest_draft,
        tripped_at=row.tripped_at,
        tripped_reason=row.tripped_reason,
        activity=document,
    )


@router.put(
    "/{code}",
    dependencies=[EDITING],
    responses={**answered("edited", new=ActivitySaved, tagged=True), **described(412), **_OF_EDIT},
)
def put_activity(
    runtime: Acting,
    app: Tactics,
    who: Asking,
    response: Response,
    code: ActivityCode,
    document: Annotated[ActivityData, Body(openapi_examples=asked("edited"))],
    if_match: IfMatch = "",
    if_none_match: IfNoneMatch = "",
    publish: Publish = False,
    draft: Draft = False,
) -> ActivitySaved:
    """Save the activity of this code, where it still is what its ETag says; else as POST does."""
    refuse, within = _refuse(code, who, draft=draft), live_rules_kept(who)
    edit = Edit(_tag_of(code), if_match, if_none_match, refuse, within)
    return _save(runtime, app, who, response, edit, with_code(document, code), publish=publish, draft=draft)


@router.post("/{code}/publish", dependencies=[PUBLISHING], responses={**answered("published", tagged=True), **_OF_VERB})
def publish_activity(
    runtime: Acting,
    response: Response,
    code: ActivityCode,
    body: Annotated[PublishRequest | None, Body(openapi_examples=asked("published"))] = None,
) -> ActivitySaved:
    """Make an activity live, in its newest draft if it has one; what is live already is unchanged.

    A paused activity with a draft needs `version`, which says whether the draft is to run.
    """
    edit = Edit(_tag_of(code))
    saved = flow.publish(runtime, code, body.version if body else None, around=edit)
    edit.tell(response)
    return _saved(code, saved)


@router.post(
    "/{code}/pause",
    dependencies=[PUBLISHING],
    responses={**answered("paused", tagged=True), **described(404, 409, 422)},
)
def pause_activity(runtime: Acting, response: Response, code: ActivityCode) -> ActivitySaved:
    """Pause a live activity: nothing new starts until it is resumed, or published again."""
    edit = Edit(_tag_of(code))
    saved = flow.pause(runtime, code, around=edit)
    edit.tell(response)
    return _saved(code, saved)


@router.post(
    "/{code}/resume",
    dependencies=[PUBLISHING],
    responses={**answered("resumed", tagged=True), **described(404, 409, 422)},
)
def resume_activity(runtime: Acting, app: Tactics, response: Response, code: ActivityCode) -> ActivitySaved:
    """Let a paused activity run again in its current version; what waited for it, if it had paused itself, is started."""
    edit = Edit(_tag_of(code))
    saved = resume(app, code, runtime=runtime, around=edit)
    edit.tell(response)
    return _saved(code, saved)


@router.post(
    "/{code}/rollback", dependencies=[PUBLISHING], responses={**answered("rolled_back", tagged=True), **_OF_VERB}
)
def roll_back_activity(
    runtime: Acting,
    response: Response,
    code: ActivityCode,
    body: Annotated[RollbackRequest | None, Body(openapi_examples=asked("rolled_back"))] = None,
) -> ActivitySaved:
    """Bring an earlier version back: a new version that says the same is current at once. The status stays.

    Without `to` each rollback goes one version further back. What has begun ends under its own version.
    """
    edit = Edit(_tag_of(code))
    saved = flow.roll_back(runtime, code, body.to if body else None, around=edit)
    edit.tell(response)
    return _saved(code, saved)


def _save(
    runtime: Runtime,
    app: TacticsApp,
    who: Caller,
    response: Response,
    edit: Edit,
    document: dict[str, Any],
    *,
    publish: bool,
    draft: bool,
) -> ActivitySaved:
    if publish:
        must_publish(who, "publish=true")
    with one_document(document, "behaviour rules alone have their own address: /v1/behaviour-rules/{rule_key}"):
        saved, *rules = setup.import_activities(
            runtime,
            [document],
            publish=publish,
            draft=draft,
            known_templates=app.templates,
            where=in_body,
            around=edit,
        )
    edit.tell(response, f"{router.prefix}/{saved.name}" if saved.change == "new" else None)
    defined = [{"rule_key": one.name, "version": one.version, "change": one.change} for one in rules]
    return ActivitySaved.model_validate({**saved.to_json(), "code": saved.name, "behaviour_rules": defined})


def _saved(code: str, saved: Saved) -> ActivitySaved:
    return ActivitySaved.model_validate({"code": code, **asdict(saved)})


def _tag_of(code: object) -> Callable[[Connection], str | None]:
    def read(conn: Connection) -> str | None:
        with suppress(NotFound):
            return etag(*astuple(flow.state(conn, str(code)))) if is_code(code) else None
        return None

    return read


def _refuse(code: object, who: Caller, *, draft: bool) -> Callable[[Connection], None]:
    """Let nobody who may not publish change what is live: what a new version says runs at once."""

    def check(conn: Connection) -> None:
        with suppress(NotFound):
            if is_code(code) and not draft and flow.state(conn, str(code)).status == "live":
                must_publish(who, f"activity {code!r} is live: save a draft (draft=true); to change it at once")

    return check

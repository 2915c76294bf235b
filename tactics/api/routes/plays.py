"""`/v1/plays`: plays and tools, what activities are made from without code."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, astuple
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
from sqlalchemy import Connection

from tactics.api.access import Acting, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, read_cursor
from tactics.api.documents import in_body, one_document, with_code
from tactics.api.edit import Edit
from tactics.api.etag import IfMatch, IfNoneMatch, etag
from tactics.api.examples_setup import answered, asked
from tactics.api.problems import described
from tactics.api.schemas_plays import (
    MadeFromList,
    OneVersion,
    PlayAnswer,
    PlayCode,
    PlayData,
    PlayList,
    PlaySaved,
    PlayVersion,
)
from tactics.api.schemas_setup import (
    After,
    Before,
    DifferenceAnswer,
    Draft,
    Number,
    PublishRequest,
    RollbackRequest,
    VersionList,
    differences,
    is_code,
    version_list,
)
from tactics.domain.play import Play
from tactics.errors import NotFound
from tactics.flows import play as flow
from tactics.runtime import Runtime
from tactics.store import plays, versions
from tactics.store.plays import SavedPlay

router = APIRouter(prefix="/v1/plays", tags=["plays"], route_class=StrictRoute)
READING = needs("activities:edit", "activities:publish", "audit:read")
EDITING = needs("activities:edit")
PUBLISHING = needs("activities:publish")
_OF_EDIT = described(400, 408, 409, 413, 415, 422)
_OF_VERB = described(400, 404, 408, 409, 413, 415, 422)


@router.get("", dependencies=[READING], responses={**answered("plays_listed"), **described(422)})
def list_plays(app: Tactics, limit: Limit = 50, cursor: Cursor = None) -> PlayList:
    """List the plays, by code, each with how many activities were made from it."""
    (after,) = read_cursor(cursor, 1) or [""]
    with app.runtime.engine.connect() as conn:
        found = plays.listing(conn, after=after, limit=limit + 1)
    rows, following = page(found, limit, lambda row: [row.code])
    listed = [dict(row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy's documented name
    return PlayList.model_validate({"plays": listed, "next_cursor": following})


@router.post("", dependencies=[EDITING], responses={**answered("play_created", new=PlaySaved, tagged=True), **_OF_EDIT})
def save_play(
    runtime: Acting,
    response: Response,
    document: Annotated[PlayData, Body(openapi_examples=asked("play_created"))],
    draft: Draft = False,
) -> PlaySaved:
    """Save a play; a document that says nothing new changes nothing, and activities that there are stay as they are."""
    return _save(runtime, response, Edit(_tag_of(document.get("code"))), document, draft=draft)


@router.get("/{code}", dependencies=[READING], responses={**answered("play_shown", tagged=True), **described(404, 422)})
def show_play(app: Tactics, code: PlayCode, response: Response) -> PlayAnswer:
    """Give a play: its versions, and its document, which can be sent again."""
    with app.runtime.engine.connect() as conn:
        state = flow.state(conn, code)
        found = plays.find(conn, code, state.version)
    response.headers["ETag"] = etag(*astuple(state))
    return PlayAnswer(
        code=code,
        version=state.version,
        current_version=state.current,
        newest_draft=state.newest_draft,
        play=_document(found),
    )


@router.put(
    "/{code}",
    dependencies=[EDITING],
    responses={**answered("play_edited", new=PlaySaved, tagged=True), **described(412), **_OF_EDIT},
)
def put_play(
    runtime: Acting,
    response: Response,
    code: PlayCode,
    document: Annotated[PlayData, Body(openapi_examples=asked("play_edited"))],
    if_match: IfMatch = "",
    if_none_match: IfNoneMatch = "",
    draft: Draft = False,
) -> PlaySaved:
    """Save the play of this code, where it still is what its ETag says; else as POST does."""
    edit = Edit(_tag_of(code), if_match, if_none_match)
    return _save(runtime, response, edit, with_code(document, code), draft=draft)


@router.post(
    "/{code}/publish", dependencies=[PUBLISHING], responses={**answered("play_published", tagged=True), **_OF_VERB}
)
def publish_play(
    runtime: Acting,
    response: Response,
    code: PlayCode,
    body: Annotated[PublishRequest | None, Body(openapi_examples=asked("play_published"))] = None,
) -> PlaySaved:
    """Make a draft current, the newest if none is named: new activities are made from it. Others stay as they are."""
    edit = Edit(_tag_of(code))
    saved = flow.publish_play(runtime, code, body.version if body else None, around=edit)
    edit.tell(response)
    return _saved(code, saved)


@router.post(
    "/{code}/rollback", dependencies=[PUBLISHING], responses={**answered("play_rolled_back", tagged=True), **_OF_VERB}
)
def roll_back_play(
    runtime: Acting,
    response: Response,
    code: PlayCode,
    body: Annotated[RollbackRequest | None, Body(openapi_examples=asked("play_rolled_back"))] = None,
) -> PlaySaved:
    """Bring an earlier version back: a new version that says the same is current at once. Activities stay as they are."""
    edit = Edit(_tag_of(code))
    saved = flow.roll_back_play(runtime, code, body.to if body else None, around=edit)
    edit.tell(response)
    return _saved(code, saved)


@router.get("/{code}/versions", dependencies=[READING], responses={**answered("play_versions"), **described(404, 422)})
def list_versions(app: Tactics, code: PlayCode) -> VersionList:
    """List a play's versions, newest first: current, drafts, earlier ones, and drafts that were passed over."""
    with app.runtime.engine.connect() as conn:
        current = plays.current(conn, code)
        return version_list(versions.listing(conn, versions.PLAY, code), current)


@router.get(
    "/{code}/versions/{version}", dependencies=[READING], responses={**answered("play_version"), **described(404, 422)}
)
def show_version(app: Tactics, code: PlayCode, version: Number) -> PlayVersion:
    """Give what a version of a play says, as a document that can be sent again."""
    with app.runtime.engine.connect() as conn:
        found = plays.find(conn, code, version)
    return PlayVersion(code=code, version=version, play=_document(found))


@router.get("/{code}/diff", dependencies=[READING], responses={**answered("play_diff"), **described(404, 409, 422)})
def compare_versions(app: Tactics, code: PlayCode, before: Before = None, after: After = None) -> DifferenceAnswer:
    """Say what two versions say differently: what is current and the newest draft, or what is current and was before."""
    return differences(flow.compare_plays(app.runtime, code, before, after))


@router.get("/{code}/form", dependencies=[READING], responses={**answered("form"), **described(404, 422)})
def show_form(app: Tactics, code: PlayCode, version: OneVersion = None) -> dict[str, Any]:
    """Give the form of a play's parameters: a JSON Schema (draft 2020-12)."""
    with app.runtime.engine.connect() as conn:
        return plays.find(conn, code, version).parameters


@router.get("/{code}/activities", dependencies=[READING], responses={**answered("made_from"), **described(404, 422)})
def list_made_from(app: Tactics, code: PlayCode) -> MadeFromList:
    """List the activities that were made from a play, by code."""
    with app.runtime.engine.connect() as conn:
        current = plays.current(conn, code) or 0
        made = plays.made_from(conn, code)
    listed = [
        {"code": name, "play_version": number, "status": status, "older": number < current}
        for name, number, status in made
    ]
    return MadeFromList.model_validate({"activities": listed})


def _save(runtime: Runtime, response: Response, edit: Edit, document: dict[str, Any], *, draft: bool) -> PlaySaved:
    with one_document(document):
        (saved,) = flow.import_plays(runtime, [document], draft=draft, where=in_body, around=edit)
    edit.tell(response, f"{router.prefix}/{saved.play}" if saved.change == "new" else None)
    return PlaySaved.model_validate({**saved.to_json(), "code": saved.play, "current_version": saved.current})


def _saved(code: str, saved: SavedPlay) -> PlaySaved:
    draft = saved.version > (saved.current or 0)
    return PlaySaved.model_validate({**asdict(saved), "code": code, "current_version": saved.current, "draft": draft})


def _document(found: Play) -> dict[str, Any]:
    # Its number stays out: sent again with changes, it is another.
    return {name: part for name, part in flow.play_document(found).items() if name != "version"}


def _tag_of(code: object) -> Callable[[Connection], str | None]:
    def read(conn: Connection) -> str | None:
        with suppress(NotFound):
            return etag(*astuple(flow.state(conn, str(code)))) if is_code(code) else None
        return None

    return read

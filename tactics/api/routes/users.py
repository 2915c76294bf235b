"""`/v1/users`: what is known of users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Body, Path, Response
from sqlalchemy import Connection

from tactics.api import examples_catalogue as examples
from tactics.api.access import Acting, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.edit import Edit
from tactics.api.etag import IfMatch, IfNoneMatch, etag
from tactics.api.examples_assets import sent, told
from tactics.api.problems import described
from tactics.api.rows import naming
from tactics.api.schemas_catalogue import ErasedAnswer, Saved, UserAnswer, UserRequest, UsersRequest
from tactics.domain.catalogue import Name, UserName, UserRow
from tactics.errors import NotFound
from tactics.flows import catalogue, setup
from tactics.flows.erasure import erase_user
from tactics.store import users

router = APIRouter(prefix="/v1/users", tags=["users"], route_class=StrictRoute)
UserId = Annotated[Name, Path(description="the user's id", examples=["alice"])]
OwnId = Annotated[UserName, Path(description="the user's id, which is no pseudonym", examples=["alice"])]
EDITING = needs("activities:edit")
_OF_EDIT = described(400, 408, 409, 412, 413, 415, 422)


@router.get(
    "/{user_id}",
    dependencies=[needs("placements:call", "activities:edit", "audit:read")],
    responses={**told(200, examples.USER), **described(404, 422)},
)
def show_user(app: Tactics, user_id: UserId, response: Response) -> UserAnswer:
    """Give a user's attributes."""
    with app.runtime.engine.connect() as conn:
        found = users.attributes(conn, user_id)
    if found is None:
        raise NotFound("there are no attributes of this user")
    response.headers["ETag"] = etag(found)
    return UserAnswer(user_id=user_id, attributes=found)


@router.put("/{user_id}", dependencies=[EDITING], responses={**told(200, examples.USER), **_OF_EDIT})
def put_user(
    runtime: Acting,
    response: Response,
    user_id: OwnId,
    body: Annotated[UserRequest, Body(openapi_examples=sent(attributes=examples.ATTRIBUTES))],
    if_match: IfMatch = "",
    if_none_match: IfNoneMatch = "",
) -> UserAnswer:
    """Save a user; the attributes of a known one are replaced."""
    edit = Edit(_tag_of(user_id), if_match, if_none_match)
    catalogue.save_user(runtime, UserRow(user_id=user_id, attributes=body.attributes), around=edit)
    edit.tell(response)
    return UserAnswer(user_id=user_id, attributes=body.attributes)


@router.post(
    "", dependencies=[EDITING], responses={**told(200, examples.SAVED), **described(400, 408, 409, 413, 415, 422)}
)
def save_users(
    runtime: Acting, body: Annotated[UsersRequest, Body(openapi_examples=sent(two=examples.USERS))]
) -> Saved:
    """Save users, all or none; the attributes of known ones are replaced."""
    with naming("users") as where:
        return Saved(saved=setup.import_users(runtime, [one.model_dump() for one in body.users], where=where))


@router.delete(
    "/{user_id}",
    dependencies=[needs("grants:operate")],
    responses={**told(200, examples.ERASED), **described(404, 409, 422)},
)
def delete_user(runtime: Acting, user_id: OwnId) -> ErasedAnswer:
    """Erase a user: personal data is deleted, and grants go on under a pseudonym, so that everything still adds up.

    The same id may come again later, as a new user.
    """
    return ErasedAnswer.model_validate(erase_user(runtime, user_id).to_json())


def _tag_of(user_id: str) -> Callable[[Connection], str | None]:
    def read(conn: Connection) -> str | None:
        found = users.attributes(conn, user_id)
        return None if found is None else etag(found)

    return read

"""`/v1/items` and `/v1/item-sets`: the catalogue, and named sets of items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from sqlalchemy import Connection, Row

from tactics.api import examples_catalogue as examples
from tactics.api.access import Acting, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, read_cursor
from tactics.api.edit import Edit
from tactics.api.etag import IfMatch, IfNoneMatch, etag
from tactics.api.examples_assets import sent, told
from tactics.api.problems import described
from tactics.api.rows import naming
from tactics.api.schemas_catalogue import (
    ItemAnswer,
    ItemList,
    ItemRequest,
    ItemSetAnswer,
    ItemSetList,
    ItemSetListed,
    ItemSetRequest,
    ItemsRequest,
    Saved,
)
from tactics.domain.catalogue import ItemRow, Name
from tactics.errors import NotFound
from tactics.flows import catalogue as flow
from tactics.flows import setup
from tactics.runtime import Runtime
from tactics.store import catalogue

router = APIRouter(prefix="/v1", tags=["items"], route_class=StrictRoute)
ItemId = Annotated[Name, Path(description="the item's id", examples=["7"])]
SetName = Annotated[Name, Path(description="the set's name", examples=["hot_drinks"])]
READING = needs("activities:edit", "activities:publish", "placements:call", "audit:read")
EDITING = needs("activities:edit")
_OF_EDIT = described(400, 408, 409, 412, 413, 415, 422)


@router.get("/items", dependencies=[READING], responses={**told(200, examples.LISTED), **described(422)})
def list_items(
    app: Tactics,
    category: Annotated[Name | None, Query(description="only those of this category", examples=["tea"])] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ItemList:
    """List items, by id."""
    (after,) = read_cursor(cursor, 1) or [""]
    with app.runtime.engine.connect() as conn:
        found = catalogue.items(conn, category=category, after=after, limit=limit + 1)
    rows, following = page(found, limit, lambda row: [row.item_id])
    return ItemList(items=[_item(row) for row in rows], next_cursor=following)


@router.post(
    "/items", dependencies=[EDITING], responses={**told(200, examples.SAVED), **described(400, 408, 409, 413, 415, 422)}
)
def save_items(
    runtime: Acting, body: Annotated[ItemsRequest, Body(openapi_examples=sent(two=examples.ITEMS))]
) -> Saved:
    """Save items, all or none; known ones are replaced whole."""
    with naming("items") as where:
        return Saved(saved=setup.import_items(runtime, [one.model_dump() for one in body.items], where=where))


@router.get("/items/{item_id}", dependencies=[READING], responses={**told(200, examples.ITEM), **described(404, 422)})
def show_item(app: Tactics, item_id: ItemId, response: Response) -> ItemAnswer:
    """Give an item of the catalogue."""
    found = _found(app.runtime, item_id)
    response.headers["ETag"] = _tag(found)
    return _item(found)


@router.put("/items/{item_id}", dependencies=[EDITING], responses={**told(200, examples.ITEM), **_OF_EDIT})
def put_item(
    runtime: Acting,
    response: Response,
    item_id: ItemId,
    body: Annotated[ItemRequest, Body(openapi_examples=sent(tea=examples.TEA))],
    if_match: IfMatch = "",
    if_none_match: IfNoneMatch = "",
) -> ItemAnswer:
    """Save an item; a known one is replaced whole."""
    saved: list[Row[Any]] = []
    edit = Edit(_item_tag(item_id, saved), if_match, if_none_match)
    flow.save_item(runtime, ItemRow(item_id=item_id, **body.model_dump()), around=edit)
    edit.tell(response)
    return _item(saved[-1])


@router.get("/item-sets", dependencies=[READING], responses={**told(200, examples.SETS), **described(422)})
def list_item_sets(app: Tactics, limit: Limit = 50, cursor: Cursor = None) -> ItemSetList:
    """List item sets, by name, with how many items each has."""
    (after,) = read_cursor(cursor, 1) or [""]
    with app.runtime.engine.connect() as conn:
        found = catalogue.item_sets(conn, after=after, limit=limit + 1)
    rows, following = page(found, limit, lambda row: [row.name])
    listed = [ItemSetListed(name=row.name, items=row.items) for row in rows]
    return ItemSetList(item_sets=listed, next_cursor=following)


@router.get(
    "/item-sets/{name}", dependencies=[READING], responses={**told(200, examples.ITEM_SET), **described(404, 422)}
)
def show_item_set(app: Tactics, name: SetName, response: Response) -> ItemSetAnswer:
    """Give a set with all its items."""
    with app.runtime.engine.connect() as conn:
        found = catalogue.item_set_of(conn, name)
    if not found:
        raise NotFound(f"there is no item set {name!r}")
    response.headers["ETag"] = etag(found)
    return ItemSetAnswer(name=name, item_ids=found)


@router.put("/item-sets/{name}", dependencies=[EDITING], responses={**told(200, examples.ITEM_SET), **_OF_EDIT})
def put_item_set(
    runtime: Acting,
    response: Response,
    name: SetName,
    body: Annotated[ItemSetRequest, Body(openapi_examples=sent(two=examples.SET_ITEMS))],
    if_match: IfMatch = "",
    if_none_match: IfNoneMatch = "",
) -> ItemSetAnswer:
    """Make a set hold exactly these items."""
    saved: list[Sequence[str]] = []
    edit = Edit(_set_tag(name, saved), if_match, if_none_match)
    flow.save_item_set(runtime, name, body.item_ids, around=edit)
    edit.tell(response)
    return ItemSetAnswer(name=name, item_ids=list(saved[-1]))


@router.delete(
    "/item-sets/{name}",
    status_code=204,
    dependencies=[EDITING],
    responses={204: {"description": "There is no such set any more"}, **described(409, 412, 422)},
)
def delete_item_set(runtime: Acting, name: SetName, if_match: IfMatch = "") -> None:
    """Delete a set; its items stay in the catalogue."""
    flow.save_item_set(runtime, name, [], around=Edit(_set_tag(name, []), if_match))


def _found(runtime: Runtime, item_id: str) -> Row[Any]:
    with runtime.engine.connect() as conn:
        found = catalogue.item_of(conn, item_id)
    if found is None:
        raise NotFound(f"the catalogue has no item {item_id!r}", item_id=item_id)
    return found


def _item(row: Row[Any]) -> ItemAnswer:
    return ItemAnswer.model_validate(dict(row._mapping))  # noqa: SLF001  # SQLAlchemy's documented name


def _tag(row: Row[Any]) -> str:
    return etag(*[value for name, value in row._mapping.items() if name != "updated_at"])  # noqa: SLF001  # as above


def _item_tag(item_id: str, seen: list[Row[Any]]) -> Callable[[Connection], str | None]:
    def read(conn: Connection) -> str | None:
        found = catalogue.item_of(conn, item_id)
        if found is None:
            return None
        seen.append(found)
        return _tag(found)

    return read


def _set_tag(name: str, seen: list[Sequence[str]]) -> Callable[[Connection], str | None]:
    def read(conn: Connection) -> str | None:
        seen.append(catalogue.item_set_of(conn, name))
        return etag(seen[-1]) if seen[-1] else None

    return read

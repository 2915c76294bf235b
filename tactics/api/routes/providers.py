"""`/v1/providers`: outside benefit systems, which give what activities name them for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Body, Response
from sqlalchemy import Connection

from tactics.api import examples_providers as examples
from tactics.api.access import Acting, Asking, Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, read_cursor
from tactics.api.documents import one_document
from tactics.api.edit import Edit
from tactics.api.etag import IfMatch, IfNoneMatch, etag
from tactics.api.examples_assets import sent, told
from tactics.api.problems import described
from tactics.api.publishing import live_provider_kept
from tactics.api.schemas_providers import (
    ProviderAnswer,
    ProviderList,
    ProviderName,
    ProviderRequest,
    ProviderSaved,
    SecretAnswer,
)
from tactics.domain.provider import Provider
from tactics.flows import provider as flow
from tactics.store import providers

router = APIRouter(prefix="/v1/providers", tags=["providers"], route_class=StrictRoute)
READING = needs("activities:edit", "activities:publish", "grants:operate", "audit:read")
EDITING = needs("activities:edit")


@router.get("", dependencies=[READING], responses={**told(200, examples.LISTED), **described(422)})
def list_providers(app: Tactics, limit: Limit = 50, cursor: Cursor = None) -> ProviderList:
    """List the outside benefit systems, by name."""
    (after,) = read_cursor(cursor, 1) or [""]
    with app.runtime.engine.connect() as conn:
        found = providers.listing(conn, after=after, limit=limit + 1)
    rows, following = page(found, limit, lambda one: [one.name])
    return ProviderList(providers=[_answer(one) for one in rows], next_cursor=following)


@router.get("/{provider}", dependencies=[READING], responses={**told(200, examples.SHOWN), **described(404, 422)})
def show_provider(app: Tactics, provider: ProviderName, response: Response) -> ProviderAnswer:
    """Give an outside benefit system; of its signing secrets, how many there are."""
    with app.runtime.engine.connect() as conn:
        found = flow.found(conn, provider)
    response.headers["ETag"] = _tag(found)
    return _answer(found)


@router.put(
    "/{provider}",
    dependencies=[EDITING],
    responses={
        **told(200, examples.SAVED),
        201: {"model": ProviderSaved, "description": "it is new", **told(201, examples.NEW)[201]},
        **described(400, 408, 409, 412, 413, 415, 422),
    },
)
def put_provider(
    runtime: Acting,
    who: Asking,
    response: Response,
    provider: ProviderName,
    body: Annotated[ProviderRequest, Body(openapi_examples=sent(wallet=examples.WALLET))],
    if_match: IfMatch = "",
    if_none_match: IfNoneMatch = "",
) -> ProviderSaved:
    """Save an outside benefit system whole, where it still is what its ETag says; the same again changes nothing.

    Its signing secrets stay. Disabled, it is not called: its grants wait. Only addresses that the settings
    TACTICS_OUTBOUND_HOSTS and TACTICS_OUTBOUND_NETWORKS allow can be saved. One that a live activity names is changed only
    with the scope activities:publish too.
    """
    edit = Edit(_tag_of(provider), if_match, if_none_match, within=live_provider_kept(who, provider))
    document = {**body.model_dump(), "name": provider}
    with one_document(document):
        saved = flow.save(runtime, document, around=edit)
    edit.tell(response, f"{router.prefix}/{provider}" if saved.change == "new" else None)
    return ProviderSaved(name=provider, change=saved.change, signing_secrets=len(saved.provider.signing_secrets))


@router.delete(
    "/{provider}",
    status_code=204,
    dependencies=[EDITING],
    responses={204: {"description": "There is no such provider any more"}, **described(404, 409, 412, 422)},
)
def delete_provider(runtime: Acting, provider: ProviderName, if_match: IfMatch = "") -> None:
    """Remove an outside benefit system.

    A 409 says which live activities need it (`activities`), or which grants it has not settled (`grants`).
    """
    flow.remove(runtime, provider, around=Edit(_tag_of(provider), if_match))


@router.post(
    "/{provider}/rotate-secret",
    dependencies=[EDITING],
    responses={**told(200, examples.SECRET), **described(404, 409, 412, 422)},
)
def rotate_secret(
    runtime: Acting, who: Asking, response: Response, provider: ProviderName, if_match: IfMatch = ""
) -> SecretAnswer:
    """Make the next signing secret, told this once. Calls are signed by it, and by the one before for those who know that.

    The first one lets calls be signed at all. While a live activity names the provider, this needs the scope
    activities:publish too.
    """
    edit = Edit(_tag_of(provider), if_match, within=live_provider_kept(who, provider))
    made = flow.rotate_secret(runtime, provider, around=edit)
    edit.tell(response)
    response.headers["Cache-Control"] = "no-store"
    return SecretAnswer(name=provider, signing_secret=made)


def _answer(found: Provider) -> ProviderAnswer:
    return ProviderAnswer.model_validate(flow.shown(found))


def _tag(found: Provider) -> str:
    # Of two who exchange the secret at once one is refused: a third secret would push out the one that is in use. Of a
    # hash over secrets of 256 random bits nobody learns anything.
    return etag(flow.shown(found), found.signing_secrets)


def _tag_of(name: str) -> Callable[[Connection], str | None]:
    def read(conn: Connection) -> str | None:
        found = providers.find(conn, name)
        return None if found is None else _tag(found)

    return read

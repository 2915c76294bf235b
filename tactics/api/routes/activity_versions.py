"""`/v1/activities/{code}/versions`, what differs between them, and dry runs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from tactics.api.access import Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.documents import in_body, one_document
from tactics.api.examples_setup import answered, asked
from tactics.api.limits import MAX_LOOKS, MAX_PRICE_LOOKS, PRICE_READING, looks
from tactics.api.problems import Refused, described
from tactics.api.routes.activities import READING
from tactics.api.schemas_setup import (
    ActivityCode,
    ActivityVersion,
    After,
    Before,
    DifferenceAnswer,
    DryRunAnswer,
    DryRunDocument,
    DryRunRequest,
    Number,
    VersionList,
    differences,
    version_list,
)
from tactics.domain.activity import TacticsActivity
from tactics.domain.promotion import lowers_prices
from tactics.flows import activity as flow
from tactics.flows import dry_run
from tactics.store import activities, versions

router = APIRouter(prefix="/v1/activities", tags=["activities"], route_class=StrictRoute)
EDITING = needs("activities:edit")
_OF_BODY = described(400, 408, 413, 415, 422)


@router.get("/{code}/versions", dependencies=[READING], responses={**answered("versions"), **described(404, 422)})
def list_versions(app: Tactics, code: ActivityCode) -> VersionList:
    """List an activity's versions, newest first: current, drafts, earlier ones, and drafts that were passed over."""
    with app.runtime.engine.connect() as conn:
        current = activities.current(conn, code).version
        return version_list(versions.listing(conn, versions.ACTIVITY, code), current)


@router.get(
    "/{code}/versions/{version}", dependencies=[READING], responses={**answered("version"), **described(404, 422)}
)
def show_version(app: Tactics, code: ActivityCode, version: Number) -> ActivityVersion:
    """Give what a version of an activity says, as a document that can be sent again."""
    with app.runtime.engine.connect() as conn:
        activities.current(conn, code)
        return ActivityVersion(code=code, version=version, activity=flow.document(conn, code, version))


@router.get("/{code}/diff", dependencies=[READING], responses={**answered("diff"), **described(404, 409, 422)})
def compare_versions(app: Tactics, code: ActivityCode, before: Before = None, after: After = None) -> DifferenceAnswer:
    """Say what two versions say differently: what is current and the newest draft, or what is current and was before."""
    return differences(flow.compare(app.runtime, code, before, after))


@router.post("/dry-run", dependencies=[EDITING], responses={**answered("dry_run_of_a_document"), **_OF_BODY})
def dry_run_document(
    app: Tactics, body: Annotated[DryRunDocument, Body(openapi_examples=asked("dry_run_of_a_document"))]
) -> DryRunAnswer:
    """Show what an activity would do that is not saved; nothing is granted, written or counted.

    Limits and stock are those of the saved activity of this code, as far as there is one. Nothing is loaded for a user.
    """
    with one_document(body.activity, "behaviour rules alone have no dry run", below="/activity"):
        found = dry_run.dry_run_document(
            app.runtime, body.activity, body.facts, where=in_body(0), allow=_not_too_much(body.facts)
        )
    return DryRunAnswer.model_validate(found.to_json())


@router.post(
    "/{code}/dry-run",
    dependencies=[EDITING],
    responses={**answered("dry_run"), **described(404), **_OF_BODY},
)
def dry_run_activity(
    app: Tactics, code: ActivityCode, body: Annotated[DryRunRequest, Body(openapi_examples=asked("dry_run"))]
) -> DryRunAnswer:
    """Show what an activity would do with these facts; nothing is granted, written or counted.

    Without `version` it is the newest draft, or else what is current. Nothing is loaded for a user: the facts say all.
    """
    with one_document(body.facts, below="/facts"):
        found = dry_run.dry_run(app.runtime, code, body.facts, body.version, allow=_not_too_much(body.facts))
    return DryRunAnswer.model_validate(found.to_json())


def _not_too_much(facts: dict[str, Any]) -> dry_run.Allow:
    def allow(activity: TacticsActivity) -> None:
        priced = lowers_prices(activity) and "order" in facts
        work, most = looks([activity.rule], facts), MAX_LOOKS
        if priced:
            work, most = looks([activity.rule], facts, PRICE_READING), MAX_PRICE_LOOKS
        if work > most:
            detail = f"blocks of the rule times records of the facts are {work}, at most {most}: send less"
            raise Refused(422, "too_much_work", detail)

    return allow

"""What operators set up: importing activities, users, items and item sets; publishing and pausing.

Each import is one transaction: all of it, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from tactics.domain.catalogue import ItemRow, ItemSetRow, RowType, UserRow, parse_row
from tactics.errors import BadInput
from tactics.flows import activity as activity_flow
from tactics.flows.reading import Around, Read, Where, agreed_rules, read_documents, transaction
from tactics.runtime import Runtime
from tactics.store import activities, activity_versions, behaviour_rules, catalogue

BATCH = 5_000
MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an activity or a behaviour rule; `kind` tells which, `status` and `draft` are an activity's."""

    kind: str
    name: str
    version: int
    change: activities.Change
    status: activities.Status | None = None
    notes: tuple[str, ...] = ()
    draft: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)


def import_activities(
    runtime: Runtime,
    documents: Iterable[object],
    *,
    publish: bool = False,
    draft: bool = False,
    known_templates: Collection[str] | None = None,
    where: Where | None = None,
    around: Around = nullcontext,
) -> list[Imported]:
    """Import activities and behaviour rules; documents that say nothing new change nothing.

    Args:
        runtime: the process's runtime.
        documents: activities as mappings, some made from plays; one with nothing but `behaviour_rules` defines these
            alone.
        publish: make the activities live; else new ones are drafts and the others keep their status.
        draft: save new versions without making them current; their behaviour rules are not defined before they are
            published. The first version of a new activity is current: the activity itself is a draft.
        known_templates: the template types there are; None is not checked.
        where: names a document in errors, for example by its file; its number when left out.
        around: surrounds the import within its transaction.

    Returns:
        One for each activity, in the order given, then one for each behaviour rule, by key.

    Raises:
        BadInput: with all `problems` of all documents.
        Conflict: a rule key is defined in two ways, or a stock cannot become what is declared.
    """
    if draft and publish:
        raise BadInput("a draft is not published with its import: leave out one of the two", problems=[])
    place = where or (lambda index, path: f"document {index + 1}{path}")
    with transaction(runtime, around) as conn:
        read = read_documents(conn, documents, known_templates, place, draft=draft)
        if draft:
            _refuse_rules_alone(read)
        saved = {
            # In one order, always: other transactions lock the same rows.
            one.code: activity_versions.save_draft(conn, one) if draft else activities.save(conn, one, publish=publish)
            for one in sorted((part.activity for part in read if part.activity), key=lambda one: one.code)
        }
        rules = agreed_rules(conn, [part for part in read if not (part.activity and saved[part.activity.code].draft)])
        saved_rules = {key: behaviour_rules.save(conn, key, rule) for key, rule in sorted(rules.items())}
    return [
        Imported("activity", code, one.version, one.change, one.status, (*part.notes, *one.notes), one.draft)
        for part, code, one in ((part, part.activity.code, saved[part.activity.code]) for part in read if part.activity)
    ] + [Imported("behaviour_rule", key, version, change) for key, (version, change) in saved_rules.items()]


def _refuse_rules_alone(read: Sequence[Read]) -> None:
    problems = [
        {"where": part.where, "path": "/behaviour_rules", "message": "behaviour rules alone have no drafts"}
        for part in read
        if part.activity is None
    ]
    if problems:
        raise BadInput("\n".join(f"{one['where']}: {one['message']}" for one in problems), problems=problems)


def import_users(runtime: Runtime, rows: Iterable[object], *, where: Where | None = None) -> int:
    """Import users: `{user_id, attributes?, …}`, every other key an attribute. A known user's attributes are replaced.

    Args:
        runtime: the process's runtime.
        rows: the users, each id once.
        where: names a row in errors; its JSON Pointer when left out.

    Returns:
        How many rows there were.

    Raises:
        BadInput: with the first `problems`, each with `where` it is and a `message`.
    """
    with transaction(runtime) as conn:
        batches = _checked(UserRow, rows, where, unique=lambda row: row.user_id)
        return sum(_written(batch, lambda part: catalogue.save_users(conn, part)) for batch in batches)


def import_items(runtime: Runtime, rows: Iterable[object], *, where: Where | None = None) -> int:
    """Import items: `{item_id, category?, title?, price_minor?, currency?, attributes?}`. A known item is replaced.

    Arguments, answer and errors are those of `import_users`.
    """
    with transaction(runtime) as conn:
        batches = _checked(ItemRow, rows, where, unique=lambda row: row.item_id)
        return sum(_written(batch, lambda part: catalogue.save_items(conn, part)) for batch in batches)


def import_item_sets(
    runtime: Runtime, sets: Mapping[str, Sequence[str]] | Iterable[object], *, where: Where | None = None
) -> dict[str, int]:
    """Import item sets; each set named is replaced whole, the others stay.

    Args:
        runtime: the process's runtime.
        sets: a mapping of names to lists of item ids, or rows `{item_set, item_id}`.
        where: names a row in errors; its JSON Pointer when left out.

    Returns:
        How many items each set has now.

    Raises:
        BadInput: with the first `problems`, each with `where` it is and a `message`.
    """
    found: dict[str, set[str]] = {}
    rows: Iterable[object] = sets
    if isinstance(sets, Mapping):
        found = {name: set() for name in sets}
        rows, pointers = _rows_of_sets(sets)
        where = where or (lambda index, _path: pointers[index])
    for batch in _checked(ItemSetRow, rows, where):
        for row in batch:
            found.setdefault(row.item_set, set()).add(row.item_id)
    with transaction(runtime) as conn:
        if found:
            catalogue.replace_item_sets(conn, found)
    return {name: len(items) for name, items in sorted(found.items())}


def publish(runtime: Runtime, code: str) -> bool:
    """Make an activity live, in its newest draft if it has one; tells whether that changed anything.

    Raises:
        NotFound: there is no such activity.
        Conflict: it is paused and has a draft, so that it is not clear which version is to run.
    """
    return activity_flow.publish(runtime, code).change != "unchanged"


def pause(runtime: Runtime, code: str) -> bool:
    """Pause a live activity; tells whether that changed anything.

    Raises:
        NotFound: there is no such activity.
        Conflict: it is a draft.
    """
    return activity_flow.pause(runtime, code).change != "unchanged"


def _checked(
    kind: type[RowType],
    rows: Iterable[object],
    where: Where | None,
    *,
    unique: Callable[[RowType], str] | None = None,
) -> Iterator[list[RowType]]:
    """Read rows in batches; after the first bad one only look for more of them, then refuse them together."""
    place = where or (lambda index, path: f"/{index}{path}")
    batch: list[RowType] = []
    problems: list[dict[str, str]] = []
    seen: dict[str, int] = {}
    for index, row in enumerate(rows):
        one, found = _parsed(kind, row)
        if one is not None and unique and (first := seen.setdefault(unique(one), index)) != index:
            found = [{"path": "", "message": f"{unique(one)!r} was at {place(first, '')} before"}]
        if one is None or found:
            problems += [{"where": place(index, part["path"]), "message": part["message"]} for part in found]
            if len(problems) >= MOST_PROBLEMS:
                break
            continue
        batch.append(one)
        if len(batch) == BATCH:
            if not problems:
                yield batch
            batch = []
    if problems:
        lines = "\n".join(f"  {problem['where']}: {problem['message']}" for problem in problems)
        raise BadInput(f"nothing was imported, for these rows cannot be:\n{lines}", problems=problems)
    if batch:
        yield batch


def _parsed(kind: type[RowType], row: object) -> tuple[RowType | None, list[dict[str, str]]]:
    try:
        return parse_row(kind, row), []
    except BadInput as error:
        return None, error.fields["problems"]


def _written(batch: list[RowType], write: Callable[[list[RowType]], None]) -> int:
    write(batch)
    return len(batch)


def _rows_of_sets(sets: Mapping[str, Sequence[str]]) -> tuple[list[object], list[str]]:
    rows: list[object] = []
    pointers: list[str] = []
    for name, items in sets.items():
        if isinstance(items, str) or not isinstance(items, Iterable):
            raise BadInput(f"item set {name!r} is not a list of item ids", problems=[{"where": f"/{name}"}])
        rows += [{"item_set": name, "item_id": item} for item in items]
        pointers += [f"/{name}/{index}" for index in range(len(items))]
    return rows, pointers

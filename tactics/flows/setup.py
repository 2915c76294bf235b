"""What operators set up: importing activities, users, items and item sets; publishing and pausing.

Each import is one transaction: all of it, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from tactics.domain.activity import BehaviourRule, TacticsActivity, parse_activity
from tactics.domain.behaviour_rule import is_rule_document, parse_behaviour_rules
from tactics.domain.catalogue import ItemRow, ItemSetRow, RowType, UserRow, parse_row
from tactics.domain.plain import plain_problem
from tactics.errors import BadInput, Conflict
from tactics.runtime import Runtime
from tactics.store import activities, behaviour_rules, catalogue

BATCH = 5_000
MOST_PROBLEMS = 20

Where = Callable[[int, str], str]
"""Says in people's terms where something is: from the row's or document's index, and the JSON Pointer within it."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an activity or a behaviour rule; `kind` tells which, `status` is an activity's."""

    kind: str
    name: str
    version: int
    change: activities.Change
    status: activities.Status | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Document:
    """A document as read: an activity with its rules, or rules alone."""

    where: str
    activity: TacticsActivity | None
    rules: Mapping[str, BehaviourRule]

    @property
    def name(self) -> str:
        return f"activity {self.activity.code!r}" if self.activity else self.where


def import_activities(
    runtime: Runtime,
    documents: Iterable[object],
    *,
    publish: bool = False,
    known_templates: Collection[str] | None = None,
    where: Where | None = None,
) -> list[Imported]:
    """Import activities and behaviour rules; documents that say nothing new change nothing.

    Args:
        runtime: the process's runtime.
        documents: activities as mappings; one with nothing but `behaviour_rules` defines these alone.
        publish: make the activities live; else new ones are drafts and the others keep their status.
        known_templates: the template types there are; None is not checked.
        where: names a document in errors, for example by its file; its number when left out.

    Returns:
        One for each activity, in the order given, then one for each behaviour rule, by key.

    Raises:
        BadInput: with all `problems` of all documents.
        Conflict: a rule key is defined in two ways, or a stock cannot become what is declared.
    """
    read = _read_documents(documents, known_templates, where or (lambda index, path: f"document {index + 1}{path}"))
    with _transaction(runtime) as conn:
        rules = _agreed_rules(conn, read)
        saved = {
            one.code: activities.save(conn, one, publish=publish)
            # In one order, always: other transactions lock the same rows.
            for one in sorted((part.activity for part in read if part.activity), key=lambda one: one.code)
        }
        saved_rules = {key: behaviour_rules.save(conn, key, rule) for key, rule in sorted(rules.items())}
    return [
        Imported("activity", code, one.version, one.change, one.status, one.notes)
        for code, one in ((part.activity.code, saved[part.activity.code]) for part in read if part.activity)
    ] + [Imported("behaviour_rule", key, version, change) for key, (version, change) in saved_rules.items()]


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
    with _transaction(runtime) as conn:
        batches = _checked(UserRow, rows, where, unique=lambda row: row.user_id)
        return sum(_written(batch, lambda part: catalogue.save_users(conn, part)) for batch in batches)


def import_items(runtime: Runtime, rows: Iterable[object], *, where: Where | None = None) -> int:
    """Import items: `{item_id, category?, title?, price_minor?, currency?, attributes?}`. A known item is replaced.

    Arguments, answer and errors are those of `import_users`.
    """
    with _transaction(runtime) as conn:
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
    with _transaction(runtime) as conn:
        if found:
            catalogue.replace_item_sets(conn, found)
    return {name: len(items) for name, items in sorted(found.items())}


def publish(runtime: Runtime, code: str) -> bool:
    """Make an activity live; tells whether that changed anything.

    Raises:
        NotFound: there is no such activity.
    """
    with _transaction(runtime) as conn:
        return activities.set_status(conn, code, "live")


def pause(runtime: Runtime, code: str) -> bool:
    """Pause a live activity; tells whether that changed anything.

    Raises:
        NotFound: there is no such activity.
        Conflict: it is a draft.
    """
    with _transaction(runtime) as conn:
        return activities.set_status(conn, code, "paused")


@contextmanager
def _transaction(runtime: Runtime) -> Iterator[Connection]:
    with runtime.engine.begin() as conn:
        activities.serialize(conn)
        yield conn


def _read_documents(
    documents: Iterable[object], known_templates: Collection[str] | None, where: Where
) -> list[_Document]:
    read: list[_Document] = []
    problems: list[dict[str, str]] = []
    lines: list[str] = []
    first_at: dict[str, str] = {}
    for index, document in enumerate(documents):
        place = where(index, "")
        try:
            one = _read_document(document, place, known_templates)
        except BadInput as error:
            problems += [{"where": place, **problem} for problem in error.fields["problems"]]
            lines.append(f"{place}: {error.message}")
            continue
        read.append(one)
        if one.activity and (first := first_at.setdefault(one.activity.code, place)) != place:
            problems.append({"where": place, "path": "/code", "message": f"{one.name} is also in {first}"})
            lines.append(f"{place}: {one.name} is also in {first}")
    if problems or lines:
        raise BadInput("\n".join(lines), problems=problems)
    return read


def _read_document(document: object, place: str, known_templates: Collection[str] | None) -> _Document:
    problem = plain_problem(document)
    if problem:
        raise BadInput(f"{problem['path'] or '/'}: {problem['message']}", problems=[problem])
    if is_rule_document(document):
        return _Document(place, None, parse_behaviour_rules(document))
    activity = parse_activity(document)
    if known_templates is not None and activity.template_type not in known_templates:
        message = f"there is no template {activity.template_type!r}; there are {', '.join(sorted(known_templates))}"
        problem = {"path": "/template_type", "message": message}
        raise BadInput(f"activity {activity.code!r}: /template_type: {message}", problems=[problem])
    return _Document(place, activity, activity.behaviour_rules)


def _agreed_rules(conn: Connection, read: Sequence[_Document]) -> dict[str, BehaviourRule]:
    """Give the one rule of each key, refusing two: a key's events would mean one thing here, another there."""
    claims = [(key, part.name, rule) for part in read for key, rule in part.rules.items()]
    imported = [part.activity.code for part in read if part.activity]
    stored = behaviour_rules.defined_by(conn, {key for key, _, _ in claims}, imported)
    claims += [(key, f"activity {code!r}", rule) for key, code, rule in stored]
    agreed: dict[str, tuple[str, BehaviourRule]] = {}
    for key, name, rule in claims:
        first, agreed_rule = agreed.setdefault(key, (name, rule))
        if not behaviour_rules.says_same(agreed_rule, rule):
            raise Conflict(
                f"behaviour rule {key!r} is defined differently by {first} and by {name}: give one of them another key, "
                "or import both together with the same rule",
                rule_key=key,
                defined_by=[first, name],
            )
    return {key: rule for key, (_, rule) in agreed.items()}


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

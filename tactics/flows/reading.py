"""Reading activity documents: each checked whole, those that name a play filled from it, all problems said together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from tactics.domain.activity import BehaviourRule, TacticsActivity, parse_activity, pointer, refused, warnings_of
from tactics.domain.behaviour_rule import is_rule_document, parse_behaviour_rules
from tactics.domain.filling import OWN, fill, play_asked
from tactics.domain.grant import uncounted
from tactics.domain.plain import plain_problem
from tactics.domain.play import Play
from tactics.domain.provider import LOCAL
from tactics.errors import BadInput, Conflict, NotFound
from tactics.runtime import Runtime
from tactics.store import activities, behaviour_rules, plays, providers, versions

Where = Callable[[int, str], str]
"""Says in people's terms where something is: from the row's or document's index, and the JSON Pointer within it."""
Around = Callable[[Connection], AbstractContextManager[object]]
"""What surrounds a change within its transaction, when nobody else changes anything: it may refuse, and it may look."""


@dataclass(frozen=True, slots=True)
class Read:
    """A document as read: an activity with its rules, or rules alone."""

    where: str
    activity: TacticsActivity | None
    rules: Mapping[str, BehaviourRule]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return f"activity {self.activity.code!r}" if self.activity else self.where


@contextmanager
def transaction(runtime: Runtime, around: Around = nullcontext) -> Iterator[Connection]:
    """Change what operators set up, one transaction at a time."""
    with runtime.changing() as conn:
        activities.serialize(conn)
        with around(conn):
            yield conn


def read_documents(
    conn: Connection,
    documents: Iterable[object],
    known_templates: Collection[str] | None,
    where: Where,
    *,
    draft: bool = False,
) -> list[Read]:
    """Read documents of activities and behaviour rules, each activity once.

    Args:
        conn: where plays and providers are; not asked for documents that name none.
        documents: as they came from a file.
        known_templates: the template types there are; None is not checked.
        where: names a document in errors.
        draft: they become drafts.

    Raises:
        BadInput: with all `problems` of all documents.
    """
    read: list[Read] = []
    problems: list[dict[str, str]] = []
    lines: list[str] = []
    first_at: dict[str, str] = {}
    for index, document in enumerate(documents):
        place = where(index, "")
        try:
            one = read_document(conn, document, place, known_templates, draft=draft)
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


def read_document(
    conn: Connection,
    document: object,
    place: str,
    known_templates: Collection[str] | None = None,
    *,
    draft: bool = False,
) -> Read:
    """Read one document of an activity or of behaviour rules; arguments and errors are those of `read_documents`."""
    problem = plain_problem(document)
    if problem:
        raise BadInput(f"{problem['path'] or '/'}: {problem['message']}", problems=[problem])
    if is_rule_document(document):
        return Read(place, None, parse_behaviour_rules(document))
    notes: tuple[str, ...] = ()
    if isinstance(document, dict) and OWN & document.keys():
        document, notes = _from_play(conn, document, draft=draft)
    activity = parse_activity(document)
    if known_templates is not None and activity.template_type not in known_templates:
        message = f"there is no template {activity.template_type!r}; there are {', '.join(sorted(known_templates))}"
        raise refused("activity", activity.code, [{"path": "/template_type", "message": message}])
    notes = (*notes, *warnings_of(activity), *uncounted(activity), *_provider_notes(conn, activity))
    return Read(place, activity, activity.behaviour_rules, notes)


def _provider_notes(conn: Connection, activity: TacticsActivity) -> tuple[str, ...]:
    return provider_notes(conn, activity.code, {code: one.provider for code, one in activity.benefits.items()})


def provider_notes(conn: Connection, activity_code: str, provider_of: Mapping[str, str]) -> tuple[str, ...]:
    """Check that there are the outside benefit systems that an activity names.

    Args:
        conn: any connection.
        activity_code: the activity's.
        provider_of: who gives each of its benefits.

    Returns:
        Which of them are disabled, in sentences.

    Raises:
        BadInput: there is none of a name, with all `problems`.
    """
    named = {code: name for code, name in provider_of.items() if name != LOCAL}
    if not named:
        return ()
    known = providers.enabled(conn, set(named.values()))
    problems = [
        {
            "path": pointer(("benefits", code, "provider")),
            "message": f"there is no provider {name!r}: set it up with `tactics providers set {name}` first",
        }
        for code, name in named.items()
        if name not in known
    ]
    if problems:
        raise refused("activity", activity_code, problems)
    return tuple(
        f"{pointer(('benefits', code, 'provider'))}: provider {name!r} is disabled: its grants wait until it is enabled"
        for code, name in named.items()
        if not known[name]
    )


def agreed_rules(conn: Connection, read: Sequence[Read]) -> dict[str, BehaviourRule]:
    """Give the one rule of each key, refusing two: a key's events would mean one thing here, another there.

    Raises:
        Conflict: a rule key is defined in two ways.
    """
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


def _from_play(conn: Connection, document: dict[str, Any], *, draft: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    code = document.get("code")
    if "play" not in document:
        found = [key for key in sorted(OWN) if key in document]
        raise refused("activity", code, [{"path": f"/{key}", "message": "name the `play` it is for"} for key in found])
    named, version = play_asked(document)
    play = _play(conn, document, named, version or _stays_with(conn, code, named, draft=draft))
    newest = plays.current(conn, named) or 0
    notes = (
        f"play {named} has version {newest} by now, this stays with version {play.version}: `play_version` moves it",
    )
    return fill(document, play), notes if version is None and newest > play.version else ()


def _play(conn: Connection, document: Mapping[str, Any], named: str, version: int | None) -> Play:
    try:
        return plays.usable(conn, named, version)
    except (NotFound, Conflict) as error:
        path = "/play_version" if "version" in error.fields else "/play"
        raise refused("activity", document.get("code"), [{"path": path, "message": error.message}]) from None


def _stays_with(conn: Connection, code: object, named: str, *, draft: bool) -> int | None:
    """Give the version of the play that an activity was made from: a file that says no other means that one."""
    known = versions.listing(conn, versions.ACTIVITY, code) if isinstance(code, str) else []
    if not known or not isinstance(code, str):
        return None
    number = known[0].version if draft else activities.current(conn, code).version
    origin = activities.definition(conn, code, number).get("play", {})
    return origin["version"] if origin.get("code") == named else None

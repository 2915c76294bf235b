"""An activity from a play: the play's document, with its form filled and what the activity says for itself (C-58).

What a play gives may be narrowed, not widened: an activity drops channels and lowers limits, it never adds a channel or
raises a limit. Its words and wording (`expression`, `tool_type`) are its own. Rule and template stay the play's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tactics.domain.activity import MOST_INTEGER, Limits, pointer, refused
from tactics.domain.play import Play
from tactics.errors import BadInput

LINKS = ("prepare", "grant")
MOST_LIMITS = tuple(Limits.model_fields)
OWN = frozenset({"play", "play_version", "parameters"})
"""Keys that only the document of an activity from a play has."""


def play_asked(document: Mapping[str, Any]) -> tuple[str, int | None]:
    """Give the code of the play that an activity's document names, and the version if it names one.

    Raises:
        BadInput: what stands there is neither.
    """
    code, version = document["play"], document.get("play_version")
    problems = []
    if not isinstance(code, str):
        problems.append({"path": "/play", "message": "the code of a play belongs here"})
    if version is not None and (
        not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= MOST_INTEGER
    ):
        problems.append({"path": "/play_version", "message": "a play's version belongs here: 1, 2, 3 …"})
    if problems:
        raise refused("activity", document.get("code", "?"), problems)
    return code, version


def fill(document: Mapping[str, Any], play: Play) -> dict[str, Any]:
    """Make an activity's document from one that names a play.

    Args:
        document: `{code, play, parameters, schedule, benefits, …}`.
        play: the version of the play that it is made from.

    Returns:
        The document of an activity, for `parse_activity`; its `play` says where it comes from.

    Raises:
        BadInput: the form is not filled right, or the activity widens what the play gives; with all `problems`.
    """
    problems = [
        {"path": f"/{key}", "message": message}
        for key, message in (
            ("rule", f"the rule is that of play {play.code!r}: leave it out, and fill `parameters`"),
            ("template_type", f"play {play.code!r} runs on {play.template_type}: leave it out"),
        )
        if key in document and _fixed(key, document[key], play)
    ]
    problems += _needed(document, play)
    problems += _wider_channels(document.get("channels"), play)
    problems += _wider_limits(document.get("limits"), play)
    made = {key: value for key, value in document.items() if key not in OWN}
    try:
        bound = play.bound(document.get("parameters", {}))
    except BadInput as error:
        problems = [*error.fields["problems"], *problems]
    if problems:
        raise refused("activity", document.get("code", "?"), problems)
    return {
        **_given(play),
        **made,
        **_joined(made, play),
        "rule": bound.rule,
        "play": {"code": play.code, "version": play.version, "parameters": bound.parameters},
    }


def unfill(definition: Mapping[str, Any], play: Play) -> dict[str, Any]:
    """Give the document that `fill` made this of: what the play gives is left out.

    Args:
        definition: an activity as stored, without its code.
        play: the version of the play that it was made from.
    """
    origin = definition["play"]
    given = _given(play)
    kept = {key: value for key, value in definition.items() if key not in {"rule", "play"} and given.get(key) != value}
    for key in ("channels", "limits", "expression"):
        parts = {name: part for name, part in definition.get(key, {}).items() if given.get(key, {}).get(name) != part}
        kept.pop(key, None)
        if parts:
            kept[key] = parts
    return {
        "play": origin["code"],
        "play_version": origin["version"],
        "parameters": origin["parameters"],
        **kept,
    }


def _given(play: Play) -> dict[str, Any]:
    """What the play says of an activity."""
    said = play.to_json()
    return {key: said[key] for key in ("template_type", "tool_type", "channels", "limits", "expression") if key in said}


def _joined(made: Mapping[str, Any], play: Play) -> dict[str, Any]:
    """Of what both say, the activity's parts before the play's; what is no mapping is refused later."""
    given = _given(play)
    return {
        key: {**given.get(key, {}), **made[key]}
        for key in ("channels", "limits", "expression")
        if isinstance(made.get(key), Mapping)
    }


def _fixed(key: str, said: object, play: Play) -> bool:
    return key == "rule" or (play.template_type is not None and said != play.template_type)


def _needed(document: Mapping[str, Any], play: Play) -> Iterator[dict[str, str]]:
    """Find what a tool leaves to the activity."""
    if play.is_tool and "channels" not in document:
        yield {"path": "/channels", "message": f"{play.code!r} is a tool: say on which channels the activity runs"}
    if play.template_type is None and "template_type" not in document:
        yield {"path": "/template_type", "message": f"{play.code!r} is a tool: say which template the activity runs on"}


def _wider_channels(said: object, play: Play) -> Iterator[dict[str, str]]:
    if play.channels is None or not isinstance(said, Mapping):
        return
    for link in LINKS:
        given: Collection[str] = getattr(play.channels, link)
        codes = said.get(link)
        if not isinstance(codes, list | tuple):
            continue
        if given and not codes:
            # Without a channel that prepares, every visitor would be looked at.
            message = f"name at least one of play {play.code!r}: {', '.join(given)}; or leave it out for all of them"
            yield {"path": f"/channels/{link}", "message": message}
        for index, code in enumerate(codes):
            if code not in given:
                message = f"play {play.code!r} does not run on {code!r}, only on {', '.join(given) or 'none'}"
                yield {"path": f"/channels/{link}/{index}", "message": message}


def _wider_limits(said: object, play: Play) -> Iterator[dict[str, str]]:
    if not isinstance(said, Mapping):
        return
    for name in MOST_LIMITS:
        most, wanted = getattr(play.limits, name), said.get(name, 0)
        if most is not None and (wanted is None or (isinstance(wanted, int) and wanted > most)):
            yield {"path": pointer(["limits", name]), "message": f"play {play.code!r} allows at most {most}"}

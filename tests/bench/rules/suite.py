"""All figures: which keys there are, what is aimed at, and how they are shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.rules import beside, compiling, peers, sets, single, why
from tests.bench.rules.size import Size

MEASURES: dict[tuple[str, ...], Callable[[Size], dict[str, float]]] = {
    module.KEYS: module.measure for module in (single, sets, compiling, why)
}
KEYS = (*(key for keys in MEASURES for key in keys), beside.PEERS, beside.PEERS_JSON)
AIMS = {
    "r1_over_hand": 1.1,
    "r2_over_hand": 1.1,
    "r3_over_hand": 1.1,
    "rules_1000_over_hand": 0.25,
    "rules_10000_over_1000": 5.0,
    "compile_us": 100.0,
    "why_over_plain": 1.1,
}
"""At most; every peer's time over ours is to be more than 1."""


def take(
    size: Size, only: Collection[str] | None = None, names: Sequence[str] = tuple(peers.MODULES)
) -> dict[str, Any]:
    """Take the measures that give these keys, all when None, and say on stderr how long each took.

    Args:
        size: how much of everything.
        only: the keys.
        names: the peers, as PyPI names them; one that is not installed has null for its figures.

    Raises:
        MeasureFailed: a contestant answers differently.
    """
    figures: dict[str, Any] = {}
    for keys, measure in MEASURES.items():
        if only is None or set(keys) & set(only):
            figures |= _timed(", ".join(keys), measure, size)
    found, missing = beside.load(names)
    for key, compare in ((beside.PEERS, beside.measure), (beside.PEERS_JSON, beside.measure_json)):
        if only is None or key in only:
            figures[key] = {**_timed(key, compare, found, size), **dict.fromkeys(missing)}
    if missing:
        figures["peers_missing"] = missing
    return {name: _rounded(value) for name, value in figures.items()}


def missed(figures: Mapping[str, Any]) -> list[str]:
    """Name the figures that miss their aim; of a peer, as `peers.name.rule`."""
    found = [key for key, aim in AIMS.items() if key in figures and figures[key] > aim]
    for key in (beside.PEERS, beside.PEERS_JSON):
        peers_only = {name: ratios for name, ratios in figures.get(key, {}).items() if name != "hand"}
        for name, ratios in peers_only.items():
            found += [f"{key}.{name}.{rule}" for rule, ratio in (ratios or {}).items() if ratio <= 1]
    return found


def show(figures: Mapping[str, Any]) -> None:
    """Print the figures, and whether the aims are met."""
    behind = missed(figures)
    table = Table("measure", "figure", "aim", "", title="Rules: ratios within this run")
    for key in KEYS:
        if isinstance(figures.get(key), float):
            aim = f"≤ {AIMS[key]:g}" if key in AIMS else ""
            table.add_row(key, f"{figures[key]:g}", aim, ("missed" if key in behind else "met") if aim else "")
    console = Console()
    if table.rows:
        console.print(table)
    for key, title in ((beside.PEERS, "from Python objects"), (beside.PEERS_JSON, "from JSON text")):
        if key in figures:
            console.print(_peers(figures, key, f"Each one's time over ours, {title}; aim: > 1", behind))
    for name, reason in figures.get("peers_missing", {}).items():
        console.print(f"{name}: {reason}")
    console.print(f"Missed: {', '.join(behind) or 'nothing'}")


def _peers(figures: Mapping[str, Any], key: str, title: str, behind: Collection[str]) -> Table:
    rules = ("r1", "r2", "r3", "rules_1000") if key == beside.PEERS else ("r1", "r2", "r3")
    table = Table(title=title)
    table.add_column("", no_wrap=True)
    for rule in rules:
        table.add_column(rule, justify="right")
    for name, ratios in figures[key].items():
        marks = {rule: "missed " if f"{key}.{name}.{rule}" in behind else "" for rule in rules}
        table.add_row(name, *(f"{marks[rule]}{ratios[rule]:.3g}" if ratios else "-" for rule in rules))
    return table


def _timed(what: str, measure: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    started = time.perf_counter()
    found = measure(*arguments)
    print(f"{what}: measured in {time.perf_counter() - started:.1f} s", file=sys.stderr)
    return found


def _rounded(found: Any) -> Any:
    if isinstance(found, Mapping):
        return {name: _rounded(value) for name, value in found.items()}
    return float(f"{found:.4g}") if isinstance(found, float) else found

"""Links between the documents lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import DOCS, ROOT

_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
START = ROOT / "README.md"


def _prose(path: Path) -> str:
    return _FENCE.sub("", path.read_text())


def _anchors(path: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub and most others make them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(_prose(path)))
    return {heading.replace(" ", "-") for heading in plain}


def _links(path: Path) -> Iterator[tuple[Path, str]]:
    for target in _LINK.findall(_prose(path)):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            yield ((path.parent / name).resolve() if name else path), anchor


def _all() -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in DOCS]


@pytest.mark.parametrize("path", _all())
def test_links_lead_to_pages_and_headings(path: Path) -> None:
    """Every link that stays in the repository names a file that is there, and a heading in it."""
    for target, anchor in _links(path):
        assert target.is_file(), f"{path.name} links to {target}, which is not there"
        assert not anchor or anchor in _anchors(target), f"{path.name}: {target.name} has no heading #{anchor}"


def test_every_page_can_be_reached_from_the_start() -> None:
    """From the README, by links alone or from a folder's first page to its neighbours, one comes to every page."""
    reached, waiting = {START}, [START]
    while waiting:
        for target, _ in _links(waiting.pop()):
            if target not in reached and target.suffix == ".md":
                reached.add(target)
                waiting.append(target)
    assert set(DOCS) - reached == set()


def test_the_start_is_short() -> None:
    """The README can be read in one go: at most 160 lines."""
    assert len(START.read_text().splitlines()) <= 160

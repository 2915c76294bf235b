"""Documents written as YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics.cli.files import _yaml
from tactics.cli.yaml_out import dump, write
from tactics.errors import BadInput

# What some reader of YAML takes for a number, a date, a boolean, nothing, a merge, or the end of a line.
TRICKY = (
    *("1e3", "-1E5", "0123", "1_000", "0x1f", "0o7", "+1", ".5", "1.5e3", "12:30", "2020-01-01", ".inf", "="),
    *("yes", "null", "~", "", "<<", "- a", "a: b", "#x", " x ", "\x85", "\u2028", "\ufeff", "\r", "a\nb", "---"),
)
_TEXT = st.sampled_from(TRICKY) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
_LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
_JSON = st.recursive(_LEAF, lambda part: st.lists(part) | st.dictionaries(_TEXT, part), max_leaves=15)


@given(document=st.dictionaries(_TEXT, _JSON, min_size=1), other=st.dictionaries(_TEXT, _LEAF, min_size=1))
def test_what_is_written_reads_back_the_same(document: dict[str, Any], other: dict[str, Any]) -> None:
    """The project's own reader gives back every document with every type, whatever its texts look like."""
    assert json.dumps(_yaml(Path("x"), dump(document, other)), sort_keys=True) == json.dumps(
        [document, other], sort_keys=True
    )


def test_parts_that_are_shared_are_written_out(tmp_path: Path) -> None:
    """No anchors: people edit these files, and one edit must not change two places."""
    part = {"a": [1]}
    assert "&" not in dump({"one": part, "two": part})


def test_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    """A file in the folder's place is an error that names it."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(BadInput, match="cannot write to"):
        write([("a", [{"a": 1}])], tmp_path / "taken")

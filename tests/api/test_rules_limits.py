"""How much one request may ask for is counted before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from tactics.api.limits import looks
from tactics.rules.check import MAX_NODES

BLOCK: dict[str, Any] = {"block": "x"}


@pytest.mark.parametrize(
    ("rules", "facts", "found"),
    [
        ([], {"a": [1, 2]}, 0),
        ([BLOCK], {}, 1),
        ([BLOCK], {"order": {"lines": [{}, {}, {}]}}, 4),
        ([BLOCK, {"and": [BLOCK, {"not": {"block": "y", "params": {"a": BLOCK}}}]}], {"a": [0]}, 8),
        ([BLOCK], {"a": [["x", "y"], []]}, 5),
        ([BLOCK], {"a": "x" * 256, "b": 2**63}, 1),
        ([BLOCK], {"a": "x" * 800}, 101),
        ([BLOCK], {"a": [-(2**319)]}, 12),
        ([{"or": [BLOCK] * MAX_NODES}], {}, MAX_NODES),
        ([{"or": [BLOCK] * (MAX_NODES + 1)}, BLOCK], {}, 2),
        ([None, 5, "block", [BLOCK]], None, 1),
    ],
)
def test_looks_are_blocks_times_records(rules: list[Any], facts: Any, found: int) -> None:
    """Members of lists are records, long texts and numbers weigh as many; a rule that is refused anyway weighs as one."""
    assert looks(rules, facts) == found


def test_reading_counts_for_each_record() -> None:
    """What is read strictly costs something even when no block looks at it."""
    assert looks([], [{"lines": [1, 2]}, {}], 10) == 50
    assert looks([BLOCK], [{"lines": [1, 2]}, {}], 10) == 55

"""Differences of documents."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tactics.domain.difference import Change, differences

_LEAF = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([1.0, "a", "b/c", ""])
_JSON = st.recursive(
    _LEAF,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.sampled_from(["a", "b/c", "~"]), part),
    max_leaves=12,
)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _applied(document: Any, changes: list[Change]) -> Any:
    """Do to a document what a difference says; what goes, goes from the end, and what comes, comes in order."""
    box = [json.loads(json.dumps(document))]
    removed = [one for one in changes if one.removed]
    for one in [*reversed(removed), *(one for one in changes if not one.removed)]:
        steps = [part.replace("~1", "/").replace("~0", "~") for part in one.path.split("/")[1:]]
        holder: Any = box
        for step in ["0", *steps][:-1]:
            holder = holder[int(step) if isinstance(holder, list) else step]
        last: Any = steps[-1] if steps else "0"
        if isinstance(holder, list):
            last = int(last)
        if one.removed:
            del holder[last]
        elif one.added and isinstance(holder, list):
            holder.insert(last, one.after)
        else:
            holder[last] = one.after
    return box[0]


@given(before=_JSON, after=_JSON)
def test_difference_says_all_that_changed(before: Any, after: Any) -> None:
    """Done to the earlier document, the changes give the later one; and there are none exactly when both say the same."""
    changes = differences(before, after)
    assert _text(_applied(before, changes)) == _text(after)
    assert (changes == []) == (_text(before) == _text(after))


def test_only_what_differs_is_named() -> None:
    """A step put in front of others is one change, a value deep inside is one line, and true is not 1."""
    steps = [{"at": 1}, {"at": 2}]
    before = {"steps": steps, "limits": {"per_user": 1}, "gone": [1], "same": 0}
    after = {"steps": [{"at": 0}, *steps], "limits": {"per_user": True}, "same": 0, "new": "x"}
    assert [one.line() for one in differences(before, after)] == [
        '+ /steps/0: {"at": 0}',
        "~ /limits/per_user: 1 → true",
        "- /gone: [1]",
        '+ /new: "x"',
    ]
    assert differences(before, after)[0].to_json() == {"path": "/steps/0", "before": None, "after": {"at": 0}}

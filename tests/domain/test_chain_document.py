"""Stored chains as documents."""

from __future__ import annotations

from typing import Any

import pytest

from tactics.domain.chain import parse_chain
from tactics.errors import BadInput

GOOD: dict[str, Any] = {"chain": "quick", "template_type": "t", "link": "grant", "steps": ["finish_execution"]}


def test_document_reads_back_as_it_was_written() -> None:
    """A document with and one without channel codes give themselves."""
    for document in (GOOD, {**GOOD, "channel_codes": ["a", "b"]}):
        assert parse_chain(document).to_json() == document
    assert parse_chain(GOOD).claims == (None,)
    assert parse_chain({**GOOD, "channel_codes": ["a", "b"]}).claims == ("a", "b")


@pytest.mark.parametrize(
    ("changes", "path", "text"),
    [
        ({"link": "both"}, "/link", "'prepare' or 'grant'"),
        ({"steps": "finish_execution"}, "/steps", "valid tuple"),
        ({"steps": ["x", 7]}, "/steps/1", "valid string"),
        ({"channel_codes": []}, "/channel_codes", "leave the key out for all codes"),
        ({"channel_codes": ["a", "b", "a"]}, "/channel_codes", "'a' stands in it twice"),
        ({"channel_codes": ["a b"]}, "/channel_codes/0", "pattern"),
        ({"chain": "with space"}, "/chain", "pattern"),
        ({"step": ["x"]}, "/step", "not permitted"),
        ({"chain": "a\x00"}, "/chain", "NUL"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_path(changes: dict[str, Any], path: str, text: str) -> None:
    """A wrong document names the place and what was expected there."""
    with pytest.raises(BadInput, match="chain ") as raised:
        parse_chain({**GOOD, **changes})
    (problem,) = raised.value.fields["problems"]
    assert problem["path"] == path
    assert text in problem["message"]


@pytest.mark.parametrize("document", [None, [], "chain", 7])
def test_something_else_is_refused(document: object) -> None:
    """What is no mapping is refused in words."""
    with pytest.raises(BadInput, match="a chain is a mapping"):
        parse_chain(document)

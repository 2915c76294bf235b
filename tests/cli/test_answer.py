"""A placement's answer as a shopper sees it."""

from __future__ import annotations

from tactics.cli.answer import answer_lines


def test_an_item_without_a_title_is_called_by_its_id() -> None:
    """The catalogue may not know an item; the answer is shown all the same."""
    result = {
        "activity": "tea",
        "outcome": "granted",
        "expression": {"title": "", "text": "Tea"},
        "assets": [],
        "items": [{"item_id": "t1", "price_minor": 390, "text": "3.90 USD"}],
    }
    assert list(answer_lines({"results": [result], "not_shown": []})) == [
        "★ Tea",
        "  · t1  3.90 USD",
        "  [tea: granted]",
    ]


def test_what_more_would_bring_stands_below_the_reason() -> None:
    """Items of an activity that shows nothing follow its reason, each with its words; the next activity comes after."""
    item = {"item_id": "t1", "title": "Tea", "price_minor": 390, "text": "3.90 USD; 2 more for 3.50 USD each"}
    parts = [
        {"activity": "tea", "reason": "not_matched", "text": "1 of 3 pieces", "items": [item]},
        {"activity": "cake", "reason": "sold_out", "text": "sold_out"},
    ]
    assert list(answer_lines({"results": [], "not_shown": parts})) == [
        "✗ nothing from tea: not_matched (1 of 3 pieces)",
        "  · Tea (t1)  3.90 USD; 2 more for 3.50 USD each",
        "✗ nothing from cake: sold_out",
    ]

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

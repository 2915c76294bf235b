"""A placement's answer as a shopper would see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def answer_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Show an answer: what there is to get, in its words, then why other activities show nothing.

    Below that reason stand the items that buying more of would make cheaper.

    Args:
        answer: in the form of the HTTP contract.
    """
    for result in answer["results"]:
        yield from _result(result)
    for part in answer["not_shown"]:
        yield f"✗ nothing from {part['activity']}: {part['reason']}" + (
            f" ({part['text']})" if part["text"] != part["reason"] else ""
        )
        yield from _items(part.get("items", ()))
    if not answer["results"] and not answer["not_shown"]:
        yield "✗ nothing: no activity runs on this channel at the moment"


def _result(result: Mapping[str, Any]) -> Iterator[str]:
    words = result["expression"]
    yield f"★ {words['title'] or words['text']}"
    if words["title"] and words["text"]:
        yield f"  {words['text']}"
    for asset in result["assets"]:
        code = f"code {asset['code']}, " if asset.get("code") else ""
        yield f"  {asset['kind']}: {code}{asset['status']}, until {asset['valid_until'][:16].replace('T', ' ')} UTC"
    yield from _items(result["items"])
    for note in result.get("notes", ()):
        yield f"  note: {note}"
    yield f"  [{result['activity']}: {result['outcome']}]"


def _items(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for item in items:
        title = item.get("title", item["item_id"])
        name = title if title == item["item_id"] else f"{title} ({item['item_id']})"
        yield f"  · {name}  {item.get('text', '')}".rstrip()

"""Wording strategies: how one is found, and what cannot be declared."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tactics.domain.activity import Expression
from tactics.domain.wording import ANY, STANDARD, InvalidWording, Wording, Wordings, default_wordings, wording
from tactics.domain.wordings import en, zh


def _saying(text: str) -> Wording:
    def say(_: Mapping[str, Any], __: Any) -> Expression:
        return Expression(text=text)

    return say


def _found(known: Wordings, tool_types: tuple[str, ...], language: str) -> str | None:
    words = known.find("benefit", tool_types, language)
    return None if words is None else words({}, None).text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh-TW", "taiwan"),
        ("zh_tw", "taiwan"),
        ("ZH-tw", "taiwan"),
        ("zh-CN", "chinese"),
        ("zh-Hant-HK", "hant"),
        ("zh", "chinese"),
        ("fr", "english"),
        ("fr-CA", "english"),
        ("", "english"),
        ("zhx", "english"),
    ],
)
def test_nearest_language_is_chosen(language: str, text: str) -> None:
    """The whole tag is tried, then the tag shortened part by part, then English; case does not matter."""
    known = Wordings()
    for tag, said in {"en": "english", "zh": "chinese", "zh-TW": "taiwan", "zh-Hant": "hant"}.items():
        known.add(_saying(said), "coupon", tag)
    assert _found(known, ("coupon",), language) == text


def test_first_tool_type_is_chosen_within_a_language() -> None:
    """A tool type's own words come before those of its kind; those of its kind in the caller's language before both."""
    known = Wordings()
    known.add(_saying("a coupon"), "coupon", "en")
    known.add(_saying("a prize"), "lottery", "en")
    known.add(_saying("券"), "coupon", "zh")
    assert _found(known, ("lottery", "coupon"), "en") == "a prize"
    assert _found(known, ("lottery", "coupon"), "zh-CN") == "券"
    assert _found(known, ("raffle", "coupon"), "en") == "a coupon"
    assert _found(known, ("raffle",), "en") is None
    assert known.find("pending", ("coupon",), "en") is None


def test_two_wordings_of_the_same_are_refused() -> None:
    """The second function for a place is refused, and the message says where both are; the same one again is not."""
    known = Wordings()
    first = _saying("one")
    known.add(first, "coupon", "zh-TW")
    known.add(first, "coupon", "zh_tw")
    with pytest.raises(InvalidWording, match=rf"'coupon' in 'zh-tw': .*{Path(__file__).name}:\d+ and .*en\.py:\d+"):
        known.add(en.coupon, "coupon", "zh-TW")
    known.add(en.coupon, "coupon", "en")
    known.add(en.coupon, "coupon", "zh-TW", "spent")
    assert len(list(known)) == 3


@pytest.mark.parametrize(
    ("language", "of", "message"),
    [
        ("", "benefit", "'' is not a language tag"),
        ("english please", "benefit", "not a language tag"),
        ("en", "gift", "nothing is worded as 'gift': it is one of benefit, pending, spent, item"),
    ],
)
def test_wording_of_nothing_is_refused(language: str, of: Any, message: str) -> None:
    """A tag that is none, and a subject that is none, fail where they are declared."""
    with pytest.raises(InvalidWording, match=message):
        Wordings().add(en.coupon, "coupon", language, of)


def test_importing_a_module_registers_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin's wordings are known once its module is imported; imported again, under any name, nothing changes."""
    monkeypatch.setattr(default_wordings, "_known", dict(default_wordings._known))
    path = tmp_path / "acme_words.py"
    path.write_text(
        "from tactics.domain.activity import Expression\n"
        "from tactics.domain.wording import wording\n"
        "@wording('lottery', 'en')\n"
        "def lottery(asset, ctx):\n"
        "    return Expression(text='You won')\n"
    )
    for name in ("acme_words", "acme_words", "acme.words"):
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert _found(default_wordings, ("lottery",), "zh") == "You won"


def test_decorator_gives_the_function_back() -> None:
    """A declared function stays what it is, so that one function can word several tool types."""
    known = Wordings()
    words = _saying("x")
    assert wording("a", "en", wordings=known)(wording("b", "en", wordings=known)(words)) is words
    assert list(known) == [("benefit", "a", "en"), ("benefit", "b", "en")]


@pytest.mark.parametrize("language", [module.__name__.rpartition(".")[2] for module in (en, zh)])
def test_each_language_has_everything(language: str) -> None:
    """English and Chinese word every standard tool type, and every other subject for any."""
    wanted = {("benefit", one, language) for one in STANDARD}
    wanted |= {(of, ANY, language) for of in ("pending", "spent", "item")}
    assert wanted == {key for key in default_wordings if key[2] == language}

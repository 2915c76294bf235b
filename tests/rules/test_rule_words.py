"""The catalogue's words: every standard block in English and Chinese, plugins' as they give them."""

from __future__ import annotations

import re
import string
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tactics.rules import BlockDefinition, Builder, Registry, RuleError, action, default_registry
from tactics.rules.parameter import text
from tactics.rules.words import BlockWords, ParameterWords, zh

CHINESE = re.compile("[\u4e00-\u9fff]")
# Between Chinese words, punctuation is Chinese too.
HALF_WIDTH = re.compile("[\u4e00-\u9fff][,;:!?()]|[,;:!?()][\u4e00-\u9fff]")
STANDARD = [definition for definition in default_registry if definition.id.startswith("pbb.")]


@pytest.mark.parametrize("definition", STANDARD, ids=lambda one: one.id)
def test_every_standard_block_has_both_languages(definition: BlockDefinition) -> None:
    """Block and parameters have words of their own in English and Chinese, which name the same parameters."""
    english, chinese = (default_registry.words(definition.id, language) for language in ("en", "zh"))
    assert definition.id in zh.WORDS
    assert set(zh.WORDS[definition.id].parameters) == set(english.parameters) == set(definition.parameters)
    for words, is_chinese in ((english, False), (chinese, True)):
        said = [words.name, words.description, words.words]
        said += [part.description for part in words.parameters.values()]
        assert all(bool(CHINESE.search(one)) is is_chinese for one in said), said
        assert all(part.title.strip() for part in words.parameters.values())
    assert _placeholders(english.words) == _placeholders(chinese.words) == sorted(definition.named_in_words)


def test_chinese_is_written_as_chinese() -> None:
    """Chinese sentences have Chinese punctuation, no full stop, and money is in minor units, not in cents of one currency."""
    for words in zh.WORDS.values():
        parts = [(part.title, part.description) for part in words.parameters.values()]
        for said in (words.name, words.description, words.words, *(one for part in parts for one in part)):
            assert not HALF_WIDTH.search(said), said
            assert not said.endswith(("。", ".")), said
    for definition in STANDARD:
        for name, parameter in definition.parameters.items():
            if parameter.unit == "minor":
                assert "最小货币单位" in zh.WORDS[definition.id].parameters[name].description
    assert not set(zh.WORDS) - {definition.id for definition in STANDARD}


def _placeholders(words: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(words) if name is not None)


def test_the_catalogue_differs_by_its_words_alone() -> None:
    """In another language ids, kinds, types and limits are the same; every schema is JSON Schema, with title and description."""

    def without_words(value: Any) -> Any:
        if isinstance(value, list):
            return [without_words(one) for one in value]
        if isinstance(value, dict):
            # A parameter may be called `name`: then it is a schema, and no text.
            told = [key for key in ("name", "description", "words", "title") if isinstance(value.get(key), str)]
            return {key: without_words(one) for key, one in value.items() if key not in told}
        return value

    english, chinese = default_registry.catalogue(), default_registry.catalogue("zh")
    assert english != chinese
    assert without_words(english) == without_words(chinese)
    for entry in (*english, *chinese):
        schema: Any = entry["params"]
        Draft202012Validator.check_schema(schema)
        for parameter in schema["properties"].values():
            assert parameter["title"]
            assert parameter["description"]


def greet(block_id: str = "acme.action.greet") -> Builder:
    return action(block_id, "Greet", {"who": text("whom"), "how": text("how", optional=True)}, words="greet {who}")


GREETING = BlockWords("问候", "问候用户", "问候 {who}", {"who": ParameterWords("谁", "问候谁")})


@pytest.mark.parametrize("before", [True, False])
def test_words_may_be_given_before_or_after_the_block(before: bool) -> None:
    """A plugin's module gives them before its blocks are registered; what it leaves out stays English."""
    registry = Registry() if before else Registry([greet()])
    registry.translate("zh", {"acme.action.greet": GREETING})
    if before:
        registry.add(greet())
    assert registry.languages == ("en", "zh")
    (entry,) = registry.catalogue("zh")
    assert (entry["name"], entry["description"], entry["words"]) == ("问候", "问候用户", "问候 {who}")
    schemas: Any = entry["params"]
    told = {name: (one["title"], one["description"]) for name, one in schemas["properties"].items()}
    assert told == {"who": ("谁", "问候谁"), "how": ("how", "how")}


def test_without_words_a_block_speaks_english() -> None:
    """Another block's language, or one that nobody has, falls back to what the block is declared with."""
    registry = Registry([greet(), greet("acme.action.wave")])
    registry.translate("zh", {"acme.action.greet": GREETING})
    for block_id, language in (("acme.action.wave", "zh"), ("acme.action.greet", "fr"), ("acme.action.greet", "en")):
        words = registry.words(block_id, language)
        assert (words.description, words.words, words.parameters["who"].description) == ("Greet", "greet {who}", "whom")
    with pytest.raises(KeyError):
        registry.words("acme.action.gone")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (BlockWords("问候", "问候用户", "问候"), "its words name the parameters {who}, not none"),
        (BlockWords("问候", "问候用户", "问候 {whom}"), "its words name the parameters {who}, not {whom}"),
        (BlockWords("", "问候用户", "问候 {who}"), "name, description and words are needed"),
        (
            BlockWords("问候", "问候用户", "问候 {who}", {"x": ParameterWords("x", "x")}),
            "'x' is not one of its parameters",
        ),
    ],
)
def test_words_that_do_not_fit_are_refused(words: BlockWords, message: str) -> None:
    """Words name the block's own parameters; what is wrong is found when words and block meet, and nothing is kept."""
    registry = Registry([greet()])
    with pytest.raises(RuleError, match=re.escape(f"block 'acme.action.greet' in 'zh': {message}")):
        registry.translate("zh", {"acme.action.greet": words})
    assert registry.languages == ("en",)
    later = Registry()
    later.translate("zh", {"acme.action.greet": words})
    with pytest.raises(RuleError, match=re.escape(message)):
        later.add(greet())
    assert later.get("acme.action.greet") is None


def test_english_is_what_blocks_are_declared_with() -> None:
    """It cannot be given a second time."""
    with pytest.raises(RuleError, match="English"):
        default_registry.translate("en", {})

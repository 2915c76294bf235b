"""Activities from plays: what is taken over, what may be narrowed, and back to the document."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics.domain.activity import parse_activity
from tactics.domain.filling import fill, play_asked, unfill
from tactics.domain.play import Play, parse_play
from tactics.errors import BadInput
from tests.making import from_play, play_document


def play(**changes: Any) -> Play:
    """Give the play as stored under version 2."""
    return parse_play(play_document(version=2, **changes))


def tool() -> Play:
    """Give the same as a tool."""
    return play(channels=None, template_type=None)


def test_what_the_play_gives_is_taken_over() -> None:
    """Template, channels, limits and words are the play's; the rule is filled; the activity tells where it is from."""
    made = parse_activity(fill(from_play(), play()))
    assert (made.template_type, made.channels.grant, made.limits.per_user) == (
        "full_link_v3",
        ("home_banner", "checkout"),
        3,
    )
    assert made.rule["so"]["when"]["params"]["amount_at"] == 500
    assert made.words("zh-TW") == made.words("zh")
    assert made.play is not None
    assert made.play.model_dump() == {
        "code": "spend_and_save",
        "version": 2,
        "parameters": {"threshold_minor": 500, "benefit": "c18"},
    }


def test_activity_may_narrow_and_speak_for_itself() -> None:
    """Fewer channels, lower limits, limits that the play leaves open, its own words and wording are the activity's."""
    made = parse_activity(
        fill(
            from_play(
                channels={"grant": ["checkout"]},
                limits={"per_user": 2, "budget_minor": 9000},
                expression={"en": "Mine"},
                tool_type="points",
                template_type="full_link_v3",
            ),
            play(tool_type="coupon"),
        )
    )
    assert made.channels.model_dump() == {"prepare": ("bought",), "grant": ("checkout",)}
    assert made.limits.model_dump(exclude_none=True) == {"per_user": 2, "per_day": 100, "budget_minor": 9000}
    assert (made.tool_type, made.expression) == ("points", {"en": "Mine", "zh": "满减"})


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"rule": {"so": {}}}, "/rule"),
        ({"template_type": "full_link_v2"}, "/template_type"),
        ({"channels": {"grant": ["checkout", "elsewhere"]}}, "/channels/grant/1"),
        ({"channels": {"prepare": []}}, "/channels/prepare"),
        ({"limits": {"per_user": 4}}, "/limits/per_user"),
        ({"limits": {"per_day": None}}, "/limits/per_day"),
        ({"parameters": {}}, "/parameters/threshold_minor"),
        ({"parameters": {"threshold_minor": 500.5}}, "/parameters/threshold_minor"),
        ({"parameters": [1]}, "/parameters"),
    ],
)
def test_what_is_wider_than_the_play_is_refused(changes: dict[str, Any], path: str) -> None:
    """Another rule or template, a channel more, a limit raised or dropped, a form filled wrong: each at its place."""
    with pytest.raises(BadInput) as raised:
        fill(from_play(**changes), play())
    assert [one["path"] for one in raised.value.fields["problems"]] == [path]


def test_tool_leaves_channels_and_template_to_the_activity() -> None:
    """Without them the activity is refused, both said at once; with them it is one."""
    with pytest.raises(BadInput) as raised:
        fill(from_play(), tool())
    assert [one["path"] for one in raised.value.fields["problems"]] == ["/channels", "/template_type"]
    made = parse_activity(fill(from_play(channels={"grant": ["mine"]}, template_type="full_link_v2"), tool()))
    assert (made.channels.grant, made.template_type) == (("mine",), "full_link_v2")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"play": 7}, "/play"),
        ({"play": {"code": "spend_and_save", "version": 1}}, "/play"),
        ({"play_version": "1"}, "/play_version"),
        ({"play_version": True}, "/play_version"),
        ({"play_version": 0}, "/play_version"),
    ],
)
def test_play_is_named_by_code_and_version(changes: dict[str, Any], path: str) -> None:
    """Anything else than a text and a number from 1 is refused."""
    with pytest.raises(BadInput) as raised:
        play_asked(from_play(**changes))
    assert [one["path"] for one in raised.value.fields["problems"]] == [path]


def test_benefit_that_the_activity_lacks_is_refused() -> None:
    """The filled rule is checked as that of any activity: what it gives has to be defined."""
    with pytest.raises(BadInput, match="'c18', which `benefits` does not define"):
        parse_activity(fill(from_play(benefits={}), play()))


_PARTS = st.fixed_dictionaries(
    {},
    optional={
        "channels": st.fixed_dictionaries(
            {},
            optional={
                "prepare": st.just(["bought"]),
                "grant": st.lists(st.sampled_from(["home_banner", "checkout"]), min_size=1, max_size=2),
            },
        ),
        "limits": st.fixed_dictionaries(
            {}, optional={"per_user": st.integers(0, 3), "budget_minor": st.integers(0, 5)}
        ),
        "expression": st.dictionaries(st.sampled_from(["en", "zh", "fr"]), st.sampled_from(["a", "满减"])),
        "tool_type": st.sampled_from(["coupon", "gift"]),
        "priority": st.integers(0, 2),
        "lock": st.booleans(),
    },
)


@given(parts=_PARTS, tool_type=st.sampled_from([None, "coupon", "gift"]))
def test_document_of_an_activity_makes_that_activity_again(parts: dict[str, Any], tool_type: str | None) -> None:
    """What is shown of an activity from a play, filled again, is the same activity, and names nothing that the play gives."""
    one = play(tool_type=tool_type)
    made = parse_activity(fill(from_play(**parts), one))
    document = {"code": "camp18", **unfill(made.to_json(), one)}
    assert parse_activity(fill(document, one)) == made
    assert "rule" not in document
    assert "template_type" not in document

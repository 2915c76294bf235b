"""A channel with many activities, most of which cannot come to anything for a given user."""

from __future__ import annotations

from typing import Any

import pytest

from tactics import rules
from tactics.flows import setup
from tests.driving import Drive, at_checkout, rule_of

COUPON = rules.send_coupon("c18")
SEGMENTS = ("new", "loyal", "lost")
OPENED = "SELECT activity_code FROM instance WHERE user_id = :user ORDER BY 1"
FINISHED = "SELECT count(*) FROM execution WHERE link = 'grant' AND finished_at IS NOT NULL"


def is_in(segment: str) -> Any:
    """Give the condition that the user belongs to a segment."""
    return rules.equals(rules.user_attribute("segment"), segment)


def given_to(segment: str) -> dict[str, Any]:
    """Give the rule that gives the coupon to the users of a segment."""
    return rule_of(COUPON, when=is_in(segment))


@pytest.fixture
def many(drive: Drive) -> Drive:
    """A channel with activities for three segments, twelve of each; none needs preparation."""
    drive.load(
        *[
            at_checkout(f"{segment}{number:02}", rule=given_to(segment), priority=number)
            for segment in SEGMENTS
            for number in range(12)
        ]
    )
    users = [{"user_id": one, "segment": one} for one in SEGMENTS]
    setup.import_users(drive.runtime, users + [{"user_id": f"new{number}", "segment": "new"} for number in range(4)])
    return drive

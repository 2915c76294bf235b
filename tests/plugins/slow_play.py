"""A plugin whose step takes too long where the event asks for it."""

from __future__ import annotations

import time
from contextlib import suppress

from tactics.domain.context import ItemContext
from tactics.processor import processor
from tactics.run import Retry, Run
from tactics.template import TacticsTemplate
from tactics.templates.full_link_v3 import full_link_v3

FOR_EVER_S = 600


@processor(needs=ItemContext, queue="slow", time_limit_s=2, retry=Retry(2, base_s=0.01, max_s=0.01))
def wait_long(ctx: ItemContext, run: Run) -> None:
    """Return at once, take for ever, or take for ever and not listen to who says that it is time."""
    how = ctx.event.attributes.get("how")
    if how == "slow":
        time.sleep(FOR_EVER_S)
    while how == "deaf":
        with suppress(Exception):
            time.sleep(FOR_EVER_S)


first, *others = full_link_v3.prepare
slow_play = TacticsTemplate("slow_play", ItemContext, (first, wait_long, *others), full_link_v3.grant)

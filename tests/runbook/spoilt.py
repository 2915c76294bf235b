"""A plugin whose step fails while a file is there, as one does whose own system is out of order; and short pauses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tactics.domain.context import ItemContext
from tactics.processor import processor
from tactics.run import Run
from tactics.store import provider_gate
from tactics.template import TacticsTemplate
from tactics.templates.full_link_v3 import full_link_v3

BROKEN = "SPOILT_WHILE_THERE_IS"
PAUSE = "SPOILT_LONGEST_PAUSE_MS"

# In the processes of a rehearsal, whose environment says so, nobody waits for a breaker for up to a minute.
provider_gate.LONGEST_PAUSE_MS = int(os.environ.get(PAUSE, provider_gate.LONGEST_PAUSE_MS))


@dataclass
class SpoiltContext(ItemContext):
    """The items, and nothing more."""


@processor(needs=SpoiltContext)
def ask_stylist(ctx: SpoiltContext, run: Run) -> None:
    """Fail while the file is there."""
    if Path(os.environ[BROKEN]).exists():
        raise ConnectionError("the stylist does not answer")


spoilt = TacticsTemplate(
    "spoilt", SpoiltContext, prepare=(ask_stylist, *full_link_v3.prepare), grant=full_link_v3.grant
)

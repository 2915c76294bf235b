"""The plays that come with Tactics."""

from __future__ import annotations

from tactics.template import TacticsTemplate
from tactics.templates.full_link_v2 import full_link_v2
from tactics.templates.full_link_v3 import full_link_v3

TEMPLATES: tuple[TacticsTemplate, ...] = (full_link_v2, full_link_v3)

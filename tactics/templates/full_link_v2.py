"""Full-link marketing 2.0: a behaviour prepares the instance, a placement grants; no items."""

from __future__ import annotations

from tactics.domain.context import TacticsInstanceContext
from tactics.processors.build_result import build_result
from tactics.processors.check_event import check_event
from tactics.processors.check_rule import check_rule
from tactics.processors.finish_execution import finish_execution
from tactics.processors.load_prepared import load_prepared
from tactics.processors.query_asset import query_asset
from tactics.processors.record_event import record_event
from tactics.processors.save_prepared import save_prepared
from tactics.processors.send_benefit import send_benefit
from tactics.template import TacticsTemplate

full_link_v2 = TacticsTemplate(
    template_type="full_link_v2",
    context=TacticsInstanceContext,
    prepare=(save_prepared, record_event, finish_execution),
    grant=(check_event, load_prepared, check_rule, query_asset, send_benefit, build_result, finish_execution),
)

"""Full-link marketing 3.0: as 2.0, with the items that the user acted on, others that go with them, and prices."""

from __future__ import annotations

from tactics.domain.context import ItemContext
from tactics.processors.build_result import build_result
from tactics.processors.check_event import check_event
from tactics.processors.check_rule import check_rule
from tactics.processors.finish_execution import finish_execution
from tactics.processors.handle_item_promotion import handle_item_promotion
from tactics.processors.load_prepared import load_prepared
from tactics.processors.query_asset import query_asset
from tactics.processors.query_item import query_item
from tactics.processors.recall_item import recall_item
from tactics.processors.record_event import record_event
from tactics.processors.save_prepared import save_prepared
from tactics.processors.send_benefit import send_benefit
from tactics.template import TacticsTemplate

full_link_v3 = TacticsTemplate(
    template_type="full_link_v3",
    context=ItemContext,
    prepare=(query_item, recall_item, handle_item_promotion, save_prepared, record_event, finish_execution),
    grant=(
        check_event,
        load_prepared,
        handle_item_promotion,
        check_rule,
        query_asset,
        send_benefit,
        build_result,
        finish_execution,
    ),
)

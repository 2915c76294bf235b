"""The step that recalls: what it adds to the user's items, and that the chain goes on, and says so, where it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import structlog

from tactics import rules
from tactics.config import Settings
from tactics.domain.context import ItemContext
from tactics.errors import GatewayError
from tactics.flows.recall import learn
from tactics.gateways.ports import Candidate
from tactics.processors.recall_item import MOST_RECALLED, recall_item
from tactics.runtime import Runtime
from tests.driving import Drive, Maker, acted, reasons_of, satisfied
from tests.making import document
from tests.plays import trace_of


@dataclass
class Asked:
    """A recall port that a test answers for."""

    answer: Callable[[Sequence[str]], Sequence[Candidate]]
    times: list[tuple[str, list[str], int]] = field(default_factory=list)

    def candidates(self, user_id: str, item_ids: Sequence[str], limit: int) -> Sequence[Candidate]:
        """Answer as the test wants it."""
        self.times.append((user_id, list(item_ids), limit))
        return self.answer(item_ids)


def _late(_: Sequence[str]) -> Sequence[Candidate]:
    raise GatewayError("recall did not answer within 150 ms")


def _answered_by(drive: Drive, port: Any) -> None:
    """Let a port of the test's own recall, in the app's runtime as it is."""
    runtime = drive.runtime
    changed = replace(runtime, gateways=replace(runtime.gateways, recall=port))
    drive.app._runtime = (drive.app._runtime[0], changed)  # type: ignore[index]  # it was opened just now


def _catalogue(drive: Drive, *item_ids: str) -> None:
    for item_id in item_ids:
        drive.run(
            "INSERT INTO item (item_id, title, category, price_minor, currency, attributes)"
            " VALUES (:id, 'Item ' || :id, 'tea', 450, 'USD', '{}')",
            id=item_id,
        )


def _prepared(drive: Drive, user_id: str = "ann") -> list[dict[str, Any]]:
    """Prepare the user, and give the items of the answer."""
    drive.happen(satisfied(user_id))
    (part,) = drive.visit(user_id).results
    return [dict(item) for item in part["items"]]


def _scores(drive: Drive, user_id: str = "ann") -> dict[str, Any]:
    """Give the recalled items among the prepared ones, with their scores."""
    text = drive.runtime.redis.get(f"tactics:prepared:camp18:{user_id}")
    assert isinstance(text, bytes)
    items = json.loads(text)["data"]["items"]
    return {item["item_id"]: item["score"] for item in items if item.get("recalled")}


@pytest.fixture
def shop(drive: Drive) -> Drive:
    """An activity whose preparation recalls, and a catalogue."""
    drive.load(document())
    _catalogue(drive, "1", "2", "3", "4")
    return drive


def test_what_others_acted_on_is_recalled(shop: Drive) -> None:
    """Learnt from others' actions, an item that the user never acted on comes after its own, marked, with a score."""
    shop.happen(*[acted(user, item_id=item) for user, item in ("b1", "b2", "c1", "c2", "c3", "d9")])
    shop.happen(acted("ann", item_id="1"))
    assert learn(shop.runtime, at_most_s=60) == 4
    shown = _prepared(shop)
    assert [(one["item_id"], one.get("recalled")) for one in shown] == [("1", None), ("2", True), ("3", True)]
    assert (shown[1]["title"], shown[1]["price_minor"]) == ("Item 2", 450)
    # ann, b and c have item 1; b and c have 2, c has 3.
    assert _scores(shop) == {"2": pytest.approx(2 / (3 * 2) ** 0.5, abs=1e-6), "3": pytest.approx(1 / 3**0.5, abs=1e-6)}


def test_only_new_items_of_the_catalogue_are_added(shop: Drive) -> None:
    """Whatever a port says: no item twice, none that the user ever acted on, none that the catalogue lacks."""
    shop.happen(*[acted("ann", item_id=f"x{number:02}") for number in range(30)], acted("ann", item_id="2", id="late"))
    shop.run("UPDATE user_item SET last_at = last_at - interval '1 day' WHERE item_id = '2'")
    port = Asked(lambda known: [Candidate(one, 9) for one in [known[0], "2", "gone", "3", "3", "4"]])
    _answered_by(shop, port)
    recalled = [one["item_id"] for one in _prepared(shop) if one.get("recalled")]
    assert recalled == ["3", "4"]
    ((user_id, known, limit),) = port.times
    assert (user_id, len(known), limit) == ("ann", 20, MOST_RECALLED)
    assert "2" not in known


def test_no_more_than_a_few_are_added(shop: Drive) -> None:
    """Of a port that gives too many, the best are taken: by score, ties by id."""
    _catalogue(shop, *[f"y{number:02}" for number in range(30)])
    shop.happen(acted("ann", item_id="1"))
    _answered_by(shop, Asked(lambda _: [Candidate(f"y{number:02}", number // 2) for number in range(30)]))
    recalled = [one["item_id"] for one in _prepared(shop) if one.get("recalled")]
    assert recalled == ["y28", "y29", "y26", "y27", "y24", "y25", "y22", "y23", "y20", "y21"]


def test_without_items_nobody_is_asked(shop: Drive) -> None:
    """A user who acted on no item has nothing to go by: the step is skipped."""
    port = Asked(_late)
    _answered_by(shop, port)
    assert _prepared(shop) == []
    assert ("recall_item", "skipped") in trace_of(shop)
    assert port.times == []


def test_late_recall_is_done_without_and_told(shop: Drive) -> None:
    """A port that fails costs the recalled items alone: the user is prepared, and trace and log say what is missing."""
    shop.happen(acted("ann", item_id="1"))
    _answered_by(shop, Asked(_late))
    with structlog.testing.capture_logs() as logged:
        assert [one["item_id"] for one in _prepared(shop)] == ["1"]
    assert [(one["log_level"], one["error"]) for one in logged if one["event"] == "not_recalled"] == [
        ("warning", "recall did not answer within 150 ms")
    ]
    assert ("recall_item", "ran") in trace_of(shop)
    trace = shop.value("SELECT trace FROM execution WHERE link = 'prepare'")
    assert [(one["step"], one["notes"]) for one in trace if "notes" in one] == [
        ("recall_item", ["prepared without recalled items: recall did not answer within 150 ms"])
    ]


def test_a_failing_recall_is_left_alone_for_a_moment(shop: Drive) -> None:
    """Of many preparations in a row only the first waits for a port that fails; each says that it went without."""
    port = Asked(_late)
    _answered_by(shop, port)
    shop.runtime.recall_breaker.pause_s = 600
    shop.happen(*[acted(user, item_id="1") for user in "abc"])
    shop.happen(*[satisfied(user) for user in "abc"])
    assert len(port.times) == 1
    traces = [row[0] for row in shop.rows("SELECT trace FROM execution WHERE link = 'prepare' ORDER BY user_id")]
    notes = [note for trace in traces for one in trace for note in one.get("notes", ())]
    assert len(notes) == 3
    assert all(note.startswith("prepared without recalled items: ") for note in notes)
    shop.runtime.recall_breaker.pause_s = 0
    shop.runtime.recall_breaker.trip()
    port.answer = lambda _: [Candidate("2", 1)]
    assert [one["item_id"] for one in _prepared(shop, "c")] == ["1", "2"]


def test_rebuilding_says_so_in_the_answer(shop: Drive) -> None:
    """Where Redis lost the data and recall is late, the placement answers all the same, and its notes say what lacks."""
    shop.happen(acted("ann", item_id="1"))
    _answered_by(shop, Asked(lambda _: [Candidate("2", 1)]))
    shop.happen(satisfied("ann"))
    shop.forget()
    _answered_by(shop, Asked(_late))
    (part,) = shop.visit("ann").results
    assert [one["item_id"] for one in part["items"]] == ["1"]
    assert part["notes"] == ["prepared without recalled items: recall did not answer within 150 ms"]
    trace = shop.value("SELECT trace FROM execution WHERE link = 'grant'")
    assert [one["notes"] for one in trace if one["step"] == "load_prepared"] == [part["notes"]]


def test_recalled_items_give_nothing_by_themselves(shop: Drive) -> None:
    """A rule over what was done or is ordered does not see a recalled item as done or ordered."""
    acted_on = rules.amount_at_least(rules.behaviour_count(action="purchase", window_s=86_400, item_id="2"), 1)
    ordered = rules.amount_at_least(rules.item_quantity("2"), 1)
    channels = {"prepare": ["bought"], "grant": ["home_banner"]}
    shop.load(
        *[
            document(code=code, channels=channels, rule=rules.to_json(rules.so(rule, rules.send_coupon("c18"))))
            for code, rule in (("acted", acted_on), ("ordered", ordered))
        ]
    )
    shop.happen(acted("ann", item_id="1"))
    _answered_by(shop, Asked(lambda _: [Candidate("2", 1)]))
    shop.happen(satisfied("ann"))
    answer = shop.visit("ann")
    assert [item["item_id"] for part in answer.results for item in part["items"]] == ["1", "2"]
    assert reasons_of(answer) == {"acted": "not_matched", "ordered": "unknown"}
    other = {"lines": [{"item_id": "1", "quantity": 1, "price_minor": 450}]}
    assert reasons_of(shop.visit("ann", order=other))["ordered"] == "not_matched"


def test_the_step_runs_where_its_chain_runs() -> None:
    """It needs a context with items, and no message of its own: it waits for its time limit at most."""
    assert (recall_item.needs, recall_item.isolated, recall_item.always) == (ItemContext, False, False)


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1/recall"])
def test_the_setting_chooses_who_recalls(settings: Settings, url: str) -> None:
    """An address makes a service recall; without, it is learnt here. Both close with the runtime."""
    runtime = Runtime.open(settings.model_copy(update={"recall_url": url}))
    assert type(runtime.gateways.recall).__name__ == ("HttpRecall" if url else "LocalRecall")
    runtime.close()


def test_service_that_is_away(driven: Maker) -> None:
    """With a service at an address where nobody listens, preparation goes on without it."""
    drive = driven(recall_url="http://127.0.0.1:1/recall")
    drive.load(document())
    drive.happen(acted("ann", item_id="1"))
    assert [one["item_id"] for one in _prepared(drive)] == ["1"]
    trace = drive.value("SELECT trace FROM execution WHERE link = 'prepare'")
    (note,) = [note for one in trace for note in one.get("notes", ())]
    assert note == "prepared without recalled items: recall could not be asked: ConnectError"

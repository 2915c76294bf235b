"""Any sequence of changes by HTTP, against the state machine written down once more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.driving import Drive
from tests.http.conftest import Client
from tests.http.giving import audited, give, running

ORDERS = (None, "o1", "o2")
steps = st.lists(
    st.tuples(
        st.sampled_from(("assets", "codes")),
        st.sampled_from(("claim", "redeem", "release", "revoke")),
        st.sampled_from(ORDERS),
    ),
    min_size=2,
    max_size=8,
)


@dataclass
class Model:
    """An asset on paper."""

    status: str = "available"
    order: str | None = None

    def does(self, way: str, verb: str, order: str | None) -> bool:
        """Change it as asked; tell whether that is a success."""
        if verb == "redeem":
            return self._redeem(way, order)
        if verb == "release":
            return self._release(order)
        before, after = ({"available", "claimed"}, "claimed" if verb == "claim" else "revoked")
        if self.status == after:
            return True
        if self.status not in before:
            return False
        self.status = after
        return True

    def _redeem(self, way: str, order: str | None) -> bool:
        if self.status in {"available", "claimed"}:
            self.status, self.order = "redeemed", order
            return True
        if self.status != "redeemed":
            return False
        return way == "assets" if order is None else order == self.order

    def _release(self, order: str | None) -> bool:
        if self.status == "available":
            return True
        if self.status != "redeemed" or (order is not None and order != self.order):
            return False
        self.status, self.order = "available", None
        return True


@settings(max_examples=10, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories=st.lists(steps, min_size=1, max_size=3))
def test_any_history_of_an_asset_is_that_of_its_model(api: Client, live: Drive, histories: list[Any]) -> None:
    """Whatever is asked of assets and their codes, in whatever order: each answer is the model's, and all adds up."""
    user = str(live.value("SELECT count(*) FROM instance"))
    if user == "0":
        live.load(running(benefits={"c18": {"kind": "coupon", "value_minor": 500}}))
    for history in histories:
        asset = give(live, user)  # a new one where the last one is used up
        paper = Model("claimed" if asset["status"] == "claimed" else "available")
        for way, verb, order in history:
            where = asset["asset_id"] if way == "assets" or verb in {"claim", "revoke"} else asset["code"]
            kind = "assets" if where == asset["asset_id"] else "codes"
            body = {"reference": order} if order and verb in {"redeem", "release"} else {}
            answer = api.post(f"/v1/{kind}/{where}/{verb}", json=body)
            told = paper.does(kind, verb, order)
            assert answer.status_code == (200 if told else 409), answer.text
            found = answer.json()
            assert found["status" if told else "asset_status"] == paper.status
            if told:
                assert (found["asset_id"], found["reference"]) == (asset["asset_id"], paper.order)
        stored = api.get(f"/v1/assets/{asset['asset_id']}").json()
        assert (stored["status"], stored["reference"]) == (paper.status, paper.order)
    assert audited(live) == []

"""What the state machine of grants chooses from. What is said more than once comes more often."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.chaos.lives.outside import CALLED, LOOKED_UP, MEANWHILE, Ask
from tests.chaos.lives.paper import Outside

OUTSIDE = (
    *(None, None, None),
    Outside(idempotent=True, can_be_asked=True),
    Outside(idempotent=True, can_be_asked=False),
    Outside(idempotent=False, can_be_asked=True),
    Outside(idempotent=False, can_be_asked=False),
)
ASK = st.builds(Ask, st.sampled_from(CALLED), st.sampled_from(LOOKED_UP), st.sampled_from(MEANWHILE))
ASKS = st.tuples(ASK, ASK, ASK)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("claimed", "redeemed", "redeemed", "released", "released", "expired", "revoked")),
        st.sampled_from((None, None, 0, 2)),
        st.sampled_from((None, None, "o1", "o2")),
    ),
    min_size=1,
    max_size=4,
)
WHO = st.sampled_from((0, 0, 0, 1))
FEW = st.sampled_from((None, None, 1, 2, 3))

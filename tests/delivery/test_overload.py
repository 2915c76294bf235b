"""More load than the API can take, with real processes: refused before acceptance, never after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tactics.config import Settings
from tests.bench.api import asked, overload
from tests.bench.api.sending import Sender, sender
from tests.bench.api.serving import Served, served_over
from tests.delivery.waiting import until


@pytest.fixture
def served(settings: Settings) -> Iterator[Served]:
    """An API, a worker and beat."""
    with served_over(settings) as found:
        found.start_all(1)
        yield found


@pytest.fixture
def load(served: Served) -> Iterator[Sender]:
    """The load, in a process of its own."""
    with sender(served.key) as found:
        yield found


def test_what_is_too_much_is_refused_before_it_is_accepted(served: Served, load: Sender) -> None:
    """Under three times saturation accepted events end, refusals say when to come back and store nothing, and it passes.

    How long anything takes is measured by `make overload`, on a machine that has nothing else to do.
    """
    phases = overload.Phases(saturating_s=1.0, before_s=1.0, overload_s=5.0, after_s=1.0)
    found = overload.run(served, load, phases)

    assert found.wrong == []
    assert found.figures["refused_per_s"] > 0
    assert found.figures["accepted_events_per_s"] > 0
    port = served.ports["api"]
    rate = found.figures["saturation_per_s"] / 4
    until(
        lambda: all(load.send(port, [asked.single(), asked.granted()], 16, [(0.5, rate)]).good),
        "all is as before the overload",
    )

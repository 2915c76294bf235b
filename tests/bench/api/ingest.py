"""Events accepted by HTTP a second, beside a bare FastAPI endpoint that commits one row a request.

Ours: `tactics api` in one process. `POST /v1/events` with one structured CloudEvent, or with a batch of 100; validated,
committed to the inbox, then 202. Beside it `bare`, in the faster of its two forms, found before the rounds. All are
loaded in turn, in a closed loop over the same number of connections, by the same process, over the same Postgres with
fsync; every event is a user action with an id of its own, and the bytes sent to `bare` are those sent to us one by one.
No worker runs: routing is other measures' matter, and would take its share of the two processors. What wakes the workers
is published all the same.

A ratio is of neighbouring turns; the figure is the median of rounds. At the end the database is asked: each accepted
event is there once, and nothing else is.
"""

from __future__ import annotations

import statistics

from tests.bench.api import asked, bare
from tests.bench.api.load import Answers
from tests.bench.api.sending import Sender, percentile, sender
from tests.bench.api.serving import Served, serving
from tests.bench.api.size import Size
from tests.bench.stage import MeasureFailed

KEYS = ("ingest_single_over_bare", "ingest_batch_over_bare")
BATCH = 100
_PROBE_S = 1.5
_OF_BENCH = f"SELECT count(*) FROM event WHERE source = '{asked.SOURCE}'"  # noqa: S608  # a name of ours


def measure(size: Size) -> dict[str, float]:
    """Take all three, in turn."""
    with serving(max_backlog=0) as served, sender(served.key) as load:
        form = faster_form(served, load, size)
        turns = {
            "bare": (served.ports[f"bare_{form}"], asked.bare()),
            "single": (served.start_api(), asked.single()),
            "batch": (served.ports["api"], asked.batch(BATCH)),
        }
        accepted = dict.fromkeys(turns, 0)
        rates: dict[str, list[float]] = {name: [] for name in turns}
        costs: dict[str, list[float]] = {name: [] for name in turns}
        slow: list[float] = []
        before = served.value("SELECT count(*) FROM bare_event")
        for number in range(size.rounds + 1):
            for name, (port, kind) in turns.items():
                process = f"bare_{form}" if name == "bare" else "api"
                cpu = served.cpu_s(process)
                found = load.closed(port, kind, connections=size.connections, seconds=size.ingest_s)
                accepted[name] += found.rows()
                if number:
                    rates[name].append(found.rows() / found.ran_s)
                    costs[name].append((served.cpu_s(process) - cpu) / len(found.numbers) * 1000)
                    slow += _slowest(found) if name == "single" else []
        _check(served, accepted["bare"] + before, accepted["single"] + accepted["batch"])
    return {
        **{f"ingest_{name}_over_bare": _ratio(rates[name], rates["bare"]) for name in ("single", "batch")},
        **{f"ingest_{name}_per_s": statistics.median(found) for name, found in rates.items()},
        **{f"ingest_{name}_process_ms": statistics.median(found) for name, found in costs.items()},
        "ingest_single_p99_ms": statistics.median(slow),
        "ingest_bare_is_async": float(form == "async"),
    }


def faster_form(served: Served, load: Sender, size: Size) -> str:
    """Start both forms of the baseline, and tell which takes more rows a second."""
    rates = {}
    for form in bare.FORMS:
        port = served.start_bare(form)
        for _ in range(2):  # the first warms it up
            found = load.closed(port, asked.bare(), connections=size.connections, seconds=min(_PROBE_S, size.ingest_s))
            rates[form] = found.rows() / found.ran_s
    return max(rates, key=lambda form: rates[form])


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _slowest(found: Answers) -> list[float]:
    return [percentile(found.latencies_ms(), 99)]


def _check(served: Served, bare_rows: int, events: int) -> None:
    """Compare what was accepted with what is there; ids are keys there, so none can be there twice."""
    found = (served.value("SELECT count(*) FROM bare_event"), served.value(_OF_BENCH))
    if found != (bare_rows, events):
        raise MeasureFailed(f"accepted were {bare_rows} bare rows and {events} events; there are {found}")

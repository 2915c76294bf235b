"""Placements by HTTP that grant, beside a bare FastAPI endpoint that commits one row.

Ours: `POST /v1/placements/{channel}` on `tactics api`, one process. One activity is on the channel; its rule looks at the
order in the request, and grants a coupon from a stock. Each request is another user's, so each one grants: activities
found, instance locked, rule judged, assets asked, grant, asset, execution and answer committed, words put to it.

placement_p50_over_bare: at a low rate, where nothing waits for anything else, ours and `bare` in turn; the ratio of the
    medians of a round, and the median of rounds. Beside it the same for a mix, as shops have it more often: of five
    placements one grants, two show again what was granted before, two come to nothing.
placement_p99_over_p50: saturation is what a closed loop reaches; then an open loop at half of that, at even distances,
    every latency counted from when it was due; who is refused waits for ever. Median of rounds.

No worker runs: placements need none.
"""

from __future__ import annotations

import math
import statistics
from itertools import count

from tests.bench.api import asked
from tests.bench.api.ingest import faster_form
from tests.bench.api.load import NO_ANSWER, Answers
from tests.bench.api.sending import Sender, percentile, sender
from tests.bench.api.serving import Served, serving
from tests.bench.api.size import Size
from tests.bench.stage import MeasureFailed

KEYS = ("placement_p50_over_bare", "placement_p99_over_p50")
_QUIET_LINES = 4
_REGULAR = count(9_000_000_000)
_GRANTS = "SELECT count(*) FROM grant_record"


def measure(size: Size) -> dict[str, float]:
    """Take a quiet round of each, then a loaded one, and so on."""
    with serving(max_backlog=0) as served, sender(served.key) as load:
        bare_port = _baseline(served, load, size)
        port = served.start_api()
        regular = regular_of(load, port)
        before = served.value(_GRANTS)
        taken: list[dict[str, float]] = []
        for number in range(size.rounds + 1):
            found, grants = _round(served, load, size, (bare_port, port), regular)
            if (new := served.value(_GRANTS) - before) not in grants:
                raise MeasureFailed(f"answers tell of {grants} grants, and there are {new}")
            before += new
            taken += [found] * bool(number)
    return {name: statistics.median(one[name] for one in taken) for name in taken[0]}


def _baseline(served: Served, load: Sender, size: Size) -> int:
    return served.ports[f"bare_{faster_form(served, load, size)}"]


def regular_of(load: Sender, port: int) -> asked.Asked:
    """Grant to a user who will be shown the same again; gives his further placements."""
    user = next(_REGULAR)
    first = asked.reused(user)
    once = asked.Asked("first", first.pieces, status=200, mark=b'"granted"')
    load.closed(port, once, connections=1, seconds=5, most=1)
    return first


def _round(
    served: Served, load: Sender, size: Size, ports: tuple[int, int], regular: asked.Asked
) -> tuple[dict[str, float], range]:
    """Take one of each; gives the figures, and how many must have been granted: more, where answers came too late."""
    bare_port, port = ports

    def quiet(port: int, *kinds: asked.Asked) -> Answers:
        return load.open(port, *kinds, connections=_QUIET_LINES, seconds=size.quiet_s, rate=size.quiet_rate)

    bare = quiet(bare_port, asked.bare())
    ours = quiet(port, asked.granted())
    nothing = asked.not_matched()
    mixed = quiet(port, asked.granted(), nothing, regular, nothing, regular)
    cpu = served.cpu_s("api")
    closed = load.send(port, [asked.granted()], size.connections, [(size.loaded_s / 2, 0.0)])
    cost_ms = (served.cpu_s("api") - cpu) / len(closed.numbers) * 1000
    saturation = sum(closed.good) / closed.ran_s
    loaded = load.send(port, [asked.granted()], size.connections, [(size.loaded_s, saturation / 2)])
    bare_p50, p50 = statistics.median(bare.latencies_ms()), statistics.median(ours.latencies_ms())
    latencies = [took * 1000 if good else math.inf for took, good in zip(loaded.took, loaded.good, strict=True)]
    loaded_p50, loaded_p99 = (percentile([*latencies, *[math.inf] * loaded.unsent], percent) for percent in (50, 99))
    everything = (ours, mixed, closed, loaded)
    granted = sum(len(one.latencies_ms("granted")) for one in everything)
    untold = sum(status in {202, NO_ANSWER} for one in everything for status in one.status)
    return {
        "placement_p50_over_bare": p50 / bare_p50,
        "placement_p99_over_p50": loaded_p99 / loaded_p50,
        "placement_mix_p50_over_bare": statistics.median(mixed.latencies_ms()) / bare_p50,
        "placement_p50_ms": p50,
        "placement_reused_p50_ms": statistics.median(mixed.latencies_ms("reused")),
        "placement_not_matched_p50_ms": statistics.median(mixed.latencies_ms("not_matched")),
        "placement_bare_p50_ms": bare_p50,
        "placement_saturation_per_s": saturation,
        "placement_process_ms": cost_ms,
        "placement_half_load_p50_ms": loaded_p50,
        "placement_half_load_p99_ms": loaded_p99,
    }, range(granted, granted + untold + 1)

"""The memory of the API's process after 200,000 requests, over its memory after 20,000.

VmRSS of the one process of `tactics api`. Of ten requests seven bring one event, one brings a batch of ten, one is a
placement that grants to a new user, and one shows one of twenty users again what he was granted. All ids are new; connections are
kept, and made anew from one part of the load to the next. No worker runs.
"""

from __future__ import annotations

import math

from tests.bench.api import asked
from tests.bench.api.placement import regular_of
from tests.bench.api.sending import sender
from tests.bench.api.serving import serving
from tests.bench.api.size import Size
from tests.bench.stage import MeasureFailed

KEYS = ("memory_growth",)
_PARTS, _REGULARS = 20, 20
_MOST_BAD = 0.01
"""This share may be refused, where the machine has other things to do: refusing takes memory too."""
_AS_LONG_AS_IT_TAKES_S = 1_000.0


def measure(size: Size) -> dict[str, float]:
    """Read the memory twice; once is enough, for it is no matter of time."""
    with serving(max_backlog=0) as served, sender(served.key) as load:
        port = served.start_api()
        regular, pid = [regular_of(load, port) for _ in range(_REGULARS)], served.pid("api")
        mix = [one for user in regular for one in (*[asked.single()] * 7, asked.batch(10), asked.granted(), user)]

        def send(count: int) -> float:
            """Send so many; gives the seconds that they took."""
            lasts = [(_AS_LONG_AS_IT_TAKES_S, 0.0)]
            parts = [
                load.send(port, mix, size.connections, lasts, most=math.ceil(count / _PARTS)) for _ in range(_PARTS)
            ]
            bad = sum(len(one.good) - sum(one.good) for one in parts)
            if bad > _MOST_BAD * count:
                raise MeasureFailed(
                    f"{bad} of {count} answers are not as they should be; one of them: {parts[0].sample}"
                )
            return sum(one.ran_s for one in parts)

        took_s = send(size.early_requests)
        early = served.resident_mb("api")
        took_s += send(size.late_requests - size.early_requests)
        late = served.resident_mb("api")
        if served.pid("api") != pid:
            raise MeasureFailed("the API was another process at the end")
    return {
        "memory_growth": late / early,
        "memory_early_mb": early,
        "memory_late_mb": late,
        "memory_requests_per_s": size.late_requests / took_s,
    }

"""`make overload`: three times as much as the API can take, and what becomes of it.

`tactics api` (one process), a worker of two processes and beat run; of five requests four bring an event, and one is a
placement that grants. Saturation is what a closed loop reaches. Then an open loop: half of saturation as the normal
state, three times saturation for the time asked for, and half again, without a pause in between. Latencies count from
when a request was due.

Checked: every accepted event is routed in the end; who was refused was told so by 429 or 503 with Retry-After, and
nothing of it is stored; nobody was left without an answer; a placement that was answered was answered by its deadline;
within ten seconds after the overload all is as before: for three seconds in a row nobody is refused, and the 99th
percentile is back.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from tactics.store import audit
from tests.bench.api import asked
from tests.bench.api.load import NO_ANSWER, Answers
from tests.bench.api.sending import Sender, percentile, sender
from tests.bench.api.serving import Served, serving

SECONDS, BEFORE_S, AFTER_S, SATURATING_S = 60.0, 10.0, 30.0, 10.0
TIMES = 3.0
CONNECTIONS, SATURATING_CONNECTIONS = 512, 32
RECOVERY_S = 10.0
REFUSED = (429, 503)
_ROUTED = text("SELECT id FROM event WHERE source = :source AND routed_at IS NOT NULL")
_GRANTS = "SELECT count(*) FROM grant_record"
_STORED = text("SELECT id FROM event WHERE source = :source")
# A p99 of a second is taken for normal up to so many times the worst normal one; below so much, in any case.
_UNEASE, _CALM_MS, _IN_A_ROW = 2.0, 100.0, 3


@dataclass
class Found:
    """What came of it: figures by name, and in words what is not as it should be."""

    figures: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    """What took too long: on a machine that has other things to do, that is no mistake of the API's."""

    def expect(self, holds: bool, what: str) -> None:
        """Note what is wrong unless it holds."""
        if not holds:
            self.wrong.append(what)

    def expect_soon(self, holds: bool, what: str) -> None:
        """Note what is slow unless it holds."""
        if not holds:
            self.slow.append(what)


@dataclass(frozen=True)
class Phases:
    """How long each part lasts, in seconds."""

    saturating_s: float = SATURATING_S
    before_s: float = BEFORE_S
    overload_s: float = SECONDS
    after_s: float = AFTER_S

    @property
    def overload(self) -> tuple[float, float]:
        """When the overload begins and ends."""
        return self.before_s, self.before_s + self.overload_s

    @property
    def end(self) -> float:
        """When all of it ends."""
        return self.overload[1] + self.after_s


def run(served: Served, load: Sender, phases: Phases) -> Found:
    """Overload an API whose process is called `api`, with workers running, and look at everything afterwards."""
    port, kinds = served.ports["api"], [*[asked.single()] * 4, asked.granted()]
    for seconds in (phases.saturating_s / 4, phases.saturating_s):  # the first warms up
        first = load.send(port, kinds, SATURATING_CONNECTIONS, [(seconds, 0.0)])
        saturation = sum(first.good) / first.ran_s
    served.until_done()
    grants = served.value(_GRANTS)
    rates = [(phases.before_s, 0.5), (phases.overload_s, TIMES), (phases.after_s, 0.5)]
    answers = load.send(port, kinds, CONNECTIONS, [(seconds, share * saturation) for seconds, share in rates])
    found = Found({"saturation_per_s": saturation, "client_share_of_a_processor": answers.cpu_s / answers.ran_s})
    look_at_the_overload(found, answers, phases, served.settings.placement_deadline_ms)
    look_at_the_recovery(found, answers, phases)
    _look_at_what_is_stored(found, served, answers, grants)
    return found


def look_at_the_overload(found: Found, answers: Answers, phases: Phases, deadline_ms: int) -> None:
    """Sort what was answered during the overload: given, refused as one should be, or neither."""
    start, end = phases.overload
    during = [one for one, due in enumerate(answers.due) if start <= due < end]
    good = [one for one in during if answers.good[one]]
    events = [one for one in good if answers.kind(one).name == "single"]
    placements = [one for one in good if answers.kind(one).name == "granted"]
    refused = [one for one in during if answers.status[one] in REFUSED]
    given_up = [one for one in during if answers.status[one] == 202 and answers.kind(one).name == "granted"]
    odd = set(during) - set(good) - set(refused) - set(given_up)
    untold = [one for one in refused if not answers.told_when[one]]
    found.figures |= {
        "offered_per_s": len(during) / phases.overload_s,
        "accepted_events_per_s": len(events) / phases.overload_s,
        "answered_placements_per_s": len(placements) / phases.overload_s,
        "refused_per_s": len(refused) / phases.overload_s,
        "given_up_at_the_deadline": len(given_up),
        "refused_without_retry_after": len(untold),
        "without_an_answer": sum(answers.status[one] == NO_ANSWER for one in odd) + answers.unsent,
    }
    for name, which in (("event", events), ("placement", placements), ("refusal", refused)):
        found.figures |= _latencies(answers, name, which)
    found.expect(not untold, f"{len(untold)} were refused without Retry-After")
    found.expect(not odd, f"{len(odd)} got neither what they asked for nor a refusal; the first: {answers.sample}")
    found.expect(not answers.unsent, f"{answers.unsent} requests found no free connection")
    found.expect(bool(events) and bool(placements), "nothing at all got through")
    slowest = found.figures.get("overload_placement_max_ms", 0.0)
    found.expect_soon(slowest <= deadline_ms, f"a placement was answered after {slowest:.0f} ms, past {deadline_ms} ms")


def _latencies(answers: Answers, name: str, which: Sequence[int]) -> dict[str, float]:
    if len(which) < 2:
        return {}
    took = [answers.took[one] * 1000 for one in which]
    return {
        f"overload_{name}_p50_ms": percentile(took, 50),
        f"overload_{name}_p99_ms": percentile(took, 99),
        f"overload_{name}_max_ms": max(took),
        f"overload_{name}_waited_for_a_connection_ms": max(answers.waited[one] for one in which) * 1000,
    }


def look_at_the_recovery(found: Found, answers: Answers, phases: Phases) -> None:
    """Find the first of three seconds in a row in which everything is as it was before the overload."""
    seconds = _by_second(answers)
    start, end = phases.overload
    normal = [seconds[one][0] for one in range(1, int(start)) if one in seconds]
    limit_ms = max(_UNEASE * max(normal, default=0.0), _CALM_MS)
    calm = {second: p99_ms <= limit_ms and all_good for second, (p99_ms, all_good) in seconds.items()}
    last = int(phases.end) - _IN_A_ROW
    again = (
        one
        for one in range(math.ceil(end), last + 1)
        if all(calm.get(second, False) for second in range(one, one + _IN_A_ROW))
    )
    recovered_s = next(again, math.inf) - end
    after = [one for one, due in enumerate(answers.due) if due >= end]
    found.figures |= {
        "normal_p99_ms": max(normal, default=math.nan),
        "recovered_after_s": recovered_s,
        "uneasy_seconds_before": sum(not well for second, well in calm.items() if 0 < second < start),
        "uneasy_seconds_afterwards": sum(not well for second, well in calm.items() if second >= end + recovered_s),
        "refused_after_the_overload": sum(answers.status[one] in REFUSED for one in after),
    }
    found.expect_soon(recovered_s <= RECOVERY_S, f"it took {recovered_s:.0f} s to recover")


def _by_second(answers: Answers) -> dict[int, tuple[float, bool]]:
    """Give for each second the p99 of what was due in it, in ms, and whether every answer was good."""
    found: dict[int, list[int]] = {}
    for one, due in enumerate(answers.due):
        found.setdefault(int(due), []).append(one)
    return {
        second: (percentile([answers.took[one] * 1000 for one in which], 99), all(answers.good[one] for one in which))
        for second, which in sorted(found.items())
        if len(which) > 1
    }


def _look_at_what_is_stored(found: Found, served: Served, answers: Answers, grants_before: int) -> None:
    """Every accepted event is routed, nothing that was refused is stored, and each shown grant is there once."""
    served.until_done()
    with served.app.runtime.engine.connect() as conn:
        routed = set(conn.execute(_ROUTED, {"source": asked.SOURCE}).scalars())
        stored = set(conn.execute(_STORED, {"source": asked.SOURCE}).scalars())
    with served.app.runtime.engine.connect() as conn:
        troubles = [one.text for one in audit.audit(conn)]
    single = answers.positions("single")
    accepted = {_id(answers, one) for one in single if answers.good[one]}
    refused = {_id(answers, one) for one in single if answers.status[one] in REFUSED}
    placements = answers.positions("granted")
    shown = sum(answers.good[one] for one in placements)
    untold = sum(answers.status[one] in {202, NO_ANSWER} for one in placements)
    granted = served.value(_GRANTS) - grants_before
    found.figures |= {"accepted_events": len(accepted), "grants": granted}
    found.expect(accepted <= routed, f"{len(accepted - routed)} accepted events have not been routed")
    found.expect(not refused & stored, f"{len(refused & stored)} refused events are stored")
    # What was given up at the deadline, or not answered, may have been committed just before.
    found.expect(shown <= granted <= shown + untold, f"{shown} grants were shown, and {granted} are there")
    found.expect(not troubles, f"the audit finds: {troubles[:3]}")


def _id(answers: Answers, position: int) -> str:
    return f"{answers.numbers[position]:010}-00"


def main() -> int:
    """Overload, and tell; 1 when something is not as it should be."""
    parser = argparse.ArgumentParser(prog="make overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long the overload lasts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    args = parser.parse_args()
    with serving() as served, sender(served.key) as load:
        served.start_all(2)
        found = run(served, load, Phases(overload_s=args.seconds))
    for name, value in found.figures.items():
        print(f"{name:45} {value:.4g}")
    if args.json:
        figures = {name: value if math.isfinite(value) else None for name, value in found.figures.items()}
        args.json.write_text(json.dumps({**figures, "wrong": found.wrong, "slow": found.slow}, indent=2) + "\n")
    for one in (*found.wrong, *found.slow):
        print(f"not as it should be: {one}", file=sys.stderr)
    return 1 if found.wrong or found.slow else 0


if __name__ == "__main__":
    sys.exit(main())

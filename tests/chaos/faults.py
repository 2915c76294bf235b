"""Carries a plan out: at each fault's second something fails."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from tests.chaos.history import History
from tests.chaos.house import House
from tests.chaos.pace import Pace
from tests.chaos.plan import Fault
from tests.chaos.proxy import Proxy
from tests.chaos.servers import Servers

_LOOK_S = 0.02
# A process of the role may be on its way up: then the fault waits for it.
_PATIENCE_S = 30.0


class Faults:
    """One run's faults. `done` counts by kind what has really happened, `skipped` what could not."""

    def __init__(self, plan: Sequence[Fault], house: House, proxy: Proxy, servers: Servers, history: History) -> None:
        """Know what can fail."""
        self.plan, self.house, self.proxy, self.servers, self.history = plan, house, proxy, servers, history
        self.done: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.troubles: list[BaseException] = []
        self._stopped: dict[int, float] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._ways: dict[str, Callable[[Fault], bool]] = {
            "kill": self._kill,
            "stop": self._stop,
            "cut": self._on_the_way,
            "drop_reply": self._on_the_way,
            "stall": self._on_the_way,
            "valkey_kill": lambda _: self._server(self.servers.kill_valkey),
            "flush": lambda _: self._server(self.servers.flush_valkey),
            "postgres_stop": lambda _: self._server(self.servers.stop_postgres),
            "clock_jump": lambda _: False,
        }

    def run(self, pace: Pace) -> None:
        """Carry the plan out, and leave nothing stopped.

        Args:
            pace: the clock.
        """
        with ThreadPoolExecutor(8) as pool:
            for fault in self.plan:
                while pace.now() < fault.at_s and not self._over.is_set():
                    self._let_go_on()
                if not self._over.is_set():
                    pool.submit(self._do, fault)
        while self._stopped:
            self._let_go_on()
        if self.troubles:
            raise self.troubles[0]

    def give_up(self) -> None:
        """Let nothing more fail."""
        self._over.set()

    def _let_go_on(self) -> None:
        """Let go on who was stopped for long enough, and take a breath."""
        with self._lock:
            ready = [pid for pid, at in self._stopped.items() if at <= time.monotonic()]
            for pid in ready:
                del self._stopped[pid]
        for pid in ready:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        time.sleep(_LOOK_S)

    def _do(self, fault: Fault) -> None:
        try:
            happened = self._ways[fault.kind](fault)
        except BaseException as error:  # noqa: BLE001  # raised where the run sees it
            self.troubles.append(error)
            return
        with self._lock:
            (self.done if happened else self.skipped)[fault.kind] += 1
        self.history.note(
            "fault", happened=happened, **{"fault" if k == "kind" else k: v for k, v in fault.to_json().items()}
        )

    def _chosen(self, fault: Fault) -> int | None:
        end = time.monotonic() + _PATIENCE_S
        while not (pids := self.house.pids(fault.target)):
            if time.monotonic() > end:
                return None
            time.sleep(_LOOK_S)
        return pids[int(fault.pick * len(pids))]

    def _kill(self, fault: Fault) -> bool:
        while (pid := self._chosen(fault)) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def _stop(self, fault: Fault) -> bool:
        while (pid := self._chosen(fault)) is not None:
            # A worker and its pool wake up together; each is let go on by itself.
            group = [pid, *self.house.pool_of(pid)] if fault.target == "group" else [pid]
            with self._lock:
                stopped = [one for one in group if self._stops(one, fault.for_s)]
            if pid in stopped:
                return True
        return False

    def _stops(self, pid: int, for_s: float) -> bool:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self._stopped[pid] = time.monotonic() + for_s
            return True
        return False

    def _on_the_way(self, fault: Fault) -> bool:
        with self._lock:
            self.proxy.tell(fault.kind, fault.target, how=fault.how, for_s=fault.for_s)
        return True

    def _server(self, fail: Callable[[], None]) -> bool:
        fail()
        return True

"""Starts and ends simulated providers, and reads what they did."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tactics.domain.provider import Provider

ROOT = Path(__file__).parents[2]


@dataclass
class Simulated:
    """A provider in a process of its own. It can be killed and started again: it remembers what is in its log."""

    log: Path
    seed: int
    secret: str | None
    options: dict[str, Any]
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def base(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def hosts(self) -> str:
        """What TACTICS_OUTBOUND_HOSTS has to have for it; TACTICS_OUTBOUND_NETWORKS is 127.0.0.0/8."""
        return self.base

    def provider(self, name: str = "wallet", **other: Any) -> Provider:
        """Give it as operators would set it up."""
        secrets = (self.secret,) if self.secret else ()
        made = Provider(
            name, f"{self.base}/grants", f"{self.base}/grants/{{idempotency_id}}", f"{self.base}/grants", secrets
        )
        return replace(made, **other)

    def start(self) -> None:
        """Start it, on the port that it had before, if any."""
        command = [sys.executable, "-m", "tests.provider.simulator", "--log", str(self.log)]
        options = {"port": self.port, "seed": self.seed, "secret": self.secret, **self.options}
        for name, value in options.items():
            if value is True:
                command.append(f"--{name.replace('_', '-')}")
            elif value is not None and value is not False:
                command += [f"--{name.replace('_', '-')}", str(value)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said, "the provider did not start"
        self.port = int(said)

    def kill(self) -> None:
        """End it at once, whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def change(self, **faults: Any) -> None:
        """Change what it does wrong, from now on; `next=["reset_after", …]` says it of the next calls, one by one."""
        body = json.dumps(faults).encode()
        request = urllib.request.Request(f"{self.base}/faults", body, method="PUT")  # noqa: S310  # ours, on loopback
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            answer.read()

    def lines(self) -> list[dict[str, Any]]:
        """Read its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def effects(self) -> Counter[str]:
        """Count how often it gave something under each id: more than once is what must not be."""
        return Counter(line["idempotency_id"] for line in self.lines() if line["what"] == "effect")


@contextmanager
def simulating(log: Path, *, seed: int = 0, secret: str | None = None, **options: Any) -> Iterator[Simulated]:
    """Run a provider; options are those of the simulator, such as `commit_then_timeout=0.1`."""
    made = Simulated(log, seed, secret, options)
    made.start()
    try:
        yield made
    finally:
        made.kill()

"""Fuzz the HTTP API: schemathesis with every check, over data that its requests find, until the time is up.

    make fuzz-api ARGS="--seconds 600 --seed 1"

Postgres, Valkey and `tactics api` are started for it, and ended after it. What is tried depends on the seed, how much of it
on the time. Exit code 1 when anything was found: the output says what, and how to send it again.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tactics import embedded
from tactics.api.examples_catalogue import ATTRIBUTES, ITEMS, SET_ITEMS
from tactics.api.examples_documents import BIG_SPENDER, BOUGHT_TWICE, SPEND_AND_SAVE, WELCOME
from tactics.domain.api_key import SCOPES
from tactics.store.db import make_engine
from tactics.store.migrate import upgrade

CONFIG = Path(__file__).with_name("schemathesis.toml")
TACTICS = (sys.executable, "-c", "from tactics.cli import main; main()")
SCHEMATHESIS = (sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()")
USERS = ("alice", "ann", "bob")
PATIENT = {"Tactics-Deadline-Ms": "10000"}
START_S = 60.0


def make_data(client: httpx.Client) -> dict[str, list[str]]:
    """Make something of everything by the API itself: what runs, what was granted, who has it.

    Returns:
        The ids that requests may name, by the names of the dictionaries in `schemathesis.toml`.
    """
    for user in USERS:
        _told(client.put(f"/v1/users/{user}", json=ATTRIBUTES))
    _told(client.post("/v1/items", json=ITEMS))
    _told(client.put("/v1/item-sets/hot_drinks", json=SET_ITEMS))
    _told(client.put("/v1/behaviour-rules/bought_twice", json=BOUGHT_TWICE))
    _told(client.post("/v1/plays", json=SPEND_AND_SAVE))
    listens = {**WELCOME, "channels": {"prepare": ["bought_twice"], "grant": ["home_banner"]}}
    _told(client.post("/v1/activities", json=listens))
    _told(
        client.post(
            "/v1/activities", json={**WELCOME, "channels": {"grant": ["home_banner"]}}, params={"publish": True}
        )
    )
    _told(client.post("/v1/activities", json=BIG_SPENDER, params={"publish": True}))
    _told(client.post("/v1/activities/welcome/benefits/five_off/movements", json={"delta": 5, "reason": "more"}))
    placed = [_told(client.post("/v1/placements/home_banner", json={"user_id": one}, headers=PATIENT)) for one in USERS]
    parts = [part for answer in placed for part in answer["results"]]
    assets = [asset for part in parts for asset in part["assets"]]
    grants = _told(client.get("/v1/grants"))["grants"]
    return {
        "activity": ["welcome", "big_spender"],
        "asset": [one["asset_id"] for one in assets],
        "benefit": ["five_off", "ten_off"],
        "channel": ["home_banner", "checkout"],
        "code": [one["code"] for one in assets],
        "execution": [execution for answer in placed for execution in answer["execution_ids"]],
        "grant": [one["grant_id"] for one in grants],
        "item": ["7", "8"],
        "item_set": ["hot_drinks"],
        "play": ["spend_and_save"],
        "rule": ["bought_twice"],
        "user": list(USERS),
    }


def _told(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def schemathesis(
    url: str, key: str, ids: Mapping[str, Sequence[str]], *options: str, out: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run schemathesis against an API, with `schemathesis.toml` and ids that exist.

    Args:
        url: where the API answers.
        key: an API key that may do everything.
        ids: what `make_data` gave.
        options: of `schemathesis run`.
        out: `subprocess.PIPE` to have its output.
    """
    with TemporaryDirectory() as folder:
        config = shutil.copy(CONFIG, folder)
        for name, members in ids.items():
            Path(folder, f"{name}.dict").write_text("".join(f'"{one}"\n' for one in members))
        asked = ("--config-file", config, "run", f"{url}/openapi.json", "-H", f"Authorization: Bearer {key}")
        return subprocess.run(
            [*SCHEMATHESIS, *asked, *options],
            cwd=folder,  # where it keeps what it remembers between runs
            env={**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
            stdout=out,
            stderr=subprocess.STDOUT if out else None,
            text=True,
            check=False,
        )


@contextmanager
def api_process(environment: Mapping[str, str]) -> Iterator[str]:
    """Run `tactics api` on a port of its own while this lasts; gives its address."""
    with subprocess.Popen([*TACTICS, "api", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True) as api:
        try:
            yield _address(api)
        finally:
            api.terminate()
            api.wait(START_S)


def _address(api: subprocess.Popen[str]) -> str:
    # Its output ends where the process does, and it says where it answers before anything else.
    for line in api.stdout or ():
        found = re.search(r"answers on (http://\S+)", line)
        if found:
            return found[1]
    raise RuntimeError("`tactics api` ended before it answered")


def fuzz(seconds: int, seed: int, *options: str) -> int:
    """Start everything, make the data, and run schemathesis for so many seconds; gives its exit code."""
    with TemporaryDirectory() as metrics, embedded.running() as servers:
        engine = make_engine(servers.database_url)
        with engine.begin() as conn:
            upgrade(conn)
        engine.dispose()
        environment = {
            **os.environ,
            "TACTICS_DATABASE_URL": servers.database_url,
            "TACTICS_REDIS_URL": servers.redis_url,
            "TACTICS_METRICS_DIR": metrics,
        }
        scopes = [part for scope in SCOPES for part in ("--scope", scope)]
        made = [*TACTICS, "keys", "create", "--name", "fuzz", *scopes]
        key = subprocess.run(made, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        with api_process(environment) as url:
            with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
                ids = make_data(client)
            limits = ("--max-time", str(seconds), "--seed", str(seed))
            return schemathesis(url, key, ids, *limits, *options).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m tests.fuzz.api`."""
    parser = argparse.ArgumentParser(prog="make fuzz-api", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options, others = parser.parse_known_args(arguments)
    start = time.monotonic()
    code = fuzz(options.seconds, options.seed, *others)
    print(
        f"seed {options.seed}: {time.monotonic() - start:.0f} s, {'something was found' if code else 'nothing found'}"
    )
    return 1 if code else 0


if __name__ == "__main__":
    raise SystemExit(main())

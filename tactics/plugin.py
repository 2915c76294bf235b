"""Plugins: someone else's modules, whose templates, processors, blocks and wordings are used like our own.

Found by the entry-point group `tactics.plugins`, or named in TACTICS_PLUGINS. A plugin that cannot be loaded stops who
needs it from starting, and says why: see docs/adr/0015-broken-plugins.md.
"""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from tactics.config import Settings
from tactics.domain.wording import default_wordings
from tactics.errors import InvalidPlugin, TacticsError
from tactics.rules import BlockDefinition, Builder, default_registry

if TYPE_CHECKING:
    from tactics.celery_app import TacticsApp
    from tactics.domain.wording import Subject
    from tactics.processor import Processor
    from tactics.template import TacticsTemplate

GROUP = "tactics.plugins"
SETTING = "TACTICS_PLUGINS"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_OURS = frozenset({"pbb", "tactics"})


@dataclass(frozen=True)
class Plugin:
    """What a plugin declares at the top level of its module; with `problems` nothing of it is used.

    `name` is that of its entry point, or of the module's outermost package; its blocks begin with it.
    """

    name: str
    module: str
    distribution: str | None = None
    version: str | None = None
    file: str | None = None
    templates: tuple[TacticsTemplate, ...] = ()
    processors: tuple[Processor[Any], ...] = ()
    blocks: tuple[BlockDefinition, ...] = ()
    wordings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """Where it was named."""
        return SETTING if self.distribution is None else f"{self.distribution} {self.version}"

    def __str__(self) -> str:
        """Name it so that people find it."""
        return f"plugin {self.name!r} ({self.origin}, module {self.module})"


@dataclass
class _Known:
    """What is declared so far, by kind and name: by whom, and the object."""

    objects: dict[tuple[str, str], tuple[str, object]] = field(default_factory=dict)
    elsewhere: list[tuple[Plugin, BlockDefinition]] = field(default_factory=list)
    """Blocks that stand in a plugin's module under another name than its own."""

    def claim(self, kind: str, name: str, owner: str, made: object) -> tuple[bool, str | None]:
        """Tell whether a declaration is new, and what is wrong with it; what was only imported is not new."""
        first, known = self.objects.setdefault((kind, name), (owner, made))
        if known is made:
            return first == owner, None
        return False, f"{kind} {name!r} is declared by {first} already: rename one"


def find_plugins(settings: Settings) -> list[Plugin]:
    """Find the plugins that are installed or named in the settings, without importing them."""
    installed = sorted(entry_points(group=GROUP), key=lambda one: (one.name, one.value))
    found = [_installed(one) for one in installed]
    modules = {one.module for one in found}
    found += [Plugin(one.split(".", 1)[0], one) for one in dict.fromkeys(settings.plugins) if one not in modules]
    off = frozenset(settings.plugins_off)
    return [one for one in found if off.isdisjoint({one.name, one.module})]


def _installed(point: EntryPoint) -> Plugin:
    named = (point.dist.name, point.dist.version) if point.dist is not None else ("unknown", "")
    return Plugin(point.name, point.value, *named)


def read_plugins(settings: Settings) -> list[Plugin]:
    """Import the plugins and collect what they declare; nothing is made known. What is wrong is in their `problems`."""
    found = find_plugins(settings)
    if not found:
        return []
    from tactics.templates import TEMPLATES

    known = _Known()
    for template in TEMPLATES:
        known.claim("template", template.template_type, "Tactics", template)
        for step in template.processors:
            known.claim("processor", step.name, "Tactics", step)
    names: dict[str, Plugin] = {}
    read = []
    for one in found:
        other = names.setdefault(one.name, one) if one.distribution else one
        read.append(_read(one, known, other))
    return [
        replace(after, problems=(*after.problems, *_strangers(before, known)))
        for before, after in zip(found, read, strict=True)
    ]


def load_plugins(settings: Settings) -> list[Plugin]:
    """Read the plugins, and let rules use their blocks. Doing it again changes nothing.

    Raises:
        InvalidPlugin: with everything that is wrong, and how to start without it.
    """
    found = read_plugins(settings)
    broken = [(one, problem) for one in found for problem in one.problems]
    if broken:
        raise _refusal(broken)
    for one in found:
        for block in one.blocks:
            if default_registry.get(block.id) is not block:
                default_registry.add(block)
    return found


def register_plugins(app: TacticsApp) -> None:
    """Make the templates and processors of all plugins known to an app.

    Raises:
        InvalidPlugin: one cannot be loaded, or does not get along with the app or its settings.
    """
    from tactics.processor import register_processor
    from tactics.template import register_template

    for one in load_plugins(app.settings):
        try:
            for template in one.templates:
                register_template(app, template)
            for step in one.processors:
                register_processor(app, step)
        except TacticsError as error:
            raise _refusal([(one, error.message)]) from error


def _refusal(broken: Sequence[tuple[Plugin, str]]) -> InvalidPlugin:
    off = ",".join(dict.fromkeys(one.name for one, _ in broken))
    lines = [f"{one}: {problem}" for one, problem in broken]
    lines.append(f"To do without, set TACTICS_PLUGINS_OFF={off}: what needs it waits then, or is refused.")
    return InvalidPlugin("\n".join(lines), problems=[{"plugin": one.name, "message": text} for one, text in broken])


def _read(plugin: Plugin, known: _Known, other: Plugin) -> Plugin:
    problem = _misnamed(plugin, other)
    if problem:
        return replace(plugin, problems=(problem,))
    try:
        module = _imported(plugin)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a module does when it is imported
        return replace(plugin, problems=(f"cannot be imported: {_cause(plugin, error)}",))
    found = _collected(plugin, module, known)
    if found.problems or found.templates or found.processors or found.blocks or found.wordings:
        return found
    text = "declares nothing: templates, processors and blocks are looked for at the module's top level"
    return replace(found, problems=(text,))


def _misnamed(plugin: Plugin, other: Plugin) -> str | None:
    if other is not plugin:
        return f"is called as another one, of {other.origin}: rename the entry point"
    if not _NAME.fullmatch(plugin.name) or plugin.name in _OURS:
        return (
            "its name begins the ids of its blocks: lower case letters, digits and underscores, "
            f"and neither {' nor '.join(sorted(_OURS))}"
        )
    if not all(part.isidentifier() for part in plugin.module.split(".")):
        return "is no module: name one as package.module"
    if plugin.module.endswith(".py"):
        return "name the module, without .py"
    return None


def _imported(plugin: Plugin) -> ModuleType:
    here = str(Path.cwd())
    # A script has its own folder in the path, not where it was called from: `TACTICS_PLUGINS=my_play tactics up`.
    if plugin.distribution is None and here not in sys.path:
        sys.path.append(here)
    return importlib.import_module(plugin.module)


def _cause(plugin: Plugin, error: BaseException) -> str:
    """Say in one line what went wrong in a module, and where."""
    text = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if isinstance(error, ModuleNotFoundError) and f"{plugin.module}.".startswith(f"{error.name}."):
        return f"{text}; it is looked for where this was started ({Path.cwd()}), on PYTHONPATH, and among the installed"
    ours = str(Path(__file__).parent)
    frames = [
        one
        for one in traceback.extract_tb(error.__traceback__)
        if not one.filename.startswith(ours) and "importlib" not in one.filename
    ]
    if isinstance(error, SyntaxError) or not frames:
        return text
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})"


def _collected(plugin: Plugin, module: ModuleType, known: _Known) -> Plugin:
    """Collect what stands at a module's top level and is not from elsewhere, with what is wrong with it."""
    from tactics.processor import Processor
    from tactics.template import TacticsTemplate

    owner, problems = str(plugin), list[str]()

    def new(kind: str, name: str, made: object) -> bool:
        fresh, problem = known.claim(kind, name, owner, made)
        problems.extend([problem] if problem else [])
        return fresh

    standing = _distinct(vars(module).values())
    templates = [
        one for one in standing if isinstance(one, TacticsTemplate) and new("template", one.template_type, one)
    ]
    steps = [one for one in standing if isinstance(one, Processor)]
    steps = _distinct([*steps, *(step for template in templates for step in template.processors)])
    processors = [one for one in steps if not _comes_with_tactics(one) and new("processor", one.name, one)]
    found = _distinct(one.definition if isinstance(one, Builder) else one for one in standing)
    blocks = [one for one in found if isinstance(one, BlockDefinition)]
    own = [one for one in blocks if one.id.startswith(f"{plugin.name}.") and new("block", one.id, one)]
    known.elsewhere += [(plugin, one) for one in blocks if not one.id.startswith(f"{plugin.name}.")]
    return replace(
        plugin,
        file=module.__file__,
        templates=tuple(templates),
        processors=tuple(processors),
        blocks=tuple(own),
        wordings=tuple(_wordings(plugin.module)),
        problems=tuple(problems),
    )


def _distinct(found: Iterable[Any]) -> list[Any]:
    return list({id(one): one for one in found}.values())


def _comes_with_tactics(step: Processor[Any]) -> bool:
    return str(step.function.__module__).split(".", 1)[0] == "tactics"


def _strangers(plugin: Plugin, known: _Known) -> Iterator[str]:
    """Find blocks under a name that is not the plugin's. Others' blocks may stand in it: rules are built with them."""
    for owner, block in known.elsewhere:
        _, declared = known.objects.get(("block", block.id), ("", default_registry.get(block.id)))
        if owner is plugin and declared is not block:
            yield f"block {block.id!r} must begin with the plugin's name: {plugin.name}.…"


def _wordings(module: str) -> Iterator[str]:
    """Name the wordings that a module's package has declared when it was imported."""
    package = module.split(".", 1)[0]
    for of, tool_type, language in default_wordings:
        found = default_wordings.find(cast("Subject", of), (tool_type,), language)
        if found is not None and found.__module__.split(".", 1)[0] == package:
            yield f"{tool_type} {language}" + ("" if of == "benefit" else f" {of}")

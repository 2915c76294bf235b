"""`tactics up`: everything on this machine, for a person to play with."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tactics.local import Local

_OWN_SERVERS = ("TACTICS_DATABASE_URL", "TACTICS_REDIS_URL")


def up(
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65_535, help="Flower's. Default: 5555, or the next free one."),
    ] = None,
    flower: Annotated[bool, typer.Option("--flower/--no-flower", help="Whether to run Flower.")] = True,
    api: Annotated[bool, typer.Option("--api/--no-api", help="Whether to run the HTTP API.")] = True,
    api_port: Annotated[
        int | None,
        typer.Option(
            "--api-port",
            min=1,
            max=65_535,
            help="The API's. Default: TACTICS_API_PORT, which is 8470, or the next free one.",
        ),
    ] = None,
) -> None:
    """Run everything on this machine: Postgres, Valkey, a worker, beat, the API and Flower. Ctrl-C stops it; the data is kept.

    The data is in TACTICS_HOME. Other commands find these servers by themselves.
    """
    from tactics.api.auth import UNGUARDED, unguarded
    from tactics.cli import attach
    from tactics.local import running_locally
    from tactics.plugin import load_plugins

    settings = attach.from_environment()
    load_plugins(settings)  # before any server starts
    home = settings.home
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # whoever ends us wants what Ctrl-C does
    typer.echo(f"Starting in {home} …")
    running = running_locally(home, durable=True, flower=flower, port=port, api=api, api_port=api_port, notify=_notify)
    with running as local:
        without_key = local.api is not None and unguarded(local.app.runtime)
        if without_key:
            typer.echo(UNGUARDED, err=True)
        for line in _description(local, without_key=without_key):
            typer.echo(line)
        try:
            local.wait()
        except KeyboardInterrupt:
            typer.echo("Stopping …")
    typer.echo(f"Stopped. The data is kept in {home}.")


def _notify(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _description(local: Local, *, without_key: bool) -> list[str]:
    home, flower = local.settings.home, local.flower
    logs = ", ".join(str(status.log) for status in local.supervisor.statuses().values())
    lines = [
        "",
        "Tactics is running. Ctrl-C stops it.",
        f"  Postgres  {local.servers.database_url}",
        f"  Redis     {local.servers.redis_url}",
    ]
    if local.api is not None:
        who = "without a key for this machine, until one is made" if without_key else "for who has a key"
        lines.append(f"  API       {local.api}  {who}; {local.api}/docs")
    if flower is not None:
        lines.append(f"  Flower    {flower.url}  user {flower.user}, password {flower.password}")
    lines += [f"  logs      {logs}", "", "Now, in another terminal:"]
    if set_ := [name for name in _OWN_SERVERS if os.environ.get(name)]:
        lines.append(f"  unset {' '.join(set_)}   # commands would use these servers instead")
    if home != _default_home():
        lines.append(f"  export TACTICS_HOME={home}")
    if plugins := local.settings.plugins:
        lines.append(f"  export TACTICS_PLUGINS={','.join(plugins)}   # visits run chains where they are called")
    if off := local.settings.plugins_off:
        lines.append(f"  export TACTICS_PLUGINS_OFF={','.join(off)}")
    return [
        *lines,
        "  tactics activity import FILE --publish",
        "  tactics event send --user u1 --action purchase --item 7",
        "  tactics visit CHANNEL --user u1",
    ]


def _default_home() -> Path:
    from tactics.config import Settings

    factory = Settings.model_fields["home"].get_default(call_default_factory=True)
    return Path(factory).resolve()

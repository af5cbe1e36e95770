"""The commands `smokeprobe alerts …`. Thin, as those of `cli`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from probes.cli_options import Config, Env, QuietHelp, say_errors
from probes.options import RunOptions

alerts = typer.Typer(cls=QuietHelp, no_args_is_help=True, help="Alerts: try whether those are reached who are told.")


@alerts.callback()
def _group() -> None:
    """Without it Typer would make its only command the whole group."""


@alerts.command("send-test")
def send_test(
    env: Env = "local",
    config: Config = "",
    to: Annotated[
        list[str] | None,
        typer.Option(help="Try this address instead of all that the rules name; may be repeated.", metavar="ADDRESS"),
    ] = None,
) -> None:
    """Send one marked notice to everyone whom the environment's own rules tell, and say what became of it.

    A pager is triggered, and resolved under the same key. Nothing is asked of the target. Exit code 1 where one did
    not take it.
    """
    from probes.send_test_notices import send_test_notices

    options = RunOptions(env=env, config=config)
    say_errors(lambda: sys.exit(send_test_notices(options, to or ())))

"""The commands `smokeprobe alerts …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from probes.cli_options import Config, Env, QuietHelp, say_errors

alerts = typer.Typer(cls=QuietHelp, no_args_is_help=True, help="Alert rules: try them.")


@alerts.command("test")
def try_rules(
    rules: Annotated[Path, typer.Option(help="The rules.", metavar="FILE")],
    series: Annotated[Path, typer.Option(help="What was seen, one JSON object a line.", metavar="FILE")],
    env: Env = "local",
    config: Config = "",
) -> None:
    """Play a series to the rules of an environment, and print what would have been sent when, one JSON object a line.

    A line of a series has t (seconds), region, check, outcome, and metrics: values by name. All rules of the
    environment are tried, whoever evaluates them. Sends nothing. Exit code 2 where rules or series cannot be read.
    """
    from probes.options import RunOptions
    from probes.try_rules import play

    say_errors(lambda: play(RunOptions(env=env, config=config), rules, series))

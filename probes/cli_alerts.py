"""The commands `smokeprobe alerts …`. Thin, as those of `cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from probes.cli_options import Config, Env, QuietHelp, Since, StateDir, TargetUrl, moment_ago, say_errors
from probes.options import RunOptions

alerts = typer.Typer(cls=QuietHelp, no_args_is_help=True, help="Alerts: try rules, and whether people are reached.")


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
    from probes.try_rules import play

    say_errors(lambda: play(RunOptions(env=env, config=config), rules, series))


@alerts.command()
def series(
    env: Env = "local", config: Config = "", target_url: TargetUrl = "", state_dir: StateDir = "", since: Since = "7d"
) -> None:
    """Print what the history has seen as a series for `alerts test`, one JSON object a line, the oldest first.

    Asks the target nothing. Exit codes: 0 printed, be it nothing; 2 usage, or no history yet; 3 it cannot be read.
    """

    def work() -> None:
        from probes.try_rules import record

        record(RunOptions(env=env, config=config, target_url=target_url, state_dir=state_dir), moment_ago(since))

    say_errors(work)


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

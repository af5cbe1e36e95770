"""The commands that read the history: `smokeprobe history`, `smokeprobe report`, `smokeprobe baseline`."""

from __future__ import annotations

from typing import Annotated

import typer

from probes.cli_options import Config, Env, Since, StateDir, TargetUrl, moment_ago, say_errors
from probes.options import RunOptions


def history(  # noqa: PLR0913, PLR0917 - Typer makes an option of each parameter
    env: Env = "local",
    config: Config = "",
    target_url: TargetUrl = "",
    state_dir: StateDir = "",
    region: Annotated[str, typer.Option(help="Only of this region.", metavar="NAME")] = "",
    check: Annotated[str, typer.Option(help="Only of this check.", metavar="NAME")] = "",
    outcome: Annotated[
        str,
        typer.Option(help="Only passed, degraded, failed, throttled, error, skipped or 'no data'.", metavar="NAME"),
    ] = "",
    since: Since = "90d",
    limit: Annotated[int, typer.Option(help="How many at most.", metavar="NUMBER", min=1, max=1_000_000)] = 50,
    runs: Annotated[bool, typer.Option("--runs", help="Runs, instead of verdicts.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Show what became of a target's checks, the newest first: what runs and masters have written in 90 days.

    Asks the target nothing. Exit codes: 0 shown, be it nothing; 2 usage, or no history yet; 3 it cannot be read.
    """

    def work() -> None:
        from probes.history import show
        from probes.store.reader import Wanted

        options = RunOptions(env=env, config=config, target_url=target_url, state_dir=state_dir)
        show(options, Wanted(region, check, outcome, moment_ago(since), limit), runs=runs, as_json=as_json)

    say_errors(work)


def report(
    html: Annotated[str, typer.Option(help="Write a status page there.", metavar="FILE")],
    env: Env = "local",
    config: Config = "",
    target_url: TargetUrl = "",
    state_dir: StateDir = "",
) -> None:
    """Write what the history says of a target over 90 days: availability, response times, incidents and deploys.

    The page is one file that needs no network and no script. Asks the target nothing.
    Exit codes: 0 written; 2 usage, or no history yet; 3 it cannot be read, or the page not written.
    """
    from pathlib import Path

    from probes.files import refuse_folder

    def work() -> None:
        refuse_folder(html)
        from probes.status_report import write_report

        write_report(RunOptions(env=env, config=config, target_url=target_url, state_dir=state_dir), Path(html))
        typer.echo(f"{html} is written.")

    say_errors(work)


def baseline(
    env: Env = "local",
    config: Config = "",
    target_url: TargetUrl = "",
    state_dir: StateDir = "",
    since: Since = "30d",
) -> None:
    """Propose limits of time from what was measured, per check and region, as a change of the configuration.

    What each rests on, and how often it would have been exceeded, goes to standard error; the change goes to standard
    output, for `patch`. Asks the target nothing, and changes nothing. Exit codes: 0 said, be it nothing; 2 usage, or
    no history yet; 3 it cannot be read.
    """

    def work() -> None:
        from probes.baseline.command import propose

        propose(RunOptions(env=env, config=config, target_url=target_url, state_dir=state_dir), moment_ago(since))

    say_errors(work)

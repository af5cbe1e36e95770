"""The commands `smokeprobe schedule …`. Thin, as those of `cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from probes.cli_options import QuietHelp, say_errors

schedule = typer.Typer(
    cls=QuietHelp, no_args_is_help=True, help="The schedule: what platforms are told of it, from one file."
)

File = Annotated[
    Path, typer.Option(help="The schedule; its environments stand beside it.", metavar="FILE", dir_okay=False)
]
Directory = Annotated[
    Path, typer.Option(help="The folder that holds what is rendered.", metavar="DIR", file_okay=False)
]
_FILE, _DIRECTORY = Path("config/cron-schedule.yaml"), Path("deploy")


@schedule.command()
def render(file: File = _FILE, directory: Directory = _DIRECTORY) -> None:
    """Write what GitHub Actions and Kubernetes are told of the schedule. Asks nobody, and needs no secret.

    What is up to date stays as it is; in the folders of the platforms, what is no longer rendered is removed.
    Exit codes: 0 all is written; 2 usage, or the schedule has mistakes, and nothing is written.
    """
    from probes.schedule_files import ScheduleFiles

    say_errors(lambda: sys.exit(ScheduleFiles(file, directory).render()))


@schedule.command()
def check(file: File = _FILE, directory: Directory = _DIRECTORY) -> None:
    """Say which of these files are not as they would be rendered, and change nothing.

    Exit codes: 0 all is up to date; 1 something is not; 2 usage, or the schedule has mistakes.
    """
    from probes.schedule_files import ScheduleFiles

    say_errors(lambda: sys.exit(ScheduleFiles(file, directory).check()))

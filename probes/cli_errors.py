"""How a command says an error: on one screen, without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

import typer

from probes.errors import ConfigError, SmokeprobeError

USAGE, INCONCLUSIVE = 2, 3


def say_errors(work: Callable[[], object]) -> None:
    """Do it, and where it raises an error of ours say that, and end with exit code 2 (configuration) or 3."""
    try:
        work()
    except ConfigError as problem:
        _end(problem, USAGE)
    except SmokeprobeError as problem:
        _end(problem, INCONCLUSIVE)


def _end(problem: SmokeprobeError, code: int) -> NoReturn:
    typer.echo(str(problem), err=True)
    sys.exit(code)

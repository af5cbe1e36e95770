"""`smokeprobe run`, `ui`, `master` and `worker`: the locustfile by Locust's own main, gone once all is said."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import NoReturn

from probes.config.load import shipped
from probes.errors import ConfigError
from probes.options import ENVIRONMENT, RunOptions
from probes.swarm.logs import set_up_log
from probes.swarm.prewarm import prewarm


def drive(options: RunOptions) -> NoReturn:
    """Run all checks once. Ends the process with the run's exit code."""
    _forget_options()
    prewarm(options)
    # Locust's own statistics are not what this is about; its warnings still show
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    _locust("scheduled.conf", options, ())


def serve(conf: str, options: RunOptions, more: tuple[str, ...]) -> NoReturn:
    """Be a master, a worker or a web UI, as `conf` has it, until somebody ends it; `more` goes to Locust as it is."""
    _forget_options()
    try:
        set_up_log(os.environ)
    except ConfigError as problem:
        sys.stderr.write(f"{problem}\n")
        leave(2)
    _locust(conf, options, more)


def _forget_options() -> None:
    """What is meant for Locust's own command is not meant for us, and our options have been read."""
    for name in [name for name in os.environ if name.startswith("LOCUST_") or name in ENVIRONMENT.values()]:
        del os.environ[name]


@contextmanager
def _plugins_read_once() -> Iterator[None]:
    """Let all that is installed be read once: gevent asks for plugins twice for each module that it patches."""
    ask = metadata.entry_points
    metadata.entry_points = ask().select  # with the same result
    try:
        yield
    finally:
        metadata.entry_points = ask


def _locust(conf: str, options: RunOptions, more: tuple[str, ...]) -> NoReturn:
    with _plugins_read_once():
        from locust.main import main

    from probes.swarm.arguments import arguments_for

    logging.getLogger("locust").setLevel(logging.ERROR)
    locustfile = str(shipped("locustfiles") / "production_smoke.py")
    file = str(shipped("config") / "locust" / conf)
    sys.argv = ["locust", "-f", locustfile, "--config", file, "--skip-log-setup", *arguments_for(options), *more]
    try:
        main()
    except SystemExit as end:
        leave(end.code)
    leave(0)


def leave(code: str | int | None) -> NoReturn:
    """End the process without taking the interpreter apart, which takes longer than many a check."""
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
    atexit._run_exitfuncs()  # noqa: SLF001 - what has children ends them here; nothing public runs these
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))

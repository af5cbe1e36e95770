"""All checks at short intervals, as locustfiles/production_smoke.py has them, and a record of every verdict.

For tests.bench.wire only. The record goes to the file that BENCH_RECORD names: one line a verdict, its check and
outcome, and of each step the milliseconds to first byte and of download, and whether its connection was new. Ends when,
after every check has come to a verdict once, the check BENCH_CHECK has come to BENCH_VERDICTS more.
"""

import json
import os
from pathlib import Path
from typing import Any

import gevent
import locust
from locust.env import Environment

from probes.model import Step, Verdict
from probes.swarm.hooks import install
from probes.swarm.session import SmokeSession
from probes.swarm.users import probe_classes


class Recorder:
    """Stands before a session's `run_check`, and writes down what passes by."""

    def __init__(self, session: SmokeSession, path: Path, check: str, verdicts: int) -> None:
        self._ask, self._path = session.run_check, path
        self._check, self._left = check, verdicts
        self._unseen = set(session.checks)
        self._environment: Environment | None = None

    def begin(self, environment: Environment, **_: Any) -> None:
        """Listen to Locust's `init`."""
        self._environment = environment

    def run_check(self, name: str) -> Verdict | None:
        """The session's verdict."""
        verdict = self._ask(name)
        if verdict is not None:
            line = [verdict.check, verdict.outcome, [_times(step) for step in verdict.steps]]
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")
            if not self._unseen:
                self._left -= verdict.check == self._check
            self._unseen.discard(verdict.check)
            if self._left == 0 and self._environment is not None and self._environment.runner is not None:
                gevent.spawn(self._environment.runner.quit)
        return verdict


def _times(step: Step) -> list[Any]:
    phases = step.phases
    return [phases.ttfb_ms, phases.download_ms, phases.connect_ms is not None]


def recorded_classes() -> dict[str, Any]:
    """The session's users, with its recorder in between."""
    session = install()
    if not isinstance(session, SmokeSession):
        raise TypeError("this is for a run of one process")
    names = ("BENCH_RECORD", "BENCH_CHECK", "BENCH_VERDICTS")
    path, check, verdicts = (os.environ[name] for name in names)
    recorder = Recorder(session, Path(path), check, int(verdicts))
    locust.events.init.add_listener(recorder.begin)
    session.run_check = recorder.run_check  # type: ignore[method-assign]  # it stands before the session
    return dict(probe_classes(session))


globals().update(recorded_classes())

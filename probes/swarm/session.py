"""A run from Locust's first event to its last: begin, collect, end in time, report, exit code."""

from __future__ import annotations

import atexit
import datetime as dt
import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from rich.console import Console

from probes.errors import SmokeprobeError
from probes.model import Layer, Outcome, Verdict
from probes.pipeline import Pipeline, Readers, RunFacts, decode, encode, publish
from probes.regions import LONGEST_S, VerifiedRegion, verify_region
from probes.reports.github import CommandStop
from probes.reports.progress import live
from probes.swarm.conductor import Conductor
from probes.swarm.desk import LedgerDesk
from probes.swarm.dispatcher import OneUserPerCheck
from probes.swarm.equipment import Equipment
from probes.swarm.prewarm import start_browser
from probes.swarm.signals import remembered, stopping_signals
from probes.swarm.unjudged import unjudged

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.runners import Runner
    from locust.web import WebUI

VERDICT_MESSAGE = "smokeprobe_verdict"
TICK_S = 0.1


class SmokeSession:
    """Holds a run together. Locust's listeners are its methods; users call `run_check`."""

    def __init__(self, equipment: Equipment, *, once: bool, only_kinds: frozenset[str] = frozenset()) -> None:
        self.equipment = equipment
        self.once = once
        self.checks = tuple(
            name for name, check in equipment.checks.items() if not only_kinds or check.kind in only_kinds
        )
        self._console = Console()
        self._commands = CommandStop(os.environ, sys.stdout)
        self._progress = live(self._console, self.checks)
        self._pipeline = Pipeline(self.checks, equipment.redactor, self._progress)
        self._started_at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        self._conductor: Conductor | None = None
        self._environment: Environment | None = None
        self._region: gevent.Greenlet[..., VerifiedRegion] | None = None
        self._signal = 0
        self._timed = False
        self._ending = False
        self._ended = Event()
        self._greenlets: list[gevent.Greenlet[..., Any]] = []

    def begin(self, environment: Environment) -> None:
        """Listener's work at Locust's `init`: clamp the users, take verdicts, mind the time and the signals."""
        self._environment = environment
        environment.dispatcher_class = OneUserPerCheck  # before Locust makes its dispatcher, at the first start
        browser, no_browser = start_browser(self.equipment, self.chosen(environment), at_once=True)
        self._conductor = Conductor(self.equipment, LedgerDesk(self.equipment), browser, no_browser)
        self._region = gevent.spawn(verify_region, self.equipment.options.region, self.equipment.settings, os.environ)
        _runner(environment).register_message(VERDICT_MESSAGE, self._on_verdict)
        for number in stopping_signals():
            gevent.signal_handler(number, self._on_signal, number, environment)
        self._commands.stop()
        atexit.register(self._commands.resume)  # the job's next steps have commands of their own
        self._progress.__enter__()
        for name in set(self.checks) - self.chosen(environment):
            self._pipeline.accept(_not_chosen(name))
        self._greenlets += [gevent.spawn(self._tick), gevent.spawn(self._conductor.heed_pauses)]
        if self.once:
            environment.events.test_start.add_listener(self._on_start)
        if came_early := remembered():
            self._conductor.end("interrupted", interrupted=True)
            self._on_signal(came_early, environment)

    def chosen(self, environment: Environment) -> frozenset[str]:
        """The checks whose user classes Locust was told to run: all of them, unless its command line names some."""
        classes = {user_class.__name__ for user_class in environment.user_classes}
        return frozenset(name for name in self.checks if class_name(name) in classes)

    def run_check(self, name: str) -> Verdict | None:
        """Run a check to its verdict; None where it has had its turn already, however often users are dispatched."""
        if self._conductor is None or (self.once and name not in self._pipeline.missing):
            return None
        if name not in self.equipment.left_out:
            self._progress.started(name)
        return self._conductor.run_check(name, self._progress)

    def tell(self, verdict: Verdict | None, name: str) -> None:  # noqa: ARG002 - a worker needs it
        """Send a verdict to ourselves: Locust's own way, which is the same under a master."""
        if verdict is not None and self._environment is not None:
            _runner(self._environment).send_message(VERDICT_MESSAGE, encode(verdict))

    def end(self, environment: Environment) -> None:
        """Listener's work at `quitting`: log-outs first, then the report, in every case; sets the exit code."""
        if self._conductor is None:
            return
        if self._ending:
            self._ended.wait()  # on SIGTERM Locust fires `quitting` twice, and exits after the second
            return
        self._ending = True
        try:
            self._end(environment, self._conductor)
        finally:
            self._ended.set()

    def _end(self, environment: Environment, conductor: Conductor) -> None:
        conductor.end("interrupted" if self._signal else "stopped", interrupted=True)
        for name in self._pipeline.missing:
            self._pipeline.accept(conductor.verdict_of(name))
        gevent.killall(self._greenlets, block=False)
        conductor.close()
        self._progress.__exit__(None, None, None)
        report = self._pipeline.report(self._facts(conductor), allow_degraded=self.equipment.options.allow_degraded)
        options = self.equipment.options
        readers = Readers(options.json_file, options.junit_file, options.html_file)
        environment.process_exit_code = publish(report, readers, self._console, self._commands).exit_code
        sys.stdout.flush()

    def _facts(self, conductor: Conductor) -> RunFacts:
        return RunFacts(
            run_id=self.equipment.run_id,
            env=self.equipment.settings.env,
            region=self.equipment.options.region,
            target=self.equipment.target,
            started_at=self._started_at,
            duration_s=time.monotonic() - conductor.begun_at,
            rate_limits=conductor.limits_used(),
            requests=conductor.requests(),
            signal=self._signal,
            region_verified=self._region_verified(),
        )

    def _region_verified(self) -> bool:
        """What has been asked beside the run; where it ended at once, nobody waits for more than that takes."""
        if self._region is None:
            return False
        self._region.join(timeout=LONGEST_S)
        return self._region.value is not None and self._region.value.verified

    def _on_verdict(self, environment: Environment, msg: Any, **_: Any) -> None:
        data: Mapping[str, Any] = msg.data
        self._pipeline.accept(decode(data))
        if self.once and not self._pipeline.missing:
            self._quit(environment)

    def _on_signal(self, number: int, environment: Environment) -> None:
        self._signal = self._signal or number
        self._quit(environment)

    def _quit(self, environment: Environment) -> None:
        # not from within the greenlet that Locust is going to kill
        gevent.spawn(_runner(environment).quit)
        if environment.web_ui is not None:
            gevent.spawn(_stop_web_ui, environment.web_ui)

    def _on_start(self, environment: Environment, **_: Any) -> None:
        """Locust starts: at once, or when somebody presses a button. From now on the run's time counts."""
        assert self._conductor is not None  # noqa: S101 - begin() has set it
        self._conductor.begin_run()
        if not self._timed:
            self._timed = True
            self._greenlets.append(gevent.spawn(self._end_in_time, environment))

    def _end_in_time(self, environment: Environment) -> None:
        assert self._conductor is not None  # noqa: S101 - begin() has set it
        self._conductor.end_in_time()
        for name in self._pipeline.missing:
            self._pipeline.accept(self._conductor.verdict_of(name))
        self._quit(environment)

    def _tick(self) -> None:
        while True:
            self._progress.tick()
            gevent.sleep(TICK_S)


def class_name(check: str) -> str:
    """The name of a check's user class."""
    return "".join(part.title() for part in check.replace("_", "-").split("-")) + "Probe"


def _not_chosen(name: str) -> Verdict:
    return unjudged(name, Outcome.SKIPPED, Layer.BUDGET, "left out on Locust's command line", configured_out=True)


def _stop_web_ui(web_ui: WebUI) -> None:
    """Locust's main waits for it, where there is one. It may not have started yet."""
    while getattr(web_ui, "server", None) is None:
        gevent.sleep(TICK_S)
    web_ui.stop()


def _runner(environment: Environment) -> Runner:
    if environment.runner is None:
        raise SmokeprobeError("Locust has no runner yet.")
    return environment.runner

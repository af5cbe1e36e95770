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
from probes.reports.github import CommandStop
from probes.reports.progress import live
from probes.safety.permits import boot_clock
from probes.swarm.audience import Audience
from probes.swarm.board import Board, LimitSeen, Snapshot, limit_seen
from probes.swarm.conductor import Conductor
from probes.swarm.desk import LedgerDesk
from probes.swarm.dispatcher import OneUserPerCheck
from probes.swarm.equipment import Equipment
from probes.swarm.notes import notes_on
from probes.swarm.prewarm import IDLE_S, start_browser
from probes.swarm.signals import remembered, stopping_signals
from probes.swarm.unjudged import unjudged

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.runners import Runner
    from locust.web import WebUI

    from probes.clients.browser import Browser

VERDICT_MESSAGE = "smokeprobe_verdict"
TICK_S = 0.1


class SmokeSession:
    """Holds a run together. Locust's listeners are its methods; users call `run_check`."""

    def __init__(
        self, equipment: Equipment, *, once: bool, stay: bool = False, only_kinds: frozenset[str] = frozenset()
    ) -> None:
        self.equipment = equipment
        self.once = once
        self.stay = stay
        self.checks = tuple(
            name for name, check in equipment.checks.items() if not only_kinds or check.kind in only_kinds
        )
        self.board = Board()
        self.board.add_region(equipment.options.region, (name for name in self.checks if name in equipment.planned))
        self._desk: LedgerDesk | None = None
        self._limits: list[LimitSeen] = []
        self._browser: Browser | None = None
        self._console = Console()
        self._commands = CommandStop(os.environ, sys.stdout)
        self._progress = live(self._console, self.checks)
        self._pipeline = Pipeline(self.checks, equipment.redactor, self._progress)
        self._started_at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        self._conductor: Conductor | None = None
        self._environment: Environment | None = None
        self._audience = Audience(equipment, self._mode, self._nothing_under_way, ends_by_itself=self._ends_by_itself)
        self._signal = 0
        self._timer: gevent.Greenlet[..., None] | None = None
        self._ending = False
        self._ended = Event()
        self._greenlets: list[gevent.Greenlet[..., Any]] = []

    def begin(self, environment: Environment) -> None:
        """Listener's work at Locust's `init`: clamp the users, take verdicts, mind the time and the signals."""
        self._environment = environment
        environment.dispatcher_class = OneUserPerCheck  # before Locust makes its dispatcher, at the first start
        self._browser, no_browser = start_browser(self.equipment, self.chosen(environment), at_once=not self.stay)
        self._desk = LedgerDesk(self.equipment)
        self._conductor = Conductor(self.equipment, self._desk, self._browser, no_browser)
        _runner(environment).register_message(VERDICT_MESSAGE, self._on_verdict)
        for number in stopping_signals():
            gevent.signal_handler(number, self._on_signal, number, environment)
        self._greenlets += self._audience.begin(self._progress.note)
        if not self.stay:
            self._audience.run_begins()
        self._commands.stop()
        atexit.register(self._commands.resume)  # the job's next steps have commands of their own
        self._progress.__enter__()
        self._leave_out(environment)
        self._greenlets += [gevent.spawn(self._tick), gevent.spawn(self._conductor.heed_pauses)]
        environment.events.request.add_listener(self._on_request)
        if self.once:
            environment.events.test_start.add_listener(self._on_start)
        if self.stay:
            environment.events.test_stop.add_listener(self._on_stop)
        if came_early := remembered():
            self._conductor.end("interrupted", interrupted=True)
            self._on_signal(came_early, environment)

    def chosen(self, environment: Environment) -> frozenset[str]:
        """The checks whose user classes Locust was told to run: all of them, unless its command line names some."""
        classes = {user_class.__name__ for user_class in environment.user_classes}
        return frozenset(name for name in self.checks if class_name(name) in classes)

    def rest_s(self, name: str) -> float:
        """Its interval, where it runs for ever without a master."""
        equipment = self.equipment.now()
        return equipment.settings.every(equipment.checks[name].options)

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

    def snapshot(self) -> Snapshot:
        """All that this run knows, in a master's words."""
        conductor, desk = self._conductor, self._desk
        assert conductor is not None  # noqa: S101 - begin() has set both
        assert desk is not None  # noqa: S101 - the same
        paused, under_way, region = desk.paused(), conductor.under_way, self.equipment.options.region
        if not under_way:  # reading the whole ledger takes milliseconds, which would count into a check's times
            self._limits = [limit_seen(use) for use in conductor.limits_used()]
        return {
            "region": region,
            "target": self.equipment.target,
            "cells": self.board.to_json(boot_clock()),
            "quorums": [],
            "workers": [],
            "ticks_under_way": len(under_way),
            "under_way": [{"region": region, "check": name, "runs": runs} for name, runs in under_way.items()],
            "rejected": {},
            "limits": self._limits,
            "paused": paused.message if paused else "",
            "trouble": desk.trouble,
            "sinks": self._audience.sinks(),
            "own_health": {
                "turned_s": 0.0, "unacknowledged": 0, "unwritten": 0, "lost": 0, "ledger": desk.trouble,
                "store": self._audience.history_trouble,
            },
        }  # fmt: skip

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
        self._fill_in(conductor)
        gevent.killall(self._greenlets, block=False)
        conductor.dismiss_browser()
        self._progress.__exit__(None, None, None)
        options = self.equipment.options
        report = self._pipeline.report(self._facts(conductor), allow_degraded=options.allow_degraded)
        report = self._pipeline.with_sinks(report, *self._audience.last_words(report))
        readers = Readers(options.json_file, options.junit_file, options.html_file)
        environment.process_exit_code = publish(report, readers, self._console, self._commands).exit_code
        sys.stdout.flush()
        conductor.close()

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
            notes=tuple(notes_on(self.equipment.target, self._pipeline.verdicts, conductor.kept_back_of_pages)),
            signal=self._signal,
            region_verified=self._audience.region_verified,
        )

    def _on_verdict(self, environment: Environment, msg: Any, **_: Any) -> None:
        data: Mapping[str, Any] = msg.data
        self._accept(decode(data))
        if self.once and not self._pipeline.missing:
            self._run_is_over(environment)

    @property
    def _mode(self) -> str:
        if self.stay:
            return "ui"
        return "run" if self.once else "continuous"

    @property
    def _ends_by_itself(self) -> bool:
        """Whether this is one run, which nothing follows."""
        return self.once and not self.stay

    def _nothing_under_way(self) -> bool:
        """Whether what is sent now counts into no check's time."""
        return self._conductor is None or not self._conductor.under_way

    def _on_request(self, request_type: str, context: Mapping[str, Any], **_: Any) -> None:
        """Listener's work at each of Locust's requests, which are our steps."""
        if "step" in context:
            self._audience.requested(request_type, context["step"])

    def _accept(self, verdict: Verdict) -> None:
        clean = self._pipeline.accept(verdict)
        self._audience.judged(clean)
        if not clean.configured_out:
            verified = self._audience.region_verified_yet
            self.board.judged(self.equipment.options.region, clean, boot_clock(), verified=verified)

    def _fill_in(self, conductor: Conductor) -> None:
        """What became of the checks that have told nothing."""
        for name in self._pipeline.missing:
            self._accept(conductor.verdict_of(name))

    def _leave_out(self, environment: Environment) -> None:
        for name in set(self.checks) - self.chosen(environment):
            self._accept(_not_chosen(name))

    def _run_is_over(self, environment: Environment) -> None:
        if self.stay:
            self._keep()
            gevent.spawn(_runner(environment).stop)  # Locust's page offers to start again
        else:
            if self._conductor is not None:
                self._conductor.dismiss_browser()
            self._quit(environment)

    def _keep(self) -> None:
        """Somebody may start another run at once: what this one came to is fixed now, and written in its own time."""
        if self._conductor is not None:
            report = self._pipeline.report(self._facts(self._conductor), allow_degraded=False)
            self._audience.run_is_over(report)

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
        if self.stay and self._timer is not None and not self._pipeline.missing:
            self._begin_again(environment, self._conductor)
        self._audience.run_begins()
        self._conductor.begin_run()
        if self._timer is None:
            self._timer = gevent.spawn(self._end_in_time, environment, self._conductor)
            self._greenlets.append(self._timer)

    def _begin_again(self, environment: Environment, conductor: Conductor) -> None:
        """All verdicts of the last run are in: what is started now is another one."""
        if self._timer is not None:
            self._timer.kill(block=False)
            self._greenlets.remove(self._timer)
            self._timer = None
        self._pipeline.forget()
        conductor.next_run()
        self._leave_out(environment)

    def _on_stop(self, environment: Environment, **_: Any) -> None:  # noqa: ARG002 - Locust's names
        """Somebody presses Stop: what is under way is cut off, logs out, and says so."""
        assert self._conductor is not None  # noqa: S101 - begin() has set it
        if self._timer is not None and self._pipeline.missing and not self._signal:
            gevent.spawn(self._cut_short, self._conductor)

    def _cut_short(self, conductor: Conductor) -> None:
        conductor.end("stopped by hand", interrupted=True)
        self._fill_in(conductor)
        self._keep()

    def _end_in_time(self, environment: Environment, conductor: Conductor) -> None:
        conductor.end_in_time()
        self._fill_in(conductor)
        self._run_is_over(environment)

    def _tick(self) -> None:
        while True:
            self._progress.tick()
            if not self._ends_by_itself and self._browser is not None and self._browser.idle_s > IDLE_S:
                self._browser.close()
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

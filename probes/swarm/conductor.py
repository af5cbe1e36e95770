"""One run: who may go when, until when, and with which permit. Knows greenlets, and nothing of Locust's classes.

HTTP checks of a process go one after another, because under gevent whatever runs while a request waits is counted into
its time; the browser is another process, so its checks go beside them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import gevent
from gevent.lock import BoundedSemaphore

from probes.account_rules import permit_s
from probes.checks.base import Check
from probes.checks.control import NetworkControl
from probes.checks.execute import execute
from probes.checks.probe import Tally, Tools
from probes.clients.browser import Browser
from probes.clients.http import HttpClient
from probes.config.models import CLEANUP_S, LAST_ORDERS_S
from probes.deadline import CutOff, Deadline
from probes.errors import ConfigError, LedgerError, NoBudgetError, NotOurTurnError, PausedError
from probes.files import keep_newest
from probes.model import Layer, LimitUse, Outcome, RequestCount, Verdict
from probes.pipeline import presentable
from probes.safety.permits import Meter
from probes.swarm.desk import Desk
from probes.swarm.equipment import Equipment
from probes.swarm.see_out import see_out
from probes.swarm.unjudged import heard_from, of_nothing_sent, unjudged

AnyCheck = Check[Any]

LAST_WORDS_S = 1.0
"""How long answers that are on their way may still take once nothing more is sent: they may be tokens of a log-in."""

POLL_S = 0.25
SCREENSHOTS_KEPT = 20


class Progress(Protocol):
    """Who shows how far a run is."""

    def attempt(self, check: str, number: int) -> None:
        """A check begins an attempt."""

    def note(self, text: str) -> None:
        """Something that a person who watches would want to know."""


class Span:
    """The time that a run has, and when its checks and their clean-up must be done."""

    def __init__(self, seconds: float) -> None:
        self.ends = Deadline(seconds - LAST_ORDERS_S)
        self.cleanup_ends = Deadline(seconds - 0.3)


class Conductor:
    """Runs each check on a permit, within the run's time, and keeps count.

    After `begin_run` all checks share one run's time; without it each run of a check has that time for itself.
    """

    def __init__(self, equipment: Equipment, desk: Desk, browser: Browser | None, no_browser: str) -> None:
        self.equipment, self.desk = equipment, desk
        self._browser, self._no_browser = browser, no_browser
        settings = equipment.settings
        self.begun_at = time.monotonic()
        self._run_s = settings.run.timeout
        self._shared: Span | None = None
        self._http_lane = BoundedSemaphore(1)
        self._browser_lane = BoundedSemaphore(1)
        self._at_browser = ""
        self._running: set[str] = set()
        self._greenlets: dict[str, gevent.Greenlet[..., Verdict]] = {}
        self._over = ""
        self._sent = 0
        self._by_method: dict[str, int] = {}
        self._tally = Tally()
        self._control = NetworkControl(
            settings, equipment.identity, equipment.options.state / "ledger.sqlite3", BoundedSemaphore(1)
        )

    def begin_run(self) -> Span:
        """Let the run's time begin; a second call changes nothing."""
        self._shared = self._shared or Span(self._run_s)
        return self._shared

    def next_run(self) -> None:
        """After `end`: what comes is another run, with all its time. The counts of what was sent go on."""
        self._shared, self._over = None, ""
        self._greenlets = {name: greenlet for name, greenlet in self._greenlets.items() if not greenlet.dead}

    @property
    def under_way(self) -> dict[str, bool]:
        """The checks that run, or wait for their turn or for room; and whether they run."""
        return {name: name in self._running for name, greenlet in self._greenlets.items() if not greenlet.dead}

    def run_check(self, name: str, progress: Progress) -> Verdict:
        """Run a check to its verdict, in a greenlet of its own: whoever waits here may be killed without harm to it.

        Where it is under way, or has ended while nobody waited, that is the run whose verdict is returned.
        """
        greenlet = self._greenlets.get(name)
        if greenlet is None:
            if self._over:
                return self.verdict_of(name)
            greenlet = self._start(name, progress)
        greenlet.join()
        verdict = heard_from(greenlet, name, self._silent)
        if self._greenlets.get(name) is greenlet:
            del self._greenlets[name]
        return verdict

    def _start(self, name: str, progress: Progress) -> gevent.Greenlet[..., Verdict]:
        self._follow_the_clock()
        span = self._shared or Span(self._run_s)
        greenlet = gevent.spawn(self._run, name, progress, span)
        self._greenlets[name] = greenlet
        if span is not self._shared:
            watch = gevent.spawn(self._cut_off_in_time, name, greenlet, span)
            greenlet.link(lambda _: watch.kill(block=False))
        return greenlet

    def _follow_the_clock(self) -> None:
        """An override may have begun or ended since the last check."""
        now = self.equipment.now()
        if now is not self.equipment:
            self.equipment = now
            self.desk.use(now)

    def _cut_off_in_time(self, name: str, greenlet: gevent.Greenlet[..., Verdict], span: Span) -> None:
        gevent.sleep(max(0.0, span.ends.remaining()))
        if self._at_browser == name:
            self._calm_browser(self._late, span.cleanup_ends.remaining())
        greenlet.kill(CutOff(self._late), block=False)

    @property
    def _late(self) -> str:
        return f"not finished within the run's {self._run_s:.0f} s"

    @property
    def _silent(self) -> str:
        return self._over or "no time left in this run"

    def verdict_of(self, name: str) -> Verdict:
        """The verdict of a check that has ended, or what is to be said of one that never began or broke."""
        return heard_from(self._greenlets.get(name), name, self._silent)

    def end(self, why: str, *, interrupted: bool) -> None:
        """Cut every check off, and wait for their log-outs. A second call only waits."""
        left_s = CLEANUP_S if self._shared is None else min(CLEANUP_S, self._shared.cleanup_ends.remaining())
        cleanup_ends = Deadline(left_s)
        if not self._over:
            self._over = why
            self._calm_browser(why, left_s)
            for greenlet in self._greenlets.values():
                if not greenlet.dead:
                    greenlet.kill(CutOff(why, interrupted=interrupted), block=False)
        gevent.joinall(list(self._greenlets.values()), timeout=max(0.1, cleanup_ends.remaining()))

    def _calm_browser(self, why: str, left_s: float) -> None:
        """Let a page send nothing more, and what is on its way be answered: it may be the tokens of a log-in."""
        if self._browser is None:
            return
        self._browser.stop(why)
        last_words = Deadline(min(LAST_WORDS_S, left_s / 2))
        while self._browser_lane.locked() and last_words.remaining() > 0:
            gevent.sleep(0.02)

    def end_in_time(self) -> None:
        """Wait for the run's end and cut off what is still under way; killed where the run ends earlier."""
        gevent.sleep(max(0.0, self.begin_run().ends.remaining()))
        self.end(self._late, interrupted=False)

    def heed_pauses(self) -> None:
        """Watch for a pause, this process's own or another's, on behalf of the browser, which has no ledger."""
        while self._browser is not None:
            gevent.sleep(POLL_S)
            if paused := self.desk.paused():
                self._browser.stop(paused.message)

    def dismiss_browser(self) -> None:
        """All verdicts are in: let the browser begin to end, beside what is still to be done."""
        if self._browser is not None:
            self._browser.dismiss()

    def close(self) -> None:
        """See to it that the browser is gone, and keep only the newest screenshots."""
        keep_newest(self.equipment.options.state / "screenshots", SCREENSHOTS_KEPT)
        if self._browser is not None:
            self._browser.close()

    def requests(self) -> RequestCount:
        """What was sent and what was kept back."""
        return RequestCount(self._sent, self._tally.blocked, dict(self._by_method))

    @property
    def kept_back_of_pages(self) -> dict[str, int]:
        """What the guard kept back of pages, each with how often."""
        return dict(self._tally.of_pages)

    def limits_used(self) -> tuple[LimitUse, ...]:
        """The worst window of each limit since this conductor was made."""
        return self.desk.limits_used(self.begun_at)

    def _run(self, name: str, progress: Progress, span: Span) -> Verdict:
        """The verdict, redacted: Locust's own statistics, files and pages show what it says too."""
        verdict = self._control.judged(self._run_unredacted(name, progress, span), span.ends)
        return presentable(verdict, self.equipment.redactor)

    def _run_unredacted(self, name: str, progress: Progress, span: Span) -> Verdict:
        if why := self.equipment.left_out.get(name):
            return unjudged(name, Outcome.SKIPPED, Layer.BUDGET, why, configured_out=True)
        check = self.equipment.checks[name]
        try:
            return self._run_on_permit(check, progress, span)
        except LedgerError as problem:
            return unjudged(name, Outcome.ERROR, Layer.BUDGET, f"no ledger, so nothing is sent: {problem.message}")
        except CutOff as cut:
            why = cut.why
        except PausedError as paused:
            why = paused.message  # which says so
        except NotOurTurnError as others:
            return unjudged(name, Outcome.SKIPPED, Layer.ACCOUNT, others.message)
        except NoBudgetError as empty:
            why = f"no budget: {empty.message}"
        return unjudged(name, Outcome.SKIPPED, Layer.BUDGET, why)

    def _run_on_permit(self, check: AnyCheck, progress: Progress, span: Span) -> Verdict:
        """Ask until there is room, or the run's time is over: waiting counts against no check's time-out.

        Nothing is held while waiting for room, so that a check without budget keeps no other one waiting.
        """
        told = False
        while True:
            with self._lanes(check):
                try:
                    left_s = max(0.1, span.ends.remaining())
                    meter = self.desk.grant(check, permit_s(check, self.equipment.settings, left_s))
                except NoBudgetError as empty:
                    wait_s = max(POLL_S, min(empty.retry_in_s, 1.0))
                    if span.ends.remaining() < max(wait_s, min(empty.retry_in_s, 1e6)):
                        raise
                    what = "its turn" if isinstance(empty, NotOurTurnError) else "budget"
                    note = f"{check.name} waits for {what}: {empty.message}"
                else:
                    return self._execute(check, meter, progress, span)
            if not told:
                progress.note(self.equipment.redactor.text(note))
                told = True
            gevent.sleep(wait_s)

    @contextmanager
    def _lanes(self, check: AnyCheck) -> Iterator[None]:
        """Wait for what only one check may use at a time: the browser first, which others keep for longest."""
        with ExitStack() as lanes:
            if check.uses_browser and self._browser is not None:
                lanes.enter_context(self._browser_lane)
                self._at_browser = check.name
            if not check.browser:
                lanes.enter_context(self._http_lane)
            yield

    def _execute(self, check: AnyCheck, meter: Meter, progress: Progress, span: Span) -> Verdict:
        self._running.add(check.name)
        try:
            if check.uses_browser and self._browser is not None:
                self._browser.prepare()  # beside what the check does before it needs a page
            tools = self._tools(check, meter, span)
            verdict = execute(check, tools, lambda number: progress.attempt(check.name, number))
            return verdict if meter.usage().sent else of_nothing_sent(verdict)
        finally:
            self._running.discard(check.name)
            self._count(meter)
            self.desk.settle(meter)

    def _count(self, meter: Meter) -> None:
        usage = meter.usage()
        self._sent += usage.sent
        for method, count in usage.by_method.items():
            self._by_method[method] = self._by_method.get(method, 0) + count

    def _tools(self, check: AnyCheck, meter: Meter, span: Span) -> Tools:
        equipment = self.equipment
        brakes = self.desk.brakes
        shots = equipment.options.state / "screenshots"
        account, no_account = None, ""
        if meter.permit.account:
            try:
                account = equipment.accounts.of(meter.permit.account)
            except ConfigError as problem:
                no_account = problem.message

        def new_client(deadline: Deadline) -> HttpClient:
            return HttpClient(
                equipment.guard, meter, brakes, equipment.identity, deadline,
                refusals=equipment.refusals, sleep=gevent.sleep,
            )  # fmt: skip

        return Tools(
            settings=equipment.settings,
            meter=meter,
            deadline=Deadline(check.options.timeout, span.ends),
            cleanup_deadline=span.cleanup_ends,
            new_client=new_client,
            sessions=equipment.sessions,
            trace_id=equipment.run_id,
            tally=self._tally,
            browser=self._browser,
            no_browser=self._no_browser,
            account=account,
            no_account=no_account,
            screenshot_path=str(shots / f"{equipment.run_id}-{check.name}.png"),
            sleep=gevent.sleep,
            see_out=lambda work: see_out(work, lambda: min(LAST_WORDS_S, span.cleanup_ends.remaining() / 2)),
        )

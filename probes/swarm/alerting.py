"""Alert rules within a master, which looks every few seconds, and at the end of a run, which looks once.

Nobody waits for either: a look asks the store in a thread, and each notice is sent in a thread of its own, so that a
channel that hangs keeps no other one waiting. What is not told now is told later, by whoever looks at the same store.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool

from probes.alerts.arithmetic import LOOK_S
from probes.alerts.evaluator import BREAK_S, make_evaluator, never_fire, our_rules, own_regions, why_off
from probes.alerts.run_link import run_url
from probes.errors import SmokeprobeError, StoreError
from probes.safety.permits import boot_clock
from probes.store.inbox import FILE
from probes.store.record import KEEP_S
from probes.swarm.equipment import Equipment
from probes.swarm.store_thread import StoreThread

if TYPE_CHECKING:
    from probes.alerts.evaluator import Evaluator
    from probes.store.alert_state import Sent, Untold

AT_ONCE = 8
"""So many notices are sent at the same time."""

TELL_EVERY_S = 1.0
FORGET_EVERY_S, FORGET_AT_ONCE = 3600.0, 1000

RUN_LOOKS_S, RUN_TELLS_S = 2.0, 10.0
"""What looking may add to the end of a run, and telling where there is something to tell: so long a channel has, and of
what it takes later nobody would know that it was taken."""

log = logging.getLogger(__name__)


class Station:
    """Where looks are made and notices sent, without keeping anybody else waiting."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._store, self._senders = StoreThread(), ThreadPool(AT_ONCE)
        self._unnoted: list[Sent] = []

    def look(self) -> bool:
        """Look once; whether there is something to tell. Raises StoreError."""
        return bool(self._store.ask(self._evaluator.looks.look))

    def tell(self) -> Untold:
        """Try some of what is due once; what waits after that. Raises StoreError."""
        self._turn()
        return self._store.ask(self._evaluator.state.untold)

    def tell_all(self) -> Untold:
        """Try all of what is due once; what waits after that. Raises StoreError."""
        while self._turn():
            pass
        return self._store.ask(self._evaluator.state.untold)

    def _turn(self) -> bool:
        """Whether anything was due."""
        from probes.alerts.tell import send

        self._note()
        due = self._store.ask(partial(self._evaluator.state.lease, AT_ONCE))
        for sent in self._senders.imap_unordered(partial(send, channel_of=self._evaluator.channel_of), due):
            self._unnoted.append(sent)
            with contextlib.suppress(StoreError):  # said by the next try, when what all others have taken is known too
                self._note()
        self._note()
        return bool(due)

    def _note(self) -> None:
        """Note what became of notices, at once: what is not noted is sent again, so it is kept until it could be."""
        if self._unnoted:
            self._store.ask(partial(self._evaluator.state.sent, list(self._unnoted)))
            self._unnoted.clear()

    def forget(self) -> None:
        """Forget what the history has forgotten. Raises StoreError."""
        self._store.ask(partial(self._evaluator.state.forget, KEEP_S, FORGET_AT_ONCE))


class MasterAlerting:
    """Looks and tells for as long as a master runs. `trouble` says what is wrong, and is empty where nothing is."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._wake, self._closing = Event(), Event()
        self._problems = {"look": "", "tell": ""}
        self._forget_at = 0.0
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    @property
    def trouble(self) -> str:
        """What is wrong with the store, or with a channel."""
        return " ".join(filter(None, self._problems.values()))

    def begin(self) -> None:
        """Look and tell from now on."""
        self._greenlets = [
            gevent.spawn(self._for_ever, "look", self._look, self._closing, LOOK_S),
            gevent.spawn(self._for_ever, "tell", self._tell, self._wake, TELL_EVERY_S),
        ]

    def close(self, patience_s: float) -> None:
        """Let what is being sent be sent, for so many seconds at most."""
        self._closing.set()
        self._wake.set()
        gevent.joinall(self._greenlets, timeout=patience_s)
        gevent.killall(self._greenlets, block=False)

    def _for_ever(self, what: str, turn: Callable[[], str], wake: Event, pause_s: float) -> None:
        while not self._closing.is_set():
            try:
                problem = turn()
            except Exception as broken:  # noqa: BLE001 - whatever it is: without this greenlet nobody is told anything
                known = isinstance(broken, SmokeprobeError)
                problem = str(broken) if known else f"The alerts have broken: {type(broken).__name__} in a {what}."
            if problem and not self._problems[what]:
                log.warning("%s", problem)
            self._problems[what] = problem
            wake.wait(pause_s)

    def _look(self) -> str:
        if self._station.look():
            self._wake.set()
        if boot_clock() >= self._forget_at:
            self._forget_at = boot_clock() + FORGET_EVERY_S
            self._station.forget()
        return ""

    def _tell(self) -> str:
        if not self._closing.is_set():
            self._wake.clear()
        return self._station.tell().said("to be told")


def alerting_of_master(regions: Mapping[str, Equipment]) -> MasterAlerting | None:
    """What a master of these regions looks with, or none where no rule is ours. Raises ConfigError and StoreError."""
    equipment = next(iter(regions.values()))
    options, settings = equipment.options, equipment.settings
    rules = our_rules(options, settings)
    if wrong := never_fire(options, settings):
        log.warning("%s", wrong)
    if off := why_off(rules, options.database_url, os.environ):
        log.warning("%s", off)
    if off or not (rules or _has_open(equipment)):
        return None
    made = make_evaluator(
        options, settings, rules, tuple(regions), target=equipment.target, break_s=BREAK_S, environ=os.environ
    )
    return MasterAlerting(Station(made))


def _has_open(equipment: Equipment) -> bool:
    """Whether rules that are no longer ours have left something open, whose end people are to hear of."""
    options = equipment.options
    if not options.database_url and not (options.state / FILE).exists():
        return False  # known without the database's library
    from probes.store.alert_state import AlertState
    from probes.store.database import open_database

    try:
        state = AlertState(open_database(options.state, options.database_url), equipment.target, equipment.settings.env)
        return StoreThread().ask(state.has_open)
    except StoreError as problem:
        log.warning("Whether an alert of former rules is to be ended is not known. %s", problem)
        return False


class RunAlerting:
    """A run's one look, when its verdicts are written, and one attempt to tell."""

    def __init__(self, equipment: Equipment, environ: Mapping[str, str] = os.environ) -> None:
        """Raises ConfigError with every mistake of the rules."""
        self._equipment, self._environ = equipment, environ
        self._rules = our_rules(equipment.options, equipment.settings)
        self._off = why_off(self._rules, equipment.options.database_url, environ)

    def look(self) -> str:
        """Within `RUN_LOOKS_S` and `RUN_TELLS_S`; what is wrong with that, or with the rules, or nothing."""
        wrong = never_fire(self._equipment.options, self._equipment.settings) if self._rules else ""
        return " ".join(filter(None, (wrong, self._off or self._look())))

    def _look(self) -> str:
        try:
            with gevent.Timeout(RUN_LOOKS_S, TimeoutError):
                if not self._rules and not _has_open(self._equipment):
                    return ""
                station = Station(self._evaluator())
                station.look()
            with gevent.Timeout(RUN_TELLS_S, TimeoutError):
                untold = station.tell_all()
        except TimeoutError:
            return "Alerts took too long: what is not told yet is told by the next run."
        except SmokeprobeError as problem:
            return f"Alert rules could not be evaluated. {problem}"
        return untold.said("for the next run")

    def _evaluator(self) -> Evaluator:
        options, settings = self._equipment.options, self._equipment.settings
        every = max(settings.every(check) for check in settings.checks.values())
        return make_evaluator(
            options, settings, self._rules, own_regions(settings, options.region), target=self._equipment.target,
            break_s=2 * every, environ=self._environ, run_url=run_url(self._environ),
        )  # fmt: skip

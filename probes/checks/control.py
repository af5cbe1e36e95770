"""Whether it is our own network that is down. Others are asked that, and only where the target has not answered at all.

What they are asked takes the same way as what the target is asked: a guard, a permit, the ledger.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from probes.clients.http import HttpClient, Identity, Request
from probes.config.models import Settings
from probes.config.vantage import Control
from probes.deadline import CutOff, Deadline
from probes.errors import SmokeprobeError, TransportError
from probes.model import LOCAL, OUR_NETWORK, Layer, Outcome, Reason, Step, Verdict
from probes.safety.brakes import LedgerBrakes
from probes.safety.guard import Guard, GuardRules, parse_url
from probes.safety.ledger import Authority, Ledger
from probes.safety.ledger_file import LedgerFile

ASKED_EVERY_S = 10.0
"""How long an answer holds: nobody is asked again sooner, however many checks fail."""

HANDLING_S = 0.5
"""What a permit lasts beyond the time-outs of its requests."""


class NetworkControl:
    """Tells a target that is down from a network of ours that is. One for all checks of a process.

    It draws on this machine's own `ledger`, whoever hands out the permits for the target. Under `lock` one check asks
    while the others wait: greenlets or threads, as the checks are.
    """

    def __init__(self, settings: Settings, identity: Identity, ledger: Path, lock: AbstractContextManager[Any]) -> None:
        self._control, self._private = settings.control, settings.target.private
        self._identity, self._ledger = identity, ledger
        self._lock, self._run_s = lock, settings.run.timeout
        self._down, self._asked_at = False, -math.inf

    def judged(self, verdict: Verdict, ends: Deadline) -> Verdict:
        """The verdict; and where a check got no answer because our own network is down, an error in its place.

        Whatever keeps us from finding out, and be it the end of the run, leaves the verdict as it is.
        """
        if self._control is None or not got_no_answer(verdict):
            return verdict
        try:
            return of_our_network(verdict) if self._is_down(self._control, ends) else verdict
        except CutOff:
            return verdict

    def _is_down(self, control: Control, ends: Deadline) -> bool:
        """What was found out last; where that is too long ago one check finds out anew, and all others wait for it.

        At the end of a run, with no time left for that, what was found out earlier in it holds: that a check has waited
        in vain since is no sign of our network being back.
        """
        with self._lock:
            age_s = time.monotonic() - self._asked_at
            # with less time than their time-outs, an address that is silent looks like one that is slow
            if age_s >= ASKED_EVERY_S and ends.remaining() >= control.longest_s:
                return self._ask(control)
            return self._down and age_s < self._run_s

    def _ask(self, control: Control) -> bool:
        self._down = False
        try:
            self._down = self._nobody_answers(control)
        finally:
            self._asked_at = time.monotonic()
        return self._down

    def _nobody_answers(self, control: Control) -> bool:
        """Leave for all is taken before the first is asked: with one of them unasked, nothing could be said."""
        try:
            ledger = Ledger(LedgerFile(self._ledger))  # not a fleet's, which is on the network in question
            with ExitStack() as permits:
                clients = {url: permits.enter_context(self._client(control, url, ledger)) for url in control.addresses}
                return not any(_answers(client, url, control.timeout) for url, client in clients.items())
        except SmokeprobeError:
            return False

    @contextmanager
    def _client(self, control: Control, url: str, ledger: Ledger) -> Iterator[HttpClient]:
        """A client with a permit for one request to this address; it is given back unused where it is not needed."""
        origin, limit = parse_url(url).origin, control.limit(url)
        authority = Authority(ledger, target=origin, share="control", share_fraction=1.0, limits=(limit,), region=LOCAL)
        permit = authority.grant(
            "control", quota={limit.name: 1}, cleanup={}, deadline_s=control.longest_s + HANDLING_S
        )
        meter = authority.meter(permit)
        brakes = LedgerBrakes(ledger, authority, (limit,), origin)
        guard = Guard(GuardRules(origin, private=self._private))
        client = HttpClient(guard, meter, brakes, self._identity, Deadline(permit.deadline_s))
        try:
            yield client
        finally:
            client.close()
            authority.settle(permit, meter)


def _answers(client: HttpClient, url: str, timeout_s: float) -> bool:
    """Whether anything comes back that is HTTP, whatever it says."""
    try:
        client.send(Request("GET", url, follow=False), timeout_s)
    except TransportError as problem:
        return problem.layer is Layer.BODY  # so its head was there
    return True


def got_no_answer(verdict: Verdict) -> bool:
    """Whether a check has failed, and nothing that came back says so."""
    failures = [step.reason for step in verdict.steps if step.outcome is Outcome.FAILED]
    return verdict.outcome is Outcome.FAILED and bool(failures) and all(map(_unanswered, failures))


def of_our_network(verdict: Verdict) -> Verdict:
    """The target has not failed where we reach nobody at all."""
    return replace(
        verdict, outcome=Outcome.ERROR, reason=_ours(verdict.reason), steps=tuple(map(_unjudged, verdict.steps))
    )


def _unjudged(step: Step) -> Step:
    return replace(step, outcome=Outcome.ERROR, reason=_ours(step.reason)) if step.outcome is Outcome.FAILED else step


def _unanswered(reason: Reason | None) -> bool:
    return reason is not None and reason.unanswered


def _ours(reason: Reason | None) -> Reason | None:
    return None if reason is None else replace(reason, rule=OUR_NETWORK + reason.rule)

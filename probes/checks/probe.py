"""What one attempt of a check works with: requests whose answers are judged, steps, and time that runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tenacity import RetryCallState, Retrying, retry_if_result
from tenacity.wait import wait_exponential_jitter

from probes.checks.finding import Finding
from probes.clients.answers import retry_after_s
from probes.clients.http import Heard, HttpClient, Request, Response
from probes.config.models import CheckOptions, Settings
from probes.config.units import show_duration
from probes.deadline import CutOff, Deadline
from probes.errors import PausedError, QuotaError, RefusedError, TransportError
from probes.model import JUDGED, SEVERITY, Layer, Outcome, Phases, Reason, Step, worst

if TYPE_CHECKING:
    from probes.clients.browser import Browser
    from probes.safety.permits import Meter

Judge = Callable[[Response], Iterable[Finding]]

MOST_NAMED = 3
"""How many different requests of pages that were kept back are told by name."""

CUT_SHORT_S = 1.0
"""An attempt that fails with less than this left of the check's time has failed for want of it."""


class SessionBook(Protocol):
    """Where the tokens of an open session are kept until its log-out, and what bars an account from another log-in."""

    def opened(self, alias: str, tokens: Mapping[str, str]) -> None:
        """Remember a session and teach the redactor its tokens."""

    def closed(self, alias: str, tokens: Mapping[str, str]) -> None:
        """Forget it: it is proved to be over."""

    def left_open(self, alias: str) -> Sequence[Mapping[str, str]]:
        """Tokens of each session that an earlier run left behind."""

    def bar(self, alias: str, why: str, seconds: float) -> None:
        """Let nobody log in to an account for so long."""

    def barred(self, alias: str) -> str:
        """Why nobody is to log in to an account now, or nothing."""


class SeeOut(Protocol):
    """How something is done whose end must be heard of even where the check is cut off meanwhile."""

    def __call__(self, work: Callable[[], None]) -> None:
        """Do it to its end; raises what it raises, and after that what has cut the check off."""


def _to_its_end(work: Callable[[], None]) -> None:
    work()


@dataclass(frozen=True, slots=True)
class AccountSecrets:
    """What logs an account in. Never shown."""

    alias: str
    user: str = field(repr=False)
    password: str = field(repr=False)
    totp_seed: str = field(repr=False, default="")


@dataclass(slots=True)
class Tally:
    """What was counted while checks ran; `of_pages` says what the guard kept back of pages, each with how often."""

    blocked: int = 0
    of_pages: dict[str, int] = field(default_factory=dict)

    def kept_back_of_page(self, what: str) -> None:
        """Count a request of a page that was kept back; pages may invent ever new ones, so only a few are named."""
        self.blocked += 1
        name = what if what in self.of_pages or len(self.of_pages) < MOST_NAMED else "others"
        self.of_pages[name] = self.of_pages.get(name, 0) + 1


@dataclass(frozen=True, slots=True)
class Tools:
    """What a check's attempts share: settings, the permit's meter, time, and the ways out."""

    settings: Settings
    meter: Meter
    deadline: Deadline
    cleanup_deadline: Deadline
    new_client: Callable[[Deadline], HttpClient]
    sessions: SessionBook
    trace_id: str
    tally: Tally
    browser: Browser | None = None
    no_browser: str = ""  # why there is none
    account: AccountSecrets | None = None
    no_account: str = ""  # why there is none
    screenshot_path: str = ""
    sleep: Callable[[float], None] = time.sleep
    see_out: SeeOut = _to_its_end
    trying: Callable[[int], None] = lambda _number: None  # is told of each further try in place, by its number


@dataclass(slots=True)
class Probe:
    """One attempt: it asks, judges, records. `tries` is the most tries that any single step took."""

    tools: Tools
    options: CheckOptions
    tries_in_place: int
    client: HttpClient
    steps: list[Step] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    tries: int = 1
    final: bool = False
    cut_short: bool = False
    target_version: str = ""
    certificate_days: float | None = None
    screenshot: str = ""

    def get(
        self,
        name: str,
        path: str,
        judge: Judge | None = None,
        within: float | None = None,
        status: int | None = 200,
    ) -> Response | None:
        """GET a path, judge the answer, and try again in place where that may help.

        `within` is the limit in seconds for the time to first byte. An answer of another status than `status` has
        failed, and is not shown to `judge`; None leaves that to it. The answer is None unless the step passed or was
        merely slow.
        """

        def judged(response: Response) -> Iterable[Finding]:
            if status is not None and response.status != status:
                return [Finding(Outcome.FAILED, Layer.HTTP, "wrong status", str(status), str(response.status))]
            return judge(response) if judge is not None else ()

        return self.ask(name, Request("GET", self.url(path)), judged, within)

    def ask(
        self,
        name: str,
        request: Request,
        judge: Judge | None = None,
        within: float | None = None,
        tries: int = 0,
        heard: Heard | None = None,
    ) -> Response | None:
        """Send any request as a step of this name. Only GETs, and what `tries` allows, are repeated in place.

        `heard` is told of every answer before anything is made of it (see `HttpClient.send`), and also of one that
        comes while the check is being cut off.
        """
        repeats = tries or (self.tries_in_place if request.method == "GET" else 1)
        deadline = self.tools.cleanup_deadline if request.cleanup else self.tools.deadline
        tried: list[_Tried] = []

        def once() -> _Tried:
            # a slow answer is one too, so a try may take all the time; only a log-out that hangs leaves some to another
            timeout_s = deadline.remaining() / (repeats - len(tried) if request.cleanup else 1)
            if timeout_s > 0 or not tried:
                if tried:
                    self.tools.trying(len(tried) + 1)
                tried.append(self._try(name, request, judge, within, timeout_s, heard))
            return tried[-1]

        try:
            Retrying(
                stop=lambda state: state.attempt_number >= repeats or deadline.remaining() <= 0,
                wait=lambda state: self.pause_s(state, deadline),
                retry=retry_if_result(self._worth_another),
                retry_error_callback=lambda _: None,
                sleep=self.tools.sleep,
            )(once)
        except CutOff:
            if tried and not request.cleanup:  # who asked for a log-out tries it once more, and keeps that
                self._keep(tried)
            raise
        return self._keep(tried)

    def _keep(self, tried: list[_Tried]) -> Response | None:
        # a further try that could not judge, or ran out of time, does not undo what an earlier one has seen
        judged = [one for one in tried if one.step.outcome in JUDGED]
        last = ([one for one in judged if not one.timed_out] or judged or tried)[-1]
        self.tries = max(self.tries, len(tried))
        self.final = self.final or last.final
        self.record(last.step)
        return last.response if last.step.outcome in {Outcome.PASSED, Outcome.DEGRADED} else None

    def record(self, step: Step) -> None:
        """Add a finished step."""
        self.steps.append(step)

    def expect(self, name: str, findings: Iterable[Finding]) -> bool:
        """Record a step that needs no request of its own: passed where there is no finding."""
        found = list(findings)
        self.final = self.final or any(finding.final for finding in found)
        self.record(self._step(name, found))
        return not found

    def url(self, path: str) -> str:
        """A path of the target as a URL."""
        return path if "://" in path else self.tools.settings.target.url + path

    @property
    def outcome(self) -> Outcome:
        """What the steps come to; it has not passed where one of them was not sent for want of budget."""
        outcome = worst([step.outcome for step in self.steps])
        if outcome is Outcome.PASSED and any(map(_kept_back, self.steps)):
            return Outcome.SKIPPED
        return outcome

    @property
    def out_of_time(self) -> bool:
        """Whether what has failed just now may have failed for want of time."""
        return self.outcome is Outcome.FAILED and self.tools.deadline.remaining() < CUT_SHORT_S

    def pause_s(self, state: RetryCallState, deadline: Deadline) -> float:
        """How long to wait before the next try: exponential, with jitter, lest many probes come back at one moment.

        At most half of the time that is left: the try needs some too.
        """
        waits = self.tools.settings.run.backoff
        wait = wait_exponential_jitter(multiplier=waits.first, max=waits.longest, jitter=waits.first / 2)
        return max(0.0, min(wait(state), deadline.remaining() / 2))

    def _worth_another(self, tried: _Tried) -> bool:
        return tried.step.outcome in self.options.retry_on and not tried.final

    def _try(
        self,
        name: str,
        request: Request,
        judge: Judge | None,
        within: float | None,
        timeout_s: float,
        heard: Heard | None,
    ) -> _Tried:
        if timeout_s <= 0:
            return self._without_time(name)
        try:
            response = self._send(request, timeout_s, heard)
        except TransportError as problem:
            finding = Finding(Outcome.FAILED, problem.layer, problem.message, unanswered=problem.unanswered)
            return _Tried(self._step(name, [finding]), None, final=False, timed_out=problem.timed_out)
        except RefusedError as refused:
            self.tools.tally.blocked += 1
            return self._unsent(name, Outcome.ERROR, Layer.HTTP, f"kept back by the guard: {refused.message}")
        except QuotaError as empty:
            return self._unsent(name, Outcome.SKIPPED, Layer.BUDGET, f"no budget: {empty.message}")
        except PausedError as paused:
            return self._unsent(name, Outcome.SKIPPED, Layer.BUDGET, f"paused: {paused.message}")
        return self._judged(name, response, judge, within)

    def _send(self, request: Request, timeout_s: float, heard: Heard | None) -> Response:
        if heard is None:
            return self.client.send(request, timeout_s)
        answers: list[Response] = []

        def exchange() -> None:
            answers.append(self.client.send(request, timeout_s, heard))

        self.tools.see_out(exchange)
        return answers[0]

    def _without_time(self, name: str) -> _Tried:
        if not self.steps:  # so it is not the target that has used it up
            return self._unsent(name, Outcome.SKIPPED, Layer.BUDGET, "no time left in this run")
        finding = Finding(
            Outcome.FAILED, Layer.HTTP, "no time left within the check's time-out", final=True, unanswered=True
        )
        return _Tried(self._step(name, [finding]), None, final=True)

    def _judged(self, name: str, response: Response, judge: Judge | None, within: float | None) -> _Tried:
        findings = list(general_findings(response))
        if not findings:
            try:
                findings = list(judge(response)) if judge else []
            except TransportError as problem:  # a body that cannot be read
                findings = [Finding(Outcome.FAILED, problem.layer, problem.message)]
        judged_ms = response.ttfb_ms
        if self.options.measure == "ttfb_minus_rtt":
            judged_ms = max(0.0, judged_ms - response.facts.rtt_s * 1000.0)
        if within is not None and judged_ms > within * 1000.0:
            rule = "slower than its limit"
            findings.append(
                Finding(Outcome.DEGRADED, Layer.HTTP, rule, f"under {show_duration(within)}", f"{judged_ms:.0f} ms")
            )
        if response.facts.certificate_days is not None:
            self.certificate_days = response.facts.certificate_days
        step = self._step(name, findings, response, judged_ms, within)
        return _Tried(step, response, final=any(finding.final for finding in findings))

    def _unsent(self, name: str, outcome: Outcome, layer: Layer, rule: str) -> _Tried:
        return _Tried(self._step(name, [Finding(outcome, layer, rule)]), None, final=True)

    def _step(
        self,
        name: str,
        findings: list[Finding],
        response: Response | None = None,
        judged_ms: float | None = None,
        within: float | None = None,
    ) -> Step:
        gravest = max(findings, key=lambda finding: SEVERITY[finding.outcome], default=None)
        reason = (
            None
            if gravest is None
            else Reason(
                step=name,
                layer=gravest.layer,
                rule=gravest.rule,
                expected=gravest.expected,
                actual=gravest.actual,
                request_id=response.request_id if response else "",
                trace_id=self.tools.trace_id,
                unanswered=gravest.unanswered,
            )
        )
        return Step(
            name=name,
            outcome=gravest.outcome if gravest else Outcome.PASSED,
            duration_ms=response.duration_ms if response else None,
            judged_ms=judged_ms,
            limit_ms=within * 1000.0 if within is not None else None,
            phases=response.phases if response else Phases(),
            reason=reason,
            bytes_received=len(response.body) if response else 0,
        )


@dataclass(frozen=True, slots=True)
class _Tried:
    step: Step
    response: Response | None
    final: bool
    timed_out: bool = False


def _kept_back(step: Step) -> bool:
    return step.outcome is Outcome.SKIPPED and step.reason is not None and step.reason.layer is Layer.BUDGET


def general_findings(response: Response) -> Iterable[Finding]:
    """What holds for any answer: a throttle, a bot wall and a body without end are told apart before anything else."""
    if response.challenged:  # whatever its status says: that is the wall's, and not the target's
        yield Finding(
            Outcome.ERROR, Layer.HTTP, "blocked by edge: a bot challenge", "", str(response.status), final=True
        )
    elif response.throttled:
        after_s = retry_after_s(response.headers.get("retry-after"))
        actual = f"{response.status}" + (f", retry after {after_s:.0f} s" if after_s is not None else "")
        yield Finding(Outcome.THROTTLED, Layer.HTTP, "the target asks us to slow down", "", actual, final=True)
    elif response.truncated:
        yield Finding(Outcome.FAILED, Layer.BODY, "the body is larger than 1 MiB and was cut off", final=False)

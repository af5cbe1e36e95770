"""What the browser's visits have in common: a permit lent to the page, and judging what a visit found out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from probes.checks.base import PlannedCall
from probes.checks.finding import Finding, degraded, failed
from probes.checks.probe import Probe
from probes.clients.browser import Browser, OnSession
from probes.clients.journey import Action, Journey
from probes.clients.page_result import ActionResult, Answered, Blocked, PageResult
from probes.config.units import show_duration
from probes.errors import PausedError, QuotaError, SmokeprobeError
from probes.model import NETWORK, Layer, Outcome, Phases, Reason, Step, whole
from probes.safety.limits import CallPattern
from probes.safety.permits import boot_clock

NET_LAYERS: tuple[tuple[str, Layer], ...] = (
    ("ERR_NAME_", Layer.DNS),
    ("ERR_DNS_", Layer.DNS),
    ("ERR_CERT_", Layer.TLS),
    ("ERR_SSL_", Layer.TLS),
    ("ERR_BAD_SSL", Layer.TLS),
    ("ERR_CONNECTION_REFUSED", Layer.CONNECT),
    ("ERR_CONNECTION_TIMED_OUT", Layer.CONNECT),
    ("ERR_ADDRESS_", Layer.CONNECT),
    ("ERR_CONTENT_LENGTH", Layer.BODY),
    ("ERR_INCOMPLETE", Layer.BODY),
)
"""Chromium's names of network errors (net_error_list.h) by the layer that broke; any other is the HTTP layer's."""

SILENCE = frozenset({"ERR_TIMED_OUT", "ERR_INTERNET_DISCONNECTED", "ERR_NETWORK_CHANGED"})
"""Those of the HTTP layer that mean that no answer came."""

LONGEST_PATH = 60
"""Characters of a path that a note has room for."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a visit does, and what is lent to it from the permit. `declared` are calls that its pages are to make."""

    actions: tuple[Action, ...]
    calls: tuple[PlannedCall, ...]
    max_requests: int
    declared: tuple[CallPattern, ...]
    login_paths: tuple[str, ...] = ()
    logout_paths: tuple[str, ...] = ()
    measured: bool = True  # whether load time and Web Vitals are wanted


def make_visit(probe: Probe, visit: Visit, on_session: OnSession = lambda _tokens: None) -> PageResult | None:
    """Visit with a fresh profile. None where that broke, and a step then says why."""
    if probe.tools.browser is None:
        probe.expect("page", [Finding(Outcome.ERROR, Layer.BROWSER, probe.tools.no_browser, final=True)])
        return None
    result = _go(probe, probe.tools.browser, visit, on_session)
    if result is not None:
        for kept_back in result.blocked:
            probe.tools.tally.kept_back_of_page(_named(kept_back, probe.tools.settings.target.url))
        if result.screenshot:
            probe.screenshot = probe.tools.screenshot_path
        _heed(probe, result)
    return result


def _named(kept_back: Blocked, target: str) -> str:
    """A request of a page in few words; other hosts are not named, as they may be internal ones."""
    parts = urlsplit(kept_back.url)
    own = f"{parts.scheme}://{parts.netloc}" == target and len(parts.path) <= LONGEST_PATH
    return f"{kept_back.method} {parts.path}" if own else f"{kept_back.method} to another address"


def _go(probe: Probe, browser: Browser, visit: Visit, on_session: OnSession) -> PageResult | None:
    tools, identity, meter = probe.tools, probe.client.identity, probe.tools.meter
    since = boot_clock()
    try:
        if paused := probe.client.brakes.paused():
            raise paused
        lent = meter.lend(_quota(probe, visit.calls))
    except QuotaError as empty:
        probe.expect("page", [Finding(Outcome.SKIPPED, Layer.BUDGET, f"no budget: {empty.message}", final=True)])
        return None
    except PausedError as stopped:
        probe.expect("page", [_paused(stopped)])
        return None
    journey = Journey(
        permit=lent,
        actions=visit.actions,
        max_requests=visit.max_requests,
        timeout_s=max(0.1, tools.deadline.remaining()),
        headers={"X-Smokeprobe-Run": identity.run_id, "traceparent": identity.traceparent()},
        credential_headers=dict([identity.edge] if identity.edge else []),
        login_paths=visit.login_paths,
        logout_paths=visit.logout_paths,
        calls=visit.declared,
        refusals=probe.client.refusals,
        screenshot_path=tools.screenshot_path,
        since=since,
        measured=visit.measured,
    )
    try:
        result = browser.run(journey, on_session=on_session)
    except SmokeprobeError as problem:
        meter.write_off(lent)
        probe.expect("page", [Finding(Outcome.ERROR, Layer.BROWSER, problem.message)])
        return None
    except BaseException:
        meter.write_off(lent)
        raise
    meter.absorb(result.usage)
    return result


def _paused(paused: PausedError) -> Finding:
    return Finding(Outcome.SKIPPED, Layer.BUDGET, f"paused: {paused.message}", final=True)


def _quota(probe: Probe, calls: Iterable[PlannedCall]) -> dict[str, int]:
    quota: dict[str, int] = {}
    for call in calls:
        for limit in probe.tools.settings.rate_limits:
            if limit.covers_call(call.method, call.path):
                quota[limit.name] = quota.get(limit.name, 0) + call.times
    return quota


def _heed(probe: Probe, result: PageResult) -> None:
    """What answers to a page ask of the probe, as for any other request."""
    brakes = probe.client.brakes
    if result.paused_s:
        brakes.asked_to_pause(result.paused_s)
    for asked in result.slow_downs:
        brakes.asked_to_slow_down(asked.method, asked.path, asked.seconds)


def judge_visit(probe: Probe, result: PageResult, within: float | None = None, load_step: str = "load") -> bool:
    """Record a visit's steps: each action, then what went wrong beside them. True where nothing is worse than slow."""
    overriding = list(_overriding(probe, result))
    if overriding:
        # throttled, walled off or led astray: what the page did after that says nothing of its own
        probe.expect(load_step, overriding)
        return False
    for action in result.actions:
        probe.final = probe.final or action.ours
        probe.record(_action_step(probe, result, action, within if action.name == load_step else None))
    probe.expect("console", _console(result))
    probe.expect("subresources", _subresources(result))
    return probe.outcome in {Outcome.PASSED, Outcome.DEGRADED}


def _overriding(probe: Probe, result: PageResult) -> Iterator[Finding]:
    if result.challenged:
        yield _by_edge(Outcome.ERROR, "blocked by edge: a bot challenge", result.challenged)
    elif result.throttled:
        yield _by_edge(Outcome.THROTTLED, "the target asks us to slow down", result.throttled)
    elif result.over_quota and (paused := probe.client.brakes.paused()):
        yield _paused(paused)
    elif result.over_quota:
        first = result.over_quota[0]
        path = whole(urlsplit(first.url).path)
        rule = f"no budget for {first.method} {path} of the page (are its calls declared?): {first.rule}"
        yield Finding(Outcome.ERROR, Layer.BUDGET, rule, final=True)
    elif result.refused_navigation:
        refused = result.refused_navigation
        yield failed(f"redirected to where we must not go: {refused.rule}", layer=Layer.HTTP)
    elif result.crashed:
        yield Finding(Outcome.ERROR, Layer.BROWSER, "the browser crashed")


def _by_edge(outcome: Outcome, rule: str, answers: Iterable[Answered]) -> Finding:
    paths = ", ".join(sorted({whole(answered.path) for answered in answers})[:3])
    statuses = ", ".join(sorted({str(answered.status) for answered in answers}))
    return Finding(outcome, Layer.HTTP, f"{rule}: {paths}", "", statuses, final=True)


def _action_step(probe: Probe, result: PageResult, action: ActionResult, within: float | None) -> Step:
    timing = result.timing
    is_load = within is not None
    judged = timing.load_ms if is_load else None
    finding: Finding | None = None
    if action.ours:
        finding = Finding(Outcome.ERROR, Layer.BROWSER, action.error)
    elif not action.ok:
        status = result.document_status
        layer = _net_layer(action.net_error) if action.net_error else Layer.BROWSER
        if not action.net_error and status is not None and not 200 <= status < 300:
            layer = Layer.HTTP
        rule = action.error or action.net_error or "did not succeed"
        finding = Finding(Outcome.FAILED, layer, rule, unanswered=_unanswered(result, action, layer))
    elif within is not None and judged is not None and judged > within * 1000.0:
        finding = degraded("slower than its limit", f"under {show_duration(within)}", f"{judged:.0f} ms", Layer.BROWSER)
    reason = None if finding is None else Reason(
        action.name, finding.layer, finding.rule, finding.expected, finding.actual,
        whole(result.document_headers.get("x-request-id", "")), probe.tools.trace_id, finding.unanswered,
    )  # fmt: skip
    return Step(
        name=action.name,
        outcome=finding.outcome if finding else Outcome.PASSED,
        duration_ms=action.duration_ms,
        judged_ms=judged,
        limit_ms=within * 1000.0 if within is not None else None,
        phases=Phases(ttfb_ms=timing.ttfb_ms) if is_load else Phases(),
        reason=reason,
    )


def _unanswered(result: PageResult, action: ActionResult, layer: Layer) -> bool:
    """Whether nothing came back at all: Chromium says so, or the page was waited for until the time was over."""
    if action.net_error:
        return layer in NETWORK or action.net_error in SILENCE
    return result.document_status is None


def _net_layer(net_error: str) -> Layer:
    return next((layer for prefix, layer in NET_LAYERS if net_error.startswith(prefix)), Layer.HTTP)


def _console(result: PageResult) -> Iterator[Finding]:
    if result.page_errors:
        yield failed("uncaught exceptions in the page", 0, len(result.page_errors), Layer.BROWSER)
    elif result.console_errors:
        yield failed("errors on the console", 0, len(result.console_errors), Layer.BROWSER)


def _subresources(result: PageResult) -> Iterator[Finding]:
    if result.failed:
        first = result.failed[0]
        what = f"{first.method} {whole(first.path)}"
        yield failed(f"a part of the page failed: {what}", "", first.status or first.error, Layer.BROWSER)

"""The plan: what the configured checks cost the target at worst, and whether that fits under the ceiling."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from probes.checks.base import Check
from probes.checks.control import ASKED_EVERY_S
from probes.config.mistakes import did_you_mean
from probes.config.models import Settings
from probes.config.units import show_duration
from probes.config.vantage import Control
from probes.errors import RefusedError
from probes.model import LOCAL
from probes.safety.guard import Guard, GuardRules, check_headers, counted_as, host_listed, parse_url
from probes.safety.limits import RateLimit, share_slots
from probes.share_rules import FEWER, OwnedShare, fit_problems, more_room, owned_shares, share_problems, sources

DAY_S = 86400.0

CONFIRM_EVERY_S = 120.0
"""A master has a failure looked at again (see `probes.swarm.confirm`) at most so often for each check and region."""


AnyCheck = Check[Any]


@dataclass(frozen=True, slots=True)
class LimitPlan:
    """One limit: requests in its worst window, by one run and by all checks at their intervals, in all regions."""

    limit: RateLimit
    run: int
    continuous: int

    def percent(self, requests: float) -> float:
        """As a percentage of what the target allows."""
        return 100.0 * requests / self.limit.requests


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What a day at the configured intervals costs the target when all is well, from so many regions together."""

    requests: float
    bytes: float
    logins: float
    regions: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole sum; `control` is what others are asked where the target does not answer, host by host.

    `owners` says who draws on which share, and how much room it has for each limit that is no spacing.
    """

    limits: tuple[LimitPlan, ...]
    day: DayPlan
    control: tuple[LimitPlan, ...] = ()
    owners: tuple[OwnedShare, ...] = ()


def make_plan(settings: Settings, checks: Mapping[str, AnyCheck]) -> Plan:
    """Add up the enabled checks."""
    enabled = [check for check in checks.values() if _runs(settings, check)]
    limits = tuple(
        LimitPlan(
            limit=limit,
            run=sum(_worst(check, limit) for check in enabled),
            continuous=_continuous(settings, enabled, limit) * sources(settings, limit),
        )
        for limit in settings.rate_limits
    )
    return Plan(limits, _day(settings, enabled), tuple(_control(settings, enabled)), owned_shares(settings))


def needs_all_day(settings: Settings, checks: Mapping[str, AnyCheck]) -> dict[RateLimit, int]:
    """For each limit the requests in the worst window of one region whose master runs the enabled checks."""
    enabled = [check for check in checks.values() if _runs(settings, check)]
    return {limit: _continuous(settings, enabled, limit) for limit in settings.rate_limits}


def _control(settings: Settings, checks: list[AnyCheck]) -> Iterator[LimitPlan]:
    """Each check that fails has the control asked, but no sooner again than its last answer holds."""
    control = settings.control
    if control is None:
        return
    for limit, addresses in Counter(map(control.limit, control.addresses)).items():
        span_s = limit.hold_s + control.longest_s
        run = min(len(checks), _askings(min(span_s, settings.run.checks_s)))
        looks = sum(_ticks(settings, check, span_s) + _further_looks(settings, check, span_s) for check in checks)
        continuous = min(looks, _askings(span_s))
        yield LimitPlan(limit, run * addresses, continuous * addresses)


def _askings(seconds: float) -> int:
    return math.floor(seconds / ASKED_EVERY_S) + 1


def worst_of(plans: Sequence[Plan]) -> Plan:
    """The worst of several plans of one configuration, limit by limit and sum by sum; at least one is needed."""
    days = [plan.day for plan in plans]
    requests, size = max(day.requests for day in days), max(day.bytes for day in days)
    return Plan(
        _worst_limits(item for plan in plans for item in plan.limits),
        DayPlan(requests, size, max(day.logins for day in days), days[0].regions),
        _worst_limits(item for plan in plans for item in plan.control),
        plans[0].owners,
    )


def _worst_limits(items: Iterable[LimitPlan]) -> tuple[LimitPlan, ...]:
    by_name: dict[str, LimitPlan] = {}
    for item in items:
        worst = by_name.get(item.limit.name, item)
        tightest = min(worst.limit, item.limit, key=lambda limit: limit.requests / limit.window_s)
        run, continuous = max(worst.run, item.run), max(worst.continuous, item.continuous)
        by_name[item.limit.name] = LimitPlan(tightest, run, continuous)
    return tuple(by_name.values())


def _runs(settings: Settings, check: AnyCheck) -> bool:
    return check.options.enabled and not (settings.safety.get_only and check.writes)


def _worst(check: AnyCheck, limit: RateLimit) -> int:
    own, cleanup = check.quota()
    return own.get(limit.name, 0) + cleanup.get(limit.name, 0)


def _continuous(settings: Settings, checks: list[AnyCheck], limit: RateLimit) -> int:
    """Requests in the worst window where each check starts at its interval, and its failures are looked at again.

    A tick's last request, as late as its time-out allows, may fall into the window of the ticks that follow it.
    """
    return sum(
        _worst(check, limit) * _ticks(settings, check, limit.window_s)
        + _worst(check.once(), limit) * _further_looks(settings, check, limit.window_s)
        for check in checks
    )


def _further_looks(settings: Settings, check: AnyCheck, window_s: float) -> int:
    """How often in a window a failure of a check may be looked at again; only masters do that."""
    if not settings.masters or not check.confirmable:
        return 0
    span: float = window_s + check.options.timeout
    return math.floor(span / CONFIRM_EVERY_S) + 1


def _ticks(settings: Settings, check: AnyCheck, window_s: float) -> int:
    span: float = window_s + check.options.timeout
    # 1 s holds eleven ticks 0.1 s apart, but 1 // 0.1 is 9: the division must not lose one to rounding
    return math.floor(span / settings.every(check.options) + 1e-9) + 1


def _day(settings: Settings, checks: list[AnyCheck]) -> DayPlan:
    requests = size = logins = 0.0
    regions = max(1, sum(len(master.regions) for master in settings.masters.values()))
    for check in checks:
        a_day = regions * DAY_S / settings.every(check.options)
        calls = check.calls()
        requests += a_day * sum(call.times for call in calls)
        size += a_day * sum(call.times * call.size for call in calls)
        if check.account:
            logins += a_day * check.logins
    return DayPlan(requests, size, logins, regions)


def problems_of(settings: Settings, checks: Mapping[str, AnyCheck], share: str, region: str) -> Iterator[str]:
    """Everything that keeps this configuration from being run safely, one line each."""
    enabled = {name: check for name, check in checks.items() if _runs(settings, check)}
    yield from share_problems(settings, share)
    yield from _region_problems(settings, region)
    if refused := _never_reached(settings.target.url, private=settings.target.private):
        advice = "" if settings.target.private else "; write target.private: true if it is meant"
        yield f"target.url: {refused}{advice}"
    yield from _credential_problems(settings, enabled)
    yield from _exception_problems(settings, enabled)
    yield from _idle_problems(settings, checks)
    yield from _time_problems(settings, enabled)
    yield from _ceiling_problems(settings, enabled, share)
    if settings.control:
        yield from _control_problems(settings, settings.control, enabled)


def _region_problems(settings: Settings, region: str) -> Iterator[str]:
    known = ", ".join(settings.regions) or "regions: none is named there"
    if settings.regions and region not in {*settings.regions, LOCAL}:
        yield f"regions: {region!r} is not one of {known}"
    for name in settings.region_proofs:
        if name not in settings.regions:
            yield f"region_proofs.{name}: {name!r} is not one of {known}"


def _credential_problems(settings: Settings, checks: Mapping[str, AnyCheck]) -> Iterator[str]:
    credentials = settings.credentials
    if credentials and not host_listed(parse_url(settings.target.url), credentials.hosts):
        listed = ", ".join(credentials.hosts)
        yield f"target.url: {settings.target.url} is not among credentials.hosts ({listed}): passwords go nowhere else"
    if credentials and credentials.edge_header:
        try:
            check_headers([credentials.edge_header.name])
        except RefusedError as refused:
            yield f"credentials.edge_header: {refused.message}"
    for name, check in checks.items():
        if check.account and (credentials is None or check.account not in credentials.accounts):
            yield f"checks.{name}.account: there is no account {check.account!r} under credentials.accounts"


def _exception_problems(settings: Settings, checks: Mapping[str, AnyCheck]) -> Iterator[str]:
    named = {(exception.call.method, exception.call.path) for exception in settings.safety.exceptions}
    for name, check in checks.items():
        for method, path in sorted({(call.method, call.path) for call in check.writes} - named):
            yield f"checks.{name}: {method} {path} is not GET: name it under safety.exceptions, with reason and proof"


def _idle_problems(settings: Settings, checks: Mapping[str, AnyCheck]) -> Iterator[str]:
    """Patterns that count no call of any check, enabled or not: a misspelled path would leave its calls uncounted."""
    calls = {(call.method, call.path) for check in checks.values() for call in check.calls()}
    known = sorted(f"{method} {path}" for method, path in calls)
    for limit in settings.rate_limits:
        for number, pattern in enumerate(limit.covers):
            alone = replace(limit, covers=(pattern,))
            if not any(alone.covers_call(method, path) for method, path in calls):
                near = "" if pattern.path.endswith("*") else did_you_mean(str(pattern), known)
                yield (
                    f"limits.{limit.name}.covers.{number}: no check makes a call that {pattern} counts{near} "
                    "(mend it, name a page's call under its api_calls, or leave it out)"
                )


def _time_problems(settings: Settings, checks: Mapping[str, AnyCheck]) -> Iterator[str]:
    in_turn = sum(check.options.timeout for check in checks.values() if not check.browser)
    longest = max((check.options.timeout for check in checks.values()), default=0.0)
    run = settings.run
    if max(in_turn, longest) > run.checks_s + 1e-9:
        yield (
            f"run.timeout: {show_duration(run.timeout)}, {show_duration(run.checks_s)} of it for checks, but those "
            f"over HTTP, one after another, may take {show_duration(in_turn)} (longest check {show_duration(longest)})"
        )


def _ceiling_problems(settings: Settings, checks: Mapping[str, AnyCheck], share: str) -> Iterator[str]:
    plan = make_plan(settings, checks)
    owned = settings.shares.get(share)
    for item in plan.limits:
        if item.limit.spaced:
            continue  # spaced requests wait for each other, so they fit whatever the number; `_spacing_problems`
        room = share_slots(item.limit, owned.part_of(item.limit)) if owned else item.limit.slots
        if item.run > room:
            more = more_room(share, owned, item.limit) if owned else ""
            need = f"one run needs up to {item.run}"
            yield _too_many(item, item.run, need, f"the share {share!r} has {room}", more)
        if item.continuous > item.limit.ceiling:
            need = f"all checks at their intervals need up to {item.continuous}"
            yield _too_many(item, item.continuous, need, f"the ceiling is {item.limit.ceiling}")
    yield from fit_problems(settings, needs_all_day(settings, checks))
    yield from _spacing_problems(settings, plan)


def _too_many(item: LimitPlan, requests: int, need: str, have: str, more: str = "") -> str:
    window = show_duration(item.limit.window_s)
    return (
        f"limits.{item.limit.name}: {need} requests in {window}, retries included ({item.percent(requests):.1f} % of "
        f"{item.limit.requests}); {have} (strictly less than 10 %): {FEWER}{more}"
    )


def _spacing_problems(settings: Settings, plan: Plan) -> Iterator[str]:
    for item in plan.limits:
        if item.limit.spaced and (needs := item.run * item.limit.hold_s) > settings.run.timeout * 4:
            yield (
                f"limits.{item.limit.name}: one run needs up to {item.run} requests, each "
                f"{show_duration(item.limit.hold_s)} apart: {show_duration(needs)} at worst, far more than run.timeout"
            )


def _control_problems(settings: Settings, control: Control, checks: Mapping[str, AnyCheck]) -> Iterator[str]:
    target = settings.target
    for number, url in enumerate(control.addresses):
        where = f"control.addresses.{number}: {url}"
        if _same_host(url, target.url, private=target.private):
            yield f"{where} is the target's own host, and down together with it: name somebody else's"
        elif refused := _never_reached(url, private=target.private):
            yield f"{where} is never asked: {refused}"
    longest = max((check.options.timeout for check in checks.values()), default=0.0)
    if longest + control.longest_s > settings.run.checks_s + 1e-9:
        yield (
            f"control.timeout: to ask all addresses after the longest check may take {show_duration(longest)} and "
            f"{show_duration(control.longest_s)}, but a run has {show_duration(settings.run.checks_s)} for its checks"
        )
    for item in make_plan(settings, checks).control:
        if (requests := max(item.run, item.continuous)) > item.limit.slots:
            yield (
                f"control.allows: {item.limit.name} may be asked up to {requests} times in "
                f"{show_duration(item.limit.hold_s)} ({item.percent(requests):.1f} % of {item.limit.requests}); there "
                f"is room for {item.limit.slots} (strictly less than 10 %): name hosts that bear more"
            )


def _never_reached(url: str, *, private: bool) -> str:
    """Why the guard would let nobody go to an address that is no name; nothing for all others."""
    endpoint = parse_url(url)
    try:
        Guard(GuardRules(endpoint.origin, private=private)).check_address(endpoint.host, endpoint.host)
    except RefusedError as refused:
        return refused.message
    except ValueError:  # a name: where it leads is seen when it is asked
        pass
    return ""


def _same_host(url: str, target: str, *, private: bool) -> bool:
    """Whether two addresses are down together; on one machine of ours, servers differ by their ports."""
    if private:
        return counted_as(url) == counted_as(target)
    return parse_url(url).host.removeprefix("www.") == parse_url(target).host.removeprefix("www.")

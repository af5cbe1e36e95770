"""The words that all reports share: what a run came to, what a reason means, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from probes.model import LOCAL, OUR_NETWORK, Layer, LimitUse, Outcome, Reason, RunReport, Verdict

_SIGNALS = {129: "SIGHUP", 130: "SIGINT", 143: "SIGTERM"}
_NAMED = 4  # as many names as a sentence bears

_ADVICE = {
    Layer.DNS: "See whether the host name is spelled rightly and resolves from this machine (getent hosts NAME).",
    Layer.CONNECT: "See whether the service is up and whether a firewall stands between it and this machine.",
    Layer.TLS: "Look at the certificate: its dates, its names and the chain that the server sends.",
    Layer.HTTP: "Look the request up in the target's log by its request or trace id.",
    Layer.BODY: "Compare the answer with what the configuration expects: the service changed, or is broken.",
    Layer.BROWSER: "Open the page in a browser with its console open, and look for the same error.",
    Layer.ACCOUNT: "See whether the test account is locked, and whether its password is the one given to the probe.",
    Layer.BUDGET: "Wait for one window of the limit, and see what else uses it (smokeprobe validate).",
}
_ADVICE_BY_OUTCOME = {
    Outcome.DEGRADED: "It works, but over a limit: see which phase took the time, and compare with earlier runs.",
    Outcome.THROTTLED: "The target asked for fewer requests; that is no sign of trouble. See who else uses the limit.",
}


_NOT_SENT = "The probe kept the request back. See what target, safety and limits allow in the configuration."
_ADVICE_BY_WORDS = {
    "leads to a private address": "If the target is meant to be private, write target.private: true.",
    "The ledger, PostgreSQL": "See whether that database is up and lets this machine in; smokeprobe doctor tries it.",
    "The ledger's table meta in PostgreSQL": "Drop the schema smokeprobe in that database, while nothing is probed.",
    "The URL of the ledger's database": "Put SMOKEPROBE_DATABASE_URL right; smokeprobe doctor tries it.",
    "is refused: wrong password": (
        "See whether the variable or file that credentials.accounts names as its password holds the right one."
    ),
}
"""What words within a reason call for; they say more than how it begins."""

_ADVICE_BY_RULE = {
    "paused: Probing is paused by hand": "Lift it with: smokeprobe resume (and the run's --state-dir, if any).",
    "paused": "It ends by itself. Ask the target's owner why, if it lasts.",
    "no ledger": "Give the probe a state directory that it can write; smokeprobe doctor names the one that it has.",
    "no budget: Nothing is sent on limit": "The target asked for fewer requests. See who else uses the limit.",
    "no budget for": "Name the calls that the page makes under its api_calls, or see what else uses the limit.",
    "kept back by the guard": "Nothing was sent. See what target and safety allow in the configuration.",
    "redirected to where we must not go": "See where the target redirects, and whether that belongs to target.hosts.",
    "was not sent": _NOT_SENT,
    "not sent": _NOT_SENT,
    "the check itself broke": "Look at the check's own code: the target was not judged.",
    "interrupted": "",
    "stopped": "",
}
"""What a reason's own words call for, whatever layer it names."""


def advice(outcome: Outcome, reason: Reason) -> str:
    """The one thing to do first about a step that is not `passed`."""
    if outcome is Outcome.SKIPPED and (reason.layer is not Layer.BUDGET or reason.rule.startswith("left out")):
        return ""
    if reason.rule.startswith(OUR_NETWORK):
        return "Look at the network of the machine that ran the probe: nothing is known of the target."
    special = next((told for words, told in _ADVICE_BY_WORDS.items() if words in reason.rule), None)
    if special is None:
        special = next((told for begin, told in _ADVICE_BY_RULE.items() if reason.rule.startswith(begin)), None)
    if special is not None:
        return special
    return _ADVICE_BY_OUTCOME.get(outcome) or _ADVICE[reason.layer]


def reasons(verdict: Verdict) -> list[tuple[Outcome, Reason]]:
    """The reason of a verdict, then those of its steps that say something else."""
    found: dict[Reason, Outcome] = {}
    for outcome, reason in [
        (verdict.outcome, verdict.reason),
        *((step.outcome, step.reason) for step in verdict.steps),
    ]:
        if reason is not None:
            found.setdefault(reason, outcome)
    return [(outcome, reason) for reason, outcome in found.items()]


def headline(report: RunReport) -> str:
    """What a run came to, in one sentence that says what its exit code means."""
    word = _word(report)
    exit_note = f" (exit {report.exit_code})" if report.exit_code else ""
    return f"{word}: {summary(report)}{exit_note}"


def summary(report: RunReport) -> str:
    """The headline without its first word and its exit code."""
    if report.exit_code == 2:
        return "the call or the configuration is wrong, and nothing was sent"
    asked = [verdict for verdict in report.verdicts if not verdict.configured_out]
    if not asked:
        return "no check was run"
    by_outcome = {outcome: [verdict.check for verdict in asked if verdict.outcome is outcome] for outcome in Outcome}
    passed = by_outcome.pop(Outcome.PASSED)
    clauses = [
        _clause(outcome, by_outcome[outcome])
        for outcome in (Outcome.FAILED, Outcome.DEGRADED, Outcome.THROTTLED, Outcome.ERROR, Outcome.SKIPPED)
        if by_outcome[outcome]
    ]
    if len(passed) == len(asked):
        who = f"all {len(asked)} checks" if len(asked) > 1 else asked[0].check
        clauses.append(f"{who} passed in {duration(report.duration_s)}")
    elif passed:
        clauses.append(f"{len(passed)} of {len(asked)} passed")
    left_out = [verdict.check for verdict in report.verdicts if verdict.configured_out]
    if left_out:
        clauses.append(f"{_names(left_out)} left out")
    if report.exit_code != 3:
        return "; ".join(clauses)
    return ("nothing failed, but " if report.requests.sent else "nothing was asked: ") + "; ".join(clauses)


def title(report: RunReport) -> str:
    """The headline's first word with a capital."""
    return _word(report).capitalize()


def place(report: RunReport) -> str:
    """The region of a run; and where it is a mere claim, that."""
    claimed = report.region != LOCAL and not report.region_verified
    return f"{report.region} (unverified)" if claimed else report.region


def duration(seconds: float) -> str:
    """Seconds as a person writes them: `0.2 s`, `12.0 s`."""
    return f"{seconds:.1f} s" if seconds >= 0.095 else f"{seconds * 1000:.0f} ms"


def milliseconds(value: float | None, missing: str = "") -> str:
    """Milliseconds in three digits: `3.1 ms`, `312 ms`, `2.10 s`; `missing` where nothing was timed."""
    if value is None:
        return missing
    if value < 9.95:
        return f"{value:.1f} ms"
    return f"{value:.0f} ms" if value < 999.5 else f"{value / 1000:.2f} s"


def times(count: int, noun: str) -> str:
    """A count with its noun: `1 request`, `2 requests`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def ceiling(use: LimitUse) -> str:
    """What the probe allows itself of a limit: `9 per 60 s`, or of a small one `1 every 2 s`."""
    if use.ceiling < 1:
        return f"1 every {use.window_s / use.ceiling:g} s" if use.ceiling else "none"
    return f"{use.ceiling:g} per {use.window_s:g} s"


def _word(report: RunReport) -> str:
    if report.exit_code in _SIGNALS:
        return f"stopped by {_SIGNALS[report.exit_code]}"
    if report.exit_code == 0:
        return "passed"
    if report.exit_code == 1:
        return "DEGRADED" if report.outcome is Outcome.DEGRADED else "FAILED"
    return "not run" if report.exit_code == 2 else "inconclusive"


def _clause(outcome: Outcome, checks: Sequence[str]) -> str:
    was = "was" if len(checks) == 1 else "were"
    verb = {
        Outcome.FAILED: "failed",
        Outcome.DEGRADED: f"{was} degraded",
        Outcome.THROTTLED: f"{was} throttled",
        Outcome.ERROR: "could not be judged",
        Outcome.SKIPPED: f"{was} skipped",
    }[outcome]
    return f"{_names(checks)} {verb}"


def _names(checks: Sequence[str]) -> str:
    if len(checks) > _NAMED:
        return f"{len(checks)} checks"
    return checks[0] if len(checks) == 1 else f"{', '.join(checks[:-1])} and {checks[-1]}"

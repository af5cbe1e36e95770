"""One check, from its first attempt to its verdict: whole attempts are repeated here, with back-off, in time."""

from __future__ import annotations

import datetime as dt
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tenacity import Retrying, retry_if_result

import probes
from probes.checks.base import Check
from probes.checks.probe import Probe, Tools
from probes.deadline import CutOff
from probes.errors import SmokeprobeError
from probes.model import JUDGED, Layer, Outcome, Reason, Step, Verdict

AnyCheck = Check[Any]

PACKAGE = Path(probes.__file__).parent


def execute(check: AnyCheck, tools: Tools, on_attempt: Callable[[int], None]) -> Verdict:
    """Run a check to its verdict. Never raises for what the target or the check does wrong.

    `on_attempt` is told of each further try once, be it of the whole or of steps in place.
    """
    begun, started_at = time.monotonic(), dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    probes: list[Probe] = []
    # a check of GETs alone repeats single steps in place, so the whole of it is tried once
    attempts = check.tries if check.writes or check.browser else 1
    highest = 0

    def trying(number: int) -> None:
        nonlocal highest
        if number > highest:
            highest = number
            on_attempt(number)

    def attempt() -> Probe:
        trying(len(probes) + 1)
        probes.append(_attempt(check, replace(tools, trying=trying)))
        return probes[-1]

    try:
        Retrying(
            stop=lambda state: state.attempt_number >= attempts or _no_time(tools),
            wait=lambda state: probes[-1].pause_s(state, tools.deadline),
            retry=retry_if_result(lambda probe: _worth_another(check, probe)),
            retry_error_callback=lambda _: None,
            sleep=tools.sleep,
        )(attempt)
    except CutOff:  # between two attempts: what the first has seen was seen
        if not probes:
            raise
    return _verdict(check, probes, started_at, time.monotonic() - begun)


def _attempt(check: AnyCheck, tools: Tools) -> Probe:
    client = tools.new_client(tools.deadline)
    probe = Probe(tools=tools, options=check.options, tries_in_place=check.tries, client=client)
    try:
        check.attempt(probe)
    except SmokeprobeError as problem:
        _broken(probe, problem.message)
    except Exception as problem:  # noqa: BLE001 - a check may be anybody's code: its trouble must not take the run along
        _broken(probe, f"the check itself broke: {type(problem).__name__}{_where(problem)}")
    except CutOff as cut:
        _cut_off(probe, cut)
    finally:
        client.close()
    probe.cut_short = probe.out_of_time
    return probe


def _where(problem: Exception) -> str:
    """The line of a check's own code, for whoever wrote it; what it says may quote an answer, and is not shown."""
    frames = traceback.extract_tb(problem.__traceback__)
    own = [frame for frame in frames if not Path(frame.filename).is_relative_to(PACKAGE)]
    return f" at {Path(own[0].filename).name}:{own[0].lineno}" if own else ""


def _broken(probe: Probe, rule: str) -> None:
    reason = Reason("check", Layer.HTTP, rule, trace_id=probe.tools.trace_id)
    probe.record(Step("check", Outcome.ERROR, reason=reason))


def _cut_off(probe: Probe, cut: CutOff) -> None:
    """Where the time was over, the target has not answered in time; where somebody interrupted, nobody can tell."""
    outcome = Outcome.ERROR if cut.interrupted else Outcome.FAILED
    reason = Reason("check", Layer.HTTP, cut.why, trace_id=probe.tools.trace_id, unanswered=True)
    probe.record(Step("check", outcome, reason=reason))
    probe.final = True


def _worth_another(check: AnyCheck, probe: Probe) -> bool:
    return not probe.final and probe.outcome in check.options.retry_on


def _no_time(tools: Tools) -> bool:
    return tools.deadline.remaining() <= tools.settings.run.backoff.first


def _verdict(check: AnyCheck, probes: list[Probe], started_at: str, duration_s: float) -> Verdict:
    # a retry that could not judge (throttled, out of budget, out of time) does not undo what an earlier one has seen
    sent = [probe for probe in probes if probe.outcome is not Outcome.SKIPPED]
    judged = [probe for probe in sent if probe.outcome in JUDGED]
    last = ([probe for probe in judged if not probe.cut_short] or judged or sent or probes)[-1]
    outcome = last.outcome
    attempts = max(len(probes), *(probe.tries for probe in probes))
    gravest = [step.reason for step in last.steps if step.outcome == outcome and step.reason]
    return Verdict(
        check=check.name,
        outcome=outcome,
        attempts=attempts,
        flaky=outcome is Outcome.PASSED and attempts > 1,
        reason=gravest[0] if gravest and outcome is not Outcome.PASSED else None,
        steps=tuple(last.steps),
        metrics=dict(last.metrics),
        target_version=last.target_version,
        certificate_days=last.certificate_days,
        started_at=started_at,
        duration_s=duration_s,
        screenshot=next((probe.screenshot for probe in reversed(probes) if probe.screenshot), ""),
    )

"""Runs to report on: all is well, something failed, everything that can happen, and what a hostile target writes."""

from dataclasses import replace

from probes.model import Layer, LimitUse, Outcome, Phases, Reason, RequestCount, RunReport, Step, Verdict

REQUEST_ID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
HOSTILE = (
    "</script><img src=x onerror=alert(1)> | `x` [bold]b[/bold] \x1b[31m\r\n::error::\x00 \u202e \ud83d "
    "100% 'q' \"q\" *_~"
)


def timed(name: str, judged_ms: float, limit_ms: float | None, outcome: Outcome = Outcome.PASSED) -> Step:
    phases = Phases(dns_ms=0.4, connect_ms=0.5, tls_ms=3.2, ttfb_ms=judged_ms, download_ms=0.2)
    return Step(name, outcome, judged_ms + 4.3, judged_ms, limit_ms, phases, bytes_received=512)


BROKEN = Reason("GET /api/v1/status", Layer.HTTP, "status code", "200", "503", REQUEST_ID, TRACE_ID)
CONSOLE = Reason("console", Layer.BROWSER, "console error", "none", "TypeError: x is undefined at main.js:1:2345")
SLOW = Reason("GET /api/v1/test", Layer.HTTP, "time to first byte", "at most 200 ms", "312 ms", "", TRACE_ID)
LOCKED = Reason("login", Layer.ACCOUNT, "the account basic is locked until 2024-01-27T10:30:00Z")
THROTTLED = Reason("POST /api/v1/enhance", Layer.HTTP, "throttled", "", "429, retry after 60 s")
LEFT_OUT = Reason("homepage", Layer.BROWSER, "left out by --no-browser")

HEALTH = Verdict(
    "health",
    Outcome.PASSED,
    steps=(timed("GET /health", 3.1, 100), timed("GET /api/v1/status", 14.2, 100)),
    metrics={"database_query_ms": 4.2, "cache_hit_rate": 0.93},
    target_version="1.2.3",
    certificate_days=54.3,
    started_at="2024-01-27T10:00:00Z",
    duration_s=0.031,
)
HOMEPAGE = Verdict(
    "homepage",
    Outcome.PASSED,
    steps=(
        Step("page /", Outcome.PASSED, 640, 612, 3000, Phases(connect_ms=0.2, ttfb_ms=22, download_ms=3)),
        Step("elements", Outcome.PASSED),
        Step("console", Outcome.PASSED),
    ),
    metrics={"lcp_ms": 312.0, "cls": 0.01},
    duration_s=1.2,
)
ENHANCEMENT = Verdict(
    "enhancement", Outcome.PASSED, 2, flaky=True, steps=(timed("POST /api/v1/enhance", 120, None),), duration_s=0.44
)
LOGIN = Verdict(
    "login",
    Outcome.PASSED,
    steps=(timed("POST /api/v1/auth/login", 80, 500), timed("POST /api/v1/auth/logout", 6, 500)),
    duration_s=0.9,
)
API = Verdict("api", Outcome.PASSED, steps=(timed("GET /api/v1/test", 8, 200),), duration_s=0.05)

FAILED_HEALTH = replace(
    HEALTH,
    outcome=Outcome.FAILED,
    attempts=3,
    reason=BROKEN,
    steps=(HEALTH.steps[0], replace(timed("GET /api/v1/status", 9, 100, Outcome.FAILED), reason=BROKEN)),
)
FAILED_HOMEPAGE = replace(
    HOMEPAGE,
    outcome=Outcome.FAILED,
    attempts=3,
    reason=CONSOLE,
    steps=(*HOMEPAGE.steps[:2], Step("console", Outcome.FAILED, reason=CONSOLE)),
    screenshot="screenshots/homepage.png",
)
LEFT_OUT_HOMEPAGE = Verdict("homepage", Outcome.SKIPPED, 0, reason=LEFT_OUT, configured_out=True)
THROTTLED_ENHANCEMENT = replace(
    ENHANCEMENT,
    outcome=Outcome.THROTTLED,
    flaky=False,
    reason=THROTTLED,
    steps=(replace(timed("POST /api/v1/enhance", 4, None, Outcome.THROTTLED), reason=THROTTLED),),
)
LOCKED_LOGIN = replace(
    LOGIN, outcome=Outcome.ERROR, reason=LOCKED, steps=(Step("login", Outcome.ERROR, reason=LOCKED),)
)
SLOW_API = replace(
    API,
    outcome=Outcome.DEGRADED,
    reason=SLOW,
    steps=(replace(timed("GET /api/v1/test", 312, 200, Outcome.DEGRADED), reason=SLOW),),
)


def report(outcome: Outcome, exit_code: int, *verdicts: Verdict) -> RunReport:
    return RunReport(
        run_id="01JHX3-7Q",
        env="production",
        region="us-east-1",
        region_verified=True,
        target="https://shop.example.com",
        started_at="2024-01-27T10:00:00Z",
        duration_s=2.13,
        outcome=outcome,
        exit_code=exit_code,
        verdicts=verdicts,
        rate_limits=(LimitUse("enhance", 100, 60, 9, 1), LimitUse("burst", 10, 1, 0.5, 1)),
        requests=RequestCount(31, 4, {"GET": 27, "POST": 4}),
        notes=("The clock of this machine is 3 s ahead of the target's.",),
        sinks={"datadog": {"sent": 120, "dropped": 2}},
    )


PASSED = report(Outcome.PASSED, 0, HEALTH, HOMEPAGE, ENHANCEMENT, LOGIN, API)
FAILED = report(Outcome.FAILED, 1, FAILED_HEALTH, FAILED_HOMEPAGE, ENHANCEMENT, LOGIN, API)
MIXED = report(Outcome.FAILED, 1, FAILED_HEALTH, LEFT_OUT_HOMEPAGE, THROTTLED_ENHANCEMENT, LOCKED_LOGIN, SLOW_API)
INCONCLUSIVE = report(Outcome.THROTTLED, 3, HEALTH, LEFT_OUT_HOMEPAGE, THROTTLED_ENHANCEMENT, LOCKED_LOGIN, API)
EMPTY = replace(
    report(Outcome.SKIPPED, 3), rate_limits=(), requests=RequestCount(), notes=("The ledger is read-only.",), sinks={}
)


def hostile() -> RunReport:
    """A run in which every text is what an attacker would like it to be."""
    reason = Reason(HOSTILE, Layer.BODY, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    step = Step(HOSTILE, Outcome.FAILED, 1, 1, 2, Phases(ttfb_ms=1), reason)
    verdict = Verdict(
        HOSTILE,
        Outcome.FAILED,
        2,
        reason=reason,
        steps=(step,),
        metrics={HOSTILE: 1.0},
        target_version=HOSTILE,
        screenshot=HOSTILE,
    )
    return RunReport(
        run_id=HOSTILE,
        env=HOSTILE,
        region=HOSTILE,
        target=HOSTILE,
        started_at=HOSTILE,
        duration_s=1.0,
        outcome=Outcome.FAILED,
        exit_code=1,
        verdicts=(verdict,),
        rate_limits=(LimitUse(HOSTILE, 100, 60, 9, 3),),
        requests=RequestCount(1, 0, {HOSTILE: 1}),
        notes=(HOSTILE,),
        sinks={HOSTILE: {HOSTILE: 1}},
    )

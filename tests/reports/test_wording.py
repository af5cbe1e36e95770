"""The last line of a run says what its exit code means."""

from dataclasses import replace

import pytest

from probes.model import OUR_NETWORK, Layer, Outcome, Reason, RunReport, Verdict
from probes.reports.wording import advice, duration, headline, milliseconds, place
from tests.reports import sample


def _many(outcome: Outcome) -> list[Verdict]:
    return [Verdict(f"c{number}", outcome) for number in range(6)]


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (sample.PASSED, "passed: all 5 checks passed in 2.1 s"),
        (sample.report(Outcome.PASSED, 0, sample.API), "passed: api passed in 2.1 s"),
        (
            sample.report(Outcome.PASSED, 0, sample.HEALTH, sample.API, sample.LEFT_OUT_HOMEPAGE),
            "passed: all 2 checks passed in 2.1 s; homepage left out",
        ),
        (
            sample.report(Outcome.DEGRADED, 0, sample.HEALTH, sample.SLOW_API),
            "passed: api was degraded; 1 of 2 passed",
        ),
        (
            sample.report(Outcome.DEGRADED, 1, sample.HEALTH, sample.SLOW_API),
            "DEGRADED: api was degraded; 1 of 2 passed (exit 1)",
        ),
        (sample.FAILED, "FAILED: health and homepage failed; 3 of 5 passed (exit 1)"),
        (
            sample.MIXED,
            (
                "FAILED: health failed; api was degraded; enhancement was throttled; login could not be judged; "
                "homepage left out (exit 1)"
            ),
        ),
        (
            sample.INCONCLUSIVE,
            (
                "inconclusive: nothing failed, but enhancement was throttled; login could not be judged; "
                "2 of 4 passed; homepage left out (exit 3)"
            ),
        ),
        (sample.EMPTY, "inconclusive: no check was run (exit 3)"),
        (
            sample.report(Outcome.SKIPPED, 3, *_many(Outcome.SKIPPED)),
            "inconclusive: nothing failed, but 6 checks were skipped (exit 3)",
        ),
        (
            replace(sample.EMPTY, exit_code=2),
            "not run: the call or the configuration is wrong, and nothing was sent (exit 2)",
        ),
        (
            replace(sample.INCONCLUSIVE, exit_code=143, verdicts=(sample.HEALTH, sample.LOCKED_LOGIN)),
            "stopped by SIGTERM: login could not be judged; 1 of 2 passed (exit 143)",
        ),
        (replace(sample.PASSED, exit_code=130), "stopped by SIGINT: all 5 checks passed in 2.1 s (exit 130)"),
    ],
)
def test_the_headline(report: RunReport, sentence: str) -> None:
    assert headline(report) == sentence


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.PASSED])
@pytest.mark.parametrize("layer", Layer)
def test_there_is_something_to_do_about_everything_but_what_was_left_out(outcome: Outcome, layer: Layer) -> None:
    told = advice(outcome, Reason("x", layer, "y"))
    assert told.endswith(".") or (outcome is Outcome.SKIPPED and layer is not Layer.BUDGET and told == "")


@pytest.mark.parametrize(
    ("outcome", "layer", "rule", "told"),
    [
        (
            Outcome.ERROR,
            Layer.BUDGET,
            "no ledger, so nothing is sent: The ledger, PostgreSQL at db/x, cannot be used: connection refused.",
            "See whether that database is up",
        ),
        (
            Outcome.ERROR,
            Layer.BUDGET,
            "no ledger, so nothing is sent: The ledger /x: read-only.",
            "Give the probe a state",
        ),
        (
            Outcome.FAILED,
            Layer.HTTP,
            "the account basic is refused: wrong password, or the target cannot look it up",
            "See whether the variable or file that credentials.accounts names",
        ),
        (Outcome.ERROR, Layer.HTTP, "kept back by the guard: POST /a would write", "Nothing was sent."),
        (
            Outcome.ERROR,
            Layer.HTTP,
            "kept back by the guard: localhost leads to a private address, but the target is public",
            "If the target is meant to be private, write target.private: true.",
        ),
        (Outcome.FAILED, Layer.HTTP, "redirected to where we must not go: another host is not", "See where the target"),
        (Outcome.FAILED, Layer.HTTP, "was not sent: The permit has run out of time for GET.", "The probe kept the"),
        (
            Outcome.ERROR,
            Layer.BUDGET,
            "no budget for GET /a of the page (are its calls declared?): x",
            "Name the calls",
        ),
        (Outcome.FAILED, Layer.HTTP, "wrong status", "Look the request up"),
    ],
)
def test_advice_fits_the_reason(outcome: Outcome, layer: Layer, rule: str, told: str) -> None:
    assert advice(outcome, Reason("step", layer, rule)).startswith(told)


def test_times_are_short() -> None:
    values = (None, 0.0, 3.14, 9.94, 9.96, 99.6, 999.4, 999.6, 12345.0)
    shown = ("", "0.0 ms", "3.1 ms", "9.9 ms", "10 ms", "100 ms", "999 ms", "1.00 s", "12.35 s")
    assert tuple(map(milliseconds, values)) == shown
    assert [duration(seconds) for seconds in (0.0, 0.031, 0.2, 2.13)] == ["0 ms", "31 ms", "0.2 s", "2.1 s"]


@pytest.mark.parametrize(
    ("region", "verified", "shown"),
    [
        ("us-east-1", True, "us-east-1"),
        ("us-east-1", False, "us-east-1 (unverified)"),
        ("local", False, "local"),
    ],
)
def test_a_region_that_nothing_bears_out_is_called_so(region: str, *, verified: bool, shown: str) -> None:
    assert place(replace(sample.PASSED, region=region, region_verified=verified)) == shown


def test_where_our_own_network_is_down_nobody_is_sent_to_the_target() -> None:
    reason = Reason("edge", Layer.CONNECT, OUR_NETWORK + "no connection within 6.0 s", unanswered=True)
    assert "the machine that ran the probe" in advice(Outcome.ERROR, reason)

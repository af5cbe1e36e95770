"""Every fault of the stand-in, met by a whole run: the right verdict for what is wrong, and for all that is not.

Faults that concern different checks share a run. That each check then says exactly what its own fault makes of it, is
also the proof that none of them reaches another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import pytest

from probes.standin.faults import FAULTS, Expected, Fault
from probes.standin.process import StandIn
from tests.e2e.harness import (
    CHECKS,
    Ran,
    Runner,
    assert_in_time,
    assert_left_nothing,
    assert_peaks_are_told,
    assert_recognisable,
    assert_under_ceiling,
    expected_code,
    write_config,
)
from tests.faults import HELD_UP, OF_HEALTH, OF_HOMEPAGE, PATIENT, SLOW, layer_of

TOGETHER = frozenset(
    {"throttled-enhance", "login-429"}
    | {"throttled-no-retry-after", "throttled-until-date", "throttled-retry-after-garbage"}
)
WEB_TOGETHER = frozenset({"page-login-429"})
"""A 429 of one call holds up what shares its limit, for as long as the target asks."""

DATED = frozenset({"throttled-until-date", "throttled-retry-after-garbage"})
"""Those of them that differ in how long; what is made of that has its own test beside the client's."""

STORED = frozenset({"enhance-stores"})
ROWS = frozenset({"history-grows"})
OPEN = frozenset({"logout-fails", "logout-does-nothing", "login-then-silence"})

RESENT = frozenset({"reset-on-accept"})
"""Chromium itself sends a GET again whose connection was reset before an answer; the gate sees one request."""

OF_ONE_CHECK = frozenset({*OF_HEALTH, *OF_HOMEPAGE})
TOLD = frozenset({"hostile-text", "redirect-other-host"})
"""Faults of which a run's reports could tell what they must not."""

QUICK = frozenset({"edge-503", "page-console-error"})
"""Faults met by a browser that are tested by each `make test`; the others, as a browser takes its time, are slow."""


def needs_browser(fault: Fault) -> bool:
    return any(expected.check == "homepage" or expected.layer == "browser" for expected in fault.expected)


def grouped(faults: Iterable[Fault]) -> Iterator[tuple[str, ...]]:
    """Faults of one check each, so that a run meets at most one for each check."""
    columns: dict[str, list[str]] = {}
    for fault in faults:
        columns.setdefault(fault.expected[0].check, []).append(fault.name)
    for row in zip_longest(*columns.values()):
        yield tuple(filter(None, row))


def once_each(groups: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Of those that only one check meets, which are many, one for each verdict that there is.

    The check itself meets them all, in tests/checks.
    """
    known: set[Expected] = set()
    for names in groups:
        if names[0] in OF_ONE_CHECK and len(names) == 1:
            (expected,) = FAULTS[names[0]].expected
            if expected in known and names[0] not in TOLD:
                continue
            known.add(expected)
        yield names


ALONE = [
    fault.name
    for fault in FAULTS.values()
    if len(fault.expected) > 1 or fault.name in SLOW | HELD_UP | PATIENT | TOGETHER | WEB_TOGETHER
]
HTTP_GROUPS = list(once_each(grouped(f for f in FAULTS.values() if f.name not in ALONE and not needs_browser(f))))
WEB_GROUPS = list(once_each(grouped(f for f in FAULTS.values() if f.name not in ALONE and needs_browser(f))))
HTTP_ALONE = [name for name in ALONE if not needs_browser(FAULTS[name])]
MANY = [(name,) for name in sorted(set(HTTP_ALONE) - SLOW - HELD_UP - TOGETHER)]
WEB_ALONE = [name for name in ALONE if needs_browser(FAULTS[name]) and name not in PATIENT]
ALL = [(name,) for name in sorted(set(WEB_ALONE) - WEB_TOGETHER - {"throttled-429", "pause-header"})]


@pytest.fixture(scope="session")
def one_try(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each element that a page lacks is waited for, in each attempt."""
    return write_config(tmp_path_factory.mktemp("config") / "one-try.yaml", {"checks": {"homepage": {"attempts": 1}}})


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    short = {"checks": {"health": {"timeout": "1500ms"}, "login": {"timeout": "2s"}}}
    return write_config(tmp_path_factory.mktemp("config") / "impatient.yaml", short)


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Time limits as shipped, for the two checks that a fault slows down; one try, as it is the same each time."""
    limits = {
        "health": {"endpoints": {name: {"within": "100ms"} for name in ("edge", "gateway", "status")}},
        "api": {"request": {"within": "200ms"}},
    }
    return write_config(tmp_path_factory.mktemp("config") / "strict.yaml", {"run": {"attempts": 1}, "checks": limits})


def verdicts(names: Iterable[str], left_out: Iterable[str] = ()) -> dict[str, tuple[str, str | None, bool]]:
    """What a run must say of each check: outcome, layer, and whether it is flaky."""
    wanted: dict[str, tuple[str, str | None, bool]] = dict.fromkeys(CHECKS, ("passed", None, False))
    for name in names:
        for expected in FAULTS[name].expected:
            wanted[expected.check] = (expected.outcome, layer_of(name, expected), expected.flaky)
    return wanted | dict.fromkeys(left_out, ("skipped", "budget", False))


def said(ran: Ran, check: str) -> tuple[str, str | None, bool]:
    return ran.outcome(check), ran.layer(check), ran.checks[check]["flaky"]


def assert_right(ran: Ran, target: StandIn, names: tuple[str, ...], *, browser: bool) -> None:
    """The verdicts of all checks, the exit code, and what the target itself has seen."""
    left_out = () if browser else ("homepage",)
    wanted = verdicts(names, left_out)
    assert {check: said(ran, check) for check in CHECKS} == wanted, ran.story()
    counted = [outcome for check, (outcome, _, _) in wanted.items() if check not in left_out]
    assert ran.code == expected_code(counted), ran.story()
    assert ran.report["exit_code"] == ran.code
    assert_harmless(ran, target, names)


def assert_harmless(ran: Ran, target: StandIn, names: tuple[str, ...]) -> None:
    active = set(names)
    assert_in_time(ran)
    assert_under_ceiling(target)
    assert_recognisable(target)
    assert_left_nothing(
        target, stored=bool(active & STORED), rows=bool(active & ROWS), open_session=bool(active & OPEN)
    )
    if not active & RESENT:
        assert_peaks_are_told(ran, target)
        assert len(target.ledger()) <= ran.report["requests"]["sent"], ran.story()


def _in_turn(groups: Sequence[tuple[str, ...]]) -> list[pytest.ParameterSet]:
    """A third of all groups is quick: the verdict on each answer has its own test beside the check's."""
    return [_param(names, quick=number % 3 == 0) for number, names in enumerate(groups)]


def _chosen(groups: Iterable[tuple[str, ...]]) -> list[pytest.ParameterSet]:
    return [_param(names, quick=bool(QUICK & set(names))) for names in groups]


def _param(names: tuple[str, ...], *, quick: bool) -> pytest.ParameterSet:
    return pytest.param(names, id="+".join(names), marks=() if quick else (pytest.mark.release,))


def test_every_fault_is_met() -> None:
    met = {name for group in (*HTTP_GROUPS, *WEB_GROUPS) for name in group} | set(ALONE) | OF_ONE_CHECK

    assert met == set(FAULTS)


@pytest.mark.parametrize("names", _in_turn(HTTP_GROUPS))
def test_faults_that_http_meets(names: tuple[str, ...], target: StandIn, runner: Runner) -> None:
    target.set_faults(*names)

    ran = runner.run("--no-browser")

    assert_right(ran, target, names, browser=False)


@pytest.mark.parametrize("names", _chosen(WEB_GROUPS))
def test_faults_that_a_browser_meets(names: tuple[str, ...], target: StandIn, runner: Runner, one_try: Path) -> None:
    target.set_faults(*names)

    ran = runner.run(config=one_try)

    assert_right(ran, target, names, browser=True)


@pytest.mark.parametrize("names", _in_turn(MANY))
def test_a_fault_of_many_checks(names: tuple[str, ...], target: StandIn, runner: Runner) -> None:
    target.set_faults(*names)

    ran = runner.run("--no-browser")

    assert_right(ran, target, names, browser=False)


@pytest.mark.parametrize("names", _chosen(ALL))
def test_a_fault_of_all_checks(names: tuple[str, ...], target: StandIn, runner: Runner) -> None:
    target.set_faults(*names)

    ran = runner.run()

    assert_right(ran, target, names, browser=True)


@pytest.mark.parametrize(("name", "flag", "code"), [("slow-health", (), 1), ("slow-api", ("--allow-degraded",), 0)])
def test_what_is_slow_is_degraded(
    name: str, flag: tuple[str, ...], code: int, target: StandIn, runner: Runner, strict: Path
) -> None:
    target.set_faults(name)
    expected = FAULTS[name].expected[0]

    ran = runner.run("--no-browser", "--check", expected.check, *flag, config=strict)

    assert said(ran, expected.check) == (expected.outcome, expected.layer, False), ran.story()
    assert ran.code == ran.report["exit_code"] == code
    assert_harmless(ran, target, (name,))


@pytest.mark.parametrize("name", sorted(HELD_UP))
def test_what_never_ends_is_cut_off(name: str, target: StandIn, runner: Runner, impatient: Path) -> None:
    target.set_faults(name)

    ran = runner.run("--no-browser", config=impatient)

    assert_right(ran, target, (name,), browser=False)


def test_a_429_is_throttled_and_holds_up_what_shares_its_limit(target: StandIn, runner: Runner) -> None:
    target.set_faults("throttled-429")

    ran = runner.run()

    assert ran.code == 3, ran.story()
    assert "throttled" in {ran.outcome(check) for check in CHECKS}  # whoever asks first
    for check in CHECKS:
        asked = ran.outcome(check) == "throttled" or "asked to slow down" in ran.reason(check)
        assert asked, ran.story()
    refused = [entry["path"] for entry in target.ledger() if entry["status"] == 429]
    assert len(refused) == len(set(refused)), "asked again before Retry-After"
    assert_harmless(ran, target, ("throttled-429",))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.release if name in DATED else ()) for name in sorted(TOGETHER)]
)
def test_a_throttled_call_is_not_asked_again(name: str, target: StandIn, runner: Runner) -> None:
    target.set_faults(name)
    (expected,) = FAULTS[name].expected

    ran = runner.run("--no-browser")

    assert said(ran, expected.check) == ("throttled", "http", False), ran.story()
    assert ran.code == 3
    assert [entry["status"] for entry in target.ledger()].count(429) == 1
    assert_harmless(ran, target, (name,))


@pytest.mark.parametrize("name", sorted(WEB_TOGETHER))
def test_a_throttled_call_of_a_page_is_not_asked_again(name: str, target: StandIn, runner: Runner) -> None:
    target.set_faults(name)

    ran = runner.run("--check", "login")

    assert said(ran, "login") == ("throttled", "http", False), ran.story()
    assert ran.code == 3
    assert [entry["status"] for entry in target.ledger()].count(429) == 1
    assert_harmless(ran, target, (name,))


def test_the_targets_owner_stops_all_checks(target: StandIn, runner: Runner) -> None:
    target.set_faults("pause-header")

    ran = runner.run()

    assert_right(ran, target, ("pause-header",), browser=True)


@pytest.mark.release
@pytest.mark.parametrize("name", sorted(PATIENT))
def test_what_a_browser_waits_for(name: str, target: StandIn, runner: Runner, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.yaml", {"checks": {"homepage": {"within": "3s"}}})
    target.set_faults(name)

    ran = runner.run(config=config)

    assert {check: said(ran, check) for check in CHECKS} == verdicts([name]), ran.story()
    assert_harmless(ran, target, (name,))


@pytest.mark.release
@pytest.mark.parametrize("name", ["page-missing-element", "dashboard-no-logout-button"])
def test_with_all_tries_of_the_shipped_configuration(name: str, target: StandIn, runner: Runner) -> None:
    target.set_faults(name)

    ran = runner.run()

    assert_right(ran, target, (name,), browser=True)

"""What a configuration costs the target at worst, held against sums done by hand and by brute force."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from probes.checks.registry import build_checks, load_settings
from probes.config.load import Source, environments, shipped
from probes.errors import ConfigError
from probes.options import RunOptions
from probes.plan import Plan, make_plan, problems_of
from probes.standin.limiter import Persona, limits_covering
from probes.validate import print_plan, validate_plan

LOGIN_CALLS = ("/api/v1/auth/login", "/api/v1/auth/logout", "/api/v1/enhance")
API = {"api": {"allows": "1000 per 60s", "key": "ip", "covers": ["* /api/*"]}}
SIX = "6 s (longest check 6 s)"
HOURLY = {"timeout": "6s", "every": "1h"}


def configuration(checks: dict[str, Any], limits: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    exceptions = [
        {"call": f"POST {path}", "reason": "summed up here", "proof": "nothing is sent"} for path in LOGIN_CALLS
    ]
    return {
        "env": "test",
        "target": {"url": "https://example.com"},
        "credentials": {
            "hosts": ["example.com"],
            "accounts": {"basic": {"user": "someone@example.com", "password": {"env": "A_PASSWORD"}}},
        },
        "run": {"timeout": "60s", "interval": "1h"},
        "limits": API if limits is None else limits,
        "safety": {"exceptions": exceptions},
        # `api` has something to count in each of these, although it is not run
        "checks": {"counted": http("/api/0", enabled=False), **checks},
        **parts,
    }


def plan_of(folder: Path, data: dict[str, Any]) -> tuple[Plan, list[str]]:
    """The plan and all that is wrong with it."""
    path = folder / "config.yaml"
    path.write_text(json.dumps(data))
    settings = load_settings(Source(path))
    checks = build_checks(settings, path)
    return make_plan(settings, checks), list(problems_of(settings, checks, "adhoc", "local"))


def http(*paths: str, **options: Any) -> dict[str, Any]:
    return {"kind": "http", **HOURLY, **options, "requests": {f"r{n}": {"path": path} for n, path in enumerate(paths)}}


LOGIN = {**HOURLY, "attempts": 2}


@pytest.mark.parametrize(
    ("check", "attempts", "worst"),
    [
        # GETs are repeated in place: one more for each further try, whichever needs it
        ({"a": http("/api/1")}, 1, 1),
        ({"a": http("/api/1")}, 3, 3),
        ({"a": http("/api/1", "/api/2", "/api/3")}, 3, 5),
        ({"a": http("/api/1", "/other", "/api/2")}, 3, 4),
        ({"a": http("/other")}, 3, 0),
        ({"a": http("/api/1", attempts=5)}, 1, 5),
        ({"api": {**HOURLY, "request": {"path": "/api/1"}}}, 3, 4),  # asked twice, to see Remaining fall
        ({"api": {**HOURLY, "request": {"path": "/api/1"}, "rate_limited": False}}, 3, 3),
        # all else is repeated whole
        ({"enhancement": {**HOURLY, "path": "/api/v1/enhance"}}, 3, 3),
        ({"homepage": {**HOURLY, "path": "/", "api_calls": ["GET /api/1", "GET /api/2"]}}, 3, 6),
        ({"homepage": {**HOURLY, "path": "/api/page"}}, 2, 2),
        # several checks add up
        ({"a": http("/api/1"), "b": http("/api/2"), "enhancement": {**HOURLY, "path": "/api/v1/enhance"}}, 2, 6),
        # what does not run costs nothing
        ({"a": http("/api/1"), "b": http("/api/2", enabled=False)}, 2, 2),
    ],
)
def test_the_worst_of_one_run(tmp_path: Path, check: dict[str, Any], attempts: int, worst: int) -> None:
    plan, problems = plan_of(
        tmp_path, configuration(check, run={"timeout": "60s", "interval": "1h", "attempts": attempts})
    )
    assert problems == []
    assert plan.limits[0].run == worst
    assert plan.limits[0].continuous == worst  # an hour apart, no two are in one minute
    assert plan.limits[0].percent(worst) == pytest.approx(worst / 10)


def test_the_worst_of_a_login_has_its_clean_up_for_every_try(tmp_path: Path) -> None:
    """Two tries: of the log-in, and three of what the session looks at; and log-outs with their proofs."""
    plan, _ = plan_of(tmp_path, configuration({"login": LOGIN}))
    assert plan.limits[0].run == (2 + 3 + 2) + (4 + 2)
    plan, _ = plan_of(tmp_path, configuration({"login": {**LOGIN, "web": {"api_calls": ["GET /api/v1/techniques"]}}}))
    assert plan.limits[0].run == (3 + 3 + 2 + 2 + 2) + (4 + 3)  # the form's log-in and log-out, and its script's call


def test_a_limit_counts_what_it_covers_and_no_more(tmp_path: Path) -> None:
    limits = {
        "reads": {"allows": "1000 per 60s", "key": "ip", "covers": ["GET /api/*"], "excepts": ["GET /api/2"]},
        "writes": {"allows": "1000 per 60s", "key": "ip", "covers": ["POST /api/v1/enhance"]},
        "nothing": {"allows": "1000 per 60s", "key": "ip", "covers": ["DELETE /*"]},
    }
    checks = {"a": http("/api/1", "/api/2"), "enhancement": {**HOURLY, "path": "/api/v1/enhance"}}
    plan, _ = plan_of(tmp_path, configuration(checks, limits))
    assert {item.limit.name: item.run for item in plan.limits} == {"reads": 3, "writes": 3, "nothing": 0}


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        ({"url": "http://127.0.0.1:8089"}, "127.0.0.1 leads to a private address, but the target is public"),
        ({"url": "http://[::1]:8089"}, "::1 leads to a private address, but the target is public"),
        ({"url": "https://10.0.0.1"}, "10.0.0.1 leads to a private address, but the target is public"),
        ({"url": "http://169.254.169.254", "private": True}, "169.254.169.254 leads to a link-local, multicast or"),
        ({"url": "http://127.0.0.1:8089", "private": True}, ""),
        ({"url": "https://9.9.9.9"}, ""),
        ({"url": "https://example.com"}, ""),  # a name: where it leads is seen when it is asked
    ],
)
def test_a_target_that_no_run_would_reach(tmp_path: Path, target: dict[str, Any], refused: str) -> None:
    _, problems = plan_of(tmp_path, configuration({"a": http("/api/1")}, target=target, credentials=None))
    assert [line.startswith(f"target.url: {refused}") for line in problems] == ([True] if refused else [])
    assert all(("target.private: true" in line) is ("private" not in target) for line in problems)


IDLE = "(mend it, name a page's call under its api_calls, or leave it out)"


@pytest.mark.parametrize(
    ("calls", "idle"),
    [
        # a typo, and those calls would not be counted
        ({"covers": ["GET /api/v1/tset"]}, {0: "GET /api/v1/tset counts; did you mean GET /api/v1/test?"}),
        ({"covers": ["POST /api/v1/test"]}, {0: "POST /api/v1/test counts; did you mean GET /api/v1/test?"}),
        ({"covers": ["* /api/*"], "excepts": ["* /api/*"]}, {0: "* /api/* counts"}),
        (
            {"covers": ["GET /api/v1/test", "GET /api/v1/tset", "* /nowhere/*"]},
            {1: "GET /api/v1/tset counts; did you mean GET /api/v1/test?", 2: "* /nowhere/* counts"},
        ),
        ({"covers": ["* /api/*", "GET /api/v1/test"]}, {}),
        ({"covers": ["GET /api/v1/off"]}, {}),  # of a check that is switched off, but there
        ({"covers": ["GET /api/v1/techniques"]}, {}),  # what a page is to call
        ({"covers": ["POST /api/v1/auth/logout"]}, {}),
    ],
)
def test_each_pattern_of_a_limit_counts_some_call_or_is_refused(
    tmp_path: Path, calls: dict[str, Any], idle: dict[int, str]
) -> None:
    checks = {
        "a": http("/api/v1/test"),
        "b": http("/api/v1/off", enabled=False),
        "homepage": {**HOURLY, "path": "/", "api_calls": ["GET /api/v1/techniques"]},
        "login": LOGIN,
    }
    limits = {**API, "one": {"allows": "1000 per 60s", "key": "ip", **calls}}
    _, problems = plan_of(tmp_path, configuration(checks, limits))
    assert problems == [
        f"limits.one.covers.{number}: no check makes a call that {said} {IDLE}" for number, said in idle.items()
    ]


@pytest.mark.parametrize(
    ("every", "timeout", "window", "ticks"),
    [
        ("1h", "6s", "60s", 1),
        ("60s", "6s", "60s", 2),
        ("10s", "6s", "60s", 7),
        ("10s", "10s", "60s", 8),
        ("66s", "6s", "60s", 2),
        ("67s", "6s", "60s", 1),
        ("1s", "1s", "1s", 3),
        ("100ms", "900ms", "100ms", 11),
    ],
)
def test_ticks_in_a_window(tmp_path: Path, every: str, timeout: str, window: str, ticks: int) -> None:
    limits = {"api": {"allows": f"1000 per {window}", "key": "ip", "covers": ["* /api/*"]}}
    plan, _ = plan_of(tmp_path, configuration({"a": http("/api/1", every=every, timeout=timeout, attempts=1)}, limits))
    assert plan.limits[0].continuous == ticks


@settings(deadline=None, max_examples=150)
@given(
    every_ms=st.integers(50, 5000),
    timeout_ms=st.integers(10, 3000),
    window_ms=st.integers(100, 10_000),
    offset=st.integers(0, 10**6),
)
def test_no_window_is_ever_touched_by_more_ticks_than_planned(
    tmp_path_factory: pytest.TempPathFactory, every_ms: int, timeout_ms: int, window_ms: int, offset: int
) -> None:
    """In whole milliseconds: ticks from far before a window to its end, each busy until its time-out."""
    limits = {"api": {"allows": f"1000 per {window_ms}ms", "key": "ip", "covers": ["* /api/*"]}}
    check = http("/api/1", every=f"{every_ms}ms", timeout=f"{timeout_ms}ms", attempts=1)
    plan, _ = plan_of(tmp_path_factory.getbasetemp(), configuration({"a": check}, limits))
    planned = plan.limits[0].continuous

    def touching(begin: int) -> int:
        first = math.ceil((begin - timeout_ms) / every_ms)
        return sum(number * every_ms <= begin + window_ms for number in _count_from(first, begin + window_ms, every_ms))

    seen = [touching(begin) for begin in (0, offset, offset + timeout_ms, timeout_ms, every_ms - window_ms, -window_ms)]
    assert max(seen) <= planned
    assert max(seen) >= planned - 1  # nor is it planned for many more


def _count_from(first: int, end: int, every: int) -> Iterator[int]:
    number = first
    while number * every <= end:
        yield number
        number += 1


def test_a_day(tmp_path: Path) -> None:
    checks = {
        "a": http("/1", "/2", every="30m"),  # 48 times 2
        "homepage": {**HOURLY, "path": "/", "api_calls": ["GET /api/1"], "weight": "1MiB"},  # 24 times 2
        "login": {**LOGIN, "every": "12h"},  # twice 6
    }
    day = plan_of(tmp_path, configuration(checks))[0].day
    assert (day.requests, day.logins) == (96 + 48 + 12, 2)
    assert day.bytes == 24 * 2**20 + 1024 * (96 + 24 + 12)


ADVICE = "(strictly less than 10 %): fewer attempts, longer intervals or fewer checks"


@pytest.mark.parametrize(
    ("allowed", "needed", "share", "room"),
    [
        (100, 9, "100%", 9),  # nine of a hundred is less than 10 %, and ten is not
        (100, 10, "100%", 9),
        (101, 10, "100%", 10),
        (100, 4, "50%", 4),
        (100, 5, "50%", 4),
        (100, 1, "10%", 0),
        (100, 1, "12%", 1),
        (11, 1, "100%", 1),
        (11, 2, "100%", 1),
    ],
)
def test_what_does_not_fit_under_its_share(tmp_path: Path, allowed: int, needed: int, share: str, room: int) -> None:
    limits = {"api": {"allows": f"{allowed} per 60s", "key": "ip", "covers": ["* /api/*"]}}
    _, problems = plan_of(
        tmp_path, configuration({"a": http("/api/1", attempts=needed)}, limits, shares={"adhoc": share})
    )
    if needed <= room:
        assert problems == []
    else:
        percent = f"({100 * needed / allowed:.1f} % of {allowed})"
        need = f"one run needs up to {needed} requests in 60 s, retries included {percent}"
        own = "; or a larger part in shares.adhoc, or own_address: true in it if nobody else sends from its address"
        more = "" if share == "100%" else own
        assert problems[0] == f"limits.api: {need}; the share 'adhoc' has {room} {ADVICE}{more}"


def test_spaced_requests_fit_unless_they_take_far_too_long(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"api": {"allows": "10 per 1s", "key": "ip", "covers": ["* /api/*"]}}
    assert plan_of(tmp_path, configuration({"a": http("/api/1", attempts=10)}, limits))[1] == []
    limits["api"]["allows"] = "1 per 60s"
    _, problems = plan_of(tmp_path, configuration({"a": http("/api/1", attempts=2)}, limits))
    apart = "one run needs up to 2 requests, each 10 min apart: 20 min at worst, far more than run.timeout"
    assert problems == [f"limits.api: {apart}"]


def test_what_does_not_fit_at_its_interval(tmp_path: Path) -> None:
    limits = {"api": {"allows": "100 per 60s", "key": "ip", "covers": ["* /api/*"]}}
    _, problems = plan_of(tmp_path, configuration({"a": http("/api/1", every="15s")}, limits))
    need = "all checks at their intervals need up to 15 requests in 60 s, retries included (15.0 % of 100)"
    assert problems == [f"limits.api: {need}; the ceiling is 9 {ADVICE}"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"shares": {"scheduled": 1}}, "shares: there is no share 'adhoc'; one of scheduled"),
        ({"shares": {"adhoc": "60%", "scheduled": "50%"}}, "shares: add up to 110%; at most 100%"),
        ({"regions": ["eu-west-1"]}, ""),  # local may always be said
        (
            {"run": {"timeout": "5s", "interval": "1h"}},
            f"run.timeout: 5 s, 3.8 s of it for checks, but those over HTTP, one after another, may take {SIX}",
        ),
        (  # the last 1.2 s are no check's
            {"run": {"timeout": "7100ms", "interval": "1h"}},
            f"run.timeout: 7.1 s, 5.9 s of it for checks, but those over HTTP, one after another, may take {SIX}",
        ),
        ({"run": {"timeout": "7200ms", "interval": "1h"}}, ""),
    ],
)
def test_other_reasons_not_to_run(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    _, problems = plan_of(tmp_path, configuration({"a": http("/api/1")}, **change))
    assert problems == ([problem] if problem else [])


def test_shares_of_a_third_are_not_more_than_a_whole(tmp_path: Path) -> None:
    shares = {"adhoc": "33.3%", "a": "33.3%", "b": "33.4%"}
    assert plan_of(tmp_path, configuration({"a": http("/1")}, shares=shares))[1] == []


def test_an_unknown_region(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(configuration({"a": http("/1")}, regions=["eu-west-1"])))
    settings = load_settings(Source(path))
    checks = build_checks(settings, path)
    assert list(problems_of(settings, checks, "adhoc", "eu-west-1")) == []
    assert list(problems_of(settings, checks, "adhoc", "mars")) == ["regions: 'mars' is not one of eu-west-1"]


def test_a_proof_is_for_a_region_that_is_one(tmp_path: Path) -> None:
    proofs = {"eu-west-1": {"env": "NODE_REGION"}, "mars": {"env": "NODE_REGION"}}
    _, problems = plan_of(tmp_path, configuration({"a": http("/1")}, regions=["eu-west-1"], region_proofs=proofs))
    assert problems == ["region_proofs.mars: 'mars' is not one of eu-west-1"]


def test_an_account_and_every_write_must_be_named(tmp_path: Path) -> None:
    data = configuration({"login": {**LOGIN, "account": "gold"}}, safety={})
    _, problems = plan_of(tmp_path, data)
    assert problems == [
        "checks.login.account: there is no account 'gold' under credentials.accounts",
        "checks.login: POST /api/v1/auth/login is not GET: name it under safety.exceptions, with reason and proof",
        "checks.login: POST /api/v1/auth/logout is not GET: name it under safety.exceptions, with reason and proof",
    ]
    data.pop("credentials")
    assert plan_of(tmp_path, data)[1][0].startswith("checks.login.account: there is no account 'gold'")


def test_what_get_only_leaves_out_needs_no_names_and_costs_nothing(tmp_path: Path) -> None:
    plan, problems = plan_of(tmp_path, configuration({"login": LOGIN, "a": http("/api/1")}, safety={"get_only": True}))
    assert (problems, plan.limits[0].run, plan.day.logins) == ([], 3, 0)


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("https://example.com", False),
        ("https://example.org", True),
        ("http://example.com:8080", True),
        ("https://sub.example.com", True),
    ],
)
def test_credentials_go_to_a_listed_target_only(tmp_path: Path, url: str, *, refused: bool) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(configuration({"login": LOGIN})))
    options = RunOptions(config=str(path), target_url=url)
    if not refused:
        validate_plan(options)
        return
    with pytest.raises(ConfigError) as caught:
        validate_plan(options)
    assert caught.value.problems == (
        f"target.url: {url} is not among credentials.hosts (example.com): passwords go nowhere else",
    )


def validated(folder: Path, data: dict[str, Any]) -> Plan:
    path = folder / "config.yaml"
    path.write_text(json.dumps(data))
    return validate_plan(RunOptions(config=str(path)))


def test_the_plan_is_the_worst_over_all_overrides(tmp_path: Path) -> None:
    overrides = [
        {"regions": ["eu-west-1"], "checks": {"a": {"attempts": 6}}},
        {"between": "08:00-18:00", "checks": {"a": {"every": "20s"}}},
        {"between": "19:00-20:00", "limits": {"api": {"allows": "900 per 60s"}}},
    ]
    plan = validated(tmp_path, configuration({"a": http("/api/1")}, overrides=overrides))
    (item,) = plan.limits
    assert (item.run, item.continuous, item.limit.requests) == (6, 6 * 4, 900)
    assert plan.day.requests == 86400 / 20


def test_overrides_that_fit_each_alone_and_not_together_are_refused(tmp_path: Path) -> None:
    limits = {"api": {"allows": "100 per 60s", "key": "ip", "covers": ["* /api/*"]}}
    overrides = [
        {"regions": ["eu-west-1"], "checks": {"a": {"attempts": 9}}},
        {"between": "08:00-18:00", "checks": {"a": {"every": "60s"}}},
    ]
    with pytest.raises(ConfigError) as caught:
        validated(tmp_path, configuration({"a": http("/api/1")}, limits, overrides=overrides))
    (problem,) = caught.value.problems
    assert "need up to 18 requests" in problem
    assert problem.endswith("(with overrides.0 and overrides.1)")
    overrides[1]["regions"] = ["us-east-1"]
    assert validated(tmp_path, configuration({"a": http("/api/1")}, limits, overrides=overrides)).limits[0].run == 9


CONTROL = {"addresses": ["https://one.example/204", "https://two.example/"], "allows": "100 per 60s"}


@pytest.mark.parametrize(
    ("every", "allows", "addresses", "costs"),
    [
        # an answer holds for 10 s: three askings in the 28.8 s that a run's checks have, seven in a window of 60 s and
        # the 4 s that an asking takes; and never more than checks can fail
        ("1h", "100 per 60s", CONTROL["addresses"], {"one.example:443": (2, 2), "two.example:443": (2, 2)}),
        ("20s", "100 per 60s", CONTROL["addresses"], {"one.example:443": (2, 7), "two.example:443": (2, 7)}),
        ("20s", "200 per 60s", ["https://one.example/a", "https://one.example/b"], {"one.example:443": (4, 14)}),
        ("20s", "11 per 5s", ["https://one.example"], {"one.example:443": (1, 1)}),
        ("20s", "5 per 1s", ["https://one.example"], {"one.example:443": (1, 1)}),
    ],
)
def test_what_the_control_is_asked_at_worst(
    tmp_path: Path, every: str, allows: str, addresses: list[str], costs: dict[str, tuple[int, int]]
) -> None:
    checks = {"a": http("/1", every=every), "b": http("/2", every=every)}
    control = {"addresses": addresses, "allows": allows}
    run = {"timeout": "30s", "interval": "1h"}
    plan, problems = plan_of(tmp_path, configuration(checks, control=control, run=run))
    assert problems == []
    assert {i.limit.name: (i.run, i.continuous) for i in plan.control} == {f"control {n}": c for n, c in costs.items()}
    assert [item.limit.name for item in plan.limits] == ["api"]


@pytest.mark.parametrize(
    ("control", "problem"),
    [
        (
            {"addresses": ["https://example.com:8443/x"]},
            "control.addresses.0: https://example.com:8443/x is the target's own host, and down together",
        ),
        ({"addresses": ["http://www.example.com"]}, "control.addresses.0: http://www.example.com is the target's own"),
        (
            {"addresses": ["http://10.0.0.1"]},
            "control.addresses.0: http://10.0.0.1 is never asked: 10.0.0.1 leads to a private address",
        ),
        (
            {"timeout": "27s"},
            "control.timeout: to ask all addresses after the longest check may take 6 s and 54 s, but a run has 58.8 s",
        ),
        (
            {"allows": "60 per 60s"},
            "control.allows: control one.example:443 may be asked up to 7 times in 60 s (11.7 % of 60); there is",
        ),
        ({"allows": "1 per 1s", "addresses": ["https://one.example"]}, "control.allows: control one.example:443 may"),
    ],
)
def test_a_control_that_is_none_or_does_not_fit(tmp_path: Path, control: dict[str, Any], problem: str) -> None:
    checks = {"a": http("/1", every="20s"), "b": http("/2", every="20s")}
    _, problems = plan_of(tmp_path, configuration(checks, control={**CONTROL, **control}))
    assert problems
    assert problems[0].startswith(problem)


def test_on_loopback_servers_differ_by_their_ports(tmp_path: Path) -> None:
    data = configuration({"a": http("/1")}, control={**CONTROL, "addresses": ["http://127.0.0.1:1/", "http://[::1]:2"]})
    data["target"] = {"url": "http://localhost:1", "private": True}
    data.pop("credentials")
    assert [line.partition(" is the")[0] for line in plan_of(tmp_path, data)[1]] == [
        "control.addresses.0: http://127.0.0.1:1/"
    ]


def test_the_plan_shows_the_control(tmp_path: Path) -> None:
    console = Console(file=StringIO(), width=120)
    print_plan(validated(tmp_path, configuration({"a": http("/1")}, control=CONTROL)), console)
    assert isinstance(console.file, StringIO)
    (line,) = [line for line in console.file.getvalue().splitlines() if "control one.example:443" in line]
    assert [cell.strip() for cell in line.split("│")[2:6]] == ["100 per 60 s", "9", "1 (1.0 %)", "1 (1.0 %)"]


@pytest.mark.parametrize("path", [shipped("config") / f"{env}.yaml" for env in environments()], ids=environments())
def test_every_shipped_configuration_fits_under_its_ceilings(path: Path) -> None:
    for region in ("local", *load_settings(Source(path)).regions):
        plan = validate_plan(RunOptions(config=str(path), region=region))
        for item in (*plan.limits, *plan.control):
            assert item.limit.spaced or max(item.run, item.continuous) <= item.limit.ceiling < item.limit.requests / 10


@pytest.mark.parametrize("path", [shipped("config") / f"{env}.yaml" for env in environments()], ids=environments())
def test_every_shipped_configuration_counts_a_call_where_the_target_counts_it(path: Path) -> None:
    settings = load_settings(Source(path))
    persona: Persona = "gateway" if path.stem == "gateway" else "design"
    calls = {(call.method, call.path) for check in build_checks(settings, path).values() for call in check.calls()}
    for method, called in sorted(calls):
        ours = {limit.name for limit in settings.rate_limits if limit.covers_call(method, called)}
        assert ours == set(limits_covering(persona, method, called)), f"{method} {called}"

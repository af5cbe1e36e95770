"""The schedule file: its mistakes, what of it does not hold against its environment, and what holds for each entry."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from probes.checks.registry import build_checks, load_settings
from probes.config.alert_rules import FILE as RULES
from probes.config.alert_rules import OURS, load_rules
from probes.config.cron_schedule import FILE, load_schedule
from probes.config.load import Source, shipped
from probes.config.models import Settings
from probes.errors import ConfigError
from probes.options import DATABASE_URL, RunOptions
from probes.schedule_guarantees import guarantees
from probes.schedule_rules import AnyCheck, _overlap, schedule_problems, whole
from probes.validate import validate_plan
from probes.validate_schedule import print_schedule
from tests.test_plan import HOURLY, configuration, http

BAD = Path(__file__).with_name("bad-schedule.yaml")
ENTRY = {
    "platform": "github", "env": "test", "region": "us-east-1", "cron": "0 * * * *", "share": "a", "timeout": "5m",
}  # fmt: skip
SHARES = {"adhoc": {"part": 0.1}, "a": {"part": 0.4}, "b": {"part": 0.2}, "m": {"part": 0.3}}
LIMIT = {"api": {"allows": "1000 per 60s", "key": "ip", "covers": ["* /api/*"]}}
LOGIN = {"login": {**HOURLY, "timeout": "20s", "account": "basic"}}
PLATFORMS = {
    "github": {"runner": ["self-hosted"]},
    "kubernetes": {"namespace": "smokeprobe", "image": "example.com/smokeprobe:1", "late": "2m"},
}


def written(folder: Path, entries: dict[str, Any], **parts: Any) -> tuple[Settings, dict[str, AnyCheck]]:
    """An environment with the schedule beside it."""
    data = configuration(
        {"one": http("/api/1", "/api/2"), **parts.pop("checks", {})}, LIMIT, regions=["us-east-1", "eu-west-1"],
        **{"shares": SHARES, **parts},
    )  # fmt: skip
    path = folder / "test.yaml"
    path.write_text(json.dumps(data))
    (folder / FILE).write_text(json.dumps({**PLATFORMS, "entries": entries}, indent=1))
    settings = load_settings(Source(path))
    return settings, build_checks(settings, path)


def problems(folder: Path, entries: dict[str, Any], **parts: Any) -> list[str]:
    settings, checks = written(folder, entries, **parts)
    found = schedule_problems(load_schedule(folder / FILE), settings, checks)
    return [line.split(": ", 1)[1] for line in found]


def test_every_mistake_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        load_schedule(BAD)
    assert [problem.removeprefix(f"{BAD}:") for problem in raised.value.problems] == [
        "1: zone: 'Berlin' is not a time zone: write Europe/Berlin or UTC",
        "2: github.runner: must not be empty",
        "2: github.python: unknown key",
        "3: kubernetes.namespace: 'Smoke' is not a namespace: small letters, digits and -",
        "3: kubernetes.image: 'Not An Image' is not an image: write registry/name:tag or registry/name@sha256:…",
        "3: kubernetes.late: 'soon' is not a time with its unit: write 100ms, 30s, 5m, 2h or 21d",
        "5: entries.a.platform: must be 'github' or 'kubernetes'",
        "5: entries.a.cron: '* * *' is no cron expression that ever comes: write five fields: \"0 2 * * 7\"",
        "5: entries.a.timeout: 5 is not a time with its unit: write 100ms, 30s, 5m, 2h or 21d",
        "6: entries.b.secrets.0: names an environment variable, in capital letters; the secret itself stands there",
        "7: entries.C: 'C' is not a name: small letters, digits, - and _, at most 40",
        *(f"7: entries.C.{key}: is missing" for key in ("platform", "env", "region", "cron", "share", "timeout")),
    ]
    assert "hunter2" not in str(raised.value)


def test_what_a_platform_cannot_do(tmp_path: Path) -> None:
    path = tmp_path / FILE
    entries = {"one": ENTRY, "two": {**ENTRY, "cron": "30 * * * *"}, "three": {**ENTRY, "platform": "kubernetes"}}
    path.write_text(json.dumps({"zone": "Europe/Berlin", "github": PLATFORMS["github"], "entries": entries}))
    with pytest.raises(ConfigError) as raised:
        load_schedule(path)
    assert [line.split(": ", 1)[1] for line in raised.value.problems] == [
        "zone: Europe/Berlin, but GitHub's cron knows UTC only",
        "entries.two.region: one runs test from there on github already",
        "entries.three.platform: there is no kubernetes: beside entries to say where that is",
    ]
    pod = {**ENTRY, "platform": "kubernetes"}
    pods = {"one": pod, "two": {**pod, "region": "eu-west-1", "secrets": ["ANOTHER"]}}
    path.write_text(json.dumps({"kubernetes": PLATFORMS["kubernetes"], "entries": pods}))
    with pytest.raises(
        ConfigError, match=r"entries\.two: has not the env and the secrets of one: all clusters have one"
    ):
        load_schedule(path)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"env": "other", "share": "none"}, []),  # which is looked at with its own environment
        ({"region": "us-east-2"}, ["entries.one.region: 'us-east-2' is no region of test; did you mean us-east-1?"]),
        ({"checks": ["ona"]}, ["entries.one.checks: 'ona' is no check of test; did you mean one?"]),
        ({"share": "c"}, ["entries.one.share: 'c' is no share of test"]),
        ({"share": "adhoc"}, ["entries.one.share: 'adhoc' is for what is run by hand: give the entry one of its own"]),
        ({"share": "m"}, ["entries.one.share: 'm' is owned by the master us: give the entry one of its own"]),
        (
            {"account": "basic", "secrets": ["A_PASSWORD"]},
            ["entries.one.account: no check that it runs logs in to an account that it may name: leave it out"],
        ),
        ({"timeout": "60s"}, ["entries.one.cron: timeout is for the whole job: a run alone has 60 s (run.timeout)"]),
        (
            {"platform": "kubernetes", "cron": "*/10 * * * *", "timeout": "5m"},
            [],  # 600 s, of 120 s late + 300 s + a window of 60 s
        ),
        (
            {"platform": "kubernetes", "cron": "*/7 * * * *", "timeout": "5m"},
            [
                (
                    "entries.one.cron: begins again after 4 min, but a run may be 2 min late, take 5 min, and "
                    "counts for 60 s after that"
                )
            ],
        ),
    ],
)
def test_what_does_not_hold(tmp_path: Path, changes: dict[str, Any], found: list[str]) -> None:
    masters = {"us": {"share": "m", "regions": ["us-east-1"]}}
    assert problems(tmp_path, {"one": {**ENTRY, **changes}}, masters=masters) == found


def test_where_logins_go_by_turns_an_entry_has_one_or_leaves_them_out(tmp_path: Path) -> None:
    turns = {"cycle": "60m", "accounts": {"basic": {"adhoc": "0m", "a": "30m"}}}
    checks = {"login": {**{name: value for name, value in LOGIN["login"].items() if name != "account"}, "turns": turns}}
    right = {**ENTRY, "secrets": ["A_PASSWORD"]}
    assert problems(tmp_path, {"one": right}, checks=checks) == []
    assert problems(tmp_path, {"one": ENTRY}, checks=checks) == [
        "entries.one.secrets: A_PASSWORD is missing: test needs it"
    ]
    assert problems(tmp_path, {"one": {**right, "account": "basic"}}, checks=checks) == [
        "entries.one.account: no check that it runs logs in to an account that it may name: leave it out"
    ]
    nobody = {**checks["login"], "turns": {"cycle": "60m", "accounts": {"basic": {"adhoc": "0m"}}}}
    (problem,) = problems(tmp_path, {"one": ENTRY}, checks={"login": nobody})
    assert "the check login of test goes by turns, and" in problem


def test_an_account_is_named_with_its_password(tmp_path: Path) -> None:
    assert problems(tmp_path, {"one": ENTRY}, checks=LOGIN) == [
        "entries.one.account: the check login of test logs in to basic: write account: basic",
        "entries.one.secrets: A_PASSWORD is missing: test needs it",
    ]
    assert problems(tmp_path, {"one": {**ENTRY, "account": "basic"}}, checks=LOGIN) == [
        "entries.one.secrets: A_PASSWORD is missing: test needs it"
    ]
    right = {**ENTRY, "account": "basic", "secrets": ["A_PASSWORD"]}
    assert not problems(tmp_path, {"one": right}, checks=LOGIN)


def test_two_that_know_nothing_of_each_other_share_nothing(tmp_path: Path) -> None:
    one = {**ENTRY, "account": "basic", "secrets": ["A_PASSWORD"]}
    other = {**one, "region": "eu-west-1", "cron": "4 * * * *"}
    assert problems(tmp_path, {"one": one, "two": other}, checks=LOGIN) == [
        (
            "entries.two.cron: at 00:04 one may run too, and both log in to basic without a ledger in common: begin "
            f"apart, or give both {DATABASE_URL}"
        ),
        (
            "entries.two.share: 'a' is that of one too, and they have no ledger in common: give each a share of its "
            f"own, or both {DATABASE_URL}"
        ),
    ]
    apart = {**other, "share": "b", "cron": "5 * * * *"}
    assert not problems(tmp_path, {"one": one, "two": apart}, checks=LOGIN)
    kept = ["A_PASSWORD", DATABASE_URL]
    both = {"one": {**one, "secrets": kept}, "two": {**other, "secrets": kept}}
    assert not problems(tmp_path, both, checks=LOGIN)


def test_all_of_it_fits_into_its_share_and_under_the_ceiling(tmp_path: Path) -> None:
    """The check `one` has two requests, and each of its two further attempts one more; the ceiling is 99 of 1000."""
    small = {**SHARES, "a": {"part": 0.03}}
    assert problems(tmp_path, {"one": ENTRY}, shares=small) == [
        (
            "entries.one.share: all runs on 'a' need up to 4 requests of limits.api in 60 s, retries included; it has "
            "2: fewer attempts, longer intervals or fewer checks; or a larger part in shares.a, or own_address: true "
            "in it if nobody else sends from its address"
        )
    ]
    assert not problems(tmp_path, {"one": ENTRY}, shares={**small, "a": {"part": 0.03, "own_address": True}})
    entries = {"one": ENTRY, "two": {**ENTRY, "region": "eu-west-1", "share": "b", "cron": "30 * * * *"}}
    settings, checks = written(tmp_path, entries, masters={"us": {"share": "m", "regions": ["us-east-1"]}})
    all_of_it = whole(load_schedule(tmp_path / FILE).schedule, settings, checks)
    (limit,) = settings.rate_limits
    needs = {each.who: each.needs[limit] for each in all_of_it.drawn}
    assert needs == {"by hand": 9, "master us": needs["master us"], "one": 4, "two": 4}
    assert all_of_it.together(limit) == sum(needs.values())


@given(
    st.lists(st.integers(0, 300), unique=True, max_size=6), st.integers(1, 60),
    st.lists(st.integers(0, 300), unique=True, max_size=6), st.integers(1, 60),
)  # fmt: skip
def test_an_overlap_is_found_where_there_is_one(one: list[int], its: int, other: list[int], others: int) -> None:
    """Against all minutes, one by one; runs of one entry do not overlap, which is looked at apart."""
    one, other = _apart(one, its), _apart(other, others)
    busy = {at + minute for at in one for minute in range(its)} & {
        at + minute for at in other for minute in range(others)
    }
    assert _overlap((one, its), (other, others)) == (min(busy) if busy else None)


def _apart(starts: list[int], takes: int) -> list[int]:
    kept: list[int] = []
    for at in sorted(starts):
        if not kept or at >= kept[-1] + takes:
            kept.append(at)
    return kept


def held(folder: Path, entries: dict[str, Any], **parts: Any) -> dict[str, bool]:
    settings, _ = written(folder, entries, **parts)
    found = guarantees("one", load_schedule(folder / FILE).schedule, settings, {})
    return {each.promise: each.holds for each in found}


def test_a_database_keeps_what_a_disk_forgets(tmp_path: Path) -> None:
    one = {**ENTRY, "platform": "kubernetes", "account": "basic", "secrets": ["A_PASSWORD"]}
    without = held(tmp_path, {"one": one}, checks=LOGIN)
    with_it = held(tmp_path, {"one": {**one, "secrets": ["A_PASSWORD", DATABASE_URL]}}, checks=LOGIN)
    assert without["stays under the ceiling"]
    assert {promise for promise in without if with_it[promise] and not without[promise]} == {
        "heeds a pause, and what the target last refused",
        "is in the history",
    }
    lost = {promise for promise in with_it if not with_it[promise]}
    assert lost == {
        "an outage is told once, and its end",  # here are no rules
        "a session that a killed run left is ended by the next",
        "what a service could not take is sent later",
    }


@pytest.mark.parametrize(
    ("platform", "says"), [("github", "is not evaluated"), ("kubernetes", "is told anew by each run")]
)
def test_our_own_rules_need_a_database_where_the_disk_is_a_new_one(tmp_path: Path, platform: str, says: str) -> None:
    shipped_rules = load_rules(shipped("config") / RULES).rules
    rules = {"success": shipped_rules["success"].model_copy(update={"evaluator": OURS})}
    for secrets, holds in (([], False), ([DATABASE_URL], True)):
        settings, _ = written(tmp_path, {"one": {**ENTRY, "platform": platform, "secrets": secrets}})
        found = guarantees("one", load_schedule(tmp_path / FILE).schedule, settings, rules)
        (told,) = [each for each in found if each.promise == "an outage is told once, and its end"]
        assert told.holds is holds
        assert holds or says in told.why


def test_whoever_may_be_late_is_not_alone_on_an_account(tmp_path: Path) -> None:
    one = {**ENTRY, "platform": "kubernetes", "account": "basic"}
    two = {**one, "region": "eu-west-1", "share": "b", "cron": "30 * * * *"}
    alone = "is alone on its account"
    assert held(tmp_path, {"one": one, "two": two}, checks=LOGIN)[alone]
    assert not held(tmp_path, {"one": one, "two": {**two, "platform": "github"}}, checks=LOGIN)[alone]


def test_validate_shows_the_whole_schedule() -> None:
    said = StringIO()
    options = RunOptions(env="production")
    validate_plan(options)
    print_schedule(options, Console(file=said, width=200))
    text = said.getvalue()
    assert "master eu-west-1" in text
    assert "9 of 9" in text
    assert "lapses  begins on time: GitHub may begin it many minutes late, or leave it out" in text
    assert "is alone on its account" not in text  # the masters log in, by turns


def test_validate_refuses_a_schedule_that_does_not_hold(tmp_path: Path) -> None:
    written(tmp_path, {"one": {**ENTRY, "region": "mars"}})
    with pytest.raises(ConfigError) as raised:
        validate_plan(RunOptions(config=str(tmp_path / "test.yaml")))
    assert any("entries.one.region: 'mars' is no region of test" in line for line in raised.value.problems)

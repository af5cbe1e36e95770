"""Who owns which share of the ceiling, and what keeps two of them from counting on the same requests."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from probes.checks.registry import build_checks, load_settings
from probes.config.load import Source, shipped
from probes.config.models import Settings
from probes.errors import ConfigError
from probes.options import RunOptions
from probes.plan import make_plan, problems_of
from probes.share_rules import check_by_hand, share_of_master, share_of_worker
from probes.swarm.equipment import equip, equip_master, equip_worker
from probes.validate import print_plan
from tests.test_plan import configuration, http

REGIONS = ["us-east-1", "eu-west-1"]
TWO = {
    "us": {"share": "us", "regions": ["us-east-1"]},
    "eu": {"share": "eu", "regions": ["eu-west-1"]},
}
WORLD = {"world": {"share": "us", "regions": REGIONS}}
SHARES = {"adhoc": "20%", "us": "40%", "eu": "40%"}
BY_ADDRESS = {"api": {"allows": "100 per 60s", "key": "ip", "covers": ["* /api/*"]}}
FOR_ALL = {"api": {"allows": "100 per 60s", "key": "global", "covers": ["* /api/*"]}}


def write(folder: Path, checks: dict[str, Any] | None = None, **parts: Any) -> Path:
    path = folder / "config.yaml"
    parts = {"regions": REGIONS, "shares": SHARES, **parts}
    path.write_text(json.dumps(configuration(checks or {"a": http("/api/1", attempts=1)}, **parts)))
    return path


def settings_of(folder: Path, **parts: Any) -> Settings:
    return load_settings(Source(write(folder, **parts)))


def problems(folder: Path, **parts: Any) -> list[str]:
    path = write(folder, **parts)
    settings = load_settings(Source(path))
    return list(problems_of(settings, build_checks(settings, path), "adhoc", "local"))


def masters(**changes: Any) -> dict[str, Any]:
    return {**TWO, **changes}


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"masters": TWO}, ""),
        ({"masters": WORLD}, ""),
        (
            {"masters": masters(eu={"share": "us", "regions": ["eu-west-1"]})},
            (
                "masters.eu: owns the share 'us', and so does masters.us, but they have no ledger in common: give "
                "each a share of its own, or all one ledger (ledger: database)"
            ),
        ),
        ({"masters": masters(eu={"share": "us", "regions": ["eu-west-1"]}), "ledger": "database"}, ""),
        (
            {"masters": masters(eu={"share": "none", "regions": ["eu-west-1"]})},
            "masters.eu: there is no share 'none'; one of adhoc, us, eu",
        ),
        (
            {"masters": masters(eu={"share": "adhoc", "regions": ["eu-west-1"]})},
            "masters.eu: the share 'adhoc' is for what is run by hand: give the master one of its own",
        ),
        (
            {"masters": masters(eu={"share": "eu", "regions": ["us-east-1"]})},
            "masters.eu: region 'us-east-1' is that of masters.us already: each check would run twice",
        ),
        (
            {"masters": masters(eu={"share": "eu", "regions": ["mars"]})},
            "masters.eu: 'mars' is not one of us-east-1, eu-west-1",
        ),
        ({"shares": {**SHARES, "more": "10%"}}, "shares: add up to 110%; at most 100%"),
    ],
)
def test_what_keeps_shares_apart(tmp_path: Path, parts: dict[str, Any], problem: str) -> None:
    assert problems(tmp_path, **parts) == ([problem] if problem else [])


def test_a_master_without_a_share_or_a_region_is_a_mistake_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, masters={"us": {"regions": ["us-east-1"]}, "eu": {"share": "eu", "regions": []}})
    assert "masters.us.share" in str(caught.value)
    assert "masters.eu.regions" in str(caught.value)


def test_a_limit_by_address_is_not_divided_where_the_address_is_ones_own(tmp_path: Path) -> None:
    checks = {"a": http("/api/1", attempts=3, every="10m")}  # 4 requests a window, a further look included, of 9
    divided = {"adhoc": "10%", "us": "45%", "eu": "45%"}
    own = {name: {"part": part, "own_address": True} for name, part in divided.items()}
    for_all = problems(tmp_path, checks=checks, limits=FOR_ALL, shares=own, masters=TWO)
    assert [line.split(",")[0] for line in for_all] == [
        "limits.api: one run needs up to 3 requests in 60 s",  # by hand there is no room at all
    ]
    by_address = problems(tmp_path, checks=checks, limits=BY_ADDRESS, shares=divided, masters=TWO)
    assert [line.partition(";")[0] for line in by_address] == [line.partition(";")[0] for line in for_all]
    assert problems(tmp_path, checks=checks, limits=BY_ADDRESS, shares=own, masters=TWO) == []


def test_a_masters_share_must_bear_all_its_regions(tmp_path: Path) -> None:
    checks = {"a": http("/api/1", attempts=2, every="10m")}
    shares = {"adhoc": "40%", "us": "40%"}
    found = problems(tmp_path, checks=checks, limits=FOR_ALL, shares=shares, masters=WORLD)
    assert found == [
        (
            "masters.world: all checks at their intervals need up to 6 requests of limits.api in 60 s, retries "
            "included; its share 'us' has 3: fewer attempts, longer intervals or fewer checks; or a larger part in "
            "shares.us"
        )
    ]
    assert problems(tmp_path, checks=checks, limits=BY_ADDRESS, shares=shares, masters=WORLD) == []


def test_where_a_limit_is_by_address_an_address_of_ones_own_helps(tmp_path: Path) -> None:
    checks = {"a": http("/api/1", attempts=4, every="10m")}
    found = problems(tmp_path, checks=checks, limits=BY_ADDRESS, masters=TWO)
    advice = (
        "fewer attempts, longer intervals or fewer checks; or a larger part in shares.{}, or own_address: true in it "
        "if nobody else sends from its address"
    )
    assert len(found) == 3  # by hand, and each master
    for line, share in zip(found, ("adhoc", "us", "eu"), strict=True):
        assert line.endswith(advice.format(share))


def test_the_table_of_owners_explains_itself(tmp_path: Path) -> None:
    def shown(shares: dict[str, Any], limits: dict[str, Any]) -> str:
        path = write(tmp_path, shares=shares, limits=limits, masters=TWO)
        settings, out = load_settings(Source(path)), StringIO()
        print_plan(make_plan(settings, build_checks(settings, path)), Console(file=out, width=140))
        return out.getvalue()

    own = {"adhoc": "20%", "us": {"part": "40%", "own_address": True}, "eu": "40%"}
    text = shown(own, {**BY_ADDRESS, "all": FOR_ALL["api"]})
    rows = [line.replace("│", " ").split() for line in text.splitlines()]
    assert ["by", "hand", "adhoc", "20%", "no", "1", "1"] in rows
    assert ["master", "us", "(us-east-1)", "us", "40%", "yes", "9", "3"] in rows
    sentence = "Counted by address: {}; who has an own address has all of their ceiling."
    assert sentence.format("api") in text
    assert "Counted by address" not in shown(SHARES, BY_ADDRESS)
    assert "Counted by address" not in shown(own, FOR_ALL)


def test_the_plan_adds_up_all_regions(tmp_path: Path) -> None:
    path = write(tmp_path, limits={**FOR_ALL, "mine": BY_ADDRESS["api"]}, masters=TWO)
    settings = load_settings(Source(path))
    plan = make_plan(settings, build_checks(settings, path))
    in_all = [(item.limit.name, item.continuous) for item in plan.limits]
    assert in_all == [("api", 4), ("mine", 2)]  # with a further look at a failure in each region
    assert (plan.day.requests, plan.day.regions) == (48, 2)  # hourly, in two regions
    assert [(owned.owner, owned.share, owned.room["api"]) for owned in plan.owners] == [
        ("by hand", "adhoc", 1),
        ("master us (us-east-1)", "us", 3),
        ("master eu (eu-west-1)", "eu", 3),
    ]


def test_a_master_draws_on_the_share_that_it_owns(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, masters=TWO)
    assert share_of_master(settings, ["eu-west-1"], "adhoc") == "eu"
    assert share_of_master(settings, ["eu-west-1"], "eu") == "eu"
    assert share_of_worker(settings, "eu-west-1", "adhoc") == "eu"
    assert share_of_worker(settings, "local", "adhoc") == "adhoc"
    with pytest.raises(ConfigError, match="--share us: the master of eu-west-1 owns 'eu'"):
        share_of_master(settings, ["eu-west-1"], "us")
    with pytest.raises(ConfigError, match=r"no master serves just that; under masters there are us \(us-east-1\)"):
        share_of_master(settings, REGIONS, "adhoc")
    assert share_of_master(settings_of(tmp_path, masters=WORLD), reversed(REGIONS), "adhoc") == "us"


def test_a_master_that_is_not_named_is_refused_where_there_may_be_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none is named"):
        share_of_master(settings_of(tmp_path), ["eu-west-1"], "adhoc")
    assert share_of_master(settings_of(tmp_path, ledger="database"), ["eu-west-1"], "us") == "us"
    assert share_of_master(settings_of(tmp_path, regions=["eu-west-1"]), ["eu-west-1"], "us") == "us"


def test_nobody_draws_on_a_masters_share_by_hand(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, masters=TWO)
    check_by_hand(settings, "adhoc")
    with pytest.raises(ConfigError, match="owned by the master us"):
        check_by_hand(settings, "us")
    check_by_hand(settings_of(tmp_path, masters=TWO, ledger="database"), "us")


def test_equipment_for_a_run_a_master_and_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = RunOptions(config=str(write(tmp_path, masters=WORLD)), state_dir=str(tmp_path))
    monkeypatch.delenv("SMOKEPROBE_DATABASE_URL", raising=False)
    assert equip(options, {}).options.share == "adhoc"
    regions = equip_master(RunOptions(config=options.config, region="us-east-1, eu-west-1", state_dir=str(tmp_path)))
    assert {region: each.options.region for region, each in regions.items()} == {name: name for name in REGIONS}
    assert {each.options.share for each in regions.values()} == {"us"}
    named = equip_master(RunOptions(config=options.config, region="world", state_dir=str(tmp_path)))
    assert list(named) == REGIONS
    worker = equip_worker(RunOptions(config=options.config, region="eu-west-1", state_dir=str(tmp_path)))
    assert worker.options.share == "us"
    with pytest.raises(ConfigError, match="owned by the master world"):
        equip(RunOptions(config=options.config, share="us", state_dir=str(tmp_path)), {})


def test_one_ledger_for_all_needs_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = RunOptions(config=str(write(tmp_path, ledger="database")), state_dir=str(tmp_path))
    monkeypatch.delenv("SMOKEPROBE_DATABASE_URL", raising=False)
    with pytest.raises(ConfigError, match="SMOKEPROBE_DATABASE_URL is not set"):
        equip(options, {})
    monkeypatch.setenv("SMOKEPROBE_DATABASE_URL", "postgresql://somewhere/else")
    assert equip(options, {}).settings.ledger == "database"


@pytest.mark.parametrize("env", ["production", "staging"])
def test_the_shipped_regions_each_have_a_master(env: str) -> None:
    settings = load_settings(Source(shipped("config") / f"{env}.yaml"))
    assert [master.regions for master in settings.masters.values()] == [(region,) for region in settings.regions]
    assert settings.ledger == "machine"

"""What keeps two runs off one test account where no ledger does, and what `validate` says of it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from probes.config.load import shipped
from probes.errors import ConfigError
from probes.options import RunOptions
from probes.validate import print_accounts, validate_plan
from tests.test_plan import configuration

REGIONS = ["us-east-1", "us-west-2", "eu-west-1"]
MASTERS = {name: {"share": name, "regions": [name]} for name in REGIONS}
SHARES = {name: {"part": "25%", "own_address": True} for name in ("adhoc", *REGIONS)}
ACCOUNTS = {
    name: {"user": f"{name}@example.com", "password": {"env": "A_PASSWORD"}} for name in ("basic", "premium", "third")
}
ROUND = {"us-east-1": "0m", "us-west-2": "10m", "eu-west-1": "20m", "adhoc": "30m"}


def options_for(folder: Path, *logins: dict[str, Any], **parts: Any) -> RunOptions:
    own = {"kind": "login", "attempts": 1, "every": "60m"}
    checks = {f"login-{number}": {**own, **login} for number, login in enumerate(logins, 1)}
    data = configuration(checks, regions=REGIONS, masters=MASTERS, shares=SHARES, run={"timeout": "60s"}) | parts
    data["credentials"] = {"hosts": ["example.com"], "accounts": ACCOUNTS}
    path = folder / "config.yaml"
    path.write_text(json.dumps(data))
    return RunOptions(config=str(path))


def problems(folder: Path, *logins: dict[str, Any], **parts: Any) -> str:
    """What `validate` refuses; nothing where all is well."""
    try:
        validate_plan(options_for(folder, *logins, **parts))
    except ConfigError as refused:
        return str(refused)
    return ""


def printed(options: RunOptions) -> str:
    out = StringIO()
    print_accounts(options, Console(file=out, width=140))
    return out.getvalue()


@pytest.mark.parametrize(
    "login",
    [
        {"account": "basic"},
        {"accounts": ["basic", "premium"]},
    ],
    ids=["one", "several"],
)
def test_regions_without_a_common_ledger_never_share_an_account_without_turns(
    tmp_path: Path, login: dict[str, Any]
) -> None:
    said = problems(tmp_path, login)
    assert "checks.login-1: us-east-1 and us-west-2 may log in to basic at one time" in said
    assert "eu-west-1 and us-east-1 may log in to basic" in said
    assert "adhoc" not in said
    one_ledger = {"shares": {"adhoc": "25%", "all": "75%"}, "ledger": "database"}
    masters = {name: {"share": "all", "regions": [name]} for name in REGIONS}
    assert problems(tmp_path, login, **one_ledger, masters=masters) == ""
    together = {"world": {"share": "us-east-1", "regions": REGIONS}}
    assert problems(tmp_path, login, masters=together, shares={"adhoc": "25%", "us-east-1": "75%"}) == ""


def test_turns_keep_them_apart_and_by_hand_one_account_is_free(tmp_path: Path) -> None:
    assert problems(tmp_path, {"turns": {"accounts": {"basic": ROUND}}}) == ""


def test_each_region_may_have_an_account_of_its_own_by_turns_or_by_an_override(tmp_path: Path) -> None:
    own = {"basic": {"us-east-1": "0m"}, "premium": {"us-west-2": "0m"}, "third": {"eu-west-1": "0m"}}
    assert problems(tmp_path, {"turns": {"accounts": own}}) == ""
    laid: list[dict[str, Any]] = [
        {"regions": [region], "checks": {"login-1": {"account": account}}}
        for region, account in zip(REGIONS, ("basic", "premium", "third"), strict=True)
    ]
    assert problems(tmp_path, {}, overrides=laid) == ""
    laid[2]["checks"]["login-1"]["account"] = "premium"
    assert "eu-west-1 and us-west-2 may log in to premium at one time" in problems(tmp_path, {}, overrides=laid)


def test_two_checks_that_both_log_in_are_held_against_each_other(tmp_path: Path) -> None:
    """Both accounts in each pass: by two checks."""
    turns = {"turns": {"accounts": {"basic": ROUND}}}
    other = {"turns": {"accounts": {"premium": ROUND}}}
    assert problems(tmp_path, turns, other) == ""
    assert problems(tmp_path, turns, turns) == ""
    shifted = {"turns": {"accounts": {"basic": {**ROUND, "us-east-1": "15m", "us-west-2": "0m"}}}}
    said = problems(tmp_path, turns, shifted)
    assert "checks.login-1 and checks.login-2: us-east-1 and us-west-2 may log in to basic" in said
    another_cycle = {"turns": {"cycle": "2h", "accounts": {"basic": ROUND}}, "every": "2h"}
    assert "may log in to basic at one time" in problems(tmp_path, turns, another_cycle)


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ({"account": "gold"}, "checks.login-1.account: there is no account 'gold' under credentials.accounts"),
        (
            {"turns": {"accounts": {"premum": ROUND}}},
            "there is no account 'premum' under credentials.accounts; did you mean premium?",
        ),
        (
            {"turns": {"accounts": {"basic": {**ROUND, "eu-west-2": "50m"}}}},
            "turns.accounts.basic.eu-west-2: there is no share 'eu-west-2'",
        ),
        (
            {"turns": {"accounts": {"basic": {"us-east-1": "0m", "us-west-2": "10m"}}}},
            "masters.eu-west-1 has none, so it would never log in: give 'eu-west-1' a turn",
        ),
        (
            {"turns": {"accounts": {"basic": {**ROUND, "us-west-2": "1m"}}}},
            "basic.us-east-1: the turn lasts 60 s; a login may need 15.5 s, and 30 s at either end are kept",
        ),
        (
            {"every": "15m", "turns": {"accounts": {"basic": ROUND}}},
            "masters.us-east-1 may have to wait 51.3 min for its turn, but is to log in every 15 min",
        ),
        (
            {"every": "60m", "turns": {"accounts": {"basic": ROUND, "premium": {**ROUND, "us-east-1": "35m"}}}},
            "masters.us-east-1 logs in every 60 min, but its turns are",
        ),
        ({"account": "basic", "accounts": ["premium"]}, "account and accounts: only one of them"),
        (
            {"turns": {"accounts": {"basic": ROUND}}, "expect": {"premium": {"profile": {"plan": "premium"}}}},
            "expect.premium: it never logs in to premium, but to basic",
        ),
    ],
)
def test_accounts_that_would_not_work(tmp_path: Path, login: dict[str, Any], said: str) -> None:
    assert said in problems(tmp_path, login)


@pytest.mark.parametrize("env", ["production", "staging"])
def test_three_regions_have_two_accounts_without_postgresql_as_shipped(env: str) -> None:
    options = RunOptions(env=env, config=str(shipped("config") / f"{env}.yaml"))
    validate_plan(options)
    said = printed(options)
    for region in REGIONS:
        assert [line.split()[3] for line in said.splitlines() if f" {region} " in line] == ["basic", "premium"]
    assert "no clock may be wrong by more" in said


def test_what_is_run_by_hand_is_told_which_accounts_may_be_in_use(tmp_path: Path) -> None:
    own = {"basic": {"us-east-1": "0m"}, "premium": {"us-west-2": "0m"}, "third": {"eu-west-1": "0m"}}
    assert "By hand nobody logs in" in printed(options_for(tmp_path, {"turns": {"accounts": own}}))
    assert "By hand" not in printed(options_for(tmp_path, {"turns": {"accounts": {"basic": ROUND}}}))
    alone = {"masters": {"us-east-1": MASTERS["us-east-1"]}, "shares": {"adhoc": "25%", "us-east-1": "75%"}}
    one = options_for(tmp_path, {"account": "basic"}, **alone)
    validate_plan(one)
    assert "By hand one logs in to basic too: only on the machine" in printed(one)

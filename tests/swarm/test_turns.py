"""Which account a run logs in to: by its turn, judged by that account's own expectations; or why it logs in to none."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from rich.console import Console

from probes.errors import NotOurTurnError
from probes.model import Layer, Outcome, Verdict
from probes.options import RunOptions
from probes.reports.progress import live
from probes.standin.accounts import EMAILS
from probes.standin.process import StandIn
from probes.swarm.conductor import Conductor
from probes.swarm.desk import LedgerDesk
from probes.swarm.equipment import equip, equip_master
from probes.swarm.grants import LedgerGrants
from tests.fleet.harness import write_ledger

CALLS = ("login", "logout")
TURNS = {
    "turns": {
        "accounts": {
            "basic": {"us": "0m", "eu": "15m", "adhoc": "30m"},
            "premium": {"adhoc": "0m", "us": "30m", "eu": "45m"},
        }
    }
}
US, EU, HAND, BETWEEN = "05:00", "20:00", "10:00", "15:10"
"""Minutes and seconds of an hour; in the last nobody may begin on `basic`."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[StandIn]:
    """Its profile says more than the design's: the plan, too."""
    with StandIn("gateway") as target:
        yield target


def options_for(folder: Path, url: str, login: dict[str, Any], password: dict[str, str], share: str) -> RunOptions:
    region = {"adhoc": "local"}.get(share, share)
    config = {
        "env": "test",
        "target": {"url": url, "private": True},
        "regions": ["us", "eu"],
        "run": {"timeout": "8s"},  # a turn that begins later than that is not waited for
        "shares": {"adhoc": "20%", "us": "40%", "eu": "40%"},
        "credentials": {
            "hosts": ["127.0.0.1:*"],
            "accounts": {name: {"user": email, "password": password} for name, email in EMAILS.items()},
        },
        "limits": {"all": {"allows": "10000 per 60s", "key": "ip", "covers": ["* /*"]}},
        "safety": {
            "exceptions": [
                {"call": f"POST /api/v1/auth/{call}", "reason": "tested here", "proof": "tested here"}
                for call in (*CALLS, "refresh")
            ]
        },
        "checks": {
            "login": {
                "every": "30m", "attempts": 1, "timeout": "5s", "logout_proof": "refresh_token_refused",
                "expect": {"premium": {"profile": {"plan": "premium"}}}, **login,
            },
            "site": {"kind": "http", "timeout": "1500ms", "requests": {"page": {"path": "/"}}},
        },
    }  # fmt: skip
    path = folder / "config.yaml"
    path.write_text(json.dumps(config))
    return RunOptions(config=str(path), state_dir=str(folder / "state"), share=share, region=region)


def conductor_of(options: RunOptions, **environ: str) -> Conductor:
    equipment = equip(options, environ)
    return Conductor(equipment, LedgerDesk(equipment), None, "")


def run(conductor: Conductor, check: str = "login") -> Verdict:
    return conductor.run_check(check, live(Console(file=StringIO()), (check,)))


def at(minute: str) -> time_machine.travel:
    return time_machine.travel(f"2026-05-01T12:{minute}Z", tick=True)


@pytest.mark.parametrize(
    ("share", "minute", "account"), [("us", US, "basic"), ("us", "40:00", "premium"), ("adhoc", HAND, "premium")]
)
def test_a_run_logs_in_to_the_account_whose_turn_it_has(
    gateway: StandIn, tmp_path: Path, share: str, minute: str, account: str
) -> None:
    gateway.reset()
    options = options_for(tmp_path, gateway.url, TURNS, {"env": "A_PASSWORD"}, share)
    with at(minute):
        verdict = run(conductor_of(options, A_PASSWORD=gateway.password))
    assert verdict.outcome is Outcome.PASSED, verdict.reason
    assert gateway.state()["logins"] == {"basic": 0, "premium": 0, account: 1}


@pytest.mark.parametrize(("share", "minute"), [("us", EU), ("eu", US), ("eu", BETWEEN), ("us", "14:30")])
def test_a_login_outside_of_its_turn_is_skipped_and_sends_nothing(
    gateway: StandIn, tmp_path: Path, share: str, minute: str
) -> None:
    gateway.reset()
    options = options_for(tmp_path, gateway.url, TURNS, {"env": "A_PASSWORD"}, share)
    with at(minute):
        verdict = run(conductor_of(options, A_PASSWORD=gateway.password))
    assert verdict.outcome is Outcome.SKIPPED
    assert verdict.reason
    assert verdict.reason.layer is Layer.ACCOUNT
    assert f"Others may be using the test accounts (basic, premium) now; {share} has its turn in" in str(verdict.reason)
    assert gateway.ledger() == []


def test_premium_has_its_own_expectations(gateway: StandIn, tmp_path: Path) -> None:
    gateway.reset()
    wanted = {"expect": {"premium": {"profile": {"plan": "gold"}}}, **TURNS}
    options = options_for(tmp_path, gateway.url, wanted, {"env": "A_PASSWORD"}, "us")
    verdicts = []
    for minute in (US, "40:00"):
        with at(minute):
            verdicts.append(run(conductor_of(options, A_PASSWORD=gateway.password)))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED, Outcome.FAILED]
    assert "the profile's plan is not as configured; expected gold" in str(verdicts[1].reason)
    assert gateway.state()["open_sessions"] == {"basic": 0, "premium": 0}


def test_where_the_store_of_secrets_is_down_only_the_login_cannot_be_judged(
    gateway: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.reset()
    for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "us-east-1")
    options = options_for(tmp_path, gateway.url, TURNS, {"aws_secret": "smoke/basic"}, "us")
    with socket.socket() as nobody, at(US):  # bound, but nobody listens
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        conductor = conductor_of(options, AWS_ENDPOINT_URL=url, AWS_REGION="us-east-1")
        verdict, other = run(conductor), run(conductor, "site")
    assert verdict.outcome is Outcome.ERROR
    assert "The AWS secret smoke/basic is not to be had: Secrets Manager cannot be reached" in str(verdict.reason)
    assert other.outcome is Outcome.PASSED
    assert gateway.state()["logins"] == {"basic": 0, "premium": 0}


def test_a_master_grants_a_login_when_its_turn_has_come_and_names_the_account(tmp_path: Path) -> None:
    options = options_for(tmp_path, "http://127.0.0.1:9", TURNS, {"env": "A_PASSWORD"}, "adhoc")
    config = json.loads(Path(options.config).read_text())
    masters = {name: {"share": name, "regions": [name]} for name in ("us", "eu")}
    Path(options.config).write_text(json.dumps({**config, "masters": masters}))
    write_ledger(tmp_path / "state")
    with at(EU) as traveller:
        grants = LedgerGrants(equip_master(RunOptions(config=options.config, state_dir=options.state_dir, region="us")))
        with pytest.raises(NotOurTurnError) as refused:
            grants.grant("login", "us", egress="", confirms=False)
        assert refused.value.retry_in_s == pytest.approx(10.5 * 60, abs=30)
        traveller.shift(refused.value.retry_in_s + 0.1)
        assert grants.grant("login", "us", egress="", confirms=False).account == "premium"

"""A check as a run carries it out: real configuration, permits, ledger, client, retries; only the naps are skipped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probes.accounts.sessions import OpenSessions
from probes.checks.execute import execute
from probes.checks.probe import AccountSecrets, Tally, Tools
from probes.checks.registry import build_checks, load_settings
from probes.clients.answers import Refusal
from probes.clients.browser import Browser
from probes.clients.http import HttpClient, Identity
from probes.config.load import Source
from probes.config.models import Settings
from probes.config.rules import guard_rules
from probes.deadline import Deadline
from probes.model import Outcome, Step, Verdict
from probes.safety.brakes import LedgerBrakes
from probes.safety.guard import Guard
from probes.safety.ledger import Authority, open_ledger
from probes.safety.permits import Usage
from probes.safety.redact import Redactor

RUN_ID = "fedcba9876543210" * 2
MakeClient = Callable[..., HttpClient]

EMAIL = "smoke-test-basic@betterprompts.com"
LOGIN = "/api/v1/auth/login"
LOGOUT = "/api/v1/auth/logout"
REFRESH = "/api/v1/auth/refresh"
ENHANCE = "/api/v1/enhance"


def configuration(url: str, checks: Mapping[str, Any], **parts: Any) -> dict[str, Any]:
    """A configuration for a server on loopback; `parts` replaces or adds whole parts of it."""
    named = [
        {"call": f"POST {path}", "reason": "tested here", "proof": "tested here"}
        for path in (LOGIN, LOGOUT, REFRESH, ENHANCE)
    ]
    account = {"user": EMAIL, "password": {"env": "SMOKE_TEST_PASSWORD"}}
    return {
        "env": "test",
        "target": {"url": url, "private": True},
        "credentials": {"hosts": ["127.0.0.1:*"], "accounts": {"basic": account}},
        "run": {"backoff": {"first": "100ms", "longest": "1s"}},
        "limits": {"all": {"allows": "10000 per 60s", "key": "ip", "covers": ["* /*"]}},
        "safety": {"exceptions": named},
        "checks": dict(checks),
        **parts,
    }


@dataclass
class Stage:
    """Runs one check after the other on one ledger, and keeps what each left behind."""

    folder: Path
    url: str
    password: str = ""
    make_client: MakeClient = HttpClient
    timeout_s: float | None = None  # instead of the check's own
    naps: list[float] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    browser: Browser | None = None

    def settings(self, data: Mapping[str, Any]) -> Settings:
        path = self.folder / "config.yaml"
        path.write_text(json.dumps(data))
        return load_settings(Source(path))

    def run(self, options: Mapping[str, Any], kind: str = "http", **parts: Any) -> Verdict:
        """The verdict of one check with these options."""
        settings = self.settings(configuration(self.url, {"tested": {"kind": kind, **options}}, **parts))
        check = build_checks(settings, self.folder / "config.yaml")["tested"]
        ledger = open_ledger(self.folder)
        authority = Authority(
            ledger, target=self.url, share="adhoc", share_fraction=1.0, limits=settings.rate_limits, region="local"
        )
        own, cleanup = check.quota()
        timeout_s = check.options.timeout if self.timeout_s is None else self.timeout_s
        permit = authority.grant(
            "tested",
            quota=own,
            cleanup=cleanup,
            account=next(iter(check.rota.accounts), ""),
            deadline_s=timeout_s + 0.5,
            cleanup_s=4.0,
        )
        meter = authority.meter(permit)
        brakes = LedgerBrakes(ledger, authority, settings.rate_limits, self.url)
        refusals = tuple(Refusal(rule.status, rule.content_type) for rule in settings.throttled_when)
        guard, identity = Guard(guard_rules(settings)), Identity(RUN_ID, "smokeprobe/test (+https://example.com)")
        tools = Tools(
            settings=settings,
            meter=meter,
            deadline=Deadline(timeout_s),
            cleanup_deadline=Deadline(timeout_s + 4.0),
            new_client=lambda deadline: self.make_client(guard, meter, brakes, identity, deadline, refusals=refusals),
            sessions=self.sessions(),
            trace_id=RUN_ID,
            tally=self.tally,
            browser=self.browser,
            no_browser="" if self.browser else "left out by --no-browser",
            account=AccountSecrets("basic", EMAIL, self.password) if check.rota.accounts else None,
            sleep=self.naps.append,
        )
        self.attempts.clear()
        try:
            return execute(check, tools, self.attempts.append)
        finally:
            self.usage = meter.usage()
            authority.settle(permit, meter)

    usage: Usage = field(init=False)

    def sessions(self) -> OpenSessions:
        return OpenSessions(self.folder, self.url, Redactor())


def steps(verdict: Verdict) -> dict[str, Step]:
    return {step.name: step for step in verdict.steps}


def outcomes(verdict: Verdict) -> dict[str, Outcome]:
    return {step.name: step.outcome for step in verdict.steps}


def reason(verdict: Verdict) -> str:
    """Why, without the ids at its end."""
    return str(verdict.reason).partition(" [")[0]

"""Everything that a run needs, made once from its options: settings, guard, ledger, identity, redactor, sessions."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from probes.account_rules import meetings
from probes.accounts.secrets import AccountBook, edge_header
from probes.accounts.sessions import OpenSessions
from probes.checks.registry import AnyCheck, check_classes, checks_of, load_settings, load_timetable
from probes.clients.answers import Refusal
from probes.clients.http import Identity
from probes.config.channels import FILE as CHANNELS
from probes.config.channels import load_channels
from probes.config.load import Timetable
from probes.config.models import Settings
from probes.config.rules import guard_rules, user_agent
from probes.errors import ConfigError, SecretStoreError
from probes.options import DATABASE_URL, RunOptions
from probes.plan import problems_of
from probes.safety.guard import Guard, on_this_machine
from probes.safety.redact import Redactor
from probes.share_rules import check_by_hand, share_of_master, share_of_worker


@dataclass(frozen=True, slots=True)
class Equipment:
    """What all checks of one run share. `left_out` says of each check that does not run, why."""

    options: RunOptions
    settings: Settings
    checks: Mapping[str, AnyCheck]
    left_out: Mapping[str, str]
    guard: Guard
    identity: Identity
    redactor: Redactor
    accounts: AccountBook
    refusals: tuple[Refusal, ...]
    sessions: OpenSessions
    timetable: Timetable
    classes: Mapping[str, type[AnyCheck]]

    def now(self) -> Equipment:
        """The same as the configuration's overrides have it by now; this very object while none begins or ends."""
        settings = self.timetable.at(dt.datetime.now(dt.UTC))
        if settings is self.settings:
            return self
        checks = checks_of(settings, self.classes)
        return replace(self, settings=settings, checks=checks, left_out=_left_out(self.options, checks, settings))

    @property
    def run_id(self) -> str:
        """32 hex digits: names the run, and is the trace id of its requests."""
        return self.identity.run_id

    @property
    def planned(self) -> tuple[str, ...]:
        """The checks that do run."""
        return tuple(name for name in self.checks if name not in self.left_out)

    @property
    def ever_planned(self) -> tuple[str, ...]:
        """The checks that run now or later in the day."""
        return tuple(dict.fromkeys(check.name for check in _needed(self.options, self.timetable, self.classes)))

    @property
    def intervals(self) -> Mapping[str, float]:
        """Seconds between two starts of each check that runs, where it runs all day."""
        return {name: self.settings.every(self.checks[name].options) for name in self.planned}

    @property
    def target(self) -> str:
        """The target's origin, the key of the ledger."""
        return self.guard.rules.origin


def equip_master(options: RunOptions) -> Mapping[str, Equipment]:
    """What the master of each region needs. Raises ConfigError.

    `region` names them, separated by commas, or is the name of a master in the configuration.
    """
    settings = load_settings(options.source)
    named = settings.masters.get(options.region)
    regions = named.regions if named else _names_in(options.region)
    if not regions:
        raise ConfigError("--region names no region.")
    share = share_of_master(settings, regions, options.share)
    return {region: equip(replace(options, region=region, share=share), {}, role="master") for region in regions}


def _names_in(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def equip_worker(options: RunOptions) -> Equipment:
    """What a worker needs, whose permits come out of its master's share. Raises ConfigError."""
    share = share_of_worker(load_settings(options.source), options.region, options.share)
    return equip(replace(options, share=share), role="worker")


def equip(
    options: RunOptions,
    environ: Mapping[str, str] = os.environ,
    *,
    role: Literal["run", "master", "worker"] = "run",
) -> Equipment:
    """Load and check everything that a run needs. Raises ConfigError with every mistake; nothing is sent.

    A master sends nothing itself, so it is given no secret; a worker has no ledger, and draws on its master's share.
    """
    timetable = load_timetable(options.source)
    settings = timetable.at(dt.datetime.now(dt.UTC))
    classes = check_classes(tuple(options.source.path.parent / name for name in settings.extensions))
    checks = checks_of(settings, classes)
    _refuse_what_does_not_hold(options, timetable, classes)
    sends = role != "master"
    if role == "run":
        check_by_hand(settings, options.share)
    if role != "worker" and settings.ledger == "database" and not options.database_url:
        raise ConfigError(
            f"{options.source.path} says that there is one ledger for all (ledger: database), but {DATABASE_URL} is "
            "not set.",
            hint="Set it to the database's URL: postgresql://USER@HOST/NAME; PGPASSWORD holds the password.",
        )
    rules = guard_rules(settings)
    left_out = _left_out(options, checks, settings)
    redactor = Redactor()
    redactor.allow(rules.origin)
    for secret in load_channels(options.source.path.parent / CHANNELS).secrets(os.environ):  # a master has these
        redactor.learn(secret, "channel secret")
    needed = _needed(options, timetable, classes) if sends else []
    accounts = AccountBook(settings.credentials, environ, redactor)
    _refuse_without_secrets(
        accounts, settings, sorted({one for check in needed for one in check.rota.of(options.share)})
    )
    edge = edge_header(settings, environ) if sends else None
    if edge:
        redactor.learn(edge[1], "edge header")
    identity = Identity(uuid.uuid4().hex, user_agent(settings), edge)
    refusals = tuple(Refusal(rule.status, rule.content_type) for rule in settings.throttled_when)
    sessions = OpenSessions(options.state, rules.origin, redactor)
    return Equipment(
        options, settings, checks, left_out, Guard(rules), identity, redactor, accounts, refusals, sessions,
        timetable, classes,
    )  # fmt: skip


def _refuse_what_does_not_hold(
    options: RunOptions, timetable: Timetable, classes: Mapping[str, type[AnyCheck]]
) -> None:
    """Raise ConfigError with every problem that there is, or will be later in the day, in this region."""
    problems: list[str] = []
    known: dict[str, None] = {}
    for name, settings in timetable.all_day():
        checks = checks_of(settings, classes)
        known |= dict.fromkeys(checks)
        found = problems_of(settings, checks, options.share, options.region)
        problems += [f"{line} (with {name})" if name and line not in problems else line for line in found]
    problems += meetings(timetable, classes)
    unknown = [name for name in options.checks if name not in known]
    problems += [f"--check {name}: no such check; one of {', '.join(known)}" for name in unknown]
    if problems:
        raise ConfigError(f"{options.source.path} cannot be run as it is:", tuple(dict.fromkeys(problems)))


def _needed(options: RunOptions, timetable: Timetable, classes: Mapping[str, type[AnyCheck]]) -> list[AnyCheck]:
    """The checks that run, now or later in the day."""
    found = []
    for _, settings in timetable.all_day():
        checks = checks_of(settings, classes)
        left_out = _left_out(options, checks, settings)
        found += [check for name, check in checks.items() if name not in left_out]
    return found


def _left_out(options: RunOptions, checks: Mapping[str, AnyCheck], settings: Settings) -> dict[str, str]:
    left_out = {}
    for name, check in checks.items():
        if options.checks and name not in options.checks:
            left_out[name] = "left out by --check"
        elif not check.options.enabled:
            left_out[name] = "left out by the configuration (enabled: false)"
        elif options.no_browser and check.browser:
            left_out[name] = "left out by --no-browser"
        elif settings.safety.get_only and check.writes:
            left_out[name] = "left out by the configuration (safety.get_only)"
    return left_out


def _refuse_without_secrets(accounts: AccountBook, settings: Settings, aliases: Iterable[str]) -> None:
    """Raise ConfigError where a password is missing. One that a store keeps may be had later: that is the login's."""
    problems = []
    for alias in aliases:
        try:
            accounts.of(alias)
        except SecretStoreError:
            continue
        except ConfigError as problem:
            problems.append(problem.message)
    if problems:
        if on_this_machine(settings.target.url):
            problems.append("For the stand-in it is set by itself: smokeprobe standin -- smokeprobe run")
        raise ConfigError("A secret is missing:", tuple(problems))

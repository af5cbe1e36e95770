"""`login`: the test account logs in, is who it should be, logs out, and is proved to be out (P4, S4).

Over the API first, then, where configured, through the web pages. One login after the other; after a log-out that is
not proved, or on a locked account, there is no further login in this run.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, model_validator

from probes.checks.base import Check, PlannedCall
from probes.checks.expect import connection_findings, json_object, lookup, number_at, status_finding, text_at
from probes.checks.finding import Finding, failed
from probes.checks.log_out import LogOut, LogOutOptions
from probes.checks.probe import AccountSecrets, Probe
from probes.checks.web_login import WebLogin, WebSession, web_login
from probes.clients.http import Request, Response
from probes.clients.session_tokens import tokens_in
from probes.config.models import Name, Path, Strict
from probes.config.turns import Rota, Turns
from probes.config.units import Duration
from probes.errors import TransportError
from probes.model import Layer, Outcome


class Expected(Strict):
    """What one account's profile must say besides what is asked of all of them."""

    profile: dict[str, str] = Field(default_factory=dict)


class LoginOptions(LogOutOptions):
    """The account, the calls of a session, and what proves that a log-out worked.

    In place of one `account` there may be several `accounts`, one after the other, where all who log in share a ledger;
    and otherwise `turns`, by the time of day.
    """

    account: Name | None = None
    accounts: tuple[Name, ...] = ()
    turns: Turns | None = None
    expect: dict[Name, Expected] = Field(default_factory=dict)
    login_path: Path = "/api/v1/auth/login"
    history_path: Path = "/api/v1/history"
    profile: dict[str, str] = Field(default_factory=dict)
    within: Duration | None = None
    web: WebLogin | None = None
    timeout: Duration = Field(default=10.0)

    @model_validator(mode="after")
    def _one(self) -> LoginOptions:
        given = [name for name in ("account", "accounts", "turns") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: only one of them says which accounts it logs in to")
        if known := set(self.rota.accounts):
            for name in self.expect:
                if name not in known:
                    raise ValueError(f"expect.{name}: it never logs in to {name}, but to {', '.join(sorted(known))}")
        return self

    @property
    def rota(self) -> Rota:
        """The accounts, and whose they are when; `basic` where nothing is said."""
        if self.turns:
            return Rota(tuple(self.turns.accounts), self.turns.turns)
        return Rota(self.accounts or (self.account or "basic",))


class LoginCheck(Check[LoginOptions]):
    """A whole session, and no trace of it but the time of the last login."""

    kind = "login"
    Options = LoginOptions

    @property
    def rota(self) -> Rota:
        """The test accounts."""
        return self.options.rota

    @property
    def logins(self) -> int:
        """One over the API, and one through the pages."""
        return 2 if self.options.web else 1

    @property
    def uses_browser(self) -> bool:
        """The web pages need it."""
        return self.options.web is not None

    def calls(self) -> tuple[PlannedCall, ...]:
        """The session over the API; a second login and log-out where the web pages are probed too."""
        options, again = self.options, self.tries - 1
        calls = [
            PlannedCall("POST", options.login_path, times=self.logins, spare=again),
            PlannedCall("GET", options.profile_path, spare=self._looks - 1),
            PlannedCall("GET", options.history_path, times=2, spare=0),
            PlannedCall("POST", options.logout_path, spare=again + 2, cleanup=True),
            PlannedCall(*options.proof, times=self.logins, spare=1, cleanup=True),
        ]
        if options.web:
            calls.append(PlannedCall("POST", options.logout_path, spare=again))
            calls += options.web.reads(again)
        return tuple(calls)

    @property
    def _looks(self) -> int:
        """How often what a session looks at is tried: in place, as another try of the whole would be another login."""
        return max(self.tries, self.settings.run.attempts)

    def limits(self) -> Mapping[str, tuple[str, ...]]:
        """The log-in's over the API."""
        return {"log-in": ("within",)}

    def attempt(self, probe: Probe) -> None:
        """End what an earlier run left open, then one session over the API, then one through the pages."""
        account = probe.tools.account
        if account is None:
            why = probe.tools.no_account or "no account was given to log in to"
            finding = Finding(Outcome.ERROR, Layer.ACCOUNT, why, final=True)
            probe.expect("login", [finding])
            return
        log_out = LogOut(probe, account, self.options)
        if not log_out.end_left_open():
            return
        if self._over_api(probe, account, log_out) and self.options.web:
            session = WebSession(
                account,
                paths=(self.options.login_path, self.options.logout_path),
                may_log_in=lambda: self._may_log_in(probe, account),
                refused=lambda status: self._bar_refused(probe, account.alias, status),
                end=lambda tokens, by_page: log_out.end_of_pages(tokens, by_page=by_page),
            )
            web_login(probe, self.options.web, session)

    def _may_log_in(self, probe: Probe, account: AccountSecrets) -> bool:
        """Whether nothing bars the account, and what ends the session is reserved; a step says it where not."""
        if why := probe.tools.sessions.barred(account.alias):
            finding = Finding(Outcome.ERROR, Layer.ACCOUNT, f"no further login in this run: {why}", final=True)
        elif not probe.tools.meter.keeps([("POST", self.options.logout_path), self.options.proof]):
            rule = "no budget: no log-out is left for a further login"
            finding = Finding(Outcome.SKIPPED, Layer.BUDGET, rule, final=True)
        else:
            return True
        probe.expect("log-in", [finding])
        return False

    def _over_api(self, probe: Probe, account: AccountSecrets, log_out: LogOut) -> bool:
        """Whether all went well and the session is proved to be over."""
        tokens: dict[str, str] = {}
        proved = False
        try:
            if self._may_log_in(probe, account) and self._log_in(probe, account, tokens):
                self._look_around(probe, tokens["access_token"], account)
        finally:
            if tokens:
                probe.final = True  # whatever was seen, another try of the whole would only be another login
                proved = log_out.end(tokens, "log-out")
        return proved and probe.outcome in {Outcome.PASSED, Outcome.DEGRADED}

    def _log_in(self, probe: Probe, account: AccountSecrets, tokens: dict[str, str]) -> bool:
        """Log in; `tokens` are kept the moment that any answer brings them, so that they are ended whatever follows."""

        def heard(body: bytes, set_cookies: tuple[str, ...]) -> None:
            if found := tokens_in(body, set_cookies):
                tokens.update(found)
                probe.tools.sessions.opened(account.alias, tokens)

        def judge(response: Response) -> Iterator[Finding]:
            yield from connection_findings(response, self.settings.target)
            if response.status == 200:
                if not isinstance(json_object(response).get("access_token"), str):
                    yield failed("access_token is missing")
                return
            if response.status in {401, 403}:
                self._bar_refused(probe, account.alias, response.status)
            yield login_refused(response, account.alias)

        body: dict[str, Any] = {"email_or_username": account.user, "password": account.password}
        if account.totp_seed:
            import pyotp  # only where an account has one-time codes

            body["totp_code"] = pyotp.TOTP(account.totp_seed).now()
        request = Request("POST", probe.url(self.options.login_path), json=body, secret=True)
        return probe.ask("log-in", request, judge, self.options.within, heard=heard) is not None

    def _bar_refused(self, probe: Probe, alias: str, status: int) -> None:
        """No other login after one that was refused: five wrong passwords lock an account, so one is enough."""
        probe.final = True
        if status == 401:
            probe.tools.sessions.bar(alias, "an earlier one was refused (wrong password?)", math.inf)
        else:
            probe.tools.sessions.bar(alias, "the account is locked or inactive", self.settings.run.timeout)

    def _look_around(self, probe: Probe, token: str, account: AccountSecrets) -> None:
        def profile(response: Response) -> Iterator[Finding]:
            if (wrong := status_finding(response)) is not None:
                yield wrong
                return
            body = json_object(response)
            if text_at(body, "email").lower() != account.user.lower():
                yield failed("the profile is not the account's", account.alias, "another account")
            own = self.options.expect.get(account.alias, Expected()).profile
            for path, expected in {**self.options.profile, **own}.items():
                if lookup(body, path) != expected:
                    yield failed(f"the profile's {path} is not as configured", expected)

        totals: list[float] = []

        def history(response: Response) -> Iterator[Finding]:
            if (wrong := status_finding(response)) is not None:
                yield wrong
                return
            total = number_at(json_object(response), "pagination.total_records")
            if total is None:
                yield failed("pagination.total_records is missing or not a number")
            else:
                totals.append(total)

        self._get(probe, "history-before", self.options.history_path, token, history)
        self._get(probe, "profile", self.options.profile_path, token, profile)
        self._get(probe, "history-after", self.options.history_path, token, history)
        if len(totals) == 2 and totals[0] != totals[1]:
            finding = failed("the session left a row in the history", f"{totals[0]:g}", f"{totals[1]:g}")
            probe.expect("history-unchanged", [finding])

    def _get(self, probe: Probe, name: str, path: str, token: str, judge: Any) -> None:
        probe.ask(name, Request("GET", probe.url(path), token=token), judge, tries=self._looks)


def login_refused(response: Response, alias: str) -> Finding:
    """Why a login was not let in. Never a reason to try again: five wrong passwords lock an account."""
    try:
        body = json_object(response)
    except TransportError:
        body = {}
    if response.status == 403:
        until = _moment(text_at(body, "locked_until") or text_at(body, "error.locked_until"))
        rule = f"account locked until {until}" if until else f"the account {alias} is not let in (locked or inactive)"
        return Finding(Outcome.ERROR, Layer.ACCOUNT, rule, "200", "403", final=True)
    if response.status == 401:
        rule = f"the account {alias} is refused: wrong password, or the target cannot look it up"
        return Finding(Outcome.FAILED, Layer.HTTP, rule, "200", "401", final=True)
    return failed("wrong status", 200, response.status, Layer.HTTP)


def _moment(text: str) -> str:
    """A time of day in ISO 8601, or nothing: no other text of a body is ever shown."""
    try:
        return dt.datetime.fromisoformat(text).isoformat()
    except ValueError:
        return ""

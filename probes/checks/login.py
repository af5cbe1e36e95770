"""`login`: the test account logs in, is who it should be, logs out, and is proved to be out (P4, S4).

Over the API first, then, where configured, through the web pages. One login after the other; after a log-out that is
not proved, or on a locked account, there is no further login in this run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from probes.checks.base import Check, PlannedCall
from probes.checks.expect import connection_findings, json_object, lookup, number_at, status_finding, text_at
from probes.checks.finding import Finding, failed
from probes.checks.pages import WebLogin, web_login
from probes.checks.probe import AccountSecrets, Probe
from probes.clients.http import Request, Response
from probes.config.models import CheckOptions, Name, Path
from probes.config.units import Duration
from probes.deadline import CutOff
from probes.errors import TransportError
from probes.model import Layer, Outcome

LOGOUT_TRIES = 3


class LoginOptions(CheckOptions):
    """The account, the calls of a session, and what proves that a log-out worked."""

    account: Name = "basic"
    login_path: Path = "/api/v1/auth/login"
    profile_path: Path = "/api/v1/auth/profile"
    history_path: Path = "/api/v1/history"
    logout_path: Path = "/api/v1/auth/logout"
    refresh_path: Path = "/api/v1/auth/refresh"
    logout_proof: Literal["access_token_refused", "refresh_token_refused"] = "access_token_refused"
    profile: dict[str, str] = Field(default_factory=dict)
    within: Duration | None = None
    web: WebLogin | None = None
    timeout: Duration = Field(default=10.0)


class LoginCheck(Check[LoginOptions]):
    """A whole session, and no trace of it but the time of the last login."""

    kind = "login"
    Options = LoginOptions

    @property
    def account(self) -> str:
        """The alias of the test account."""
        return self.options.account

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
        options = self.options
        proof = ("GET", options.profile_path) if self._by_access_token else ("POST", options.refresh_path)
        calls = [
            PlannedCall("POST", options.login_path, times=self.logins),
            PlannedCall("GET", options.profile_path),
            PlannedCall("GET", options.history_path, times=2),
            PlannedCall("POST", options.logout_path, cleanup=True),
            PlannedCall(*proof, cleanup=True),
        ]
        if options.web:
            calls.append(PlannedCall("POST", options.logout_path))
            calls += options.web.reads
        return tuple(calls)

    @property
    def _by_access_token(self) -> bool:
        return self.options.logout_proof == "access_token_refused"

    def attempt(self, probe: Probe) -> None:
        """End what an earlier run left open, then one session over the API, then one through the pages."""
        account = probe.tools.account
        if account is None:
            finding = Finding(Outcome.ERROR, Layer.ACCOUNT, f"no account {self.options.account}", final=True)
            probe.expect("login", [finding])
            return
        if (left := probe.tools.sessions.left_open(account.alias)) and not self._end(
            probe, account, left, "end-left-open"
        ):
            return
        if self._over_api(probe, account) and self.options.web:
            paths = (self.options.login_path, self.options.logout_path)
            web_login(
                probe, self.options.web, account, paths, lambda tokens: self._end(probe, account, tokens, "web-end")
            )

    def _over_api(self, probe: Probe, account: AccountSecrets) -> bool:
        """Whether all went well and the session is proved to be over."""
        tokens: dict[str, str] = {}
        proved = False
        try:
            if self._log_in(probe, account, tokens):
                probe.tools.sessions.opened(account.alias, tokens)
                self._look_around(probe, tokens["access_token"], account)
        finally:
            if tokens:
                proved = self._end(probe, account, tokens, "log-out")
        return proved and probe.outcome in {Outcome.PASSED, Outcome.DEGRADED}

    def _log_in(self, probe: Probe, account: AccountSecrets, tokens: dict[str, str]) -> bool:
        """Log in; `tokens` are filled the moment that the answer is there, so that whatever follows, they are ended."""

        def judge(response: Response) -> Iterator[Finding]:
            yield from connection_findings(response, self.settings.target)
            if response.status == 200:
                tokens.update(tokens_in(response))
                if "access_token" not in tokens:
                    yield failed("access_token is missing")
                return
            yield login_refused(response, account.alias)

        body: dict[str, Any] = {"email_or_username": account.user, "password": account.password}
        if account.totp_seed:
            import pyotp  # only where an account has one-time codes

            body["totp_code"] = pyotp.TOTP(account.totp_seed).now()
        request = Request("POST", probe.url(self.options.login_path), json=body, secret=True)
        return probe.ask("log-in", request, judge, self.options.within) is not None

    def _look_around(self, probe: Probe, token: str, account: AccountSecrets) -> None:
        def profile(response: Response) -> Iterator[Finding]:
            if (wrong := status_finding(response)) is not None:
                yield wrong
                return
            body = json_object(response)
            if text_at(body, "email").lower() != account.user.lower()[:100]:
                yield failed("the profile is not the account's", account.alias, "another account")
            for path, expected in self.options.profile.items():
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
        probe.ask(name, Request("GET", probe.url(path), token=token), judge, tries=probe.tries_in_place)

    def _end(self, probe: Probe, account: AccountSecrets, tokens: Mapping[str, str], name: str) -> bool:
        """Log out and prove it; whether that is proved. Not even the end of the run keeps it from being tried."""
        try:
            return self._log_out(probe, account, tokens, name)
        except CutOff:
            self._log_out(probe, account, tokens, name)
            raise

    def _log_out(self, probe: Probe, account: AccountSecrets, tokens: Mapping[str, str], name: str) -> bool:
        """Held up by no pause or throttle, and tried again on its own."""
        body = {"refresh_token": tokens.get("refresh_token", "")}
        request = Request(
            "POST", probe.url(self.options.logout_path), json=body, token=tokens.get("access_token", ""),
            secret=True, cleanup=True,
        )  # fmt: skip

        def logged_out(response: Response) -> Iterator[Finding]:
            # 401: the session was over already, as after a first try whose answer was lost
            if response.status not in {200, 204, 401}:
                yield failed("the log-out failed", 200, response.status, Layer.HTTP)

        answer = probe.ask(name, request, logged_out, tries=LOGOUT_TRIES)
        proved = answer is not None and self._prove(probe, tokens, f"{name}-proof")
        if proved:
            probe.tools.sessions.closed(account.alias)
        else:
            probe.final = True  # no further login on an account whose session may still be open
        return proved

    def _prove(self, probe: Probe, tokens: Mapping[str, str], name: str) -> bool:
        def refused(response: Response) -> Iterator[Finding]:
            if response.status != 401:
                which = "access" if self._by_access_token else "refresh"
                rule = f"the log-out is not proved: the {which} token still works"
                yield failed(rule, 401, response.status, Layer.HTTP)

        if self._by_access_token:
            request = Request(
                "GET", probe.url(self.options.profile_path), token=tokens.get("access_token", ""), cleanup=True
            )
        else:
            body = {"refresh_token": tokens.get("refresh_token", "")}
            request = Request("POST", probe.url(self.options.refresh_path), json=body, secret=True, cleanup=True)
        return probe.ask(name, request, refused, tries=LOGOUT_TRIES if self._by_access_token else 1) is not None


def tokens_in(response: Response) -> dict[str, str]:
    """The tokens of a login's answer, where they are texts."""
    try:
        body = json_object(response)
    except TransportError:
        return {}
    found = {name: body.get(name) for name in ("access_token", "refresh_token")}
    return {name: value for name, value in found.items() if isinstance(value, str) and value}


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

"""The end of a session: the log-out, and the proof that it worked (S4).

After a log-out that is not proved there is no further login on the account in this run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from probes.checks.finding import Finding, failed
from probes.checks.probe import AccountSecrets, Probe
from probes.clients.http import Request, Response
from probes.config.models import CheckOptions, Path
from probes.deadline import CutOff
from probes.errors import SmokeprobeError
from probes.model import Layer, Outcome

LOGOUT_TRIES = 3


class LogOutOptions(CheckOptions):
    """The calls that end a session, and what proves that they did."""

    profile_path: Path = "/api/v1/auth/profile"
    logout_path: Path = "/api/v1/auth/logout"
    refresh_path: Path = "/api/v1/auth/refresh"
    logout_proof: Literal["access_token_refused", "refresh_token_refused"] = "access_token_refused"

    @property
    def by_access_token(self) -> bool:
        """Whether it is the access token that has to be refused."""
        return self.logout_proof == "access_token_refused"

    @property
    def proof(self) -> tuple[str, str]:
        """The call that proves a log-out."""
        return ("GET", self.profile_path) if self.by_access_token else ("POST", self.refresh_path)


@dataclass(frozen=True, slots=True)
class LogOut:
    """Ends the sessions of an account. `tokens` are always those that a login brought."""

    probe: Probe
    account: AccountSecrets
    options: LogOutOptions

    def end_left_open(self) -> bool:
        """Whether no session of an earlier run is open any more."""
        try:
            left = self.probe.tools.sessions.left_open(self.account.alias)
        except SmokeprobeError as problem:
            self.probe.expect("end-left-open", [Finding(Outcome.ERROR, Layer.ACCOUNT, str(problem), final=True)])
            return False
        ended = [self.end(tokens, "end-left-open") for tokens in left]
        return all(ended)

    def end(self, tokens: Mapping[str, str], name: str) -> bool:
        """Log out and prove it; whether that is proved. Not even the end of the run keeps it from being tried."""
        try:
            return self._log_out(tokens, name)
        except CutOff:
            self._log_out(tokens, name)
            raise

    def end_of_pages(self, tokens: Mapping[str, str], *, by_page: bool) -> bool:
        """End a session that the pages have opened; whether it is proved that they had ended it themselves."""
        try:
            if by_page and self._prove(tokens, "web-log-out-proof"):
                return True
        except CutOff:
            self.end(tokens, "web-end")
            raise
        self.end(tokens, "web-end")
        return False

    def _log_out(self, tokens: Mapping[str, str], name: str) -> bool:
        """Held up by no pause or throttle, and tried again on its own."""
        body = {"refresh_token": tokens.get("refresh_token", "")}
        request = Request(
            "POST", self.probe.url(self.options.logout_path), json=body, token=tokens.get("access_token", ""),
            secret=True, cleanup=True,
        )  # fmt: skip

        def logged_out(response: Response) -> Iterator[Finding]:
            # 401: the session was over already, as after a first try whose answer was lost
            if response.status not in {200, 204, 401}:
                yield failed("the log-out failed", 200, response.status, Layer.HTTP)

        answer = self.probe.ask(name, request, logged_out, tries=LOGOUT_TRIES)
        if answer is None:
            self._not_proved()
            return False
        return self._prove(tokens, f"{name}-proof")

    def _prove(self, tokens: Mapping[str, str], name: str) -> bool:
        """Whether what the session could do is refused now. If not, there is no further login on the account."""
        which = "access" if self.options.by_access_token else "refresh"
        token = tokens.get(f"{which}_token", "")

        def refused(response: Response) -> Iterator[Finding]:
            if response.status != 401:
                rule = f"the log-out is not proved: the {which} token still works"
                yield failed(rule, 401, response.status, Layer.HTTP)

        method, path = self.options.proof
        url = self.probe.url(path)
        if not token:  # that none at all is refused proves nothing
            rule = f"the log-out is not proved: the log-in brought no {which} token that could be refused"
            self.probe.expect(name, [failed(rule)])
            proved = False
        elif self.options.by_access_token:
            request = Request(method, url, token=token, cleanup=True)
            proved = self.probe.ask(name, request, refused, tries=LOGOUT_TRIES) is not None
        else:
            request = Request(method, url, json={"refresh_token": token}, secret=True, cleanup=True)
            proved = self.probe.ask(name, request, refused, tries=1) is not None
        if proved:
            self.probe.tools.sessions.closed(self.account.alias, tokens)
        else:
            self._not_proved()
        return proved

    def _not_proved(self) -> None:
        self.probe.final = True
        tools = self.probe.tools
        tools.sessions.bar(
            self.account.alias, "an earlier log-out on this account is not proved", tools.settings.run.timeout
        )

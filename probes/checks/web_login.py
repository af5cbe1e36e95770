"""The web part of a login: a form, where it leads, the button that logs out, and the proof that it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import Field

from probes.checks.base import PlannedCall
from probes.checks.finding import failed
from probes.checks.pages import Visit, judge_visit, make_visit
from probes.checks.probe import AccountSecrets, Probe
from probes.clients.journey import Action, Click, Expect, Fill, Goto, WaitForPath
from probes.config.models import Call, Path, Strict
from probes.model import JUDGED, Layer, Outcome, Reason, Step


class WebLogin(Strict):
    """The pages of a login: a form by its test ids, where it leads, and the button that logs out."""

    path: Path = "/login"
    landing_path: Path = "/dashboard"
    after_logout_path: Path = "/"
    user_field: str = "login-email"
    password_field: str = "login-password"  # noqa: S105 - a test id
    submit_button: str = "login-submit"
    logout_button: str = "logout-button"
    api_calls: tuple[Call, ...] = ()
    max_requests: int = Field(default=60, ge=1, le=500)

    def reads(self, again: int) -> tuple[PlannedCall, ...]:
        """The documents that one login opens, and the rate-limited calls that they are declared to make.

        `again` is how many further logins a permit must allow for.
        """
        pages = (self.path, self.landing_path, self.after_logout_path)
        documents = tuple(PlannedCall("GET", page, spare=again, size=8192) for page in pages)
        return (*documents, *(PlannedCall(call.method, call.path, spare=again) for call in self.api_calls))


WEB_TRIES = 3
"""How often the pages of a login are tried, as long as the permit lasts: a visit is quick, and its session is ended
before the next."""


@dataclass(frozen=True, slots=True)
class WebSession:
    """What the pages of a login need of the check that looks after the account.

    `paths` are the calls of log-in and log-out. `may_log_in` says whether there may be another log-in, `refused` is
    told of one that was answered 401 or 403, and `end` ends a session (True: the pages say that they have) and returns
    whether it is proved that they had.
    """

    account: AccountSecrets
    paths: tuple[str, str]
    may_log_in: Callable[[], bool]
    refused: Callable[[int], None]
    end: Callable[[Mapping[str, str], bool], bool]


def web_login(probe: Probe, web: WebLogin, session: WebSession) -> None:
    """Log in by the form, land where it leads, log out by the button, and have it proved that the session is over.

    A session that the pages did not end is ended over the API, whatever happened.
    """
    if probe.tools.browser is None and probe.tools.no_browser.startswith("left out"):
        reason = Reason("web", Layer.BROWSER, probe.tools.no_browser)
        probe.record(Step("web", Outcome.SKIPPED, reason=reason))
        return
    before, kept = list(probe.steps), list[Step]()
    probe.final = False  # of the session over the API, which has passed
    for number in range(1, WEB_TRIES + 1):
        probe.steps[:] = before
        probe.tries = max(probe.tries, number)
        done = (session.may_log_in() and _log_in_once(probe, web, session)) or probe.final
        if (probe.outcome in JUDGED and not (kept and probe.out_of_time)) or not kept:
            kept = list(probe.steps)
        else:
            probe.steps[:] = kept  # a further try that could not judge does not undo what an earlier one has seen
        if done or probe.outcome not in probe.options.retry_on:
            break
        if probe.tools.deadline.remaining() <= probe.tools.settings.run.backoff.longest:
            break
        probe.tools.sleep(probe.tools.settings.run.backoff.first * number)
    probe.final = True  # the pages had their tries: the whole of it once more would only be more logins


def _log_in_once(probe: Probe, web: WebLogin, session: WebSession) -> bool:
    account, (login_path, logout_path) = session.account, session.paths
    actions: tuple[Action, ...] = (
        Goto("web-form", web.path),
        Fill("web-user", web.user_field, account.user, secret=True),
        Fill("web-password", web.password_field, account.password, secret=True),
        Click("web-submit", web.submit_button),
        WaitForPath("web-landing", web.landing_path),
        Expect("web-log-out-button", test_id=web.logout_button),
        Click("web-log-out", web.logout_button),
        WaitForPath("web-after-log-out", web.after_logout_path),
    )
    opened: list[Mapping[str, str]] = []

    def on_session(tokens: Mapping[str, str]) -> None:
        opened.append(tokens)
        probe.tools.sessions.opened(account.alias, tokens)

    posts = (PlannedCall("POST", login_path), PlannedCall("POST", logout_path))
    visit = Visit(
        actions, (*posts, *web.reads(0)), web.max_requests, web.api_calls, (login_path,), (logout_path,), measured=False
    )
    good = logged_out = proved = False
    try:
        result = make_visit(probe, visit, on_session)
        if result is not None:
            good = judge_visit(probe, result, load_step="web-form")
            logged_out = result.ok and len(result.actions) == len(actions) and not result.cookies
            for call in result.failed:
                if (call.method, call.path) == ("POST", login_path) and call.status in {401, 403}:
                    session.refused(call.status)
    finally:
        if opened:  # each is ended; of several the pages can have ended one at most
            ended = [session.end(tokens, logged_out) for tokens in opened]
            proved = all(ended)
    if good and not proved and probe.outcome in {Outcome.PASSED, Outcome.DEGRADED}:
        rule = "the pages' log-out left cookies of the session" if opened else "the pages' log-in brought no token"
        probe.expect("web-log-out-proof", [failed(f"the log-out is not proved: {rule}", layer=Layer.BROWSER)])
    return good and proved

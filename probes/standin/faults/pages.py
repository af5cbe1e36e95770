"""Faults of the web pages. Those of the home page meet who opens it, not whom a log-out sends there."""

from flask import Request, Response

from probes.standin.auth import LOGIN, LOGOUT
from probes.standin.faults.base import (
    After,
    Before,
    Covers,
    Expected,
    Fault,
    Layer,
    Outcome,
    Rule,
    answer,
    answer_json,
    on,
    one,
    redirect_to,
    wait,
)
from probes.standin.faults.wire import hang
from probes.standin.target import Exchange
from probes.standin.web import DASHBOARD, HOME, LOGIN_PAGE, home_page

_SLOW_PAGE_S = 4.0
_NEVER = "/static/faults/never.png"
_THROTTLED = "/static/faults/throttled.png"
_HOPS = ("/hop/1", "/hop/2", "/home")

SECRETS_IN_CONSOLE = ("jane.roe@betterprompts.com", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl")
"""What page-console-error tells the console; none of it may ever be in a report."""


def _visit(request: Request) -> bool:
    """The home page, unless a log-out leads to it."""
    return on(f"GET {HOME}")(request) and not request.headers.get("Referer", "").endswith(DASHBOARD)


def _inject(html: str) -> After:
    """Put HTML at the end of the page."""
    return _replace("</body>", f"{html}\n</body>")


def _replace(old: str, new: str) -> After:
    def act(_exchange: Exchange, response: Response) -> Response:
        if response.mimetype == "text/html" and not response.is_streamed:
            response.set_data(response.get_data(as_text=True).replace(old, new))
        return response

    return act


def _from_page(path: str) -> Covers:
    """A call sent by a page's script: a browser names the origin of every POST."""
    return lambda request: on(f"POST {path}")(request) and "Origin" in request.headers


def _forgets_cookies(_exchange: Exchange) -> Response:
    response = Response('{"message": "logged out"}', mimetype="application/json")
    for name in ("auth_token", "refresh_token"):
        response.delete_cookie(name)
    return response


def _home(
    name: str,
    description: str,
    after: After | None = None,
    *more: Rule,
    before: Before | None = None,
    outcome: Outcome = "failed",
) -> Fault:
    layer: Layer | None = None if outcome == "passed" else "browser"
    rules = (Rule(_visit, before, after), *more)
    return Fault(name, description, (Expected("homepage", outcome, layer),), rules)


def _image(path: str) -> After:
    return _inject(f'<img src="{path}" width="1" height="1" alt="">')


FAULTS = (
    _home("slow-page", "the home page's document takes 4 seconds", before=wait(_SLOW_PAGE_S), outcome="degraded"),
    _home("page-500", "the home page answers 500", before=answer(500, "<h1>Oops</h1>", "text/html")),
    _home(
        "page-429",
        "the home page answers 429",
        before=answer(429, "<h1>Slow down</h1>", "text/html", Retry_After="60"),
        outcome="throttled",
    ),
    _home("page-blank", "the home page is 200 and empty", before=answer(200, "", "text/html")),
    _home(
        "page-console-error",
        "the home page logs an error, with an e-mail and a token in it",
        _inject(f'<script>console.error("boom for {SECRETS_IN_CONSOLE[0]} with {SECRETS_IN_CONSOLE[1]}")</script>'),
    ),
    _home(
        "page-exception",
        "the home page's script throws what nobody catches",
        _inject('<script>throw new Error("uncaught by design")</script>'),
    ),
    _home(
        "page-rejection",
        "the home page's script leaves a promise rejected",
        _inject('<script>Promise.reject(new Error("rejected by design"))</script>'),
    ),
    _home(
        "page-missing-element",
        "the home page has no prompt box",
        _replace('data-testid="prompt-input"', 'data-testid="other-input"'),
    ),
    _home("page-missing-role", "the home page has no navigation", _replace("nav", "div")),
    _home(
        "page-hidden-element",
        "the home page's enhance button is there, but not shown",
        _inject("<style>[data-testid=enhance-button] { display: none }</style>"),
    ),
    _home("page-subresource-404", "an image of the home page answers 404", _image("/static/missing.png")),
    _home(
        "page-subresource-429",
        "an image of the home page answers 429",
        _image(_THROTTLED),
        Rule(on(f"GET {_THROTTLED}"), answer(429, "", "text/plain", Retry_After="60")),
        outcome="throttled",
    ),
    _home(
        "page-never-loads",
        "an image of the home page is never answered, so that load never fires",
        _image(_NEVER),
        Rule(on(f"GET {_NEVER}"), hang),
    ),
    _home("page-busy", "the home page's script never ends", _inject("<script>for (;;);</script>")),
    _home("page-dialog", "the home page opens a dialog", _inject('<script>alert("Hello")</script>'), outcome="passed"),
    _home(
        "page-writes",
        "the home page writes in every way that a page can: fetch, XHR, form, beacon, ping, workers, popup, WebSocket",
        _inject('<script src="/static/faults/writes.js"></script>'),
        outcome="passed",
    ),
    _home(
        "page-service-worker",
        "the home page registers a service worker, which writes",
        _inject(
            '<script>navigator.serviceWorker?.register("/static/faults/service-worker.js").catch(() => {})</script>'
        ),
        outcome="passed",
    ),
    _home(
        "page-redirect-chain",
        "the home page is three redirects away",
        None,
        Rule(on(f"GET {_HOPS[0]}"), redirect_to(_HOPS[1])),
        Rule(on(f"GET {_HOPS[1]}"), redirect_to(_HOPS[2])),
        Rule(on(f"GET {_HOPS[2]}"), lambda _exchange: Response(home_page(), mimetype="text/html")),
        before=redirect_to(_HOPS[0]),
        outcome="passed",
    ),
    _home("page-redirect-loop", "the home page redirects to itself", before=redirect_to(HOME)),
    _home(
        "page-redirect-other-host",
        "the home page redirects to http://example.org/",
        before=redirect_to("http://example.org/"),
    ),
    _home(
        "page-redirect-private",
        "the home page redirects to a private address",
        before=redirect_to("http://10.0.0.1/"),
    ),
    Fault(
        "page-login-429",
        "the login that the page's script sends answers 429",
        one("login", "throttled", "browser"),
        (Rule(_from_page(LOGIN), answer_json(429, error="rate_limit_exceeded")),),
    ),
    Fault(
        "page-logout-does-nothing",
        "the log-out that the page's script sends clears the cookies and answers 200, and the token stays valid",
        one("login", "failed", "browser"),
        (Rule(_from_page(LOGOUT), _forgets_cookies),),
    ),
    Fault(
        "login-page-no-redirect",
        "the login page logs in and stays where it is",
        one("login", "failed", "browser"),
        (Rule(on(f"GET {LOGIN_PAGE}"), after=_replace('data-next="/dashboard"', 'data-next=""')),),
    ),
    Fault(
        "dashboard-no-logout-button",
        "the dashboard has no log-out button",
        one("login", "failed", "browser"),
        (
            Rule(
                on(f"GET {DASHBOARD}"),
                after=_replace('<button id="logout" type="button" data-testid="logout-button">Log out</button>', ""),
            ),
        ),
    ),
)

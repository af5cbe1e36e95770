"""The pages as a real browser sees them, sound and spoilt."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Error, Page, Response, WebError, sync_playwright
from playwright.sync_api import TimeoutError as BrowserTimeoutError

from probes.clients.chromium import find_chromium
from probes.standin.faults.pages import FAULTS, SECRETS_IN_CONSOLE
from probes.standin.process import StandIn
from tests.standin.client import EMAILS, Answer, call

LOAD_MS = 5000
NEVER_MS = 700


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(find_chromium(os.environ).path))
        context = browser.new_context()
        context.set_default_timeout(LOAD_MS)
        yield context
        browser.close()


@dataclass
class Visitor:
    """Somebody with a page and no cookies, who notes what goes wrong on it."""

    page: Page
    target: StandIn
    console: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    """The last status of each path."""

    def note_console(self, message: ConsoleMessage) -> None:
        self.console.append(message.text)

    def note_error(self, error: WebError) -> None:
        self.exceptions.append(error.error.message)

    def note_response(self, response: Response) -> None:
        self.statuses[response.url.removeprefix(self.target.url)] = response.status

    def go(self, path: str = "/", timeout: float = LOAD_MS) -> None:
        self.page.goto(self.target.url + path, timeout=timeout)

    def settled(self) -> None:
        self.page.wait_for_load_state("networkidle", timeout=LOAD_MS)

    def log_in(self) -> None:
        self.go("/login")
        self.page.get_by_test_id("login-email").fill(EMAILS["basic"])
        self.page.get_by_test_id("login-password").fill(self.target.password)
        self.page.get_by_test_id("login-submit").click()

    def waits_for(self, happened: Callable[[], bool]) -> None:
        for _ in range(100):
            if happened():
                return
            self.page.wait_for_timeout(30)
        raise AssertionError("it did not happen within 3 seconds")


@pytest.fixture
def visitor(context: BrowserContext, design: StandIn) -> Iterator[Visitor]:
    """A page takes its time to open, so visitors share one, unless a test has closed it."""
    visitor = Visitor(context.pages[0] if context.pages else context.new_page(), design)
    context.on("console", visitor.note_console)
    context.on("weberror", visitor.note_error)
    context.on("response", visitor.note_response)
    yield visitor
    context.remove_listener("console", visitor.note_console)
    context.remove_listener("weberror", visitor.note_error)
    context.remove_listener("response", visitor.note_response)
    for popup in context.pages[1:]:
        popup.close()
    for page in context.pages:
        page.goto("about:blank")
    context.clear_cookies()


def test_home_page_is_sound(visitor: Visitor) -> None:
    visitor.go()
    for role in ("navigation", "heading", "contentinfo"):
        assert visitor.page.get_by_role(role).first.is_visible()
    for name in ("prompt-input", "enhance-button"):
        assert visitor.page.get_by_test_id(name).is_visible()
    visitor.waits_for(lambda: visitor.page.get_by_test_id("techniques").locator("li").count() == 7)
    visitor.waits_for(lambda: visitor.target.state()["analytics_beacons"] >= 1)
    assert visitor.console == visitor.exceptions == []
    assert all(entry["status"] in {200, 204, 304} for entry in visitor.target.ledger())
    assert {"/static/site.css", "/static/home.js", "/static/logo.svg"} <= set(visitor.statuses)


def test_enhance_button_enhances(visitor: Visitor) -> None:
    visitor.go()
    visitor.page.get_by_test_id("prompt-input").fill("Explain tides")
    visitor.page.get_by_test_id("enhance-button").click()
    shown = visitor.page.get_by_test_id("enhanced-output")
    visitor.waits_for(lambda: "Explain tides" in shown.inner_text())


def test_login_journey(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.page.wait_for_url("**/dashboard")
    assert visitor.target.state()["open_sessions"]["basic"] == 1
    visitor.page.get_by_test_id("logout-button").click()
    visitor.page.wait_for_url(visitor.target.url + "/")
    assert visitor.target.state()["open_sessions"]["basic"] == 0
    assert visitor.console == visitor.exceptions == []
    visitor.go("/dashboard")
    assert visitor.page.url.endswith("/login")


def test_faults_of_the_home_page_spare_the_way_out(visitor: Visitor) -> None:
    visitor.target.set_faults("page-500")
    visitor.log_in()
    visitor.page.get_by_test_id("logout-button").click()
    visitor.page.wait_for_url(visitor.target.url + "/")
    assert visitor.statuses["/"] == 200
    visitor.go()
    assert visitor.statuses["/"] == 500


# ---- each fault


def slow(visitor: Visitor) -> None:
    with pytest.raises(BrowserTimeoutError):
        visitor.go(timeout=NEVER_MS)
    visitor.page.close()


def never_loads(visitor: Visitor) -> None:
    with pytest.raises(BrowserTimeoutError):
        visitor.go(timeout=NEVER_MS)
    assert visitor.page.get_by_test_id("enhance-button").is_visible()
    visitor.page.close()


def console_error(visitor: Visitor) -> None:
    visitor.go()
    visitor.waits_for(lambda: len(visitor.console) == 1)
    assert all(secret in visitor.console[0] for secret in SECRETS_IN_CONSOLE)


def exception(message: str) -> Callable[[Visitor], None]:
    def case(visitor: Visitor) -> None:
        visitor.go()
        visitor.waits_for(lambda: visitor.exceptions == [message])

    return case


def missing_element(visitor: Visitor) -> None:
    visitor.go()
    assert visitor.page.get_by_test_id("prompt-input").count() == 0
    assert visitor.page.get_by_test_id("enhance-button").is_visible()


def missing_role(visitor: Visitor) -> None:
    visitor.go()
    assert visitor.page.get_by_role("navigation").count() == 0


def hidden_element(visitor: Visitor) -> None:
    visitor.go()
    button = visitor.page.get_by_test_id("enhance-button")
    assert button.count() == 1
    assert not button.is_visible()


def subresource(path: str, status: int) -> Callable[[Visitor], None]:
    def case(visitor: Visitor) -> None:
        visitor.go()
        assert visitor.statuses["/"] == 200
        assert visitor.statuses[path] == status

    return case


def dialog(visitor: Visitor) -> None:
    seen: list[str] = []

    def accept(opened: Dialog) -> None:
        seen.append(opened.message)
        opened.accept()

    visitor.page.once("dialog", accept)
    visitor.go()
    assert seen == ["Hello"]


def writes(visitor: Visitor) -> None:
    ways = ("fetch", "keepalive", "put", "delete", "xhr", "form", "beacon", "ping", "worker", "shared-worker", "popup")
    wanted = {f"via={way}" for way in ways}
    visitor.go()
    visitor.waits_for(lambda: wanted <= {entry["query"] for entry in visitor.target.ledger()})
    visitor.waits_for(lambda: visitor.target.state()["websockets"] >= 1)
    assert visitor.target.state()["writes"] >= len(wanted) + 1  # with the WebSocket
    assert visitor.console == visitor.exceptions == []


def service_worker(visitor: Visitor) -> None:
    visitor.go()
    visitor.waits_for(lambda: "via=service-worker" in {entry["query"] for entry in visitor.target.ledger()})


def redirect_chain(visitor: Visitor) -> None:
    visitor.go()
    assert visitor.page.url == visitor.target.url + "/home"
    documents = [entry["path"] for entry in visitor.target.ledger()][:4]
    assert documents == ["/", "/hop/1", "/hop/2", "/home"]
    assert visitor.page.get_by_test_id("enhance-button").is_visible()


def redirect_loop(visitor: Visitor) -> None:
    with pytest.raises(Error, match="ERR_TOO_MANY_REDIRECTS"):
        visitor.go()
    visitor.page.close()


def login_429(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.waits_for(lambda: visitor.statuses.get("/api/v1/auth/login") == 429)
    body = {"email_or_username": EMAILS["basic"], "password": visitor.target.password}
    assert call(visitor.target, "POST /api/v1/auth/login", body).status == 200


def login_stays(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.waits_for(lambda: visitor.target.state()["open_sessions"]["basic"] == 1)
    visitor.settled()
    assert visitor.page.url.endswith("/login")


def no_logout_button(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.page.wait_for_url("**/dashboard")
    assert visitor.page.get_by_test_id("logout-button").count() == 0
    assert visitor.console == visitor.exceptions == []


def logout_does_nothing(visitor: Visitor) -> None:
    visitor.log_in()
    visitor.page.wait_for_url("**/dashboard")
    visitor.page.get_by_test_id("logout-button").click()
    visitor.page.wait_for_url(visitor.target.url + "/")
    assert visitor.page.context.cookies() == []
    assert visitor.target.state()["open_sessions"]["basic"] == 1


CASES: dict[str, Callable[[Visitor], None]] = {
    "slow-page": slow,
    "page-console-error": console_error,
    "page-exception": exception("uncaught by design"),
    "page-rejection": exception("rejected by design"),
    "page-missing-element": missing_element,
    "page-missing-role": missing_role,
    "page-hidden-element": hidden_element,
    "page-subresource-404": subresource("/static/missing.png", 404),
    "page-subresource-429": subresource("/static/faults/throttled.png", 429),
    "page-never-loads": never_loads,
    "page-busy": slow,
    "page-dialog": dialog,
    "page-writes": writes,
    "page-service-worker": service_worker,
    "page-redirect-chain": redirect_chain,
    "page-redirect-loop": redirect_loop,
    "page-login-429": login_429,
    "page-logout-does-nothing": logout_does_nothing,
    "login-page-no-redirect": login_stays,
    "dashboard-no-logout-button": no_logout_button,
}


PLAIN_CASES: dict[str, Callable[[Answer], bool]] = {
    "page-500": lambda a: a.status == 500,
    "page-429": lambda a: a.status == 429 and a.header("Retry-After") == "60",
    "page-blank": lambda a: a.status == 200 and a.body == b"",
    "page-redirect-other-host": lambda a: (a.status, a.header("Location")) == (302, "http://example.org/"),
    "page-redirect-private": lambda a: (a.status, a.header("Location")) == (302, "http://10.0.0.1/"),
}
"""What shows without a browser, which would follow the redirects."""


def test_every_fault_has_a_case() -> None:
    assert CASES.keys() | PLAIN_CASES.keys() == {fault.name for fault in FAULTS}


@pytest.mark.parametrize("name", CASES)
def test_fault(visitor: Visitor, name: str) -> None:
    visitor.target.set_faults(name)
    CASES[name](visitor)


@pytest.mark.parametrize("name", PLAIN_CASES)
def test_fault_of_the_document(design: StandIn, name: str) -> None:
    design.set_faults(name)
    assert PLAIN_CASES[name](call(design, "GET /"))
    assert call(design, "GET /login").status == 200

"""The HTML report in a real browser: it says everything, needs nothing, and can be read by everybody."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has no types
from playwright.sync_api import Browser, Page, sync_playwright

from probes.model import RunReport
from probes.reports.html import to_html, write_html
from tests.reports import sample


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = (os.environ.get("SMOKEPROBE_CHROMIUM"), shutil.which("chromium"), shutil.which("google-chrome"))
    executable = next(filter(None, found), None)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable)  # without a path: Playwright's own download
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    yield page
    page.close()


def _open(page: Page, report: RunReport, folder: Path) -> list[str]:
    """Open the report; the requests that it makes beyond itself, and what its console says."""
    seen: list[str] = []
    write_html(folder / "report.html", report)
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("dialog", lambda dialog: seen.append(dialog.message))
    address = (folder / "report.html").as_uri()
    page.goto(address)
    return [entry for entry in seen if entry not in {address, "data:,"}]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("report", [sample.PASSED, sample.MIXED], ids=["passed", "mixed"])
def test_axe_finds_nothing(browser: Browser, scheme: str, report: RunReport, tmp_path: Path) -> None:
    page = browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    assert _open(page, report, tmp_path) == []
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    page.close()


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_nothing_sticks_out_sideways(page: Page, width: int, tmp_path: Path) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for report in (sample.MIXED, sample.hostile()):
        _open(page, report, tmp_path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_says_what_happened(page: Page, tmp_path: Path) -> None:
    _open(page, sample.MIXED, tmp_path)
    text = page.inner_text("body")
    for part in (
        "Failed", "health failed; api was degraded", "us-east-1", "01JHX3-7Q", "certificate: 54 days left",
        "3 attempts", "312 ms of 200 ms, too slow", "expected", "503", sample.REQUEST_ID, "the account basic is locked",
        "left out by --no-browser", "1.0 % of the limit of 100 per 60 s",
        "1, ceiling 1 every 2 s", "31", "dropped 2", "3 s ahead", "TLS 3.2 ms",
    ):  # fmt: skip
        assert part in text.replace("\xa0", " "), part
    assert page.get_by_role("article").count() == 5
    assert page.get_by_role("rowheader", name="GET /api/v1/test : degraded").count() == 1


@pytest.mark.parametrize("width", [390, 1000])
def test_what_passed_is_folded_and_what_did_not_is_open(page: Page, width: int, tmp_path: Path) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    report = sample.report(sample.SLOW_API.outcome, 1, sample.SLOW_API, sample.HEALTH)
    _open(page, report, tmp_path)
    slow, health = page.locator("article").all()
    assert slow.get_by_text("312 ms of 200 ms, too slow").is_visible()
    assert not health.get_by_text("GET /health").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert health.get_by_text("GET /health").is_visible()


def test_on_paper_nothing_is_folded(page: Page, tmp_path: Path) -> None:
    _open(page, sample.PASSED, tmp_path)
    page.emulate_media(media="print")
    assert page.get_by_text("GET /health").is_visible()


def test_a_bar_ends_where_its_time_stands_beside_the_mark_of_its_limit(page: Page, tmp_path: Path) -> None:
    _open(page, sample.report(sample.SLOW_API.outcome, 1, sample.SLOW_API, sample.HEALTH), tmp_path)
    measure = """bar => {
        const [whole, fill, mark] = [bar, ...bar.children].map(element => element.getBoundingClientRect());
        return [fill.width / whole.width, (mark.x - whole.x) / whole.width];
    }"""
    slow, quick = (bar.evaluate(measure) for bar in page.query_selector_all("td .bar")[:2])
    assert slow == pytest.approx([1, 200 / 312], abs=0.01)
    assert quick == pytest.approx([0.8 * 3.1 / 100, 0.8], abs=0.01)


def test_the_phases_share_a_bar_by_their_times(page: Page, tmp_path: Path) -> None:
    _open(page, sample.report(sample.HEALTH.outcome, 0, sample.HEALTH), tmp_path)
    slices = page.query_selector_all("tr:first-child .phases span")
    widths = {part.get_attribute("class"): part.evaluate("part => parseFloat(part.style.width)") for part in slices}
    whole = 0.4 + 0.5 + 3.2 + 3.1 + 0.2
    shares = {"p-dns": 0.4, "p-connect": 0.5, "p-tls": 3.2, "p-ttfb": 3.1, "p-download": 0.2}
    assert widths == {name: pytest.approx(100 * share / whole, abs=0.01) for name, share in shares.items()}


def test_hostile_text_stays_text(page: Page, tmp_path: Path) -> None:
    assert _open(page, sample.hostile(), tmp_path) == []
    assert page.locator("img, script").count() == 0
    assert "<img src=x onerror=alert(1)>" in page.inner_text("h3 >> nth=0")


def test_the_file_needs_nothing_else() -> None:
    text = to_html(sample.FAILED)
    assert not re.search(r"<script|<link(?! rel=\"icon\" href=\"data:,\")|@import|url\(|\ssrc=|\son\w+=", text)
    assert "default-src 'none'" in text


def test_an_allowed_degradation_is_a_passed_run() -> None:
    text = to_html(replace(sample.MIXED, exit_code=0))
    assert '<header class="is-passed">' in text


def test_a_run_without_checks_is_shown(page: Page, tmp_path: Path) -> None:
    _open(page, sample.EMPTY, tmp_path)
    assert "Inconclusive" in page.inner_text("h1")
    assert "The ledger is read-only." in page.inner_text("main")


def test_a_region_that_nothing_bears_out() -> None:
    document = to_html(replace(sample.PASSED, region_verified=False))
    assert document.count("us-east-1 (unverified)") == 2
    assert "(unverified)" not in to_html(sample.PASSED)

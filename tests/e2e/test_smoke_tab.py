"""`smokeprobe ui` and its Smoke board: what a press on Start does, and how the board reads."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import time
from itertools import product
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no stubs
from playwright.sync_api import Page, expect

from probes.standin.process import StandIn
from tests.e2e.harness import (
    CHECKS,
    LOCUST,
    ROOT,
    SMOKEPROBE,
    Runner,
    assert_left_nothing,
    assert_recognisable,
    assert_under_ceiling,
    write_config,
)
from tests.e2e.ui_harness import HTTP_ONLY, PASSWORD, Ui, chromium_page, ui_of
from tests.fleet.harness import fleet_of, write_ledger
from tests.ports import free_port
from tests.waiting import until

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PASSING = 15_000  # milliseconds that a page may take to show something, beside other tests


def shown(page: Page, check: str) -> str:
    """What stands in a check's card."""
    return page.locator("article", has=page.get_by_role("heading", name=check, exact=True)).inner_text()


def wait_for(page: Page, text: str) -> None:
    """Until a text shows, across a change of pages too: between two of them there is no body to ask."""
    expect(page.locator("body")).to_contain_text(text, timeout=PASSING, use_inner_text=True)


def serious_of(page: Page) -> list[str]:
    """What axe finds that bars somebody from the page."""
    found = Axe().run(page).response["violations"]
    return [each["id"] for each in found if each["impact"] in {"serious", "critical"}]


# --- one quick journey ---


def test_logged_in_one_runs_all_checks_and_pauses_by_keyboard(target: StandIn, locked_ui: Ui) -> None:
    ui = locked_ui
    with chromium_page(viewport={"width": 1280, "height": 900}) as page:
        page.goto(f"{ui.url}/smoke")
        # with the first frame, not before
        expect(page.get_by_label("User name")).to_be_focused(timeout=PASSING)
        page.keyboard.type("smokeprobe")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/smoke", timeout=PASSING)  # where one wanted to go
        wait_for(page, "not run yet")

        page.get_by_role("button", name="Run all checks now").focus()
        page.keyboard.press("Enter")
        wait_for(page, "All 3 checks: passed")
        assert "passed" in shown(page, "health")

        for key in ("Tab", "ArrowDown", "Tab", "Enter"):  # the second length, and the button
            page.keyboard.press(key)
        wait_for(page, "another 1 h: in the web UI.")
        assert page.title().startswith("Smoke")
        assert page.evaluate("document.activeElement.textContent") == "Resume probing"
        assert page.locator("h1").inner_text() == "Paused"
        page.keyboard.press("Space")
        expect(page.locator("body")).not_to_contain_text("another 1 h", timeout=PASSING, use_inner_text=True)
        assert page.evaluate("document.activeElement.textContent") == "Pause probing"

        page.goto(ui.url)
        page.wait_for_url("**/smoke", timeout=PASSING)
        page.get_by_role("link", name="Locust").click()
        wait_for(page, target.url)
        page.get_by_role("link", name="Smoke board").click()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login", timeout=PASSING)
    assert_under_ceiling(target)
    assert_recognisable(target)


# --- what a press on Start does ---


@pytest.mark.release
def test_each_start_runs_every_check_once_and_a_start_meanwhile_changes_nothing(target: StandIn, ui: Ui) -> None:
    for count in (1, 2):
        ui.run_all()
        assert {name: len(ui.runs(name)) for name in ("health", "api", "enhancement")} == dict.fromkeys(
            ("health", "api", "enhancement"), count
        )
    target.set_faults("slow-health")
    calls = len(target.ledger())
    ui.start(1)
    assert until(lambda: len(target.ledger()) > calls)
    for users in (1, 1000, 5):
        ui.start(users)
    assert until(lambda: len(ui.runs("health")) >= 3 and ui.is_idle())
    time.sleep(1.5)  # for longer than a board is kept
    assert ui.count() == [3, 3, 3]
    assert_under_ceiling(target)
    assert ui.end() == 130
    assert_left_nothing(target)


@pytest.mark.release
@pytest.mark.timeout(180)
def test_start_pressed_all_the_time_stays_under_the_ceiling(target: StandIn, ui: Ui) -> None:
    for _ in range(12):
        ui.run_all()
    enhancements = ui.runs("enhancement")
    assert "skipped" in enhancements  # nine a minute is the ceiling
    assert set(enhancements) == {"passed", "skipped"}
    assert "no budget" in next(cell["reason"] for cell in ui.board()["cells"] if cell["check"] == "enhancement")
    assert all(limit["peak"] <= limit["ceiling"] for limit in ui.board()["limits"])
    assert_under_ceiling(target)


@pytest.mark.release
def test_stop_cuts_a_run_off_and_the_next_start_is_a_new_run(target: StandIn, ui: Ui) -> None:
    target.set_faults("hang-health")
    ui.start()
    assert until(lambda: any(entry["path"] == "/health" for entry in target.ledger()))
    ui.post("/stop")
    assert until(lambda: len(ui.runs("health")) == 1), ui.log.read_text()
    stopped = next(cell for cell in ui.board()["cells"] if cell["check"] == "health")
    assert (stopped["outcome"], "stopped by hand" in stopped["reason"]) == ("error", True)
    target.set_faults()
    ui.run_all()
    assert ui.runs("health") == ["error", "passed"]


@pytest.mark.release
def test_all_checks_with_a_browser_run_again_and_leave_nothing(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    with ui_of(runner, write_config(tmp_path / "all.yaml")) as ui:
        ui.run_all()
        ui.run_all()
        assert {name: ui.runs(name) for name in CHECKS} == {name: ["passed", "passed"] for name in CHECKS}
        family = psutil.Process(ui.process.pid)
        assert until(lambda: not family.children(recursive=True), 40.0)  # nobody needs the browser for now
        assert ui.end(signal.SIGTERM) == 143
    assert_under_ceiling(target)
    assert_left_nothing(target)


@pytest.mark.release
def test_a_master_that_has_a_web_ui_shows_its_workers_and_whom_it_rejects(target: StandIn, tmp_path: Path) -> None:
    with fleet_of(target, tmp_path) as fleet:
        port = free_port()
        write_ledger(tmp_path / "m")
        line = [LOCUST, "-f", str(ROOT / "locustfiles" / "production_smoke.py"), "--master", "--web-port", str(port)]
        line += ["--master-bind-host", "127.0.0.1", "--master-bind-port", str(fleet.port)]
        line += ["--smoke-config", str(fleet.config), "--target-url", target.url, "--state-dir", str(tmp_path / "m")]
        line += ["--region", "nowhere"]
        environment = Runner(target, tmp_path, fleet.config).environment(**fleet.env)
        with (tmp_path / "master.log").open("wb") as log, subprocess.Popen(line, env=environment, stderr=log) as master:
            try:
                assert until(Ui(master, port, tmp_path / "master.log").is_up)
                fleet.worker("good", "--region", "nowhere")
                fleet.worker("bad", env={"SMOKEPROBE_FLEET_KEY": "f" * 32})
                with chromium_page() as page:
                    page.goto(f"http://127.0.0.1:{port}/smoke")
                    wait_for(page, "in nowhere (unverified), heard")
                    wait_for(page, "without our key, ")
                    wait_for(page, "passed")
                    assert page.get_by_role("heading", name="Region nowhere (unverified)").count() == 1
                    assert page.get_by_role("button", name="Run all checks now").count() == 0
                    assert serious_of(page) == []
                    page.get_by_role("button", name="Pause probing").click()
                    wait_for(page, "another 15 min")
            finally:
                master.kill()
    assert_under_ceiling(target)


# --- how it reads ---


def test_a_run_shows_at_once_and_which_checks_it_is_at(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    target.set_faults("hang-health")
    lasting = write_config(
        tmp_path / "lasting.yaml", HTTP_ONLY, {"run": {"timeout": "15s"}, "checks": {"health": {"timeout": "8s"}}}
    )
    with ui_of(runner, lasting, "--no-browser") as ui, chromium_page() as page:
        page.goto(f"{ui.url}/smoke")
        wait_for(page, "not run yet")
        button = page.locator("#start button")
        page.evaluate(
            "() => { const ask = fetch; window.fetch = (...what) => new Promise((done) => "
            "setTimeout(() => done(ask(...what)), 500)); }"
        )
        button.press("Enter", no_wait_after=True)
        assert page.locator("h1").inner_text() == "Running…"  # before the server has answered
        assert (button.inner_text(), button.get_attribute("aria-disabled")) == ("Running…", "true")
        assert page.evaluate("document.activeElement.textContent") == "Running…"
        expect(page.locator("article .doing", has_text="running…").first).to_be_visible(timeout=PASSING)
        assert "not run yet" not in page.locator("article", has_text="…").first.inner_text()
        calls = ui.count()
        button.press("Enter")  # changes nothing
        target.set_faults()  # which ends what hangs
        wait_for(page, "Run all checks now")
        assert button.get_attribute("aria-disabled") == "false"
        assert max(ui.count()) == 1, calls


@pytest.mark.release
def test_a_fault_shows_without_reload_and_hostile_texts_are_text(target: StandIn, ui: Ui) -> None:
    ui.run_all()
    with chromium_page() as page:
        page.goto(f"{ui.url}/smoke")
        wait_for(page, "All 3 checks: passed")
        page.evaluate("window.sameDocument = true")
        target.set_faults("hostile-text")
        page.get_by_role("button", name="Run all checks now").click()
        wait_for(page, "health: failed")
        assert "<script>" in shown(page, "health")
        assert page.locator("main script").count() == 0
        health = page.locator("article", has=page.get_by_role("heading", name="health", exact=True))
        health.locator("summary").press("Enter")
        now, before = health.locator("details li").all_inner_texts()
        assert " failed, took " in now
        assert "<script>" in now
        assert " passed, took " in before
        target.set_faults()
        page.get_by_role("button", name="Run all checks now").click()
        wait_for(page, "All 3 checks: passed")
        assert page.evaluate("window.sameDocument") is True


@pytest.mark.release
def test_a_pause_by_somebody_else_shows_and_nothing_is_sent(target: StandIn, runner: Runner, ui: Ui) -> None:
    state = str(runner.folder / "ui-state")
    with chromium_page() as page:
        page.goto(f"{ui.url}/smoke")
        wait_for(page, "not run yet")
        hostile = "<img src=x onerror=alert(1)>"
        pause = [SMOKEPROBE, "pause", "--for", "2h", "--why", hostile, "--state-dir", state]
        subprocess.run(pause, check=True, capture_output=True, env=runner.environment())
        wait_for(page, hostile)
        run = page.get_by_role("button", name="Run all checks now")
        assert run.get_attribute("aria-disabled") == "true"
        assert page.locator("body").inner_text().lower().count("paused by hand") == 1
        refused = ui.post("/smoke/start", {"csrf": ui.token()})
        assert (refused.status, refused.text.startswith("Nothing is started: Probing is paused by hand")) == (409, True)
        ui.run_all()  # Locust's own Start
        wait_for(page, "skipped")
        assert target.ledger() == []
        page.get_by_role("button", name="Resume probing").click()
        page.get_by_role("button", name="Pause probing").wait_for(timeout=PASSING)
    ui.run_all()
    assert ui.runs("health") == ["skipped", "passed"]


@pytest.mark.release
def test_a_pause_is_as_long_as_one_chooses_and_says_when_it_ends(ui: Ui) -> None:
    choices = (
        ("for 15 min", 900, "another 15 min"),
        ("for 1 h", 3600, "another 1 h"),
        ("until resumed", None, "resumes it"),
    )
    with chromium_page(viewport={"width": 390, "height": 844}, timezone_id="Asia/Kolkata") as page:
        for choice, longest_s, shown in choices:
            page.goto(f"{ui.url}/smoke")
            page.get_by_label("How long to pause").select_option(choice)
            page.get_by_role("button", name="Pause probing").click()
            wait_for(page, shown)
            (pause,) = ui.board()["pauses"]
            assert page.get_by_label("How long to pause").is_visible() is False
            assert_ends(page, pause["remaining_s"], longest_s)
            page.reload()
            assert page.locator("#pause button").inner_text() == "Resume probing"
            page.get_by_role("button", name="Resume probing").click()
            page.get_by_role("button", name="Pause probing").wait_for(timeout=PASSING)
    refused = ui.post("/smoke/pause", {"csrf": ui.token(), "for": "10000d"})  # no other can be asked for
    assert (refused.status, ui.board()["pauses"]) == (400, [])


def assert_ends(page: Page, remaining_s: float | None, longest_s: int | None) -> None:
    """A pause ends when it is to end, and the page says when that is, in its own time zone."""
    if longest_s is None or remaining_s is None:
        assert remaining_s is longest_s
        return
    assert longest_s - 30 < remaining_s <= longest_s
    ends = dt.datetime.now(ZoneInfo("Asia/Kolkata")) + dt.timedelta(seconds=remaining_s)
    said = page.get_by_label("Pauses").inner_text()
    assert any(f"until {(ends + dt.timedelta(seconds=s)):%H:%M} GMT+5:30" in said for s in (-3, 3)), said


@pytest.mark.release
def test_the_time_of_no_data_is_not_that_of_the_verdict_before_it(ui: Ui) -> None:
    board = ui.board()
    runs = [("2026-03-01T10:00:00+00:00", "failed"), ("2026-03-01T16:30:00+00:00", "no data")]
    told = [{"at": at, "outcome": outcome, "duration_s": None, "detail": ""} for at, outcome in runs]
    board["cells"][0].update(outcome="no data", reason="no worker", age_s=7 * 3600.0, duration_s=2.0, runs=told)
    with chromium_page(timezone_id="Etc/UTC", locale="en-US") as page:
        page.route("**/board.json", lambda route: route.fulfill(json=board))
        page.goto(f"{ui.url}/smoke")
        wait_for(page, "no data at 16:30:00 UTC; last verdict failed 10:00:00 UTC, 7 h ago, took 2.0 s")


@pytest.mark.release
def test_the_login_is_accessible_on_a_phone_too(locked_ui: Ui) -> None:
    with chromium_page(quiet=False, viewport={"width": 390, "height": 844}) as page:
        page.goto(locked_ui.url)
        page.get_by_label("User name").fill("smokeprobe")
        page.get_by_label("Password").fill("a wrong one")
        page.get_by_role("button", name="Log in").click()
        wait_for(page, "Wrong user name or password.")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert serious_of(page) == [], scheme


@pytest.mark.release
def test_it_is_accessible_at_every_width_in_light_and_dark(target: StandIn, ui: Ui, tmp_path: Path) -> None:
    ui.run_all()
    target.set_faults("hostile-text", "slow-api")
    ui.run_all()
    with chromium_page(reduced_motion="reduce") as page:
        for width, scheme in product((390, 1280), SCHEMES):
            page.set_viewport_size({"width": width, "height": 844})
            page.emulate_media(color_scheme=scheme)
            page.goto(f"{ui.url}/smoke")
            wait_for(page, "failed")
            page.screenshot(path=tmp_path / f"board-{width}-{scheme}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.keyboard.press("Tab")
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            for each in page.locator("summary").all():
                each.press("Enter")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert serious_of(page) == [], (width, scheme)
            colours = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (colours == "rgb(14, 18, 23)") is (scheme == "dark")

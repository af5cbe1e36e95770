"""`smokeprobe ui` and its Smoke board: who may use it, what a press on Start does, and how the board reads."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no stubs

from probes.standin.process import StandIn
from tests.e2e.harness import (
    CHECKS,
    SMOKEPROBE,
    Runner,
    assert_left_nothing,
    assert_recognisable,
    assert_under_ceiling,
    until,
    write_config,
)
from tests.e2e.ui_harness import PASSWORD, Ui, chromium_page, ui_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

PASSING = 15_000  # milliseconds that a page may take to show something, beside other tests
STATE_CHANGING = ("/swarm", "/stop", "/user", "/stats/reset", "/smoke/start", "/smoke/pause", "/smoke/resume")
HTTP_ONLY: dict[str, Any] = {
    "run": {"attempts": 1, "timeout": "9s"},
    "checks": {
        **{name: {"timeout": "2s"} for name in ("health", "enhancement", "api")},
        **{name: {"enabled": False} for name in ("homepage", "login")},
    },
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path / "ui.yaml", HTTP_ONLY)


@pytest.fixture
def ui(runner: Runner, config: Path) -> Iterator[Ui]:
    with ui_of(runner, config, "--no-browser") as started:
        yield started


@pytest.fixture
def locked_ui(runner: Runner, config: Path) -> Iterator[Ui]:
    with ui_of(runner, config, "--no-browser", password=PASSWORD) as started:
        yield started


def run_all(ui: Ui) -> None:
    """Start, and wait for the end."""
    before = ui.count()
    ui.start()
    assert until(lambda: min(ui.count()) > min(before) and ui.is_idle()), ui.log.read_text()


def shown(page: Page, check: str) -> str:
    """What stands in a check's card."""
    return page.locator("article", has=page.get_by_role("heading", name=check, exact=True)).inner_text()


def wait_for(page: Page, text: str) -> None:
    page.wait_for_function("text => document.body.innerText.includes(text)", arg=text, timeout=PASSING)


# --- one quick journey ---


def test_logged_in_one_runs_all_checks_and_pauses_by_keyboard(target: StandIn, locked_ui: Ui) -> None:
    ui = locked_ui
    with chromium_page(viewport={"width": 1280, "height": 900}) as page:
        page.goto(f"{ui.url}/smoke")
        page.get_by_label("Username").fill("smokeprobe")
        page.get_by_role("textbox", name="Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/smoke", timeout=PASSING)  # where one wanted to go
        wait_for(page, "not run yet")

        page.get_by_role("button", name="Run all checks now").focus()
        page.keyboard.press("Enter")
        wait_for(page, "All 3 checks: passed")
        assert "passed" in shown(page, "health")

        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        wait_for(page, "until resumed")
        assert page.title().startswith("Smoke")
        assert page.evaluate("document.activeElement.textContent") == "Resume probing"
        assert page.locator("h1").inner_text() == "Paused"
        page.keyboard.press("Space")
        page.wait_for_function("() => !document.body.innerText.includes('until resumed')", timeout=PASSING)
        assert page.evaluate("document.activeElement.textContent") == "Pause probing"

        page.goto(ui.url)
        page.get_by_role("link", name="Smoke board").click()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login", timeout=PASSING)
    assert_under_ceiling(target)
    assert_recognisable(target)


# --- who may use it ---


@pytest.mark.slow
def test_without_the_password_nothing_is_shown(locked_ui: Ui) -> None:
    for path in ("/", "/smoke", "/smoke/board.json", "/smoke/board.js", "/stats/requests", "/logs"):
        answer = locked_ui.get(path)
        assert (answer.status, answer.headers["location"].split("?")[0]) == (302, "/login"), path
    for path in STATE_CHANGING:
        assert locked_ui.post(path).headers.get("location", "").startswith("/login"), path
    assert locked_ui.log_in("a horse, a batterie").headers["location"] == "/login"
    assert locked_ui.log_in(user="admin").headers["location"] == "/login"
    assert locked_ui.get("/smoke").status == 302
    assert locked_ui.log_in().headers["location"] == "/"
    assert PASSWORD not in locked_ui.log.read_text()


@pytest.mark.slow
def test_a_few_wrong_tries_and_even_the_right_password_waits(locked_ui: Ui) -> None:
    for _ in range(5):
        assert locked_ui.log_in("wrong").status == 303
    refused = locked_ui.log_in()
    assert (refused.status, 0 < int(refused.headers["retry-after"]) <= 60) == (429, True)


@pytest.mark.slow
def test_sessions_are_cookies_that_no_script_and_no_other_site_has(locked_ui: Ui) -> None:
    header = locked_ui.log_in().headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= {part.strip() for part in header.split(";")}
    one, locked_ui.cookie = locked_ui.cookie, ""
    locked_ui.log_in()
    for _ in range(3):  # Locust keeps this answer for two seconds: it carries nobody else's cookie
        assert locked_ui.get("/stats/requests").headers["set-cookie"].count("smokeprobe_") == 1
    token = locked_ui.token()
    other, locked_ui.cookie = locked_ui.cookie, one
    assert locked_ui.post("/smoke/pause", {"csrf": token}).status == 403  # another session's
    locked_ui.cookie = other
    assert locked_ui.post("/smoke/logout", {"csrf": token}).status == 303
    assert locked_ui.get("/smoke").status == 302


@pytest.mark.slow
def test_no_other_site_can_do_anything(target: StandIn, ui: Ui) -> None:
    form = {"user_count": 5, "spawn_rate": 5, "csrf": ui.token()}
    for path in STATE_CHANGING:
        assert ui.post(path, form, Origin="https://evil.example").status == 403, path
        assert ui.post(path, form, Sec_Fetch_Site="same-site").status == 403, path
        assert ui.post(path, form, Host="evil.example").status == 421, path
    assert ui.get("/stats/requests", Host="rebound.example:80").status == 421
    assert ui.get("/smoke/board.json", Origin="https://evil.example").status == 403
    for path in ("/smoke/pause", "/smoke/resume", "/smoke/start"):
        assert ui.post(path).status == 403, path
        assert ui.post(path, {"csrf": "guessed"}).status == 403, path
    assert (ui.is_idle(), ui.board()["pauses"], target.ledger()) == (True, [], [])


@pytest.mark.slow
def test_a_page_of_another_site_can_do_nothing_in_a_real_browser(target: StandIn, ui: Ui) -> None:
    attack = """async (url) => {
        const form = new URLSearchParams({ user_count: 5, spawn_rate: 5 });
        const sent = [fetch(url + "/swarm", { method: "POST", body: form, mode: "no-cors", credentials: "include" })];
        sent.push(fetch(url + "/smoke/board.json").then((answer) => answer.text(), () => "unreadable"));
        return (await Promise.allSettled(sent)).map((each) => each.value instanceof Response ? "" : each.value);
    }"""
    with chromium_page(quiet=False) as page:  # the browser's console says that it was refused
        page.goto(target.url)
        assert "unreadable" in page.evaluate(attack, ui.url)
    assert ui.is_idle()
    assert ui.board()["cells"][0]["runs"] == []


@pytest.mark.slow
def test_every_answer_is_hardened(ui: Ui) -> None:
    for path in ("/", "/smoke", "/smoke/board.json", "/stats/requests", "/nothing"):
        headers = ui.get(path).headers
        assert not [name for name in headers if name.startswith("access-control-")], path
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe-inline" not in ui.get("/smoke").headers["content-security-policy"]


@pytest.mark.slow
def test_a_start_writes_no_file_and_a_user_class_stays_as_configured(ui: Ui, tmp_path: Path) -> None:
    file = tmp_path / "written.html"
    start = {"user_count": 1, "spawn_rate": 1, "html_file": str(file)}
    assert ui.post("/swarm", start).status == 400
    changes: tuple[dict[str, Any], ...] = (
        {"tasks": []},
        {"check": "login"},
        {"wait_time": 0},
        {"session": None},
        {"run_check": 1},
    )
    for change in changes:
        body = json.dumps({"user_class_name": "HealthProbe", **change})
        assert ui.call("POST", "/user", body).status == 500, change
    run_all(ui)
    assert ui.runs("health") == ["passed"]
    ui.end()
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "password", "said"),
    [
        (("--host", "0.0.0.0"), "", "without a password the web UI stays on the loopback"),  # noqa: S104 - what is refused
        ((), "too short", "SMOKEPROBE_UI_PASSWORD is too short: 12 characters at least."),
    ],
)
@pytest.mark.slow
def test_an_open_door_is_refused(
    runner: Runner, config: Path, arguments: tuple[str, ...], password: str, said: str
) -> None:
    line = [SMOKEPROBE, "ui", "--config", str(config), "--target-url", runner.target.url, *arguments]
    environment = runner.environment(SMOKEPROBE_UI_PASSWORD=password, SMOKEPROBE_STATE_DIR=str(runner.folder))
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=40, check=False)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_port_that_is_taken_is_said_before_anything_begins(runner: Runner, config: Path, ui: Ui) -> None:
    line = [SMOKEPROBE, "ui", "--config", str(config), "--port", str(ui.port)]
    done = subprocess.run(line, env=runner.environment(), capture_output=True, text=True, timeout=40, check=False)
    assert (done.returncode, f"--port {ui.port}: cannot listen" in done.stderr) == (2, True), done.stderr


# --- what a press on Start does ---


@pytest.mark.slow
def test_each_start_runs_every_check_once_and_a_start_meanwhile_changes_nothing(target: StandIn, ui: Ui) -> None:
    for count in (1, 2):
        run_all(ui)
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


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_start_pressed_all_the_time_stays_under_the_ceiling(target: StandIn, ui: Ui) -> None:
    for _ in range(12):
        run_all(ui)
    enhancements = ui.runs("enhancement")
    assert "skipped" in enhancements  # nine a minute is the ceiling
    assert set(enhancements) == {"passed", "skipped"}
    assert "no budget" in next(cell["reason"] for cell in ui.board()["cells"] if cell["check"] == "enhancement")
    assert all(limit["peak"] <= limit["ceiling"] for limit in ui.board()["limits"])
    assert_under_ceiling(target)


@pytest.mark.slow
def test_stop_cuts_a_run_off_and_the_next_start_is_a_new_run(target: StandIn, ui: Ui) -> None:
    target.set_faults("hang-health")
    ui.start()
    assert until(lambda: any(entry["path"] == "/health" for entry in target.ledger()))
    ui.post("/stop")
    assert until(lambda: len(ui.runs("health")) == 1), ui.log.read_text()
    stopped = next(cell for cell in ui.board()["cells"] if cell["check"] == "health")
    assert (stopped["outcome"], "stopped by hand" in stopped["reason"]) == ("error", True)
    target.set_faults()
    run_all(ui)
    assert ui.runs("health") == ["error", "passed"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_all_checks_with_a_browser_run_again_and_leave_nothing(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    with ui_of(runner, write_config(tmp_path / "all.yaml")) as ui:
        run_all(ui)
        run_all(ui)
        assert {name: ui.runs(name) for name in CHECKS} == {name: ["passed", "passed"] for name in CHECKS}
        assert ui.end(signal.SIGTERM) == 143
    assert_under_ceiling(target)
    assert_left_nothing(target)


# --- how it reads ---


@pytest.mark.slow
def test_a_fault_shows_without_reload_and_hostile_texts_are_text(target: StandIn, ui: Ui) -> None:
    run_all(ui)
    with chromium_page() as page:
        page.goto(f"{ui.url}/smoke")
        wait_for(page, "All 3 checks: passed")
        page.evaluate("window.sameDocument = true")
        target.set_faults("hostile-text")
        page.get_by_role("button", name="Run all checks now").click()
        wait_for(page, "health: failed")
        assert "<script>" in shown(page, "health")
        assert page.locator("main script").count() == 0
        marks = page.locator("article", has=page.get_by_role("heading", name="health", exact=True)).locator("li")
        assert [text.split(" at ")[0] for text in marks.all_text_contents()] == ["passed", "failed"]
        target.set_faults()
        page.get_by_role("button", name="Run all checks now").click()
        wait_for(page, "All 3 checks: passed")
        assert page.evaluate("window.sameDocument") is True


@pytest.mark.slow
def test_a_pause_by_somebody_else_shows_and_nothing_is_sent(target: StandIn, runner: Runner, ui: Ui) -> None:
    state = str(runner.folder / "ui-state")
    with chromium_page() as page:
        page.goto(f"{ui.url}/smoke")
        wait_for(page, "not run yet")
        hostile = "<img src=x onerror=alert(1)>"
        pause = [SMOKEPROBE, "pause", "--for", "2h", "--why", hostile, "--state-dir", state]
        subprocess.run(pause, check=True, capture_output=True, env=runner.environment())
        wait_for(page, hostile)
        run_all(ui)
        wait_for(page, "skipped")
        assert target.ledger() == []
        page.get_by_role("button", name="Resume probing").click()
        page.get_by_role("button", name="Pause probing").wait_for(timeout=PASSING)
    run_all(ui)
    assert ui.runs("health") == ["skipped", "passed"]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_accessible_at_every_width_in_light_and_dark(
    target: StandIn, ui: Ui, scheme: str, width: int, tmp_path: Path
) -> None:
    run_all(ui)
    target.set_faults("hostile-text", "slow-api")
    run_all(ui)
    with chromium_page(viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce") as page:
        page.goto(f"{ui.url}/smoke")
        wait_for(page, "failed")
        page.screenshot(path=tmp_path / "board.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page).response["violations"]
        assert [each["id"] for each in found if each["impact"] in {"serious", "critical"}] == []
        colours = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (colours == "rgb(14, 18, 23)") is (scheme == "dark")
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"

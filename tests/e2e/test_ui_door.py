"""Who may use the web UI of `smokeprobe ui`, and what nobody can do by it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from probes.standin.process import StandIn
from tests.e2e.harness import SMOKEPROBE, Runner
from tests.e2e.ui_harness import PASSWORD, Ui, chromium_page
from tests.waiting import until

pytestmark = pytest.mark.release

STATE_CHANGING = ("/swarm", "/stop", "/user", "/stats/reset", "/smoke/start", "/smoke/pause", "/smoke/resume")


def test_without_the_password_nothing_is_shown(locked_ui: Ui) -> None:
    for path in ("/?locust", "/smoke", "/smoke/board.json", "/smoke/board.js", "/stats/requests", "/logs", "/login"):
        answer = locked_ui.get(path)
        assert (answer.status, answer.headers["location"].split("?")[0]) == (302, "/smoke/login"), path
    for path in STATE_CHANGING:
        assert locked_ui.post(path).headers.get("location", "").startswith("/smoke/login"), path
    assert locked_ui.log_in("a horse, a batterie").status == 403
    assert locked_ui.log_in(user="admin").status == 403
    assert locked_ui.get("/smoke").status == 302
    assert locked_ui.log_in().headers["location"] == "/smoke"
    assert PASSWORD not in locked_ui.log.read_text()


def test_the_front_page_is_the_board_and_locusts_own_names_the_target(target: StandIn, ui: Ui) -> None:
    front = ui.get("/")
    assert (front.status, front.headers["location"]) == (303, "/smoke")
    assert f'"host": "{target.url}"' in ui.get("/?locust").text
    assert ui.post("/swarm", {"user_count": 1, "spawn_rate": 1, "host": "http://192.0.2.1"}).json["success"]
    assert until(lambda: ui.count() == [1, 1, 1])
    assert [cell["outcome"] for cell in ui.board()["cells"]] == ["passed"] * 3  # it says nothing of where they ask
    assert f'"host": "{target.url}"' in ui.get("/?locust").text


def test_a_few_wrong_tries_and_even_the_right_password_waits(locked_ui: Ui) -> None:
    for _ in range(5):
        assert locked_ui.log_in("wrong").status == 403
    refused = locked_ui.log_in()
    assert (refused.status, 0 < int(refused.headers["retry-after"]) <= 60) == (429, True)


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


def test_every_answer_is_hardened(ui: Ui) -> None:
    for path in ("/", "/?locust", "/smoke", "/smoke/board.json", "/stats/requests", "/nothing"):
        headers = ui.get(path).headers
        assert not [name for name in headers if name.startswith("access-control-")], path
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe-inline" not in ui.get("/smoke").headers["content-security-policy"]


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
    ui.run_all()
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
def test_an_open_door_is_refused(
    runner: Runner, ui_config: Path, arguments: tuple[str, ...], password: str, said: str
) -> None:
    line = [SMOKEPROBE, "ui", "--config", str(ui_config), "--target-url", runner.target.url, *arguments]
    environment = runner.environment(SMOKEPROBE_UI_PASSWORD=password, SMOKEPROBE_STATE_DIR=str(runner.folder))
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=40, check=False)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_before_anything_begins(runner: Runner, ui_config: Path, ui: Ui) -> None:
    line = [SMOKEPROBE, "ui", "--config", str(ui_config), "--port", str(ui.port)]
    done = subprocess.run(line, env=runner.environment(), capture_output=True, text=True, timeout=40, check=False)
    assert (done.returncode, f"--port {ui.port}: cannot listen" in done.stderr) == (2, True), done.stderr

"""`smokeprobe report`: from a real history to a page that a browser shows, from disk, to everybody."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has no types
from playwright.sync_api import Browser, sync_playwright

from probes.clients.chromium import find_chromium
from probes.reports.status_page import to_html
from probes.status_report import facts_of
from probes.store.database import open_database
from probes.store.record import NO_DATA, Record, Run
from probes.store.status import StatusReader
from probes.store.store import Store, open_store
from tests.postgres import PostgresServer
from tests.reports.sample import HOSTILE
from tests.store.sample import record
from tests.test_cli import Ended, smokeprobe

TARGET = "http://127.0.0.1:8089"
"""Of the shipped `local`."""

DAY_S = 86400.0


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "smokeprobe"


@pytest.fixture
def store(state: Path) -> Store:
    return open_store(state, "", TARGET)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=find_chromium(os.environ).path, args=["--no-sandbox"])
        yield launched
        launched.close()


def report(folder: Path) -> Ended:
    return smokeprobe("report", "--html", "status.html", cwd=folder)


def seen(outcome: str, ago_s: float, *, check: str = "api", region: str = "eu", **more: Any) -> Record:
    return replace(record(outcome, ago_s, check=check, region=region), **more)


def filled(store: Store) -> None:
    """A check that was slow, broken and blind, of a target that was deployed; and runs that used its limits."""
    ok: dict[str, Any] = {"judged_ms": 50.0, "limit_ms": 200.0, "step": "request"}
    records = [seen("passed", day * DAY_S + 60, version="1" if day > 2 else "2", **ok) for day in range(6)]
    records += [
        seen("degraded", 3 * DAY_S + 30, judged_ms=300.0, limit_ms=200.0),
        seen("failed", 2 * DAY_S + 40, reason="the first reason"),
        seen("failed", 2 * DAY_S + 30, reason="another one"),
        seen("throttled", DAY_S + 10, region="us"),
        seen(NO_DATA, DAY_S + 5, region="us", verified=True),
        seen("passed", 30, check="health", region="mars", verified=False),
    ]
    store.add(records)
    store.add_run(Run("r", time.time() - DAY_S, "local", "eu", verified=True, mode="run", duration_s=1,
                      outcome="passed", exit_code=0, budget_percent=7.5), [])  # fmt: skip


def read(state: Path, url: str = "") -> Any:
    database = open_database(state, url)
    try:
        return facts_of(StatusReader(database, TARGET), TARGET, "local", time.time())
    finally:
        database.close()


def check_what_is_read(facts: Any) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", to_html(facts), flags=re.DOTALL))
    assert "All is well" in text
    assert "77.78 % 9 judged, 1 slow, 2 failed" in text
    assert "no data 0 judged, 2 blind" in text
    assert "mars (unverified)" in text
    assert "api in eu: 2 d" not in text
    assert re.search(r"api in eu: \d+ s ", text) or re.search(r"api in eu: 1 d", text) or "api in eu: 24 h" in text
    assert "the first reason" in text
    assert "another one" not in text
    assert "1 → 2" in text
    assert "7.5 %" in text


def test_the_page_says_what_was_kept(store: Store, state: Path) -> None:
    filled(store)
    check_what_is_read(read(state))


@pytest.mark.slow
def test_the_same_from_a_server(postgres: PostgresServer) -> None:
    store = open_store(Path(), postgres.url, TARGET)
    filled(store)
    check_what_is_read(read(Path(), postgres.url))
    store.close()


def test_only_a_region_that_can_be_believed_has_incidents(store: Store, state: Path) -> None:
    store.add([seen("failed", 50, verified=False), seen("failed", 40, region="local", verified=False)])
    assert [each.region for each in read(state).failures] == ["local"]


@pytest.mark.parametrize("kind", ["filled", "empty"])
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1100, "light")])
def test_everybody_can_read_it_and_nothing_is_fetched(
    store: Store, tmp_path: Path, browser: Browser, kind: str, width: int, scheme: Any
) -> None:
    store.last("", (), 1) if kind == "empty" else filled(store)
    assert report(tmp_path).returncode == 0
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("request", lambda request: trouble.append(request.url) if request.url.startswith("http") else None)
    page.goto((tmp_path / "status.html").as_uri())
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    assert trouble == []
    lines, dots = page.locator("figure svg .line").filter(visible=True), page.locator("figure svg circle.dot")
    assert (lines.count() > 0, dots.count() > 0) == (kind != "empty", kind != "empty")  # a single day is a dot
    page.close()


def test_what_a_hostile_target_said_stays_text(store: Store, tmp_path: Path) -> None:
    odd: dict[str, Any] = {"version": HOSTILE, "reason": HOSTILE, "region": HOSTILE[:40], "check": HOSTILE}
    store.add([replace(seen("failed", 60), **odd), replace(seen("failed", 3660), **{**odd, "version": "1"})])
    assert report(tmp_path).returncode == 0
    text = (tmp_path / "status.html").read_text()
    assert not re.search(r"<script|<img|@import|url\(|\x1b", text)
    assert "&lt;img src=x" in text
    assert "default-src 'none'" in text


def test_without_a_history_there_is_no_page(tmp_path: Path) -> None:
    ended = report(tmp_path)
    assert ended.returncode == 2
    assert "There is no history in" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_is_said(store: Store, tmp_path: Path) -> None:
    store.add([record()])
    (tmp_path / "status.html").mkdir()
    ended = report(tmp_path)
    assert ended.returncode == 2
    assert "status.html" in ended.stderr


def test_checks_and_regions_are_counted_apart(state: Path, store: Store) -> None:
    """One check in two regions is no two checks."""
    store.add([seen("passed", 60, region="eu"), seen("passed", 60, region="us")])
    text = to_html(read(state))
    assert "The newest verdict of the one check in each of 2 regions has passed." in text

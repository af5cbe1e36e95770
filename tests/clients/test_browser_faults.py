"""A browser that crashes, hangs, is killed or missing: an error, in time; nothing is left; the next one works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from probes.clients.browser import GRACE_S, Browser, BrowserError
from probes.clients.chromium import Chromium, find_chromium, sandbox_available
from probes.clients.journey import Action, Expect, Fill, Goto, WaitForPath
from tests.clients.browser_help import (
    Answer,
    Recorder,
    browser_process,
    chromium_processes,
    command,
    is_alive,
    journey,
    of_browsers,
    recorder,
    renderers,
    rules,
    start,
)
from tests.waiting import until

ROOT = Path(__file__).parents[2]
HOME: tuple[Action, ...] = (Goto("open", "/"), Expect("heading", role="heading"))


@pytest.fixture
def target() -> Iterator[Recorder]:
    with recorder() as server:
        server.pages["/held"] = Answer("<h1>Held</h1><img src='/never.png'>")
        server.holds["/never.png"] = threading.Event()
        yield server
        server.holds["/never.png"].set()


def once_held(target: Recorder, action: str) -> tuple[threading.Thread, list[psutil.Process]]:
    """Do something to the browser as soon as the page is open and waits for its picture. Lists what ran by then."""
    seen: list[psutil.Process] = []

    def work() -> None:
        if not until(lambda: "/never.png" in target.paths(), 20):
            return
        family = of_browsers()
        seen.extend(family)
        if action == "sidecar":
            next(each for each in family if "probes.clients.sidecar" in command(each)).kill()
        elif action == "renderer":
            for each in renderers():
                each.kill()
        else:
            browser_process().send_signal(signal.SIGKILL if action == "kill" else signal.SIGSTOP)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, seen


def test_a_browser_that_is_killed_is_an_error_and_the_next_one_works(target: Recorder) -> None:
    with start(rules(target.origin)) as browser:
        killer, _ = once_held(target, "kill")
        with pytest.raises(BrowserError, match="ended by itself") as caught:
            browser.run(journey(target.origin, Goto("open", "/held")))
        killer.join()
        assert caught.value.kind == "crash"
        assert chromium_processes() == []
        assert browser.run(journey(target.origin, *HOME)).ok


def test_a_sidecar_that_is_killed_leaves_no_browser_behind(target: Recorder) -> None:
    with start(rules(target.origin)) as browser:
        killer, family = once_held(target, "sidecar")
        with pytest.raises(BrowserError, match="its process was killed"):
            browser.run(journey(target.origin, Goto("open", "/held")))
        killer.join()
        assert not any(map(is_alive, family))
        assert browser.run(journey(target.origin, *HOME)).ok


def test_a_browser_that_ends_while_it_is_idle_is_replaced(target: Recorder) -> None:
    with start(rules(target.origin)) as browser:
        assert browser.run(journey(target.origin, *HOME)).ok
        family = of_browsers()
        browser_process().kill()
        assert until(lambda: not any(map(is_alive, family)))
        assert browser.run(journey(target.origin, *HOME)).ok


def test_a_page_that_crashes_is_told_and_the_next_journey_works(target: Recorder) -> None:
    with start(rules(target.origin)) as browser:
        killer, _ = once_held(target, "renderer")
        result = browser.run(journey(target.origin, Goto("open", "/held")))
        killer.join()
        assert result.crashed
        assert not result.ok
        assert browser.run(journey(target.origin, *HOME)).ok


def test_a_browser_that_hangs_is_killed_in_time_and_the_next_one_works(target: Recorder) -> None:
    with start(rules(target.origin)) as browser:
        assert browser.run(journey(target.origin, *HOME)).ok
        killer, _ = once_held(target, "stop")
        started = time.monotonic()
        with pytest.raises(BrowserError, match="hangs") as caught:
            browser.run(journey(target.origin, Goto("open", "/held"), timeout_s=3.0))
        assert time.monotonic() - started < 3.0 + GRACE_S + 5.0
        killer.join()
        assert caught.value.kind == "hang"
        assert chromium_processes() == []
        assert browser.run(journey(target.origin, *HOME)).ok


@pytest.mark.parametrize("executable", ["/no/such/chromium", "/bin/false"])
def test_a_browser_that_does_not_start_is_said_so(target: Recorder, executable: str) -> None:
    with Browser(Chromium(Path(executable), "environment"), rules(target.origin)) as browser:
        with pytest.raises(BrowserError, match="does not start") as caught:
            browser.run(journey(target.origin, *HOME))
        assert caught.value.kind == "start"
        assert len(str(caught.value).splitlines()) == 1
        assert len(str(caught.value)) < 500
    assert target.arrivals == []


def test_an_interrupted_journey_leaves_nothing(target: Recorder) -> None:
    class Interruption(BaseException):
        """As a signal would raise."""

    def interrupt(_tokens: Mapping[str, str]) -> None:
        raise Interruption

    target.pages["/"] = Answer("<script>fetch('/api/v1/auth/login', { method: 'POST' })</script>")
    target.pages["/api/v1/auth/login"] = Answer('{"access_token": "a", "refresh_token": "b"}', "application/json")
    browser = start(rules(target.origin))
    with pytest.raises(Interruption):
        browser.run(journey(target.origin, Goto("open", "/"), WaitForPath("dashboard", "/dashboard")), interrupt)
    assert chromium_processes() == []


def test_closing_is_quick_complete_and_may_be_repeated(target: Recorder) -> None:
    browser = start(rules(target.origin))
    assert browser.run(journey(target.origin, *HOME)).ok
    assert len(chromium_processes()) > 1
    started = time.monotonic()
    browser.close()
    assert time.monotonic() - started < 1.0
    assert chromium_processes() == []
    browser.close()
    browser.stop("nothing to stop")


def test_closing_while_it_still_starts(target: Recorder) -> None:
    for pause_s in (0.0, 0.3, 0.6):
        browser = start(rules(target.origin))
        time.sleep(pause_s)  # no condition to wait for: any moment of its start must do
        browser.close()
        assert of_browsers() == []


def test_secrets_are_in_no_environment_and_no_argument(target: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOKE_TEST_PASSWORD", "pl4nted-in-environment")
    target.pages["/"] = Answer("<input data-testid='password'>")
    with start(rules(target.origin)) as browser:
        typed = Fill("type", "password", "pl4nted-in-journey", secret=True)
        assert browser.run(journey(target.origin, Goto("open", "/"), typed)).ok
        family = of_browsers()
        assert len(family) > 3
        for process in family:
            assert "pl4nted" not in " ".join([*command(process), *environment(process)])
        assert any(environment(process) for process in family)
        # and the sandbox is on wherever it can be
        switched_off = any("--no-sandbox" in command(process) for process in family)
    assert switched_off is not sandbox_available(find_chromium(os.environ).path)[0]


def environment(process: psutil.Process) -> list[str]:
    try:
        return [f"{name}={value}" for name, value in process.environ().items()]
    except psutil.NoSuchProcess:
        return []  # Chromium ends some of its helpers when it no longer needs them


PARENT = """
import os, sys
from tests.clients.browser_help import journey, rules, start
from probes.clients.journey import Goto
browser = start(rules(sys.argv[1]))
browser.run(journey(sys.argv[1], Goto("open", "/")))
print("open", flush=True)
browser.run(journey(sys.argv[1], Goto("open", "/held")))
"""


@pytest.fixture
def short_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_nothing_outlives_a_parent_that_is_killed(target: Recorder, short_path: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(short_path)}
    parent_command = [sys.executable, "-c", PARENT, target.origin]
    with subprocess.Popen(parent_command, env=variables, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"open\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        assert sum("chrom" in command(each)[0] for each in family) > 1
        parent.kill()
    assert until(lambda: not any(map(is_alive, family)), 2.0), family
    assert list(short_path.iterdir()) == []  # nor does its profile


def test_profiles_are_removed(target: Recorder, short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_path))
    with start(rules(target.origin)) as browser:
        assert browser.run(journey(target.origin, *HOME)).ok
        assert len(list(short_path.iterdir())) == 1
    assert list(short_path.iterdir()) == []


def test_a_long_name_of_the_temporary_folder_does_no_harm(
    target: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with start(rules(target.origin)) as browser:
        assert browser.run(journey(target.origin, *HOME)).ok

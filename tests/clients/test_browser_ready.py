"""A browser is ready when it is needed, takes no more than that needs, and ends by itself once it is dismissed."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.clients.browser import Browser
from probes.clients.chromium import find_chromium
from probes.clients.journey import Action, Expect, Goto
from tests.clients.browser_help import (
    Answer,
    Recorder,
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

HOME: tuple[Action, ...] = (Goto("open", "/"), Expect("heading", role="heading"))


@pytest.fixture
def target() -> Iterator[Recorder]:
    with recorder() as server:
        yield server


def test_a_visit_takes_one_renderer(target: Recorder) -> None:
    target.pages["/held"] = Answer("<h1>Held</h1><img src='/never.png'>")
    held = target.holds["/never.png"] = threading.Event()
    running: list[int] = []

    def look() -> None:
        if until(lambda: "/never.png" in target.paths(), 20):
            time.sleep(0.3)  # what Chromium starts beside a page, it has started by now
            running.append(len(renderers()))
        held.set()

    with start(rules(target.origin)) as browser:
        thread = threading.Thread(target=look)
        thread.start()
        assert browser.run(journey(target.origin, Goto("open", "/held"))).ok
        thread.join()
    assert running == [1]


def test_a_tab_is_prepared_and_the_next_journey_takes_it(target: Recorder) -> None:
    with start(rules(target.origin)) as browser:
        assert browser.run(journey(target.origin, *HOME)).ok
        assert until(lambda: not renderers())
        browser.prepare()
        assert until(renderers)
        browser.prepare()
        waiting = renderers()
        assert browser.run(journey(target.origin, *HOME)).ok
        assert until(lambda: not any(map(is_alive, waiting)))  # with its journey over, its profile is thrown away
        assert not renderers()


def test_a_browser_that_is_not_there_is_started_to_prepare_a_tab(target: Recorder) -> None:
    with Browser(find_chromium(os.environ), rules(target.origin), at_once=False) as browser:
        assert of_browsers() == []
        browser.prepare()
        assert until(renderers, 20)
        assert browser.run(journey(target.origin, *HOME)).ok


def test_a_browser_that_is_dismissed_ends_by_itself(target: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:  # a name short enough for Chromium
        monkeypatch.setattr(tempfile, "tempdir", folder)
        with start(rules(target.origin)) as browser:
            assert browser.run(journey(target.origin, *HOME)).ok
            family = of_browsers()
            browser.dismiss()
            assert until(lambda: not any(map(is_alive, family)))
            assert list(Path(folder).iterdir()) == []


def test_a_dismissed_browser_that_hangs_is_killed_all_the_same(target: Recorder) -> None:
    browser = start(rules(target.origin))
    assert browser.run(journey(target.origin, *HOME)).ok
    family = of_browsers()
    next(each for each in family if "probes.clients.sidecar" in command(each)).send_signal(signal.SIGSTOP)
    browser.dismiss()
    begun = time.monotonic()
    browser.close()
    assert time.monotonic() - begun < 1.5
    assert not any(map(is_alive, family))


def test_a_browser_that_was_dismissed_too_early_is_started_anew(target: Recorder) -> None:
    with start(rules(target.origin)) as browser:
        assert browser.run(journey(target.origin, *HOME)).ok
        family = of_browsers()
        browser.dismiss()
        assert until(lambda: not any(map(is_alive, family)))
        assert browser.run(journey(target.origin, *HOME)).ok


def test_what_node_compiles_is_kept_although_it_is_killed(
    target: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chromium = find_chromium(os.environ)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Browser(chromium, rules(target.origin)) as browser:
        assert browser.run(journey(target.origin, *HOME)).ok
        kept = tmp_path / "smokeprobe" / "node"
        assert until(lambda: any(each.is_file() for each in kept.rglob("*")), 10)

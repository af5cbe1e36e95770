"""The picture of a failure, judged by its pixels: what was typed stands there in red on white, where it is seen."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from probes.clients.browser import Browser
from probes.clients.journey import Expect, Fill, Goto
from tests.clients.browser_help import Answer, Recorder, journey, recorder, rules, start
from tests.clients.png import top_pixels

HEIGHT = 60
STYLE = f"""
body {{ margin: 0; background: #fff }}
.typed {{ display: block; width: 100%; height: {HEIGHT}px; font: 40px monospace; color: #f00; border: 0; outline: 0 }}
"""
FIELDS = {
    "input": "<input class=typed data-testid=field>",
    "textarea": "<textarea class=typed data-testid=field></textarea>",
    "rich text": "<div class=typed contenteditable data-testid=field></div>",
    "in a shadow": "<template shadowrootmode=open><link rel=stylesheet href=/style.css>"
    "<input class=typed data-testid=field></template>",
}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Recorder, Browser]]:
    with recorder() as target, start(rules(target.origin)) as browser:
        yield target, browser


def picture(servers: tuple[Recorder, Browser], path: Path, body: str) -> set[tuple[int, int, int]]:
    """The colours of a failure's picture, at its top."""
    target, browser = servers
    target.reset()
    target.pages["/style.css"] = Answer(STYLE, "text/css")
    target.pages["/"] = Answer(f"<!doctype html><link rel=stylesheet href=/style.css>{body}")
    actions = (Goto("open", "/"), Fill("type", "field", "s3cret-s3cret"), Expect("missing", test_id="nowhere"))
    asked = journey(target.origin, *(actions if "field" in body else (actions[0], actions[2])))
    assert browser.run(replace(asked, screenshot_path=str(path), element_timeout_s=0.2)).screenshot
    return top_pixels(path.read_bytes(), HEIGHT)


def is_red(colour: tuple[int, int, int]) -> bool:
    return colour[0] > 200 and max(colour[1:]) < 100


@pytest.mark.parametrize("field", FIELDS)
def test_nothing_that_was_typed_is_shown(servers: tuple[Recorder, Browser], tmp_path: Path, field: str) -> None:
    path = tmp_path / "shots/one.png"
    host = f"<div>{FIELDS[field]}</div>"
    assert not any(map(is_red, picture(servers, path, host)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_the_page_itself_says_is_shown(servers: tuple[Recorder, Browser], tmp_path: Path) -> None:
    assert any(map(is_red, picture(servers, tmp_path / "one.png", "<p class=typed>out of stock</p>")))

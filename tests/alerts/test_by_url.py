"""What Apprise speaks, by a URL that is shown nowhere: here its own JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.alerts.channels import make_channel
from probes.alerts.notice import Channel, NotTakenError
from probes.errors import ConfigError
from tests.alerts.notices import FIRING, RESOLVED, channels
from tests.monitoring.loopback import Loopback, LoopbackHandler, serving

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # which Apprise imports

TOKEN = "token-of-a-room-4711"


class Room(Loopback):
    def __init__(self) -> None:
        super().__init__(_Handler)
        self.mode: str | int = 200
        self.said: list[dict[str, Any]] = []
        self.paths: list[str] = []


class _Handler(LoopbackHandler):
    server: Room

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        self.server.paths.append(self.path)
        self.answer(200, b"", {})

    def post(self, body: bytes) -> None:
        self.server.paths.append(self.path)
        if self.server.mode == "drip":
            self.drip(200)
        elif self.server.mode == "moved":
            self.answer(302, b"", {"Location": f"{self.server.url}/elsewhere"})
        elif isinstance(self.server.mode, int):
            self.server.said.append(json.loads(body))
            self.answer(self.server.mode, b"", {})


@pytest.fixture
def room() -> Iterator[Room]:
    with serving(Room()) as server:
        yield server


def channel(folder: Path, url: str) -> Channel:
    return make_channel("apprise:room", channels(folder, apprise={"room": {"url": {"env": "ROOM"}}}), {"ROOM": url})


def way(folder: Path, room: Room) -> Channel:
    return channel(folder, f"json://127.0.0.1:{room.server_address[1]}/{TOKEN}")


def test_it_is_told(tmp_path: Path, room: Room) -> None:
    there = way(tmp_path, room)
    there.send(FIRING)
    there.send(RESOLVED)
    assert [(said["title"], said["type"]) for said in room.said] == [
        ("CRITICAL success 0.42: api, health - production", "failure"),
        ("OVER success after 2 h 5 min: api, health - production", "success"),
    ]
    assert "Actual: 0.42\n" in room.said[0]["message"]


@pytest.mark.parametrize("mode", [500, "moved"])
def test_it_is_not_told(tmp_path: Path, room: Room, mode: str | int, caplog: pytest.LogCaptureFixture) -> None:
    room.mode = mode
    with pytest.raises(NotTakenError, match="Apprise could not hand it over"):
        way(tmp_path, room).send(FIRING)
    assert TOKEN not in caplog.text
    assert "/elsewhere" not in room.paths


def test_one_that_never_ends_is_left(tmp_path: Path, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.alerts.by_url.TAKES_S", 0.6)
    room.mode = "drip"
    begun = time.monotonic()
    with pytest.raises(NotTakenError, match="it does not answer in time"):
        way(tmp_path, room).send(FIRING)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("url", [f"nothing://{TOKEN}", TOKEN, "tgram://"])
def test_what_is_no_url_of_apprise_is_not_repeated(tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError) as raised:
        channel(tmp_path, url)
    assert "what stands in the environment variable ROOM is no URL that Apprise knows" in str(raised.value)
    assert TOKEN not in str(raised.value) + caplog.text

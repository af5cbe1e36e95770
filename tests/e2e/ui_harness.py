"""`smokeprobe ui` as its operator has it: a process, its REST calls, and a real browser on its pages."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import psutil

from tests.e2e.harness import SMOKEPROBE, Runner
from tests.ports import free_port
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

PASSWORD = "a horse, a battery"
HTTP_ONLY: dict[str, Any] = {
    "run": {"attempts": 1, "timeout": "9s"},
    "checks": {
        **{name: {"timeout": "2s"} for name in ("health", "enhancement", "api")},
        **{name: {"enabled": False} for name in ("homepage", "login")},
    },
}
"""A configuration of three quick checks without a browser."""

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Answer:
    """What the UI answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def cookie(self) -> str:
        """The session's cookie, as one sends it back."""
        return self.headers.get("set-cookie", "").split(";")[0]


@dataclass
class Ui:
    """A running UI. `cookie` is sent with every call once `log_in` was called; `tls` is what trusts it over TLS."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    cookie: str = ""
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        """Ask it, by whatever Host and Origin are named; a redirect is an answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        own = {"Cookie": self.cookie} if self.cookie else {}
        if self.tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=15, context=self.tls)
        try:
            connection.request(method, path, body, {**own, **FORM, **named})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        sent = {name.lower(): ", ".join(answer.headers.get_all(name, [])) for name in answer.headers}
        return Answer(answer.status, sent, text)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, form: Mapping[str, object] | None = None, **headers: str) -> Answer:
        return self.call("POST", path, urlencode(form or {}), **headers)

    def log_in(self, password: str = PASSWORD, user: str = "smokeprobe") -> Answer:
        answer = self.post("/smoke/login", {"username": user, "password": password})
        self.cookie = answer.cookie if answer.headers.get("location") == "/smoke" else self.cookie
        return answer

    def token(self) -> str:
        """The token in the forms of our page; it belongs to the session that asked."""
        answer = self.get("/smoke")
        self.cookie = answer.cookie or self.cookie
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        assert found, answer.text
        return found[1]

    def start(self, users: int = 1000) -> None:
        """As Locust's own Start."""
        assert self.post("/swarm", {"user_count": users, "spawn_rate": 1000}).json["success"]

    def board(self) -> Any:
        return self.get("/smoke/board.json").json

    def runs(self, check: str) -> list[str]:
        """The outcomes of a check's runs so far."""
        return next([run["outcome"] for run in c["runs"]] for c in self.board()["cells"] if c["check"] == check)

    def count(self) -> list[int]:
        """How often each check was run."""
        return [len(cell["runs"]) for cell in self.board()["cells"]]

    def run_all(self) -> None:
        """Start, and wait for the end."""
        before = self.count()
        self.start()
        assert until(lambda: min(self.count()) > min(before) and self.is_idle()), self.log.read_text()

    def is_idle(self) -> bool:
        """Whether a Start would begin a run."""
        return re.search(r'"state": "(ready|stopped)"', self.get("/?locust").text) is not None

    def is_up(self) -> bool:
        try:
            return self.get("/login").status < 500
        except OSError:
            return False

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@contextmanager
def ui_of(
    runner: Runner, config: Path, *arguments: str, password: str = "", tls: ssl.SSLContext | None = None
) -> Iterator[Ui]:
    """A UI that ends with the test."""
    port, log = free_port(), runner.folder / "ui.log"
    line = [SMOKEPROBE, "ui", "--config", str(config), "--target-url", runner.target.url, "--port", str(port)]
    line += ["--state-dir", str(runner.folder / "ui-state"), *arguments]
    own = {"SMOKEPROBE_UI_PASSWORD": password} if password else {}
    with log.open("wb") as file:
        process = subprocess.Popen(
            line, env=runner.environment(**own), cwd=runner.folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    ui = Ui(process, port, log, tls=tls)
    try:
        assert until(lambda: ui.is_up() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield ui
    finally:
        if process.poll() is None:
            for each in psutil.Process(process.pid).children(recursive=True):
                each.kill()
            process.kill()
        process.wait()


@contextmanager
def chromium_page(*, quiet: bool = True, **context: Any) -> Iterator[Page]:
    """A page of a real browser; unless it is not `quiet`, it fails the test where the page logs an error."""
    from playwright.sync_api import sync_playwright

    from probes.clients.chromium import find_chromium

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(os.environ).path, args=["--no-sandbox"])
        errors: list[str] = []
        page = browser.new_context(**context).new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        browser.close()
    assert not quiet or errors == []

"""A fleet as its operator starts it: a master and workers in processes of their own, judged by the target's ledger."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from probes.safety.ledger import Ledger, open_ledger
from probes.safety.permits import Meter, Permit
from probes.standin.process import StandIn
from tests.e2e.harness import SMOKEPROBE, Runner, write_config
from tests.ports import free_port
from tests.waiting import until as until  # noqa: PLC0414 - for the fleet's tests

KEY = "0123456789abcdef0123456789abcdef"
QUICK: dict[str, Any] = {
    "run": {"attempts": 1},
    "checks": {
        "health": {"every": "2s", "timeout": "3s"},
        "api": {"every": "3s", "timeout": "3s"},
        "enhancement": {"every": "3s", "timeout": "3s"},
        "login": {"every": "6s", "timeout": "6s", "attempts": 1, "web": None},
        "homepage": {"enabled": False},
    },
    # short windows, so that what a test spends is given back within the test
    "limits": {"enhance": {"allows": "100 per 5s"}, "test": {"allows": "100 per 5s"}, "api": {"allows": "600 per 5s"}},
}
"""A configuration of short intervals. Its windows are shorter than the stand-in's, whose own limits are 60 s long."""


@dataclass
class Member:
    """A master or a worker."""

    process: subprocess.Popen[bytes]
    log: Path
    wrapped: bool = False  # whether the process is another command's, that waits for it

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        process = psutil.Process(self.process.pid)
        (process.children()[0] if self.wrapped else process).send_signal(number)

    def text(self) -> str:
        """All that it has said."""
        return self.log.read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 15.0) -> int:
        """End it; its exit code."""
        self.send(number)
        return self.process.wait(timeout_s)


@dataclass
class Fleet:
    """Starts members against one stand-in. Ports are free ones; each member has a state directory of its own."""

    target: StandIn
    folder: Path
    config: Path
    env: dict[str, str] = field(default_factory=lambda: {"SMOKEPROBE_FLEET_KEY": KEY})
    port: int = field(default_factory=free_port)
    status_port: int = field(default_factory=free_port)
    members: list[Member] = field(default_factory=list)
    browser: bool = False
    """Whether what needs a browser is left in."""

    def master(self, *arguments: str, env: Mapping[str, str] | None = None, new: bool = False) -> Member:
        """Start the master, or start it again: it keeps its state directory. A `new` one has no ledger yet."""
        if not new:
            write_ledger(self.folder / "master")
        return self._start("master", "master", *arguments, "--status-port", str(self.status_port), env=env)

    def worker(
        self, name: str, *arguments: str, env: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> Member:
        """Start a worker; `prefix` is a command that starts it and waits for it."""
        return self._start("worker", name, *arguments, env=env, prefix=prefix)

    def _start(
        self,
        command: str,
        name: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Member:
        line = [*prefix, SMOKEPROBE, command, "--config", str(self.config), "--target-url", self.target.url]
        line += ["--port", str(self.port), "--state-dir", str(self.folder / name), *arguments]
        line += [] if self.browser else ["--no-browser"]
        log = self.folder / f"{name}-{len(self.members)}.log"
        environment = Runner(self.target, self.folder, self.config).environment(**{**self.env, **(env or {})})
        with log.open("wb") as file:
            process = subprocess.Popen(
                line, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        member = Member(process, log, wrapped=bool(prefix))
        self.members.append(member)
        return member

    def get(self, path: str) -> tuple[int, str]:
        """What the master's status port answers; status 0 where it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def board(self) -> dict[str, Any]:
        """All that the master knows; empty where it does not answer."""
        _, text = self.get("/board")
        found: dict[str, Any] = json.loads(text or "{}")
        return found

    def cell(self, check: str, region: str = "local") -> dict[str, Any]:
        """What the master knows of a check."""
        for cell in self.board().get("cells", ()):
            if (cell["check"], cell["region"]) == (check, region):
                found: dict[str, Any] = cell
                return found
        return {"outcome": "unknown", "runs": [], "reason": ""}

    def workers(self) -> int:
        """How many workers the master has."""
        return len(self.board().get("workers", ()))

    def kill(self) -> None:
        """End all members that a test has not."""
        for member in self.members:
            if member.process.poll() is None:
                for each in psutil.Process(member.process.pid).children(recursive=True):
                    each.kill()
                member.process.kill()
                member.process.wait()

    def story(self) -> str:
        """What a failed assertion should show."""
        return "\n".join(f"--- {member.log.name}\n{member.text()}" for member in self.members)


def write_ledger(state: Path) -> None:
    """A ledger out of which something was granted before, so that a master need not wait for what it does not know."""
    fill_ledger(open_ledger(state))


def fill_ledger(ledger: Ledger) -> None:
    """As `write_ledger`, wherever it is."""
    if ledger.is_empty():
        permit = Permit("before", "health", "local", "http://127.0.0.1:1", "adhoc", (), {}, {}, "", 1.0, 0.0)
        ledger.reserve(permit, share_fraction=1.0)
        ledger.settle(permit, Meter(permit).usage())


@contextmanager
def fleet_of(target: StandIn, folder: Path, overrides: Mapping[str, Any] | None = None) -> Iterator[Fleet]:
    """A fleet whose members are ended with it."""
    fleet = Fleet(target, folder, write_config(folder / "fleet.yaml", QUICK, overrides or {}))
    try:
        yield fleet
    finally:
        fleet.kill()

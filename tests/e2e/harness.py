"""What the end-to-end tests share: a run as a user starts it, and judges that go by what the target itself saw."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from probes import __version__
from probes.standin.process import StandIn

ROOT = Path(__file__).parents[2]
SMOKEPROBE = str(Path(sys.executable).with_name("smokeprobe"))
LOCUST = str(Path(sys.executable).with_name("locust"))
CHECKS = ("health", "homepage", "enhancement", "login", "api")
LIMITS = {"enhance": (100, 60.0), "test": (100, 60.0), "api": (600, 60.0)}
"""What the design persona allows, as CONTRACT has it: requests and seconds."""

REPORT_SCHEMA = Draft202012Validator(json.loads((ROOT / "docs" / "run-report.schema.json").read_text()))
USER_AGENT = re.compile(rf"(Mozilla/.* )?smokeprobe/{re.escape(__version__)} \(\+https://\S+\)")

LONGEST_RUN_S = 31.0
SHORT: dict[str, Any] = {
    **{name: {"timeout": "2s"} for name in ("health", "enhancement", "login", "api")},
    "homepage": {"timeout": "4s"},
}
"""Time-outs of all checks that let a whole run be short."""

LOOSE: dict[str, Any] = {
    "run": {"backoff": {"first": "20ms", "longest": "100ms"}},
    "checks": {
        "health": {"endpoints": {name: {"within": "5s"} for name in ("edge", "gateway", "status")}},
        "api": {"request": {"within": "5s"}},
        "homepage": {"within": "10s"},
    },
}
"""Limits of time that a machine busy with other tests does not break, and short waits between tries."""

_END_S = 4.0
"""What ending the browser may take after the report, on a machine that is busy with other tests."""

_START_S = 10.0
"""What the interpreter may take beside the run itself, on a machine that is busy with other tests."""


@dataclass(frozen=True)
class Ran:
    """A run that has ended, seen from outside."""

    code: int
    stdout: str
    stderr: str
    wall_s: float
    json_file: Path
    outlived_s: float
    """How long the process was still there after its report."""

    @cached_property
    def report(self) -> dict[str, Any]:
        """The JSON report, which is there in every case, and is what its schema says."""
        report: dict[str, Any] = json.loads(self.json_file.read_text())
        REPORT_SCHEMA.validate(report)
        return report

    @cached_property
    def checks(self) -> dict[str, dict[str, Any]]:
        """The verdicts by their check's name."""
        return {check["name"]: check for check in self.report["checks"]}

    @property
    def besides_s(self) -> float:
        """What the process took besides its checks."""
        return self.wall_s - float(self.report["duration_s"])

    def sink(self, service: str) -> dict[str, int]:
        """What became of the samples for a monitoring service."""
        found: dict[str, int] = self.report["sinks"][service]
        return found

    def outcome(self, check: str) -> str:
        """A check's outcome."""
        return str(self.checks[check]["outcome"])

    def layer(self, check: str) -> str | None:
        """The layer that a check's reason names; None where there is no reason."""
        reason = self.checks[check]["reason"]
        return reason and str(reason["layer"])

    def reason(self, check: str) -> str:
        """A check's reason in words."""
        reason = self.checks[check]["reason"]
        return reason["text"] if reason else ""

    def step(self, check: str, name: str) -> dict[str, Any]:
        """The last step of this name."""
        found: dict[str, Any] = [step for step in self.checks[check]["steps"] if step["name"] == name][-1]
        return found

    def story(self) -> str:
        """What a failed assertion should show."""
        lines = [f"exit code {self.code} after {self.wall_s:.1f} s", self.stdout, self.stderr]
        if self.json_file.exists():
            lines += [f"{name}: {check['outcome']} {self.reason(name)}" for name, check in self.checks.items()]
        return "\n".join(lines)


@dataclass
class Runner:
    """Starts runs against one stand-in, each with its own folder unless a state directory is named."""

    target: StandIn
    folder: Path
    config: Path
    env: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def command(self, *arguments: str, state: Path | None = None, config: Path | None = None) -> tuple[list[str], Path]:
        """The command line of a run, and where its JSON report will be."""
        self.count += 1
        own = self.folder / f"run-{self.count}"
        own.mkdir()
        json_file = own / "report.json"
        line = [SMOKEPROBE, "run", "--config", str(config or self.config), "--target-url", self.target.url]
        line += ["--json-file", str(json_file), "--state-dir", str(state or own / "state"), *arguments]
        return line, json_file

    def environment(self, **more: str) -> dict[str, str]:
        """A clean environment with the password of the target's accounts."""
        others = ("SMOKE", "LOCUST", "GITHUB", "AWS_", "OTEL_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        return {**kept, "SMOKE_TEST_PASSWORD": self.target.password, **self.env, **more}

    def run(
        self,
        *arguments: str,
        state: Path | None = None,
        config: Path | None = None,
        env: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Ran:
        """Run to the end; `prefix` is a command that starts it."""
        with self.started(*arguments, state=state, config=config, env=env, prefix=prefix) as running:
            return running.end()

    @contextmanager
    def started(
        self,
        *arguments: str,
        state: Path | None = None,
        config: Path | None = None,
        env: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Iterator[Running]:
        """A run that goes on meanwhile."""
        line, json_file = self.command(*arguments, state=state, config=config)
        process = subprocess.Popen(
            [*prefix, *line],
            env=self.environment(**(env or {})),
            cwd=json_file.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running = Running(process, json_file)
        try:
            yield running
        finally:
            running.abandon()


class Running:
    """A run under way."""

    def __init__(self, process: subprocess.Popen[str], json_file: Path) -> None:
        self.process = process
        self.json_file = json_file
        self._begun = time.monotonic()

    def end(self, timeout_s: float = LONGEST_RUN_S + 20) -> Ran:
        """Wait for its end."""
        stdout, stderr = self.process.communicate(timeout=timeout_s)
        wall_s = time.monotonic() - self._begun
        outlived_s = time.time() - self.json_file.stat().st_mtime if self.json_file.exists() else 0.0
        return Ran(self.process.returncode, stdout, stderr, wall_s, self.json_file, outlived_s)

    def family(self) -> list[psutil.Process]:
        """The run's process and all that it has started."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def abandon(self) -> None:
        """End it where a test has not."""
        if self.process.poll() is None:
            for each in self.family():
                try:
                    each.kill()
                except psutil.NoSuchProcess:
                    continue
            self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def write_config(path: Path, *overrides: Mapping[str, Any]) -> Path:
    """A copy of the shipped `local` with `LOOSE` and more laid over it."""
    yaml = YAML(typ="safe", pure=True)
    settings = yaml.load(ROOT / "config" / "local.yaml")
    for each in (LOOSE, *overrides):
        _lay_over(settings, each)
    with path.open("w") as file:
        yaml.dump(settings, file)
    return path


def _lay_over(settings: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    for key, value in overrides.items():
        if isinstance(value, Mapping) and isinstance(settings.get(key), dict):
            _lay_over(settings[key], value)
        else:
            settings[key] = value


def busiest(entries: list[dict[str, Any]], window_s: float) -> int:
    """The most requests that any window of this length has held, wherever it begins."""
    times = sorted(entry["t"] for entry in entries)
    most = first = 0
    for last, moment in enumerate(times):
        while moment - times[first] >= window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def assert_under_ceiling(target: StandIn) -> None:
    """No window of any limit, as the target counts it, has held 10 % of what it allows."""
    ledger = target.ledger()
    for name, (allowed, window_s) in LIMITS.items():
        peak = busiest([entry for entry in ledger if name in entry["limits"]], window_s)
        assert peak * 10 < allowed, f"{peak} requests of limit {name} within {window_s} s"


def assert_peaks_are_told(ran: Ran, target: StandIn) -> None:
    """The report claims at least what the target has seen of each limit, in per cent too, and that is below 10."""
    ledger = target.ledger()
    assert {limit["name"] for limit in ran.report["rate_limits"]} == set(LIMITS)
    for limit in ran.report["rate_limits"]:
        _, window_s = LIMITS[limit["name"]]
        seen = busiest([entry for entry in ledger if limit["name"] in entry["limits"]], window_s)
        assert seen <= limit["peak"] <= limit["ceiling"], limit
        assert limit["peak_percent"] == pytest.approx(100 * limit["peak"] / limit["limit"], abs=0.1)
        assert limit["peak_percent"] < 10, limit


def assert_left_nothing(
    target: StandIn, *, stored: bool = False, rows: bool = False, open_session: bool = False
) -> None:
    """Nothing was written, and no session is open; the flags are for faults that do just that by themselves."""
    state = target.state()
    assert state["writes"] == 0, state
    assert state["analytics_beacons"] == 0, state
    assert state["websockets"] == 0, state
    assert stored or state["anonymous_rows_stored"] == 0, state
    assert rows or set(state["history_rows"].values()) == {0}, state
    assert open_session or set(state["open_sessions"].values()) == {0}, state
    assert max(state["wrong_passwords"].values()) <= 1, state


def assert_recognisable(target: StandIn) -> None:
    """Every request says who sent it, in which run and trace."""
    for entry in target.ledger():
        assert USER_AGENT.fullmatch(entry["user_agent"]), entry
        assert entry["run"], entry
        assert entry["run"] in entry["traceparent"], entry


def expected_code(outcomes: list[str]) -> int:
    """The exit code that these outcomes come to."""
    if {"failed", "degraded"} & set(outcomes):
        return 1
    return 3 if {"throttled", "error", "skipped"} & set(outcomes) else 0


def assert_in_time(ran: Ran, bound_s: float = LONGEST_RUN_S) -> None:
    """The run ended within its bound, by its own account, and by the clock with what starting Python takes."""
    assert ran.report["duration_s"] <= bound_s, ran.story()
    assert ran.outlived_s <= _END_S, ran.story()
    assert ran.wall_s <= bound_s + _START_S, ran.story()

"""The stand-in as a child process, for tests, benchmarks and demonstrations. Standard library only."""

import json
import os
import select
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from probes.standin.accounts import DEFAULT_PASSWORD
from probes.standin.limiter import Persona

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
CONTROL_TIMEOUT_S = 10.0
_PASSWORD_VARIABLE = "SMOKE_TEST_PASSWORD"  # noqa: S105 - a variable's name
_ROOT = Path(__file__).parents[2]


class StandInProcessError(Exception):
    """The child did not start, or a control call was refused."""


class StandIn:
    """A running stand-in on a free port, for a with-block: StandIn("design", ["slow-health"]).

    env adds variables to the child's environment. The child ends with the with-block, or at stop().
    """

    def __init__(
        self,
        persona: Persona = "design",
        faults: Sequence[str] = (),
        *,
        port: int = 0,
        tls: tuple[Path, Path] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [sys.executable, "-m", "probes.standin", "--persona", persona, "--port", str(port)]
        if faults:
            self._command += ["--fault", *faults]
        if tls:
            self._command += ["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])]
        self._environment = {**os.environ, **(env or {})}
        found = (str(_ROOT), os.environ.get("PYTHONPATH", ""))
        self._environment["PYTHONPATH"] = os.pathsep.join(filter(None, found))
        self._child: subprocess.Popen[bytes] | None = None
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *_trusting(tls))
        self.password = self._environment.get(_PASSWORD_VARIABLE) or DEFAULT_PASSWORD
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the child and wait until it listens. Raises StandInProcessError with the child's own words."""
        with tempfile.TemporaryFile() as complaints:
            self._child = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.PIPE, stderr=complaints
            )
            line = self._first_line(self._child)
            if " listening on " not in line:
                self.stop()
                complaints.seek(0)
                words = complaints.read().decode(errors="replace").strip()
                raise StandInProcessError(f"the stand-in did not start: {words or line or 'it said nothing'}")
        self.url = line.rpartition(" ")[2].strip()

    def stop(self) -> None:
        """End the child; nothing happens when it has ended."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout:
            child.stdout.close()

    @property
    def pid(self) -> int | None:
        """The child's process id; None when there is no child."""
        return self._child.pid if self._child else None

    def ledger(self) -> list[dict[str, Any]]:
        """Every request that the target has received since its start or last reset, in order."""
        entries: list[dict[str, Any]] = self._control("ledger")
        return entries

    def state(self) -> dict[str, Any]:
        """What has happened to the target: sessions, logins, rows, writes."""
        state: dict[str, Any] = self._control("state")
        return state

    def set_faults(self, *names: str) -> None:
        """Replace the active faults. Raises StandInProcessError for an unknown one."""
        self._control("faults", {"faults": list(names)})

    def lock(self, account: str, seconds: float) -> None:
        """Lock an account by its alias, as five wrong passwords do."""
        self._control("lock", {"account": account, "seconds": seconds})

    def reset(self) -> None:
        """Forget ledger, sessions, limits' counts, history, locks and faults."""
        self._control("reset", {})

    def _control(self, call: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        try:
            with self._opener.open(f"{self.url}/_standin/{call}", data, CONTROL_TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace").strip()
            raise StandInProcessError(f"the stand-in refused {call}: {said}") from error

    @staticmethod
    def _first_line(child: subprocess.Popen[bytes]) -> str:
        """The child's first line; what there is of it when the child ends or takes too long."""
        if child.stdout is None:
            return ""
        read = b""
        ends = time.monotonic() + START_TIMEOUT_S
        while not read.endswith(b"\n") and (left := ends - time.monotonic()) > 0:
            if select.select([child.stdout], [], [], left)[0]:
                part = os.read(child.stdout.fileno(), 4096)
                if not part:
                    break
                read += part
        return read.decode(errors="replace")


def _trusting(tls: tuple[Path, Path] | None) -> list[urllib.request.HTTPSHandler]:
    """Control calls go to a child of our own on loopback, whatever its certificate is meant to be."""
    if tls is None:
        return []
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return [urllib.request.HTTPSHandler(context=context)]

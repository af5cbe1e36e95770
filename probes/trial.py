"""`smokeprobe standin`: a target to try things on, alone or under a command."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from contextlib import ExitStack
from types import FrameType

from probes.errors import ConfigError
from probes.standin.limiter import Persona

PASSWORD = "SMOKE_TEST_PASSWORD"  # noqa: S105 - a variable's name
CONFIGURED = "http://127.0.0.1:8089"
"""The target of the configurations that are meant for the stand-in."""

ANOTHER_PORT = "`--port 0` takes any free one."


def stand_in(port: int, persona: Persona, faults: tuple[str, ...], command: tuple[str, ...]) -> int:
    """Serve until interrupted, or run `command` against the stand-in; the exit code. Raises ConfigError."""
    from probes.standin.faults import FAULTS

    if "list" in faults:
        for name, fault in FAULTS.items():
            print(f"{name:28} {fault.description}")  # noqa: T201 - a list on standard output is what was asked for
        return 0
    if unknown := [name for name in faults if name not in FAULTS]:
        raise ConfigError(f"--fault {', '.join(unknown)}: not known.", hint="`--fault list` lists them.")
    if command:
        return _run_against(port, persona, faults, command)
    from probes.standin.server import StandInError, serve

    try:
        serve("127.0.0.1", port, persona, faults, listening=lambda url: _say_how(url, persona))
    except StandInError as problem:
        raise ConfigError(f"{problem}.", hint=ANOTHER_PORT) from None
    return 0


def _say_how(url: str, persona: Persona) -> None:
    """Which command probes it, where its password is the one that everybody knows."""
    from probes.standin.accounts import DEFAULT_PASSWORD

    if PASSWORD in os.environ:
        return
    command = "smokeprobe run" + (" --env gateway" if persona == "gateway" else "")
    if url != CONFIGURED:
        command += f" --target-url {url}"
    print(f"To run against it, in another shell: {PASSWORD}={DEFAULT_PASSWORD} {command}")  # noqa: T201 - for people


def _run_against(port: int, persona: Persona, faults: tuple[str, ...], command: tuple[str, ...]) -> int:
    from probes.standin.process import StandIn, StandInProcessError

    os.environ.setdefault(PASSWORD, secrets.token_urlsafe(12))
    with ExitStack() as stack:
        try:
            target = stack.enter_context(StandIn(port=port, persona=persona, faults=faults))
        except StandInProcessError as problem:
            raise ConfigError(f"{problem}.", hint=ANOTHER_PORT) from None
        environment = {**os.environ, "SMOKEPROBE_TARGET_URL": target.url}
        try:
            child = subprocess.Popen(command, env=environment)
        except OSError as problem:
            raise ConfigError(f"{command[0]}: cannot be run: {problem.strerror}.") from None

        def pass_on(number: int, _: FrameType | None) -> None:
            child.send_signal(number)

        signal.signal(signal.SIGTERM, pass_on)
        signal.signal(signal.SIGINT, pass_on)
        return child.wait()

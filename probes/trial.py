"""`smokeprobe standin`: a target to try things on, alone or under a command."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from types import FrameType

from probes.errors import ConfigError
from probes.standin.limiter import Persona

PASSWORD = "SMOKE_TEST_PASSWORD"  # noqa: S105 - a variable's name


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
    from probes.standin.accounts import DEFAULT_PASSWORD
    from probes.standin.server import StandInError, serve

    if PASSWORD not in os.environ:
        print(f"To run against it, in another shell: {PASSWORD}={DEFAULT_PASSWORD} smokeprobe run")  # noqa: T201 - for people
    try:
        serve("127.0.0.1", port, persona, faults)
    except StandInError as problem:
        raise ConfigError(f"{problem}.") from None
    return 0


def _run_against(port: int, persona: Persona, faults: tuple[str, ...], command: tuple[str, ...]) -> int:
    from probes.standin.process import StandIn

    os.environ.setdefault(PASSWORD, secrets.token_urlsafe(12))
    with StandIn(port=port, persona=persona, faults=faults) as target:
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

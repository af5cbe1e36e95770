"""The process of the browser's sidecar: the first thing that a run starts, so this imports little."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import probes

MARK = "SMOKEPROBE_BROWSER"
"""An environment variable with a name for each browser started: inherited, so it tells also an orphan's origin."""

LONGEST_PARENT = 40
"""Chromium puts a socket into a folder in ours, and ends where its whole path has more than 107 bytes (unix(7))."""

# What Chromium needs of our environment. Nothing else goes there: passwords and keys may stand in it.
_PASSED_ON = frozenset(
    {"DBUS_SESSION_BUS_ADDRESS", "FONTCONFIG_FILE", "FONTCONFIG_PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH"}
    | {"PATH", "PLAYWRIGHT_NODEJS_PATH", "TZ", "VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"}
)


@dataclass(slots=True)
class Child:
    """A running sidecar. `channel` is None until it is first used, see `clients.browser`."""

    process: subprocess.Popen[bytes]
    descriptor: int
    stderr: IO[bytes]
    mark: str
    folder: Path
    channel: socket.socket | None = None
    ready: bool = False
    dismissed: bool = False
    received: bytes = b""


EARLY: ContextVar[Child | None] = ContextVar("EARLY", default=None)
"""From the console script to whoever makes the browser: between the two lies all that takes time to import."""


def spawn() -> Child:
    """Start the process: it makes itself ready until it is told which browser to start. Raises OSError."""
    mark = uuid.uuid4().hex
    folder = _folder()
    ours, theirs = socket.socketpair()
    stderr = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - read when something goes wrong
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "probes.clients.sidecar"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=stderr,
            env=_environment(mark, folder),
            cwd=folder,
            start_new_session=True,  # a Ctrl-C at the terminal is for us, who then end it in order
        )
    return Child(process, ours.detach(), stderr, mark, folder)


def _folder() -> Path:
    """A folder for profile and temporary files, in the ordinary place unless its name is too long for Chromium."""
    parent = tempfile.gettempdir()
    if len(parent) > LONGEST_PARENT:
        parent = "/tmp"  # noqa: S108 - what is made in it is ours alone
    return Path(tempfile.mkdtemp(prefix="smokeprobe-", dir=parent))


def _environment(mark: str, folder: Path) -> dict[str, str]:
    passed_on = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
    # -P keeps the working directory out of the path, and the package may not be installed.
    path = os.pathsep.join(filter(None, (str(Path(probes.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    caches = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", folder), ".cache")
    node = {  # a quarter less of what Playwright's driver takes to start
        "NODE_COMPILE_CACHE": str(Path(caches, "smokeprobe", "node")),
        "NODE_OPTIONS": f"--require {json.dumps(str(Path(__file__).with_name('keep_compiled.js')))}",
    }
    return {**passed_on, **node, "PYTHONPATH": path, "TMPDIR": str(folder), MARK: mark}

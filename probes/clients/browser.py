"""The browser, from the parent's side: starts the sidecar, hands it journeys, and ends it whatever it is at."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

import psutil

import probes
from probes.clients.chromium import Chromium
from probes.clients.hello import Hello
from probes.clients.journey import Journey
from probes.clients.page_result import PageResult
from probes.clients.process_tree import MARK, kill_tree
from probes.errors import SmokeprobeError
from probes.safety.guard import GuardRules
from probes.safety.permits import boot_clock

GRACE_S = 0.3
"""What an answer may take beyond the journey's own time-out, before the browser counts as hung."""

LONGEST_LAST_WORDS = 4096
LONGEST_PARENT = 40
"""Chromium puts a socket into a folder in ours, and ends where its whole path has more than 107 bytes (unix(7))."""

# What Chromium needs of our environment. Nothing else goes there: passwords and keys may stand in it.
_PASSED_ON = frozenset(
    {"DBUS_SESSION_BUS_ADDRESS", "FONTCONFIG_FILE", "FONTCONFIG_PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH"}
    | {"PATH", "PLAYWRIGHT_NODEJS_PATH", "TZ", "VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"}
)

OnSession = Callable[[Mapping[str, str]], None]


class BrowserError(SmokeprobeError):
    """The browser could not do its work: it did not start, ended by itself, or hung. Nothing is known of the target."""

    def __init__(self, message: str, kind: Literal["start", "crash", "hang"], hint: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind


@dataclass(slots=True)
class _Child:
    """A running sidecar. `channel` is None until it is first used, see `_socket`."""

    process: subprocess.Popen[bytes]
    root: psutil.Process
    descriptor: int
    stderr: IO[bytes]
    mark: str
    folder: Path
    channel: socket.socket | None = None
    ready: bool = False
    received: bytes = b""


class Browser:
    """One Chromium behind a guard. Made before gevent patches the standard library or after, it works on both sides.

    It begins to start at once and in parallel; journeys go one after the other, and whoever waits for one waits
    cooperatively under gevent. After an error the next journey starts a new browser. `user_agent_suffix` makes our
    traffic recognisable. `extra_flags` go to Chromium as they are: for tests, no configuration leads there.
    """

    def __init__(
        self,
        chromium: Chromium,
        guard: GuardRules,
        *,
        user_agent_suffix: str = "",
        extra_flags: tuple[str, ...] = (),
    ) -> None:
        self._hello = Hello(str(chromium.path), guard, user_agent_suffix, extra_flags)
        self._number = 0
        self._under_way = False
        self._child: _Child | None = self._start()

    def run(self, journey: Journey, on_session: OnSession = lambda _tokens: None) -> PageResult:
        """Do a journey. `on_session` is called with the tokens of a log-in as soon as the target has answered it.

        Returns or raises within the journey's time-out and `GRACE_S`. Raises BrowserError; then the permit must be
        written off, as it is not known what was sent.
        """
        asked_at = boot_clock()
        child = self._child = self._living_child()
        self._number += 1
        self._under_way = True
        request = {"id": self._number, "cmd": "run", "at": asked_at, "journey": journey.to_json()}
        try:
            return self._converse(child, request, journey.timeout_s + GRACE_S, on_session)
        except BaseException:  # whatever it is, and be it a signal: the sidecar is in the middle of something
            self.close()
            raise
        finally:
            self._under_way = False

    def stop(self, reason: str) -> None:
        """Probing is paused: let no further request of the journey under way leave, other than a log-out."""
        if self._child is not None and self._under_way:
            with contextlib.suppress(OSError):  # gone: then nothing leaves, and whoever waits for it hears why
                _send(self._child, {"id": self._number, "cmd": "stop", "reason": reason})

    def close(self) -> None:
        """End the browser with everything that belongs to it, within a second. `run` would start a new one."""
        child, self._child = self._child, None
        if child is None:
            return
        kill_tree(child.root, child.mark)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(timeout=0.2)
        if child.channel is None:
            os.close(child.descriptor)
        else:
            child.channel.close()
        child.stderr.close()
        shutil.rmtree(child.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _living_child(self) -> _Child:
        """The child; a new one in place of one that has ended while nothing was asked of it."""
        child = self._child
        if child is None:
            return self._start()
        if child.ready and _has_ended(child):
            self.close()
            return self._start()
        return child

    def _start(self) -> _Child:
        mark = uuid.uuid4().hex
        try:
            folder = _folder()
        except OSError as error:
            raise _no_folder(error) from None
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
        child = _Child(process, psutil.Process(process.pid), ours.detach(), stderr, mark, folder)
        # A few hundred bytes into an empty socket: this neither blocks nor needs gevent.
        os.write(child.descriptor, _line({"hello": self._hello.to_json()}))
        return child

    def _converse(
        self, child: _Child, request: Mapping[str, Any], timeout_s: float, on_session: OnSession
    ) -> PageResult:
        deadline = time.monotonic() + timeout_s
        try:
            _send(child, request)
            while True:
                message = _receive(child, deadline)
                if message.get("id") == request["id"]:
                    return PageResult.from_json(message["result"])
                match message["event"]:
                    case "ready":
                        child.ready = True
                    case "session":
                        on_session(message["tokens"])
                    case "gone":
                        raise _ended(child, message["reason"])
        except TimeoutError:
            if not child.ready:
                raise _ended(child, f"it was not ready within {timeout_s:.1f} s.") from None
            raise BrowserError(f"The browser hangs: no answer within {timeout_s:.1f} s.", "hang") from None
        except OSError:
            raise _ended(child, _last_words(child)) from None


def _folder() -> Path:
    """A folder for profile and temporary files, in the ordinary place unless its name is too long for Chromium."""
    parent = tempfile.gettempdir()
    if len(parent) > LONGEST_PARENT:
        parent = "/tmp"  # noqa: S108 - what is made in it is ours alone
    return Path(tempfile.mkdtemp(prefix="smokeprobe-", dir=parent))


def _no_folder(error: OSError) -> BrowserError:
    rule = f"no folder for its temporary files ({error.strerror})."
    return BrowserError(f"The browser does not start: {rule}", "start", "Name one in TMPDIR that can be written.")


def _environment(mark: str, folder: Path) -> dict[str, str]:
    passed_on = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
    # -P keeps the working directory out of the path, and the package may not be installed.
    path = os.pathsep.join(filter(None, (str(Path(probes.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    return {**passed_on, "PYTHONPATH": path, "TMPDIR": str(folder), MARK: mark}


def _socket(child: _Child) -> socket.socket:
    """The channel, made at first use: gevent may have patched sockets since the child was started."""
    if child.channel is None:
        child.channel = socket.socket(fileno=child.descriptor)
    return child.channel


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _send(child: _Child, message: Mapping[str, Any]) -> None:
    _socket(child).sendall(_line(message))


def _receive(child: _Child, deadline: float) -> dict[str, Any]:
    """The next message. Raises TimeoutError, and OSError where the sidecar has ended."""
    channel = _socket(child)
    while b"\n" not in child.received:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        channel.settimeout(left_s)
        if not (chunk := channel.recv(1 << 16)):
            raise ConnectionResetError
        child.received += chunk
    line, _, child.received = child.received.partition(b"\n")
    message: dict[str, Any] = json.loads(line)
    return message


def _has_ended(child: _Child) -> bool:
    channel = _socket(child)
    channel.settimeout(0.0)
    try:
        return channel.recv(1, socket.MSG_PEEK) in {b"", b"{"}  # all that it says unasked is that the browser is gone
    except BlockingIOError:
        return False
    except OSError:
        return True


def _ended(child: _Child, reason: str) -> BrowserError:
    if child.ready:
        return BrowserError(f"The browser ended by itself: {reason}", "crash")
    return BrowserError(f"The browser does not start: {reason}", "start", "See: smokeprobe doctor")


def _last_words(child: _Child) -> str:
    child.stderr.seek(0, os.SEEK_END)
    child.stderr.seek(max(0, child.stderr.tell() - LONGEST_LAST_WORDS))
    lines = child.stderr.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "its process was killed"

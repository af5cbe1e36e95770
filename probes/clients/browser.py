"""The browser, from the parent's side: starts the sidecar, hands it journeys, and ends it whatever it is at."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from probes.clients.child import Child, spawn
from probes.clients.chromium import Chromium
from probes.clients.hello import Hello
from probes.clients.journey import Journey
from probes.clients.page_result import PageResult
from probes.clients.process_tree import kill_tree
from probes.errors import SmokeprobeError
from probes.safety.guard import GuardRules
from probes.safety.permits import boot_clock

GRACE_S = 0.3
"""What an answer may take beyond the journey's own time-out, before the browser counts as hung."""

LAST_STEPS_S = 0.3
"""What a browser that was dismissed may take to end, before it is killed."""

LONGEST_LAST_WORDS = 4096
OnSession = Callable[[Mapping[str, str]], None]


class BrowserError(SmokeprobeError):
    """The browser could not do its work: it did not start, ended by itself, or hung. Nothing is known of the target."""

    def __init__(self, message: str, kind: Literal["start", "crash", "hang"], hint: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind


class Browser:
    """One Chromium behind a guard. Made before gevent patches the standard library or after, it works on both sides.

    It begins to start at once and in parallel, or (not `at_once`) with the first journey. Journeys go one after the
    other, and whoever waits for one waits cooperatively under gevent. After an error the next one starts a new browser.
    `user_agent_suffix` makes our traffic recognisable. `extra_flags` go to Chromium as they are: for tests, no
    configuration leads there. `child` is a sidecar's process that was started earlier.
    """

    def __init__(
        self,
        chromium: Chromium,
        guard: GuardRules,
        *,
        user_agent_suffix: str = "",
        extra_flags: tuple[str, ...] = (),
        child: Child | None = None,
        at_once: bool = True,
    ) -> None:
        self._hello = Hello(str(chromium.path), guard, user_agent_suffix, extra_flags)
        self._number = 0
        self._under_way = False
        self._last_used = boot_clock()
        self._child: Child | None = self._start(child) if at_once else None

    def prepare(self) -> None:
        """A journey is about to come: have a tab ready for it, and the browser started."""
        self._last_used = boot_clock()
        with contextlib.suppress(OSError, BrowserError):  # whoever runs the journey hears why
            self._child = self._living_child()
            _send(self._child, {"cmd": "prepare"})

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
            self._last_used = boot_clock()

    def stop(self, reason: str) -> None:
        """Probing is paused: let no further request of the journey under way leave, other than a log-out."""
        if self._child is not None and self._under_way:
            with contextlib.suppress(OSError):  # gone: then nothing leaves, and whoever waits for it hears why
                _send(self._child, {"id": self._number, "cmd": "stop", "reason": reason})

    @property
    def idle_s(self) -> float:
        """Seconds since the last journey, while none is under way and the browser is there; else zero."""
        return 0.0 if self._under_way or self._child is None else boot_clock() - self._last_used

    def dismiss(self) -> None:
        """No journey comes any more: the browser ends by itself while we go on, and `close` sees to it that it has."""
        if self._child is not None and not self._under_way:
            self._child.dismissed = True
            with contextlib.suppress(OSError):  # gone already
                _socket(self._child).shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the browser with everything that belongs to it, within a second. `run` would start a new one."""
        child, self._child = self._child, None
        if child is not None:
            discard(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _living_child(self) -> Child:
        """The child; a new one in place of one that has ended while nothing was asked of it."""
        child = self._child
        if child is None:
            return self._start()
        if child.ready and _has_ended(child):
            self.close()
            return self._start()
        return child

    def _start(self, child: Child | None = None) -> Child:
        """Tell a sidecar's process what to start: one that is running already, or a new one."""
        if child is None:
            try:
                child = spawn()
            except OSError as error:
                raise _no_folder(error) from None
        # A few hundred bytes into an empty socket: this neither blocks nor needs gevent.
        with contextlib.suppress(OSError):  # ended already: whoever waits for its answer hears why
            os.write(child.descriptor, _line({"hello": self._hello.to_json()}))
        return child

    def _converse(
        self, child: Child, request: Mapping[str, Any], timeout_s: float, on_session: OnSession
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


def _no_folder(error: OSError) -> BrowserError:
    rule = f"no folder for its temporary files ({error.strerror})."
    return BrowserError(f"The browser does not start: {rule}", "start", "Name one in TMPDIR that can be written.")


def discard(child: Child) -> None:
    """End a sidecar's process with everything that belongs to it, within a second."""
    if not (child.dismissed and _ends_by_itself(child)):
        kill_tree(child.process.pid, child.mark)  # nobody has waited for it yet, so the number is still its own
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.process.wait(timeout=0.2)
    if child.channel is None:
        os.close(child.descriptor)
    else:
        child.channel.close()
    child.stderr.close()
    shutil.rmtree(child.folder, ignore_errors=True)


def _ends_by_itself(child: Child) -> bool:
    """Whether the sidecar ends now, having ended all that it had started."""
    ends_at = time.monotonic() + LAST_STEPS_S
    with contextlib.suppress(OSError):  # nothing that it still says matters; TimeoutError is an OSError
        while True:
            _receive(child, ends_at)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return child.process.wait(timeout=0.01) == 0
    return False


def _socket(child: Child) -> socket.socket:
    """The channel, made at first use: gevent may have patched sockets since the child was started."""
    if child.channel is None:
        child.channel = socket.socket(fileno=child.descriptor)
    return child.channel


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _send(child: Child, message: Mapping[str, Any]) -> None:
    _socket(child).sendall(_line(message))


def _receive(child: Child, deadline: float) -> dict[str, Any]:
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


def _has_ended(child: Child) -> bool:
    channel = _socket(child)
    channel.settimeout(0.0)
    try:
        return channel.recv(1, socket.MSG_PEEK) in {b"", b"{"}  # all that it says unasked is that the browser is gone
    except BlockingIOError:
        return False
    except OSError:
        return True


def _ended(child: Child, reason: str) -> BrowserError:
    if child.ready:
        return BrowserError(f"The browser ended by itself: {reason}", "crash")
    return BrowserError(f"The browser does not start: {reason}", "start", "See: smokeprobe doctor")


def _last_words(child: Child) -> str:
    child.stderr.seek(0, os.SEEK_END)
    child.stderr.seek(max(0, child.stderr.tell() - LONGEST_LAST_WORDS))
    lines = child.stderr.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "its process was killed"

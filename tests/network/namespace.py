"""Network namespaces that a test or a measurement makes. Unnamed: each is gone with its last process and descriptor."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_OURS = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network of its own, with nothing in it yet. Raises OSError where the kernel does not allow it."""

    def __init__(self) -> None:
        ours = os.open(_OURS, os.O_RDONLY)
        try:
            _call("unshare", _CLONE_NEWNET)
            self._fd = os.open(_OURS, os.O_RDONLY)
            _call("setns", ours, _CLONE_NEWNET)
        finally:
            os.close(ours)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in it, with this thread: what it connects, listens on and starts meanwhile is there for good."""
        ours = os.open(_OURS, os.O_RDONLY)
        try:
            _call("setns", self._fd, _CLONE_NEWNET)
            yield
        finally:
            _call("setns", ours, _CLONE_NEWNET)
            os.close(ours)

    def close(self) -> None:
        """Let go of it: it is gone as soon as no process is in it."""
        os.close(self._fd)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def why_not() -> str:
    """Why there can be no namespaces with lines between them here; empty where there can."""
    if shutil.which("ip") is None:
        return "ip is missing: make test-tools (Debian: iproute2)"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    try:
        Namespace().close()
    except OSError as refused:
        return f"network namespaces are not allowed ({refused.strerror}): be root, or try unshare -Ur"
    return ""

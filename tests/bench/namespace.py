"""A network namespace for one measurement. It has no name, so it is gone with its last process, however that ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from tests.bench.measurement import CannotMeasureError

CANNOT = 4
"""Exit code of an inner half that could not measure; its last line on stderr says why."""


def inside(module: str, timeout_s: float, *arguments: str) -> Any:
    """Run `python -m MODULE ARGUMENTS` in a new network namespace; what it prints, read as JSON.

    Raises CannotMeasureError.
    """
    for tool, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(tool) is None:
            raise CannotMeasureError(f"{tool} is not installed: make bench-tools (Debian: {package})")
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", "--net", *own_user, sys.executable, "-m", module, *arguments]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        said, complaints = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise CannotMeasureError(f"it took longer than {timeout_s:.0f} s") from None
    finally:
        if child.poll() is None:
            child.terminate()  # it ends what it has started
            child.wait(20)
    if child.returncode:
        last = complaints.decode(errors="replace").strip().splitlines()
        raise CannotMeasureError(last[-1] if last else f"{module} ended with {child.returncode}")
    return json.loads(said)


def tell(measure: Callable[[], Any]) -> None:
    """The inner half: print what `measure` returns, as JSON, and end in order when told to end."""
    signal.signal(signal.SIGTERM, _end)
    try:
        sys.stdout.write(json.dumps(measure()))
    except CannotMeasureError as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(CANNOT)


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)

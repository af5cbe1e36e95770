"""One master of a region on a machine: two would run each of its ticks twice, within the ceiling and unseen."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from probes.errors import ConfigError
from probes.files import make_private


def be_the_only_one(state: Path, target: str, regions: Iterable[str]) -> None:
    """Hold each region of a target for as long as this process lives, in the state directory that masters share.

    One that cannot be written to holds nobody off: with a database for ledger and history, a master needs none. Raises
    ConfigError where another process holds one.
    """
    for region in regions:
        name = hashlib.sha256(f"{target} {region}".encode()).hexdigest()[:16]
        with contextlib.suppress(OSError):
            _hold(state / f"master-{name}.lock", region)


def _hold(path: Path, region: str) -> None:
    try:
        make_private(path)
        handle = os.open(path, os.O_RDWR)  # to be open to the very end
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"--region {region}: a master of it runs already with the state directory {path.parent}.",
            hint="Two would run each of its checks twice. End that one first.",
        ) from None

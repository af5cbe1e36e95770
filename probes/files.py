"""Files are written aside and renamed: a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import tempfile
import time
from pathlib import Path

from probes.errors import ConfigError, SmokeprobeError

PATIENCE_S = 2.0
"""How long a reader at the other end of a pipe may let us wait."""


def write_atomically(path: Path, data: bytes | str, mode: int = 0o644) -> None:
    """Replace the file at `path` by `data` (text as UTF-8) with exactly the permissions `mode`; folders are made.

    A symbolic link is followed, so that it goes on pointing where it did.

    Raises:
        SmokeprobeError: it cannot be written; what stood there before is as it was.
    """
    raw = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():  # a device or a pipe: not to be replaced
            _write_through(target, raw)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise _sorry(path, error) from error
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(raw)
            file.flush()
            os.fsync(handle)
        aside.replace(target)
    except OSError as error:
        raise _sorry(path, error) from error
    finally:
        aside.unlink(missing_ok=True)  # gone already where the renaming went well


def make_private(path: Path) -> None:
    """An empty file that only its owner reads, in a folder that is the same. One that exists is not even opened.

    Closing any descriptor of a file drops all POSIX locks that the process has on it, SQLite's own included. Raises
    OSError.
    """
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # another process was quicker
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _write_through(target: Path, raw: bytes) -> None:
    """Write to what may have a reader, or none, or one that has stopped reading: never wait for it for long."""
    gives_up_at = time.monotonic() + PATIENCE_S
    handle = os.open(target, os.O_WRONLY | os.O_NONBLOCK)
    try:
        left = memoryview(raw)
        while left:
            try:
                left = left[os.write(handle, left) :]
            except BlockingIOError:
                patience_s = gives_up_at - time.monotonic()
                if patience_s <= 0 or not select.select([], [handle], [], patience_s)[1]:
                    raise TimeoutError(errno.ETIMEDOUT, "its reader does not read") from None
    finally:
        os.close(handle)


def refuse_folder(path: str) -> None:
    """Say early that a report cannot be written: after the run is late. An empty path is not asked for.

    Raises:
        ConfigError: there is a folder of this name.
    """
    try:
        is_folder = bool(path) and Path(path).is_dir()
    except OSError as error:
        raise ConfigError(f"cannot write a report to {path[:60]}…: {error.strerror}.") from None
    if is_folder:
        raise ConfigError(f"cannot write a report to {path}: it is a folder.", hint="Name a file in it.")


def _sorry(path: Path, error: OSError) -> SmokeprobeError:
    if error.errno == errno.ENXIO:  # what open(2) says of a pipe in this case
        return SmokeprobeError(f"cannot write {path}: nobody reads from it.", "Start its reader before the run.")
    return SmokeprobeError(
        f"cannot write {path}: {error.strerror or error}.", "Name a file in a folder that can be written."
    )


def keep_newest(folder: Path, count: int) -> None:
    """Remove all but the newest `count` files of a folder; what cannot be removed stays, a missing folder is fine."""
    with contextlib.suppress(OSError):
        files = sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.stat().st_mtime)
        for path in files[: max(0, len(files) - count)]:
            path.unlink()

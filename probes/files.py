"""Files are written aside and renamed: a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from probes.errors import SmokeprobeError


def write_atomically(path: Path, data: bytes | str, mode: int = 0o644) -> None:
    """Replace the file at `path` by `data` (text as UTF-8) with exactly the permissions `mode`; folders are made.

    A symbolic link is followed, so that it goes on pointing where it did.

    Raises:
        SmokeprobeError: it cannot be written; what stood there before is as it was.
    """
    raw = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    target = Path(os.path.realpath(path))
    try:
        if (
            target.exists() and not target.is_file()
        ):  # a device or a pipe has no place beside it, and must not be replaced
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


def _write_through(target: Path, raw: bytes) -> None:
    with target.open("wb") as file:
        file.write(raw)


def _sorry(path: Path, error: OSError) -> SmokeprobeError:
    return SmokeprobeError(
        f"cannot write {path}: {error.strerror or error}.", "Name a file in a folder that can be written."
    )


def keep_newest(folder: Path, count: int) -> None:
    """Remove all but the newest `count` files of a folder; what cannot be removed stays, a missing folder is fine."""
    with contextlib.suppress(OSError):
        files = sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.stat().st_mtime)
        for path in files[: max(0, len(files) - count)]:
            path.unlink()

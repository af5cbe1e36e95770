"""Which Chromium to drive, and whether its sandbox can be on.

`python -m probes.clients.chromium` prints the path (with `--source`: where it was found), or one sentence and exits 1.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from probes.errors import SmokeprobeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENVIRONMENT_VARIABLE = "SMOKEPROBE_CHROMIUM"
SYSTEM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Where Playwright unpacks a Chromium, relative to its folder of browsers, with `*` for revision and processor.
# The full browser stands before the headless shell of the same revision: it is what visitors use.
_PLAYWRIGHT_PATTERNS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium_headless_shell-*/chrome-*linux*/chrome-headless-shell",
    "chromium_headless_shell-*/chrome-linux*/headless_shell",
)
# Debian's /usr/bin/chromium is a script; the browser and its helper live here.
_DEBIAN_FOLDER = Path("/usr/lib/chromium")
_CAP_SYS_ADMIN = 1 << 21  # capabilities(7)


@dataclass(frozen=True)
class Chromium:
    """A Chromium to start: its executable and where it was found."""

    path: Path
    source: Literal["environment", "playwright", "system"]


class ChromiumMissingError(SmokeprobeError):
    """No browser to drive; `hint` is the one command that mends it."""


def find_chromium(environ: Mapping[str, str]) -> Chromium:
    """Finds a Chromium: the environment's, else Playwright's own download, else the system's.

    Only looks, starts nothing (every run calls it), so whether the browser works shows when it is started.

    Raises:
        ChromiumMissingError: there is none, or the environment names one that cannot be executed.
    """
    named = environ.get(ENVIRONMENT_VARIABLE)
    if named:
        path = Path(named).absolute()
        if not _is_executable(path):
            raise ChromiumMissingError(
                f"{ENVIRONMENT_VARIABLE} names {named}, which is not an executable file.",
                f"Correct it, or: unset {ENVIRONMENT_VARIABLE}",
            )
        return Chromium(path, "environment")
    downloaded = _newest_download(_browsers_folder(environ))
    if downloaded is not None:
        return Chromium(downloaded, "playwright")
    for name in SYSTEM_NAMES:
        found = shutil.which(name, path=environ.get("PATH", os.defpath))
        if found is not None:
            return Chromium(Path(found).absolute(), "system")
    raise ChromiumMissingError("No Chromium was found.", f"Install one: {_install_command()}")


def sandbox_available(chromium: Path | None = None, *, proc: Path = Path("/proc")) -> tuple[bool, str]:
    """Tells whether Chromium's sandbox can be on here, and why not (empty where it can).

    It needs an ordinary user, and either unprivileged user namespaces or the setuid helper `chrome-sandbox` beside
    the browser (Chromium's docs/linux/sandboxing.md).
    """
    if os.geteuid() == 0:
        return False, "Chromium has no sandbox when started by root; run as an ordinary user"
    if chromium is not None and _setuid_helper_works(chromium, proc):
        return True, ""
    reason = _namespaces_refused(proc)
    return not reason, reason


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _browsers_folder(environ: Mapping[str, str]) -> Path | None:
    """Playwright's folder of browsers, by the rules of its own documentation.

    Playwright would say it itself, but importing it and starting its driver costs half a second.
    """
    named = environ.get("PLAYWRIGHT_BROWSERS_PATH")
    if named == "0":  # inside the installed package
        spec = importlib.util.find_spec("playwright")
        return Path(spec.origin).parent / "driver/package/.local-browsers" if spec and spec.origin else None
    if named:
        return Path(named).absolute()
    cache = environ.get("XDG_CACHE_HOME")
    if cache:
        return Path(cache, "ms-playwright")
    home = environ.get("HOME")
    return Path(home, ".cache/ms-playwright") if home else None


def _newest_download(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    return max(_complete_downloads(folder), key=lambda found: found[0], default=(None, None))[1]


def _complete_downloads(folder: Path) -> Iterator[tuple[tuple[int, int], Path]]:
    """Yields what is wholly unpacked, each with its rank: the newest revision first, then the full browser."""
    for preference, pattern in enumerate(reversed(_PLAYWRIGHT_PATTERNS)):
        for path in folder.glob(pattern):
            home = path.parent.parent
            revision = home.name.rpartition("-")[2]
            # Playwright writes the marker last, so that an interrupted download is not taken for a browser.
            if revision.isdigit() and (home / "INSTALLATION_COMPLETE").exists() and _is_executable(path):
                yield (int(revision), preference), path


def _install_command() -> str:
    return "apt-get install chromium" if os.geteuid() == 0 else "sudo apt-get install chromium"


def _setuid_helper_works(chromium: Path, proc: Path) -> bool:
    status = _status(proc)
    # Both are what containers take away: setuid bits that count, and the one capability that the helper needs.
    if status.get("NoNewPrivs") == "1" or not int(status.get("CapBnd", "0"), 16) & _CAP_SYS_ADMIN:
        return False
    # Debian's browser looks beside itself, not beside the script that was called.
    folders = [chromium.resolve().parent]
    if chromium.resolve() == Path("/usr/bin/chromium"):
        folders.append(_DEBIAN_FOLDER)
    return any(_is_setuid_root(folder / "chrome-sandbox") for folder in folders)


def _is_setuid_root(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_uid == 0 and bool(found.st_mode & 0o4000) and os.access(path, os.X_OK)


def _namespaces_refused(proc: Path) -> str:
    """Says why an ordinary user may make no user namespace here; empty if they may."""
    settings = (
        ("kernel/unprivileged_userns_clone", "0"),  # Debian
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),  # Ubuntu from 23.10 on
        ("user/max_user_namespaces", "0"),  # Red Hat's way, and many a hardened host's
    )
    for setting, refusing in settings:
        if _read(proc / "sys" / setting) == refusing:
            return f"the kernel refuses unprivileged user namespaces ({setting.replace('/', '.')} = {refusing})"
    unshare = shutil.which("unshare")
    if unshare is None:
        return ""
    # A container's system call filter shows in no setting, so try.
    tried = subprocess.run([unshare, "--user", "--map-root-user", "true"], capture_output=True, timeout=10, check=False)
    return "" if tried.returncode == 0 else "user namespaces are refused here, as in most containers"


def _status(proc: Path) -> dict[str, str]:
    lines = _read(proc / "self/status").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", errors="replace").strip()
    except OSError:
        return ""


def _main(arguments: list[str]) -> int:
    try:
        chromium = find_chromium(os.environ)
    except ChromiumMissingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{chromium.source if arguments == ['--source'] else chromium.path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))

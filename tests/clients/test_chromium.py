"""Which Chromium is found, in folders made for it; and when the sandbox can be on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from probes.clients.chromium import Chromium, ChromiumMissingError, find_chromium, sandbox_available

ROOT = Path(__file__).parents[2]
FULL = "chrome-linux64/chrome"
SHELL = "chrome-headless-shell-linux64/chrome-headless-shell"
ALL_CAPABILITIES = "000001ffffffffff"
CONTAINER_CAPABILITIES = "00000000a80425fb"


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def downloaded(home: Path, folder: str, inner: str, *, complete: bool = True) -> Path:
    path = executable(home / ".cache/ms-playwright" / folder / inner)
    if complete:
        (home / ".cache/ms-playwright" / folder / "INSTALLATION_COMPLETE").touch()
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}


def test_the_environment_comes_before_all_others(tmp_path: Path, environ: dict[str, str]) -> None:
    downloaded(tmp_path, "chromium-1255", FULL)
    named = executable(tmp_path / "own")
    assert find_chromium(environ | {"SMOKEPROBE_CHROMIUM": str(named)}) == Chromium(named, "environment")


@pytest.mark.parametrize("what", ["missing", "folder", "not executable"])
def test_a_wrong_path_in_the_environment_is_an_error_and_not_passed_over(
    tmp_path: Path, environ: dict[str, str], what: str
) -> None:
    downloaded(tmp_path, "chromium-1255", FULL)
    named = tmp_path / "own"
    if what == "folder":
        named.mkdir()
    elif what == "not executable":
        named.touch(0o600)
    with pytest.raises(ChromiumMissingError, match=r"^SMOKEPROBE_CHROMIUM names .*/own, which is not an executable"):
        find_chromium(environ | {"SMOKEPROBE_CHROMIUM": str(named)})


def test_playwrights_comes_before_the_systems(tmp_path: Path, environ: dict[str, str]) -> None:
    executable(tmp_path / "bin/chromium")
    path = downloaded(tmp_path, "chromium-1255", FULL)
    assert find_chromium(environ) == Chromium(path, "playwright")


@pytest.mark.parametrize(
    ("folder", "inner"),
    [
        ("chromium-1255", "chrome-linux64/chrome"),
        ("chromium-1255", "chrome-linux-arm64/chrome"),
        ("chromium-1100", "chrome-linux/chrome"),
        ("chromium_headless_shell-1255", SHELL),
        ("chromium_headless_shell-1255", "chrome-headless-shell-linux-arm64/chrome-headless-shell"),
        ("chromium_headless_shell-1150", "chrome-linux/headless_shell"),
    ],
)
def test_every_layout_of_playwrights_downloads_is_known(
    tmp_path: Path, environ: dict[str, str], folder: str, inner: str
) -> None:
    path = downloaded(tmp_path, folder, inner)
    assert find_chromium(environ).path == path


def test_the_newest_revision_wins_by_number(tmp_path: Path, environ: dict[str, str]) -> None:
    downloaded(tmp_path, "chromium-999", FULL)
    newest = downloaded(tmp_path, "chromium_headless_shell-1255", SHELL)
    assert find_chromium(environ).path == newest
    full = downloaded(tmp_path, "chromium-1255", FULL)
    assert find_chromium(environ).path == full


def test_an_interrupted_download_is_no_browser(tmp_path: Path, environ: dict[str, str]) -> None:
    downloaded(tmp_path, "chromium-1255", FULL, complete=False)
    system = executable(tmp_path / "bin/chromium")
    assert find_chromium(environ) == Chromium(system, "system")


@pytest.mark.parametrize("variable", ["PLAYWRIGHT_BROWSERS_PATH", "XDG_CACHE_HOME"])
def test_playwrights_folder_can_be_moved(tmp_path: Path, environ: dict[str, str], variable: str) -> None:
    path = downloaded(tmp_path / "elsewhere", "chromium-1255", FULL)
    cache = tmp_path / "elsewhere/.cache"
    environ[variable] = str(cache if variable == "XDG_CACHE_HOME" else cache / "ms-playwright")
    assert find_chromium(environ) == Chromium(path, "playwright")


def test_a_browser_inside_playwrights_own_package_is_looked_for(environ: dict[str, str]) -> None:
    with pytest.raises(ChromiumMissingError):
        find_chromium(environ | {"PLAYWRIGHT_BROWSERS_PATH": "0"})


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"])
def test_the_systems_names(tmp_path: Path, environ: dict[str, str], name: str) -> None:
    path = executable(tmp_path / "bin" / name)
    assert find_chromium(environ) == Chromium(path, "system")


def test_none_anywhere_is_one_sentence_with_the_command_that_mends_it(environ: dict[str, str]) -> None:
    with pytest.raises(ChromiumMissingError) as caught:
        find_chromium(environ)
    assert str(caught.value).startswith("No Chromium was found. Install one: ")
    assert caught.value.hint.endswith("apt-get install chromium")


def test_as_a_command_it_prints_the_path_or_the_sentence(tmp_path: Path, environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "probes.clients.chromium"]

    missing = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.count("\n") == 1
    assert missing.stderr.startswith("No Chromium was found.")

    path = executable(tmp_path / "bin/chromium")
    for arguments, expected in (([], str(path)), (["--source"], "system")):
        found = subprocess.run(
            [*command, *arguments], env=environ, cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert found.stdout == f"{expected}\n"


def test_looking_imports_neither_playwright_nor_anything_that_patches() -> None:
    code = (
        "import os, sys; from probes.clients import chromium\n"
        "try: chromium.find_chromium(os.environ)\n"
        "except chromium.ChromiumMissingError: pass\n"
        "print([m for m in ('playwright', 'gevent', 'locust', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- the sandbox


def proc(tmp_path: Path, *, no_new_privileges: str = "0", bounding: str = ALL_CAPABILITIES, **settings: str) -> Path:
    """A /proc with these sysctls (`kernel__name`)."""
    for name, value in settings.items():
        path = tmp_path / "proc/sys" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    status = tmp_path / "proc/self/status"
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_text(f"Name:\tpython\nCapBnd:\t{bounding}\nNoNewPrivs:\t{no_new_privileges}\nSeccomp:\t0\n")
    return tmp_path / "proc"


@pytest.fixture
def ordinary_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user to whom the kernel grants user namespaces: neither can be had from inside every test run."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    executable(tmp_path / "tools/unshare")
    monkeypatch.setenv("PATH", str(tmp_path / "tools"))


def test_root_has_no_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    available, reason = sandbox_available(proc=proc(tmp_path))
    assert not available
    assert "root" in reason


@pytest.mark.usefixtures("ordinary_user")
def test_an_ordinary_user_with_user_namespaces_has_one(tmp_path: Path) -> None:
    settings = {"kernel__unprivileged_userns_clone": "1", "user__max_user_namespaces": "31000"}
    assert sandbox_available(proc=proc(tmp_path, **settings)) == (True, "")


@pytest.mark.usefixtures("ordinary_user")
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("kernel__unprivileged_userns_clone", "0"),
        ("kernel__apparmor_restrict_unprivileged_userns", "1"),
        ("user__max_user_namespaces", "0"),
    ],
)
def test_a_kernel_setting_that_refuses_namespaces_is_named(tmp_path: Path, setting: str, value: str) -> None:
    available, reason = sandbox_available(proc=proc(tmp_path, **{setting: value}))
    assert not available
    assert f"{setting.replace('__', '.')} = {value}" in reason


@pytest.mark.usefixtures("ordinary_user")
def test_a_container_that_refuses_namespaces_without_saying_so_is_found_out(tmp_path: Path) -> None:
    executable(tmp_path / "tools/unshare", "#!/bin/sh\nexit 1\n")
    assert sandbox_available(proc=proc(tmp_path)) == (False, "user namespaces are refused here, as in most containers")


@pytest.mark.usefixtures("ordinary_user")
@pytest.mark.parametrize(
    ("helper", "settings", "available"),
    [
        ("/bin/su", {}, True),  # stands for any program of root's with the setuid bit
        ("/bin/sh", {}, False),  # has no setuid bit
        ("/bin/absent", {}, False),
        ("/bin/su", {"no_new_privileges": "1"}, False),
        ("/bin/su", {"bounding": CONTAINER_CAPABILITIES}, False),
    ],
)
def test_the_setuid_helper_stands_in_for_namespaces(
    tmp_path: Path, helper: str, settings: dict[str, str], available: bool
) -> None:
    chromium = executable(tmp_path / "browser/chrome")
    (tmp_path / "browser/chrome-sandbox").symlink_to(helper)
    refusing = proc(tmp_path, kernel__unprivileged_userns_clone="0", **settings)
    assert sandbox_available(chromium, proc=refusing)[0] is available

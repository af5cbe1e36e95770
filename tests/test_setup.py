"""What deploy/setup.sh decides, run for real in a folder where all that it calls is a fake that keeps a log."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What the script may use of the system; all else in PATH is made here.
REAL_TOOLS = (
    "sh", "awk", "cat", "cksum", "cp", "chmod", "dirname", "flock", "mkdir", "mv", "pwd", "rm", "timeout", "touch",
)  # fmt: skip
COPIED = ("deploy/setup.sh", "probes/__init__.py", "probes/errors.py", "probes/clients/chromium.py")

# A Python, the system's and the environment's. $HAS holds a file for each thing that this machine has.
PYTHON = """#!/bin/sh
echo "${0##*/} $*" >>"$LOG"
case "$*" in
-V) echo "Python 3.11.9" ;;
*version_info\\ \\<*) [ ! -e "$HAS/old-python" ] || [ "$0" != "$BIN/python3" ] ;;
*version_info*) echo python3.11-venv ;;
"-m venv .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/python3; [ -e "$HAS/ensurepip" ] ;;
"-m venv --without-pip .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
"-m pip --python .venv/bin/python --version") [ -e "$HAS/system-pip" ] ;;
"-m pip "*" .venv/uv.txt") [ -e "$HAS/locked-uv" ] && cp "$HAS/locked-uv" .venv/bin/uv ;;
"-m pip "*) [ ! -e "$HAS/no-network" ] ;;
"-m playwright --version") [ ! -e "$HAS/no-driver" ] ;;
"-m playwright install --no-shell chromium") [ -e "$HAS/playwright-download" ] && "$HAS/playwright-download" ;;
"-m playwright install-deps chromium") false ;;
"-m playwright uninstall") rm -r "$HOME/.cache/ms-playwright" ;;
"-m probes.clients.chromium"*) exec "$REAL_PYTHON" -B "$@" ;;
*) echo "unexpected: $*" >&2; exit 64 ;;
esac
"""
VIRTUALENV = """#!/bin/sh
echo "virtualenv $*" >>"$LOG"
mkdir -p .venv/bin; cp "$BIN/python3" .venv/bin/python
"""
UV = """#!/bin/sh
echo "uv $*" >>"$LOG"
[ "$1" != venv ] || { mkdir -p .venv/bin; cp "$BIN/python3" .venv/bin/python; }
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$LOG"
case "$*" in
*python3.11-venv) touch "$HAS/ensurepip" ;;
*libatomic1) rm "$HAS/no-driver" ;;
*chromium) cp "$HAS/chromium-package" "$BIN/chromium" ;;
esac
"""
WORKING = "#!/bin/sh\necho Chromium 150.0\n"
BROKEN = "#!/bin/sh\necho error while loading shared libraries >&2; exit 127\n"


@dataclass(frozen=True)
class Machine:
    """A machine of fakes: `root` is the project there, `bin` its PATH, `has` a file for each thing that it has."""

    root: Path
    bin: Path
    has: Path
    home: Path

    def command(self, name: str, text: str) -> None:
        write(self.bin / name, text)

    def become(self, uid: int) -> None:
        self.command("id", f"#!/bin/sh\necho {uid}\n")

    def setup(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """Runs the script; the log holds this run alone."""
        self.log.unlink(missing_ok=True)
        places = {"HOME": str(self.home), "PATH": str(self.bin), "BIN": str(self.bin), "HAS": str(self.has)}
        return subprocess.run(
            [self.root / "deploy/setup.sh"],
            env=places | {"LOG": str(self.log), "REAL_PYTHON": sys.executable} | environ,
            cwd=self.home,  # from anywhere
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def log(self) -> Path:
        return self.has / "log"

    def did(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def downloaded(self, text: str) -> Path:
        folder = self.home / ".cache/ms-playwright/chromium-1255"
        write(folder / "chrome-linux64/chrome", text)
        (folder / "INSTALLATION_COMPLETE").touch()
        return folder / "chrome-linux64/chrome"

    def downloadable(self, text: str) -> Path:
        """Lets Playwright's installer succeed with such a browser; returns where that will be."""
        path = self.downloaded(text)
        parked = self.has / "download"
        (self.home / ".cache/ms-playwright").rename(parked)
        folder = self.home / ".cache"
        write(self.has / "playwright-download", f"#!/bin/sh\ncp -r {parked} {folder}/ms-playwright\n")
        return path


def write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # never write through a link to one of the system's own tools
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """An ordinary user's machine with Python, ensurepip and the system's Chromium."""
    made = Machine(tmp_path / "project", tmp_path / "bin", tmp_path / "has", tmp_path / "home")
    for folder in (made.root, made.bin, made.has, made.home):
        folder.mkdir()
    for name in COPIED:
        (made.root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, made.root / name)
    (made.root / "requirements-dev.lock").write_text("locked==1\n")
    (made.root / "pyproject.toml").write_text("[project]\n")
    for tool in REAL_TOOLS:
        (made.bin / tool).symlink_to(shutil.which(tool) or tool)
    made.command("python3", PYTHON)
    made.command("chromium", WORKING)
    made.become(1000)
    (made.has / "ensurepip").touch()
    return made


HASHED = "--require-hashes -r requirements-dev.lock"
INSTALL = f"install {HASHED}"
INSTALL_PROJECT = "install --no-deps --no-build-isolation -e ."


# --- Python and the environment


def test_a_first_setup_installs_by_hash_and_then_the_project(machine: Machine) -> None:
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    did = machine.did()
    assert did.index(f"python -m pip -qq {INSTALL}") < did.index(f"python -m pip -qq {INSTALL_PROJECT}")
    assert f"ready: .venv/bin/smokeprobe, with {machine.bin}/chromium" in done.stderr


@pytest.mark.parametrize("works", [True, False])
def test_uv_from_the_lock_installs_the_rest_and_where_it_cannot_pip_does(machine: Machine, *, works: bool) -> None:
    uv_of_lock = "uv==1 \\\n    --hash=sha256:1\n    # via us\n"
    lock = f"tox==1 \\\n    --hash=sha256:0\n{uv_of_lock}uvloop==1 \\\n    --hash=sha256:2\n"
    (machine.root / "requirements-dev.lock").write_text(lock)
    write(machine.has / "locked-uv", f'#!/bin/sh\necho "locked uv $*" >>"$LOG"\n{"true" if works else "false"}\n')
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert (machine.root / ".venv" / "uv.txt").read_text() == uv_of_lock
    did = machine.did()
    assert f"locked uv --quiet --system-certs pip install --python .venv/bin/python {HASHED}" in did
    assert (f"python -m pip -qq {INSTALL}" in did) is not works


def test_the_second_setup_only_looks(machine: Machine) -> None:
    machine.setup()
    done = machine.setup()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.did() == ["python -V", "python -m probes.clients.chromium"]


def test_too_old_a_python_is_one_sentence(machine: Machine) -> None:
    (machine.has / "old-python").touch()
    done = machine.setup()
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed, and Python 3.11.9 was found" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (machine.root / ".venv").exists()


def test_a_newer_python_beside_an_old_one_is_used(machine: Machine) -> None:
    (machine.has / "old-python").touch()
    machine.command("python3.12", PYTHON)
    assert machine.setup().returncode == 0


@pytest.mark.parametrize(
    ("name", "text", "installer"),
    [
        ("virtualenv", VIRTUALENV, "python -m pip -qq"),
        ("uv", UV, "uv --quiet pip"),
        ("system-pip", "", "python3 -m pip -qq --python .venv/bin/python"),
    ],
)
def test_without_ensurepip_what_is_there_makes_the_environment(
    machine: Machine, name: str, text: str, installer: str
) -> None:
    (machine.has / "ensurepip").unlink()
    if text:
        machine.command(name, text)
    else:
        (machine.has / name).touch()
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    expected = f"{installer} install --python .venv/bin/python" if name == "uv" else f"{installer} install"
    assert f"{expected} {INSTALL.removeprefix('install ')}" in machine.did()
    assert f"{expected} {INSTALL_PROJECT.removeprefix('install ')}" in machine.did()


def test_without_ensurepip_root_installs_it(machine: Machine) -> None:
    (machine.has / "ensurepip").unlink()
    machine.command("apt-get", APT_GET)
    machine.become(0)
    assert machine.setup().returncode == 0
    did = machine.did()
    assert did.index("apt-get update -qq") < did.index("apt-get install -qq -y python3.11-venv")


def test_without_ensurepip_an_ordinary_user_is_told_what_to_install(machine: Machine) -> None:
    (machine.has / "ensurepip").unlink()
    machine.command("apt-get", APT_GET)
    done = machine.setup()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("setup: python3 cannot make a virtual environment with pip: apt-get")
    assert not (machine.root / ".venv").exists()
    assert not [line for line in machine.did() if line.startswith("apt-get")]


def test_an_interrupted_setup_is_done_anew(machine: Machine) -> None:
    (machine.has / "no-network").touch()
    assert machine.setup().returncode != 0
    (machine.root / ".venv/half").touch()
    (machine.has / "no-network").unlink()
    assert machine.setup().returncode == 0
    assert not (machine.root / ".venv/half").exists()
    assert f"python -m pip -qq {INSTALL}" in machine.did()


def test_a_new_lock_file_makes_a_new_environment(machine: Machine) -> None:
    machine.setup()
    (machine.root / ".venv/left-over").touch()
    (machine.root / "requirements-dev.lock").write_text("locked==2\n")
    assert machine.setup().returncode == 0
    assert not (machine.root / ".venv/left-over").exists()


def test_a_changed_pyproject_installs_only_the_project_again(machine: Machine) -> None:
    machine.setup()
    (machine.root / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert machine.setup().returncode == 0
    assert [line for line in machine.did() if "pip" in line] == [f"python -m pip -qq {INSTALL_PROJECT}"]


def test_a_moved_folder_makes_a_new_environment(machine: Machine) -> None:
    machine.setup()
    moved = Machine(machine.root.rename(machine.root.with_name("moved")), machine.bin, machine.has, machine.home)
    assert moved.setup().returncode == 0
    assert f"python -m pip -qq {INSTALL}" in moved.did()


def test_an_activated_environment_does_not_make_itself_anew(machine: Machine) -> None:
    """Its own python3 is new enough, but gone when it is needed, and the one behind it in PATH is too old."""
    (machine.has / "old-python").touch()
    machine.command("python3.12", PYTHON)
    machine.setup()
    (machine.root / "requirements-dev.lock").write_text("locked==2\n")
    done = machine.setup(PATH=f"{machine.root}/.venv/bin:{machine.bin}")
    assert done.returncode == 0, done.stderr
    assert [line for line in machine.did() if "venv .venv" in line] == ["python3.12 -m venv .venv"]


# --- Chromium


def test_the_environments_chromium_is_taken_without_asking_for_another(machine: Machine) -> None:
    own = machine.home / "own"
    write(own, WORKING)
    done = machine.setup(SMOKEPROBE_CHROMIUM=str(own))
    assert done.returncode == 0, done.stderr
    assert f"with {own}" in done.stderr
    assert not [line for line in machine.did() if "playwright install" in line]


@pytest.mark.parametrize(("text", "why"), [("", "is not an executable file"), (BROKEN, "does not start")])
def test_a_wrong_chromium_in_the_environment_is_an_error(machine: Machine, text: str, why: str) -> None:
    own = machine.home / "own"
    if text:
        write(own, text)
    done = machine.setup(SMOKEPROBE_CHROMIUM=str(own))
    assert done.returncode == 1
    assert "SMOKEPROBE_CHROMIUM names" in done.stderr.splitlines()[-1]
    assert why in done.stderr.splitlines()[-1]


def test_playwrights_existing_chromium_is_not_downloaded_again(machine: Machine) -> None:
    path = machine.downloaded(WORKING)
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert f"with {path}" in done.stderr
    assert not [line for line in machine.did() if "playwright install" in line]


def test_playwrights_download_comes_before_the_systems(machine: Machine) -> None:
    path = machine.downloadable(WORKING)
    assert f"with {path}" in machine.setup().stderr


def test_a_download_that_cannot_run_gives_way_to_the_systems(machine: Machine) -> None:
    path = machine.downloadable(BROKEN)
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert f"with {machine.bin}/chromium" in done.stderr
    assert not path.exists()


def test_somebody_elses_download_that_cannot_run_is_kept_and_named(machine: Machine) -> None:
    path = machine.downloaded(BROKEN)
    done = machine.setup()
    assert done.returncode == 1
    assert f"{path} does not start" in done.stderr.splitlines()[-1]
    assert path.exists()


def test_a_stub_that_cannot_run_is_no_chromium(machine: Machine) -> None:
    machine.command("chromium", BROKEN)
    done = machine.setup()
    assert done.returncode == 1
    assert f"{machine.bin}/chromium does not start" in done.stderr.splitlines()[-1]


def test_no_chromium_anywhere_is_one_sentence_for_an_ordinary_user(machine: Machine) -> None:
    (machine.bin / "chromium").unlink()
    machine.command("apt-get", APT_GET)
    done = machine.setup()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("No Chromium was found. Install one: ")
    assert not [line for line in machine.did() if line.startswith("apt-get")]


def test_no_chromium_anywhere_is_installed_by_root(machine: Machine) -> None:
    (machine.bin / "chromium").unlink()
    (machine.has / "chromium-package").write_text(WORKING)
    (machine.has / "chromium-package").chmod(0o755)
    machine.command("apt-get", APT_GET)
    machine.become(0)
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert "apt-get install -qq -y chromium" in machine.did()


def test_what_playwrights_driver_needs_is_installed_by_root(machine: Machine) -> None:
    (machine.has / "no-driver").touch()
    machine.command("apt-get", APT_GET)
    machine.become(0)
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert "apt-get install -qq -y libatomic1" in machine.did()


def test_an_ordinary_user_is_told_what_playwrights_driver_needs(machine: Machine) -> None:
    (machine.has / "no-driver").touch()
    machine.become(1000)
    done = machine.setup()
    assert done.returncode != 0
    assert "apt-get install libatomic1" in done.stderr


def test_a_chromium_that_is_gone_is_noticed_the_next_time(machine: Machine) -> None:
    machine.setup()
    (machine.bin / "chromium").unlink()
    machine.command("google-chrome", WORKING)
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert f"with {machine.bin}/google-chrome" in done.stderr
    assert not [line for line in machine.did() if "pip" in line]

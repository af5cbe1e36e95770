"""The wheel works alone: built here, installed into an environment of its own, used from an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment's bin folder. The packages that the wheel needs are borrowed from this one's."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin/python"
    uv = str(Path(sys.executable).with_name("uv"))
    install = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    site = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    # A .pth file in a folder that a .pth file adds is not read, so the editable install here stays out of sight.
    Path(site.strip(), "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_locustfiles_configurations_and_all_of_the_package_travel_in_it(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output([*listing, "probes", "config", "locustfiles"], cwd=ROOT, text=True).split("\0")
    wanted = {name if name.startswith("probes/") else f"probes/_data/{name}" for name in names if name}
    assert {"probes/_data/config/local.yaml", "probes/_data/locustfiles/production_smoke.py"} <= wanted
    assert wanted - held == set()


def test_nothing_else_travels_in_it(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"probes"}


def test_it_works_without_the_source_tree(installed: Path, tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    where = "import probes; print(probes.__file__)"
    found = subprocess.check_output([installed / "python", "-c", where], cwd=tmp_path, env=environ, text=True)
    assert Path(found.strip()).is_relative_to(installed.parent)
    done = subprocess.run(
        [installed / "smokeprobe", "--help"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "validate" in done.stdout


def test_a_whole_run_needs_nothing_else(installed: Path, tmp_path: Path) -> None:
    smokeprobe = str(installed / "smokeprobe")
    run = [smokeprobe, "standin", "--port", "0", "--", smokeprobe, "run", "--json-file", "report.json"]
    browsers = ("SMOKEPROBE_CHROMIUM", "PLAYWRIGHT_BROWSERS_PATH")
    kept = {name: os.environ[name] for name in browsers if name in os.environ}
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **kept}
    done = subprocess.run(run, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=100)
    checks = {check["name"]: check["outcome"] for check in json.loads((tmp_path / "report.json").read_text())["checks"]}
    # times are those of a busy machine
    assert set(checks.values()) <= {"passed", "degraded"}, done.stdout + done.stderr
    assert list(checks) == ["health", "homepage", "enhancement", "login", "api"]
    init = [smokeprobe, "init", "--url", "https://example.com"]
    subprocess.run(init, cwd=tmp_path, env=environ, check=True, capture_output=True)
    validate = [smokeprobe, "validate", "--config", "smokeprobe.yaml"]
    subprocess.run(validate, cwd=tmp_path, env=environ, check=True, capture_output=True)

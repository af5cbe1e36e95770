"""The systemd units say what our commands understand, and what systemd does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, SMOKEPROBE

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


def command_of(unit: Path) -> list[str]:
    (line,) = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    program, *arguments = line.removeprefix("ExecStart=").split()
    assert Path(program).name == "smokeprobe"
    return [argument.replace("%i", "us-east-1").replace("%S", "/var/lib") for argument in arguments]


def test_there_is_one_for_each_of_both() -> None:
    assert [command_of(unit)[0] for unit in UNITS] == ["master", "worker"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_command_is_one_of_ours(unit: Path) -> None:
    done = subprocess.run([SMOKEPROBE, *command_of(unit), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    broken = subprocess.run([SMOKEPROBE, command_of(unit)[0], "--none", "--help"], capture_output=True, check=False)
    assert broken.returncode == 2  # so an option that we do not have would show


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_it_is_started_again_and_may_do_little(unit: Path) -> None:
    lines = set(unit.read_text().splitlines())
    assert {"Restart=always", "DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "UMask=0077"} <= lines
    assert "CapabilityBoundingSet=" in lines


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_it(unit: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze is missing: make test-tools installs it"
    copy = tmp_path / unit.name.replace("@", "@us-east-1")
    copy.write_text(unit.read_text().replace("/opt/smokeprobe/bin/smokeprobe", "/bin/true"))
    done = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr

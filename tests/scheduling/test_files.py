"""Rendering and checking: what is out of date is said, and mended; mistakes write nothing."""

from __future__ import annotations

import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from probes.errors import ConfigError
from probes.schedule_files import OUT_OF_DATE, UP_TO_DATE, ScheduleFiles

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


def files_of(root: Path) -> tuple[ScheduleFiles, StringIO]:
    said = StringIO()
    console = Console(file=said, width=200, soft_wrap=True, highlight=False, markup=False)
    return ScheduleFiles(root / "config" / "cron-schedule.yaml", root / "deploy", console), said


def test_what_is_committed_is_up_to_date() -> None:
    """So a change of the schedule that was not rendered fails here, and with it CI."""
    files, said = files_of(ROOT)
    assert files.check() == UP_TO_DATE, said.getvalue()


def test_what_is_rendered_is_up_to_date_until_somebody_edits_it(copy: Path) -> None:
    files, said = files_of(copy)
    assert files.check() == OUT_OF_DATE
    assert "smoke-run.yml is missing" in said.getvalue()
    assert files.render() == UP_TO_DATE
    edited = copy / "deploy" / "github-actions" / "smoke-run.yml"
    edited.write_text(edited.read_text().replace("fail-fast: false", "fail-fast: true"))
    left = edited.with_name("old.yml")
    left.write_text("")
    assert files.check() == OUT_OF_DATE
    assert "+      fail-fast: false" in said.getvalue()
    assert "old.yml is there, but nothing in" in said.getvalue()
    assert "2 of 14 files" in said.getvalue()
    files.render()
    assert "fail-fast: false" in edited.read_text()
    assert not left.exists()


def test_mistakes_write_nothing(copy: Path) -> None:
    path = copy / "config" / "cron-schedule.yaml"
    path.write_text(path.read_text().replace("share: github-us-east-1", "share: adhoc", 1))
    files, _ = files_of(copy)
    with pytest.raises(ConfigError) as raised:
        files.render()
    assert any(
        "entries.github-us-east-1.share: 'adhoc' is for what is run by hand" in why for why in raised.value.problems
    )
    assert not (copy / "deploy").exists()

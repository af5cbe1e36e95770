"""`smokeprobe schedule render` and `check`: what platforms are told, written, and held against what is there."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from rich.console import Console

from probes.checks.registry import build_checks, load_timetable
from probes.config.cron_schedule import FILE, Platform, ScheduleFile, load_schedule
from probes.config.load import Source
from probes.config.models import Settings
from probes.errors import ConfigError
from probes.files import write_atomically
from probes.schedule_rules import keeps_ledger, schedule_problems
from probes.scheduling.github import FOLDER as GITHUB
from probes.scheduling.github import github_files
from probes.scheduling.kubernetes import FOLDER as KUBERNETES
from probes.scheduling.kubernetes import kubernetes_files
from probes.scheduling.render import Files, Planned, Rendering

UP_TO_DATE, OUT_OF_DATE = 0, 1
"""Exit codes; 2 is for usage and configuration."""

LINES_SHOWN = 20
"""So much of one difference is shown."""

FOLDERS = (GITHUB, KUBERNETES)
"""Whatever is in them is rendered: a file that no longer is, is one too many."""


@dataclass(frozen=True)
class ScheduleFiles:
    """The commands for one schedule, and the folder that holds what is rendered from it."""

    file: Path
    directory: Path
    console: Console = field(default_factory=lambda: Console(soft_wrap=True, highlight=False, markup=False))

    def render(self) -> int:
        """Write what is out of date, and remove what is no longer rendered."""
        files = self._all()
        for name, text in files.items():
            path = self.directory / name
            if _text(path) != text:
                write_atomically(path, text)
                self.console.print(f"{path} is written.")
        for path in self._left(files):
            path.unlink()
            self.console.print(f"{path} is removed: nothing in {self.file} is rendered to it.")
        return UP_TO_DATE

    def check(self) -> int:
        """Say which files are not as they would be rendered, and how they differ."""
        files = self._all()
        wrong = 0
        for name, text in files.items():
            path = self.directory / name
            if (there := _text(path)) != text:
                wrong += 1
                self._show(path, there, text)
        for path in self._left(files):
            wrong += 1
            self.console.print(f"{path} is there, but nothing in {self.file} is rendered to it.")
        if wrong:
            self.console.print(f"{wrong} of {len(files)} files are out of date: smokeprobe schedule render")
            return OUT_OF_DATE
        self.console.print(f"All {len(files)} files in {self.directory} are as {self.file} says.")
        return UP_TO_DATE

    def _show(self, path: Path, there: str | None, text: str) -> None:
        if there is None:
            self.console.print(f"{path} is missing.")
            return
        self.console.print(f"{path} is out of date:")
        lines = difflib.unified_diff(there.splitlines(), text.splitlines(), "as it is", "as it would be", "", "", 1, "")
        for line in islice(lines, LINES_SHOWN):
            self.console.print(f"    {line}")

    def _all(self) -> Files:
        """Every file by its path. Raises ConfigError with every mistake of the schedule, in all its environments."""
        found = load_schedule(self.file)
        if found.document is None:
            raise ConfigError(f"{self.file}: there is no such file.")
        planned = _planned(found, self.file.parent)

        def on(platform: Platform) -> Rendering:
            return Rendering(found.schedule, tuple(each for each in planned if each.entry.platform == platform))

        return github_files(on("github")) | kubernetes_files(on("kubernetes"))

    def _left(self, files: Files) -> list[Path]:
        there = [path for folder in FOLDERS for path in sorted((self.directory / folder).rglob("*")) if path.is_file()]
        return [path for path in there if str(path.relative_to(self.directory)) not in files]


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _planned(file: ScheduleFile, folder: Path) -> tuple[Planned, ...]:
    """Every entry with its environment, which stands beside the schedule; as it is at no special hour."""
    places = {(entry.env, entry.region): folder / f"{entry.env}.yaml" for entry in file.schedule.entries.values()}
    found = {place: load_timetable(Source(path, place[1])).base for place, path in places.items()}
    problems: dict[str, None] = {}
    looked_at: list[Settings] = []
    for place, path in places.items():
        if (settings := found[place]) not in looked_at:  # most environments are the same in all their regions
            looked_at.append(settings)
            problems.update(dict.fromkeys(schedule_problems(file, settings, build_checks(settings, path))))
    if problems:
        raise ConfigError(f"{folder / FILE} does not hold:", tuple(problems))
    return tuple(
        Planned(name, entry, settings := found[entry.env, entry.region], keeps_ledger(entry, settings))
        for name, entry in file.schedule.entries.items()
    )

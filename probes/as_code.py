"""`smokeprobe monitoring render`, `plan` and `apply`: dashboards and monitors as code, on the terminal."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.text import Text

from probes.checks.registry import load_settings
from probes.errors import ConfigError, SmokeprobeError
from probes.files import write_atomically
from probes.monitoring.as_code.changes import Change, Create, Found, Keeper, Plan, Update, make_plan
from probes.monitoring.as_code.described import Described, Service, describe, files, keeper_of
from probes.monitoring.as_code.wanted import Wanted
from probes.options import RunOptions

NOTHING_TO_DO, NOT_DONE, TO_DO = 0, 1, 4
"""Exit codes; 2 is for usage and configuration."""

LINES_SHOWN = 40
"""So much of one difference is shown."""

PAUSES_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)
"""How long it is waited for before each look at what was made: a service may take its time to find it."""

_COLOURS = {"+": "green", "~": "yellow", "-": "red", "@": "cyan"}


class Work(Protocol):
    """What is done with a service's API; the exit code comes back."""

    def __call__(self, described: Described, keeper: Keeper, *, prune: bool) -> int:
        """Do it."""


@dataclass(frozen=True)
class AsCode:
    """The commands for one service in one environment."""

    service: Service
    options: RunOptions
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    console: Console = field(default_factory=lambda: Console(soft_wrap=True, highlight=False))
    pauses_s: Sequence[float] = PAUSES_S

    def render(self, directory: str) -> int:
        """Print the files, or write them. Needs no secret."""
        described = self._described()
        found = files(described)
        for name, text in found.items():
            if directory:
                write_atomically(Path(directory) / name, text)
                self.console.print(f"{Path(directory) / name} is written.", markup=False)
            else:
                if len(found) > 1:
                    self._say_aside(f"# {name}")
                self.console.out(text, end="", highlight=False)
        return NOTHING_TO_DO

    def plan(self, *, prune: bool) -> int:
        """Show what `apply` would do, and do nothing."""
        return self._asked(self._show_plan, prune=prune)

    def apply(self, *, prune: bool) -> int:
        """Do it, and look whether all is there."""
        return self._asked(self._apply, prune=prune)

    def _described(self) -> Described:
        """What is described; what of it the service cannot do is said."""
        source = self.options.source
        described = describe(self.service, load_settings(source), source.path.parent, self.environ)
        for note in described.notes:
            self._say_aside(f"note: {note}")
        return described

    def _say_aside(self, text: str) -> None:
        """Where it is in nobody's way who reads the files from standard output."""
        Console(stderr=True, soft_wrap=True, highlight=False).print(text, markup=False)

    def _asked(self, work: Work, *, prune: bool) -> int:
        described = self._described()
        keeper = keeper_of(described, self.environ)
        try:
            return work(described, keeper, prune=prune)
        except ConfigError:
            raise
        except SmokeprobeError as problem:
            self._say(str(problem), "red")
            return NOT_DONE

    def _say(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style))

    def _show_plan(self, described: Described, keeper: Keeper, *, prune: bool) -> int:
        plan = self._plan(described, keeper, prune=prune)
        for change in plan.changes:
            self._show(change)
        self._say_left(plan)
        self._say(_in_short(plan, described, "Nothing to do" if not plan.changes else "Not done yet"))
        return TO_DO if plan.changes else NOTHING_TO_DO

    def _plan(self, described: Described, keeper: Keeper, *, prune: bool) -> Plan:
        return make_plan([keeper.marked(one) for one in described.wanted], keeper.found(), prune=prune)

    def _show(self, change: Change) -> None:
        self._say(f"{change.sign} {_name(change.thing)}", f"bold {_COLOURS[change.sign]}")
        if isinstance(change, Update):
            lines = change.difference()
            for line in islice(lines, LINES_SHOWN):
                self._say(f"    {line}", _COLOURS.get(line[0], "dim"))
            if rest := sum(1 for _ in lines):
                self._say(f"    … and {rest} lines more", "dim")

    def _say_left(self, plan: Plan) -> None:
        for one in plan.left:
            self._say(f"  {_name(one)} is ours and no longer described: --prune removes it.", "yellow")
        for one in plan.copies:
            self._say(f"  {_name(one)} ({one.reference}) has the mark of another: a copy? It is left alone.", "yellow")

    def _apply(self, described: Described, keeper: Keeper, *, prune: bool) -> int:
        plan = self._plan(described, keeper, prune=prune)
        done = 0
        try:
            for change in keeper.carry_out(plan.changes):
                self._say(f"{change.sign} {_name(change.thing)}: {change.done}", _COLOURS[change.sign])
                done += 1
        except SmokeprobeError as problem:
            self._say(str(problem), "red")
            self._say(f"{done} of {len(plan.changes)} changes are done. Once it is mended, apply again for the rest.")
            return NOT_DONE
        self._say_left(plan)
        return self._read_back(described, keeper, plan)

    def _read_back(self, described: Described, keeper: Keeper, done: Plan) -> int:
        again = done
        for pause_s in self.pauses_s if done.changes else ():
            time.sleep(pause_s)
            again = self._plan(described, keeper, prune=False)
            if not any(isinstance(change, Create) for change in again.changes):
                break
        for change in again.changes:
            if isinstance(change, Create):
                self._say(f"{_name(change.thing)} is not there, though it was taken.", "red")
            else:
                self._say(f"{_name(change.thing)} is there, and otherwise than it was sent:", "yellow")
                self._show(change)
        if again.changes:
            return NOT_DONE
        self._say(_in_short(again, described, "Nothing to do" if not done.changes else "Done, and read back"))
        return NOTHING_TO_DO


def _name(thing: Wanted | Found) -> str:
    return f"{thing.kind} {thing.key} “{thing.name}”"


def _in_short(plan: Plan, described: Described, verdict: str) -> str:
    """The last line, in one sentence."""
    if plan.changes:
        of_each = Counter(change.to_do for change in plan.changes)
        what = ", ".join(f"{count} {to_do}" for to_do, count in of_each.items())
        return f"{verdict}: {what}, {len(plan.same)} as described."
    return f"{verdict}: {described.service} has {_counted(plan.same) or 'nothing'} of {described.env} as described."


def _counted(things: Sequence[Found]) -> str:
    kinds = [one.kind for one in things]
    return " and ".join(
        f"{kinds.count(kind)} {kind}{'s' if kinds.count(kind) > 1 else ''}" for kind in dict.fromkeys(kinds)
    )

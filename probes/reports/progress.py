"""What a run is doing just now: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from probes.model import Outcome, Verdict
from probes.reports.terminal import STYLES, clean, symbol
from probes.reports.wording import duration

Clock = Callable[[], float]

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_SPINNER = "|/-\\"
_TURNS_PER_S = 10


class Progress(Protocol):
    """Told of what happens in a run, it shows it. A context manager: leaving it gives the terminal back."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""

    def started(self, check: str) -> None:
        """A check begins."""

    def attempt(self, check: str, number: int) -> None:
        """An attempt begins; the first is 1."""

    def finished(self, verdict: Verdict) -> None:
        """A check has its verdict."""

    def note(self, text: str) -> None:
        """Show a sentence."""

    def tick(self) -> None:
        """Time has passed: called some ten times a second, in place of a thread, which would slow a measurement."""


def live(console: Console, checks: Sequence[str], clock: Clock = time.monotonic) -> Progress:
    """The display that fits `console`; `checks` are those to come, in the order in which they are shown."""
    if console.is_terminal and not console.is_dumb_terminal:
        return _LiveTable(console, checks, clock)
    return _PlainLines(console, checks)


@dataclass(slots=True)
class _Row:
    state: str = "waiting"
    attempt: int = 1
    begun: float | None = None
    outcome: Outcome | None = None
    took_s: float = 0.0


class _LiveTable:
    def __init__(self, console: Console, checks: Sequence[str], clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._rows = {check: _Row() for check in checks}
        self._ascii = console.options.ascii_only
        self._live = Live(self._table(), console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, check: str) -> None:
        self._rows[check] = _Row("running", begun=self._clock())
        self.tick()

    def attempt(self, check: str, number: int) -> None:
        row = self._rows.setdefault(check, _Row("running", begun=self._clock()))
        row.attempt = number
        self.tick()

    def finished(self, verdict: Verdict) -> None:
        self._rows[verdict.check] = _Row(
            str(verdict.outcome), verdict.attempts, outcome=verdict.outcome, took_s=verdict.duration_s
        )
        self.tick()

    def note(self, text: str) -> None:
        self._console.print(Text(clean(text, self._console.encoding)))

    def tick(self) -> None:
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        frames = _ASCII_SPINNER if self._ascii else _SPINNER
        frame = frames[int(self._clock() * _TURNS_PER_S) % len(frames)]
        for check, row in self._rows.items():
            style = STYLES[row.outcome] if row.outcome else "dim" if row.begun is None else ""
            mark = (
                symbol(row.outcome, ascii_only=self._ascii) if row.outcome else frame if row.begun is not None else " "
            )
            elapsed = row.took_s if row.begun is None else self._clock() - row.begun
            table.add_row(
                Text(f"{mark} {clean(check, self._console.encoding)}", style),
                Text(row.state, style),
                Text(f"attempt {row.attempt}" if row.attempt > 1 else ""),
                Text("" if row.state == "waiting" else duration(elapsed), justify="right"),
            )
        return table


class _PlainLines:
    def __init__(self, console: Console, checks: Sequence[str]) -> None:
        self._console = console
        self._width = max(map(len, checks), default=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to give back."""

    def started(self, check: str) -> None:
        self._say(check, "started")

    def attempt(self, check: str, number: int) -> None:
        if number > 1:  # the first begins with the check
            self._say(check, f"attempt {number} ...")

    def finished(self, verdict: Verdict) -> None:
        if verdict.configured_out:
            return  # the result says so in one line
        why = f": {verdict.reason}" if verdict.reason else ""
        self._say(verdict.check, f"{verdict.outcome} in {duration(verdict.duration_s)}{why}")

    def note(self, text: str) -> None:
        self._print(text)

    def tick(self) -> None:
        """Lines do not move."""

    def _say(self, check: str, text: str) -> None:
        self._print(f"{check:<{self._width}}  {text}")

    def _print(self, text: str) -> None:
        self._console.print(Text(clean(text, self._console.encoding)), soft_wrap=True)

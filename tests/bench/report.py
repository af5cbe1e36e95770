"""How results are shown: a table for the terminal, and docs/performance.md."""

from __future__ import annotations

import datetime as dt
import math
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from probes import __version__
from tests.bench.measurement import Result, Unmeasured

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
HEADERS = ("measurement", "median", "min–max", "n", "goal", "holds", "method")
QUIET_PERCENT = 10.0
"""What others may use of all processors before we begin; beyond it what is measured says more of them."""

LOOK_S = 3.0
"""How long that is looked at. The load average of a minute would tell of what has ended."""

_INTRODUCTION = """# Performance

Written by `make bench BENCH=--write`, which measures all of this anew (once before it: `make bench-tools`). Everything
goes to the stand-in or to an nginx of its own, on loopback or in a network namespace. Runs are interleaved with those
of the peer, and quotients are taken pair by pair. Delay and loss come from a line laid with a TUN device
(`tests/network/carry.py`), as not every kernel has `netem`.
"""

_SINCE = "\n\n## Measured since\n"


def machine() -> str:
    """What is measured on, and how busy it was when we came, in a line."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    used = psutil.cpu_percent(LOOK_S)
    busy = ": BUSY, so no figure here is to be trusted but the quotients" if used > QUIET_PERCENT else ""
    return (
        f"{os.cpu_count()} × {model[1] if model else platform.machine()}, {memory_gib:.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}; others used {used:.0f} % of it before{busy}"
    )


def show(rows: Sequence[Result | Unmeasured], on: str, took_s: float) -> None:
    """Print the table."""
    console = Console()
    table = Table(*HEADERS, show_lines=True)
    for row in rows:
        table.add_row(*cells(row))
    console.print(table)
    console.print(f"{on}\nmeasured in {took_s:.0f} s")


def cells(row: Result | Unmeasured) -> tuple[str, ...]:
    """One row of the table."""
    if isinstance(row, Unmeasured):
        return (row.name, "–", "–", "0", "–", "not measured", row.why)
    digits = 3 if row.unit in {"ms", "s"} else 2
    extent = f"{min(row.values):.{digits}f}–{max(row.values):.{digits}f}"
    worst = " (worst)" if row.judged == "worst" else ""
    goal = "–" if math.isinf(row.at_most) else f"≤ {row.at_most:g} {row.unit}{worst}"
    method = f"{row.method}. {row.detail}" if row.detail else row.method
    median = f"{row.median:.{digits}f} {row.unit}"
    return (row.name, median, extent, str(len(row.values)), goal, _holds(row), method)


def _holds(row: Result) -> str:
    if math.isinf(row.at_most):
        return "–"
    return "yes" if row.holds else "NO"


def write(rows: Sequence[Result | Unmeasured], on: str, *, everything: bool) -> None:
    """Write docs/performance.md, with today's date and the commit that was measured.

    Where it is not `everything`, what was measured then stays, and these stand after it: no table mixes machines.
    """
    lines = [f"{dt.datetime.now(dt.UTC).date()}, smokeprobe {__version__} ({commit()}). {on}.", ""]
    lines += [line(HEADERS), line(["---"] * len(HEADERS)), *(line(cells(row)) for row in rows)]
    before = _INTRODUCTION if everything else DOCUMENT.read_text().partition(_SINCE)[0].rstrip("\n") + _SINCE
    DOCUMENT.write_text("\n".join([before, *lines]) + "\n")


def line(texts: Sequence[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(text.replace('|', '/').replace(chr(10), ' ') for text in texts)} |"


def commit() -> str:
    """The commit that is measured, and whether anything has been changed since."""
    command = ["git", "-c", "safe.directory=*", "describe", "--always", "--dirty"]
    said = subprocess.run(command, cwd=DOCUMENT.parent, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "no commit"

"""`smokeprobe history`: what became of occasions and runs, for people as a table, for programs as JSON lines."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from probes.checks.registry import load_settings
from probes.config.rules import guard_rules
from probes.errors import ConfigError
from probes.model import LOCAL, Outcome
from probes.options import RunOptions
from probes.reports.terminal import STYLES, clean
from probes.reports.wording import duration, milliseconds
from probes.store.database import existing_database
from probes.store.reader import Reader, Wanted
from probes.store.record import NO_DATA, Record, Run

OUTCOMES = (*(str(outcome) for outcome in Outcome), NO_DATA)
_STYLES = {str(outcome): style for outcome, style in STYLES.items()}


def show(options: RunOptions, wanted: Wanted, *, runs: bool, as_json: bool) -> None:
    """Print what is wanted, the newest first. Raises ConfigError and StoreError."""
    if wanted.outcome and wanted.outcome not in OUTCOMES:
        raise ConfigError(f"--outcome {wanted.outcome}: no such outcome; one of {', '.join(OUTCOMES)}.")
    if runs and wanted.check:
        raise ConfigError("--check is about verdicts, and --runs about runs.", hint="Leave one of them out.")
    target = guard_rules(load_settings(options.source)).origin
    reader = Reader(existing_database(options.state, options.database_url), target)
    if as_json:
        found: Iterable[dict[str, Any]] = (
            map(run_as_json, reader.runs(wanted)) if runs else map(record_as_json, reader.records(wanted))
        )
        for each in found:
            sys.stdout.write(json.dumps(each) + "\n")
        return
    console = Console()
    table = _runs(reader.runs(wanted), console) if runs else _records(reader.records(wanted), console)
    if table.row_count:
        console.print(table)
    else:
        console.print(f"Nothing of that is in the history of {target}.", markup=False, highlight=False)


def record_as_json(record: Record) -> dict[str, Any]:
    """A record as an object: its time in ISO 8601, and the verdict as it is in a report, or null."""
    verdict = json.loads(record.verdict) if record.verdict else None
    return {"kind": "verdict", **asdict(record), "at": iso(record.at), "verdict": verdict}


def run_as_json(run: Run) -> dict[str, Any]:
    """A run as an object: its time in ISO 8601."""
    return {"kind": "run", **asdict(run), "at": iso(run.at), "notes": run.notes.splitlines()}


def iso(at: float) -> str:
    """A moment, in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds")


def _records(records: list[Record], console: Console) -> Table:
    table = _table("when (UTC)", "region", "check", "outcome", "time", "what")
    for each in records:
        what = each.reason + (f" ({each.attempts} attempts)" if each.flaky else "")
        _add(table, console, each, each.check, outcome=each.outcome, more=(_time(each), what))
    return table


def _runs(runs: list[Run], console: Console) -> Table:
    table = _table("when (UTC)", "region", "how", "outcome", "took", "version", "run")
    for each in runs:
        how = f"{each.mode} {each.env}"
        more = (duration(each.duration_s), each.version, each.id[:8])
        _add(table, console, each, how, outcome=each.outcome, more=more)
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name in {"when (UTC)", "outcome", "time", "took", "run"})
    return table


def _add(
    table: Table, console: Console, each: Record | Run, second: str, *, outcome: str, more: tuple[str, ...]
) -> None:
    region = each.region if each.verified or each.region == LOCAL else f"{each.region} (unverified)"
    when = dt.datetime.fromtimestamp(each.at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    style = _STYLES.get(outcome, "dim")
    cells = [Text(when), Text(clean(region, console.encoding)), Text(clean(second, console.encoding))]
    table.add_row(*cells, Text(outcome, style), *(Text(clean(text, console.encoding)) for text in more))


def _time(record: Record) -> str:
    if record.judged_ms is None:
        return ""
    limit = f" of {milliseconds(record.limit_ms)}" if record.limit_ms else ""
    return milliseconds(record.judged_ms) + limit

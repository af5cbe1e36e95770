"""`smokeprobe baseline`: what the history suggests as limits, as a table for people and a change for `patch`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Table

from probes.baseline.changes import Keys, difference, overrides, with_overrides, worth_a_change
from probes.baseline.proposals import FEWEST, Measured, Proposal, proposals
from probes.checks.registry import build_checks, load_settings
from probes.config.rules import guard_rules
from probes.errors import ConfigError
from probes.options import RunOptions
from probes.reports.wording import milliseconds
from probes.store.database import existing_database
from probes.store.reader import Reader
from probes.store.record import Record


def propose(options: RunOptions, since: float) -> None:
    """Print the table on standard error, and the change on standard output. Raises ConfigError and StoreError."""
    path = options.source.path
    settings = load_settings(options.source)
    keys = {name: check.limits() for name, check in build_checks(settings, path).items()}
    database = existing_database(options.state, options.database_url)
    answered = Reader(database, guard_rules(settings).origin).answered(since)
    console = Console(stderr=True)
    with console.status("reading the history …"):
        found = proposals(measured(answered, keys))
    if not found:
        console.print(f"Nothing is proposed: no step of no region has {FEWEST} samples yet.")
        return
    console.print(_table(found))
    console.print(
        "A step is tried again before it counts as slow, so false alarms come more seldom than that. "
        "At most: the bound at 95 %. Hours are of UTC, and told apart from 1,000 samples up."
    )
    chosen = [each for each in found if worth_a_change(each)]
    if not chosen:
        console.print("All limits are near what is proposed.")
        return
    before = path.read_text()
    lines = overrides(chosen, keys)
    try:
        sys.stdout.write(difference(before, with_overrides(before, lines), str(path)))
    except ValueError as problem:
        hint = "Write them as a list, one to a line, or add these by hand:\n" + "\n".join(lines)
        raise ConfigError(f"{path} cannot be changed: {problem}.", hint=hint) from None


def measured(records: Iterable[Record], keys: Keys) -> Iterator[Measured]:
    """The judged times of every step whose limit stands in the configuration."""
    for record in records:
        steps = keys.get(record.check, {})
        for step in json.loads(record.verdict).get("steps", ()) if steps else ():
            judged_ms = step.get("judged_ms")
            if step["name"] in steps and judged_ms is not None and step["outcome"] in {"passed", "degraded"}:
                yield Measured(record.check, step["name"], record.region, record.at, judged_ms, step.get("limit_ms"))


def _table(found: list[Proposal]) -> Table:
    table = Table(
        title="Limits that the measured times suggest, and what share of them is beyond",
        title_justify="left", box=None, pad_edge=False, header_style="dim",
    )  # fmt: skip
    for heading in ("step", "region", "samples", "median", "p95", "now", "beyond", "better", "beyond, at most"):
        table.add_column(heading, justify="left" if heading in {"step", "region"} else "right", overflow="fold")
    for each in found:
        hours = f" {each.begin:02}–{each.end:02}h" if each.begin != each.end else ""
        now = "none" if each.limit_now_ms is None else milliseconds(each.limit_now_ms)
        spells = ", slow spells" if each.spells else ""
        table.add_row(
            f"{each.check} {each.step}", each.region + hours, f"{each.samples:,}",
            milliseconds(each.median_ms), milliseconds(each.p95_ms), now, _share(each.false_now),
            milliseconds(each.limit_ms), f"{_share(each.false_share)}, {_share(each.false_bound)}{spells}",
        )  # fmt: skip
    return table


def _share(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.3g}%"

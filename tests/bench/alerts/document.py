"""What was found out, as docs/alert-quality.md."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from probes import __version__
from probes.baseline.bounds import share_at_most
from tests.bench.alerts.bounds import percentile
from tests.bench.alerts.found import JUDGED_KINDS, Found
from tests.bench.alerts.method import LEFT_OUT, METHOD
from tests.bench.alerts.noise import Noise
from tests.bench.alerts.outages import KINDS, OURS
from tests.bench.alerts.passed import Passed
from tests.bench.alerts.peers import PEERS
from tests.bench.alerts.real import LOSS, ONE_WAY_S
from tests.bench.report import commit, line

DOCUMENT = Path(__file__).parents[3] / "docs" / "alert-quality.md"
MOST_WHYS = 5

_GOALS = {
    "runs": "at least 99.9 % of simulated runs pass while the target is there, its bound included",
    "false alerts": "less than one false alert a year, its bound included",
    "seen": "every outage that HTTP checks can see in a quorum of regions is told of",
    "time": "from outage to accepted notification: median at most 90 s, 95th percentile at most 3 min",
    "real passes": "at least 99.9 % of the real passes pass",
}


def lines(found: Found, took_s: float) -> list[str]:
    """The whole document."""
    return [
        "# How good the alerts are",
        "",
        "Written by `make bench-alerts BENCH=--write`, which finds all of this out anew: that what pages is real, and",
        "that it is told soon (A3).",
        "",
        f"{_today()}, smokeprobe {__version__} ({commit()}). {found.machine}. Took {took_s:.0f} s.",
        "",
        *_goals(found),
        "",
        "## A target that is well",
        "",
        *_runs(found),
        "",
        *_false_alerts(found),
        "",
        "## A target that is not",
        "",
        *_outages(found),
        "",
        "## Real passes",
        "",
        *_real(found),
        "",
        "## Method",
        "",
        METHOD,
        "",
        "What befalls the simulated world (`tests/bench/alerts/noise.py` has the reasons):",
        "",
        *_noise(),
        "",
        "## What the model leaves out",
        "",
        LEFT_OUT,
    ]


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def write(text: Sequence[str]) -> None:
    """Keep it."""
    DOCUMENT.write_text("\n".join(text) + "\n")


def _goals(found: Found) -> Iterator[str]:
    yield from _table(
        ("goal", "reached"), [(_GOALS[name], "yes" if held else "NO") for name, held in found.goals.items()]
    )


def _noise() -> Iterator[str]:
    noise = Noise()
    rows = [(_words(each.name), _value(getattr(noise, each.name))) for each in fields(noise)]
    yield from _table(("of the noise", "value"), rows)


def _runs(found: Found) -> Iterator[str]:
    runs = found.runs
    well = runs.runs - runs.during
    rows = [
        _share("while the target is there and can be reached", runs.bad_while_well, well),
        _share("all, deploys and a region's trouble included", runs.bad, runs.runs),
    ]
    yield from _table(
        ("simulated runs (all five checks, one region)", "runs", "not passed", "share", "at most (95 %)"), rows
    )
    yield ""
    matters = ", ".join(f"{cause}: {outcome} {count}" for (outcome, cause), count in runs.not_passed.most_common())
    yield f"What was the matter with those that have not passed: {matters}."


def _false_alerts(found: Found) -> Iterator[str]:
    years = found.years
    rows = []
    for who in (OURS, *PEERS):
        rate, bound = found.false_a_year(who)
        rows.append((_name(who), str(years.told[who]), f"{rate:.2f}", f"{bound:.2f}"))
    yield from _table(
        ("who", f"false alerts in {years.years:.0f} years of three regions", "a year", "at most (95 %)"), rows
    )
    yield ""
    causes = "; ".join(f"{rules}: {count} ({cause})" for (rules, cause), count in years.causes.most_common()) or "none"
    yield (
        f"Of {years.passes:,} passes of checks {years.failed:,} failed, {years.contradicted:,} of which a further look "
        f"at once contradicted. Our alerts by rule and what befell: {causes}."
    )


def _outages(found: Found) -> Iterator[str]:
    rows = []
    for kind in KINDS:
        cells = [kind if kind in JUDGED_KINDS else f"{kind} (no goal)"]
        for who in (OURS, *PEERS):
            times = found.times(kind, who)
            cells.append(f"{times.seen}/{times.outages}; {_seconds(times.median_s)}, {_seconds(times.p95_s)}")
        once = sum(outage.resolved == 1 for outage in found.outages[kind])
        rows.append((*cells, f"{once}"))
    head = ("outage", *(f"{_name(who)}: seen; median, p95" for who in (OURS, *PEERS)), "told once as over")
    yield from _table(head, rows)
    yield ""
    times, mail_ms = found.all_times, 1000.0 * percentile(list(found.handing_over_s), 50)
    yield (
        f"Ours over all kinds with a goal together: {times.seen} of {times.outages} seen, "
        f"median {_seconds(times.median_s)}, 95th percentile {_seconds(times.p95_s)}. "
        f"Handing a mail over took {mail_ms:.0f} ms."
    )


def _real(found: Found) -> Iterator[str]:
    if found.real.passes is None or found.real.processes is None:
        yield f"Not measured: {found.real.why_not}."
        return
    rows = [
        _real_row("within a process: clients, guard, permits, ledger, checks", found.real.passes),
        _real_row("whole processes `smokeprobe run --no-browser`", found.real.processes),
    ]
    yield from _table(
        ("passes of all HTTP checks", "passes", "outcomes", "flaky", "not passed", "at most (95 %)"), rows
    )
    yield ""
    trips = ", ".join(f"{2000 * one_way_s:.0f} ms" for one_way_s in ONE_WAY_S.values())
    yield (
        f"Against the stand-in behind nginx, over lines with round trips of {trips} and {LOSS:.1%} of packets lost "
        "each way. So few can hardly prove 99.9 %: where none of 3,000 has failed, 0.1 % are possible still."
    )
    for why in (*found.real.passes.whys, *found.real.processes.whys)[:MOST_WHYS]:
        yield f"- not passed: {why}"


def _real_row(what: str, passed: Passed) -> tuple[str, ...]:
    outcomes = ", ".join(f"{name} {count}" for name, count in sorted(passed.outcomes.items()))
    bound = share_at_most(passed.bad, passed.passes)
    return (
        what,
        f"{passed.passes:,}",
        outcomes,
        f"{passed.flaky}",
        f"{passed.bad / passed.passes:.2%}",
        f"{bound:.2%}",
    )


def _share(what: str, bad: int, of: int) -> tuple[str, ...]:
    return (what, f"{of:,}", f"{bad:,}", f"{bad / of:.3%}", f"{share_at_most(bad, of):.3%}")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield line(head)
    yield line(["---"] * len(head))
    yield from map(line, rows)


def _name(who: str) -> str:
    return "smokeprobe, shipped rules" if who == OURS else who


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if math.isfinite(seconds) else "never"


def _words(name: str) -> str:
    return name.replace("_s", " (s)").replace("_", " ") if name.endswith("_s") else name.replace("_", " ")


def _value(value: object) -> str:
    return "–".join(f"{each:g}" for each in value) if isinstance(value, tuple) else f"{value:g}"

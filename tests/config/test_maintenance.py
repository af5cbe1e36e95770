"""When nobody is told: the file with every mistake at once, and what is shipped."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from probes.config.load import shipped
from probes.config.maintenance import FILE, Maintenance, load_maintenance
from probes.errors import ConfigError

BAD = Path(__file__).with_name("bad-maintenance.yaml")

NO_CRON = 'is no cron expression that ever comes: write five fields: "0 2 * * 7"'


def test_every_mistake_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        load_maintenance(BAD)
    assert [problem.removeprefix(f"{BAD}:") for problem in raised.value.problems] == [
        f"2: windows.deploy.cron: '0 2 * *' {NO_CRON}",
        f"3: windows.never.cron: '0 0 31 2 *' {NO_CRON}",
        f"4: windows.seconds.cron: '0 0 2 * * 7' {NO_CRON}",
        "5: windows.always: begins again before it has ended",
        "6: windows.long.lasts: 192 h is too long for a window: 7d at most",
        "7: windows.both: a window has either cron and lasts, or from and until",
        "8: windows.half: a window has either cron and lasts, or from and until",
        "9: windows.turned: until is not after from",
        "10: windows.month: is too long for a window: 7d at most",
        "11: windows.days.reason: is empty: say why, for those who wonder",
        "11: windows.days.zone: 'Berlin' is not a time zone: write Europe/Berlin or UTC",
        "11: windows.days.from: '2026-02-30 10:00' is in no calendar",
        "11: windows.days.until: 'tomorrow' is no moment: write 2026-03-29 22:00; the zone stands by itself",
        "12: windows.Names: 'Names' is not a name: small letters, digits, - and _, at most 40",
        "12: windows.Names.lasts: '2 hours' is not a time with its unit: write 100ms, 30s, 5m, 2h or 21d",
        "12: windows.Names.rule: unknown key; did you mean rules?",
        "14: mutes.endless.until: is missing",
        "15: mutes.groundless.rules.0: 'Slow' is not a name: small letters, digits, - and _, at most 40",
        "15: mutes.groundless.reason: is missing",
        "16: mutes.nowhere.zone: is missing",
        "17: window: unknown key; did you mean windows?",
    ]


def test_without_a_file_nothing_is_quiet(tmp_path: Path) -> None:
    assert load_maintenance(tmp_path / FILE).maintenance == Maintenance()


def test_the_example_that_is_shipped_is_right(tmp_path: Path) -> None:
    """What stands there as a comment, taken at its word."""
    shown = (shipped("config") / FILE).read_text().split("#\n", 1)[1].split("windows: {}")[0]
    path = tmp_path / FILE
    path.write_text("".join(f"{line.removeprefix('# ')}\n" for line in shown.splitlines()))
    found = load_maintenance(path).maintenance
    assert (set(found.windows), set(found.mutes)) == ({"deployments", "move"}, {"slow-search"})


def test_what_has_had_its_time_is_known(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text("""\
windows:
  gone: { from: 2026-01-01 00:00, until: 2026-01-01 01:00, reason: moved, zone: UTC }
  again: { cron: "0 2 * * 7", lasts: 1h, reason: backups, zone: UTC }
mutes:
  late: { until: 2026-03-01 12:00, reason: known, zone: Europe/Berlin }
  later: { until: 2026-03-01 12:01, reason: known, zone: Europe/Berlin }
""")
    noon_in_berlin = dt.datetime(2026, 3, 1, 11, tzinfo=dt.UTC).timestamp()
    assert load_maintenance(path).maintenance.over(noon_in_berlin) == ["gone", "late"]

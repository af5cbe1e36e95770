"""`smokeprobe alerts test`: as people use it, with files; and every mistake of a series."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from probes.alerts.replay import read_series
from probes.cli import app
from probes.errors import ConfigError
from tests.alerts.sample import HERE, rules
from tests.alerts.stories import minutes
from tests.config.sample import write


def play(folder: Path, series: str) -> Result:
    rules(folder, one={"evaluator": "datadog"}, elsewhere={"environments": ["elsewhere"], "samples": 1})
    config, file = write(folder, HERE), folder / "series.jsonl"
    file.write_text(series, encoding="utf-8")
    files = ["--rules", str(folder / "alert-rules.yaml"), "--series", str(file), "--config", str(config)]
    return CliRunner().invoke(app, ["alerts", "test", *files])


def test_what_would_have_been_sent_is_printed_line_by_line(tmp_path: Path) -> None:
    result = play(tmp_path, "\n".join(minutes({"us": ".....x.....", "eu": ".....x.....", "ap": "..........."})))
    assert result.exit_code == 0, result.output
    assert [json.loads(line) for line in result.output.splitlines()] == [
        {"t": 300, "rule": "one", "change": "firing", "channels": ["oncall@example.com"]},
        {"t": 600, "rule": "one", "change": "resolved", "channels": ["oncall@example.com"]},
    ]


def test_without_a_file_or_a_rule_it_says_so(tmp_path: Path) -> None:
    config = str(write(tmp_path, HERE))
    base = ["alerts", "test", "--config", config, "--series", str(tmp_path / "none")]
    missing = CliRunner().invoke(app, [*base, "--rules", str(tmp_path / "none")])
    assert (missing.exit_code, missing.output) == (2, f"{tmp_path / 'none'} is no file with rules.\n")
    rules(tmp_path, one={"environments": ["elsewhere"]})
    nothing = CliRunner().invoke(app, [*base, "--rules", str(tmp_path / "alert-rules.yaml")])
    assert nothing.exit_code == 2
    assert "has no rule for here. Choose another one with --env or --config." in nothing.output
    rules(tmp_path, one={})
    no_series = CliRunner().invoke(app, [*base, "--rules", str(tmp_path / "alert-rules.yaml")])
    assert (no_series.exit_code, no_series.output) == (
        2,
        f"{tmp_path / 'none'} cannot be read: No such file or directory.\n",
    )


def test_every_mistake_of_a_series_at_once(tmp_path: Path) -> None:
    line = {"t": 0, "region": "us", "check": "front", "outcome": "passed"}
    wrong = [
        "no JSON",
        "[]",
        '{"region": "us"}',
        '{"t": NaN}',
        json.dumps({**line, "outcom": "passed"}),
        json.dumps({"t": 0, "region": "us", "check": "front"}),
        json.dumps({**line, "region": 7}),
        json.dumps({**line, "outcome": "fialed"}),
        json.dumps({**line, "metrics": [1]}),
        json.dumps({**line, "metrics": {"smoke_test.sucess": 1}}),
        json.dumps({**line, "metrics": {"smoke_test.success": "1"}}),
        json.dumps({**line, "metrics": {"smoke_test.success": []}}),
        json.dumps({**line, "metrics": {"smoke_test.success": 10**400}}),
        json.dumps({**line, "t": 10**400}),
        "[" * 100_000,
    ]
    result = play(tmp_path, "\n".join([json.dumps(line), "", *wrong]))
    assert result.exit_code == 2
    shape = 'is no line of a series: {"t": seconds, "region", "check", "outcome", "metrics": {...}}'
    assert [text.strip().removeprefix(f"{tmp_path / 'series.jsonl'}") for text in result.output.splitlines()] == [
        " is no series:",
        ":3: is no JSON: Expecting value",
        f":4: {shape}",
        f":5: {shape}",
        f":6: {shape}",
        ":7: 'outcom' is no key of it; did you mean outcome?",
        ":8: outcome must be a text",
        ":9: region must be a text",
        ":10: 'fialed' is no outcome; did you mean failed?",
        ":11: metrics must be a mapping of names to values",
        ":12: 'smoke_test.sucess' is no metric of ours; did you mean smoke_test.success?",
        ":13: smoke_test.success must be a number, or a list of some",
        ":14: smoke_test.success must be a number, or a list of some",
        ":15: smoke_test.success must be a number, or a list of some",
        f":16: {shape}",
        ":17: is nested too deep",
    ]


def test_of_a_file_that_is_no_series_at_all_not_every_line_is_said() -> None:
    with pytest.raises(ConfigError) as raised:
        list(read_series(["nothing"] * 1000, "series"))
    assert len(raised.value.problems) == 20

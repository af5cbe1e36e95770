"""Dashboards as they are described: every mistake of every file at once, and what is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from probes.checks.registry import load_settings
from probes.config.dashboards import Threshold, Widget, load_dashboards
from probes.config.load import Source, shipped
from probes.config.metrics import METRICS
from probes.errors import ConfigError
from probes.monitoring.samples import WHOLE_RUN

BAD = Path(__file__).with_name("bad-dashboards")


def widget(**said: object) -> Widget:
    usual = {"title": "A", "why": "It is for a test.", "show": "value", "metrics": ["smoke_test.success"]}
    return Widget.model_validate({**usual, **said})


def test_every_mistake_of_every_file_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        load_dashboards(BAD)
    assert [problem.removeprefix(f"{BAD}/") for problem in raised.value.problems] == [
        "Not A Key.yaml: its name is no key: small letters, digits, - and _, at most 40",
        "one.yaml:1: title: string should have at least 1 character",
        "one.yaml:2: purpose: string should have at least 10 characters",
        "one.yaml:3: span: must be '1h', '4h', '1d', '2d' or '1w'",
        "one.yaml:7: sections.0.widgets.0.show: must be 'value', 'series', 'top_list', 'table' or 'status'",
        (
            "one.yaml:7: sections.0.widgets.0.metrics.0: 'smoke_test.sucess' is no metric of ours; "
            "did you mean smoke_test.success?"
        ),
        "one.yaml:8: sections.0.widgets.1: a value is one number: without by",
        ("one.yaml:9: sections.0.widgets.2: a table has a row for each series: say by: [check] or by: [check, region]"),
        (
            "one.yaml:10: sections.0.widgets.3: warning: '200' is not a time with its unit: "
            "write 100ms, 30s, 5m, 2h or 21d"
        ),
        ("one.yaml:11: sections.0.widgets.4.warning: 'over 200ms' is no threshold: write above 200ms or below 90%"),
        "one.yaml:12: sections.0.widgets.5: critical: '0.9' is not per cent: write 90%",
        "one.yaml:13: sections.0.widgets.6: as_percent: is for fractions of one only",
        "one.yaml:14: sections.0.widgets.7: its metrics have different units: none, second",
        "one.yaml:15: sections.0.widgets.8: critical lies on the same side as warning, and further out",
        "one.yaml:16: sections.0.widgets.9.checks.0: 'No' is no check's name; _run is the whole run",
        "one.yaml:16: sections.0.widgets.9.colour: unknown key",
        "two.yaml:2: title: stands here twice, first on line 1",
        "two.yaml:4: sections: must not be empty",
    ]


def test_what_is_shipped_speaks_of_checks_that_there_are() -> None:
    dashboards = load_dashboards(shipped("config") / "dashboards")
    assert set(dashboards) == {"production_health", "smoke_test_status"}
    checks = set(load_settings(Source(shipped("config") / "production.yaml")).checks)
    widgets = [widget for board in dashboards.values() for section in board.sections for widget in section.widgets]
    assert {check for widget in widgets for check in widget.checks} <= {*checks, WHOLE_RUN}
    shown = {metric for widget in widgets for metric in widget.metrics}
    assert shown == set(METRICS) - {"smoke_test.test"}
    titles = [widget.title for widget in widgets]
    assert len(set(titles)) == len(titles)


def test_thresholds_are_of_the_unit_that_is_shown() -> None:
    assert widget(as_percent=True, warning="below 99.9%", critical="below 90%").thresholds == (
        Threshold("critical", above=False, value=90.0), Threshold("warning", above=False, value=99.9),
    )  # fmt: skip
    assert widget(metrics=["smoke_test.api_response"], warning="above 0.5s").thresholds[0].value == 500.0
    assert widget(metrics=["smoke_test.duration"], warning="above 500ms").thresholds[0].value == 0.5
    assert widget(metrics=["smoke_test.certificate_days"], warning="below 12h").thresholds[0].value == 0.5
    assert widget(metrics=["smoke_test.budget_used"], warning="above 9.5%").thresholds[0].value == 9.5
    assert widget(metrics=["smoke_test.duration"], statistic="samples", warning="below 1").thresholds[0].value == 1.0


@pytest.mark.parametrize("said", ["above", "above x", "below nan", "below nan%", "200", "above -1", "above inf"])
@pytest.mark.parametrize("metric", ["smoke_test.api_response", "smoke_test.web_vitals.cls", "smoke_test.budget_used"])
def test_what_is_no_threshold(said: str, metric: str) -> None:
    with pytest.raises(ValidationError):
        widget(metrics=[metric], warning=said)


def test_no_dashboards_are_none(tmp_path: Path) -> None:
    assert load_dashboards(tmp_path / "none") == {}

"""The JSON report is what its published schema says, no more and no less."""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from probes.model import Outcome, RunReport, Step
from probes.reports.json_report import SCHEMA_VERSION, to_json, write_json
from tests.reports import sample

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "run-report.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def _written(report: RunReport, folder: Path) -> dict[str, Any]:
    def no_constants(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    write_json(folder / "report.json", report)
    document: dict[str, Any] = json.loads((folder / "report.json").read_text(), parse_constant=no_constants)
    return document


def test_the_schema_is_one_and_describes_every_field() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION

    def check(name: str, part: dict[str, Any]) -> None:
        if "properties" in part:
            assert part["additionalProperties"] is False, name
            for key, value in part["properties"].items():
                assert "$ref" in value or value.get("description"), f"{name}.{key}"
                check(f"{name}.{key}", value)

    check("report", SCHEMA)
    for name, part in SCHEMA["$defs"].items():
        assert part["description"], name
        check(name, part)


@pytest.mark.parametrize("report", [sample.PASSED, sample.FAILED, sample.MIXED, sample.INCONCLUSIVE, sample.EMPTY])
def test_real_reports_are_valid(report: RunReport, tmp_path: Path) -> None:
    VALIDATOR.validate(_written(report, tmp_path))


def test_a_report_of_hostile_texts_is_valid(tmp_path: Path) -> None:
    report = sample.hostile()
    document = _written(report, tmp_path)
    VALIDATOR.validate(document)
    assert document["checks"][0]["name"] == sample.HOSTILE


def test_the_fields_are_those_of_the_run(tmp_path: Path) -> None:
    document = _written(sample.FAILED, tmp_path)
    health, homepage = document["checks"][:2]
    assert document["exit_code"] == 1
    assert document["outcome"] == "failed"
    assert document["requests"] == {"sent": 31, "blocked": 4, "by_method": {"GET": 27, "POST": 4}}
    assert document["rate_limits"][1] == {
        "name": "burst", "limit": 10, "window_s": 1, "ceiling": 0.5, "peak": 1, "peak_percent": 5.0,
    }  # fmt: skip
    assert document["metrics"]["health.cache_hit_rate"] == 0.93
    assert health["reason"] == {
        "step": "GET /api/v1/status", "layer": "http", "rule": "status code", "expected": "200", "actual": "503",
        "request_id": sample.REQUEST_ID, "trace_id": sample.TRACE_ID, "text": str(sample.BROKEN),
    }  # fmt: skip
    assert health["steps"][1]["reason"] == health["reason"]
    assert health["steps"][0]["reason"] is None
    assert health["steps"][0]["phases"] == {
        "dns_ms": 0.4, "connect_ms": 0.5, "tls_ms": 3.2, "ttfb_ms": 3.1, "download_ms": 0.2,
    }  # fmt: skip
    assert (health["steps"][0]["duration_ms"], health["steps"][0]["judged_ms"]) == (7.4, 3.1)
    assert "screenshot" not in health
    assert homepage["screenshot"] == "screenshots/homepage.png"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_become_null_or_are_left_out(number: float, tmp_path: Path) -> None:
    step = Step("x", Outcome.PASSED, number, number, number)
    verdict = replace(sample.HEALTH, steps=(step,), certificate_days=number, metrics={"a": number, "b": 1.0})
    report = replace(sample.report(Outcome.PASSED, 0, verdict), duration_s=number)
    document = _written(report, tmp_path)
    VALIDATOR.validate(document)
    assert document["metrics"] == {"health.b": 1.0}
    assert document["duration_s"] is None
    assert document["checks"][0]["steps"][0]["duration_ms"] is None


def _without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document.pop(key)


@pytest.mark.parametrize(
    "spoil",
    [
        *(_without(key) for key in SCHEMA["required"]),
        lambda document: document.update(extra=1),
        lambda document: document.update(schema_version="2.0"),
        lambda document: document.update(outcome="fine"),
        lambda document: document.update(exit_code=7),
        lambda document: document.update(duration_s="2 s"),
        lambda document: document["metrics"].update({"health.x": "1"}),
        lambda document: document["checks"][0].update(passed=True),
        lambda document: document["checks"][0].pop("attempts"),
        lambda document: document["checks"][0]["reason"].update(layer="wire"),
        lambda document: document["checks"][0]["steps"][0].update(body="secret"),
        lambda document: document["checks"][0]["steps"][0]["phases"].pop("tls_ms"),
        lambda document: document["requests"]["by_method"].update(GET=-1),
        lambda document: document["rate_limits"][0].update(limit=0),
    ],
)
def test_a_wrong_document_is_refused(spoil: Callable[[dict[str, Any]], Any]) -> None:
    document = copy.deepcopy(to_json(sample.FAILED))
    VALIDATOR.validate(document)
    spoil(document)
    with pytest.raises(ValidationError):
        VALIDATOR.validate(document)

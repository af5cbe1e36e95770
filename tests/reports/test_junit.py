"""The JUnit report, read back as a CI system would."""

from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from probes.model import RunReport
from probes.reports.junit import write_junit
from tests.reports import sample


def _read(report: RunReport, folder: Path) -> tuple[TestSuite, list[TestCase]]:
    write_junit(folder / "junit.xml", report)
    suite = next(iter(JUnitXml.fromfile(str(folder / "junit.xml"))))
    assert isinstance(suite, TestSuite)
    return suite, list(suite)


def test_a_passed_run_is_a_suite_of_passed_cases(tmp_path: Path) -> None:
    suite, cases = _read(sample.PASSED, tmp_path)
    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == (
        "smokeprobe production us-east-1", 5, 0, 0, 0,
    )  # fmt: skip
    assert suite.time == 2.13
    assert suite.timestamp == "2024-01-27T10:00:00Z"
    properties = suite.properties()  # type: ignore[no-untyped-call]  # junitparser is typed in part
    assert {entry.name: entry.value for entry in properties}["run_id"] == "01JHX3-7Q"
    assert [case.name for case in cases] == ["health", "homepage", "enhancement", "login", "api"]
    assert cases[0].classname == "smokeprobe.production.us-east-1"
    assert cases[1].time == 1.2
    assert all(case.is_passed for case in cases)
    assert "passed    GET /health  3.1 ms of at most 100 ms" in str(cases[0].system_out)
    assert "attempts: 2 (flaky)" in str(cases[2].system_out)


def test_each_outcome_becomes_the_result_that_ci_knows(tmp_path: Path) -> None:
    suite, cases = _read(sample.MIXED, tmp_path)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (5, 2, 2, 1)
    results = [case.result[0] for case in cases]
    assert [(type(result), result.type) for result in results] == [
        (Failure, "failed"),
        (Skipped, "skipped"),
        (Error, "throttled"),
        (Error, "error"),
        (Failure, "degraded"),
    ]
    assert results[0].message == str(sample.BROKEN)
    assert "Look the request up" in str(results[0].text)


def test_hostile_text_leaves_the_document_whole(tmp_path: Path) -> None:
    suite, (case,) = _read(sample.hostile(), tmp_path)
    assert suite.failures == 1
    assert "<img src=x onerror=alert(1)>" in str(case.result[0].message)  # as text
    raw = (tmp_path / "junit.xml").read_bytes()
    assert b"<img" not in raw
    assert not {0x00, 0x1B} & set(raw)


def test_a_run_without_checks_is_a_suite_too(tmp_path: Path) -> None:
    suite, cases = _read(sample.EMPTY, tmp_path)
    assert (suite.tests, cases) == (0, [])

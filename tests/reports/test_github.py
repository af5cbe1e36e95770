"""What GitHub Actions is given: rendered as GitHub would, hostile text cannot leave its cell or give a command."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from probes.errors import SmokeprobeError
from probes.model import RunReport
from probes.reports.github import CommandStop, annotations, markdown, write_summary
from tests.reports import sample


def _html(report: RunReport) -> str:
    return str(MarkdownIt("commonmark").enable("table").enable("strikethrough").render(markdown(report)))


def test_the_summary_is_appended_where_github_wants_it(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("from before\n")
    write_summary(sample.FAILED, {"GITHUB_STEP_SUMMARY": str(path)})
    assert path.read_text() == "from before\n" + markdown(sample.FAILED)


def test_without_github_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_summary(sample.FAILED, {})
    write_summary(sample.FAILED, {"GITHUB_STEP_SUMMARY": ""})
    assert list(tmp_path.iterdir()) == []


def test_a_summary_that_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(SmokeprobeError, match=r"cannot write the job summary .*: Is a directory"):
        write_summary(sample.FAILED, {"GITHUB_STEP_SUMMARY": str(tmp_path)})


def test_a_summary_too_long_for_github_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    write_summary(replace(sample.PASSED, notes=("é" * 600_000,)), {"GITHUB_STEP_SUMMARY": str(path)})
    assert path.stat().st_size <= 1024 * 1024
    assert path.read_text().endswith("The rest was too long.\n")


def test_the_summary_says_what_happened() -> None:
    html = _html(sample.MIXED)
    assert "<h3>:x: Failed: https://shop.example.com</h3>" in html
    assert html.count("<tr>") == 1 + 5 + 1 + 2
    assert "<td>:warning: api</td>\n<td>degraded</td>\n<td>GET /api/v1/test</td>" in html
    assert '<td style="text-align:right">312 ms</td>\n<td style="text-align:right">200 ms</td>' in html
    assert "expected 200, got 503" in html
    assert "<td>enhance</td>" in html
    assert "3 s ahead" in html


def test_hostile_text_cannot_break_the_table() -> None:
    html = _html(sample.hostile())
    assert html.count("<tr>") == 1 + 1 + 1 + 1
    assert html.count("<td") == 5 + 4
    assert "<img" not in html
    assert "</script" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert not any(f"<{tag}>" in html for tag in ("code", "em", "s", "a"))
    assert "\x1b" not in html


def test_annotations_name_each_check_that_is_not_passed() -> None:
    failed, throttled, error, degraded = annotations(sample.MIXED)
    assert failed.startswith(
        "::error title=health failed::GET /api/v1/status (http): status code; expected 200, got 503"
    )
    assert throttled.startswith("::warning title=enhancement throttled::")
    assert error.startswith("::warning title=login error::login (account): the account basic is locked")
    assert degraded.startswith("::warning title=api degraded::")
    assert annotations(sample.PASSED) == []


def test_hostile_text_cannot_give_a_command() -> None:
    (line,) = annotations(sample.hostile())
    assert "\n" not in line
    assert "\r" not in line
    title = line.split("::")[1]
    assert title.startswith("error title=")
    assert ":" not in title
    assert "100%25" in line
    assert "%0D%0A" in line


@pytest.mark.parametrize(
    ("environ", "lines"), [({}, 0), ({"GITHUB_ACTIONS": "false"}, 0), ({"GITHUB_ACTIONS": "true"}, 4)]
)
def test_annotations_are_printed_in_github_actions_only(environ: dict[str, str], lines: int) -> None:
    stream = io.StringIO()
    CommandStop(environ, stream).annotate(sample.MIXED)
    assert len(stream.getvalue().splitlines()) == lines


def test_a_region_that_nothing_bears_out() -> None:
    assert "us-east-1 (unverified)" in _html(replace(sample.PASSED, region_verified=False))
    assert "(unverified)" not in _html(sample.PASSED)


def test_what_is_shown_between_stop_and_resume_is_no_command() -> None:
    stream = io.StringIO()
    commands = CommandStop({"GITHUB_ACTIONS": "true"}, stream)
    commands.stop()
    stream.write("    ::stop-commands::pwned\n")
    commands.annotate(sample.FAILED)
    commands.resume()
    commands.resume()
    lines = stream.getvalue().splitlines()
    word = lines[0].removeprefix("::stop-commands::")
    assert len(word) == 32
    assert lines[2] == lines[-1] == f"::{word}::"
    assert lines[-2] == lines[0]
    assert all(line.startswith("::error") for line in lines[3:-2])
    assert len(lines) > 5
    other = io.StringIO()
    CommandStop({}, other).stop()
    assert other.getvalue() == ""

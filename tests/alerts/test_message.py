"""A notice in words: short for a phone, complete below, in lines that have an end."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.alerts.mail_page import page
from probes.alerts.message import LONGEST_SUBJECT, message, span, subject
from probes.alerts.notice import Affected, Change, Notice, Severity, Trouble
from probes.config.channels import Channels
from tests.alerts.notices import FIRING, HEALTH, REMINDER, RESOLVED, SUCCESS, channels

PAGES = replace(SUCCESS, rule="pages", checks=(replace(HEALTH, check="homepage"),))

WORSE = replace(FIRING, number=2, change="worse", troubles=(SUCCESS, PAGES))
LONG = replace(FIRING, troubles=(replace(SUCCESS, rule="r" * 41),))


@pytest.mark.parametrize(
    ("notice", "said"),
    [
        (FIRING, "CRITICAL success 0.42: api, health - production"),
        (replace(FIRING, severity="warning"), "Warning success 0.42: api, health - production"),
        (replace(FIRING, troubles=()), "CRITICAL alert - production"),
        (WORSE, "WORSE success +1 0.42: api, health, homepage - production"),
        (replace(WORSE, env="a-very-long-environment"), "WORSE success +1 0.42: api +2 - a-very-long-environ…"),
        (REMINDER, "STILL success 0.42 for 3 h: api, health - production"),
        (RESOLVED, "OVER success after 2 h 5 min: api, health - production"),
        (replace(FIRING, test=True), "TEST CRITICAL success 0.42: api, health - production"),
        (LONG, f"CRITICAL production {'r' * 39}…"),
    ],
)  # fmt: skip
def test_a_subject_has_the_essence_first(notice: Notice, said: str) -> None:
    assert subject(notice) == said


def test_all_that_was_asked_for(tmp_path: Path) -> None:
    assert message(FIRING, channels(tmp_path)).text == GOLDEN


GOLDEN = """\
Critical: rule success in production.
Since: 2026-11-30 12:00:00 UTC
Target: https://betterprompts.com

Rule success
Expected: mean of smoke_test.success at least 0.9 over 5 min
Actual: 0.42
Where: us-east-1, eu-west-1 (2 needed)
What to do: https://docs.example.com/guide.md#success

Check api
Why: GET /api/v1/test: status expected 200, got 503
Where: us-east-1, eu-west-1
Last good: 118 ms, 2026-11-30 11:58:30 UTC
Request: req-5f2c
Trace: https://traces.example.com/t/4bf92f3577b34da6a3ce929d0e0e4736

Check health
Why: database expected healthy, got down
Where: us-east-1
Last good: none is remembered

Run: https://ci.example.com/runs/17
Incident: production/2026-11-30T12:00:00/7f3a, message 1
Sent: 2026-11-30 12:00:03 UTC by smokeprobe
"""


def test_what_is_over_says_how_long_it_lasted() -> None:
    said = message(RESOLVED, Channels()).text
    assert (
        "It is over: rule success in production.\nSince: 2026-11-30 12:00:00 UTC\nUntil: 2026-11-30 14:05:00 UTC\n"
        in said
    )
    assert "Lasted: 2 h 5 min\n" in said


def test_a_test_and_what_comes_and_goes_say_so() -> None:
    said = message(replace(FIRING, test=True, flapping=True), Channels()).text
    assert "Test: sent by hand; nothing has happened" in said
    assert "Note: it comes and goes" in said


def test_without_links_the_ids_are_there() -> None:
    said = message(FIRING, Channels()).text
    assert "Trace: 4bf92f3577b34da6a3ce929d0e0e4736\n" in said
    assert "What to do" not in said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (-3, "0 s"), (119, "119 s"), (120, "2 min"), (3599, "59 min"), (3600, "1 h"), (7500, "2 h 5 min"),
     (86400, "1 d"), (277200, "3 d 5 h")],
)  # fmt: skip
def test_lengths_of_time(seconds: float, said: str) -> None:
    assert span(seconds) == said


class Reader(HTMLParser):
    """What a mail program shows of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.links, self.tags = "", list[str](), set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_the_same_and_fetches_nothing(tmp_path: Path) -> None:
    said = message(replace(FIRING, target="https://x.example/<script>alert(1)</script>&\"'"), channels(tmp_path))
    reader = Reader()
    reader.feed(page(said))
    assert "https://x.example/<script>alert(1)</script>&\"'" in reader.text
    assert reader.tags <= {"html", "head", "meta", "title", "body", "h2", "div", "span", "a", "hr"}
    assert reader.links == [line.url for part in said.parts for line in part.lines if line.url]


CHANGES: list[Change] = ["firing", "worse", "reminder", "resolved"]
SEVERITIES: list[Severity] = ["critical", "warning", "info"]


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(max_size=400),
    times=st.integers(0, 9),
    change=st.sampled_from(CHANGES),
    severity=st.sampled_from(SEVERITIES),
    at=st.floats(0, 2e9),
)
def test_whatever_is_in_a_notice_its_lines_have_an_end_and_no_control_characters(
    text: str, times: int, change: Change, severity: Severity, at: float
) -> None:
    check = Affected(text, (text,) * times, text, text, text, at, text)
    trouble = Trouble(text, text, text, text, (text,) * times, 2, (check,) * times)
    notice = Notice(text, 1, change, severity, text, text, at, at, (trouble,) * times, text, test=bool(times % 2))
    said = message(notice, channels_with_links())
    assert 0 < len(said.subject) <= LONGEST_SUBJECT
    assert said.subject.isprintable()
    assert all(len(line) <= 1600 and line.isprintable() for line in said.text.split("\n"))
    assert len(said.text) < 100_000
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", page(said))


def channels_with_links() -> Channels:
    return Channels(trace_url="https://traces.example.com/{trace_id}", guide_url="https://docs.example.com/guide")


def test_what_is_looked_at_no_more_is_not_called_over(tmp_path: Path) -> None:
    said = message(replace(RESOLVED, unwatched=("success",)), channels(tmp_path))
    assert said.subject.startswith("UNWATCHED success")
    assert said.text.startswith("It is watched no more: rule success in production.")
    assert "Note: nobody knows whether it is good: success is looked at no more" in said.text

"""A notice in words: a subject for a phone, and below it what, where, since when, and where to look.

What is in a notice is redacted already. Here each text becomes one line of a length that has an end, and times are in
UTC, and say so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from probes.alerts.guide import section_of
from probes.alerts.notice import Affected, Notice, Trouble
from probes.config.channels import TRACE, Channels

LONGEST_SUBJECT = 60
"""Characters: about what a phone shows of it on a locked screen."""

LONGEST_TEXT, LONGEST_ID, LONGEST_URL = 300, 80, 500
MOST_TROUBLES, MOST_CHECKS = 5, 6
"""So many are told at length, the others by their names."""


@dataclass(frozen=True, slots=True)
class Line:
    """`label: text`; with a URL it is a link."""

    label: str
    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Lines under a heading."""

    heading: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """What is said, for a channel to lay out."""

    subject: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """All but the subject, as plain text."""
        return "\n\n".join("\n".join(_plain(part)) for part in self.parts) + "\n"


def message(notice: Notice, channels: Channels) -> Message:
    """The words of a notice; links lead to where the configuration says."""
    troubles = notice.troubles[:MOST_TROUBLES]
    parts = [_head(notice)]
    for trouble in troubles:
        parts.append(_of_trouble(trouble, channels))
        parts += [_of_check(check, channels) for check in trouble.checks[:MOST_CHECKS]]
        if rest := trouble.checks[MOST_CHECKS:]:
            parts.append(Part(f"and {len(rest)} checks more", (Line("", names([one.check for one in rest])),)))
    if more := notice.troubles[MOST_TROUBLES:]:
        parts.append(Part(f"and {len(more)} rules more", (Line("", names([one.rule for one in more])),)))
    parts.append(_foot(notice))
    return Message(subject(notice), tuple(parts))


def subject(notice: Notice) -> str:
    """The essence first: `CRITICAL success 0.42: api, health - production`."""
    prefix = "TEST " if notice.test else ""
    word, lasted = _word(notice), _lasted(notice)
    first = notice.troubles[0] if notice.troubles else None
    rule = one_line(first.rule, 40) if first else "alert"
    more = f" +{len(notice.troubles) - 1}" if len(notice.troubles) > 1 else ""
    actual = f" {one_line(first.actual, 20)}" if first and first.actual and notice.change != "resolved" else ""
    checks = list(dict.fromkeys(one_line(check.check, 40) for trouble in notice.troubles for check in trouble.checks))
    env = one_line(notice.env, 20)
    few = f"{checks[0]} +{len(checks) - 1}" if len(checks) > 1 else "".join(checks)
    for what, which in ((actual, names(checks)), (actual, few), ("", few), ("", "")):
        text = f"{prefix}{word} {rule}{more}{what}{lasted}{': ' if which else ''}{which} - {env}"
        if len(text) <= LONGEST_SUBJECT:
            return text
    return one_line(f"{prefix}{word} {env} {rule}", LONGEST_SUBJECT)


def one_line(text: str, most: int = LONGEST_TEXT) -> str:
    """Without line ends and what else no one sees, and no longer than that."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def names(found: list[str], most: int = LONGEST_TEXT) -> str:
    """Names, one after another."""
    return one_line(", ".join(found), most)


def when(at: float) -> str:
    """A moment, in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: float) -> str:
    """A length of time in at most two units: `48 s`, `12 min`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole} s"
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole // 60} min"


def trace_link(trace_id: str, channels: Channels) -> str:
    """Where a trace can be seen; empty where nobody has said."""
    return channels.trace_url.replace(TRACE, quote(trace_id, safe="")) if channels.trace_url and trace_id else ""


def guide_link(trouble: Trouble, channels: Channels) -> str:
    """The section of the response guide about a rule; empty where nobody has said where the guide is."""
    return f"{channels.guide_url}#{section_of(trouble.rule, trouble.metric)}" if channels.guide_url else ""


def _word(notice: Notice) -> str:
    if notice.change == "firing":
        return {"critical": "CRITICAL", "warning": "Warning", "info": "Info"}[notice.severity]
    if notice.unwatched:
        return "UNWATCHED"
    return {"worse": "WORSE", "reminder": "STILL", "resolved": "OVER"}[notice.change]


def _lasted(notice: Notice) -> str:
    words = {"reminder": "for", "resolved": "after"}
    return f" {words[notice.change]} {span(notice.at - notice.since)}" if notice.change in words else ""


def _head(notice: Notice) -> Part:
    which = [trouble.rule for trouble in notice.troubles]
    rules = f"{'rule' if len(which) == 1 else 'rules'} {names(which)}"
    said = {
        "firing": f"{notice.severity.capitalize()}: {rules} in {notice.env}.",
        "worse": f"It has become worse: {rules} in {notice.env}.",
        "reminder": f"It goes on: {rules} in {notice.env}.",
        "resolved": f"It is {'watched no more' if notice.unwatched else 'over'}: {rules} in {notice.env}.",
    }[notice.change]
    lines = [Line("Since", when(notice.since))]
    if notice.change == "resolved":
        lines.append(Line("Until", when(notice.at)))
    if notice.change != "firing":
        lines.append(Line("Lasted" if notice.change == "resolved" else "Lasts for", span(notice.at - notice.since)))
    lines.append(Line("Target", one_line(notice.target)))
    if notice.flapping:
        lines.append(Line("Note", "it comes and goes, and is told as over only when it stays so"))
    if notice.unwatched:
        lines.append(
            Line("Note", f"nobody knows whether it is good: {names(list(notice.unwatched))} is looked at no more")
        )
    if notice.test:
        lines.insert(0, Line("Test", "sent by hand; nothing has happened, and nothing is to be done"))
    return Part(one_line(said), tuple(lines))


def _of_trouble(trouble: Trouble, channels: Channels) -> Part:
    where = names(list(trouble.regions)) or "no region"
    lines = [Line("Expected", one_line(trouble.expected))]
    if trouble.actual:
        lines.append(Line("Actual", one_line(trouble.actual)))
    lines.append(Line("Where", f"{where} ({trouble.quorum} needed)"))
    if url := guide_link(trouble, channels):
        lines.append(Line("What to do", "response guide", one_line(url, LONGEST_URL)))
    return Part(f"Rule {one_line(trouble.rule, LONGEST_ID)}", tuple(lines))


def _of_check(check: Affected, channels: Channels) -> Part:
    return Part(f"Check {one_line(check.check, LONGEST_ID)}", tuple(_lines_of_check(check, channels)))


def _lines_of_check(check: Affected, channels: Channels) -> Iterator[Line]:
    if check.reason:
        yield Line("Why", one_line(check.reason))
    yield Line("Where", names(list(check.regions)) or "no region")
    if check.last_good_at is not None:
        value = f"{one_line(check.last_good, LONGEST_ID)}, " if check.last_good else ""
        yield Line("Last good", f"{value}{when(check.last_good_at)}")
    else:
        yield Line("Last good", "none is remembered")
    if check.request_id:
        yield Line("Request", one_line(check.request_id, LONGEST_ID))
    if check.trace_id:
        trace = one_line(check.trace_id, LONGEST_ID)
        yield Line("Trace", trace, trace_link(trace, channels))


def _foot(notice: Notice) -> Part:
    lines = [Line("Run", "its report", one_line(notice.run_url, LONGEST_URL))] if notice.run_url else []
    lines.append(Line("Incident", f"{one_line(notice.key, LONGEST_ID)}, message {notice.number}"))
    lines.append(Line("Sent", f"{when(notice.at)} by smokeprobe"))
    return Part("", tuple(lines))


def _plain(part: Part) -> Iterator[str]:
    if part.heading:
        yield part.heading
    for line in part.lines:
        label = f"{line.label}: " if line.label else ""
        yield f"{label}{line.url or line.text}"

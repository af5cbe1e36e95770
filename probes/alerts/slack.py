"""Slack: by a bot, whose later notices of an incident go into the thread of its first, or by a channel's webhook.

Slack has nothing by which it knows a message that comes twice: who was cut off sends it again, and there may be two.
https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from typing import Any, Final

from probes.alerts.message import Line, Message, Part, message
from probes.alerts.notice import Notice, NotTakenError
from probes.alerts.taking import MENDED_S, not_taken, post
from probes.config.channels import Channels
from probes.delivery import Answer

THREADS_KEPT = 64
"""Of so many incidents it is remembered which message was their first; of others, what comes is no answer to it."""

LONGEST_SECTION, MOST_BLOCKS, LONGEST_HEADER = 3000, 50, 150
"""Characters of a section, blocks of a message, characters of a header, as the documentation has them."""

_CODE = re.compile(r"[a-z_]{1,40}")
_FOR_GOOD: Final = frozenset({"msg_too_long", "invalid_blocks", "invalid_blocks_format", "no_text", "invalid_payload"})
_BUSY: Final = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"})


class Bot:
    """The way to one channel as a bot that has been invited there."""

    def __init__(self, address: str, channel: str, token: str, channels: Channels, *, url: str, source: str) -> None:
        self.address = address
        self._channel, self._token, self._channels = channel, token, channels
        self._url, self._source = url, source
        self._threads: OrderedDict[str, str] = OrderedDict()

    def send(self, notice: Notice) -> None:
        """One message. Raises NotTakenError."""
        body = {
            "channel": f"#{self._channel}",
            "unfurl_links": False,
            "unfurl_media": False,
            **_body(notice, self._channels),
        }
        thread = self._threads.get(notice.key)
        if thread:
            body["thread_ts"] = thread
            body["reply_broadcast"] = notice.change in {"worse", "resolved"}  # also for who reads the channel only
        answer = post(f"{self._url}/chat.postMessage", body, {"Authorization": f"Bearer {self._token}"})
        sent = self._taken(answer, notice.key)
        self._threads.setdefault(notice.key, sent)
        while len(self._threads) > THREADS_KEPT:
            self._threads.popitem(last=False)

    def _taken(self, answer: Answer, key: str) -> str:
        """The time stamp by which Slack knows the message."""
        if not answer.taken:
            raise not_taken(answer, self._source)
        try:
            said = json.loads(answer.body)
            if said["ok"] is True:
                return str(said["ts"])
            error = str(said["error"])
        except (ValueError, KeyError, TypeError):
            raise NotTakenError("its answer is not Slack's: is something in between?") from None
        self._threads.pop(key, None)  # should its first message be gone, the next try is a message of its own
        raise _refused(error, answer)


class Webhook:
    """The way to the one channel that a webhook leads to. It has no threads."""

    def __init__(self, address: str, url: str, source: str, channels: Channels) -> None:
        self.address = address
        self._url, self._source, self._channels = url, source, channels

    def send(self, notice: Notice) -> None:
        """One message. Raises NotTakenError."""
        answer = post(self._url, _body(notice, self._channels))
        if answer.taken and answer.body.strip() == b"ok":
            return
        if answer.taken:
            raise NotTakenError("its answer is not Slack's: is something in between?")
        raise not_taken(answer, self._source)


def _refused(error: str, answer: Answer) -> NotTakenError:
    code = error if _CODE.fullmatch(error) else "an error without a name"
    if error in _FOR_GOOD:
        return NotTakenError(f"Slack says {code}", for_good=True)
    if error in _BUSY:
        return NotTakenError(f"Slack says {code}", after_s=answer.wait_s or None)
    return NotTakenError(f"Slack says {code}", after_s=MENDED_S)


def _body(notice: Notice, channels: Channels) -> dict[str, Any]:
    said = message(notice, channels)
    header = {"type": "header", "text": {"type": "plain_text", "text": said.subject[:LONGEST_HEADER], "emoji": False}}
    return {"text": _escaped(said.subject), "blocks": [header, *_sections(said)][:MOST_BLOCKS]}


def _sections(said: Message) -> list[dict[str, Any]]:
    return [{"type": "section", "text": _text(part)} for part in said.parts]


def _text(part: Part) -> dict[str, Any]:
    """Verbatim: of plain text Slack would make links to whatever looks like a URL, a channel or somebody's name."""
    return {"type": "mrkdwn", "text": _section(part), "verbatim": True}


def _section(part: Part) -> str:
    lines = [f"*{_escaped(part.heading)}*"] if part.heading else []
    room = LONGEST_SECTION - sum(map(len, lines))
    for line in map(_line, part.lines):
        if (room := room - len(line) - 1) < 0:  # a line that is cut would lose the end of its link
            break
        lines.append(line)
    return "\n".join(lines)


def _line(line: Line) -> str:
    label = f"{_escaped(line.label)}: " if line.label else ""
    text = _escaped(line.text)
    return f"{label}<{_escaped(line.url).replace('|', '%7C')}|{text.replace('|', '/')}>" if line.url else label + text


def _escaped(text: str) -> str:
    """What Slack would take for a mention or a link is text (docs.slack.dev, Formatting message text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

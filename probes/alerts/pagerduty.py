"""PagerDuty by its Events API, version 2: all notices of an incident are of one alert, under one key.

What is sent twice is one event of the same alert, and pages nobody again.
https://developer.pagerduty.com/docs/send-alert-event
"""

from __future__ import annotations

from typing import Any

from probes.alerts.message import guide_link, message, names, one_line, trace_link
from probes.alerts.notice import Notice, NotTakenError
from probes.alerts.taking import MENDED_S, not_taken, post
from probes.config.channels import Channels, PagerDutyOptions

LONGEST_KEY, LONGEST_SUMMARY, LONGEST_DETAIL = 255, 1024, 8000
"""Characters; the documentation has the first two, and 512 KiB for all."""


class PagerDuty:
    """The way to one service of PagerDuty."""

    def __init__(self, address: str, options: PagerDutyOptions, key: str, channels: Channels) -> None:
        self.address = address
        self._options, self._key, self._channels = options, key, channels

    def send(self, notice: Notice) -> None:
        """One event. Raises NotTakenError."""
        answer = post(f"{self._options.base}/v2/enqueue", self._event(notice))
        if answer.status == 400 and b"routing key" in answer.body.lower():  # a key to be mended, and nothing of ours
            why = f"HTTP 400: it does not know its routing key: is {self._options.key} right?"
            raise NotTakenError(why, after_s=MENDED_S)
        if answer.status != 202:
            raise not_taken(answer, str(self._options.key))

    def _event(self, notice: Notice) -> dict[str, Any]:
        event: dict[str, Any] = {"routing_key": self._key, "dedup_key": one_line(notice.key, LONGEST_KEY)}
        if notice.change == "resolved":
            return {**event, "event_action": "resolve"}
        said = message(notice, self._channels)
        return {
            **event,
            "event_action": "trigger",
            "client": "smokeprobe",
            "payload": {
                "summary": one_line(said.subject, LONGEST_SUMMARY),
                "source": one_line(notice.target) or "smokeprobe",
                "severity": notice.severity,
                "component": names(list(dict.fromkeys(trouble.rule for trouble in notice.troubles))) or "smokeprobe",
                "group": notice.env,
                "custom_details": {"message": said.text[:LONGEST_DETAIL]},
            },
            "links": [{"href": url, "text": text} for text, url in links(notice, self._channels)],
        }


def links(notice: Notice, channels: Channels) -> list[tuple[str, str]]:
    """Where to look: the guide of the first rule, its newest trace, the run."""
    first = notice.troubles[0] if notice.troubles else None
    trace = next((check.trace_id for check in first.checks if check.trace_id), "") if first else ""
    found = [
        ("Response guide", guide_link(first, channels) if first else ""),
        ("Trace", trace_link(trace, channels)),
        ("Run", notice.run_url),
    ]
    return [(text, url) for text, url in found if url]

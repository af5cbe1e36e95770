"""What an answer asks of us, whoever sent the request: to slow down, to pause, or to prove that we are no robot.

Standard library only: the browser's sidecar judges the answers to a page by the same words. Header names are in lower
case.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

LONGEST_PAUSE_S = 86400.0
"""A target's owner who wants more than a day says so again."""

SLOW_DOWN_S = 60.0
"""How long we wait where a throttle does not say."""

CHALLENGES = (("cf-mitigated", "challenge", 0), ("x-amzn-waf-action", "", 0), ("x-datadome", "", 403))
"""Headers by which Cloudflare, AWS WAF and DataDome mark the page of their bot wall: name, value (empty: any), status
(0: any). DataDome marks good answers too, so there the status decides."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that means `slow down` at this edge, besides 429: its status, and how its content type begins."""

    status: int
    content_type: str

    def means(self, status: int, headers: Mapping[str, str]) -> bool:
        """Whether this answer is one; a content type is the same in any case (RFC 9110, 8.3.1)."""
        return status == self.status and headers.get("content-type", "").lower().startswith(self.content_type.lower())


def is_throttle(status: int, headers: Mapping[str, str], refusals: Iterable[Refusal]) -> bool:
    """Whether the target refused a request only because there were too many."""
    return status == 429 or any(refusal.means(status, headers) for refusal in refusals)


def is_challenge(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a bot wall answered in the target's place."""
    return any(
        (headers[name] == value or not value) and wall in {0, status}
        for name, value, wall in CHALLENGES
        if name in headers
    )


def slow_down_s(status: int, headers: Mapping[str, str], refusals: Iterable[Refusal]) -> float | None:
    """How long to send less; None where the answer does not ask for it. A 503 fails all the same, but we wait too."""
    after_s = retry_after_s(headers.get("retry-after"))
    if is_throttle(status, headers, refusals):
        return after_s or SLOW_DOWN_S
    return (after_s or None) if status == 503 else None


def pause_s(headers: Mapping[str, str]) -> float | None:
    """For how long the target's owner wants no probe at all; None where nothing is said."""
    seconds = number(headers.get("x-smokeprobe-pause"))
    return min(seconds, LONGEST_PAUSE_S) if seconds else None


def number(text: str | None) -> float | None:
    """A number that is not negative; infinite where it is too large to be held, but never for the mere word."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value >= 0 and any(map(str.isdigit, text or "")) else None


def retry_after_s(value: str | None) -> float | None:
    """A Retry-After header, in seconds or as a date (RFC 9110, 10.2.3), a day at most.

    None where it is missing or unreadable.
    """
    seconds = number(value)
    if seconds is None and value:
        try:
            seconds = max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError):
            return None
    return None if seconds is None else min(seconds, LONGEST_PAUSE_S)

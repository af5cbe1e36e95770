"""What the channels that speak HTTP have in common: one bounded request, and what its answer means for a notice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probes.alerts.notice import NotTakenError
from probes.delivery import Answer, UnansweredError, ask

TAKES_S = 9.0
"""What handing over a notice may take from its first byte to its last: a channel has ten seconds."""

MENDED_S = 60.0
"""How long to leave a service alone that lacks something which people have to mend: a key, a channel, a right."""

_FOR_GOOD = {
    400: "it cannot read what was sent",
    413: "what was sent is too large",
    422: "it cannot read what was sent",
}


def post(url: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """What a service answers, whatever it is. Raises NotTakenError where it does not."""
    try:
        return ask("POST", url, seconds=TAKES_S, body=body, headers=headers)
    except UnansweredError as problem:
        raise NotTakenError(str(problem)) from None


def not_taken(answer: Answer, secret: str) -> NotTakenError:
    """What a status says that is none of success; `secret` is what people are to look at where it is refused."""
    status = answer.status
    if status in _FOR_GOOD:
        return NotTakenError(f"HTTP {status}: {_FOR_GOOD[status]}", for_good=True)
    if status in {401, 403, 404, 410}:
        return NotTakenError(f"HTTP {status}: it does not know us: is {secret} right?", after_s=MENDED_S)
    if status == 429:
        return NotTakenError("HTTP 429: it asks to be left alone", after_s=answer.wait_s or MENDED_S)
    return NotTakenError(f"HTTP {status}: it takes nothing now", after_s=answer.wait_s or None)

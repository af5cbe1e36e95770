"""From a notice that is due to the channel that takes it, again and again until it does."""

from __future__ import annotations

import logging
from collections.abc import Callable

from probes.alerts.look import notice_in
from probes.alerts.notice import Channel, NotTakenError
from probes.errors import SmokeprobeError
from probes.store.alert_state import LONGEST_WAIT_S, Due, Sent

FIRST_WAIT_S, LONGEST_BACK_OFF_S = 5.0, 300.0
"""How long to wait after the first time that a channel has not taken a notice, doubled each time, and at most."""

MENDED_S = 60.0
"""How long to wait where an address has no channel: people have to mend that."""

log = logging.getLogger(__name__)

ChannelOf = Callable[[str], Channel]
"""From an address to its channel. Raises a SmokeprobeError where there is none."""


def send(due: Due, channel_of: ChannelOf) -> Sent:
    """Hand one notice over, and say what became of that; raises nothing."""
    try:
        channel_of(due.address).send(notice_in(due.notice))
    except NotTakenError as problem:
        return _not_taken(due, problem)
    except SmokeprobeError as problem:
        log.warning("%s cannot be told: %s", due.address, problem)
        return Sent(due, str(problem), MENDED_S)
    except Exception as problem:  # noqa: BLE001 - whatever a channel's library raises: others must still be told
        log.error("%s cannot be told: %s", due.address, type(problem).__name__)  # noqa: TRY400 - a traceback may hold secrets
        return Sent(due, type(problem).__name__, _back_off_s(due.tries))
    log.info("%s was told: %s of %s", due.address, due.number, due.key)
    return Sent(due)


def _not_taken(due: Due, problem: NotTakenError) -> Sent:
    if problem.for_good:
        log.error("%s refuses a notice for good: %s", due.address, problem)
        return Sent(due, str(problem))
    after_s = _back_off_s(due.tries) if problem.after_s is None else min(problem.after_s, LONGEST_WAIT_S)
    log.warning("%s has not taken a notice: %s; again in %.0f s", due.address, problem, after_s)
    return Sent(due, str(problem), after_s)


def _back_off_s(tries: int) -> float:
    return float(min(FIRST_WAIT_S * 2 ** min(tries, 10), LONGEST_BACK_OFF_S))

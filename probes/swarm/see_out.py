"""Work that a cut-off must not tear in two: it is seen out in a greenlet of its own."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from probes.deadline import CutOff


def see_out(work: Callable[[], None], patience_s: Callable[[], float]) -> None:
    """Do `work`. Who is cut off meanwhile waits for its end, as long as `patience_s` then says.

    Raises what `work` raises, or the CutOff.
    """
    raised: list[Exception] = []

    def keep_what_it_raises() -> None:  # gevent would print it
        try:
            work()
        except Exception as problem:  # noqa: BLE001 - raised below, in the greenlet that waits
            raised.append(problem)

    greenlet = gevent.spawn(keep_what_it_raises)
    try:
        greenlet.join()
    except CutOff:
        greenlet.join(timeout=max(0.0, patience_s()))
        raise
    finally:
        greenlet.kill()
    if raised:
        raise raised[0]

"""The one thread that asks the store: a disk or a database may take seconds to answer, and nobody else stands still."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import gevent
from gevent.threadpool import ThreadPool

_T = TypeVar("_T")


class StoreThread:
    """Asks one question after the other."""

    def __init__(self) -> None:
        self._thread = ThreadPool(1)

    def ask(self, question: Callable[[], _T], patience_s: float | None = None) -> _T:
        """What it answers, or raises; gevent would print what is raised there, so it is handed over.

        Raises TimeoutError where it takes more than so many seconds. The thread goes on with it.
        """

        def answer() -> _T | Exception:
            try:
                return question()
            except Exception as problem:  # noqa: BLE001 - raised below
                return problem

        coming = self._thread.spawn(answer)
        with gevent.Timeout(patience_s, TimeoutError):
            found = cast("_T | Exception", coming.get())
        if isinstance(found, Exception):
            raise found
        return found

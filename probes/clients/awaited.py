"""What a page has asked for and not been answered yet: a visit that ends before the answers has not seen the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from probes.safety.limits import CallPattern


@dataclass(frozen=True, slots=True)
class Call:
    """A request of the page by what a report calls it."""

    method: str
    path: str
    kind: str


class Awaited:
    """The requests that are open, by their id. `declared` are the calls that the page is known to make."""

    def __init__(self, declared: Sequence[CallPattern]) -> None:
        self._declared = declared
        self._open: dict[str, Call] = {}
        self._answered: set[tuple[str, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._open)

    def asked(self, request_id: str, call: Call, follows: str = "") -> None:
        """The page asks for it; `follows` is the request whose redirect led here."""
        self._open.pop(follows, None)
        self._open[request_id] = call

    def answered(self, request_id: str, *, leads_on: bool = False) -> None:
        """It is answered, or will not be. `leads_on`: by a redirect, so that another is about to take its place."""
        call = self._open.get(request_id) if leads_on else self._open.pop(request_id, None)
        if call is not None:
            self._answered.add((call.method, call.path))

    def forget(self) -> None:
        """Another page is opened, and takes the place of all that this one has asked for."""
        self._open.clear()

    def declared(self) -> tuple[Call, ...]:
        """Declared calls that are open. One that was answered before was given up by the page, or is asked again."""
        return tuple(
            call
            for call in self._open.values()
            if (call.method, call.path) not in self._answered
            and any(pattern.matches(call.method, call.path) for pattern in self._declared)
        )

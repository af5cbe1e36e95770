"""The stand-in at the far end of lines."""

from __future__ import annotations

from typing import Any

from probes.standin.process import StandIn
from tests.network.crossing import LOOPBACK, TARGET, Place


class FarStandIn(StandIn):
    """A stand-in in the target's namespace; `url` is where the regions find it."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place
        self._own_url = ""

    def start(self) -> None:
        """Start it there."""
        with self._place.namespace.entered():
            super().start()
        self._own_url, self.url = self.url, self.url.replace(LOOPBACK, TARGET)

    def _control(self, call: str, body: dict[str, Any] | None = None) -> Any:
        far, self.url = self.url, self._own_url
        try:
            with self._place.namespace.entered():
                return super()._control(call, body)
        finally:
            self.url = far

"""A dead man's switch: whoever is pinged after each conclusive run notices from outside that we have fallen silent.

A ping says that we could judge, whatever the verdict; Healthchecks, heartbeats of Pingdom or StatusCake and the like
take it. It never is in the way of a run, and changes no exit code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from probes.config.channels import FILE, Channels, load_channels
from probes.config.secrets import read_secret
from probes.delivery import UnansweredError, ask, keeps_a_secret
from probes.model import JUDGED, Outcome
from probes.options import RunOptions

TAKES_S = 2.0
"""What a ping may add to the end of a run."""

EVERY_S = 60.0
"""Who judges all day pings no more often."""


class Heartbeat:
    """Pings a URL, which holds a token and is never shown."""

    def __init__(self, url: str, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._source, self._clock = url, source, clock
        self._alive = False
        self._pinged_at = -EVERY_S

    def judged(self, outcome: Outcome) -> None:
        """A check has come to a verdict."""
        self._alive = self._alive or outcome in JUDGED

    def turn(self) -> str:
        """Ping if there is something to tell, and it is time; what is wrong with that, or nothing."""
        if not self._alive or self._clock() - self._pinged_at < EVERY_S:
            return ""
        self._alive, self._pinged_at = False, self._clock()
        return self.ping()

    def ping(self) -> str:
        """Ping now; what is wrong with that, or nothing."""
        if not keeps_a_secret(self._url):
            return f"heartbeat: {self._source} holds no https://… to ping."
        try:
            answer = ask("GET", self._url, seconds=TAKES_S)
        except UnansweredError as problem:
            return f"heartbeat: {problem}."
        return "" if answer.taken else f"heartbeat: HTTP {answer.status}: is {self._source} right?"


def heartbeat_of(options: RunOptions, environ: Mapping[str, str]) -> Heartbeat | None:
    """The one that the environment has the URL of, or none. Raises ConfigError where the file has mistakes."""
    channels: Channels = load_channels(options.source.path.parent / FILE)
    url = read_secret(channels.heartbeat, environ)
    return Heartbeat(url.get_secret_value().strip(), str(channels.heartbeat)) if url is not None else None

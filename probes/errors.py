"""The error tree. Every error that a user can meet says what is wrong, where, and what to do.

SmokeprobeError
├── ConfigError              the configuration or the call is wrong; nothing was sent (exit 2)
│   └── SecretStoreError     a store of secrets does not give one out
├── ChromiumMissingError     no browser to drive (clients.chromium)
├── LedgerError              the ledger cannot be written, so nothing may be sent (exit 3)
├── StoreError               the history cannot be read or written; no verdict changes by that
├── NoBudgetError            no room under the ceiling just now
│   └── NotOurTurnError      a test account may be in use by somebody with another ledger
├── PausedError              probing is paused, by hand or by the target's owner
├── RefusedError             the guard forbids this request
├── QuotaError               the permit's quota for a limit is used up
└── TransportError           the request did not get an answer; carries the layer
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probes.model import Layer


class SmokeprobeError(Exception):
    """Base of all errors raised on purpose; `hint` is the one thing to do about it, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigError(SmokeprobeError):
    """The configuration, a flag or the environment is wrong. `problems` holds every mistake, one line each."""

    def __init__(self, message: str, problems: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {problem}" for problem in self.problems)])


class SecretStoreError(ConfigError):
    """A store of secrets does not give one out: it cannot be reached, has none, or refuses us. Later it may."""


class LedgerError(SmokeprobeError):
    """The ledger cannot be read or written; without it nothing is sent."""


class StoreError(SmokeprobeError):
    """The history cannot be read or written: probing goes on, and says so."""


class NoBudgetError(SmokeprobeError):
    """No room under the ceiling now. `retry_in_s` is when there may be room again, in seconds."""

    def __init__(self, message: str, retry_in_s: float) -> None:
        super().__init__(message)
        self.retry_in_s = retry_in_s


class NotOurTurnError(NoBudgetError):
    """A test account may be in use by somebody with another ledger: its turns say when it is ours (see `validate`)."""


class PausedError(SmokeprobeError):
    """Probing is paused. `retry_in_s` is None where only a person can resume it."""

    def __init__(self, message: str, retry_in_s: float | None) -> None:
        super().__init__(message)
        self.retry_in_s = retry_in_s


class RefusedError(SmokeprobeError):
    """The guard forbids a request; nothing was sent."""


class QuotaError(SmokeprobeError):
    """The permit has no request left for a limit, or has run out of time; nothing was sent."""


class TransportError(SmokeprobeError):
    """No usable answer: which layer broke, and whether the request had been sent by then."""

    def __init__(self, message: str, layer: Layer, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.layer = layer
        self.timed_out = timed_out

    @property
    def unanswered(self) -> bool:
        """Whether nothing came back at all: no name, no connection, no TLS, or silence until the time was over."""
        from probes.model import NETWORK, Layer  # the set-up's script has nothing but this module

        return self.layer in NETWORK or (self.layer is Layer.HTTP and self.timed_out)

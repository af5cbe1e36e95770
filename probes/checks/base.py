"""What every check is made of: a class with a kind, the calls that it plans, and one attempt.

A check says what to ask and what to expect. Whether a request may leave, how often it is tried and how the answers are
timed is decided elsewhere; nothing that a check does can change that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Self, TypeVar

from probes.checks.finding import Finding, degraded, failed
from probes.config.models import CheckOptions, Settings
from probes.config.turns import Rota
from probes.safety.guard import READ_ONLY

if TYPE_CHECKING:
    from probes.checks.probe import Probe

__all__ = ["Check", "CheckOptions", "Finding", "PlannedCall", "degraded", "failed"]

OptionsT = TypeVar("OptionsT", bound=CheckOptions)


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """Requests that one attempt of a check sends: for the permit's quota and for the plan.

    `times` is how often where all is well; `spare` what a permit must allow for besides, where that is not as often
    again for each further try. `cleanup` calls (log-out and its proof) are reserved before the check begins; `size` is
    what an answer weighs, in bytes, about.
    """

    method: str
    path: str
    times: int = 1
    spare: int | None = None
    cleanup: bool = False
    size: int = 1024

    def at_most(self, tries: int) -> int:
        """How often it may be sent in all, where the whole check is tried so often."""
        return self.times + (self.times * (tries - 1) if self.spare is None else self.spare)


class Check(ABC, Generic[OptionsT]):
    """A named thing that is probed. Subclasses set `kind` and `Options` and write `calls` and `attempt`."""

    kind: ClassVar[str] = ""
    Options: ClassVar[type[CheckOptions]] = CheckOptions
    browser: ClassVar[bool] = False
    """Whether all of it needs the browser."""

    def __init__(self, name: str, options: OptionsT, settings: Settings) -> None:
        self.name = name
        self.options = options
        self.settings = settings

    @abstractmethod
    def calls(self) -> tuple[PlannedCall, ...]:
        """Every call that one attempt sends at most."""

    @abstractmethod
    def attempt(self, probe: Probe) -> None:
        """Try once: ask through `probe`, which records each step and its findings."""

    def limits(self) -> Mapping[str, tuple[str, ...]]:
        """The steps that have a limit of time, and where under the check's options that stands."""
        return {}

    @property
    def rota(self) -> Rota:
        """The accounts that it logs in to, and whose they are when; none where it needs no account."""
        return Rota()

    @property
    def logins(self) -> int:
        """How many sessions one attempt opens."""
        return 0

    @property
    def uses_browser(self) -> bool:
        """Whether some of it needs the browser."""
        return self.browser

    @property
    def tries(self) -> int:
        """How often it is tried at most."""
        return self.settings.attempts(self.options)

    @property
    def confirmable(self) -> bool:
        """Whether a failure may be looked at again at once: only by reading, and never by another log-in."""
        return not self.writes and not self.rota.accounts

    def once(self) -> Self:
        """The same check, but tried once only."""
        return type(self)(self.name, self.options.model_copy(update={"attempts": 1}), self.settings)

    @property
    def writes(self) -> tuple[PlannedCall, ...]:
        """Its calls that are not read-only: each must be a named exception."""
        return tuple(call for call in self.calls() if call.method not in READ_ONLY)

    def quota(self) -> tuple[dict[str, int], dict[str, int]]:
        """Requests per limit that one permit must cover, retries included: (own work, clean-up).

        A check of GETs alone repeats single steps in place, so each limit needs one request more for each further
        try; any other is repeated whole.
        """
        calls = self.calls()
        whole = bool(self.writes) or self.browser
        own: dict[str, int] = {}
        cleanup: dict[str, int] = {}
        for limit in self.settings.rate_limits:
            covered = [call for call in calls if limit.covers_call(call.method, call.path)]
            work = [call for call in covered if not call.cleanup]
            if once := sum(call.times for call in work):
                in_all = sum(call.at_most(self.tries) for call in work)
                own[limit.name] = in_all if whole else once + self.tries - 1
            if ending := sum(call.at_most(self.tries) for call in covered if call.cleanup):
                cleanup[limit.name] = ending
        return own, cleanup

"""Which test account is whose, and when: turns by the time of day, for those who have no ledger in common.

Every share has a ledger of its own, which lends an account to one run at a time. Between shares only the time of day
can keep two runs apart: so an account goes round, and whoever has it begins late enough and ends early enough that
clocks which are wrong by `CLOCK_S` make no difference.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, model_validator

from probes.config.units import Duration, PositiveDuration, show_duration
from probes.errors import NotOurTurnError

CLOCK_S = 30.0
"""Seconds by which any machine's clock may be wrong: far more than one that is kept by NTP ever is."""

DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Turn:
    """When in each cycle of the UTC day an account is a share's; it `ends` in the next cycle where that begins first.

    A share that has an account for itself has it all the time (`alone`), and needs no clock.
    """

    account: str
    share: str
    begins: float
    ends: float
    cycle: float

    @property
    def alone(self) -> bool:
        """Whether nobody else has a turn."""
        return self.ends - self.begins >= self.cycle

    def wait_s(self, now: float, hold_s: float) -> float:
        """Seconds until a hold of so many may begin, 0 for at once; `now` is in seconds since the epoch."""
        if self.alone:
            return 0.0
        usable = self.usable_s(hold_s)
        if usable < 0:
            return math.inf
        since = (now - self.begins - CLOCK_S) % self.cycle
        return 0.0 if since <= usable else self.cycle - since

    def usable_s(self, hold_s: float) -> float:
        """In how much of it a hold of so many seconds may begin; less than 0 where it is too short for one."""
        return self.cycle if self.alone else self.ends - self.begins - 2 * CLOCK_S - hold_s

    def meets(self, other: Turn) -> bool:
        """Whether the two may ever be at one moment, by right clocks. Of cycles that differ nothing is known."""
        if self.alone or other.alone or self.cycle != other.cycle:
            return True
        later = (other.begins - self.begins) % self.cycle
        return later < self.ends - self.begins or later + other.ends - other.begins > self.cycle


def _cycle(value: float) -> float:
    if value > DAY_S or not math.isclose(DAY_S / value, round(DAY_S / value), abs_tol=1e-9):
        raise ValueError(f"{show_duration(value)} does not go into a day: write 30m, 60m or 2h")
    return value


class Turns(BaseModel, extra="forbid", frozen=True, hide_input_in_errors=True):
    """The account goes round once a `cycle`: each share has it from its time in the cycle until the next one's."""

    cycle: Annotated[PositiveDuration, AfterValidator(_cycle)] = 3600.0
    accounts: dict[str, Annotated[dict[str, Duration], Field(min_length=1)]] = Field(min_length=1)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Of all accounts, each in its order."""
        return tuple(turn for account, begins in self.accounts.items() for turn in _turns(account, begins, self.cycle))

    @model_validator(mode="after")
    def _apart(self) -> Turns:
        problems = [problem for account, begins in self.accounts.items() for problem in self._mixed_up(account, begins)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _mixed_up(self, account: str, begins: Mapping[str, float]) -> Iterator[str]:
        taken: dict[float, str] = {}
        for share, at in begins.items():
            where = f"{account}: {share} begins at {show_duration(at)}"
            if at >= self.cycle:
                yield f"{where}, but a cycle is over after {show_duration(self.cycle)}"
            elif at in taken:
                yield f"{where}, and so does {taken[at]}"
            taken.setdefault(at, share)


def _turns(account: str, begins: Mapping[str, float], cycle: float) -> Iterator[Turn]:
    in_order = sorted(begins.items(), key=lambda each: each[1])
    for (share, at), (_, following) in zip(in_order, [*in_order[1:], ("", in_order[0][1] + cycle)], strict=True):
        yield Turn(account, share, at, following, cycle)


@dataclass(frozen=True, slots=True)
class Rota:
    """Which accounts a check logs in to: by `turns`, or without any, one or another, as the ledger lends it."""

    accounts: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()

    def of(self, share: str) -> tuple[str, ...]:
        """The accounts that a share may ever use."""
        if not self.turns:
            return self.accounts
        return tuple(turn.account for turn in self.turns if turn.share == share)

    def choose(self, share: str, now: float, hold_s: float, every: float) -> str:
        """The account for a hold of so many seconds that begins now; '' where none is needed.

        Of several that are free one is drawn, the same for a whole interval (`every`). Raises NotOurTurnError where
        none is.
        """
        if not self.accounts:
            return ""
        waits = {turn.account: turn.wait_s(now, hold_s) for turn in self.turns if turn.share == share}
        free = [name for name, wait_s in waits.items() if wait_s <= 0] if self.turns else list(self.accounts)
        if free:
            # not simply the interval's number: whoever comes every second interval would have one account for ever
            drawn = hashlib.sha256(str(int(now // every)).encode()).digest()
            return free[int.from_bytes(drawn[:4]) % len(free)]
        names = ", ".join(self.accounts)
        if not waits:
            raise NotOurTurnError(
                f"{share} has no turn on the test accounts ({names}): others may be using them.", math.inf
            )
        wait_s = min(waits.values())
        raise NotOurTurnError(
            f"Others may be using the test accounts ({names}) now; {share} has its turn in {show_duration(wait_s)}.",
            wait_s,
        )

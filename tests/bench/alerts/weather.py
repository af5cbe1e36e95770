"""What a request meets at a moment, in a region, of a check: the noise that is always there, and the spells."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from tests.bench.alerts.noise import HOURS, Noise, Spell

PACKETS = 2
"""So many packets are waited for between a request and the first byte of its answer: one each way."""
REFUSED_S = 0.05
"""How long it takes to be refused: a round trip or so."""


class Met(Enum):
    """What becomes of a request."""

    GOOD = "good"
    SLOW = "slow"
    REFUSED = "refused"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a request, how long that took, and how much of it is judged; `own`: nobody at all was reached."""

    met: Met
    took_s: float
    judged_s: float = 0.0
    own: bool = False


class Weather:
    """All spells of one region and check, and the noise beneath them."""

    def __init__(self, noise: Noise, spells: Collection[Spell], region: str, check: str) -> None:
        self.noise = noise
        self._median_s = [noise.median_s(hour) for hour in range(HOURS)]
        self.spells: Sequence[Spell] = sorted(
            (spell for spell in spells if spell.concerns(region, check)), key=lambda spell: spell.begins
        )
        self._turns = sorted({moment for spell in self.spells for moment in (spell.begins, spell.ends)})
        self._active: list[tuple[Spell, ...]] = [()]
        under_way: list[Spell] = []
        beginning = 0
        for turn in self._turns:
            under_way = [spell for spell in under_way if spell.ends > turn]
            while beginning < len(self.spells) and self.spells[beginning].begins <= turn:
                under_way.append(self.spells[beginning])
                beginning += 1
            self._active.append(tuple(spell for spell in under_way if spell.ends > turn))

    def at(self, moment: float) -> tuple[Spell, ...]:
        """The spells under way."""
        return self._active[bisect_right(self._turns, moment)]

    def unusual(self, limit_s: float, hour: int) -> tuple[float, float, float]:
        """Outside all spells: the shares of requests that are refused, get no answer, or one later than the limit."""
        noise = self.noise
        lost = 1.0 - (1.0 - noise.packet_loss) ** PACKETS
        slow = 0.0
        if limit_s:
            least_s = limit_s - noise.resend_s
            resent = noise.slower_than(least_s, hour) if least_s > 0 else 1.0
            slow = (1.0 - lost) * noise.slower_than(limit_s, hour) + lost * resent
        return noise.refused, noise.silent, (1.0 - noise.refused - noise.silent) * slow

    def request(self, moment: float, limit_s: float, left_s: float, rng: random.Random) -> Answered:
        """One request; `limit_s` is 0 where it has none, `left_s` how long its answer is waited for."""
        noise = self.noise
        refused, silent, packet_loss, own, answered_from = noise.refused, noise.silent, noise.packet_loss, False, moment
        for spell in self.at(moment):
            refused, silent = max(refused, spell.refused), max(silent, spell.silent)
            packet_loss, own = max(packet_loss, spell.packet_loss), own or spell.own
            if spell.stalls:
                answered_from = max(answered_from, spell.ends)
        drawn = rng.random()
        if drawn < silent:
            return Answered(Met.SILENT, left_s, own=own)
        if drawn < silent + refused:
            return Answered(Met.REFUSED, min(REFUSED_S, left_s))
        server_s = rng.lognormvariate(0.0, noise.server_sigma) * self._median_s[hour_of(moment)]
        judged_s = server_s + answered_from - moment
        resend_s = noise.resend_s
        lost = 1.0 - (1.0 - packet_loss) ** PACKETS
        while rng.random() < lost:
            judged_s += resend_s
            resend_s *= 2  # RFC 6298, 5.5
        if judged_s > left_s:
            return Answered(Met.SILENT, left_s, own=own)
        return Answered(Met.SLOW if limit_s and judged_s > limit_s else Met.GOOD, judged_s, judged_s)

    def of_kind(self, met: Met, limit_s: float, left_s: float) -> Answered:
        """One outside all spells of which it is known already what it meets."""
        if met is Met.SILENT:
            return Answered(met, left_s)
        if met is Met.REFUSED:
            return Answered(met, REFUSED_S)
        took_s = self.noise.server_s if met is Met.GOOD else 1.5 * limit_s
        return Answered(met, took_s, took_s)


def hour_of(moment: float) -> int:
    """The hour of the day, UTC."""
    return int(moment // 3600) % HOURS

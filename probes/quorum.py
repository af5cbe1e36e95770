"""Who may speak of the target as a whole: regions that are verified, and that have judged it lately."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from probes.model import JUDGED, LOCAL, Outcome

UNVERIFIED = "-unverified"
LONGEST_REGION = 40
"""Of a region's name so much is part of a tag."""


def region_tag(region: str, *, verified: bool) -> str:
    """A region as a tag of what was measured there: where it is but a claim, under a name that no monitor counts."""
    return region[:LONGEST_REGION] + ("" if verified or region == LOCAL else UNVERIFIED)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a region said of a check, and how many seconds ago; `verified` is whether anything bore the region out."""

    region: str
    verified: bool
    outcome: str
    age_s: float


@dataclass(frozen=True, slots=True)
class Quorum:
    """The verified regions that have judged a check lately, and those of them whose newest judgement is `failed`."""

    regions: tuple[str, ...]
    failed: tuple[str, ...]


def quorum(heard: Iterable[Heard], recent_s: float) -> Quorum:
    """Of everything heard of a check: which verified regions judged it within so many seconds, and what they say.

    What a region could not judge, or where it only claimed to be, says nothing; its newest judgement is its word.
    """
    newest: dict[str, Heard] = {}
    for each in heard:
        counts = each.verified and each.outcome in JUDGED and each.age_s <= recent_s
        if counts and (each.region not in newest or each.age_s < newest[each.region].age_s):
            newest[each.region] = each
    failed = (region for region, each in newest.items() if each.outcome == Outcome.FAILED)
    return Quorum(tuple(sorted(newest)), tuple(sorted(failed)))

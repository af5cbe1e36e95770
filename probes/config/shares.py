"""Who may draw on the ceiling: its shares, and the masters that own some of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from probes.config.units import Fraction, parse_fraction
from probes.safety.limits import RateLimit

ADHOC = "adhoc"
"""The share of whatever is run by hand."""


class Share(BaseModel, extra="forbid", frozen=True, hide_input_in_errors=True):
    """A part of the ceiling. `own_address` vouches that nobody who draws on another share sends from the same address.

    Then limits that the target counts by address need not be divided with the others.
    """

    part: Fraction
    own_address: bool = False

    @property
    def address_part(self) -> float:
        """The part of a limit that the target counts by address."""
        return 1.0 if self.own_address else self.part

    def part_of(self, limit: RateLimit) -> float:
        """The part of this limit's ceiling."""
        return self.address_part if limit.key == "ip" else self.part


def _share(value: Any) -> Any:
    return value if isinstance(value, dict | Share) else Share(part=parse_fraction(value))


ShareOptions = Annotated[Share, BeforeValidator(_share)]
"""Written as `25%`, or with more to say as `{ part: 25%, own_address: true }`."""


class Master(BaseModel, extra="forbid", frozen=True, hide_input_in_errors=True):
    """A master that runs all day: the share that it owns, and the regions whose workers it has."""

    share: str
    regions: tuple[str, ...] = Field(min_length=1)

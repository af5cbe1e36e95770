"""What a configuration says of the probe's own place: what proves its region, and who is asked about its network."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, model_validator

from probes.config.units import PositiveDuration, Rate, shown
from probes.errors import RefusedError
from probes.safety.guard import counted_as, parse_url
from probes.safety.limits import CallPattern, RateLimit

VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


class RegionProof(BaseModel, extra="forbid", frozen=True, hide_input_in_errors=True):
    """What holds exactly a region's name where a run really is there: an environment variable, or a file."""

    env: str = ""
    file: str = ""

    @model_validator(mode="after")
    def _one(self) -> RegionProof:
        if bool(self.env) == bool(self.file):
            raise ValueError("a proof names either env: VARIABLE or file: PATH")
        if self.env and not VARIABLE.fullmatch(self.env):
            raise ValueError(f"env: {shown(self.env)} is no environment variable: write it in capital letters")
        if self.file and not self.file.startswith("/"):
            raise ValueError(f"file: {shown(self.file)} is no absolute path: write /etc/podinfo/region")
        return self

    def __str__(self) -> str:
        return f"the environment variable {self.env}" if self.env else f"the file {self.file}"


def _address(value: str) -> str:
    said = "" if "@" in value else f"{shown(value)} "  # a password may stand in it
    try:
        endpoint = parse_url(value)
    except RefusedError as refused:
        raise ValueError(f"{said}is no address to ask ({refused.message}): write https://host/path") from None
    if endpoint.scheme not in {"http", "https"}:
        raise ValueError(f"{said}is no address to ask: write https://host/path")
    return value


class Control(BaseModel, extra="forbid", frozen=True, hide_input_in_errors=True):
    """Addresses of others that are asked where the target does not answer: if none is there, our own network is down.

    `allows` is what each of their hosts bears; the probe stays strictly under 10 % of it.
    """

    addresses: tuple[Annotated[str, AfterValidator(_address)], ...] = Field(min_length=1)
    allows: Rate
    timeout: PositiveDuration = 2.0

    @property
    def longest_s(self) -> float:
        """What asking all of them, one after the other, takes at most."""
        return self.timeout * len(self.addresses)

    def limit(self, url: str) -> RateLimit:
        """What the host of an address bears, whatever is asked of it; named as the ledger counts it."""
        requests, window_s = self.allows
        return RateLimit(f"control {counted_as(url)}", requests, window_s, "ip", (CallPattern("*", "/*"),))

"""Whom a rule can name: `oncall@example.com`, `slack:#alerts`, and others by their name in `channels.yaml`."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator

from probes.config.units import shown

Kind = Literal["mail", "slack", "pagerduty", "opsgenie", "apprise"]

NAMED: Final = ("pagerduty", "opsgenie", "apprise")
"""Those of which there may be several, each with a name of its own."""

MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_SLACK = re.compile(r"slack:#([a-z0-9][a-z0-9_-]{0,79})")
_NAMED = re.compile(rf"({'|'.join(NAMED)}):([a-z][a-z0-9_-]{{0,39}})")


def kind_of(address: str) -> tuple[Kind, str]:
    """By what it goes, and to whom there: `slack:#alerts` → slack, alerts. Raises ValueError where it is no address."""
    if MAIL.fullmatch(address):
        return "mail", address
    if match := _SLACK.fullmatch(address):
        return "slack", match[1]
    if match := _NAMED.fullmatch(address):
        kind: Kind = match[1]  # type: ignore[assignment] # the pattern has no other words
        return kind, match[2]
    named = " or ".join(f"{kind}:NAME" for kind in NAMED)
    raise ValueError(f'{shown(address)} is no address: write name@example.com, "slack:#channel", {named}')


def _address(value: str) -> str:
    kind_of(value)
    return value


def _mail(value: str) -> str:
    if not MAIL.fullmatch(value):
        raise ValueError(f"{shown(value)} is no e-mail address: write name@example.com")
    return value


Address = Annotated[str, AfterValidator(_address)]
MailAddress = Annotated[str, AfterValidator(_mail)]

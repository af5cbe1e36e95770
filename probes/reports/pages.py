"""How every page of ours is made: whatever a target wrote is escaped, and shows no character that is none."""

from __future__ import annotations

import unicodedata

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates() -> Environment:
    """The templates. Everything put into one is escaped, so that nothing a target wrote becomes markup."""
    return Environment(
        loader=PackageLoader("probes.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )


def visible(value: object) -> object:
    """Text without control characters, which HTML does not allow, and without what turns the direction of writing."""
    if type(value) is not str:  # markup of the template itself, numbers
        return value
    return "".join(char if unicodedata.category(char)[0] != "C" or char in "\n\t" else "�" for char in value)

"""Proposed limits as a change of a configuration file: overrides for a region, and for its busy hours, in its own text.

What stands in the file stays as it is, comments and all; the later of two overrides holds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from itertools import groupby

from probes.baseline.proposals import Proposal
from probes.config.units import parse_duration

Keys = Mapping[str, Mapping[str, tuple[str, ...]]]
"""By check and step: where under the check's options its limit stands."""

APART = 0.2
"""A limit is left as it is where the proposed one is nearer to it than that."""

_TOP_LEVEL = re.compile(r"[^\s#-]")
_OVERRIDES = re.compile(r"overrides:\s*(#.*)?$")


def worth_a_change(proposal: Proposal) -> bool:
    """Whether the proposed limit is another one than that which holds."""
    now = proposal.limit_now_ms
    return now is None or abs(proposal.limit_ms - now) > APART * now


def written_limit(ms: float) -> str:
    """As a configuration has it: 85ms, 2.5s."""
    text = f"{ms:g}ms" if ms < 1000 else f"{ms / 1000:g}s"
    parse_duration(text)  # whoever changes the one sees the other
    return text


def overrides(proposed: Iterable[Proposal], keys: Keys) -> list[str]:
    """Lines of YAML, an item of a sequence for each region and span of hours."""
    lines: list[str] = []

    def place(each: Proposal) -> tuple[str, int, int]:
        return each.region, each.begin, each.end

    for (region, begin, end), of_place in groupby(sorted(proposed, key=place), key=place):
        lines.append(f"  - regions: [{region}]")
        if begin != end:
            lines.append(f'    between: "{begin:02}:00-{end:02}:00" # UTC')
        lines.append("    checks:")
        lines += _checks(list(of_place), keys)
    return lines


def _checks(proposed: list[Proposal], keys: Keys) -> list[str]:
    tree: dict[str, object] = {}
    for each in proposed:
        at = tree
        *way, last = (each.check, *keys[each.check][each.step])
        for key in way:
            below = at.setdefault(key, {})
            assert isinstance(below, dict)  # noqa: S101 - a limit stands under a mapping, and is none
            at = below
        at[last] = written_limit(each.limit_ms)
    return [f"      {name}: {_flow(below)}" for name, below in tree.items()]


def _flow(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    return "{ " + ", ".join(f"{_key(key)}: {_flow(below)}" for key, below in value.items()) + " }"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name) else f'"{name}"'


def with_overrides(text: str, lines: list[str]) -> str:
    """The text of a configuration with more overrides. Raises ValueError where its own are not written as a list."""
    own = text.splitlines()
    starts = [number for number, line in enumerate(own) if re.match(r"overrides\s*:", line)]
    if not starts:
        return "\n".join([*own, "", "overrides:", *lines, ""])
    if not _OVERRIDES.match(own[starts[0]]):
        raise ValueError("its overrides stand in one line")
    ends = starts[0] + 1
    for number in range(starts[0] + 1, len(own)):
        if _TOP_LEVEL.match(own[number]):
            break
        if own[number].strip() and not own[number].startswith("#"):
            ends = number + 1
    indent = _indent_of(own[starts[0] + 1 : ends])
    moved = [indent + line[2:] for line in lines]
    return "\n".join([*own[:ends], *moved, *own[ends:], ""])


def _indent_of(items: list[str]) -> str:
    """How far the items of the list are indented: YAML allows no two ways in one list."""
    return next((line[: line.index("-")] for line in items if line.lstrip().startswith("- ")), "  ")


def difference(before: str, after: str, name: str) -> str:
    """As `diff -u` shows it, and `patch` takes it."""
    return "".join(
        difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), name, name, n=2)
    )

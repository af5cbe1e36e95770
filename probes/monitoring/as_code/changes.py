"""From what a service shall have and what it has: what is to be created, changed and removed, and how that reads."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from probes.monitoring.as_code.wanted import Kind, Wanted

CONTEXT = 2
"""Lines of a difference before and after each change."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing of ours as the service has it; `reference` is what the service calls it by."""

    kind: Kind
    key: str
    name: str
    reference: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Create:
    """Something that is not there yet; it carries our mark, as everything that is wanted here. `thing` is what."""

    sign: ClassVar = "+"
    done: ClassVar = "created"
    to_do: ClassVar = "to create"

    thing: Wanted


@dataclass(frozen=True, slots=True)
class Update:
    """Something of ours that is otherwise than described."""

    sign: ClassVar = "~"
    done: ClassVar = "changed"
    to_do: ClassVar = "to change"

    thing: Wanted
    found: Found

    def difference(self) -> Iterator[str]:
        """The lines that change, as a unified difference; what the service has besides is left out."""
        before, after = _lines(_seen_by(self.thing.body, self.found.body)), _lines(self.thing.body)
        yield from list(difflib.unified_diff(before, after, n=CONTEXT, lineterm=""))[2:]  # without names of files


@dataclass(frozen=True, slots=True)
class Remove:
    """Something of ours that is no longer described."""

    sign: ClassVar = "-"
    done: ClassVar = "removed"
    to_do: ClassVar = "to remove"

    thing: Found


Change = Create | Update | Remove


class Keeper(Protocol):
    """The API of one service, in one environment. Errors are SmokeprobeError, one sentence each."""

    def marked(self, wanted: Wanted) -> Wanted:
        """With our mark, as it will be there."""

    def found(self) -> list[Found]:
        """All that carries our mark, the oldest first."""

    def carry_out(self, changes: Sequence[Change]) -> Iterator[Change]:
        """Do them, and give each when it is done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`left` is ours, no longer described, and stays; `copies` carry the mark of something that is there already."""

    changes: tuple[Change, ...]
    same: tuple[Found, ...]
    left: tuple[Found, ...]
    copies: tuple[Found, ...]


def make_plan(wanted: Sequence[Wanted], found: Sequence[Found], *, prune: bool) -> Plan:
    """What is to be done for what is wanted, our mark on it.

    Somebody may have copied what is ours, mark and all: a copy is left alone.
    """
    there: dict[tuple[Kind, str], Found] = {}
    copies = [one for one in found if there.setdefault((one.kind, one.key), one) is not one]
    changes: list[Change] = []
    same: list[Found] = []
    for one in wanted:
        known = there.pop((one.kind, one.key), None)
        if known is not None and _seen_by(one.body, known.body) == one.body:
            same.append(known)
        else:
            changes.append(Create(one) if known is None else Update(one, known))
    left = tuple(there.values())
    if prune:
        changes += [Remove(one) for one in reversed(left)]
    return Plan(tuple(changes), tuple(same), () if prune else left, tuple(copies))


def _seen_by(wanted: Any, found: Any) -> Any:
    """Of what was found only that of which something is wanted: services add fields of their own."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return {key: _seen_by(value, found[key]) for key, value in wanted.items() if key in found}
    if isinstance(wanted, list | tuple) and isinstance(found, list | tuple):
        pairs = [_seen_by(ours, theirs) for ours, theirs in zip(wanted, found, strict=False)]
        return [*pairs, *found[len(pairs) :]]
    return found


def _lines(body: Any) -> list[str]:
    return json.dumps(_readable(body), indent=2, ensure_ascii=False, sort_keys=True).splitlines()


def _readable(value: Any) -> Any:
    """JSON within a text is shown as what it is, and 1.0 as 1."""
    if isinstance(value, Mapping):
        return {key: _readable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.startswith("{"):
        try:
            return _readable(json.loads(value))
        except ValueError:
            return value
    return value

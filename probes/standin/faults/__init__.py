"""All faults of the stand-in, by name. One file for each kind; what a fault is stands in base."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from probes.standin.faults import bodies, calls, edge, pages, wire
from probes.standin.faults.base import Expected, Fault

__all__ = ["FAULTS", "Expected", "Fault", "unknown_faults"]

_KINDS = (wire.FAULTS, bodies.FAULTS, edge.FAULTS, calls.FAULTS, pages.FAULTS)

FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for kind in _KINDS for fault in kind})


def unknown_faults(names: Iterable[str]) -> str:
    """A sentence that names the unknown faults and lists all there are; empty when all are known."""
    unknown = [name for name in names if name not in FAULTS]
    return f"unknown fault: {', '.join(unknown)}; there are: {', '.join(sorted(FAULTS))}" if unknown else ""

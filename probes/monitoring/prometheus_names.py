"""What our metrics are called in Prometheus."""

from __future__ import annotations

from probes.config.monitoring import ServiceOptions

SAMPLED_AT = "smoke_test.sample_timestamp_seconds"
"""Beside each series, by the label `metric`: when its value was measured, in seconds since the epoch."""


def known_as(name: str, options: ServiceOptions) -> str:
    """A metric's name there; a count that a master shows has `_total` at its end besides."""
    return (options.prefix + name).replace(".", "_")

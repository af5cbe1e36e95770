"""The monitors that the rules ask of one service; what renders them is imported only then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from typing import cast

from probes.config.alert_rules import Evaluator, RuleFile
from probes.config.models import Settings
from probes.config.monitoring import ServiceOptions
from probes.monitoring.as_code.watch import Monitors, Watch, beyond, watches


def monitors_of(service: Evaluator, rules: RuleFile, settings: Settings, options: ServiceOptions) -> Monitors:
    """All that the service shall watch for in the environment of these settings, and what it cannot be told.

    `options` are what `monitoring-integration.yaml` says of the service: there metrics have their prefix and tags.
    Raises nothing: whether they fit the environment, `problems_in` has been asked.
    """
    module = import_module(f"probes.monitoring.as_code.monitors_{service}")
    watched = watches(rules, settings, service, options.tags)
    found = cast("Monitors", module.monitors(watched, options))
    return replace(found, notes=(*found.notes, *_untold(service, watched)))


def _untold(service: Evaluator, watched: list[Watch]) -> Iterator[str]:
    """Whom a service does not tell; Alertmanager tells whomever it has been taught to."""
    for watch in watched if service != "prometheus" else ():
        if told := beyond(watch.rule):
            yield f"{watch.key}: {service} does not tell {', '.join(told)}: only a rule that smokeprobe evaluates does."

"""What one service shall have in one environment, by all that is described, and in which form its own tools take it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probes.config.alert_rules import FILE as RULES
from probes.config.alert_rules import Evaluator, load_rules
from probes.config.dashboards import FOLDER, Dashboard, load_dashboards
from probes.config.load import shipped
from probes.config.mistakes import did_you_mean
from probes.config.models import Settings
from probes.config.monitoring import (
    FILE,
    VARIABLE,
    CloudWatchOptions,
    DatadogOptions,
    NewRelicOptions,
    PrometheusOptions,
    ServiceOptions,
    load_integration,
)
from probes.config.units import shown
from probes.errors import ConfigError
from probes.monitoring.as_code.changes import Keeper
from probes.monitoring.as_code.mark import Mark
from probes.monitoring.as_code.monitors import monitors_of
from probes.monitoring.as_code.wanted import Wanted
from probes.monitoring.newrelic_hosts import region_of
from probes.monitoring.samples import WHOLE_RUN

Service = Evaluator

_DEFAULTS: Mapping[Service, type[ServiceOptions]] = {
    "datadog": DatadogOptions, "newrelic": NewRelicOptions, "cloudwatch": CloudWatchOptions,
    "prometheus": PrometheusOptions,
}  # fmt: skip
"""What holds where a service does not stand in the file."""


@dataclass(frozen=True, slots=True)
class Described:
    """`notes` say what of a description a service cannot do."""

    service: Service
    env: str
    options: ServiceOptions
    wanted: tuple[Wanted, ...]
    notes: tuple[str, ...] = ()


def describe(service: Service, settings: Settings, folder: Path, environ: Mapping[str, str]) -> Described:
    """Read dashboards and rules beside a configuration, which lies in `folder`.

    Raises ConfigError with every mistake of a file.
    """
    env, integration = settings.env, load_integration(folder / FILE)
    options = integration.of(service) or _DEFAULTS[service](tags=integration.tags)
    described = load_dashboards(folder / FOLDER)
    dashboards = _dashboards(service, described, settings, options, environ)
    rules = load_rules(folder / RULES)
    if problems := rules.problems_in(settings, integration):
        raise ConfigError(f"{folder / RULES} does not hold for {env}:", tuple(problems))
    monitors = monitors_of(service, rules, settings, options)
    wanted, notes = (*dashboards, *monitors.wanted), monitors.notes
    if dashboards:
        notes += tuple(_unknown_checks(described, settings, folder))
    if wanted and env not in options.environments:
        notes += (
            f"{folder / FILE} does not have {service} told of {env}: only {VARIABLE} does, or nothing is to be seen.",
        )
    return Described(service, env, options, wanted, notes if wanted or notes else (_nothing(service, env, folder),))


def _unknown_checks(dashboards: Mapping[str, Dashboard], settings: Settings, folder: Path) -> Iterator[str]:
    """Widgets of checks that the environment does not have: one file is for all environments, so these stay empty."""
    for key, dashboard in dashboards.items():
        for widget in (widget for section in dashboard.sections for widget in section.widgets):
            for check in (name for name in widget.checks if name not in {*settings.checks, WHOLE_RUN}):
                near = did_you_mean(check, settings.checks)
                where = f"{folder / FOLDER / key}.yaml: {widget.title}"
                yield f"{where} stays empty: {shown(check)} is no check of {settings.env}{near}"


def _nothing(service: Service, env: str, folder: Path) -> str:
    """Where somebody has to look who wonders why there is nothing."""
    text = f"Nothing is described for {service}: no rule in {folder / RULES} is for {service} to watch in {env}"
    if service != "prometheus":
        text += f", and there is no dashboard in {folder / FOLDER} (such as in {shipped('config') / FOLDER})"
    return f"{text}."


def _dashboards(
    service: Service,
    dashboards: Mapping[str, Dashboard],
    settings: Settings,
    options: ServiceOptions,
    environ: Mapping[str, str],
) -> tuple[Wanted, ...]:
    """Prometheus has none: there is no such thing there."""
    if service == "datadog":
        from probes.monitoring.as_code import dashboards_datadog

        return dashboards_datadog.dashboards(dashboards, settings.env, options)
    if service == "newrelic":
        from probes.monitoring.as_code import dashboards_newrelic

        return dashboards_newrelic.dashboards(dashboards, settings.env, options, account_of(environ))
    if isinstance(options, CloudWatchOptions):
        from probes.monitoring.as_code import dashboards_cloudwatch

        names = {"region": settings.regions, "check": tuple(settings.checks)}
        searched = dashboards_cloudwatch.Searched(settings.env, options.namespace, options, names)
        return dashboards_cloudwatch.dashboards(dashboards, searched)
    return ()


def account_of(environ: Mapping[str, str]) -> int:
    """New Relic's account; 0, which stands for whichever imports it, where the environment names none."""
    text = environ.get("NEW_RELIC_ACCOUNT_ID", "").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise ConfigError("NEW_RELIC_ACCOUNT_ID is no number.", hint="It stands in the address of the account's pages.")
    return int(text or 0)


def keeper_of(described: Described, environ: Mapping[str, str]) -> Keeper:
    """The API of its service, with the keys of the environment. Raises ConfigError where it cannot be had."""
    options, mark = described.options, Mark(described.env, described.options.tags)
    if isinstance(options, DatadogOptions):
        from probes.monitoring.as_code import datadog_api

        return datadog_api.make_keeper(mark, options, environ)
    if isinstance(options, CloudWatchOptions):
        from probes.monitoring.as_code import cloudformation

        return cloudformation.make_keeper(mark, options.region or environ.get("AWS_REGION", ""))
    if isinstance(options, NewRelicOptions):
        from probes.monitoring.as_code import newrelic_api

        eu = region_of(environ.get("NEW_RELIC_LICENSE_KEY", "").strip(), options).startswith("eu")
        return newrelic_api.make_keeper(mark, "eu" if eu else "us", account_of(environ), environ)
    raise ConfigError(
        "Prometheus has no API for rules: it reads files.",
        hint="smokeprobe monitoring render --service prometheus --directory DIR writes them; then reload it.",
    )


def files(described: Described) -> dict[str, str]:
    """The files that the service's own tools take, by name: one a dashboard or monitor, or one for all."""
    if described.service == "cloudwatch":
        from probes.monitoring.as_code.cloudformation import marked, templates

        found = templates(described.env, [marked(one) for one in described.wanted])
        return {f"{stack}.template.json": _json(template) for stack, template in found.items()}
    if described.service == "prometheus":
        groups = {"groups": [one.body for one in described.wanted]}
        return {f"smokeprobe-{described.env}.rules.yml": _json(groups)} if described.wanted else {}
    return {f"{one.kind}-{one.key}.json": _json(one.body) for one in described.wanted}


def _json(body: Any) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"

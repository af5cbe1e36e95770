"""Prometheus: one group a rule. It first records each sample once, and then holds them against the condition.

A gauge that is scraped keeps its value until the next one: averaged over time, a check that is seldom would weigh as
much as one that is frequent, and one that is silent would never be so. So a sample is what stands there when its time,
which the sink shows beside it, is another than one step before.
"""

from __future__ import annotations

import re
from typing import Any

from probes.config.conditions import Condition
from probes.config.metrics import METRICS
from probes.config.monitoring import ServiceOptions
from probes.monitoring.as_code.wanted import Wanted
from probes.monitoring.as_code.watch import Monitors, Watch, number
from probes.monitoring.prometheus_names import SAMPLED_AT, known_as

STEP = "15s"
"""How often rules are evaluated. Of samples that follow one another faster than that, the last one counts."""


def monitors(watched: list[Watch], options: ServiceOptions) -> Monitors:
    """One group of rules for each rule; whom an alert reaches is Alertmanager's."""
    wanted, notes = [], []
    for watch in watched:
        if METRICS[watch.rule.metric].kind == "count":
            notes.append(
                f"{watch.key}: {watch.rule.metric} is a total on a master, and of runs only the last is there: not in "
                "Prometheus."
            )
            continue
        wanted.append(Wanted("monitor", watch.key, watch.title, _group(watch, options)))
        told = ", ".join(watch.rule.notify)
        notes.append(f"{watch.key}: Alertmanager is to tell {told}: route by the label `notify`.")
    return Monitors(tuple(wanted), tuple(notes))


def _group(watch: Watch, options: ServiceOptions) -> dict[str, Any]:
    rule = watch.rule
    alert = {
        "alert": _alert(watch),
        "expr": _expression(watch),
        "labels": {"env": watch.env, **watch.tags, "severity": rule.severity, "notify": " ".join(rule.notify)},
        "annotations": {"summary": watch.title, "description": watch.text},
    }
    record = {"record": _recorded(watch), "expr": _sampled(watch, options)}
    return {"name": f"smokeprobe-{watch.env}-{watch.key}", "interval": STEP, "rules": [record, alert]}


def _alert(watch: Watch) -> str:
    return "Smokeprobe" + "".join(word.capitalize() for word in re.split(r"[-_]", f"{watch.env}-{watch.key}"))


def _recorded(watch: Watch) -> str:
    return re.sub(r"-", "_", f"smokeprobe:{watch.env}:{watch.key}")


def _samples(watch: Watch) -> str:
    """Those of this product: another one may have a rule of the same name in one Prometheus."""
    return f"{_recorded(watch)}{{{_tags(watch)}}}" if watch.tags else _recorded(watch)


def _tags(watch: Watch) -> str:
    return ",".join(f'{tag}="{value}"' for tag, value in watch.tags.items())


def _sampled(watch: Watch, options: ServiceOptions) -> str:
    name = known_as(watch.rule.metric, options)
    places = f'env="{watch.env}",region=~"{"|".join(watch.regions)}",check=~"{"|".join(watch.checks)}"'
    said = f"{places},{_tags(watch)}" if watch.tags else places
    at = f'{known_as(SAMPLED_AT, options)}{{metric="{name}",{said}}}'
    return f"{name}{{{said}}} and on (env, region, check, mode) ({at} != {at} offset {STEP})"


def _expression(watch: Watch) -> str:
    rule, quorum = watch.rule, watch.rule.quorum
    fires = f"count({_regions(watch, rule.condition)}) >= {quorum}"
    if rule.recovery is not None:
        named = f'alertname="{_alert(watch)}",alertstate="firing",env="{watch.env}"'
        firing = f"ALERTS{{{named},{_tags(watch)}}}" if watch.tags else f"ALERTS{{{named}}}"
        lasts = f"count({_regions(watch, rule.recovery.negated)}) >= {quorum}"
        fires += f"\nor\n({lasts} and on () {firing})"
    if rule.no_data == "alert":
        fires += f"\nor\n(count({_count(watch)} >= {rule.samples}) or vector(0)) < {quorum}"
    return fires


def _regions(watch: Watch, condition: Condition) -> str:
    """The regions in which a condition holds, and that have samples enough."""
    return f"({_holding(watch, condition)}) and ({_count(watch)} >= {watch.rule.samples})"


def _holding(watch: Watch, condition: Condition) -> str:
    rule, window = watch.rule, _window(watch)
    if rule.percentile:
        return _percentile(watch, condition)
    limit = f"{condition.operator} {number(condition.value)}"
    over_time = {"mean": "sum", "sum": "sum", "min": "min", "max": "max"}[rule.statistic]
    value = f"{over_time} by (region) ({over_time}_over_time({_samples(watch)}[{window}]))"
    return f"{value} / {_count(watch)} {limit}" if rule.statistic == "mean" else f"{value} {limit}"


def _percentile(watch: Watch, condition: Condition) -> str:
    """p95 > x: more than a twentieth of all samples is; p95 < x: no more than that is not."""
    counted = condition if condition.upwards else condition.negated
    beyond = f"{_samples(watch)} {counted.operator} {number(counted.value)}"
    most = number((100 - watch.rule.percentile) / 100)
    more = f"sum by (region) (count_over_time(({beyond})[{_window(watch)}:{STEP}])) > {most} * {_count(watch)}"
    return more if condition.upwards else f"{_count(watch)} unless on (region) ({more})"


def _count(watch: Watch) -> str:
    return f"sum by (region) (count_over_time({_samples(watch)}[{_window(watch)}]))"


def _window(watch: Watch) -> str:
    return f"{watch.window_s // 60}m"

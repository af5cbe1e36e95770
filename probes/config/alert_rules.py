"""`alert-rules.yaml`: who is told of what, and which one service watches for it.

A rule looks at the samples of one metric that a region has given within the window, those of its checks together, and
holds their statistic against the condition. It fires where that holds in `quorum` of the verified regions that the
environment's configuration names, of each of which at least so many `samples` are there; a region with fewer says
nothing. It recovers where the recovery condition holds in so many of them that no quorum is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from probes.config.aws import AWS_REGION
from probes.config.document import Document, read_document
from probes.config.metrics import METRICS, Unit, of_runs
from probes.config.mistakes import Mistakes, did_you_mean, raise_if_any, read_as
from probes.config.models import Name, Settings, Strict
from probes.config.monitoring import FILE as INTEGRATION
from probes.config.monitoring import Integration
from probes.config.units import PositiveDuration, parse_duration, parse_fraction, show_duration, shown

FILE = "alert-rules.yaml"
RESERVED = "smokeprobe"
"""The evaluator that will be our own."""

Operator = Literal["<", "<=", ">", ">="]
Evaluator = Literal["datadog", "newrelic", "cloudwatch", "prometheus"]
EVALUATORS: tuple[Evaluator, ...] = ("datadog", "newrelic", "cloudwatch", "prometheus")

SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 60.0, 86400.0

_NEGATED: Mapping[Operator, Operator] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_CONDITION = re.compile(r"(<=?|>=?) ?(\S.*)")
_PERCENTILE = re.compile(r"p([1-9][0-9]?)")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_SLACK = re.compile(r"slack:#[a-z0-9][a-z0-9_-]{0,79}")
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?")
_EXAMPLES: Mapping[Unit, str] = {
    "": "0.9", "fraction": "50%", "percent": "80%", "millisecond": "500ms", "second": "20s", "day": "14d",
}  # fmt: skip
_SECONDS: Mapping[Unit, float] = {"millisecond": 0.001, "second": 1.0, "day": 86400.0}


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison with a value, in the metric's own unit."""

    operator: Operator
    value: float

    @property
    def negated(self) -> Condition:
        """What holds exactly where this one does not."""
        return Condition(_NEGATED[self.operator], self.value)

    @property
    def upwards(self) -> bool:
        """Whether it speaks of what is too much."""
        return self.operator in {">", ">="}


def _parse(text: Any, metric: str) -> Condition:
    """`< 0.9` → a condition in the metric's unit. Raises ValueError; without a metric only for what never is one."""
    unit: Unit = METRICS[metric].unit if metric else ""
    match = _CONDITION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{shown(text)} is no condition: write "< {_EXAMPLES[unit]}", or with <=, > or >=')
    operator: Any = match[1]
    return Condition(operator, _value(match[2], metric, unit) if metric else 0.0)


def _value(text: str, metric: str, unit: Unit) -> float:
    if unit in _SECONDS:
        try:
            return round(parse_duration(text) / _SECONDS[unit], 9)
        except ValueError:
            raise ValueError(f"{metric} is a time, with its unit: write {_EXAMPLES[unit]}, not {shown(text)}") from None
    if unit in {"fraction", "percent"}:
        try:
            share = parse_fraction(text if text.endswith("%") else float(text))
        except ValueError:
            raise ValueError(f"{metric} is a share: write {_EXAMPLES[unit]}, not {shown(text)}") from None
        return share if unit == "fraction" else 100.0 * share
    if not _PLAIN_NUMBER.fullmatch(text):
        raise ValueError(f"{metric} has no unit: write a number such as {_EXAMPLES[unit]}, not {shown(text)}")
    return float(text)


def _metric(value: str) -> str:
    if value not in METRICS:
        raise ValueError(
            f"{shown(value)} is no metric of ours, such as smoke_test.success{did_you_mean(value, METRICS)}"
        )
    if value == "smoke_test.test":
        raise ValueError("smoke_test.test is sent by hand only: a rule about it never fires")
    return value


def _window(value: float) -> float:
    if value % 60 or not SHORTEST_WINDOW_S <= value <= LONGEST_WINDOW_S:
        raise ValueError(f"{show_duration(value)} is no window: whole minutes, from 1m to 24h")
    return value


def _address(value: str) -> str:
    if not _MAIL.fullmatch(value) and not _SLACK.fullmatch(value):
        raise ValueError(f'{shown(value)} is no address: write name@example.com or "slack:#channel"')
    return value


def _evaluator(value: Any) -> Any:
    if value == RESERVED:
        raise ValueError(f"{RESERVED} does not evaluate rules itself yet: name one of {', '.join(EVALUATORS)}")
    if not isinstance(value, str):
        raise ValueError("one service watches for a rule, never two: each would tell of one outage")  # noqa: TRY004 - pydantic's
    if value not in EVALUATORS:
        near = did_you_mean(value, EVALUATORS)
        raise ValueError(f"{shown(value)} evaluates no rules: one of {', '.join(EVALUATORS)}{near}")
    return value


Address = Annotated[str, AfterValidator(_address)]


class Rule(Strict):
    """One rule. `checks` are those that it is about: all, unless named. `recovery` is the condition's contrary."""

    metric: Annotated[str, AfterValidator(_metric)]
    statistic: str
    condition: Condition
    recovery: Condition | None = None
    window: Annotated[PositiveDuration, AfterValidator(_window)]
    samples: int = Field(ge=1, le=10_000)
    quorum: int = Field(ge=1, le=100)
    checks: tuple[Name, ...] = ()
    environments: tuple[Name, ...] = Field(min_length=1)
    severity: Literal["critical", "warning", "info"]
    notify: tuple[Address, ...] = Field(min_length=1)
    evaluator: Annotated[Evaluator, BeforeValidator(_evaluator)]
    no_data: Literal["ok", "alert"] = "ok"

    @field_validator("statistic")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        if value not in {"mean", "min", "max", "sum"} and not _PERCENTILE.fullmatch(value):
            raise ValueError(f"{shown(value)} is no statistic: mean, min, max, sum, or a percentile such as p95")
        metric = info.data.get("metric", "")
        if metric and METRICS[metric].kind == "count" and value != "sum":
            raise ValueError(f"{metric} counts how many there were: its statistic is sum")
        return value

    @field_validator("condition", mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Condition:
        return _parse(value, info.data.get("metric", ""))

    @field_validator("recovery", mode="before")
    @classmethod
    def _read_recovery(cls, value: Any, info: ValidationInfo) -> Condition:
        found = _parse(value, info.data.get("metric", ""))
        condition: Condition | None = info.data.get("condition")
        if condition is None or not info.data.get("metric"):
            return found
        apart = condition.value - found.value if condition.upwards else found.value - condition.value
        touching = apart == 0 and len({condition.operator, found.operator} & {"<=", ">="}) == 2
        if condition.upwards == found.upwards or apart < 0 or touching:
            raise ValueError("must be on the other side of the condition: what fires a rule cannot end it")
        return found

    @field_validator("checks")
    @classmethod
    def _some(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if value and of_runs(info.data.get("metric", "")):
            raise ValueError(f"{info.data['metric']} is of whole runs: leave the checks out")
        return value

    @field_validator("quorum")
    @classmethod
    def _more_than_one_sample(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get("samples") == 1 and value == 1:
            raise ValueError("one sample of one region is no ground for an alert: ask for more of either")
        return value

    @property
    def recovered(self) -> Condition:
        """What ends it."""
        return self.recovery or self.condition.negated

    @property
    def percentile(self) -> int:
        """95 for p95; 0 for any other statistic."""
        match = _PERCENTILE.fullmatch(self.statistic)
        return int(match[1]) if match else 0


class Rules(Strict):
    """The whole file."""

    rules: dict[Name, Rule] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The rules, and the lines on which they stand."""

    rules: Mapping[str, Rule]
    document: Document | None = None

    def of(self, env: str, evaluator: Evaluator) -> dict[str, Rule]:
        """Those that a service watches for in an environment."""
        return {
            name: rule for name, rule in self.rules.items() if rule.evaluator == evaluator and env in rule.environments
        }

    def problems_in(self, settings: Settings, integration: Integration) -> list[str]:
        """What does not fit one environment's configuration, or what its services are sent, a line for each place."""
        if self.document is None:
            return []
        mistakes = Mistakes(self.document)
        for name, rule in self.rules.items():
            if settings.env in rule.environments:
                for key, message in _misfits(rule, settings, integration):
                    mistakes.say(("rules", name, key), message)
        return mistakes.lines()


def _misfits(rule: Rule, settings: Settings, integration: Integration) -> Iterator[tuple[str, str]]:
    options = integration.of(rule.evaluator)
    if options and not options.wants(rule.metric):
        yield "metric", f"{INTEGRATION} keeps {rule.metric} from {rule.evaluator}: it never fires"
    for check in rule.checks:
        if check not in settings.checks:
            yield "checks", f"{shown(check)} is no check of {settings.env}{did_you_mean(check, settings.checks)}"
    if not settings.regions:
        yield "quorum", f"{settings.env} names no regions, and only named ones are counted"
    elif rule.quorum > len(settings.regions):
        named = f"{settings.env} has {len(settings.regions)} regions"
        yield "quorum", f"{rule.quorum} can never be reached: {named}"
    elif others := _not_borne_out(rule, settings):
        why = f"nothing bears out {', '.join(others)}; say what does (region_proofs)"
        yield "quorum", f"{rule.quorum} can never be reached: {why}"


def _not_borne_out(rule: Rule, settings: Settings) -> list[str]:
    """The regions that can never be verified, where the others make no quorum. Only AWS itself tells its regions."""
    others = [
        name for name in settings.regions if name not in settings.region_proofs and not AWS_REGION.fullmatch(name)
    ]
    return others if len(settings.regions) - len(others) < rule.quorum else []


def load_rules(path: Path) -> RuleFile:
    """Read the file; without one there are no rules. Raises ConfigError with every mistake."""
    if not path.exists():
        return RuleFile({})
    document = read_document(path)
    found, problems = read_as(document, Rules)
    raise_if_any(f"{path} has", problems)
    return RuleFile(found.rules if found else {}, document)

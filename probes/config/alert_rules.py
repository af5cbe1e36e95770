"""`alert-rules.yaml`: who is told of what, and who watches for it: we, or one service.

A rule looks at the samples of one metric that a region has given within the window, those of its checks together, and
holds their statistic against the condition. It fires where that holds in `quorum` of the verified regions that the
environment's configuration names, of each of which at least so many `samples` are there; a region with fewer says
nothing. It recovers where the recovery condition holds in so many of them that no quorum is left.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from probes.config.addresses import Address
from probes.config.aws import AWS_REGION
from probes.config.conditions import Condition, parse_condition
from probes.config.document import Document, read_document
from probes.config.metrics import METRICS, of_runs
from probes.config.mistakes import Mistakes, did_you_mean, raise_if_any, read_as
from probes.config.models import Name, Settings, Strict
from probes.config.monitoring import FILE as INTEGRATION
from probes.config.monitoring import Integration
from probes.config.spans import DailySpan
from probes.config.units import PositiveDuration, show_duration, shown

FILE = "alert-rules.yaml"
OURS: Final = "smokeprobe"
"""The evaluator that is our own: a master, or a run at its end."""

Evaluator = Literal["datadog", "newrelic", "cloudwatch", "prometheus"]
EVALUATORS: tuple[Evaluator, ...] = ("datadog", "newrelic", "cloudwatch", "prometheus")
AnyEvaluator = Evaluator | Literal["smokeprobe"]

SHORTEST_REMINDER_S = 300.0
SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 60.0, 86400.0

_PERCENTILE = re.compile(r"p([1-9][0-9]?)")


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


def _evaluator(value: Any) -> Any:
    known = (OURS, *EVALUATORS)
    if not isinstance(value, str):
        raise ValueError("one evaluator watches for a rule, never two: each would tell of one outage")  # noqa: TRY004 - pydantic's
    if value not in known:
        raise ValueError(f"{shown(value)} evaluates no rules: one of {', '.join(known)}{did_you_mean(value, known)}")
    return value


class Rule(Strict):
    """One rule. `checks` are those that it is about: all, unless named. `recovery` is the condition's contrary.

    `reminder` is how often it is told again while it goes on: never, unless it says so; in `mute` nothing is told of
    it but its end.
    """

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
    evaluator: Annotated[AnyEvaluator, BeforeValidator(_evaluator)]
    no_data: Literal["ok", "alert"] = "ok"
    reminder: PositiveDuration | None = None
    mute: tuple[DailySpan, ...] = ()

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
        return parse_condition(value, info.data.get("metric", ""))

    @field_validator("recovery", mode="before")
    @classmethod
    def _read_recovery(cls, value: Any, info: ValidationInfo) -> Condition:
        found = parse_condition(value, info.data.get("metric", ""))
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

    @field_validator("reminder", "mute")
    @classmethod
    def _only_ours(cls, value: Any, info: ValidationInfo) -> Any:
        evaluator = info.data.get("evaluator", OURS)
        if value and evaluator != OURS:
            raise ValueError(f"{evaluator} tells of this rule, and is not told of that: set it there, and leave it out")
        return value

    @field_validator("reminder")
    @classmethod
    def _not_a_nuisance(cls, value: float | None) -> float | None:
        if value is not None and value < SHORTEST_REMINDER_S:
            raise ValueError(f"{show_duration(value)} is too often: write 5m or longer")
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

    def of(self, values: Sequence[float]) -> float:
        """The statistic of values that are in order, of which there is one at least."""
        if self.percentile:
            return values[math.ceil(self.percentile / 100 * len(values)) - 1]  # by nearest rank
        total = math.fsum(values)
        return {"min": values[0], "max": values[-1], "sum": total, "mean": total / len(values)}[self.statistic]

    def misfits(self, settings: Settings) -> list[tuple[str, str]]:
        """What does not fit an environment's configuration: each a key, and what is wrong with it."""
        return list(_misfits(self, settings))


class Rules(Strict):
    """The whole file."""

    rules: dict[Name, Rule] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The rules, and the lines on which they stand."""

    rules: Mapping[str, Rule]
    document: Document | None = None

    def of(self, env: str, evaluator: AnyEvaluator) -> dict[str, Rule]:
        """Those that an evaluator watches for in an environment."""
        return {
            name: rule for name, rule in self.rules.items() if rule.evaluator == evaluator and env in rule.environments
        }

    def addresses(self, env: str) -> dict[str, str]:
        """Whom we tell ourselves in an environment: each address, and the first rule that names it."""
        found: dict[str, str] = {}
        for name, rule in self.of(env, OURS).items():
            for address in rule.notify:
                found.setdefault(address, name)
        return found

    def problems_in(self, settings: Settings, integration: Integration) -> list[str]:
        """What does not fit one environment's configuration, or what its services are sent, a line for each place."""
        if self.document is None:
            return []
        mistakes = Mistakes(self.document)
        for name, rule in self.rules.items():
            if settings.env in rule.environments:
                for key, message in (*_kept(rule, integration), *rule.misfits(settings)):
                    mistakes.say(("rules", name, key), message)
        return mistakes.lines()


def _kept(rule: Rule, integration: Integration) -> Iterator[tuple[str, str]]:
    options = integration.of(rule.evaluator) if rule.evaluator != OURS else None
    if options and not options.wants(rule.metric):
        yield "metric", f"{INTEGRATION} keeps {rule.metric} from {rule.evaluator}: it never fires"


def _misfits(rule: Rule, settings: Settings) -> Iterator[tuple[str, str]]:
    for check in rule.checks:
        if check not in settings.checks:
            yield "checks", f"{shown(check)} is no check of {settings.env}{did_you_mean(check, settings.checks)}"
    if not settings.regions:
        yield "quorum", f"{settings.env} names no regions, and only named ones are counted: add regions: [NAME] to it"
    elif rule.quorum > len(settings.regions):
        named = f"{settings.env} has {len(settings.regions)} regions"
        yield "quorum", f"{rule.quorum} can never be reached: {named}"
    elif others := _not_borne_out(rule, settings):
        proof = f"region_proofs: {{ {others[0]}: {{ env: VARIABLE }} }}"
        why = f"nothing bears out {', '.join(others)}; say what does, such as {proof}"
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

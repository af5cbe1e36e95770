"""A rule in one environment, as every service's monitors are made of it, and what came of making them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from probes.config.addresses import NAMED
from probes.config.alert_rules import Evaluator, Rule, RuleFile
from probes.config.conditions import Condition, show_value
from probes.config.metrics import of_runs
from probes.config.models import Settings
from probes.config.units import show_duration
from probes.monitoring.as_code.wanted import Wanted
from probes.monitoring.samples import WHOLE_RUN

NONE = 1e-9
"""What keeps a value that is just at a limit apart from one beyond it, where a service knows `at most` only."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched. `checks` are those it is about; `others` are all that the same metric comes of besides.

    `tags` are those that all samples have by the configuration.
    """

    key: str
    env: str
    rule: Rule
    regions: tuple[str, ...]
    checks: tuple[str, ...]
    others: tuple[str, ...]
    tags: Mapping[str, str]

    @property
    def title(self) -> str:
        """What people call it; the same in each service."""
        return f"smokeprobe {self.env}: {self.key}"

    @property
    def window_s(self) -> int:
        """How far it looks back, in seconds."""
        return int(self.rule.window)

    @property
    def text(self) -> str:
        """What it says, in one sentence."""
        rule = self.rule
        where = f"in at least {rule.quorum} of {', '.join(self.regions)}"
        held = f"{rule.statistic} of {rule.metric} {self._shown(rule.condition)}"
        of_what = "" if self.checks == (WHOLE_RUN,) else f" of {', '.join(self.checks)}"
        ends = f"; over where {self._shown(rule.recovery)} again" if rule.recovery else ""
        blind = "; also where too few regions have their samples" if rule.no_data == "alert" else ""
        return (
            f"{held} over {show_duration(rule.window)}{of_what}, {where}, with at least {rule.samples} samples each"
            f"{ends}{blind}."
        )

    def _shown(self, condition: Condition) -> str:
        return f"{condition.operator} {show_value(condition.value, self.rule.metric)}"


@dataclass(frozen=True, slots=True)
class Monitors:
    """What a service shall have, and in one sentence each what it cannot be told."""

    wanted: tuple[Wanted, ...] = ()
    notes: tuple[str, ...] = ()


def watches(rules: RuleFile, settings: Settings, evaluator: Evaluator, tags: Mapping[str, str]) -> list[Watch]:
    """The rules that a service is to watch for in an environment. Raises nothing: `problems_in` has been asked."""
    known = tuple(name for name, options in settings.checks.items() if options.enabled)
    found = []
    for key, rule in rules.of(settings.env, evaluator).items():
        checks = (WHOLE_RUN,) if of_runs(rule.metric) else rule.checks or known
        others = tuple(name for name in (*settings.checks, WHOLE_RUN) if name not in checks)
        found.append(Watch(key, settings.env, rule, settings.regions, checks, others, tags))
    return found


def mails(rule: Rule) -> list[str]:
    """The addresses of a rule that are an e-mail's."""
    return [address for address in rule.notify if "@" in address]


def channels(rule: Rule) -> list[str]:
    """The Slack channels of a rule, without their #."""
    return [address.removeprefix("slack:#") for address in rule.notify if address.startswith("slack:")]


def beyond(rule: Rule) -> list[str]:
    """The addresses of a rule that only we can reach, by our own channels."""
    return [address for address in rule.notify if address.startswith(NAMED)]


def number(value: float) -> str:
    """A number as all of these languages read it."""
    return f"{value:.12g}"

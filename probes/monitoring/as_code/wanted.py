"""One thing that a monitoring service shall have: made of a neutral description, taken by the service's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["dashboard", "monitor", "topic"]
"""A monitor is whatever watches and alerts; a topic is where CloudWatch says so."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`key` (small letters, digits, - and _) tells it apart from others of its kind in one environment, for ever.

    `name` is what people read. `body` is plain JSON as the service takes it, without our mark, which the API's client
    adds:

    - Datadog: what POST /api/v1/dashboard or /api/v1/monitor takes
    - New Relic: a `DashboardInput`, or an `AlertsNrqlConditionStaticInput` (one policy for an environment has them all)
    - CloudWatch: one CloudFormation resource, with `Type` and `Properties`; others refer to it by `logical_id`
    - Prometheus: one group of rules, with `name` and `rules`
    """

    kind: Kind
    key: str
    name: str
    body: Mapping[str, Any]


def logical_id(kind: Kind, key: str) -> str:
    """The name of a resource within a CloudFormation template, which has letters and digits only."""
    words = key.replace("-", "_").split("_")
    return kind.capitalize() + "".join(word[:1].upper() + word[1:] for word in words)

"""`monitoring-integration.yaml`: which monitoring service gets which metrics, under which names and with which tags.

No secret stands there: a service is used where the environment has its credentials, and says nothing otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from probes.config.aws import AWS_REGION, VARIABLES, has_aws_credentials
from probes.config.document import read_document
from probes.config.metrics import METRICS
from probes.config.mistakes import did_you_mean, raise_if_any, read_as
from probes.config.models import Name, Strict
from probes.config.units import shown
from probes.errors import ConfigError

FILE = "monitoring-integration.yaml"
VARIABLE = "SMOKEPROBE_MONITORING"
"""The environment variable that names the services of one run, instead of what the file says of its environment."""

Role = Literal["run", "master", "worker"]

_OWN_TAGS = frozenset({"env", "region", "check", "version", "mode"})
_TAG = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAG_VALUE = re.compile(r"[a-z0-9][a-z0-9_./-]{0,99}")  # Datadog would make small letters of large ones
_PREFIX = re.compile(r"(?:[a-z][a-z0-9_]*\.)*")
_NAMESPACE = re.compile(r"(?!AWS/)[A-Za-z0-9][A-Za-z0-9._/#-]{0,254}")


def _metric(value: str) -> str:
    if not any(fnmatchcase(name, value) for name in METRICS):
        near = did_you_mean(value, METRICS)
        raise ValueError(
            f"{shown(value)} is no metric of ours, nor a pattern of some, such as smoke_test.phase.*{near}"
        )
    return value


def _tags(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if name in _OWN_TAGS or not _TAG.fullmatch(name):
            raise ValueError(f"{shown(name)} is no name for a tag: small letters, digits and _, and not one of ours")
        if not _TAG_VALUE.fullmatch(text):
            raise ValueError(f"{name}: its value is no tag: small letters, digits, _, ., / and -, at most 100")
    return value


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise ValueError(f"{shown(value)} is no prefix: small letters, digits and _, with a dot at its end")
    return value


def _aws_region(value: str) -> str:
    if value and not AWS_REGION.fullmatch(value):
        raise ValueError(f"{shown(value)} is no region of AWS, such as eu-west-1")
    return value


def _namespace(value: str) -> str:
    if not _NAMESPACE.fullmatch(value):
        raise ValueError(
            f"{shown(value)} is no namespace: letters, digits, ., _, /, # and -, at most 255, and not AWS's own"
        )
    return value


ExtraTags = Annotated[dict[str, str], AfterValidator(_tags), Field(max_length=5)]


class ServiceOptions(Strict):
    """What every service can be told. `environments` are those whose runs use it; `metrics` which it gets."""

    environments: tuple[Name, ...] = ()
    metrics: tuple[Annotated[str, AfterValidator(_metric)], ...] = Field(default=("*",), min_length=1)
    prefix: Annotated[str, AfterValidator(_prefix)] = ""
    tags: ExtraTags = Field(default={})

    def wants(self, name: str) -> bool:
        """Whether the service gets a metric."""
        return any(fnmatchcase(name, pattern) for pattern in self.metrics)


class DatadogOptions(ServiceOptions):
    """Datadog; `site` is where the organisation's data is kept."""

    site: Literal[
        "datadoghq.com", "us3.datadoghq.com", "us5.datadoghq.com", "datadoghq.eu", "ap1.datadoghq.com",
        "ap2.datadoghq.com", "ddog-gov.com",
    ] = "datadoghq.com"  # fmt: skip


class NewRelicOptions(ServiceOptions):
    """New Relic; `region` is where the account's data is kept, by itself what the licence key begins with."""

    region: Literal["us", "eu"] | None = None


class CloudWatchOptions(ServiceOptions):
    """CloudWatch; `region` is where the metrics are kept: by itself where the environment has AWS look."""

    region: Annotated[str, AfterValidator(_aws_region)] = ""
    namespace: Annotated[str, AfterValidator(_namespace)] = "Smokeprobe"


class PrometheusOptions(ServiceOptions):
    """Prometheus: a master is scraped, a run pushes to a Pushgateway under the name `job`."""

    job: Name = "smokeprobe"


class OtlpOptions(ServiceOptions):
    """OTLP over HTTP; OpenTelemetry's own variables say where to."""


class Services(Strict):
    """One key a service."""

    datadog: DatadogOptions | None = None
    newrelic: NewRelicOptions | None = None
    cloudwatch: CloudWatchOptions | None = None
    prometheus: PrometheusOptions | None = None
    otlp: OtlpOptions | None = None


class Integration(Strict):
    """The whole file; `tags` are for every service."""

    tags: ExtraTags = Field(default={})
    services: Services = Services()

    def of(self, name: str) -> ServiceOptions | None:
        """What the file says of a service, with the tags that all have; None where it does not stand there."""
        options: ServiceOptions | None = getattr(self.services, name)
        return options and options.model_copy(update={"tags": {**self.tags, **options.tags}})


CREDENTIALS: Mapping[str, tuple[str, ...]] = {
    "datadog": ("DD_DOGSTATSD_URL", "DD_AGENT_HOST", "DD_API_KEY"),
    "newrelic": ("NEW_RELIC_LICENSE_KEY",),
    "cloudwatch": VARIABLES,
    "prometheus": ("SMOKEPROBE_PUSHGATEWAY_URL",),
    "otlp": ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
}
"""For each service the environment variables of which one makes it usable."""


def load_integration(path: Path) -> Integration:
    """Read the file; without one no service stands there. Raises ConfigError with every mistake."""
    if not path.exists():
        return Integration()
    found, problems = read_as(read_document(path), Integration)
    raise_if_any(f"{path} has", problems)
    return found or Integration()


def chosen(integration: Integration, env: str, role: Role, environ: Mapping[str, str]) -> dict[str, ServiceOptions]:
    """The services to use, by name. Raises ConfigError where the environment asks for one that cannot be used."""
    if role == "worker":  # its master sends what comes of its verdicts: once, from one place, with one spool
        return {}
    asked = environ.get(VARIABLE, "").split()
    for name in asked:
        if name not in CREDENTIALS:
            near = did_you_mean(name, CREDENTIALS)
            raise ConfigError(f"{VARIABLE}: {name[:40]!r} is no service: one of {', '.join(CREDENTIALS)}{near}.")
        if not _usable(name, role, environ):
            raise ConfigError(
                f"{VARIABLE} asks for {name}, but the environment does not say where it is.",
                hint=f"Set one of {', '.join(CREDENTIALS[name])}.",
            )
    found: dict[str, ServiceOptions] = {}
    for name in CREDENTIALS:
        options = integration.of(name)
        by_file = not asked and options is not None and env in options.environments
        if (name in asked or by_file) and _usable(name, role, environ):
            found[name] = options or _defaults(name)
    return found


def _usable(name: str, role: Role, environ: Mapping[str, str]) -> bool:
    if name == "prometheus" and role == "master":
        return True  # it is scraped
    if name == "cloudwatch":
        return has_aws_credentials(environ)  # a file or the machine may have them, too
    return any(environ.get(variable, "").strip() for variable in CREDENTIALS[name])


def _defaults(name: str) -> ServiceOptions:
    options = Services.model_validate({name: {}})
    found: ServiceOptions = getattr(options, name)
    return found

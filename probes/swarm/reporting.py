"""Whether anything is reported to a monitoring service; what does that is imported only then."""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from probes.config.monitoring import FILE, Role, chosen, load_integration
from probes.config.otel import otlp_headers
from probes.safety.redact import Redactor
from probes.swarm.board import Snapshot
from probes.swarm.equipment import Equipment

if TYPE_CHECKING:
    from probes.monitoring.reporter import Reporter

HEALTH_EVERY_S = 60.0
"""How often a master tells how it is itself."""

SEVERAL = "_several"
"""The region of a master that has several."""

SHORTEST_KEY = 12
"""What is shorter in a header is a name, which may stand elsewhere too."""

_KEYS = (
    "DD_API_KEY", "DD_APP_KEY", "NEW_RELIC_LICENSE_KEY", "NEW_RELIC_API_KEY", "NEW_RELIC_PROXY_PASS",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)  # fmt: skip
_URLS = ("SMOKEPROBE_PUSHGATEWAY_URL", "NEW_RELIC_PROXY_HOST")


def reporter_of(
    equipment: Equipment,
    role: Role,
    mode: str,
    idle: Callable[[], bool],
    environ: Mapping[str, str] = os.environ,
) -> Reporter | None:
    """The reporter of a run or master, or none. Raises ConfigError where what is to be used cannot be."""
    settings, options = equipment.settings, equipment.options
    integration = load_integration(options.source.path.parent / FILE)
    services = chosen(integration, settings.env, role, environ)
    if not services:
        return None
    learn_keys(equipment.redactor, environ)
    from probes.monitoring.reporter import Reporter, make_services
    from probes.monitoring.samples import Sampler

    made = make_services(services, role, environ)
    return Reporter(made, Sampler(settings.env, mode), options.state / "spool" / settings.env, idle)


def tell_health(reporter: Reporter, snapshot: Callable[[], Snapshot]) -> None:
    """Tell how a master itself is."""
    seen = snapshot()
    own, used = seen["own_health"], [limit["peak_percent"] for limit in seen["limits"]]
    values = {
        "smoke_test.probe.workers": float(len(seen["workers"])),
        "smoke_test.probe.turn_age": own["turned_s"],
        "smoke_test.probe.unacknowledged": float(own["unacknowledged"]),
        "smoke_test.probe.unwritten": float(own["unwritten"]),
    }
    if used:
        values["smoke_test.budget_used"] = max(used)
    reporter.health(seen["region"] if "," not in seen["region"] else SEVERAL, values)


def learn_keys(redactor: Redactor, environ: Mapping[str, str]) -> None:
    """Let no key of a service be shown."""
    for name in _KEYS:
        redactor.learn(environ.get(name, ""), "monitoring key")
    for value in otlp_headers(environ).values():
        if len(value) >= SHORTEST_KEY:
            redactor.learn(value.rpartition(" ")[2], "monitoring key")  # Bearer KEY
    for name in _URLS:
        password = ""
        with contextlib.suppress(ValueError):  # what is no URL is refused, and not shown, where it is to be used
            password = urllib.parse.urlsplit(environ.get(name, "")).password or ""
        for form in {password, urllib.parse.unquote(password)}:
            redactor.learn(form, "monitoring key")

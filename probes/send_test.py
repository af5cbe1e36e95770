"""`smokeprobe monitoring send-test`: one marked sample to each service, and what became of it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from rich.console import Console

from probes.checks.registry import load_settings
from probes.config.monitoring import FILE, VARIABLE, chosen, load_integration
from probes.errors import ConfigError
from probes.monitoring.base import Fate, Service
from probes.monitoring.reporter import make_services
from probes.monitoring.samples import Sample, Sampler
from probes.options import RunOptions
from probes.quorum import region_tag

TIMEOUT_S = 10.0
MODE = "test"
"""The tag by which the sample is known."""


def send_tests(options: RunOptions, environ: Mapping[str, str] = os.environ, console: Console | None = None) -> int:
    """Send them and say so; 0 where every service took its sample, else 1.

    Raises ConfigError where there is no service to try.
    """
    source, env = options.source, load_settings(options.source).env
    services = make_services(chosen(load_integration(source.path.parent / FILE), env, "run", environ), "run", environ)
    if not services:
        raise ConfigError(
            f"No monitoring service is used in {env}: none stands for it in {source.path.parent / FILE} with its "
            "credentials in the environment.",
            hint=f"{VARIABLE}=datadog, for one, asks for a service that no file names.",
        )
    now = time.time()
    sample = Sampler(env, MODE).test(region_tag(options.region, verified=False), float(int(now) % 100_000), now)
    said = {service.name: _tried(service, sample) for service, _ in services}
    for name, (_, text) in said.items():
        (console or Console()).print(f"{name}: {text}", markup=False)
    return 0 if all(taken for taken, _ in said.values()) else 1


def _tried(service: Service, sample: Sample) -> tuple[bool, str]:
    said = service.send([sample], TIMEOUT_S)
    if said.fate is not Fate.DELIVERED:
        return False, f"not taken: {said.why}"
    taken = f"{sample.name} = {sample.value:g} with mode:{MODE} was handed over"
    match service.read_back(sample, TIMEOUT_S):
        case True:
            return True, f"{taken}, and read back"
        case False:
            return False, f"{taken}, but is not there"
        case None:
            return True, f"{taken}; look for it there: it does not tell, or not yet"

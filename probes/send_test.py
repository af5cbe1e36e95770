"""`smokeprobe monitoring send-test`: one marked sample to each service, and what became of it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from threading import Thread

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
LONGEST_S = 30.0
"""What a service may take in all: one may answer for ever, a byte at a time."""

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
    said = _all_tried([service for service, _ in services], sample)
    for name, (_, text) in said.items():
        (console or Console()).print(f"{name}: {text}", markup=False)
    return 0 if all(taken for taken, _ in said.values()) else 1


def _all_tried(services: Sequence[Service], sample: Sample) -> dict[str, tuple[bool, str]]:
    """All at once, each in a thread that nobody waits for once its time is over."""
    said = {service.name: (False, f"not known: it has not answered in {LONGEST_S:g} s") for service in services}
    ends = time.monotonic() + LONGEST_S

    def try_one(service: Service) -> None:
        said[service.name] = _tried(service, sample)

    threads = [Thread(target=try_one, args=(service,), daemon=True) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    return dict(said)


def _tried(service: Service, sample: Sample) -> tuple[bool, str]:
    try:
        said = service.send([sample], TIMEOUT_S)
    except Exception as problem:  # noqa: BLE001 - a library may raise anything, with a key in its text
        return False, f"not taken: {type(problem).__name__} while sending"
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

"""The one call of a locustfile: our options into Locust's parser, our session onto Locust's events."""

from __future__ import annotations

import gc
import os
from argparse import Namespace
from typing import TYPE_CHECKING, Any, cast

import locust
from locust.argument_parser import get_parser

from probes.errors import ConfigError, SmokeprobeError
from probes.files import refuse_folder
from probes.options import RunOptions, forget_empty
from probes.swarm.arguments import add_arguments, options_from
from probes.swarm.equipment import equip, equip_master, equip_worker
from probes.swarm.fleet import check_address, fleet_key, refuse_taken
from probes.swarm.only_one import be_the_only_one
from probes.swarm.refused import refuse
from probes.swarm.session import SmokeSession
from probes.swarm.signals import forget, remember
from probes.swarm.silence import guard_output, outlast_output
from probes.swarm.web_door import door_of

if TYPE_CHECKING:
    from locust.env import Environment

    from probes.swarm.master import MasterSession
    from probes.swarm.webui import Watched
    from probes.swarm.worker import WorkerSession


def install(only_kinds: frozenset[str] = frozenset()) -> SmokeSession | WorkerSession | MasterSession:
    """Make the session that a locustfile's users belong to; `only_kinds` leaves out all other kinds of checks.

    It is a run's own, a worker's or a master's, by Locust's options. A wrong configuration is said on one screen, and
    ends the process with exit code 2.
    """
    remember()
    outlast_output()
    forget_empty(os.environ)
    locust.events.init_command_line_parser.add_listener(add_arguments)
    parsed, _ = get_parser().parse_known_args()
    options = options_from(parsed)
    try:
        if parsed.otel:
            raise ConfigError(
                "Locust's --otel would put headers of its own on each request, and send their URLs away.",
                hint="SMOKEPROBE_MONITORING=otlp sends our metrics to where OTEL_EXPORTER_OTLP_ENDPOINT says.",
            )
        files = [file for file in (options.json_file, options.junit_file, options.html_file) if file]
        for file in files:
            refuse_folder(file)
        if len({os.path.realpath(file) for file in files}) < len(files):
            raise ConfigError("Two reports would be written to one file.", hint="Name a file for each of them.")
        the_door = door_of(parsed, os.environ)
        session = _session(parsed, options, only_kinds)
    except SmokeprobeError as problem:
        refuse(problem, options)

    def begin(environment: Environment, **_: Any) -> None:
        gc.freeze()  # all that has been imported is never looked through again, in the middle of a check
        gc.enable()
        if the_door is not None and the_door.locked:
            session.equipment.redactor.learn(the_door.password, "ui password")
        guard_output(session.equipment.redactor)
        # the last to be added is the first to be called: Locust's own would let nothing more be heard
        environment.events.quitting.add_listener(end)
        try:
            session.begin(environment)
            if environment.web_ui is not None and the_door is not None:
                from probes.swarm.webui import furnish

                furnish(environment, cast("Watched", session), the_door)
        except SmokeprobeError as problem:
            refuse(problem, options)

    def end(environment: Environment, **_: Any) -> None:
        session.end(environment)

    locust.events.init.add_listener(begin)
    return session


def _session(
    parsed: Namespace, options: RunOptions, only_kinds: frozenset[str]
) -> SmokeSession | WorkerSession | MasterSession:
    """Raises ConfigError, and LedgerError where a master has no ledger."""
    if parsed.master:
        from probes.swarm.master import MasterSession  # what a single run need not pay for

        key = fleet_key(os.environ)
        check_address(parsed.master_bind_host, key, "--master-bind-host")
        forget()
        regions = equip_master(options)
        be_the_only_one(options.state, next(iter(regions.values())).target, regions)
        session = MasterSession(regions, key, parsed.status_port)
        refuse_taken("--master-bind-port", parsed.master_bind_host, parsed.master_bind_port)
        return session
    if parsed.worker:
        from probes.swarm.worker import WorkerSession

        key = fleet_key(os.environ)
        check_address(parsed.master_host, key, "--master-host")
        forget()
        return WorkerSession(equip_worker(options), key, f"{parsed.master_host}:{parsed.master_port}")
    stay = parsed.stay and not parsed.headless
    return SmokeSession(equip(options), once=parsed.once, stay=stay, only_kinds=only_kinds)

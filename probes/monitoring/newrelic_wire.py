"""What we use of New Relic's package: its agents' protocol and HTTP client, so that each request has an answer."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from probes.delivery import LARGEST_ANSWER
from probes.errors import ConfigError
from probes.monitoring.base import Fate, Said, not_taken
from probes.monitoring.newrelic_hosts import Address

try:
    from newrelic.common.agent_http import ApplicationModeClient
    from newrelic.core.agent_protocol import AgentProtocol, OtlpProtocol
    from newrelic.core.config import global_settings
    from newrelic.network.exceptions import NetworkInterfaceException
    from newrelic.packages.urllib3 import HTTPSConnectionPool
    from newrelic.packages.urllib3 import exceptions as http
except ValueError:  # it reads the whole environment as it is imported
    raise ConfigError(
        "The package newrelic cannot read the environment: a variable NEW_RELIC_… is no number.",
        hint="Look at NEW_RELIC_PORT and NEW_RELIC_OTLP_PORT.",
    ) from None

APP = "smokeprobe"
"""The name by which New Relic knows us: of the app, and in place of a host's."""

UNREADABLE_WAIT_S = 60.0
"""How long to leave a service alone that does not take our key."""

DISMISSED_WAIT_S = 600.0
"""How long to leave a collector alone that has told us to report no more."""

COMPRESSED_FROM = 1024
"""Bytes."""

MOST_EVENTS = 30_000
"""So many a minute we ask leave for: far more than ever come."""

_OF_MACHINE = re.compile("path|file|proxy")
"""Settings that say where something is."""

_WHY = {
    401: "it does not take the key: is NEW_RELIC_LICENSE_KEY a licence key of this region?",
    403: "it does not take the key: is NEW_RELIC_LICENSE_KEY a licence key of this region?",
    407: "a proxy in between wants another login",
    409: "it wants us to register anew",
    410: "it wants to hear no more of us: ask New Relic why",
    429: "it asks to be left alone",
}


def settings_of(key: str, environ: Mapping[str, str]) -> Any:
    """What the package has read from the environment (a proxy, authorities), less what tells of the machine."""
    logging.getLogger("newrelic").setLevel(logging.CRITICAL)  # it shows the key; the outbox says what is wrong
    settings = copy.deepcopy(global_settings())
    settings.license_key = key
    settings.ca_bundle_path = environ.get("NEW_RELIC_CA_BUNDLE_PATH", "") or None
    settings.audit_log_file = None
    settings.debug.disable_certificate_validation = False
    settings.agent_limits.data_compression_threshold = COMPRESSED_FROM
    settings.event_harvest_config.harvest_limits.custom_event_data = MOST_EVENTS
    for name in vars(settings.utilization):
        if name.startswith("detect_"):
            setattr(settings.utilization, name, False)
    return settings


def at(settings: Any, address: Address) -> Any:
    """The same for one address."""
    found = copy.deepcopy(settings)
    found.host, found.port = address
    found.otlp_port = found.port
    return found


class NotTakenError(Exception):
    """A batch was not taken; `status` is 0 where nothing was answered."""

    def __init__(self, said: Said, status: int = 0) -> None:
        super().__init__(said.why)
        self.said, self.status = said, status


Pools = dict[tuple[str, int], Any]
"""Connections, one to each host."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was answered, as far as it was read."""

    status: int
    headers: Any
    data: bytes


class _Pool(HTTPSConnectionPool):
    """Connections that lead nowhere else, and of whose answers no more is read, and unpacked, than one could need."""

    def urlopen(self, *arguments: Any, **named: Any) -> Any:
        """As there."""
        response = super().urlopen(*arguments, **{**named, "redirect": False, "preload_content": False})
        data = response.read(LARGEST_ANSWER)
        if response.read(1):
            response.close()  # else the connection serves again
        return _Answer(response.status, response.headers, data)


class Client(ApplicationModeClient):  # type: ignore[misc] # the package has no types
    """The agent's own, which says of a failure what it was, and shares its connections with what comes after it."""

    CONNECTION_CLS = _Pool

    def __init__(self, pools: Pools, **named: Any) -> None:
        super().__init__(**named)
        self._pools = pools

    @property
    def _connection(self) -> Any:
        where = self._host, self._port
        if where not in self._pools:
            self._pools[where] = super()._connection
            self._connection_attr = None
        return self._pools[where]

    def __exit__(self, *problem: object) -> None:
        """Leave the connection open: a shorter way to register, by half."""

    def wait(self, timeout_s: float) -> None:
        """How long connections made from now on may take."""
        self._connection_kwargs["timeout"] = timeout_s

    def send_request(self, *arguments: Any, **named: Any) -> tuple[int, bytes]:
        """As there, but raises NotTakenError for any answer that is none of success."""
        try:
            status, data = super().send_request(*arguments, **named)
        except NetworkInterfaceException as problem:
            raise NotTakenError(Said(Fate.LATER, _why_unheard(problem.args[0]))) from None
        if not 200 <= status < 300:
            raise NotTakenError(_heard(status), status)
        return status, data


def close(pools: Pools) -> None:
    """End all connections."""
    while pools:
        pools.popitem()[1].close()


def _why_unheard(problem: object) -> str:
    if isinstance(problem, http.TimeoutError) and not isinstance(problem, http.NewConnectionError):
        return "it does not answer in time"
    if isinstance(problem, http.SSLError):
        return "its certificate is not trusted, or it speaks no TLS"
    return "no connection, or it was cut off"


def _heard(status: int) -> Said:
    wait_s = DISMISSED_WAIT_S if status == 410 else UNREADABLE_WAIT_S if status in {401, 403, 407} else 0.0
    return not_taken(status, _WHY, wait_s)


class Protocol(AgentProtocol):  # type: ignore[misc] # the package has no types
    """The agent's own, which tells nothing of the machine."""

    def send(self, method: str, payload: Any = (), **named: Any) -> Any:
        """As there."""
        if method == "agent_settings":
            payload = ({name: value for name, value in payload[0].items() if not _OF_MACHINE.search(name)},)
        return super().send(method, payload, **named)

    @staticmethod
    def _connect_payload(*arguments: Any) -> tuple[dict[str, Any]]:
        (payload,) = AgentProtocol._connect_payload(*arguments)  # noqa: SLF001 - there is no other way to what it says
        nowhere = {"metadata_version": 5, "logical_processors": None, "total_ram_mib": None, "hostname": APP}
        return ({**payload, "host": APP, "display_host": APP, "metadata": {}, "utilization": nowhere},)


def post_metrics(settings: Any, body: bytes, timeout_s: float) -> bytes:
    """What the endpoint for dimensional metrics answers. Raises NotTakenError."""
    settings.agent_limits.data_collector_timeout = timeout_s
    headers = {"api-key": settings.license_key, "Content-Type": "application/json"}
    pools: Pools = {}
    try:
        client = OtlpProtocol(settings, host=settings.host, client_cls=partial(Client, pools)).client
        _, answer = client.send_request(path="/v1/metrics", headers=headers, payload=body)
    finally:
        close(pools)
    return bytes(answer)

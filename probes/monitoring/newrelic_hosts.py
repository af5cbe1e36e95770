"""Where New Relic listens: by the region of an account, or where the environment says."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping

from probes.config.monitoring import NewRelicOptions
from probes.errors import ConfigError

Address = tuple[str, int]

_KEY_OF_REGION = re.compile(r"([a-z]{2,4}[0-9]{2})x")
_OWN = (".newrelic.com", ".nr-data.net")


def region_of(key: str, options: NewRelicOptions) -> str:
    """What a licence key of the account's region begins with; empty for the United States."""
    if options.region is not None:
        return {"us": "", "eu": "eu01"}[options.region]
    found = _KEY_OF_REGION.match(key)
    return found[1] if found else ""


def hosts_of(region: str, environ: Mapping[str, str]) -> tuple[Address, Address]:
    """The collector, and what takes dimensional metrics: behind another collector the same, unless it is named.

    Raises ConfigError where the environment names what is no address, or is none over TLS.
    """
    collector = _address(environ, "NEW_RELIC_HOST", "NEW_RELIC_PORT", _collector_of(region))
    metrics = (_metrics_of(region), 443) if collector[0].endswith(_OWN) else collector
    return collector, _address(environ, "NEW_RELIC_OTLP_HOST", "NEW_RELIC_OTLP_PORT", metrics)


def _collector_of(region: str) -> Address:
    return (f"collector.{region}.nr-data.net" if region else "collector.newrelic.com"), 443


def _metrics_of(region: str) -> str:
    if region.startswith("gov"):
        return "gov-otlp.nr-data.net"
    return f"otlp.{region}.nr-data.net" if region else "otlp.nr-data.net"


def _address(environ: Mapping[str, str], host: str, port: str, otherwise: Address) -> Address:
    text = environ.get(host, "").strip()
    try:
        parts = urllib.parse.urlsplit(text if "://" in text else f"https://{text}")
        named = parts.port or int(environ.get(port, "").strip() or "0")
    except ValueError:
        raise ConfigError(f"{host} and {port} are no address.", hint=f"Write {host}=collector.example.com.") from None
    if not 0 <= named < 65536:
        raise ConfigError(f"{port} is no port.")
    if not text:
        return otherwise[0], named or otherwise[1]
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.path.strip("/"):
        raise ConfigError(
            f"{host}: the key goes over https only.", hint="Write the host's name alone, or https://HOST."
        )
    return parts.hostname, named or 443

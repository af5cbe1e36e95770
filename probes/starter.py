"""`smokeprobe init`: a configuration for any site that works at once, and can do no harm."""

from __future__ import annotations

import ipaddress
import json
import re
from urllib.parse import urlsplit

from probes.config.units import shown
from probes.errors import ConfigError, RefusedError
from probes.safety.guard import parse_url


def starter_configuration(url: str) -> str:
    """A configuration of at most 15 lines: GET only, no login, no secret. Raises ConfigError for an unusable URL."""
    said = "" if "@" in url else f" {shown(url)}"  # a password may stand in it
    try:
        endpoint = parse_url(url)
    except RefusedError as refused:
        raise ConfigError(f"--url{said}: {refused.message}.", hint="Write https://example.com.") from None
    if endpoint.scheme not in {"http", "https"}:
        raise ConfigError(f"--url{said}: only http and https.", hint="Write https://example.com.")
    name = re.sub(r"[^a-z0-9]+", "-", endpoint.host).strip("-")[:40] or "site"
    path = "/" + urlsplit(url).path.lstrip("/")
    return f"""\
env: "{name}"
target:
  url: {endpoint.origin}
  private: {str(_is_private(endpoint.host)).lower()} # true only for a target on loopback or a private network
safety:
  get_only: true
limits: # what the site allows one client; the probe stays strictly under 10 % of it
  site: {{ allows: 100 per 60s, key: ip, covers: ["* /*"] }}
checks:
  site:
    kind: http
    every: 5m
    requests:
      front page: {{ path: {json.dumps(path)}, status: 200, within: 3s }}
"""


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False

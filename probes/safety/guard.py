"""The guard: which request may leave at all. Read-only is enforced here, not left to the good behaviour of a check.

Standard library only: the browser's sidecar uses the same guard.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from probes.errors import RefusedError

METHOD_OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
READ_ONLY = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_PORTS: Mapping[str, int] = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_HOST_AND_PORT = re.compile(r"(?:\[[^\[\]]*\]|[^\[\]:]*)(?::[0-9]*)?")
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a URL leads: scheme, host in lower case, port written out, and the path as it is sent."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """`scheme://host[:port]`, without a default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if DEFAULT_PORTS[self.scheme] == self.port else f":{self.port}")


@lru_cache(maxsize=256)  # each request's is taken apart by several who judge it
def parse_url(url: str) -> Endpoint:
    """Take a URL apart, strictly: raises RefusedError for what two parsers could read in two ways."""
    if any(ord(char) <= 32 or ord(char) == 127 or char == "\\" for char in url):
        raise RefusedError("a URL with blanks, control characters or backslashes")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower().removesuffix("."), parts.port
    except ValueError:
        raise RefusedError("a URL that cannot be read") from None
    if parts.scheme not in DEFAULT_PORTS:
        # not named: a host with a port reads as one (`db7.corp:80`)
        raise RefusedError(f"{'another scheme' if parts.scheme else 'scheme missing'}: only http and https are probed")
    if parts.username is not None or parts.password is not None:
        raise RefusedError("a URL with a user name or password in it")
    if not host:
        raise RefusedError("a URL without a host")
    if not _HOST_AND_PORT.fullmatch(parts.netloc):
        raise RefusedError("a URL that cannot be read")
    if not _plain_host(host):
        raise RefusedError("a host that can be read in two ways: write a plain name in ASCII, or a plain IP address")
    return Endpoint(parts.scheme, host, DEFAULT_PORTS[parts.scheme] if port is None else port, parts.path or "/")


def _plain_host(host: str) -> bool:
    """Whether every parser takes the host for the same one.

    Names in other scripts (which one encodes and another does not), addresses in hexadecimal or as one number (which
    a browser takes for IPv4, URL Standard 3.5), zones and empty labels are what parsers differ about.
    """
    if ":" in host:
        return _is_plain_address(host)
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
        return _is_plain_address(host)
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in host.split("."))


def _is_plain_address(host: str) -> bool:
    try:
        return "%" not in host and str(ipaddress.ip_address(host)) == host
    except ValueError:
        return False


def counted_as(origin: str) -> str:
    """The target as it counts our requests, `host:port`: its scheme does not matter, nor by which name loopback goes.

    What is no URL of a target stays as it is.
    """
    try:
        endpoint = parse_url(origin)
    except RefusedError:
        return origin
    host = endpoint.host
    if host in _LOOPBACK_NAMES or host.endswith(".localhost"):
        return f"localhost:{endpoint.port}"
    if _is_plain_address(host):
        ip = _inner(ipaddress.ip_address(host))
        host = "localhost" if ip.is_loopback else str(ip)
    return f"[{host}]:{endpoint.port}" if ":" in host else f"{host}:{endpoint.port}"


def on_this_machine(origin: str) -> bool:
    """Whether a target is on loopback, by whichever name."""
    return counted_as(origin).startswith("localhost:")


def check_headers(names: Iterable[str]) -> None:
    """Refuse headers by which a request becomes one of another method; `_` and `-` are the same to some servers."""
    for name in names:
        if name.strip().lower().replace("_", "-") in METHOD_OVERRIDES:
            raise RefusedError(f"header {name} makes another method of a request: leave it out")


def host_listed(endpoint: Endpoint, listed: tuple[str, ...]) -> bool:
    """Whether one of `host` (its scheme's own port), `host:PORT` or `host:*` names this endpoint."""
    for entry in listed:
        host, port = split_host(entry)
        if host != endpoint.host:
            continue
        own = str(DEFAULT_PORTS[endpoint.scheme])
        if port == "*" or (port or own) == str(endpoint.port):
            return True
    return False


def split_host(entry: str) -> tuple[str, str]:
    """`host[:port]` as (host in lower case, port or ''); IPv6 addresses stand in brackets."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host.lower(), rest.removeprefix(":")
    host, _, port = entry.partition(":")
    return host.removesuffix(".").lower(), port


@dataclass(frozen=True, slots=True)
class GuardRules:
    """What is allowed, as plain data that can be handed to another process.

    `exceptions` are exact (method, path) pairs at the target's own origin; `hosts` further hosts that GET may go to;
    `private` whether the target itself lives on loopback or a private network.
    """

    origin: str
    hosts: tuple[str, ...] = ()
    exceptions: tuple[tuple[str, str], ...] = ()
    websockets: tuple[str, ...] = ()
    credential_hosts: tuple[str, ...] = ()
    private: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GuardRules:
        """The inverse of `to_json`."""
        return cls(
            origin=data["origin"],
            hosts=tuple(data["hosts"]),
            exceptions=tuple((method, path) for method, path in data["exceptions"]),
            websockets=tuple(data["websockets"]),
            credential_hosts=tuple(data["credential_hosts"]),
            private=data["private"],
        )


class Guard:
    """Judges requests by `GuardRules`. Every method raises RefusedError with the rule that forbids the request."""

    def __init__(self, rules: GuardRules) -> None:
        self.rules = rules

    def check(self, method: str, url: str) -> Endpoint:
        """Refuse what is neither read-only nor a named exception, or goes to a host that is not listed."""
        endpoint = parse_url(url)
        if endpoint.scheme in {"ws", "wss"}:
            if not host_listed(endpoint, self.rules.websockets):
                raise RefusedError(f"a WebSocket to {self._named(endpoint)}: not listed under target.websockets")
            return endpoint
        if not self.is_target(endpoint) and not host_listed(endpoint, self.rules.hosts):
            rule = f"{self._named(endpoint)} is not listed under target.hosts: add it there if it is yours"
            raise RefusedError(rule)
        if method in READ_ONLY:
            return endpoint
        plain = "?" not in url and ";" not in endpoint.path  # what an exception's proof holds for has no parameters
        if not plain or not self.is_target(endpoint) or (method, endpoint.path) not in self.rules.exceptions:
            raise RefusedError(f"{method} {endpoint.path} would write: not among safety.exceptions")
        return endpoint

    def check_address(self, host: str, address: str) -> None:
        """Refuse an address that a name must not lead to.

        A public target that resolves to a private address is DNS rebinding or a mistake. Link-local (where clouds
        keep their metadata and credentials), multicast and unspecified addresses are refused always.
        """
        ip = _inner(ipaddress.ip_address(address.partition("%")[0]))
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
            raise RefusedError(f"{host} leads to a link-local, multicast or unspecified address")
        if not self.rules.private and not ip.is_global:
            raise RefusedError(f"{host} leads to a private address, but the target is public (target.private: false)")

    def is_target(self, endpoint: Endpoint) -> bool:
        """Whether this is the target itself."""
        return endpoint.origin == self.rules.origin

    def _named(self, endpoint: Endpoint) -> str:
        """A host that is not listed, as a report may show it.

        What a target redirects to may be an address of its inside, so only what is plainly its own is named.
        """
        own = parse_url(self.rules.origin).host
        same = endpoint.host.removeprefix("www.") == own.removeprefix("www.")
        return f"host {endpoint.host}:{endpoint.port}" if same else "another host"

    def may_carry_credentials(self, url: str) -> bool:
        """Whether passwords, tokens and secret headers may go there: in the clear only where the target itself is."""
        endpoint = parse_url(url)
        in_the_clear = endpoint.scheme in {"http", "ws"} and not self.rules.origin.startswith("http:")
        return not in_the_clear and host_listed(endpoint, self.rules.credential_hosts)


def _inner(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that an IPv6 address leads to: mapped (RFC 4291), 6to4 (RFC 3056) or NAT64 (RFC 6052)."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip

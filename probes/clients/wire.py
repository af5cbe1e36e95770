"""One HTTP connection, timed on the wire: DNS, TCP, TLS, time to first byte, download.

The stamps are taken in the connection itself, so that neither requests' own work nor a busy greenlet beside it counts
more than it must. Every read has the deadline of the whole exchange, so that a slow drip cannot outlast it.
"""

from __future__ import annotations

import functools
import http.client
import io
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import certifi
import requests
import requests.adapters
import urllib3
import urllib3.connection

from probes.errors import TransportError
from probes.model import Layer, Phases

AddressCheck = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """What is known of a connection since it was made; `rtt_s` is the time of its TCP handshake."""

    rtt_s: float = 0.0
    tls_version: str = ""
    certificate_days: float | None = None


class Line:
    """The exchange that is under way on a session: its deadline, how far it came, and when.

    A session has one exchange at a time, so one Line serves all its connections.
    """

    def __init__(self, check_address: AddressCheck) -> None:
        self._check_address = check_address
        self.begin(0.0)

    def begin(self, timeout_s: float) -> None:
        """Start the clock of a new exchange."""
        self._ends = time.perf_counter() + timeout_s
        self.timeout_s = timeout_s
        self.stage = Layer.CONNECT
        self.dns_s = self.connect_s = self.tls_s = None
        self.sent_at = self.first_byte_at = self.last_byte_at = None
        self.facts = ConnectionFacts()

    dns_s: float | None
    connect_s: float | None
    tls_s: float | None
    sent_at: float | None
    first_byte_at: float | None
    last_byte_at: float | None

    def remaining(self) -> float:
        """Seconds left for this exchange; raises TimeoutError when there are none."""
        left = self._ends - time.perf_counter()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def phases(self) -> Phases:
        """The stamps as durations in milliseconds."""
        sent, first, last = self.sent_at, self.first_byte_at, self.last_byte_at
        return Phases(
            dns_ms=_ms(self.dns_s),
            connect_ms=_ms(self.connect_s),
            tls_ms=_ms(self.tls_s),
            ttfb_ms=None if sent is None or first is None else _ms(first - sent),
            download_ms=None if first is None or last is None else _ms(last - first),
        )

    def connect(self, host: str, port: int) -> socket.socket:
        """Resolve, check every address before it is used, and connect; the first that answers is taken."""
        self.stage = Layer.DNS
        begun = time.perf_counter()
        addresses = _resolve(host, port)
        self.dns_s = time.perf_counter() - begun
        self.stage = Layer.CONNECT
        last: OSError | None = None
        for family, sockaddr in addresses:
            self._check_address(host, str(sockaddr[0]))
            begun = time.perf_counter()
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(self.remaining())
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.connect(sockaddr)
            except OSError as problem:
                sock.close()
                last = problem
                continue
            self.connect_s = time.perf_counter() - begun
            return sock
        raise last or OSError("no address")


def _resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
    try:
        ip = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(family, sockaddr) for family, _, _, _, sockaddr in found]
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    return [(family, (str(ip), port))]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000.0


class _TimedReader(io.RawIOBase):
    """A socket's raw reader that stamps the first byte and gives every read only the time that is left."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, line: Line) -> None:
        self._raw, self._sock, self._line = raw, sock, line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._line.remaining())
        count = self._raw.readinto(buffer)
        # what Python makes of the bytes afterwards is not the target's time
        self._line.last_byte_at = time.perf_counter()
        if self._line.first_byte_at is None:
            self._line.first_byte_at = self._line.last_byte_at
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, line: Line, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_TimedReader(raw, sock, line))


class _Timed:
    """What both kinds of connection share."""

    line: Line
    response_class: Any
    rtt_s: float | None = None
    tls_version: str = ""
    certificate_days: float | None = None

    def attach(self, line: Line) -> None:
        self.line = line
        self.response_class = functools.partial(_TimedResponse, line=line)

    def _new_conn(self) -> socket.socket:
        sock = self.line.connect(self._dns_host, self.port)  # type: ignore[attr-defined]  # urllib3's own attributes
        self.rtt_s = self.line.connect_s
        return sock

    def _sending(self) -> None:
        """Called before each piece of a request goes out: connect first, so that only the request itself is timed."""
        if self.sock is None:  # type: ignore[attr-defined]  # urllib3's own attributes
            self.connect()  # type: ignore[attr-defined]  # urllib3's own
        self.line.stage = Layer.HTTP
        self.line.facts = ConnectionFacts(self.rtt_s or 0.0, self.tls_version, self.certificate_days)
        if self.line.sent_at is None:
            self.line.sent_at = time.perf_counter()


class _WireConnection(_Timed, urllib3.connection.HTTPConnection):
    def send(self, data: Any) -> None:
        self._sending()
        super().send(data)


class _WireTLSConnection(_Timed, urllib3.connection.HTTPSConnection):
    def connect(self) -> None:
        begun = time.perf_counter()
        super().connect()
        line = self.line
        line.tls_s = time.perf_counter() - begun - (line.dns_s or 0.0) - (line.connect_s or 0.0)
        self._remember_certificate()

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self.line.stage = Layer.TLS
        return sock

    def _remember_certificate(self) -> None:
        sock = self.sock
        if not isinstance(sock, ssl.SSLSocket):
            return
        self.tls_version = (sock.version() or "").removeprefix("TLSv")
        ends = (sock.getpeercert() or {}).get("notAfter")
        if isinstance(ends, str):
            self.certificate_days = (ssl.cert_time_to_seconds(ends) - time.time()) / 86400.0

    def send(self, data: Any) -> None:
        self._sending()
        super().send(data)


class WireAdapter(requests.adapters.HTTPAdapter):
    """requests' transport on timed connections."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._tls_context: ssl.SSLContext | None = None
        super().__init__(pool_connections=4, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools; what they hold are our connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": self._plain_pool, "https": self._tls_pool}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to do: our own context verifies, always; no argument can turn that off."""

    def _plain_pool(self, host: str, port: int, **kwargs: Any) -> urllib3.HTTPConnectionPool:
        pool = urllib3.HTTPConnectionPool(host, port, **kwargs)
        pool.ConnectionCls = functools.partial(self._connection, _WireConnection)  # type: ignore[assignment]  # called, never subclassed
        return pool

    def _tls_pool(self, host: str, port: int, **kwargs: Any) -> urllib3.HTTPSConnectionPool:
        if self._tls_context is None:
            self._tls_context = trusting_context()
        # only the context that verifies counts, whatever requests would pass along
        for key in ("ca_certs", "ca_cert_dir", "cert_reqs", "ssl_context"):
            kwargs.pop(key, None)
        pool = urllib3.HTTPSConnectionPool(host, port, ssl_context=self._tls_context, **kwargs)
        pool.ConnectionCls = functools.partial(self._connection, _WireTLSConnection)  # type: ignore[assignment]  # the same
        return pool

    def _connection(
        self, cls: type[_WireConnection | _WireTLSConnection], *args: Any, **kwargs: Any
    ) -> _WireConnection | _WireTLSConnection:
        connection = cls(*args, **kwargs)
        connection.attach(self.line)
        return connection


def trusting_context() -> ssl.SSLContext:
    """A client context that verifies against certifi's roots, or what SSL_CERT_FILE or SSL_CERT_DIR name instead."""
    own = bool(os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"))
    return ssl.create_default_context(cafile=None if own else certifi.where())


def transport_error(problem: Exception, line: Line) -> TransportError:
    """What broke, in plain words, with the layer that the exchange had reached."""
    cause = _root(problem)
    if isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError | requests.Timeout):
        did = {
            Layer.DNS: "the name was not resolved",
            Layer.CONNECT: "no connection",
            Layer.TLS: "TLS was not set up",
            Layer.HTTP: "no complete answer",
            Layer.BODY: "the answer was not complete",
        }[line.stage]
        return TransportError(f"{did} within {line.timeout_s:.1f} s", line.stage, timed_out=True)
    words, layer = _in_words(cause)
    return TransportError(words, layer or line.stage)


def _in_words(cause: BaseException) -> tuple[str, Layer | None]:
    """What broke, and its layer where the error itself tells; None: the one that the exchange had reached."""
    layer: Layer | None = None
    match cause:
        case ssl.SSLCertVerificationError():
            words, layer = f"certificate refused: {cause.verify_message.rstrip('.')}", Layer.TLS
        case ssl.SSLError():
            words, layer = f"TLS failed: {cause.reason or type(cause).__name__}", Layer.TLS
        case socket.gaierror():
            words, layer = "the name is not known", Layer.DNS
        case OSError() if cause.strerror:
            words = cause.strerror[0].lower() + cause.strerror[1:]
        case http.client.IncompleteRead() | urllib3.exceptions.IncompleteRead():
            words, layer = "the connection was closed in the middle of the answer", Layer.BODY
        case http.client.RemoteDisconnected():
            words = "the connection was closed without an answer"
        case http.client.HTTPException() | urllib3.exceptions.HTTPError():
            words = f"not a valid HTTP answer ({type(cause).__name__})"
        case _:
            words = f"the request broke ({type(cause).__name__})"
    return words, layer


def _root(problem: BaseException) -> BaseException:
    """The first cause: libraries wrap what the socket said in layers of their own."""
    inner: BaseException | None = problem
    while inner is not None:
        problem = inner
        wrapped = [arg for arg in getattr(problem, "args", ()) if isinstance(arg, BaseException)]
        inner = problem.__cause__ or getattr(problem, "reason", None) or (wrapped[0] if wrapped else None)
        if not isinstance(inner, BaseException):
            inner = problem.__context__ if not isinstance(problem, OSError | http.client.HTTPException) else None
    return problem

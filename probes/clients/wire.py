"""One HTTP connection, timed on the wire: DNS, TCP, TLS, time to first byte, download.

The stamps are taken in the connection itself, so that neither requests' own work nor a busy greenlet beside it counts
more than it must. Every single read and write has only what is left of the whole exchange's time, those within a TLS
record too, so that a slow drip cannot outlast it and nothing is sent when it is over.
"""

from __future__ import annotations

import functools
import http
import http.client
import io
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from typing import Any

import requests
import requests.adapters
import urllib3
import urllib3.connection
from urllib3.util.ssltransport import SSLTransport

from probes.clients.line import ConnectionFacts, Line, abort_on_close
from probes.errors import TransportError
from probes.model import Layer
from probes.trust import trusting_context

TLS_BLOCK = 16384


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
        self.fp: io.BufferedReader = io.BufferedReader(_TimedReader(raw, sock, line))
        self._line = line

    def _read_status(self) -> tuple[str, int, str]:
        """The status line of the answer itself; http.client passes over 100 alone, and there are other hints."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # where begin() reads it
            if not 100 <= status < 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
            self._line.first_byte_at = None  # a hint is no answer yet
            self.fp.peek(1)
            if self._line.first_byte_at is None:  # it came together with the hint
                self._line.first_byte_at = self._line.last_byte_at


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
        try:
            sock = self.line.connect(self._dns_host, self.port)  # type: ignore[attr-defined]  # urllib3's own attributes
        except (BrokenPipeError, ConnectionResetError) as problem:
            # urllib3 passes over these two and reads on, for an answer may have come before them: but from no socket
            raise urllib3.exceptions.NewConnectionError(self, "reset") from problem  # type: ignore[arg-type]  # one of its own
        self.rtt_s = self.line.connect_s
        return sock

    def _sending(self) -> None:
        """Called before each piece of a request goes out: connect first, so that only the request itself is timed."""
        if self.sock is None:  # type: ignore[attr-defined]  # urllib3's own attributes
            self.connect()  # type: ignore[attr-defined]  # urllib3's own
        self.line.stage = Layer.HTTP
        self.line.give_up_in_time(self.sock)  # type: ignore[attr-defined]  # urllib3's own
        self.line.facts = ConnectionFacts(self.rtt_s or 0.0, self.tls_version, self.certificate_days)
        if self.line.sent_at is None:
            self.line.sent_at = time.perf_counter()

    def close(self) -> None:
        """Close it; a request that was not answered is not sent to its end by the kernel either."""
        if self.sock is not None and self.line.unanswered:  # type: ignore[attr-defined]  # urllib3's own
            abort_on_close(self.sock)  # type: ignore[attr-defined]  # the same
        super().close()  # type: ignore[misc]  # the same


class _WireConnection(_Timed, urllib3.connection.HTTPConnection):
    def send(self, data: Any) -> None:
        self._sending()
        super().send(data)


class _TimedTLS(SSLTransport):
    """TLS in our own memory, so that we see each read of the socket below it.

    An SSLSocket, gevent's above all, gives each piece of a record its whole time-out anew.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str, line: Line) -> None:
        self._line = line
        super().__init__(sock, context, name)

    def _ssl_io_loop(self, func: Callable[..., Any], arg1: Any = None, arg2: Any = None) -> Any:
        """What SSLTransport does all its work with: call `func`, and carry what it wants to send and to read."""
        args = [arg for arg in (arg1, arg2) if arg is not None]
        while True:
            try:
                result, missing = func(*args), False
            except ssl.SSLWantReadError:
                result, missing = None, True
            if outgoing := self.outgoing.read():
                self.socket.settimeout(self._line.remaining())
                self.socket.sendall(outgoing)
            if not missing:
                return result
            self.socket.settimeout(self._line.remaining())
            if incoming := self.socket.recv(TLS_BLOCK):
                self.incoming.write(incoming)
            else:
                self.incoming.write_eof()


class _WireTLSConnection(_Timed, urllib3.connection.HTTPSConnection):
    def connect(self) -> None:
        """Connect and shake hands. The context is ours and verifies, and there is no proxy: nothing else is left."""
        self.sock = sock = self._new_conn()
        self.line.stage = Layer.TLS
        begun = time.perf_counter()
        tls = _TimedTLS(sock, self.ssl_context or trusting_context(), self.host.strip("[]"), self.line)
        self.line.tls_s = time.perf_counter() - begun
        self.sock, self.is_verified = tls, True
        self.tls_version = (tls.version() or "").removeprefix("TLSv")
        ends = (tls.getpeercert() or {}).get("notAfter")
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
        case zlib.error() | urllib3.exceptions.DecodeError():
            words, layer = "the body could not be decompressed", Layer.BODY
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

"""The process: listen on loopback, answer each connection in a greenlet of its own, end at once when told to."""

import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer
from gevent.ssl import PROTOCOL_TLS_SERVER, SSLContext

from probes.standin.accounts import DEFAULT_PASSWORD
from probes.standin.app import build_app
from probes.standin.faults import unknown_faults
from probes.standin.limiter import Persona
from probes.standin.target import Settings, Target
from probes.standin.wire import ENVIRON_KEY, Wire

MOST_CONNECTIONS = 10_000


class StandInError(Exception):
    """The stand-in cannot start as asked; the message is one line for the person who asked."""


def serve(
    host: str,
    port: int,
    persona: Persona,
    faults: Sequence[str],
    *,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    listening: Callable[[str], object] = lambda _url: None,
) -> None:
    """Serve until SIGTERM or SIGINT; port 0 takes a free one. Prints one line when it listens, and calls `listening`.

    Raises:
        StandInError: an address beyond loopback, an unknown fault, a bad certificate, or a port that is taken.
    """
    if problem := unknown_faults(faults):
        raise StandInError(problem)
    if (tls_cert is None) != (tls_key is None):
        raise StandInError("a certificate needs its key, and a key its certificate")
    target = Target(_settings(persona, tls=tls_cert is not None))
    target.set_faults(tuple(faults))
    server = _listening(_loopback(host), port, target, tls_cert, tls_key)
    ended = Event()
    watchers = [gevent.signal_handler(number, ended.set) for number in (signal.SIGTERM, signal.SIGINT)]
    url = _url(server, tls=tls_cert is not None)
    sys.stdout.write(f"stand-in ({persona}) listening on {url}\n")
    listening(url)
    sys.stdout.flush()
    ended.wait()
    server.stop(timeout=0)
    for watcher in watchers:
        watcher.cancel()


class _Handler(WSGIHandler):
    """Hands the socket of a request to the application, for the faults below HTTP."""

    def __init__(self, connection: socket.socket, *args: Any, **kwargs: Any) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(connection, *args, **kwargs)

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ[ENVIRON_KEY] = Wire(self.socket)
        return environ


class _Server(WSGIServer):
    """Takes a failed TLS handshake as the client's affair."""

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> None:
        try:
            super().wrap_socket_and_handle(client_socket, address)
        except OSError:  # ssl.SSLError too: the client refused the certificate, or left
            client_socket.close()


def _settings(persona: Persona, *, tls: bool) -> Settings:
    return Settings(
        persona=persona,
        password=os.environ.get("SMOKE_TEST_PASSWORD") or DEFAULT_PASSWORD,
        totp_secret=os.environ.get("STANDIN_TOTP_SECRET", ""),
        edge_secret=os.environ.get("STANDIN_EDGE_SECRET", ""),
        tls=tls,
    )


def _loopback(host: str) -> str:
    address = "127.0.0.1" if host == "localhost" else host
    if not _is_loopback(address):
        raise StandInError(f"it listens on loopback only (127.0.0.1, ::1), not on {host}")
    return address


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False  # a name may mean anything


def _listening(host: str, port: int, target: Target, tls_cert: Path | None, tls_key: Path | None) -> _Server:
    tls: dict[str, Any] = {}
    if tls_cert:
        tls["ssl_context"] = _tls_context(tls_cert, tls_key)
    try:
        server: _Server = _Server(
            (host, port),
            build_app(target),
            log=None,
            spawn=Pool(MOST_CONNECTIONS),
            handler_class=_Handler,
            environ={"SERVER_NAME": "standin"},  # else looked up in DNS
            **tls,
        )
        server.start()
    except OSError as error:
        raise StandInError(f"cannot listen on {host}, port {port}: {os.strerror(error.errno or 0)}") from error
    return server


def _url(server: _Server, *, tls: bool) -> str:
    host, port = server.socket.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _tls_context(certificate: Path, key: Path | None) -> SSLContext:
    context = SSLContext(PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError too
        raise StandInError(f"cannot use certificate {certificate} with its key: {error}") from error
    return context

"""TLS for the web UI: the files that it is served with, looked at before anything is begun, and the server itself."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gevent.pywsgi import WSGIServer

from probes.errors import ConfigError

if TYPE_CHECKING:
    from locust.web import WebUI

log = logging.getLogger(__name__)


def tls_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """What to serve with these PEM files; None where neither is named.

    Raises:
        ConfigError: one is missing or cannot be read, or they do not belong together.
    """
    if not certificate and not key:
        return None
    if not certificate or not key:
        given, other = ("--tls-cert", "--tls-key") if certificate else ("--tls-key", "--tls-cert")
        raise ConfigError(
            f"{given} without {other}: TLS needs both.", hint="Both may name one file that holds the two."
        )
    cert_said, key_said = f"--tls-cert {certificate}", f"--tls-key {key}"
    if b"-----BEGIN CERTIFICATE-----" not in _read(cert_said, certificate):
        raise ConfigError(f"{cert_said}: there is no certificate in it.", hint="It has to be PEM.")
    key_text = _read(key_said, key)
    if b"PRIVATE KEY-----" not in key_text:
        raise ConfigError(f"{key_said}: there is no private key in it.", hint="It has to be PEM.")
    if b"ENCRYPTED" in key_text:
        raise ConfigError(
            f"{key_said}: the key is locked by a pass phrase.",
            hint=f"Nobody is there to type it: openssl pkey -in {key} -out FILE, and let only this user read that.",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password="")  # or OpenSSL would ask on the terminal
    except ssl.SSLError as problem:
        if problem.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{key_said}: this is not the key of {cert_said}.") from None
        raise ConfigError(f"{cert_said} and {key_said} cannot be used: {problem.reason or 'broken'}.") from None
    return context


def _read(what: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as problem:
        raise ConfigError(f"{what}: {problem.strerror}.") from None


def serve_tls(web_ui: WebUI, context: ssl.SSLContext) -> None:
    """Let Locust's web UI start a server of ours; its own reads the files anew for each connection."""

    def start_server() -> None:
        web_ui.server = _TlsServer((web_ui.host, web_ui.port), web_ui.app, log=None, ssl_context=context)
        web_ui.server.serve_forever()

    web_ui.start_server = start_server  # type: ignore[method-assign]  # Locust offers no other way


class _TlsServer(WSGIServer):
    """To gevent a client that breaks off the handshake, or speaks plain HTTP, is worth a traceback."""

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> Any:
        try:
            return super().wrap_socket_and_handle(client_socket, address)
        except OSError as problem:  # ssl.SSLError is one
            log.info(
                "the TLS connection from %s broke off: %s", address[0], getattr(problem, "reason", None) or problem
            )
            return None

"""A page's call that a limit counts, sent by ourselves, once, on a connection of its own.

Where a connection that was kept alive breaks before the answer, or answers 408, Chromium sends a request again by
itself, below everything that the DevTools protocol shows. What is counted must not be sent unseen.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from probes.clients.line import AddressCheck, Line
from probes.errors import SmokeprobeError
from probes.safety.guard import parse_url
from probes.trust import trusting_context

LARGEST_BODY = 1 << 20
_OF_THE_CONNECTION = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})


class NoAnswerError(SmokeprobeError):
    """There was none; `reason` is one of the protocol's own names (`Network.ErrorReason`)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, its body cut off at 1 MiB; without the headers that concern the connection."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def get_once(check_address: AddressCheck, url: str, headers: Mapping[str, str], timeout_s: float) -> Answer:
    """GET; blocks until the answer is here. Raises NoAnswerError, and RefusedError for a forbidden address."""
    line = Line(check_address)
    line.begin(timeout_s)
    connection = http.client.HTTPConnection(parse_url(url).host)
    try:
        connection.sock = _connect(line, url)
        connection.putrequest("GET", _target(url), skip_host=True, skip_accept_encoding=True)
        for name, value in {**headers, **_own_headers(url)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        kept = tuple(pair for pair in answer.getheaders() if pair[0].lower() not in _OF_THE_CONNECTION)
        return Answer(answer.status, kept, answer.read(LARGEST_BODY))
    except (OSError, http.client.HTTPException) as problem:
        raise NoAnswerError(_reason(problem)) from None
    finally:
        connection.close()


def _connect(line: Line, url: str) -> socket.socket:
    endpoint = parse_url(url)
    sock = line.connect(endpoint.host, endpoint.port)
    sock.settimeout(line.remaining())
    if endpoint.scheme != "https":
        return sock
    return trusting_context().wrap_socket(sock, server_hostname=endpoint.host)


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _own_headers(url: str) -> dict[str, str]:
    return {"Host": urlsplit(url).netloc, "Accept-Encoding": "identity", "Connection": "close"}


def _reason(problem: Exception) -> str:
    match problem:
        case TimeoutError():
            return "TimedOut"
        case socket.gaierror():
            return "NameNotResolved"
        case ConnectionRefusedError():
            return "ConnectionRefused"
        case ConnectionResetError():
            return "ConnectionReset"
        case http.client.RemoteDisconnected():
            return "ConnectionClosed"
    return "Failed"

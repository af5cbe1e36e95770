"""One exchange on its way to the target: its deadline, the connection it is given, and its stamps."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from probes.model import Layer, Phases
from probes.safety.permits import boot_clock

AddressCheck = Callable[[str, str], None]
Address = tuple[socket.AddressFamily, Any]


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
        # the permit's clock: while the machine sleeps, the time of both runs on
        self._ends = boot_clock() + timeout_s
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
        left = self._ends - boot_clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def give_up_in_time(self, sock: Any) -> None:
        """Let neither us nor the kernel send anything on a socket once the exchange's time is over.

        For minutes the kernel says again what is not acknowledged, whether we have closed it, are stopped, or gone: a
        request would arrive when nobody accounts for it any more. Raises TimeoutError when there is no time left.
        """
        left = self.remaining()
        sock.settimeout(left)
        _below(sock).setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(left * 1000)))

    @property
    def unanswered(self) -> bool:
        """Whether a request was sent of which nothing has come back."""
        return self.sent_at is not None and self.first_byte_at is None

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
        addresses, self.dns_s = _resolve(host, port, self.remaining())
        self.stage = Layer.CONNECT
        last: OSError | None = None
        for number, (family, sockaddr) in enumerate(addresses):
            self._check_address(host, str(sockaddr[0]))
            begun = time.perf_counter()
            try:
                # an address that is silent leaves the others their parts of the time
                sock = _connected(family, sockaddr, self.remaining() / (len(addresses) - number))
            except OSError as problem:
                last = problem
                continue
            self.connect_s = time.perf_counter() - begun
            return sock
        raise last or OSError("no address")


def abort_on_close(sock: Any) -> None:
    """Let the kernel forget at once, when a socket is closed, what the other side has not acknowledged."""
    _below(sock).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _below(sock: Any) -> socket.socket:
    """The kernel's socket: TLS in our own memory has one below it."""
    below: socket.socket = getattr(sock, "socket", sock)
    return below


def _connected(family: socket.AddressFamily, sockaddr: Any, timeout_s: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(sockaddr)
    except BaseException:  # the end of the run too leaves no connection open
        sock.close()
        raise
    return sock


def _resolve(host: str, port: int, timeout_s: float) -> tuple[list[Address], float]:
    """The addresses of a host, and how long it took to find them; raises TimeoutError."""
    try:
        ip = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return _look_up(host, port, timeout_s)
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    return [(family, (str(ip), port))], 0.0


def _look_up(host: str, port: int, timeout_s: float) -> tuple[list[Address], float]:
    """Ask the resolver from a thread of its own, which can be left behind: nothing else puts an end to a silent one."""
    answers: list[tuple[list[Address], float]] = []
    problems: list[Exception] = []

    def ask() -> None:
        begun = time.perf_counter()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            problems.append(problem)
        else:
            took_s = time.perf_counter() - begun
            answers.append(([(family, sockaddr) for family, _, _, _, sockaddr in found], took_s))

    thread = threading.Thread(target=ask, name="resolver", daemon=True)
    thread.start()
    thread.join(timeout_s)
    for problem in problems:
        raise problem
    if not answers:
        raise TimeoutError("timed out")
    return answers[0]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000.0

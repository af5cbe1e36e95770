"""What the tests of the browser share: permits, rules, a server that writes down every byte's request, processes."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from probes.clients.browser import Browser
from probes.clients.chromium import find_chromium
from probes.clients.journey import Action, Expect, Goto, Journey
from probes.safety.guard import GuardRules
from probes.safety.limits import RateLimit
from probes.safety.permits import Permit

AGENT = "smokeprobe/0 (+https://example.invalid/)"
LOGIN, LOGOUT = "/api/v1/auth/login", "/api/v1/auth/logout"

HOME: tuple[Action, ...] = (
    Goto("open", "/"),
    Expect("navigation", role="navigation"),
    Expect("heading", role="heading"),
    Expect("prompt", test_id="prompt-input"),
    Expect("button", test_id="enhance-button"),
    Expect("footer", role="contentinfo"),
)


def rules(
    origin: str,
    *,
    hosts: tuple[str, ...] = (),
    websockets: tuple[str, ...] = (),
    exceptions: tuple[tuple[str, str], ...] = (("POST", LOGIN), ("POST", LOGOUT)),
    private: bool = True,
) -> GuardRules:
    credential_hosts = (origin.partition("://")[2],)
    return GuardRules(origin, hosts, exceptions, websockets, credential_hosts, private)


def permit(origin: str, limits: tuple[RateLimit, ...] = (), quota: Mapping[str, int] | None = None) -> Permit:
    return Permit("p1", "homepage", "local", origin, "adhoc", limits, quota or {}, {}, "", 60.0, 10.0)


def journey(origin: str, *actions: Action, timeout_s: float = 15.0, max_requests: int = 200) -> Journey:
    """With time enough for a machine that is busy with other tests."""
    headers = {"X-Smokeprobe-Run": "run-1"}
    return Journey(
        permit(origin), actions, max_requests, timeout_s, headers, login_paths=(LOGIN,), logout_paths=(LOGOUT,)
    )


def start(guard: GuardRules, *extra_flags: str) -> Browser:
    return Browser(find_chromium(os.environ), guard, user_agent_suffix=AGENT, extra_flags=extra_flags)


def chromium_processes() -> list[psutil.Process]:
    """Those that this process has started."""
    return [each for each in psutil.Process().children(recursive=True) if "chrom" in command(each)[0]]


def browser_process() -> psutil.Process:
    """Chromium's first process, the parent of all its others."""
    processes = chromium_processes()
    return next(each for each in processes if each.parent() not in processes)


def of_browsers() -> list[psutil.Process]:
    """What this process has started, but for the stand-ins that other tests have left for the next ones."""
    children = psutil.Process().children(recursive=True)
    return [each for each in children if "standin" not in " ".join(command(each))]


def renderers() -> list[psutil.Process]:
    return [each for each in chromium_processes() if "--type=renderer" in command(each)]


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command(process: psutil.Process) -> list[str]:
    """Its command line; an empty name where the process is gone, or waits to be reaped."""
    try:
        return process.cmdline() or [""]
    except psutil.NoSuchProcess:
        return [""]


@dataclass(frozen=True)
class Arrival:
    """A request as it came over the wire."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class Answer:
    """What to answer to a path."""

    body: str = ""
    kind: str = "text/html"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Recorder:
    """A server on a bare socket that writes down whatever arrives, WebSocket handshakes included."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Answer]
        self.arrivals: list[Arrival]
        self.holds: dict[str, threading.Event]
        self.reset()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.origin = f"{'https' if context else 'http'}://{self.address}"
        threading.Thread(target=self._accept, daemon=True).start()

    def paths(self) -> list[str]:
        return [arrival.path for arrival in self.arrivals]

    def reset(self) -> None:
        """Forget what came, and answer to every path as at first."""
        self.arrivals = []
        self.holds = {}
        self.pages = {"/": Answer("<h1>Home</h1>"), "/next": Answer("<h1>Next</h1>")}

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(20)
            try:
                if self._context is None:
                    self._talk(connection)
                else:
                    with self._context.wrap_socket(connection, server_side=True) as wrapped:
                        self._talk(wrapped)
            except (OSError, EOFError):
                return  # the browser hung up

    def _talk(self, connection: socket.socket) -> None:
        received = b""
        while True:
            head, received = _read_until(connection, received, b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            received = _skip(connection, received, int(headers.get("content-length", "0")))
            self.arrivals.append(Arrival(method, target, headers))
            path = target.partition("?")[0]
            if path in self.holds:
                self.holds[path].wait(20)
            self._answer(connection, method, self.pages.get(path, Answer("ok", "text/plain")))

    @staticmethod
    def _answer(connection: socket.socket, method: str, answer: Answer) -> None:
        body = answer.body.encode()
        lines = [f"HTTP/1.1 {answer.status} Said", f"Content-Type: {answer.kind}", f"Content-Length: {len(body)}"]
        lines += ["Access-Control-Allow-Origin: *", "Access-Control-Allow-Headers: *"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body))


@contextmanager
def recorder(context: ssl.SSLContext | None = None) -> Iterator[Recorder]:
    server = Recorder(context)
    try:
        yield server
    finally:
        server.close()


def _read_until(connection: socket.socket, received: bytes, end: bytes) -> tuple[bytes, bytes]:
    while end not in received:
        received += _more(connection)
    head, _, rest = received.partition(end)
    return head, rest


def _skip(connection: socket.socket, received: bytes, length: int) -> bytes:
    while len(received) < length:
        received += _more(connection)
    return received[length:]


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise EOFError
    return part

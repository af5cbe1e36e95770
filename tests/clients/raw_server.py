"""A server that sends exactly what a test tells it to, byte for byte, and keeps what it was sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Talk:
    """One connection, as its handler sees it."""

    sock: socket.socket
    server: RawServer
    number: int  # from 0, of all connections to this server

    def request(self) -> bytes:
        """The next request, body included; empty when the client has closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.sock.recv(65536)
            if not part:
                return b""
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += self.sock.recv(65536)
        self.server.requests.append(head + b"\r\n\r\n" + body)
        return self.server.requests[-1]

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)
        self.server.bytes_sent += len(data)

    def drip(self, data: bytes, every_s: float, size: int = 1) -> None:
        for start in range(0, len(data), size):
            self.send(data[start : start + size])
            if self.server.over.wait(every_s):
                return

    def flood(self, block: bytes, total: int) -> None:
        left = total
        while left > 0 and not self.server.over.is_set():
            self.send(block[:left])
            left -= len(block)

    def reset(self) -> None:
        """End the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hang(self) -> None:
        self.server.over.wait(60)


Handler = Callable[[Talk], None]


def always(answer: bytes) -> Handler:
    """Answer every request of a connection with the same bytes, and keep it open."""

    def handle(talk: Talk) -> None:
        while talk.request():
            talk.send(answer)

    return handle


def once(answer: bytes) -> Handler:
    """Answer one request with these bytes, and close."""

    def handle(talk: Talk) -> None:
        talk.request()
        talk.send(answer)

    return handle


def routes(answers: dict[str, bytes]) -> Handler:
    """Answer by `METHOD /path`, 404 for all else."""

    def handle(talk: Talk) -> None:
        while request := talk.request():
            method, path = request.decode("latin-1").split(" ")[:2]
            talk.send(answers.get(f"{method} {path}", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))

    return handle


@dataclass
class HandMadeTLS:
    """A handler that speaks TLS itself, so that it can drip what TLS has made of an answer or of its own handshake."""

    context: ssl.SSLContext
    answer: bytes
    drips: str  # what is dripped: "handshake" or "answer"
    every_s: float
    size: int = 1  # bytes in a drip

    def __call__(self, talk: Talk) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)

        def flush(part: str) -> None:
            data = outgoing.read()
            if part == self.drips:
                talk.drip(data, self.every_s, self.size)
            elif data:
                talk.send(data)

        def read(part: str, ask: Callable[[], bytes | None]) -> bytes | None:
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    return ask()
                flush(part)
                data = talk.sock.recv(65536)
                if not data:
                    raise ConnectionAbortedError
                incoming.write(data)

        read("handshake", tls.do_handshake)
        flush("handshake")
        while request := read("", lambda: tls.read(65536)):
            talk.server.requests.append(request)
            tls.write(self.answer)
            flush("answer")


def redirect(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")


@dataclass
class RawServer:
    """A with-block: `RawServer(handler)`; each connection is handled in a thread of its own."""

    handler: Handler
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    bytes_sent: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.bind((self.host, 0))
        self._listener.listen(16)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    @property
    def url(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{name}:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            self._open.append(sock)
            thread = threading.Thread(target=self._handle, args=(sock, self.connections))
            self.connections += 1
            self._threads.append(thread)
            thread.start()

    def _handle(self, sock: socket.socket, number: int) -> None:
        # the client may go away whenever it likes: that is what many tests are about
        with contextlib.suppress(OSError, ValueError), contextlib.closing(sock):
            if self.tls is None:
                self.handler(Talk(sock, self, number))
            else:
                with self.tls.wrap_socket(sock, server_side=True) as wrapped:
                    self._open.append(wrapped)
                    self.handler(Talk(wrapped, self, number))


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """A port on loopback that nobody listens on, kept for us."""
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port on loopback where nothing answers, not even with a refusal: a queue that is full drops every SYN."""
    with contextlib.closing(socket.socket()) as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            sock = waiting.enter_context(contextlib.closing(socket.socket()))
            sock.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                sock.connect(full.getsockname())
        yield full.getsockname()[1]

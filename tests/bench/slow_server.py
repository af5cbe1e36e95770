"""A server that takes its time and says how much: `python -m tests.bench.slow_server ADDRESS MS`.

Prints its port. Each answer leaves in one piece; `Server-Timing` has the milliseconds from the request's last byte to
the answer's first. Ends when its stdin closes.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self

ANSWER = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n"
    'Server-Timing: app;dur={:.3f}\r\n\r\n{{"status":"ok"}}'
)


class SlowServer:
    """The server as a process beside us, for a with-block."""

    def __init__(self, address: str, own_s: float) -> None:
        self._command = [sys.executable, "-m", "tests.bench.slow_server", address, str(own_s * 1000.0)]
        self._child: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._child.stdout is not None:
            self.port = int(self._child.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.communicate(timeout=10)  # closes its stdin


def serve(listener: socket.socket, own_s: float) -> None:
    """Answer each connection in a thread of its own."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_converse, args=(connection, own_s), daemon=True).start()


def _converse(connection: socket.socket, own_s: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
        while b"\r\n\r\n" in received:
            begun = time.perf_counter()
            _, _, received = received.partition(b"\r\n\r\n")
            time.sleep(own_s)
            connection.sendall(ANSWER.format((time.perf_counter() - begun) * 1000.0).encode())


def main() -> None:
    """Serve."""
    listener = socket.create_server((sys.argv[1], 0))
    threading.Thread(target=serve, args=(listener, float(sys.argv[2]) / 1000.0), daemon=True).start()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()

"""A connection below HTTP: for answers that no well-behaved server would give."""

import errno
import socket
import struct
from typing import NoReturn

ENVIRON_KEY = "standin.wire"
_LINGER_ZERO = struct.pack("ii", 1, 0)


class Wire:
    """The socket that one request came in on."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Send bytes as they are, past the HTTP server. Raises OSError when the client has gone."""
        self._connection.sendall(data)

    def drop(self, *, reset: bool) -> NoReturn:
        """End the connection with a FIN or, with reset, a RST; for use inside the body of a response.

        Raises:
            ConnectionResetError: always. The HTTP server takes it for a client that left, and closes in silence.
        """
        if reset:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        raise ConnectionResetError(errno.ECONNRESET, "dropped by the stand-in")

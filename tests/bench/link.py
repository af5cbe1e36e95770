"""A long line of our own: `python -m tests.bench.link DELAY_MS LOSS`, in a network namespace that it has to itself.

Each packet comes back after DELAY_MS with its two addresses exchanged, or is lost with the probability LOSS. So what is
sent to `FAR` arrives, one delay later, at `NEAR` on the same machine, and looks as if it came from `FAR`. A round trip
is two delays. Ends when its stdin closes; prints `up` once it works.
"""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType
from typing import Self

from tests.bench.measurement import CannotMeasureError
from tests.network.carry import Way, addresses, be_punctual, carry, lay, readdress

NEAR, FAR = "10.77.0.1", "10.77.0.2"
DEVICE = "far0"


class Link:
    """The line as a process beside us, for a with-block. `delay_s` is one way."""

    def __init__(self, delay_s: float, loss: float = 0.0) -> None:
        self._command = [sys.executable, "-m", "tests.bench.link", str(delay_s * 1000.0), str(loss)]
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if self._child.stdout is not None and self._child.stdout.readline() != b"up\n":
            said = self._child.communicate(timeout=5)[1].decode(errors="replace").strip().splitlines()
            raise CannotMeasureError(f"no line with delay can be laid here: {said[-1] if said else 'no reason given'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.communicate(timeout=10)  # closes its stdin


def main() -> None:
    """Lay the line and carry."""
    delay_s, loss = float(sys.argv[1]) / 1000.0, float(sys.argv[2])
    device = lay(DEVICE, [("address", "add", NEAR, "peer", FAR, "dev", DEVICE)])
    back = Way(device, delay_s, loss)

    def turn(_: int, packet: bytearray) -> Way:
        source, destination = addresses(packet)
        readdress(packet, destination, source)
        return back

    be_punctual()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    carry([device], turn)


if __name__ == "__main__":
    main()

"""The yardstick: `http.client` in a plain interpreter, with nothing around it. `python -m tests.bench.bare URL COUNT`.

Prints a JSON array with the milliseconds of each request over one kept-alive connection: [to first byte, whole, what
the server says of its own time].
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.bench.measurement import CannotMeasureError

WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Timed:
    """One request, in milliseconds. `server_ms` is 0 where the server does not tell."""

    ttfb_ms: float
    whole_ms: float
    server_ms: float


def loop(url: str, count: int) -> list[Timed]:
    """Ask `count` times over one connection, the first few, which are not counted, aside."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    timed = []
    for _ in range(WARM_UP + count):
        begun = time.perf_counter()
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        first_byte = time.perf_counter()
        answer.read()
        ended = time.perf_counter()
        server_ms = server_time_ms(answer.getheader("Server-Timing", ""))
        timed.append(Timed((first_byte - begun) * 1000.0, (ended - begun) * 1000.0, server_ms))
    connection.close()
    return timed[WARM_UP:]


def server_time_ms(header: str) -> float:
    """The `dur` of a Server-Timing header with one entry."""
    match = re.search(r"dur=([\d.]+)", header)
    return float(match[1]) if match else 0.0


def measured(url: str, count: int) -> list[Timed]:
    """`loop` in a process of its own. Raises CannotMeasureError where that breaks."""
    command = [sys.executable, "-m", "tests.bench.bare", url, str(count)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if ended.returncode:
        raise CannotMeasureError(f"the bare loop broke: {ended.stderr.strip()[-200:]}")
    return [Timed(*values) for values in json.loads(ended.stdout)]


def main() -> None:
    """Print what `loop` measures."""
    timed = loop(sys.argv[1], int(sys.argv[2]))
    sys.stdout.write(json.dumps([(one.ttfb_ms, one.whole_ms, one.server_ms) for one in timed]))


if __name__ == "__main__":
    main()

"""Sends a notice to each channel as a master does, under gevent; prints how long each took.

python -m tests.alerts.gevent_child FOLDER ADDRESS… < environment as JSON
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 - gevent comes first
import sys  # noqa: E402 - the same
import time  # noqa: E402 - the same
from pathlib import Path  # noqa: E402 - the same

import gevent  # noqa: E402 - the same

from probes.alerts.channels import make_channels  # noqa: E402 - the same
from probes.alerts.notice import Channel, NotTakenError  # noqa: E402 - the same
from probes.config.channels import load_channels  # noqa: E402 - the same
from tests.alerts.notices import FIRING  # noqa: E402 - the same

still_s = 0.0


def watch() -> None:
    """Note how long nothing else had its turn."""
    global still_s  # noqa: PLW0603 - one number of one process
    while True:
        begun = time.monotonic()
        gevent.sleep(0.01)
        still_s = max(still_s, time.monotonic() - begun)


def sent(channel: Channel) -> tuple[str, float]:
    """What became of it, and after how many seconds."""
    begun = time.monotonic()
    try:
        channel.send(FIRING)
    except NotTakenError as problem:
        return str(problem), time.monotonic() - begun
    return "taken", time.monotonic() - begun


made = make_channels(sys.argv[2:], load_channels(Path(sys.argv[1])), json.load(sys.stdin))
watching = gevent.spawn(watch)
sending = {address: gevent.spawn(sent, channel) for address, channel in made.items()}
gevent.joinall(list(sending.values()))
json.dump({"sent": {address: each.value for address, each in sending.items()}, "still_s": still_s}, sys.stdout)

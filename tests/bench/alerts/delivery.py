"""How long it takes to hand a notice over: by the channel for mail, to a real SMTP server on loopback."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from probes.alerts.channels import make_channel
from tests.alerts.mail_server import mail_server
from tests.alerts.notices import FIRING, channels

TO = "oncall@betterprompts.com"
MAILS = 30


def handing_over_s() -> list[float]:
    """Seconds from having a notice to its having been taken, one for each mail."""
    took = []
    with tempfile.TemporaryDirectory() as folder, mail_server("none", None, login=False) as server:
        options = {"host": "127.0.0.1", "security": "none", "from": "smokeprobe@betterprompts.com", "port": server.port}
        channel = make_channel(TO, channels(Path(folder), mail=options), {})
        for _ in range(MAILS):
            begun = time.perf_counter()
            channel.send(FIRING)
            took.append(time.perf_counter() - begun)
    return took

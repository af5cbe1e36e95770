"""`smokeprobe run`: the same locustfile, by Locust's own main, quietly."""

from __future__ import annotations

import logging
import sys
from typing import NoReturn

from probes.config.load import shipped
from probes.options import RunOptions
from probes.swarm.prewarm import prewarm


def drive(options: RunOptions) -> NoReturn:
    """Run all checks once. Ends the process with the run's exit code."""
    prewarm(options)

    from locust.main import main

    from probes.swarm.arguments import arguments_for

    # Locust's own statistics are not what this is about; its warnings still show
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("locust").setLevel(logging.ERROR)
    locustfile = str(shipped("locustfiles") / "production_smoke.py")
    conf = str(shipped("config") / "locust" / "scheduled.conf")
    sys.argv = ["locust", "-f", locustfile, "--config", conf, "--skip-log-setup", *arguments_for(options)]
    main()
    sys.exit(0)

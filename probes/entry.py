"""The console script `smokeprobe`.

Where a run is asked for, the browser's process starts before anything is imported that takes time: it is what the run
waits for longest.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence


def main() -> None:
    """Start what takes longest, then hand over to the commands."""
    if sys.argv[1:2] == ["run"]:
        from probes.swarm.signals import remember

        remember()  # from the first moment on, what ends a run ends it with a report
        gc.disable()  # what is imported stays: no time is spent on looking for garbage until swarm.hooks begins
    if wants_browser(sys.argv[1:], os.environ):
        from probes.clients.child import EARLY, spawn

        try:
            EARLY.set(spawn())
        except OSError:
            EARLY.set(None)  # the run says why, when it comes to it
    from probes.cli import app

    app()


def wants_browser(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether a run is asked for that may need a browser; a wrong guess costs a process that is ended unused."""
    if arguments[:1] != ["run"] or {"--no-browser", "--help", "-h"} & set(arguments):
        return False
    return not environ.get("SMOKEPROBE_NO_BROWSER", "").strip()

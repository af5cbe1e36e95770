"""GitHub Actions: a workflow that begins runs by cron, one that is called for each, and the action that runs.

GitHub begins late what is planned, by minutes and more where many begin at once, and may leave it out: so a machine
that has forgotten the run before waits for a window before it sends anything.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict

from probes.scheduling.render import Files, Planned, Rendering, rendered, variables

FOLDER = "github-actions"

MINUTE_S = 60.0

ACTIONS = {
    "checkout": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    "setup_python": "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0",
    "upload_artifact": "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
}
"""Others' actions by their digests: a tag may be moved, a commit cannot."""


def github_files(rendering: Rendering) -> Files:
    """All three; none where nothing runs there."""
    if not rendering.planned:
        return {}
    secrets = sorted({name for each in rendering.planned for name in each.entry.secrets})
    by_cron: dict[str, list[Planned]] = defaultdict(list)
    for each in rendering.planned:
        by_cron[each.entry.cron].append(each)
    jobs = [
        {
            "name": group[0].name,
            "cron": cron,
            "runs": json.dumps([_run(rendering, each) for each in group]),
            "secrets": sorted({name for each in group for name in each.entry.secrets}),
        }
        for cron, group in by_cron.items()
    ]
    return {
        f"{FOLDER}/smoke-schedule.yml": rendered("github/schedule.yml.j2", jobs=jobs),
        f"{FOLDER}/smoke-run.yml": rendered("github/run.yml.j2", secrets=secrets, **ACTIONS),
        f"{FOLDER}/action.yml": rendered("github/action.yml.j2", **ACTIONS),
    }


def _run(rendering: Rendering, planned: Planned) -> dict[str, object]:
    """One of the matrix."""
    github = rendering.schedule.github
    said = variables(planned)
    return {
        "name": planned.name,
        "runner": [*(github.runner if github else ()), planned.entry.region],
        "env": said["SMOKEPROBE_ENV"],
        "region": said["SMOKEPROBE_REGION"],
        "share": said["SMOKEPROBE_SHARE"],
        "checks": said["SMOKEPROBE_CHECK"],
        "wait": 0 if planned.keeps_ledger else math.ceil(planned.window_s),
        "minutes": math.ceil(planned.entry.timeout / MINUTE_S),
    }

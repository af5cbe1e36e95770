"""What a run can be told, the same for `smokeprobe run`, for Locust's command line, and for the environment."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from probes.config.load import Source, config_path

ENVIRONMENT: Mapping[str, str] = {
    "env": "SMOKEPROBE_ENV",
    "config": "SMOKEPROBE_CONFIG",
    "target_url": "SMOKEPROBE_TARGET_URL",
    "region": "SMOKEPROBE_REGION",
    "checks": "SMOKEPROBE_CHECK",
    "no_browser": "SMOKEPROBE_NO_BROWSER",
    "json_file": "SMOKEPROBE_JSON_FILE",
    "junit_file": "SMOKEPROBE_JUNIT_FILE",
    "html_file": "SMOKEPROBE_HTML_FILE",
    "state_dir": "SMOKEPROBE_STATE_DIR",
    "allow_degraded": "SMOKEPROBE_ALLOW_DEGRADED",
    "share": "SMOKEPROBE_SHARE",
}
"""The environment variable of each option."""

DATABASE_URL = "SMOKEPROBE_DATABASE_URL"
"""The environment variable with the URL of a fleet's database. No option: `ps` would show its password."""


def forget_empty(environ: MutableMapping[str, str]) -> None:
    """Take out variables that are empty: a workflow that passes on a value which nobody set means none."""
    for name in [name for name, value in environ.items() if name.startswith("SMOKEPROBE_") and not value.strip()]:
        del environ[name]


def check_names(values: Iterable[str]) -> tuple[str, ...]:
    """The names in all `values` of --check: one option, or the environment variable, may hold several."""
    return tuple(name for value in values for name in value.split())


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What to run, against which target, and where the reports go. Empty strings mean: not asked for."""

    env: str = "local"
    config: str = ""
    target_url: str = ""
    region: str = "local"
    checks: tuple[str, ...] = ()
    no_browser: bool = False
    json_file: str = ""
    junit_file: str = ""
    html_file: str = ""
    state_dir: str = ""
    allow_degraded: bool = False
    share: str = "adhoc"

    @property
    def source(self) -> Source:
        """The configuration that is meant."""
        return Source(config_path(self.env, self.config), self.region, self.target_url)

    @property
    def state(self) -> Path:
        """Where ledger and open sessions are kept: shared by all runs of a user on this machine."""
        return Path(self.state_dir) if self.state_dir else default_state_dir(os.environ)

    @property
    def database_url(self) -> str:
        """Where the ledger is instead, if one is shared with other machines."""
        return os.environ.get(DATABASE_URL, "")


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/smokeprobe`, or `~/.local/state/smokeprobe` (XDG Base Directory Specification)."""
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "smokeprobe"


def resume_command(state_dir: str) -> str:
    """The command that lifts a pause in this ledger: a folder that is not the default one must be named."""
    default = not state_dir or Path(state_dir) == default_state_dir(os.environ) or DATABASE_URL in os.environ
    return "smokeprobe resume" if default else f"smokeprobe resume --state-dir {shlex.quote(state_dir)}"

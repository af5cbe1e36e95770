"""How files are rendered: from templates, and headed by where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from probes.config.cron_schedule import Entry, Schedule
from probes.config.models import Settings

HEADING = "# Rendered from config/cron-schedule.yaml by `smokeprobe schedule render`; changes belong there.\n"

Files = dict[str, str]
"""Texts by their paths below the folder that they are rendered to."""


@dataclass(frozen=True, slots=True)
class Planned:
    """An entry with what its environment says in its region; `keeps_ledger` is whether its ledger outlives it."""

    name: str
    entry: Entry
    settings: Settings
    keeps_ledger: bool

    @property
    def window_s(self) -> float:
        """How long after its end a run counts at most."""
        return max((limit.hold_s for limit in self.settings.rate_limits), default=0.0)


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a platform is rendered from."""

    schedule: Schedule
    planned: tuple[Planned, ...]


def rendered(template: str, **values: Any) -> str:
    """A template with its values, below the heading. Its marks are square: braces are GitHub's own."""
    return HEADING + _templates().get_template(template).render(values)


def _templates() -> Environment:
    made = Environment(  # noqa: S701 - YAML is no markup: what is put in is written by `quoted`
        loader=PackageLoader("probes.scheduling"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
    )
    made.filters["quoted"] = quoted
    return made


def quoted(value: Any) -> str:
    """A text, a list or a mapping as YAML on one line: JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def variables(planned: Planned) -> Mapping[str, str]:
    """What the environment of a run says of it, besides secrets."""
    entry = planned.entry
    return {
        "SMOKEPROBE_ENV": entry.env,
        "SMOKEPROBE_REGION": entry.region,
        "SMOKEPROBE_SHARE": entry.share,
        "SMOKEPROBE_CHECK": " ".join(entry.checks),
    }

"""`http`: any site, from configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from probes.checks.base import Check, PlannedCall
from probes.checks.expect import HttpRequest, judged_by
from probes.checks.probe import Probe
from probes.clients.http import Request
from probes.config.models import CheckOptions


class HttpOptions(CheckOptions):
    """Requests by name, each with what its answer must be."""

    requests: Annotated[dict[str, HttpRequest], Field(min_length=1)]


class HttpCheck(Check[HttpOptions]):
    """Each request answers as configured."""

    kind = "http"
    Options = HttpOptions

    def calls(self) -> tuple[PlannedCall, ...]:
        """One call for each request."""
        return tuple(PlannedCall(spec.method, spec.path) for spec in self.options.requests.values())

    def limits(self) -> Mapping[str, tuple[str, ...]]:
        """One for each request."""
        return {name: ("requests", name, "within") for name in self.options.requests}

    def attempt(self, probe: Probe) -> None:
        """Ask each; one that fails does not keep the others from being asked."""
        for name, spec in self.options.requests.items():
            judge = judged_by(spec, self.settings.target)
            probe.ask(name, Request(spec.method, probe.url(spec.path)), judge, spec.within)

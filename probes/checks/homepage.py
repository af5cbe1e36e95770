"""`homepage`: a real browser loads a page in time, everything named is visible, and the console is clean (P2)."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from probes.checks.base import Check, PlannedCall
from probes.checks.pages import Visit, judge_visit, make_visit
from probes.checks.probe import Probe
from probes.clients.journey import Action, Expect, Goto
from probes.config.models import Call, CheckOptions, Path, Strict
from probes.config.roles import Role
from probes.config.units import Duration, Size


class Element(Strict):
    """One element that must be visible, by exactly one of role, test id, CSS selector or text.

    `role` is one of WAI-ARIA. `css` is CSS with what Playwright adds to it: `:visible`, `:has-text("…")`, and `>>`
    between two selectors. It is always read as CSS: what begins with `text=`, `xpath=` or `//` is none.
    """

    role: Role = ""
    test_id: str = ""
    css: str = ""
    text: str = ""

    @model_validator(mode="after")
    def _one(self) -> Element:
        if sum(map(bool, (self.role, self.test_id, self.css, self.text))) != 1:
            raise ValueError("an element is named by exactly one of role, test_id, css or text")
        return self


class HomepageOptions(CheckOptions):
    """The page, what must be visible, and what its script calls: rate-limited calls are declared, so that they fit."""

    path: Path = "/"
    within: Duration | None = None
    elements: dict[str, Element] = Field(default_factory=dict)
    api_calls: tuple[Call, ...] = ()
    max_requests: int = Field(default=60, ge=1, le=500)
    weight: Size = 1024 * 1024
    timeout: Duration = Field(default=15.0)


class HomepageCheck(Check[HomepageOptions]):
    """The page loads, whole and clean."""

    kind = "homepage"
    Options = HomepageOptions
    browser = True

    def calls(self) -> tuple[PlannedCall, ...]:
        """The page, and the calls that it declares."""
        options = self.options
        declared = tuple(PlannedCall(call.method, call.path) for call in options.api_calls)
        return (PlannedCall("GET", options.path, size=options.weight), *declared)

    def limits(self) -> Mapping[str, tuple[str, ...]]:
        """The page's load."""
        return {"load": ("within",)}

    def attempt(self, probe: Probe) -> None:
        """Open the page and look for each element."""
        options = self.options
        looks: list[Action] = [
            Expect(name, role=element.role, test_id=element.test_id, css=element.css, text=element.text)
            for name, element in options.elements.items()
        ]
        visit = Visit((Goto("load", options.path), *looks), self.calls(), options.max_requests, options.api_calls)
        result = make_visit(probe, visit)
        if result is None:
            return
        judge_visit(probe, result, options.within)
        timing = result.timing
        times = {
            "load_ms": timing.load_ms,
            "ttfb_ms": timing.ttfb_ms,
            "fcp_ms": timing.fcp_ms,
            "lcp_ms": timing.lcp_ms,
            "cls": timing.cls,
        }
        probe.metrics.update({name: value for name, value in times.items() if value is not None})

"""`enhancement`: a safe prompt gets an enhanced answer, and nothing is stored (P3). Never sent with a token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pydantic import Field

from probes.checks.base import Check, PlannedCall
from probes.checks.expect import MISSING, json_object, lookup, status_finding
from probes.checks.finding import Finding, failed
from probes.checks.probe import Probe
from probes.clients.http import Request, Response
from probes.config.models import CheckOptions, Path
from probes.config.units import Duration


class EnhancementOptions(CheckOptions):
    """The call, the prompt, and the names of the answer's fields."""

    path: Path = "/api/v1/enhance"
    prompt: str = Field(default="Explain what a smoke test is.", min_length=1, max_length=5000)
    answer_field: str = "enhanced_text"
    flag_field: str = "enhanced"
    id_field: str = "id"
    within: Duration | None = None


class EnhancementCheck(Check[EnhancementOptions]):
    """The answer is there, differs from the prompt, is flagged enhanced, and its id is empty."""

    kind = "enhancement"
    Options = EnhancementOptions

    def calls(self) -> tuple[PlannedCall, ...]:
        """One POST, named with its proof under `safety.exceptions`."""
        return (PlannedCall("POST", self.options.path),)

    def limits(self) -> Mapping[str, tuple[str, ...]]:
        """The answer's."""
        return {"enhance": ("within",)}

    def attempt(self, probe: Probe) -> None:
        """Ask once; the client has no token here, so it cannot send one."""
        request = Request("POST", probe.url(self.options.path), json={"text": self.options.prompt})
        probe.ask("enhance", request, self._judge, self.options.within)

    def _judge(self, response: Response) -> Iterator[Finding]:
        if (wrong := status_finding(response)) is not None:
            yield wrong
            return
        body = json_object(response)
        stored = lookup(body, self.options.id_field)
        if stored is MISSING or stored != "":
            rule = "something was stored: the id of an anonymous answer must be empty"
            yield replace(failed(rule, '""'), final=True)  # another try would store another row
        answer = lookup(body, self.options.answer_field)
        if not isinstance(answer, str) or not answer.strip():
            yield failed(f"{self.options.answer_field} is missing or empty")
        elif answer.strip() == self.options.prompt.strip():
            yield failed("the answer equals the prompt")
        if lookup(body, self.options.flag_field) is not True:
            yield failed(f"{self.options.flag_field} is not true", "true")

"""One Locust user class for each check: it asks for a run of its check, and reports the verdict."""

from __future__ import annotations

from typing import ClassVar

from locust import User, constant, task
from locust.exception import StopUser

from probes.errors import SmokeprobeError
from probes.model import Outcome, Step, Verdict
from probes.pipeline import encode
from probes.swarm.session import VERDICT_MESSAGE, SmokeSession


class StepFailedError(SmokeprobeError):
    """What Locust's statistics show of a step that did not pass."""


class ProbeUser(User):
    """Runs one check, once or at its interval. Everything else is decided by the session."""

    abstract = True
    fixed_count = 1
    session: ClassVar[SmokeSession]
    check: ClassVar[str]

    @task
    def probe(self) -> None:
        """Run the check and send its verdict."""
        verdict = self.session.run_check(self.check)
        if verdict is None:
            raise StopUser
        for step in verdict.steps:
            self._fire(verdict, step)
        self.environment.runner.send_message(VERDICT_MESSAGE, encode(verdict))
        if self.session.once:
            raise StopUser

    def _fire(self, verdict: Verdict, step: Step) -> None:
        bad = step.outcome not in {Outcome.PASSED, Outcome.SKIPPED}
        self.environment.events.request.fire(
            request_type=verdict.check,
            name=step.name,
            response_time=step.judged_ms if step.judged_ms is not None else step.duration_ms,
            response_length=step.bytes_received,
            exception=StepFailedError(str(step.reason or step.outcome)) if bad else None,
            context={},
        )


def probe_classes(session: SmokeSession) -> dict[str, type[ProbeUser]]:
    """A user class for each check of the session: Locust wants classes, and only the configuration knows which."""
    settings = session.equipment.settings
    classes = {}
    for name in session.checks:
        class_name = "".join(part.title() for part in name.replace("_", "-").split("-")) + "Probe"
        wait_time = constant(settings.every(settings.checks[name]))
        body = {"session": session, "check": name, "wait_time": wait_time, "__doc__": f"Probes `{name}`."}
        classes[class_name] = type(class_name, (ProbeUser,), body)
    return classes

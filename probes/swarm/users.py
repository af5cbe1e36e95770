"""One Locust user class for each check: it asks for a run of its check, and reports the verdict."""

from __future__ import annotations

import logging
from typing import ClassVar, Protocol

import gevent
from locust import User, task
from locust.exception import StopUser
from locust.user.users import UserMeta

from probes.errors import SmokeprobeError
from probes.model import Outcome, Step, Verdict
from probes.swarm.equipment import Equipment
from probes.swarm.session import class_name


class StepFailedError(SmokeprobeError):
    """What Locust's statistics show of a step that did not pass."""


class Session(Protocol):
    """What a user belongs to: a run, or a worker."""

    equipment: Equipment
    once: bool
    checks: tuple[str, ...]

    def rest_s(self, name: str) -> float:
        """How long a user of the check rests between two runs of it, in seconds."""

    def run_check(self, name: str) -> Verdict | None:
        """Run a check to its verdict; None where there is nothing to tell."""

    def tell(self, verdict: Verdict | None, name: str) -> None:
        """Send a verdict to whoever collects it."""


LOCUSTS = frozenset({"fixed_count", "weight", "host"})
"""What Locust sets on user classes, and anybody by REST: it says nothing of a check, and the dispatcher minds none."""


class _Configured(UserMeta):
    """What the configuration says of a user class is not for the web UI's REST calls to change."""

    def __setattr__(self, name: str, value: object) -> None:
        the_same = name == "tasks" and value == getattr(
            self, name
        )  # Locust filters tasks by tags, of which there are none
        if name not in LOCUSTS and not the_same:
            raise AttributeError(f"{name} of {self.__name__} comes from the configuration and cannot be changed.")
        super().__setattr__(name, value)


class ProbeUser(User, metaclass=_Configured):
    """Runs one check, once, at its interval, or as its session says. Everything else is decided by the session."""

    abstract = True
    fixed_count = 1
    session: ClassVar[Session]
    check: ClassVar[str]

    def wait_time(self) -> float:
        """Seconds until the next run."""
        return self.session.rest_s(self.check)

    @task
    def probe(self) -> None:
        """Run the check and send its verdict."""
        try:
            verdict = self.session.run_check(self.check)
            for step in verdict.steps if verdict is not None else ():
                self._fire(step)
            self.session.tell(verdict, self.check)
        except Exception as problem:  # noqa: BLE001 - Locust would show it as it is, and run the task again at once
            text = self.session.equipment.redactor.text(f"{type(problem).__name__}: {problem}")
            logging.getLogger(__name__).error("the user of check %s broke: %s", self.check, text)  # noqa: TRY400 - that is all
            gevent.sleep(1.0)  # whatever it is, it may be there again at once
        if self.session.once:
            raise StopUser

    def _fire(self, step: Step) -> None:
        bad = step.outcome not in {Outcome.PASSED, Outcome.SKIPPED}
        self.environment.events.request.fire(
            request_type=self.check,
            name=step.name,
            response_time=step.judged_ms if step.judged_ms is not None else step.duration_ms,
            response_length=step.bytes_received,
            exception=StepFailedError(str(step.reason or step.outcome)) if bad else None,
            context={"step": step},
        )


def probe_classes(session: Session) -> dict[str, type[ProbeUser]]:
    """A user class for each check of the session: Locust wants classes, and only the configuration knows which."""
    classes = {}
    for name in session.checks:
        body = {"session": session, "check": name, "__doc__": f"Probes `{name}`."}
        classes[class_name(name)] = type(class_name(name), (ProbeUser,), body)
    return classes

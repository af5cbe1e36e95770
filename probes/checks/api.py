"""`api`: the API answers in time, and its rate limiting is active (P5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from probes.checks.base import Check, PlannedCall
from probes.checks.expect import HttpRequest, judged_by
from probes.checks.finding import Finding, failed
from probes.checks.probe import Probe
from probes.clients.http import Response
from probes.config.models import CheckOptions
from probes.model import Layer, Outcome


class ApiOptions(CheckOptions):
    """The address, and whether two calls must show that the rate limit counts."""

    request: HttpRequest
    rate_limited: bool = True


class ApiCheck(Check[ApiOptions]):
    """One call answers as configured; a second one shows that `Remaining` falls."""

    kind = "api"
    Options = ApiOptions

    def calls(self) -> tuple[PlannedCall, ...]:
        """The same call twice where the limit is watched."""
        return (PlannedCall("GET", self.options.request.path, times=2 if self.options.rate_limited else 1),)

    def limits(self) -> Mapping[str, tuple[str, ...]]:
        """The first call's, which the second is held against too."""
        return {"request": ("request", "within")}

    def attempt(self, probe: Probe) -> None:
        """Ask, and ask again."""
        spec = self.options.request
        judge = judged_by(spec, self.settings.target)
        if not self.options.rate_limited:
            probe.get("request", spec.path, judge, spec.within, status=None)
            return
        seen: list[Window] = []

        def first(response: Response) -> Iterator[Finding]:
            yield from judge(response)
            yield from _headers(response)

        def second(response: Response) -> Iterator[Finding]:
            yield from first(response)
            if not still_counting(seen[0], Window.of(response)):
                yield Finding(
                    Outcome.FAILED, Layer.HTTP, "rate limiting is not active: Remaining does not fall between two calls"
                )

        if (answer := probe.get("request", spec.path, first, spec.within, status=None)) is not None:
            seen.append(Window.of(answer))
            probe.get("rate-limit", spec.path, second, spec.within, status=None)


class Window:
    """What X-RateLimit-* (or RateLimit-*) said at one call; None where it said nothing readable."""

    def __init__(self, remaining: int | None, reset: int | None) -> None:
        self.remaining, self.reset = remaining, reset

    @classmethod
    def of(cls, response: Response) -> Window:
        """Read the headers of an answer."""
        return cls(_header(response, "remaining"), _header(response, "reset"))


def still_counting(first: Window, second: Window) -> bool:
    """Whether the limiter counted the second call: fewer remain, or a new window has begun in between.

    A window's end shows in another `Reset`; one that counts down in seconds rises where a new window begins.
    """
    if first.remaining is None or second.remaining is None:
        return False
    if second.remaining < first.remaining:
        return True
    renewed = first.reset is not None and second.reset is not None and second.reset > first.reset
    return renewed and second.remaining >= first.remaining


def _header(response: Response, name: str) -> int | None:
    value = response.headers.get(f"x-ratelimit-{name}", response.headers.get(f"ratelimit-{name}", ""))
    return int(value) if value.isdecimal() and len(value) < 20 else None


def _headers(response: Response) -> Iterator[Finding]:
    missing = [name for name in ("limit", "remaining", "reset") if _header(response, name) is None]
    if missing:
        names = ", ".join(f"X-RateLimit-{name.title()}" for name in missing)
        yield failed(f"rate limiting is not active: {names} missing or not a number", layer=Layer.HTTP)

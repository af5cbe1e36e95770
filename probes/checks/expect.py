"""Judging an answer by configuration alone: status, headers, JSON, text, certificate, TLS version."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

from pydantic import Field, JsonValue

from probes.checks.finding import Finding, degraded, failed
from probes.clients.http import Response
from probes.config.models import Path, Strict, Target
from probes.config.units import Duration
from probes.errors import TransportError
from probes.model import LONGEST_TEXT, Layer, whole

MISSING: Final = object()
DAY_S = 86400.0


class HttpRequest(Strict):
    """One GET and what its answer must be. Only what `show` lists of a JSON body appears in a reason."""

    path: Path
    method: Literal["GET", "HEAD", "OPTIONS"] = "GET"
    status: int | tuple[int, ...] = 200
    within: Duration | None = None
    content_type: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    json_: dict[str, JsonValue] = Field(default_factory=dict, alias="json")
    text: str = ""
    show: tuple[str, ...] = ()


def judge(spec: HttpRequest, response: Response) -> Iterator[Finding]:
    """Every rule of `spec` that the answer breaks; the body is only looked at where the status is right."""
    if (wrong := status_finding(response, spec.status)) is not None:
        yield wrong
        return
    if spec.content_type and not response.headers.get("content-type", "").startswith(spec.content_type):
        actual = whole(response.headers.get("content-type", "none"))
        yield failed("wrong content type", spec.content_type, actual)
        return
    for name, wanted in spec.headers.items():
        yield from _header(response, name, wanted)
    if spec.text and spec.text not in response.body.decode(errors="replace"):
        yield failed(f"the text {spec.text!r} is missing")
    if spec.json_:
        body = json_object(response)
        for path, expected in spec.json_.items():
            yield from json_finding(body, path, expected, show=path in spec.show)


def status_finding(response: Response, wanted: int | tuple[int, ...] = 200) -> Finding | None:
    """A wrong status, or None."""
    statuses = wanted if isinstance(wanted, tuple) else (wanted,)
    if response.status in statuses:
        return None
    return failed("wrong status", " or ".join(map(str, statuses)), response.status, Layer.HTTP)


def _header(response: Response, name: str, wanted: str) -> Iterator[Finding]:
    value = response.headers.get(name.lower())
    if value is None:
        yield failed(f"the header {name} is missing", layer=Layer.HTTP)
    elif wanted not in {"", "*"} and wanted not in value:
        yield failed(f"the header {name} is not as expected", wanted, layer=Layer.HTTP)


def json_object(response: Response) -> dict[str, Any]:
    """The body as a JSON object. Raises TransportError (layer body) where it is something else."""
    body = response.json()
    if not isinstance(body, dict):
        kind = {list: "an array", str: "a string", type(None): "null"}.get(type(body), "a number or boolean")
        raise TransportError(f"the body is {kind}, not a JSON object", Layer.BODY)
    return body


def lookup(body: Any, path: str) -> Any:
    """What stands at `a.b.0.c` in a JSON body; MISSING where nothing does."""
    for key in path.split("."):
        if isinstance(body, dict) and key in body:
            body = body[key]
        elif isinstance(body, list) and key.isdecimal() and int(key) < len(body):
            body = body[int(key)]
        else:
            return MISSING
    return body


def json_finding(body: Any, path: str, expected: JsonValue, *, show: bool) -> Iterator[Finding]:
    """A JSON path that is missing or differs. Its actual value is shown only where the configuration says so."""
    value = lookup(body, path)
    if value is MISSING:
        yield failed(f"{path} is missing", json.dumps(expected))
    elif value != expected or isinstance(value, bool) != isinstance(expected, bool):
        actual = whole(json.dumps(value)) if show else "another value (not listed under show)"
        yield failed(f"{path} is not as expected", json.dumps(expected), actual)


def number_at(body: Any, path: str) -> float | None:
    """A finite number at a path, or None."""
    value = lookup(body, path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def text_at(body: Any, path: str) -> str:
    """A text at a path, or nothing; without what is not printable."""
    value = lookup(body, path)
    short = isinstance(value, str) and len(value) <= LONGEST_TEXT
    return "".join(filter(str.isprintable, value)) if short else ""


def connection_findings(response: Response, target: Target) -> Iterator[Finding]:
    """Certificate and TLS version against `target.certificate`; nothing over plain HTTP."""
    days, rules = response.facts.certificate_days, target.certificate
    if days is not None and days * DAY_S < rules.failed_under:
        yield failed(
            "certificate about to expire", f"{rules.failed_under / DAY_S:.0f} days", f"{days:.1f} days", Layer.TLS
        )
    elif days is not None and days * DAY_S < rules.degraded_under:
        wanted = f"{rules.degraded_under / DAY_S:.0f} days"
        yield degraded("certificate expires soon", wanted, f"{days:.1f} days", Layer.TLS)
    version = response.facts.tls_version
    if version and version < rules.tls_at_least:
        yield failed("TLS version too old", rules.tls_at_least, version, Layer.TLS)


def judged_by(spec: HttpRequest, target: Target) -> Callable[[Response], Iterator[Finding]]:
    """A judge for `Probe.get`."""

    def findings(response: Response) -> Iterator[Finding]:
        yield from connection_findings(response, target)
        yield from judge(spec, response)

    return findings

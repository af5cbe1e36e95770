"""Datadog's package for its HTTP API, with our own way over the wire in it: see `probes.delivery.ask`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datadog.api.api_client import APIClient
from datadog.api.http_client import HTTPClient

from probes.delivery import ask


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as the package looks at it. What it means is said by status and headers alone, so there is no more."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes = b""


class _Wire(HTTPClient):
    """One POST."""

    @classmethod
    def request(  # type: ignore[override] # it is called by name
        cls, *, url: str, headers: Mapping[str, str], data: bytes, timeout: float, **_: Any
    ) -> Answer:
        """As there. Raises UnansweredError."""
        answer = ask("POST", url, seconds=timeout, content=data, headers=headers)
        return Answer(answer.status, answer.headers)


class Client(APIClient):
    """The package's own, but for the wire."""

    _http_client = _Wire

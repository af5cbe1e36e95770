"""JSON over HTTPS to a service's API: one request, short time-outs, and an error that is one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from probes.delivery import keeps_a_secret
from probes.errors import ConfigError, SmokeprobeError

TIMEOUT_S = 10.0
"""What connecting, and each wait for a part of the answer, may take."""

LONGEST_SAID = 300
"""So much of what a service says of a mistake is repeated."""


class ApiError(SmokeprobeError):
    """The service could not be asked, or has refused; `status` is 0 where it did not answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """Requests to one service, with its keys in their headers. Redirects are not followed: they would carry the keys.

    Raises ConfigError where the address, which `variable` may name, would show the keys to others.
    """

    def __init__(self, service: str, url: str, headers: Mapping[str, str], variable: str, who: str) -> None:
        if not keeps_a_secret(url):
            raise ConfigError(f"{variable}: keys go over https only.", hint="Write https://HOST.")
        self._service, self._url, self._who, self._secrets = service, url.rstrip("/"), who, tuple(headers.values())
        self._where = f"{service} ({urlsplit(url).hostname})"
        self._session = requests.Session()
        self._session.auth = lambda request: request  # else what a ~/.netrc has for the host would go along
        self._session.headers.update({**headers, "Accept": "application/json"})
        self.timeout_s = TIMEOUT_S

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """The answer's JSON. Raises ApiError for anything but success."""
        try:
            answer = self._session.request(
                method, f"{self._url}{path}", params=query, json=body, timeout=self.timeout_s, allow_redirects=False
            )
        except requests.Timeout:
            raise ApiError(f"{self._where} does not answer within {self.timeout_s:g} s.") from None
        except requests.RequestException:
            raise ApiError(f"{self._where} cannot be reached: no connection, or it was cut off.") from None
        if not 200 <= answer.status_code < 300:
            raise ApiError(self._sorry(answer), answer.status_code)
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise ApiError(f"{self._service}'s answer is no JSON: is something in between?") from None

    def _sorry(self, answer: requests.Response) -> str:
        status = answer.status_code
        if status in {401, 403}:
            return f"{self._service} answers HTTP {status}: {self._who}"
        if status == 429:
            wait = answer.headers.get("X-RateLimit-Reset") or answer.headers.get("Retry-After") or ""
            rest = f" for {wait} s" if wait.isascii() and wait.isdigit() else ""
            return f"{self._service} answers HTTP 429: it asks to be left alone{rest}."
        if status >= 500:
            return f"{self._service} answers HTTP {status}: it has trouble of its own."
        return f"{self._service} answers HTTP {status}: {self.in_short(_errors(answer)) or 'it says no more.'}"

    def in_short(self, errors: Iterable[object]) -> str:
        """What it says of mistakes, on one line, without the keys that it was sent."""
        text = " ".join("; ".join(str(error) for error in errors).split())
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text[:LONGEST_SAID]


def _errors(answer: requests.Response) -> Iterable[object]:
    try:
        errors = answer.json().get("errors", ())
    except (ValueError, AttributeError):
        return ()
    return errors if isinstance(errors, list) else (errors,)

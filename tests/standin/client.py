"""Plain HTTP calls to a stand-in, one connection each."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from probes.standin.process import StandIn

EMAILS = {"basic": "smoke-test-basic@betterprompts.com", "premium": "smoke-test-premium@betterprompts.com"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def call(
    target: StandIn,
    request: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    token: str | None = None,
    timeout: float = 5,
) -> Answer:
    """Send a request, written as its method and path, with the body as JSON."""
    method, path = request.split()
    all_headers = dict(headers or {})
    if token is not None:
        all_headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body)
    connection = http.client.HTTPConnection(urlsplit(target.url).netloc, timeout=timeout)
    try:
        connection.request(method, path, data, all_headers)
        with connection.getresponse() as response:
            return Answer(response.status, tuple(response.getheaders()), response.read())
    finally:
        connection.close()


def login(target: StandIn, alias: str = "basic", password: str | None = None, **fields: str) -> Answer:
    secret = target.password if password is None else password
    return call(target, "POST /api/v1/auth/login", {"email_or_username": EMAILS[alias], "password": secret, **fields})

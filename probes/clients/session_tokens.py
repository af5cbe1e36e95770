"""The tokens that a log-in's answer brings, wherever they stand: in its body, or in the cookies that it sets."""

from __future__ import annotations

import http.cookies
import json
from collections.abc import Iterable

SESSION_COOKIES = ("auth_token", "refresh_token")
SESSION_TOKENS = ("access_token", "refresh_token")


def tokens_in(body: bytes, set_cookies: Iterable[str]) -> dict[str, str]:
    """Those that are there, by the names of `SESSION_TOKENS`; one in the body goes before its cookie."""
    cookies = _cookies(set_cookies)
    tokens = {name: cookies.get(cookie, "") for name, cookie in zip(SESSION_TOKENS, SESSION_COOKIES, strict=True)}
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None  # not JSON: the cookies have to do
    if isinstance(data, dict):
        tokens |= {name: value for name in SESSION_TOKENS if isinstance(value := data.get(name), str) and value}
    return {name: token for name, token in tokens.items() if token}


def _cookies(lines: Iterable[str]) -> dict[str, str]:
    cookies: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
    for line in lines:
        try:
            cookies.load(line)
        except http.cookies.CookieError:
            continue  # one cookie that cannot be read says nothing about the others
    return {name: morsel.value for name, morsel in cookies.items()}

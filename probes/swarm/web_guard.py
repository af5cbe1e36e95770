"""What stands before Locust's whole web UI: only its own pages, under its own name, may ask anything of it.

Locust answers every origin and every Host, and does whatever any page in the same browser posts. This sees each request
before Locust does, and each answer after it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

OURS = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
OURS += "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
"""The content security policy of our own pages: no inline script, no inline style, nothing from elsewhere."""

LOCUSTS = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
LOCUSTS += "img-src 'self' data: blob:; object-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
"""The same for Locust's pages, which have a script within them."""

STANDING: Headers = [
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "same-origin"),  # with no-referrer, browsers say `Origin: null` for our own forms too
]


class SameOrigin:
    """WSGI middleware: refuses what comes from another site or under another name, and takes back what CORS opens.

    `hosts` are the names under which the UI may be asked, whatever the port. Where it listens on every address
    (`any_address`) they are joined by all addresses in digits: no name that somebody else answers for leads there.
    """

    def __init__(self, app: WSGIApplication, hosts: Iterable[str], *, any_address: bool = False) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().strip("[]") for host in hosts)
        self._any_address = any_address

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if refused := self._refusal(environ):
            status, why = refused
            body = f"{why}\n".encode()
            start_response(status, [*STANDING, ("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
            return [body]
        return self._app(environ, _hardening(environ, start_response))

    def _refusal(self, environ: WSGIEnvironment) -> tuple[str, str] | None:
        method, host = environ["REQUEST_METHOD"], environ.get("HTTP_HOST", "")
        if method not in {"GET", "HEAD", "POST"}:
            return "405 Method Not Allowed", f"{method} is not for this UI."
        if not self._is_ours(host):
            return "421 Misdirected Request", "This UI is not called so; ask for it by the address that it said."
        if _of_another_site(environ, host):
            return "403 Forbidden", "This comes from another site."
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._hosts or (self._any_address and _is_address(name))


def _of_another_site(environ: WSGIEnvironment, host: str) -> bool:
    """What a browser says of where a request comes from. Others say nothing, and carry no cookies of anybody's."""
    origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE")
    if origin is not None and _netloc(origin) != host.lower():
        return True
    if environ["REQUEST_METHOD"] == "POST":
        return site not in {None, "same-origin"}
    followed_a_link = environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
    return site not in {None, "same-origin", "none"} and not followed_a_link


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""  # which is nobody's host


def _hardening(environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
    asset = environ.get("PATH_INFO", "").startswith("/assets/")

    def start(status: str, headers: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
        taken = {name.lower() for name, _ in STANDING} | ({"cache-control"} if not asset else set())
        kept = [
            (name, value)
            for name, value in headers
            if name.lower() not in taken and not name.lower().startswith("access-control-")
        ]
        if not any(name.lower() == "content-security-policy" for name, _ in kept):
            kept.append(("Content-Security-Policy", LOCUSTS))
        return start_response(status, [*kept, *STANDING, *([] if asset else [("Cache-Control", "no-store")])], exc_info)

    return start


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

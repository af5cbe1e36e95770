"""Handing something over to a service: to whom a secret may be shown, how long it may take, what came back."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, Literal, TypeVar

from probes.errors import ConfigError

LONGEST_WAIT_S = 600.0
"""However long a service asks to be left alone, it is asked again after so many seconds."""

LARGEST_ANSWER = 65536
"""Bytes that are read of an answer. One without end would leave no other greenlet a turn, and so no time-out either."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Hosts that are this machine: what goes there can be read by nobody on the way."""

_T = TypeVar("_T")


class UnansweredError(Exception):
    """Nothing came back, or not in time. The text says so, and names nobody."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said; of a long body its beginning. Names of headers are in small letters."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def taken(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    @property
    def wait_s(self) -> float:
        """How long the service asks to be left alone."""
        return seconds_asked(self.headers.get("retry-after", ""))


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Do something that others may hold up, and wait no longer than so long for it.

    What then still hangs is left to itself, in a thread that keeps nobody from ending. Raises UnansweredError for
    that, and whatever the work raises.
    """
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is for whoever waits
            done.set_exception(problem)

    Thread(target=run, daemon=True).start()
    try:
        return done.result(seconds)
    except TimeoutError:
        raise UnansweredError("it does not answer in time") from None


def ask(
    method: Literal["GET", "POST"],
    url: str,
    *,
    seconds: float,
    body: Any = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    authorities: str = "",
) -> Answer:
    """One request, with `body` as JSON or `content` as it is, to that address and no other. Raises UnansweredError.

    No redirect is followed, which would take a key along. A proxy is used as the environment says, but not to the
    loopback: a key goes there in the clear. `authorities` names a file or folder of them, where those of the machine
    are not to be trusted.
    """
    import requests  # what a run that tells nobody need not pay for
    from urllib3.exceptions import HTTPError
    from urllib3.exceptions import TimeoutError as SlowError

    ends = time.monotonic() + 0.8 * seconds  # the rest is for telling what was read until then
    host = urllib.parse.urlsplit(url).hostname or ""

    def exchange() -> Answer:
        with requests.request(
            method, url, json=body, data=content, headers={**(headers or {}), "Accept-Encoding": "identity"},
            timeout=seconds, verify=authorities or True, stream=True, allow_redirects=False,
            proxies={"no_proxy": host} if host in LOOPBACK else None,
            auth=lambda request: request,  # else what a ~/.netrc has for the host would go along
        ) as answer:  # fmt: skip
            said = b""
            while len(said) < LARGEST_ANSWER and time.monotonic() < ends:  # which one that drips would never let end
                part = answer.raw.read1(LARGEST_ANSWER - len(said), decode_content=False)
                if not part:
                    break
                said += part
            return Answer(answer.status_code, said, {name.lower(): text for name, text in answer.headers.items()})

    try:
        return within(seconds, exchange)
    except (requests.Timeout, SlowError):
        raise UnansweredError("it does not answer in time") from None
    except requests.exceptions.SSLError:
        raise UnansweredError("its certificate is not trusted, or it speaks no TLS") from None
    except (requests.RequestException, HTTPError, OSError, ValueError):
        raise UnansweredError("no connection, or it was cut off") from None


def seconds_asked(text: str) -> float:
    """The seconds that a header asks for; 0 where it does not say so many."""
    return min(float(text), LONGEST_WAIT_S) if text.isascii() and text.isdigit() else 0.0


def key_of(environ: Mapping[str, str], name: str) -> str:
    """A key, as it can stand in a header. Raises ConfigError where it cannot, without showing it."""
    key = environ.get(name, "").strip()
    if not fits_a_header(key):
        raise ConfigError(f"{name}: a line break, or a letter that no key has, is in it.", hint="Copy the key anew.")
    return key


def fits_a_header(text: str) -> bool:
    """Whether HTTP can carry it as a header's value."""
    return text.isascii() and text.isprintable()


def is_url(url: str) -> bool:
    """Whether something can be sent there over HTTP."""
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def keeps_a_secret(url: str) -> bool:
    """Whether what goes there can be read by nobody on the way."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return False
    loopback = parts.scheme == "http" and parts.hostname in LOOPBACK
    return loopback or (parts.scheme == "https" and bool(parts.hostname))

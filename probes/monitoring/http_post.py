"""A POST to a service: to it and to nobody else, and of its answer no more is read than one could need."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

import requests
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as SlowError

from probes.delivery import LARGEST_ANSWER, LOOPBACK
from probes.monitoring.base import Fate, Said


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, as far as it was read."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class UnansweredError(Exception):
    """Nothing was answered; `said` has what that comes to."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.said = Said(Fate.LATER, why)


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, authorities: str = "") -> Answer:
    """The answer. No redirect is followed, which would take a key along, and .netrc takes no header's place.

    `authorities` names a file or folder of them, where those of the machine are not to be trusted. A proxy is used as
    the environment says, but not to the loopback: a key goes there in the clear. Raises UnansweredError.
    """
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        with requests.post(
            url, data=body, headers={**headers, "Accept-Encoding": "identity"}, timeout=timeout_s,
            verify=authorities or True,
            proxies={"no_proxy": host} if host in LOOPBACK else None, auth=lambda request: request,
            allow_redirects=False, stream=True,
        ) as answer:  # fmt: skip
            content: bytes = answer.raw.read(LARGEST_ANSWER, decode_content=False)
            return Answer(answer.status_code, answer.headers, content)
    except (requests.Timeout, SlowError):
        raise UnansweredError("it does not answer in time") from None
    except requests.exceptions.SSLError:
        raise UnansweredError("its certificate is not trusted, or it speaks no TLS") from None
    except (requests.RequestException, HTTPError, OSError, ValueError):
        raise UnansweredError("no connection, or it was cut off") from None

"""One session between a master and a worker: its messages, the proof of who wrote them, and each received once.

A message is a flat dict of texts and whole numbers, so that msgpack carries it. All but `who` end in a `mac`, over all
their other fields: that of `hello` and `welcome` under the shared key, that of the rest under the session's own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

RESEND_S: Final = 1.0
"""After this long without an acknowledgement a post is sent again, then after twice as long, and so on."""

LONGEST_RESEND_S: Final = 8.0

WINDOW: Final = 1024
"""As many numbers, from the lowest not acknowledged on, may be on their way; what is posted beyond them waits."""

LONGEST_BODY: Final = 1 << 20
LONGEST_KIND: Final = 60
LONGEST_NONCE: Final = 64

UP: Final = "up"
"""The direction from a worker to its master."""

DOWN: Final = "down"

_LENGTHS: Final = {"body": LONGEST_BODY, "kind": LONGEST_KIND}
_TWO_NONCES: Final = {"type": str, "worker": str, "master": str}
_OF_SESSION: Final = {**_TWO_NONCES, "direction": str, "number": int, "mac": str}
_FIELDS: Final[Mapping[str, Mapping[str, type]]] = {
    "hello": {**_TWO_NONCES, "challenge": str, "mac": str},
    "welcome": {**_TWO_NONCES, "challenge": str, "mac": str},
    "who": _TWO_NONCES,
    "post": {**_OF_SESSION, "low": int, "kind": str, "body": str},
    "ack": _OF_SESSION,
}


class RejectedError(Exception):
    """A message that is not taken. `reason` is one word of ours, with nothing of the sender's in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Received:
    """What the other side posted. `client` is empty at a worker; `first`: nothing came before it in its session."""

    client: str
    kind: str
    body: dict[str, Any]
    first: bool


def well_formed(message: Any) -> dict[str, Any]:
    """The message, if it has the fields of its type, each of the right type and size. Raises RejectedError."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise RejectedError("malformed")
    types = {name: type(value) for name, value in message.items()}
    if types != _FIELDS.get(message["type"]) or not all(_fits(name, value) for name, value in message.items()):
        raise RejectedError("malformed")
    return message


def _fits(name: str, value: str | int) -> bool:
    if isinstance(value, int):
        return 0 < value < 1 << 63
    return len(value) <= _LENGTHS.get(name, LONGEST_NONCE)


def seal(key: bytes, message: Mapping[str, Any]) -> dict[str, Any]:
    """The message with its `mac`."""
    return {**message, "mac": _mac(key, message)}


def verify(key: bytes, message: Mapping[str, Any]) -> None:
    """Raise RejectedError unless the `mac` of a well-formed message was made with this key."""
    bare = {name: value for name, value in message.items() if name != "mac"}
    if not hmac.compare_digest(_mac(key, bare).encode(), message["mac"].encode("ascii", "replace")):
        raise RejectedError("mac")


def _mac(key: bytes, message: Mapping[str, Any]) -> str:
    return hmac.new(key, json.dumps(message, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def session_key(key: bytes, worker: str, master: str) -> bytes:
    """The key of a session between these two nonces; no message, being an object, is ever sealed over such a list."""
    return hmac.digest(key, json.dumps(["session", worker, master]).encode(), "sha256")


@dataclass(slots=True)
class Post:
    """Something to say until it is acknowledged."""

    number: int
    kind: str
    body: str
    due_at: float
    pause_s: float = RESEND_S


class Outbox:
    """What was posted and is not acknowledged, by number, in the order of posting."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._posts: dict[int, Post] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._posts)

    @property
    def low(self) -> int:
        """The lowest number that is not acknowledged, or else the next."""
        return next(iter(self._posts), self._last + 1)

    def count(self, beside: Collection[str]) -> int:
        """How many there are, beside those of some kinds."""
        return sum(post.kind not in beside for post in self._posts.values())

    def add(self, kind: str, body: Mapping[str, Any]) -> Post:
        """Raises ValueError where kind or body is too long, TypeError or ValueError where the body is no JSON."""
        if not 0 < len(kind) <= LONGEST_KIND:
            raise ValueError(f"the kind of a post has 1 to {LONGEST_KIND} characters, not {len(kind)}")
        text = json.dumps(body, allow_nan=False)
        if len(text) > LONGEST_BODY:
            raise ValueError(f"a {kind} of {len(text)} bytes is longer than the {LONGEST_BODY} that a post may have")
        self._last += 1
        self._posts[self._last] = post = Post(self._last, kind, text, self._clock())
        return post

    def settle(self, number: int) -> bool:
        """Forget what is acknowledged; whether it was still waited for."""
        return self._posts.pop(number, None) is not None

    def start_over(self) -> None:
        """Everything is due now: whoever should have acknowledged it is gone."""
        for post in self._posts.values():
            post.due_at, post.pause_s = self._clock(), RESEND_S

    def due(self) -> Iterator[Post]:
        """What is to be sent now, as far as it can be within the window."""
        now = self._clock()
        return (post for post in islice(self._posts.values(), WINDOW) if post.due_at <= now)

    def sent(self, post: Post) -> None:
        """Put off the next time."""
        post.due_at = self._clock() + post.pause_s
        post.pause_s = min(2 * post.pause_s, LONGEST_RESEND_S)


class Inbox:
    """Which numbers of one sender have come.

    The sender says with each post which of its numbers is the lowest that still waits for an acknowledgement. All below
    are settled, so only those from there on, no more than WINDOW, need be remembered, and gaps do no harm.
    """

    def __init__(self) -> None:
        self._low = 1
        self._come: set[int] = set()

    def take(self, number: int, low: int) -> bool:
        """Whether this number comes for the first time."""
        if low > self._low:
            self._low = low
            self._come = {each for each in self._come if each >= low}
        if number < self._low or number in self._come:
            return False
        self._come.add(number)
        return True


class Session:
    """One side's end of a session: what it sends is numbered and sealed, what it takes is verified and new.

    `heard_at` is when something new was last heard in it; what is repeated may come from anyone who listened.
    """

    def __init__(  # noqa: PLR0913 - all by name, and all of them what a session is between
        self,
        *,
        key: bytes,
        worker: str,
        master: str,
        direction: str,
        outbox: Outbox,
        inbox: Inbox,
        send: Callable[[dict[str, Any]], None],
        clock: Callable[[], float],
        client: str = "",
    ) -> None:
        self._key = session_key(key, worker, master)
        self.nonces = {"worker": worker, "master": master}
        self.inbox = inbox
        self.outbox = outbox
        self.heard_at = clock()
        self._direction = direction
        self._send = send
        self._clock = clock
        self._client = client
        self._first = True

    def is_of(self, message: Mapping[str, Any]) -> bool:
        """Whether the message names this session."""
        return all(message[name] == nonce for name, nonce in self.nonces.items())

    def verify(self, message: Mapping[str, Any]) -> None:
        """Raise RejectedError unless the other side wrote this post or acknowledgement."""
        if message["direction"] == self._direction:
            raise RejectedError("direction")
        verify(self._key, message)

    def take(self, message: Mapping[str, Any]) -> Received | None:
        """What a verified message brings, if it is a post. Raises RejectedError for what is repeated or no JSON."""
        if message["type"] == "ack":
            if not self.outbox.settle(message["number"]):
                raise RejectedError("repeated")
            self.heard_at = self._clock()
            return None
        if not message["low"] <= message["number"] < message["low"] + WINDOW:
            raise RejectedError("malformed")
        body = _parsed(message["body"])
        self._send_sealed({"type": "ack", "number": message["number"]})
        if not self.inbox.take(message["number"], message["low"]):
            raise RejectedError("repeated")
        self.heard_at = self._clock()
        first, self._first = self._first, False
        return Received(self._client, message["kind"], body, first)

    def send(self, post: Post) -> None:
        """Send it, if it is within the window."""
        if post.number < self.outbox.low + WINDOW:
            content = {"kind": post.kind, "body": post.body}
            self._send_sealed({"type": "post", "number": post.number, "low": self.outbox.low, **content})
            self.outbox.sent(post)

    def send_due(self) -> None:
        """Send what is due."""
        for post in list(self.outbox.due()):
            self.send(post)

    def _send_sealed(self, message: dict[str, Any]) -> None:
        self._send(seal(self._key, {**message, **self.nonces, "direction": self._direction}))


def _parsed(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise RejectedError("malformed")
    return body

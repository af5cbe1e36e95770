"""The conversation of a master with its workers, over a transport that loses, delays, doubles, and lets anyone write.

    worker                                    master
      hello     nonces, a challenge     ──▶              said until it is answered, and again when the master is silent
           ◀──  nonces, the challenge         welcome    proves that the master has the key, now
      post      number, kind, body      ──▶              opens the session; said again until it is acknowledged
           ◀──  number                        ack        and the same in the other direction
           ◀──  nonces                        who        "I know no such session": proves nothing, may cause a hello

A session lies between two nonces: the worker's, which it keeps for its life, and one that the master makes for this
session. What a worker posts is numbered for its life and not for a session, so that nothing is received twice where a
session ends and the next one begins. What a master posts belongs to the session.

Without a key anyone can write, so an empty one is for the loopback only. Nothing here is secret from who listens.
"""

from __future__ import annotations

import math
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from probes.safety.permits import boot_clock
from probes.swarm.link_session import (
    DOWN,
    UP,
    Inbox,
    Outbox,
    Received,
    RejectedError,
    Session,
    seal,
    verify,
    well_formed,
)

HELLO_S: Final = 2.0
"""A worker says hello no more often than this."""

QUIET_S: Final = 10.0
"""After this long without anything new from the master, a worker asks whether it is there, and sends nothing else."""

MOST_PENDING: Final = 256
"""So many hellos may wait for their first post; then the oldest is forgotten."""

MOST_REMEMBERED: Final = 1024
"""Of so many workers it is remembered what they posted, after their sessions have ended too."""

MOST_NAMED: Final = 64
"""So many clients are counted one by one in `MasterLinks.rejected`, `OTHERS` being the last."""

OTHERS: Final = "(others)"
LONGEST_NAME: Final = 60

_LONGEST_CLIENT: Final = 300  # a host's name and a UUID


def new_nonce() -> str:
    """128 bits that nobody can guess."""
    return secrets.token_hex(16)


class WorkerLink:
    """A worker's end. Neither waits nor sleeps: call `turn` several times a second, and `receive` for what comes.

    `sessions_opened` grows with each new session: the master is a new one, or had given this worker up. Post then at
    once what it must know first; all that it did not acknowledge is sent to it with the next `turn`. `rejected` counts
    by reason what was not taken.
    """

    def __init__(
        self,
        key: bytes,
        send: Callable[[dict[str, Any]], None],
        clock: Callable[[], float] = boot_clock,
        nonce: Callable[[], str] = new_nonce,
    ) -> None:
        self.sessions_opened = 0
        self.rejected: Counter[str] = Counter()
        self._key = key
        self._send = send
        self._clock = clock
        self._new_nonce = nonce
        self._nonce = nonce()
        self._challenge = nonce()
        self._outbox = Outbox(clock)
        self._session: Session | None = None
        self._next_hello_at = -math.inf
        self._doubted = False

    @property
    def connected(self) -> bool:
        """Whether a master was heard of lately."""
        return self._session is not None and not self._quiet(self._session)

    @property
    def unacknowledged(self) -> int:
        """How many posts are not acknowledged."""
        return len(self._outbox)

    def unheard(self, *beside: str) -> int:
        """How many posts are not acknowledged, beside those of some kinds."""
        return self._outbox.count(beside)

    def post(self, kind: str, body: Mapping[str, Any]) -> None:
        """Say it to the master, now or as soon as there is one. Raises ValueError where it is too long."""
        post = self._outbox.add(kind, body)
        if self._session and not self._quiet(self._session):
            self._session.send(post)

    def turn(self) -> None:
        """Say whatever is due."""
        quiet = not self.connected
        if (quiet or self._doubted) and self._clock() >= self._next_hello_at:
            self._next_hello_at = self._clock() + HELLO_S
            nonces = self._session.nonces if self._session else {"worker": self._nonce, "master": ""}
            self._send(seal(self._key, {"type": "hello", **nonces, "challenge": self._challenge}))
        if self._session and not quiet:
            self._session.send_due()

    def receive(self, message: Any) -> Received | None:
        """What the master posted, if the message is that, is genuine and is new."""
        try:
            return self._receive(well_formed(message))
        except RejectedError as error:
            self.reject(error.reason)
            return None

    def reject(self, reason: str) -> None:
        """Count what was not taken."""
        self.rejected[reason] += 1

    def _receive(self, message: dict[str, Any]) -> Received | None:
        if message["type"] == "hello":
            raise RejectedError("direction")
        if message["type"] == "welcome":
            self._welcomed(message)
            return None
        if self._session is None or not self._session.is_of(message):
            raise RejectedError("session")
        if message["type"] == "who":
            self._doubted = True
            return None
        self._session.verify(message)
        return self._session.take(message)

    def _welcomed(self, message: Mapping[str, Any]) -> None:
        """Each challenge is for one welcome, lest an old one bring an old session back."""
        if (message["worker"], message["challenge"]) != (self._nonce, self._challenge):
            raise RejectedError("session")
        verify(self._key, message)
        self._challenge = self._new_nonce()
        self._doubted = False
        if self._session and self._session.is_of(message):
            self._session.heard_at = self._clock()
            return
        self._session = Session(
            key=self._key,
            worker=self._nonce,
            master=message["master"],
            direction=UP,
            outbox=self._outbox,
            inbox=Inbox(),
            send=self._send,
            clock=self._clock,
        )
        self._outbox.start_over()
        self.sessions_opened += 1

    def _quiet(self, session: Session) -> bool:
        return self._clock() - session.heard_at >= QUIET_S


class MasterLinks:
    """A master's ends of the links to all its workers. Neither waits nor sleeps: call `turn` several times a second.

    `rejected` counts what was not taken, by client and reason; the names of clients are whatever a stranger chose.
    """

    def __init__(
        self,
        key: bytes,
        send_to: Callable[[str, dict[str, Any]], None],
        clock: Callable[[], float] = boot_clock,
        nonce: Callable[[], str] = new_nonce,
    ) -> None:
        self.rejected: dict[str, Counter[str]] = {}
        self._key = key
        self._send_to = send_to
        self._clock = clock
        self._new_nonce = nonce
        self._sessions: dict[str, Session] = {}
        self._pending: dict[tuple[str, str], str] = {}  # our nonce for a client and its nonce, in the order of asking
        self._inboxes: dict[str, Inbox] = {}  # by the worker's nonce, the newest session last

    @property
    def sessions(self) -> tuple[str, ...]:
        """The clients that have proved themselves in a session and were not forgotten."""
        return tuple(self._sessions)

    @property
    def unacknowledged(self) -> int:
        """How many posts, to all clients together, are not acknowledged."""
        return sum(len(session.outbox) for session in self._sessions.values())

    def last_heard_s(self, client: str) -> float:
        """Seconds since the client last posted or acknowledged something new; infinite where it has no session."""
        session = self._sessions.get(client)
        return math.inf if session is None else self._clock() - session.heard_at

    def post(self, client: str, kind: str, body: Mapping[str, Any]) -> bool:
        """Say it to the client; False where it has no session. Raises ValueError where it is too long.

        It is for this session: if the client is forgotten or restarted before it has acknowledged it, it is dropped.
        """
        session = self._sessions.get(client)
        if session is not None:
            session.send(session.outbox.add(kind, body))
        return session is not None

    def turn(self) -> None:
        """Say whatever is due."""
        for session in list(self._sessions.values()):
            session.send_due()

    def forget(self, client: str) -> None:
        """The client is lost. Should it come back, it is asked to open a new session."""
        self._sessions.pop(client, None)

    def receive(self, client: Any, message: Any) -> Received | None:
        """What the client posted, if the message is that, is genuine and is new."""
        try:
            return self._receive(client, well_formed(message))
        except RejectedError as error:
            self.reject(client, error.reason)
            return None

    def _receive(self, client: Any, message: dict[str, Any]) -> Received | None:
        if not isinstance(client, str) or not 0 < len(client) <= _LONGEST_CLIENT:
            raise RejectedError("malformed")
        if message["type"] in {"welcome", "who"}:
            raise RejectedError("direction")
        if message["type"] == "hello":
            self._welcome(client, message)
            return None
        session = self._session_of(client, message)
        session.verify(message)
        if session is not self._sessions.get(client):
            self._open(client, session)
        return session.take(message)

    def _welcome(self, client: str, message: Mapping[str, Any]) -> None:
        """Answer with the session that the worker says it has, if it is this client's; else with one that is pending.

        Only where both know it does a session go on: a worker whose hello was passed on under another name has left its
        old session, and would come back to it with an empty inbox.
        """
        verify(self._key, message)
        worker, session = message["worker"], self._sessions.get(client)
        if session and session.is_of(message):
            master = message["master"]
        else:
            master = self._pending.setdefault((client, worker), self._new_nonce())
            _keep_last(self._pending, MOST_PENDING)
        answer = {"type": "welcome", "worker": worker, "master": master, "challenge": message["challenge"]}
        self._send_to(client, seal(self._key, answer))

    def _session_of(self, client: str, message: Mapping[str, Any]) -> Session:
        """The session that the message names: the client's own, or one that would be opened by it."""
        session = self._sessions.get(client)
        if session and session.is_of(message):
            return session
        worker, master = message["worker"], message["master"]
        if self._pending.get((client, worker)) != master:
            self._send_to(client, {"type": "who", "worker": worker, "master": master})
            raise RejectedError("session")
        return Session(
            key=self._key,
            worker=worker,
            master=master,
            direction=DOWN,
            outbox=Outbox(self._clock),
            inbox=self._inboxes.get(worker) or Inbox(),
            send=partial(self._send_to, client),
            clock=self._clock,
            client=client,
        )

    def _open(self, client: str, session: Session) -> None:
        """From now on this is the client's session; what was pending before it belongs to workers that are gone."""
        worker = session.nonces["worker"]
        # a worker has one session: whatever name it went by before
        self._sessions = {name: one for name, one in self._sessions.items() if one.nonces["worker"] != worker}
        self._sessions[client] = session
        asked = [pending for pending in self._pending if pending[0] == client]
        for pending in asked[: asked.index((client, worker)) + 1]:
            del self._pending[pending]
        self._inboxes.pop(worker, None)
        self._inboxes[worker] = session.inbox
        _keep_last(self._inboxes, MOST_REMEMBERED)

    def reject(self, client: Any, reason: str) -> None:
        """Count what was not taken of a client."""
        name = client if isinstance(client, str) else f"({type(client).__name__})"
        name = "".join(char if char.isprintable() else "?" for char in name[:LONGEST_NAME])
        if name not in self.rejected and len(self.rejected) >= MOST_NAMED - 1:
            name = OTHERS
        self.rejected.setdefault(name, Counter())[reason] += 1


def _keep_last(entries: dict[Any, Any], most: int) -> None:
    while len(entries) > most:
        del entries[next(iter(entries))]

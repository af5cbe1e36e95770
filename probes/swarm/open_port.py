"""What Locust itself takes from the port between a master and its workers, where anyone may write.

Locust's listeners end for good with the first message that they cannot read, it believes whatever name stands in one,
and it hands its locustfile to whoever asks. Our own messages are another matter: see `link`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from locust.rpc.protocol import Message
from locust.runners import MasterRunner, WorkerRunner

from probes.swarm.fleet import FLEET_MESSAGE

TAKEN_BY_MASTER: Final = frozenset(
    {"client_ready", "client_stopped", "heartbeat", "spawning", "spawning_complete", "quit", FLEET_MESSAGE}
)
TAKEN_OF_MEMBERS: Final = frozenset({"stats", "exception"})
"""Only of workers that have joined: it is kept, and shown."""

TAKEN_BY_WORKER: Final = frozenset({"ack", "spawn", "stop", "quit", "reconnect", "spawning_complete", FLEET_MESSAGE})
HEARTBEAT: Final = "heartbeat"
"""Passed over by a worker: by the time of day Locust would end it 60 s after the last one, also where it stood still
itself, or somebody has set its clock. It finds a master again by itself, however long that was away."""


_WAIT: Final = "LOCUST_WAIT_FOR_WORKERS_REPORT_AFTER_RAMP_UP"
"""How long a master hears nobody, each time that a worker comes or goes, until the others seem to be lost."""

_unserialize: Callable[[bytes], Message] = Message.unserialize


def guard_master(is_member: Callable[[str], bool], reject: Callable[[str, str], None]) -> None:
    """Let Locust's master take only what it can read, of the client itself, and of a kind that we need.

    `reject` is told of each message that is not taken: whose it was, and why, in a word of ours. Call it before the
    runner is made, whose listener begins at once.
    """
    handle = MasterRunner.handle_message

    def guarded(runner: MasterRunner, client_id: str, msg: Message) -> None:
        if msg.type in TAKEN_BY_MASTER or (msg.type in TAKEN_OF_MEMBERS and is_member(client_id)):
            if msg.node_id == client_id:
                _attempt(lambda: handle(runner, client_id, msg), lambda: reject(client_id, "malformed"))
            else:
                reject(client_id, "name")
        elif msg.type not in TAKEN_OF_MEMBERS:  # a worker sends its first statistics before it could join
            reject(client_id, "kind")

    os.environ[_WAIT] = "0"
    MasterRunner.handle_message = guarded  # type: ignore[method-assign,assignment]  # it has no other way in
    Message.unserialize = _readable  # type: ignore[method-assign]  # nor has this


def guard_worker(reject: Callable[[str], None]) -> None:
    """The same for Locust's worker; `reject` is told why a message was not taken."""
    handle = WorkerRunner.handle_message

    def guarded(runner: WorkerRunner, msg: Message) -> None:
        if msg.type in TAKEN_BY_WORKER:
            _attempt(lambda: handle(runner, msg), lambda: reject("malformed"))
        elif msg.type != HEARTBEAT:
            reject("kind")

    WorkerRunner.handle_message = guarded  # type: ignore[method-assign,assignment]  # as above
    Message.unserialize = _readable  # type: ignore[method-assign]  # as above


def _readable(data: bytes) -> Message:
    """The message; one of no kind at all where it cannot be read."""
    try:
        message = _unserialize(data)
    except Exception:  # noqa: BLE001 - a stranger's bytes break in as many ways as msgpack has
        return Message("", None, "")
    return message if isinstance(message.type, str) else Message("", None, "")


def _attempt(work: Callable[[], Any], otherwise: Callable[[], None]) -> None:
    try:
        work()
    except Exception:  # noqa: BLE001 - Locust's listener would end, and whatever else broke, it shall listen on
        otherwise()

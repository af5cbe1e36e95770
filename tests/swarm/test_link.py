"""What either end of a link takes and what it does not, message by message, over a line that the test holds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from probes.swarm.link import (
    HELLO_S,
    LONGEST_NAME,
    MOST_NAMED,
    MOST_PENDING,
    MOST_REMEMBERED,
    OTHERS,
    QUIET_S,
    MasterLinks,
    WorkerLink,
)
from probes.swarm.link_session import LONGEST_BODY, LONGEST_RESEND_S, RESEND_S, WINDOW, Inbox, Received, seal

KEY = b"shared"
Message = dict[str, Any]


@dataclass
class Line:
    """A clock, and all that was sent over it: `up` with the name of the client, `down` with whom it is for."""

    now: float = 1000.0
    up: list[tuple[str, Message]] = field(default_factory=list)
    down: list[tuple[str, Message]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def clock(self) -> float:
        return self.now

    def nonce(self) -> str:
        return f"nonce-{next(self.numbers)}"

    def worker(self, name: str = "a", key: bytes = KEY) -> WorkerLink:
        return WorkerLink(key, lambda message: self.up.append((name, message)), self.clock, self.nonce)

    def master(self, key: bytes = KEY) -> MasterLinks:
        return MasterLinks(key, lambda name, message: self.down.append((name, message)), self.clock, self.nonce)

    def carry(self, master: MasterLinks, **workers: WorkerLink) -> list[Received]:
        """Bring everything to where it belongs until nothing more is said."""
        received = []
        while self.up or self.down:
            for name, message in self.take(self.up):
                received.append(master.receive(name, message))
            for name, message in self.take(self.down):
                received.append(workers[name].receive(message))
        return [each for each in received if each]

    def take(self, messages: list[tuple[str, Message]]) -> list[tuple[str, Message]]:
        taken = list(messages)
        messages.clear()
        return taken


@dataclass
class Pair:
    """A master and its worker `a`, with their session open."""

    line: Line
    master: MasterLinks
    worker: WorkerLink

    def carry(self) -> list[Received]:
        return self.line.carry(self.master, a=self.worker)

    def sent_up(self, kind: str = "verdict") -> Message:
        """A post of the worker, taken off the line."""
        self.worker.post(kind, {"n": 1})
        return self.line.up.pop()[1]

    def sent_down(self, kind: str = "permit") -> Message:
        self.master.post("a", kind, {"n": 1})
        return self.line.down.pop()[1]

    def reasons(self, client: str = "a") -> dict[str, int]:
        return dict(self.master.rejected.get(client, {}))


def opened(line: Line, master: MasterLinks, worker: WorkerLink, name: str = "a") -> None:
    worker.turn()
    line.carry(master, **{name: worker})
    worker.post("join", {})
    line.carry(master, **{name: worker})


FIRST_HELLO = seal(KEY, {"type": "hello", "worker": "nonce-0", "master": "", "challenge": "nonce-1"})
"""What the worker of `pair` has said first."""


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def pair(line: Line) -> Pair:
    master, worker = line.master(), line.worker()
    opened(line, master, worker)
    assert master.sessions == ("a",)
    return Pair(line, master, worker)


def test_both_sides_post_and_acknowledge(line: Line) -> None:
    master, worker = line.master(), line.worker()
    worker.post("verdict", {"outcome": "passed"})
    assert line.up == []  # no session yet
    worker.turn()
    assert line.carry(master, a=worker) == []
    assert (worker.sessions_opened, master.sessions) == (1, ())
    worker.post("join", {"region": "eu"})
    worker.turn()
    assert line.carry(master, a=worker) == [
        Received("a", "join", {"region": "eu"}, first=True),
        Received("a", "verdict", {"outcome": "passed"}, first=False),
    ]
    assert (worker.unacknowledged, master.sessions) == (0, ("a",))
    assert master.post("a", "permit", {"id": "x"})
    assert line.carry(master, a=worker) == [Received("", "permit", {"id": "x"}, first=True)]
    line.now += 60
    master.turn()
    assert line.down == []
    assert master.last_heard_s("a") == 60
    assert master.last_heard_s("b") == float("inf")
    assert not master.post("b", "permit", {})
    assert master.rejected == worker.rejected == {}


def test_messages_hold_texts_and_whole_numbers_only(line: Line) -> None:
    master, worker = line.master(), line.worker()
    seen = []
    worker.turn()
    worker.post("join", {"deep": [1.5, None, {"x": True}]})
    for _ in range(3):
        worker.turn()
        seen += [message for _, message in line.up]
        for name, message in line.take(line.up):
            master.receive(name, message)
        seen += [message for _, message in line.down]
        for _, message in line.take(line.down):
            worker.receive(message)
    assert {message["type"] for message in seen} == {"hello", "welcome", "post", "ack"}
    assert {type(value) for message in seen for value in message.values()} == {str, int}


def test_what_is_not_acknowledged_is_sent_again_less_and_less_often(pair: Pair) -> None:
    pair.master.post("a", "permit", {})
    pair.line.down.clear()
    begun, times = pair.line.now, []
    while pair.line.now < begun + 40:
        pair.line.now += 0.125
        pair.master.turn()
        times += [pair.line.now - begun for _ in pair.line.take(pair.line.down)]
    pauses = [later - earlier for earlier, later in itertools.pairwise([0.0, *times])]
    assert pauses == [RESEND_S, 2.0, 4.0, LONGEST_RESEND_S, 8.0, 8.0, 8.0]
    pair.line.now += 8
    pair.master.turn()
    assert [received.kind for received in pair.carry()] == ["permit"]
    pair.line.now += 60
    pair.master.turn()
    assert pair.line.down == []


def test_a_lost_acknowledgement_makes_no_second_receipt(pair: Pair) -> None:
    post = pair.sent_up()
    assert pair.master.receive("a", post)
    pair.line.down.clear()
    pair.line.now += RESEND_S
    pair.worker.turn()
    assert pair.carry() == []
    assert pair.worker.unacknowledged == 0
    assert pair.reasons() == {"repeated": 1}


def test_order_does_not_matter(pair: Pair) -> None:
    for n in range(5):
        pair.worker.post("verdict", {"n": n})
    pair.line.up.reverse()
    assert [received.body["n"] for received in pair.carry()] == [4, 3, 2, 1, 0]
    assert pair.worker.unacknowledged == 0


def test_an_inbox_remembers_no_more_than_a_window() -> None:
    inbox = Inbox()
    for number in range(1, 10 * WINDOW):
        low = max(1, number - WINDOW + 1)
        assert inbox.take(number, low)
        assert not inbox.take(number, low)
        assert not inbox.take(low, low)
    assert not inbox.take(1, 1)
    assert len(inbox._come) == WINDOW  # noqa: SLF001 - that memory is bounded shows nowhere else


def test_no_more_than_a_window_is_on_its_way(pair: Pair) -> None:
    for n in range(WINDOW + 5):
        pair.worker.post("verdict", {"n": n})
    assert len(pair.line.up) == WINDOW
    pair.line.now += RESEND_S
    pair.worker.turn()
    assert len(pair.line.up) == 2 * WINDOW
    received = pair.carry()
    pair.worker.turn()
    received += pair.carry()
    assert [each.body["n"] for each in received] == list(range(WINDOW + 5))
    assert pair.worker.unacknowledged == 0


@pytest.mark.parametrize("name", ["type", "worker", "master", "direction", "number", "low", "kind", "body", "mac"])
def test_a_post_with_any_field_altered_is_not_taken(pair: Pair, name: str) -> None:
    ends: list[tuple[Message, Callable[[Message], Received | None]]] = [
        (pair.sent_up(), partial(pair.master.receive, "a")),
        (pair.sent_down(), pair.worker.receive),
    ]
    for message, receive in ends:
        for altered in alterations(message, name):
            assert receive(altered) is None, altered
        assert receive(message), "the message as it was"
        assert receive(message) is None
    assert pair.reasons().keys() <= {"malformed", "direction", "session", "mac", "repeated"}


@pytest.mark.parametrize("name", ["type", "worker", "master", "direction", "number", "mac"])
def test_an_acknowledgement_with_any_field_altered_is_not_taken(pair: Pair, name: str) -> None:
    pair.worker.post("verdict", {})
    pair.worker.post("verdict", {})
    for client, message in pair.line.take(pair.line.up):
        pair.master.receive(client, message)
    acks = [message for _, message in pair.line.take(pair.line.down)]
    for altered in alterations(acks[0], name):
        assert pair.worker.receive(altered) is None
    assert pair.worker.unacknowledged == 2
    for ack in acks:
        pair.worker.receive(ack)
    assert pair.worker.unacknowledged == 0


def alterations(message: Message, name: str) -> list[Message]:
    """The message with the field altered, of another type, and without it."""
    value = message[name]
    others: list[Any] = [None, True, 1.5, [], {}, b"x", "", "x" * 70, 0, -1, 1 << 63]
    if isinstance(value, int):
        others += [value + 1, str(value)]
    else:
        others += [
            value[:-1],
            value[:-1] + "é",
            value[:-1] + "\ud800",
            value[:-1] + ("0" if value[-1:] != "0" else "1"),
            1,
        ]
    others += {"direction": ["up", "down"], "type": ["hello", "welcome", "who", "ack", "post"]}.get(name, [])
    without = {each: value for each, value in message.items() if each != name}
    # the type too: True == 1, and is another
    altered = [{**message, name: other} for other in others if (type(other), other) != (type(value), value)]
    return [*altered, without, {**message, "more": 1}]


@pytest.mark.parametrize("name", ["type", "worker", "master", "challenge", "mac"])
def test_an_altered_hello_is_not_answered(line: Line, name: str) -> None:
    master, worker = line.master(), line.worker()
    worker.turn()
    ((_, hello),) = line.take(line.up)
    for altered in alterations(hello, name):
        master.receive("a", altered)
    assert line.down == []
    master.receive("a", hello)
    assert len(line.down) == 1


@pytest.mark.parametrize("name", ["type", "worker", "master", "challenge", "mac"])
def test_an_altered_welcome_opens_nothing(line: Line, name: str) -> None:
    master, worker = line.master(), line.worker()
    worker.turn()
    master.receive(*line.up.pop())
    ((_, welcome),) = line.take(line.down)
    for altered in alterations(welcome, name):
        worker.receive(altered)
    assert worker.sessions_opened == 0
    worker.receive(welcome)
    assert worker.sessions_opened == 1


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        7,
        "hello",
        b"hello",
        [],
        {},
        {"type": []},
        {"type": "hello"},
        {"type": "bye"},
        {1: 2, "type": "who"},
        {"type": "who", "worker": ""},
        {"type": {}, "worker": 1},
        {"type": "hello", "worker": "w" * 65, "master": "", "challenge": "c", "mac": "m"},
    ],
)
def test_garbage_is_counted_and_nothing_else(pair: Pair, garbage: Any) -> None:
    assert pair.master.receive("a", garbage) is None
    assert pair.worker.receive(garbage) is None
    assert pair.reasons() == pair.worker.rejected == {"malformed": 1}
    assert pair.line.up == pair.line.down == []


@pytest.mark.parametrize("client", [None, 7, b"a", ["a"], {}, "", "a" * 301])
def test_a_client_may_call_itself_anything(pair: Pair, client: Any) -> None:
    assert pair.master.receive(client, pair.sent_up()) is None
    assert sum(pair.master.rejected.popitem()[1].values()) == 1


def test_nothing_is_taken_back_by_who_sent_it(pair: Pair) -> None:
    up, down = pair.sent_up(), pair.sent_down()
    assert pair.worker.receive(up) is None
    assert pair.master.receive("a", down) is None
    assert pair.worker.receive({**up, "direction": "down"}) is None
    assert pair.worker.rejected == {"direction": 1, "mac": 1}
    pair.line.now += QUIET_S
    pair.worker.turn()
    ((_, hello),) = pair.line.take(pair.line.up)
    pair.worker.receive(hello)
    pair.master.receive("a", hello)
    ((_, welcome),) = pair.line.take(pair.line.down)
    pair.master.receive("a", welcome)
    assert pair.worker.rejected["direction"] == 2
    assert pair.reasons() == {"direction": 2}


@pytest.mark.parametrize(("of_master", "of_worker"), [(KEY, b"other"), (b"", KEY), (KEY, b"")])
def test_another_key_opens_nothing(line: Line, of_master: bytes, of_worker: bytes) -> None:
    master, worker = line.master(of_master), line.worker(key=of_worker)
    opened(line, master, worker)
    assert (worker.sessions_opened, master.sessions, dict(master.rejected["a"])) == (0, (), {"mac": 1})


def test_a_master_without_the_key_opens_nothing(line: Line) -> None:
    worker = line.worker()
    worker.turn()
    hello = line.up.pop()[1]
    answer = {"type": "welcome", "worker": hello["worker"], "master": "m", "challenge": hello["challenge"]}
    worker.receive(seal(b"guess", answer))
    assert (worker.sessions_opened, worker.rejected) == (0, {"mac": 1})


def test_both_may_do_without_a_key(line: Line) -> None:
    master, worker = line.master(b""), line.worker(key=b"")
    opened(line, master, worker)
    assert master.sessions == ("a",)


def test_what_one_worker_wrote_counts_for_no_other(line: Line) -> None:
    master, a, b = line.master(), line.worker("a"), line.worker("b")
    opened(line, master, a, "a")
    opened(line, master, b, "b")
    a.post("verdict", {"of": "a"})
    b.post("verdict", {"of": "b"})
    (_, of_a), (_, of_b) = line.take(line.up)
    assert master.receive("b", of_a) is None
    assert master.receive("b", {**of_a, "worker": of_b["worker"], "master": of_b["master"]}) is None
    assert dict(master.rejected["b"]) == {"session": 1, "mac": 1}
    assert master.post("a", "permit", {})
    ((_, permit),) = line.take(line.down)[-1:]
    assert b.receive(permit) is None
    assert b.rejected == {"session": 1}


def test_a_worker_that_is_given_another_name_receives_nothing_twice(pair: Pair) -> None:
    """Whoever sits between the two can do that, but no more than that, and no longer than it sits there."""
    permit = pair.sent_down()
    assert pair.worker.receive(permit)
    pair.line.up.clear()
    pair.line.now += QUIET_S
    pair.worker.turn()
    pair.master.receive("b", pair.line.up.pop()[1])
    pair.worker.receive(pair.line.down.pop()[1])
    assert pair.worker.sessions_opened == 2
    assert pair.master.receive("b", pair.sent_up())
    assert pair.master.sessions == ("b",)
    pair.line.down.clear()
    pair.line.now += QUIET_S
    pair.worker.turn()
    pair.carry()
    pair.worker.turn()
    assert [(received.client, received.first) for received in pair.carry()] == []
    pair.worker.post("join", {})
    assert [(received.client, received.first) for received in pair.carry()] == [("a", True)]
    assert (pair.worker.sessions_opened, pair.master.sessions) == (3, ("a",))
    assert pair.worker.receive(permit) is None


def test_a_worker_returns_to_no_session_that_it_has_left(pair: Pair) -> None:
    permit = pair.sent_down()
    assert pair.worker.receive(permit)
    pair.line.up.clear()
    pair.line.now += QUIET_S
    pair.worker.turn()
    pair.master.receive("b", pair.line.up.pop()[1])
    pair.worker.receive(pair.line.down.pop()[1])
    pair.line.now += QUIET_S
    pair.worker.turn()
    pair.carry()
    assert pair.worker.sessions_opened == 3
    assert pair.worker.receive(permit) is None


def test_a_hello_said_twice_or_late_finds_the_same_session(line: Line) -> None:
    master, worker = line.master(), line.worker()
    worker.turn()
    line.now += HELLO_S
    worker.turn()
    first, second = line.take(line.up)
    assert first == second
    for hello in (first, second):
        master.receive(*hello)
    welcomes = line.take(line.down)
    assert welcomes[0] == welcomes[1]
    for _, welcome in welcomes:
        worker.receive(welcome)
    worker.post("join", {})
    worker.post("verdict", {})
    line.up.append(first)
    assert [(received.kind, received.first) for received in line.carry(master, a=worker)] == [
        ("join", True),
        ("verdict", False),
    ]
    assert (worker.sessions_opened, worker.unacknowledged) == (1, 0)
    assert worker.rejected == {"session": 2}


def test_hello_is_said_no_more_often_than_it_may(line: Line) -> None:
    worker = line.worker()
    for _ in range(100):
        line.now += 0.1
        worker.turn()
    assert 5 <= len(line.up) <= 6


def test_a_replayed_hello_of_a_former_worker_does_not_disturb(pair: Pair) -> None:
    hello_of_old = FIRST_HELLO
    old_post = pair.sent_up()
    new = pair.line.worker()
    pair.worker = new
    opened(pair.line, pair.master, new)
    pair.master.receive("a", hello_of_old)
    assert pair.line.down.pop()[1]["type"] == "welcome"
    assert pair.master.receive("a", old_post) is None
    new.post("verdict", {})
    assert [received.first for received in pair.carry()] == [False]
    assert new.sessions_opened == 1


def test_a_post_of_a_worker_that_has_been_followed_is_too_late(line: Line) -> None:
    master, old, new = line.master(), line.worker(), line.worker()
    old.turn()
    line.carry(master, a=old)
    old.post("join", {"of": "old"})
    ((_, late),) = line.take(line.up)
    opened(line, master, new)
    assert master.receive("a", late) is None
    assert dict(master.rejected["a"]) == {"session": 1}


def test_a_new_master_is_told_all_that_the_old_one_did_not_acknowledge(pair: Pair) -> None:
    seen_by_old = pair.sent_up()
    assert pair.master.receive("a", seen_by_old)
    pair.line.down.clear()
    pair.sent_up("lost")
    pair.master = pair.line.master()
    assert pair.master.receive("a", seen_by_old) is None
    assert [message["type"] for _, message in pair.line.down] == ["who"]
    assert pair.carry() == []
    pair.line.now += HELLO_S
    pair.worker.turn()
    assert pair.carry() == []
    assert pair.worker.sessions_opened == 2
    pair.worker.post("join", {})
    pair.worker.turn()
    received = pair.carry()
    assert [each.kind for each in received] == ["join", "verdict", "lost"]
    assert [each.first for each in received] == [True, False, False]
    assert pair.worker.unacknowledged == 0


def test_a_forged_who_only_makes_the_worker_ask(pair: Pair) -> None:
    post = pair.sent_up()
    who = {"type": "who", "worker": post["worker"], "master": post["master"]}
    pair.line.now += HELLO_S
    for _ in range(50):
        pair.worker.receive(who)
        pair.worker.turn()
    types = [message["type"] for _, message in pair.line.up]
    assert types.count("hello") == 1
    pair.line.up.append(("a", post))
    assert [(received.kind, received.first) for received in pair.carry()] == [("verdict", False)]
    assert pair.worker.sessions_opened == 1
    pair.worker.receive({**who, "master": "another"})
    pair.line.now += HELLO_S
    pair.worker.turn()
    assert pair.line.up == []


def test_a_worker_asks_a_silent_master_and_keeps_its_posts(pair: Pair) -> None:
    pair.line.now += QUIET_S
    pair.worker.post("verdict", {})
    assert pair.line.up == []
    pair.worker.turn()
    assert [message["type"] for _, message in pair.line.up] == ["hello"]
    assert pair.carry() == []
    pair.worker.turn()
    assert [received.kind for received in pair.carry()] == ["verdict"]
    assert (pair.worker.sessions_opened, pair.worker.unacknowledged) == (1, 0)


@pytest.mark.parametrize("type_", ["post", "ack"])
def test_only_what_is_new_shows_that_the_master_lives(pair: Pair, type_: str) -> None:
    pair.line.now += QUIET_S - 1
    pair.master.post("a", "permit", {})
    pair.worker.post("verdict", {})
    pair.master.receive("a", pair.line.up.pop()[1])
    heard = next(message for _, message in pair.line.down if message["type"] == type_)
    pair.worker.receive(heard)
    for waited, said in ((QUIET_S - 1, []), (1.0, ["hello"])):
        pair.line.now += waited
        pair.worker.receive(heard)
        pair.line.up.clear()
        pair.worker.turn()
        assert [message["type"] for _, message in pair.line.up if message["type"] == "hello"] == said
    assert pair.worker.rejected == {"repeated": 2}


def test_an_old_welcome_brings_no_old_session_back(line: Line) -> None:
    old, worker = line.master(), line.worker()
    worker.turn()
    old.receive(*line.up.pop())
    welcome = line.down.pop()[1]
    worker.receive(welcome)
    line.now += QUIET_S
    new = line.master()
    opened(line, new, worker)
    assert worker.sessions_opened == 2
    worker.receive(welcome)
    assert worker.rejected == {"session": 1}
    assert worker.sessions_opened == 2


def test_a_forgotten_worker_opens_a_new_session_and_nothing_comes_twice(pair: Pair) -> None:
    pair.master.post("a", "permit", {"id": "old"})
    seen = pair.sent_up()
    assert pair.master.receive("a", seen)
    pair.line.down.clear()
    pair.master.forget("a")
    pair.line.now += RESEND_S
    pair.master.turn()
    assert (pair.line.down, pair.master.sessions) == ([], ())
    pair.worker.turn()
    pair.carry()
    pair.line.now += HELLO_S
    pair.worker.turn()
    pair.carry()
    pair.worker.turn()
    pair.worker.post("join", {})
    assert [(received.kind, received.first) for received in pair.carry()] == [("join", True)]
    assert pair.worker.unacknowledged == 0
    pair.master.post("a", "permit", {"id": "new"})
    assert [received.body for received in pair.carry()] == [{"id": "new"}]


@pytest.mark.parametrize(
    "make", [lambda pair: pair.worker.post, lambda pair: lambda *args: pair.master.post("a", *args)]
)
def test_what_is_too_long_is_refused_where_it_is_posted(pair: Pair, make: Callable[[Pair], Any]) -> None:
    post = make(pair)
    for kind, body in [("", {}), ("k" * 61, {}), ("k", {"x": "x" * LONGEST_BODY}), ("k", {"x": float("nan")})]:
        with pytest.raises(ValueError, match=r".+"):
            post(kind, body)
    with pytest.raises(TypeError):
        post("k", {"x": object()})
    assert pair.line.up == pair.line.down == []
    post("k", {"x": "x" * (LONGEST_BODY - len('{"x": ""}'))})
    assert len(pair.carry()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("body", "{"),
        ("body", "[]"),
        ("body", '"text"'),
        ("body", "[" * 100_000),
        ("body", " " * LONGEST_BODY + "{}"),
        ("number", WINDOW + 2),
        ("low", 3),
    ],
)
def test_what_even_a_holder_of_the_key_may_not_write(pair: Pair, name: str, value: str | int) -> None:
    post = pair.sent_up()
    key = pair.worker._session._key  # type: ignore[union-attr]  # noqa: SLF001 - it is open; nobody else has its key
    del post["mac"]
    assert post["low"] == post["number"] == 2
    assert pair.master.receive("a", seal(key, {**post, name: value})) is None
    assert pair.reasons() == {"malformed": 1}
    assert pair.line.down == []
    assert pair.master.receive("a", seal(key, post))


def test_a_flood_of_hellos_fills_no_memory_and_ends_no_session(pair: Pair) -> None:
    first = pair.line.worker("first")
    first.turn()
    pair.line.carry(pair.master, first=first)
    for number in range(3 * MOST_PENDING):
        pair.master.receive(
            f"flood-{number}", seal(KEY, {"type": "hello", "worker": f"w{number}", "master": "", "challenge": "c"})
        )
    pair.line.down.clear()
    assert len(pair.master._pending) == MOST_PENDING  # noqa: SLF001 - that memory is bounded shows nowhere else
    pair.worker.post("verdict", {})
    assert [received.first for received in pair.carry()] == [False]
    first.post("join", {})  # it was pushed out, so it asks again
    pair.line.carry(pair.master, first=first)
    pair.line.now += HELLO_S
    first.turn()
    pair.line.carry(pair.master, first=first)
    first.turn()
    assert [received.kind for received in pair.line.carry(pair.master, first=first)] == ["join"]
    assert pair.master.sessions == ("a", "first")


def test_of_workers_that_are_gone_only_so_many_are_remembered(line: Line) -> None:
    master, lasting = line.master(), line.worker("b")
    opened(line, master, lasting, "b")
    for number in range(MOST_REMEMBERED + 5):
        opened(line, master, line.worker())
        if number == MOST_REMEMBERED - 5:
            master.forget("b")
            lasting.post("verdict", {})
            line.carry(master, b=lasting)
            line.now += HELLO_S
            opened(line, master, lasting, "b")
    assert lasting._nonce in master._inboxes  # noqa: SLF001 - what is newest stays
    assert len(master._inboxes) == MOST_REMEMBERED  # noqa: SLF001 - that memory is bounded shows nowhere else
    assert (set(master.sessions), master._pending) == ({"a", "b"}, {})  # noqa: SLF001 - the same


def test_the_count_of_what_was_rejected_is_bounded_and_fit_to_print() -> None:
    master = Line().master()
    master.receive("evil\x1b[2J\n\u202e" + "x" * 100, {})
    (name,) = master.rejected
    assert name == "evil?[2J??" + "x" * 50
    assert len(name) == LONGEST_NAME
    for number in range(1000):
        master.receive(f"client-{number}", {})
        master.receive({"number": number}, {})
    assert len(master.rejected) <= MOST_NAMED
    assert sum(sum(reasons.values()) for reasons in master.rejected.values()) == 2001
    assert master.rejected[OTHERS]["malformed"] > 900


def test_a_message_outlives_a_round_trip_through_json(pair: Pair) -> None:
    pair.worker.post("verdict", {"text": "é\ud800\u2028\x00", "n": 10**300, "f": 0.1})
    ((_, message),) = pair.line.take(pair.line.up)
    received = pair.master.receive("a", json.loads(json.dumps(message)))
    assert received
    assert received.body == {"text": "é\ud800\u2028\x00", "n": 10**300, "f": 0.1}

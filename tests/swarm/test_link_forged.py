"""What either end of a link does not take: what is altered, forged, another's, too long or too much."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from probes.swarm.link import HELLO_S, LONGEST_NAME, MOST_NAMED, MOST_PENDING, MOST_REMEMBERED, OTHERS, QUIET_S
from probes.swarm.link_session import LONGEST_BODY, WINDOW, Received, seal
from tests.swarm.link_help import KEY, Line, Message, Pair, opened


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

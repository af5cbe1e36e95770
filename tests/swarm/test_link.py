"""What comes over a link, message by message: once, whatever was lost, late or doubled, and whoever is new."""

from __future__ import annotations

import itertools
import json

import pytest

from probes.swarm.link import HELLO_S, QUIET_S
from probes.swarm.link_session import LONGEST_RESEND_S, RESEND_S, WINDOW, Inbox, Received
from tests.swarm.link_help import FIRST_HELLO, Line, Message, Pair, opened


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


def known_as_b(pair: Pair) -> Message:
    """The worker is called `b` from now on; what it heard while it was `a`."""
    heard = pair.sent_down()
    assert pair.worker.receive(heard)
    pair.line.up.clear()
    pair.line.now += QUIET_S
    pair.worker.turn()
    pair.master.receive("b", pair.line.up.pop()[1])
    pair.worker.receive(pair.line.down.pop()[1])
    return heard


def test_a_worker_that_is_given_another_name_receives_nothing_twice(pair: Pair) -> None:
    """Whoever sits between the two can do that, but no more than that, and no longer than it sits there."""
    permit = known_as_b(pair)
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
    permit = known_as_b(pair)
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


def test_a_message_outlives_a_round_trip_through_json(pair: Pair) -> None:
    pair.worker.post("verdict", {"text": "é\ud800\u2028\x00", "n": 10**300, "f": 0.1})
    ((_, message),) = pair.line.take(pair.line.up)
    received = pair.master.receive("a", json.loads(json.dumps(message)))
    assert received
    assert received.body == {"text": "é\ud800\u2028\x00", "n": 10**300, "f": 0.1}

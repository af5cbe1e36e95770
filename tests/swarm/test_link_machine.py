"""A master and three workers by random histories, over a line on which everything happens that can.

Messages are lost, delayed, doubled, overtaken, altered, spliced, sealed with a guessed key, sent back, and sent again
much later or under another name; workers and the master are restarted, and workers given up. At the end the line heals.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from probes.swarm import link_session
from probes.swarm.link import HELLO_S, QUIET_S, MasterLinks, WorkerLink
from probes.swarm.link_session import LONGEST_RESEND_S, Inbox, Outbox, Post, Received, Session, seal

KEY = b"shared"
WORKERS = ("a", "b", "c")
STEP_S = 0.5
HEALED_S = QUIET_S + 2 * HELLO_S + 2 * LONGEST_RESEND_S

names = st.sampled_from(WORKERS)
anyone = st.sampled_from([*WORKERS, "stranger"])
which = st.integers(0, 999)  # of those that are there
fields = st.sampled_from(["type", "worker", "master", "challenge", "direction", "number", "low", "kind", "body", "mac"])
values = st.one_of(
    st.sampled_from(
        ["post", "ack", "hello", "welcome", "who", "up", "down", "{}", '{"n": 0}', "", 1, 2, 3, None, True]
    ),
    st.text(max_size=5),
)


@dataclass(frozen=True)
class Packet:
    """A message on the line, to the master from `client`, or the other way."""

    client: str
    up: bool
    message: Any


@dataclass(eq=False)
class Worker:
    """One life of a worker's process, and the sessions in which it has posted its join."""

    client: str
    link: WorkerLink
    joined: int = 0


@dataclass
class Posted:
    """What really was posted: by this life of a worker, or, where it is None, to `client` by a master."""

    client: str
    kind: str
    worker: Worker | None


@dataclass
class World:
    """The line, whose rumour keeps every message that ever was on it, and a clock."""

    now: float = 1000.0
    air: list[Packet] = field(default_factory=list)
    rumour: list[Packet] = field(default_factory=list)
    nonces: itertools.count[int] = field(default_factory=itertools.count)

    def clock(self) -> float:
        return self.now

    def nonce(self) -> str:
        return f"nonce-{next(self.nonces)}"

    def send(self, packet: Packet) -> None:
        self.air.append(packet)
        self.rumour.append(packet)


class LinkMachine(RuleBasedStateMachine):
    """Every post has a number `n` of its own in its body, by which it is known again."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.numbers = itertools.count(1)
        self.posted: dict[int, Posted] = {}
        self.received: set[int] = set()
        self.by_this_master: set[int] = set()
        self.renamed = False  # a hello was passed on under another name, and with luck its worker goes by that now
        self.holder: dict[str, Worker] = {}  # whose session the master has for a client
        self.owed: dict[int, Worker] = {}  # what the master has posted to a session that goes on
        self.master = self.new_master()
        self.workers = {name: self.new_worker(name) for name in WORKERS}

    def new_master(self) -> MasterLinks:
        world = self.world
        return MasterLinks(
            KEY, lambda name, message: world.send(Packet(name, up=False, message=message)), world.clock, world.nonce
        )

    def new_worker(self, name: str) -> Worker:
        world = self.world
        sends = lambda message: world.send(Packet(name, up=True, message=message))  # noqa: E731 - reads best by a name
        return Worker(name, WorkerLink(KEY, sends, world.clock, world.nonce))

    # --- what the holders of the key do

    @rule(name=names, kind=st.sampled_from(["verdict", "hello"]))
    def worker_posts(self, name: str, kind: str) -> None:
        worker, number = self.workers[name], next(self.numbers)
        self.posted[number] = Posted(name, kind, worker)
        worker.link.post(kind, {"n": number})

    @rule(name=names)
    def master_posts(self, name: str) -> None:
        number = next(self.numbers)
        self.posted[number] = Posted(name, "permit", None)
        if self.master.post(name, "permit", {"n": number}) and self.holder.get(name) is self.workers[name]:
            self.owed[number] = self.workers[name]

    @rule(seconds=st.sampled_from([STEP_S, 1.0, HELLO_S, 3.0, LONGEST_RESEND_S, QUIET_S]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds
        self.turn()

    def turn(self) -> None:
        self.master.turn()
        for worker in self.workers.values():
            worker.link.turn()

    @rule()
    def all_goes_well(self) -> None:
        """The usual course of things, so that histories get on."""
        for _ in range(3):
            self.world.now += STEP_S
            self.turn()
            self.deliver_all()

    @rule(name=names)
    def worker_restarts(self, name: str) -> None:
        self.owe_nothing_more(self.workers[name])
        self.workers[name] = self.new_worker(name)

    @rule()
    def master_restarts(self) -> None:
        self.owed.clear()
        self.holder.clear()
        self.by_this_master.clear()
        self.master = self.new_master()

    @rule(name=names)
    def worker_is_given_up(self, name: str) -> None:
        self.master.forget(name)
        if worker := self.holder.pop(name, None):
            self.owe_nothing_more(worker)

    def owe_nothing_more(self, worker: Worker) -> None:
        self.owed = {number: to for number, to in self.owed.items() if to is not worker}

    # --- what the line does

    def deliver_all(self) -> None:
        while self.world.air:
            self.arrive(self.world.air.pop(0))

    @precondition(lambda self: self.world.air)
    @rule(places=st.lists(which, min_size=1, max_size=5))
    def deliver(self, places: list[int]) -> None:
        for place in places[: len(self.world.air)]:
            self.arrive(self.world.air.pop(place % len(self.world.air)))

    @precondition(lambda self: self.world.air)
    @rule(places=st.lists(which, min_size=1, max_size=5))
    def lose(self, places: list[int]) -> None:
        for place in places[: len(self.world.air)]:
            del self.world.air[place % len(self.world.air)]

    @precondition(lambda self: self.world.air)
    @rule(place=which)
    def double(self, place: int) -> None:
        self.world.air.append(self.world.air[place % len(self.world.air)])

    # --- what strangers do

    @precondition(lambda self: self.world.rumour)
    @rule(place=which, client=anyone, up=st.booleans(), same_way=st.booleans())
    def replay(self, place: int, client: str, *, up: bool, same_way: bool) -> None:
        old = self.some_rumour(place)
        if same_way:
            client, up = old.client, old.up
        self.renamed |= up and client != old.client and old.message["type"] == "hello"
        self.arrive(Packet(client, up, old.message))

    @precondition(lambda self: self.world.rumour)
    @rule(place=which, name=fields, value=values)
    def alter(self, place: int, name: str, value: Any) -> None:
        old = self.some_rumour(place)
        self.arrive(Packet(old.client, old.up, {**old.message, name: value}))

    @precondition(lambda self: self.world.rumour)
    @rule(place=which, other=which, name=fields)
    def splice(self, place: int, other: int, name: str) -> None:
        old, message = self.some_rumour(place), self.some_rumour(other).message
        if name in old.message and name in message:
            # the same hello, said again with another challenge, is one field from the other
            self.arrive(Packet(old.client, old.up, {**old.message, name: message[name]}))

    @precondition(lambda self: self.world.rumour)
    @rule(place=which, key=st.sampled_from([b"", b"guess"]), number=st.integers(1, 9), up=st.booleans())
    def guess(self, place: int, key: bytes, number: int, *, up: bool) -> None:
        old = self.some_rumour(place)
        bare = {name: value for name, value in old.message.items() if name != "mac"}
        if {"worker", "master"} <= bare.keys():
            key = link_session.session_key(key, bare["worker"], bare["master"])
        changes: dict[str, Any] = {"number": number, "body": '{"n": 0}'}
        changes = {name: value for name, value in changes.items() if name in bare}
        self.arrive(Packet(old.client, up, seal(key, {**bare, **changes})))

    @rule(name=names, other=anyone)
    def pass_on(self, name: str, other: str) -> None:
        """Somebody sits between a worker and the master, and gives the worker another name."""
        self.renamed = True
        for _ in range(5):
            self.world.now += STEP_S
            self.turn()
            while self.world.air:
                packet = self.world.air.pop(0)
                named = {name: other} if packet.up else {name: other, other: name}
                self.arrive(replace(packet, client=named.get(packet.client, packet.client)))

    def some_rumour(self, place: int) -> Packet:
        """Late ones more often than early ones, as they are of more use."""
        return self.world.rumour[-1 - place % len(self.world.rumour)]

    # --- what must come of it

    def arrive(self, packet: Packet) -> None:
        if packet.up:
            if received := self.master.receive(packet.client, packet.message):
                self.master_received(received)
        elif worker := self.workers.get(packet.client):
            if received := worker.link.receive(packet.message):
                self.worker_received(worker, received)
            if worker.joined < worker.link.sessions_opened:
                worker.joined = worker.link.sessions_opened
                self.worker_posts(packet.client, "join")

    def master_received(self, received: Received) -> None:
        number = received.body["n"]
        posted = self.posted.get(number)
        assert posted, "received what nobody posted"
        assert posted.worker, "received what a master posted"
        assert posted.kind == received.kind
        assert posted.client == received.client or self.renamed, "received under another name"
        assert number not in self.by_this_master, "received twice"
        self.by_this_master.add(number)
        self.received.add(number)
        if received.first:
            for worker in (posted.worker, self.holder.get(received.client)):
                if worker:
                    self.owe_nothing_more(worker)
            self.holder[received.client] = posted.worker

    def worker_received(self, worker: Worker, received: Received) -> None:
        number = received.body["n"]
        posted = self.posted.get(number)
        assert posted, "received what nobody posted"
        assert posted.worker is None, "received what a worker posted"
        assert posted.kind == received.kind
        assert posted.client == worker.client or self.renamed, "received under another name"
        assert number not in self.received, "received twice"
        self.received.add(number)

    def teardown(self) -> None:
        """The line heals."""
        for _ in range(int(HEALED_S / STEP_S)):
            self.world.now += STEP_S
            self.turn()
            self.deliver_all()
        for number, posted in self.posted.items():
            if posted.worker is self.workers[posted.client] or number in self.owed:
                assert number in self.received, "never received"
        assert [worker.link.unacknowledged for worker in self.workers.values()] == [0, 0, 0]
        assert set(self.master.sessions) >= set(WORKERS), "without a session"
        self.world.now += LONGEST_RESEND_S
        self.turn()
        assert not [packet for packet in self.world.air if packet.message["type"] == "post"], "never acknowledged"


SETTINGS = settings(
    max_examples=250,
    stateful_step_count=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def test_all_that_is_posted_is_received_once_and_nothing_else() -> None:
    run_state_machine_as_test(LinkMachine, settings=SETTINGS)


def takes_all(_inbox: Inbox, _number: int, _low: int) -> bool:
    """Wrong: what is sent again is received again."""
    return True


def trusts_all(_key: bytes, _message: Mapping[str, Any]) -> None:
    """Wrong: whoever can write is believed."""


def takes_its_own(session: Session, message: Mapping[str, Any]) -> None:
    """Wrong: what this side has written is taken for the other's."""
    link_session.verify(session._key, message)  # noqa: SLF001 - what is right, but for one line


def says_once(_outbox: Outbox, post: Post) -> None:
    """Wrong: nothing is said twice."""
    post.due_at = math.inf


def forgets_all(master: MasterLinks, client: str) -> None:
    """Wrong: of a worker that was given up, nothing is remembered."""
    master._sessions.pop(client, None)  # noqa: SLF001 - what is right, but for one line
    master._inboxes.clear()  # noqa: SLF001 - the line


def trusts_old_welcomes(worker: WorkerLink, message: Mapping[str, Any]) -> None:
    """Wrong: a welcome need not be for the latest challenge."""
    worker._challenge = message["challenge"]  # noqa: SLF001 - so that any is right
    welcomed(worker, message)


def hears_for_ever(_worker: WorkerLink, _session: Session) -> bool:
    """Wrong: a silent master is there."""
    return False


welcomed = WorkerLink._welcomed  # noqa: SLF001 - to call it where it is patched


@pytest.mark.parametrize(
    ("where", "name", "wrong", "seen"),
    [
        (Inbox, "take", takes_all, "received twice"),
        (link_session, "verify", trusts_all, "received"),
        (Session, "verify", takes_its_own, "received what a (worker|master) posted"),
    ],
)
def test_the_search_finds_a_wrong_link(where: Any, name: str, wrong: Callable[..., Any], seen: str) -> None:
    search = settings(
        SETTINGS, max_examples=1000, derandomize=True, database=None, phases=[Phase.generate], print_blob=False
    )
    with mock.patch.object(where, name, wrong), pytest.raises(AssertionError, match=seen):
        run_state_machine_as_test(LinkMachine, settings=search)


def lost_post(machine: LinkMachine) -> None:
    machine.all_goes_well()
    machine.worker_posts("a", "verdict")
    machine.lose([0])


def lost_acknowledgement_and_worker(machine: LinkMachine) -> None:
    machine.all_goes_well()
    machine.worker_posts("a", "verdict")
    machine.deliver([0])
    machine.lose([0])
    machine.worker_is_given_up("a")


def old_session(machine: LinkMachine) -> None:
    machine.all_goes_well()
    machine.master_posts("a")
    machine.all_goes_well()
    machine.master_restarts()
    machine.time_passes(QUIET_S)
    machine.all_goes_well()
    for type_ in ("welcome", "post"):
        sent = (packet for packet in machine.world.rumour if packet.client == "a" and not packet.up)
        machine.arrive(next(packet for packet in sent if packet.message["type"] == type_))


def idle_at_restart(machine: LinkMachine) -> None:
    machine.all_goes_well()
    machine.master_restarts()


@pytest.mark.parametrize(
    ("where", "name", "wrong", "history", "seen"),
    [
        (Outbox, "sent", says_once, lost_post, "never received"),
        (MasterLinks, "forget", forgets_all, lost_acknowledgement_and_worker, "received twice"),
        (WorkerLink, "_welcomed", trusts_old_welcomes, old_session, "received twice"),
        (WorkerLink, "_quiet", hears_for_ever, idle_at_restart, "without a session"),
    ],
)
def test_the_machine_judges(
    where: Any, name: str, wrong: Callable[..., Any], history: Callable[[LinkMachine], None], seen: str
) -> None:
    with mock.patch.object(where, name, wrong), pytest.raises(AssertionError, match=seen):
        run(history)
    run(history)


def run(history: Callable[[LinkMachine], None]) -> None:
    machine = LinkMachine()
    history(machine)
    machine.teardown()

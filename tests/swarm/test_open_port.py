"""Of what comes to Locust's port before a worker has joined, only what no worker sends is held against anybody."""

from __future__ import annotations

import json
import subprocess
import sys

CHILD = """
import json
from locust.rpc.protocol import Message
from locust.runners import MasterRunner
from probes.swarm.open_port import guard_master

taken, rejected, members = [], [], set()
MasterRunner.handle_message = lambda runner, client, message: taken.append(message.type)
guard_master(members.__contains__, lambda client, reason: rejected.append(reason))
runner = object.__new__(MasterRunner)
for kind, joins in (("stats", False), ("locustfile", True), ("stats", False)):
    runner.handle_message("one", Message(kind, {}, "one"))
    print(json.dumps([taken, rejected]))
    if joins:
        members.add("one")
"""


def test_the_statistics_that_a_worker_sends_before_it_has_joined_are_passed_over() -> None:
    """In a process of its own, as Locust patches the one that imports it."""
    ended = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, timeout=60)
    early, strange, joined = (json.loads(line) for line in ended.stdout.splitlines())
    assert early == [[], []]
    assert strange == [[], ["kind"]]
    assert joined == [["stats"], ["kind"]]

"""What a fleet's processes and the web UI find in their environment and on their command line, right or not."""

from __future__ import annotations

import os
from argparse import Namespace

import pytest

from probes.errors import ConfigError
from probes.swarm.board import Snapshot
from probes.swarm.fleet import SHORTEST_KEY, fleet_key
from probes.swarm.status import Status, serve_status
from probes.swarm.web_door import PASSWORD_VARIABLE, USER_VARIABLE, door_of

NOT_UTF8 = os.fsdecode(b"\xff" * SHORTEST_KEY)
"""As Python finds it in the environment."""


def test_a_key_may_be_of_any_bytes() -> None:
    assert fleet_key({"SMOKEPROBE_FLEET_KEY": NOT_UTF8}) == b"\xff" * SHORTEST_KEY


@pytest.mark.parametrize("variable", [PASSWORD_VARIABLE, USER_VARIABLE])
def test_what_no_browser_can_send_opens_no_door(variable: str) -> None:
    parsed = Namespace(headless=False, worker=False, web_login=True, web_host="", tls_cert="", tls_key="")
    with pytest.raises(ConfigError, match=rf"{variable} is no text in UTF-8\."):
        door_of(parsed, {PASSWORD_VARIABLE: "correct horse battery", variable: NOT_UTF8})


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_there_is_not_is_said(port: int) -> None:
    def snapshot() -> Snapshot:
        raise AssertionError

    with pytest.raises(ConfigError, match=rf"--status-port {port}: cannot listen"):
        serve_status(Status(snapshot, lambda: 0.0), "127.0.0.1", port)

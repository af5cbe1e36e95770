"""The addresses that the browser is given."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from probes.clients.resolve import Addresses, resolve
from probes.safety.guard import Guard, GuardRules

HOSTS = ("a.example:80", "b.example:80")
RULES = GuardRules("http://site.example:80", HOSTS, (), (), (), private=False)


def test_hosts_are_looked_up_at_once_so_that_their_waits_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    all_asked = threading.Barrier(3)

    def look_up(*_args: Any, **_kwargs: Any) -> list[Any]:
        all_asked.wait(10)  # breaks where one is asked after the other
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    found = asyncio.run(resolve(Guard(RULES), Addresses()))
    assert set(found.reachable) == {"site.example", "a.example", "b.example"}


def test_one_host_that_leads_where_it_must_not_does_not_keep_the_others_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look_up(host: str, *_args: Any, **_kwargs: Any) -> list[Any]:
        if host == "b.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        address = "10.0.0.1" if host == "a.example" else "93.184.215.14"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    found = asyncio.run(resolve(Guard(RULES), Addresses()))
    assert found.reachable == {"site.example": "93.184.215.14"}
    assert list(found.refused) == ["a.example"]

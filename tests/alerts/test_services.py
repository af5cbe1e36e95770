"""Slack, PagerDuty and Opsgenie: what they get, and what comes of one that does not take it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes.alerts.channels import Ways, make_channel
from probes.alerts.notice import Channel, NotTakenError
from probes.errors import ConfigError
from tests.alerts.mail_server import mail_server
from tests.alerts.notices import FIRING, REMINDER, RESOLVED, SUCCESS, channels
from tests.alerts.pager_servers import GENIE_KEY, ROUTING_KEY, TOKEN, WEBHOOK, PagerServer, pager_server

ALL = ("slack:#alerts", "slack:#hooked", "pagerduty:primary", "opsgenie:ops")


@pytest.fixture
def server() -> Iterator[PagerServer]:
    with pager_server() as server:
        yield server


def environ(server: PagerServer) -> Mapping[str, str]:
    return {
        "SLACK": TOKEN, "HOOK": f"{server.url}{WEBHOOK}", "DUTY": ROUTING_KEY, "GENIE": GENIE_KEY,
    }  # fmt: skip


def ways(server: PagerServer) -> dict[str, Any]:
    """What `channels.yaml` says of them."""
    return {
        "slack": {"token": {"env": "SLACK"}, "url": f"{server.url}/api", "webhooks": {"hooked": {"env": "HOOK"}}},
        "pagerduty": {"primary": {"key": {"env": "DUTY"}, "url": server.url}},
        "opsgenie": {"ops": {"key": {"env": "GENIE"}, "url": server.url}},
    }


def channel(folder: Path, server: PagerServer, address: str, **environment: str) -> Channel:
    return make_channel(address, channels(folder, **ways(server)), {**environ(server), **environment})


def refused(way: Channel) -> NotTakenError:
    with pytest.raises(NotTakenError) as raised:
        way.send(FIRING)
    said = str(raised.value)
    assert not [
        secret for secret in (TOKEN, WEBHOOK, ROUTING_KEY, GENIE_KEY, "secret-in", "127.0.0.1") if secret in said
    ]
    return raised.value


def test_a_bot_answers_in_the_thread_of_an_incident_and_shows_its_end_to_all(
    tmp_path: Path, server: PagerServer
) -> None:
    bot = channel(tmp_path, server, "slack:#alerts")
    worse = replace(REMINDER, change="worse")
    for notice in (FIRING, REMINDER, replace(FIRING, key="another"), worse, RESOLVED):
        bot.send(notice)
    assert server.complaints == []
    first, reminder, other, worse_said, over = server.slack
    assert first["channel"] == "#alerts"
    assert first["text"] == "CRITICAL success 0.42: api, health - production"
    assert "thread_ts" not in first
    assert "thread_ts" not in other
    assert (reminder["thread_ts"], reminder["reply_broadcast"]) == (server.given[0], False)
    assert (worse_said["thread_ts"], worse_said["reply_broadcast"]) == (server.given[0], True)
    assert (over["thread_ts"], over["reply_broadcast"]) == (server.given[0], True)
    sections = [block["text"]["text"] for block in first["blocks"]]
    assert "What to do: <https://docs.example.com/guide.md#success|response guide>" in sections[2]


def test_a_master_goes_on_in_a_thread_and_takes_a_new_token(tmp_path: Path, server: PagerServer) -> None:
    environment = {**environ(server)}
    way_to = Ways(channels(tmp_path, **ways(server)), environment, ["slack:#alerts"])
    for notice in (FIRING, REMINDER):
        way_to("slack:#alerts").send(notice)
    assert [said.get("thread_ts") for said in server.slack] == [None, server.given[0]]
    environment["SLACK"] = "xoxb-0"
    with pytest.raises(NotTakenError, match="Slack says invalid_auth"):
        way_to("slack:#alerts").send(REMINDER)


def test_an_address_that_was_given_up_is_not_waited_for(tmp_path: Path, server: PagerServer) -> None:
    way_to = Ways(channels(tmp_path, **ways(server)), environ(server), ["opsgenie:missing", "slack:#alerts"])
    with pytest.raises(NotTakenError, match="no rule names it any more") as given_up:
        way_to("pagerduty:former")
    assert given_up.value.for_good
    with pytest.raises(ConfigError, match=r"says nothing of opsgenie\.missing"):
        way_to("opsgenie:missing")  # that is still to be mended
    assert way_to("slack:#hooked").address == "slack:#hooked"  # who can still be reached hears of the end


def test_a_pager_that_does_not_know_its_key_is_tried_again_when_people_may_have_mended_it(
    tmp_path: Path, server: PagerServer
) -> None:
    found = refused(channel(tmp_path, server, "pagerduty:primary", DUTY="another"))
    assert (found.for_good, found.after_s) == (False, 60.0)
    assert "is the environment variable DUTY right?" in str(found)


def test_a_thread_that_is_gone_is_begun_anew(tmp_path: Path, server: PagerServer) -> None:
    bot = channel(tmp_path, server, "slack:#alerts")
    bot.send(FIRING)
    server.given.clear()
    with pytest.raises(NotTakenError, match="Slack says thread_not_found"):
        bot.send(REMINDER)
    bot.send(REMINDER)
    assert "thread_ts" not in server.slack[-1]


def test_nobody_is_mentioned_by_what_a_target_says(tmp_path: Path, server: PagerServer) -> None:
    channel(tmp_path, server, "slack:#hooked").send(replace(FIRING, target="<!channel> & <https://evil.example|x>"))
    assert server.complaints == []
    said = str(server.slack[0]["blocks"])
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|x&gt;" in said
    assert "<!channel>" not in said
    # nor by what Slack would make of plain text: @here, #general, or a URL
    assert all(block["text"]["verbatim"] for block in server.slack[0]["blocks"][1:])


def test_what_is_too_much_for_slack_is_left_out(tmp_path: Path, server: PagerServer) -> None:
    checks = tuple(replace(SUCCESS.checks[0], check=f"c{n}", reason="&" * 300) for n in range(9))
    troubles = tuple(replace(SUCCESS, rule=f"r{n}", expected="<" * 300, checks=checks) for n in range(9))
    channel(tmp_path, server, "slack:#alerts").send(replace(FIRING, troubles=troubles))
    assert server.complaints == []


def test_a_pager_is_triggered_and_resolved_under_one_key(tmp_path: Path, server: PagerServer) -> None:
    pager = channel(tmp_path, server, "pagerduty:primary")
    for notice in (FIRING, REMINDER, RESOLVED):
        pager.send(notice)
    assert server.complaints == []
    assert [event["event_action"] for event in server.pagerduty] == ["trigger", "trigger", "resolve"]
    assert {event["dedup_key"] for event in server.pagerduty} == {FIRING.key}
    payload = server.pagerduty[0]["payload"]
    assert (payload["severity"], payload["source"]) == ("critical", "https://betterprompts.com")
    assert [link["text"] for link in server.pagerduty[0]["links"]] == ["Response guide", "Trace", "Run"]


def test_opsgenie_creates_and_closes_under_one_alias(tmp_path: Path, server: PagerServer) -> None:
    pager = channel(tmp_path, server, "opsgenie:ops")
    for notice in (FIRING, REMINDER, RESOLVED):
        pager.send(notice)
    assert server.complaints == []
    assert [(what, body["alias"]) for what, body in server.opsgenie] == [
        ("create", FIRING.key), ("create", FIRING.key), ("close", FIRING.key),
    ]  # fmt: skip
    assert server.opsgenie[0][1]["priority"] == "P1"


@pytest.mark.parametrize("address", ALL)
@pytest.mark.parametrize(
    ("mode", "why", "then"),
    [
        (400, "HTTP 400: it cannot read what was sent", (True, None)),
        (403, "HTTP 403: it does not know us: is the environment variable", (False, 60.0)),
        (429, "HTTP 429: it asks to be left alone", (False, 42.0)),
        (503, "HTTP 503: it takes nothing now", (False, None)),
        ("moved", "HTTP 302: it takes nothing now", (False, None)),
        ("cut", "no connection, or it was cut off", (False, None)),
    ],
)
def test_a_service_that_does_not_take_it(
    tmp_path: Path, server: PagerServer, address: str, mode: str | int, why: str, then: tuple[bool, float | None]
) -> None:
    server.mode = mode
    problem = refused(channel(tmp_path, server, address))
    assert str(problem).startswith(why)
    assert (problem.for_good, problem.after_s) == then
    assert (server.requests, server.complaints) == (1, [])  # a redirect is not followed


@pytest.mark.parametrize("address", ALL)
@pytest.mark.parametrize("mode", ["hang", "drip", "drip head"])
def test_a_service_that_never_ends_is_left(
    tmp_path: Path, server: PagerServer, address: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probes.alerts.taking.TAKES_S", 0.6)
    server.mode = mode
    begun = time.monotonic()
    refused(channel(tmp_path, server, address))
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("address", ["slack:#alerts", "slack:#hooked"])
def test_a_hotel_s_network_is_not_slack(tmp_path: Path, server: PagerServer, address: str) -> None:
    server.mode = "garbage"
    assert str(refused(channel(tmp_path, server, address))) == "its answer is not Slack's: is something in between?"


@pytest.mark.parametrize(
    ("error", "for_good", "after_s"),
    [
        ("channel_not_found", False, 60.0), ("not_in_channel", False, 60.0), ("ratelimited", False, None),
        ("msg_too_long", True, None),
    ],
)  # fmt: skip
def test_slack_says_that_it_is_not_ok(
    tmp_path: Path, server: PagerServer, error: str, for_good: bool, after_s: float | None
) -> None:
    server.mode = error
    problem = refused(channel(tmp_path, server, "slack:#alerts"))
    assert (str(problem), problem.for_good, problem.after_s) == (f"Slack says {error}", for_good, after_s)


def test_an_error_that_is_a_text_is_not_repeated(tmp_path: Path, server: PagerServer) -> None:
    server.mode = "Token xoxb-1 is bad"
    assert str(refused(channel(tmp_path, server, "slack:#alerts"))) == "Slack says an error without a name"


@pytest.mark.parametrize(
    ("address", "variable", "why"),
    [
        ("slack:#alerts", "SLACK", "Slack says invalid_auth"),
        ("opsgenie:ops", "GENIE", "HTTP 401: it does not know us: is the environment variable GENIE right?"),
        (
            "pagerduty:primary",
            "DUTY",
            "HTTP 400: it does not know its routing key: is the environment variable DUTY right?",
        ),
    ],
)
def test_a_wrong_key(tmp_path: Path, server: PagerServer, address: str, variable: str, why: str) -> None:
    assert str(refused(channel(tmp_path, server, address, **{variable: "0" * 32}))) == why


def test_a_service_that_is_gone(tmp_path: Path) -> None:
    with pager_server() as gone:
        pass
    for address in ALL:
        assert str(refused(channel(tmp_path, gone, address))) == "no connection, or it was cut off"


@pytest.mark.release
@pytest.mark.parametrize("mode", ["up", "hang", "drip", "drip head"])
def test_under_gevent_all_are_told_at_once_within_ten_seconds_and_nobody_is_held_up(
    tmp_path: Path, server: PagerServer, mode: str
) -> None:
    with mail_server("none", None, login=False) as mail:
        mail.mode = "up" if mode == "up" else "drip" if mode == "drip" else "hang"
        server.mode = mode
        post = {"host": "127.0.0.1", "port": mail.port, "security": "none", "from": "probe@example.com"}
        channels(tmp_path, **ways(server), mail=post)
        command = [sys.executable, "-m", "tests.alerts.gevent_child", str(tmp_path / "channels.yaml"), *ALL]
        done = subprocess.run(
            [*command, "oncall@example.com"], input=json.dumps(environ(server)), capture_output=True, text=True,
            check=True, timeout=60,
        )  # fmt: skip
    found = json.loads(done.stdout)
    assert len(found["sent"]) == 5
    for address, (said, seconds) in found["sent"].items():
        assert (said == "taken") == (mode == "up"), f"{address}: {said}"
        assert seconds < 10, address
    assert found["still_s"] < 2

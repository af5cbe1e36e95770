"""By which way whom: the file with every mistake at once, what is reached, and that no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.config.channels import FILE, Channels, load_channels, unreached
from probes.config.load import shipped
from probes.errors import ConfigError

BAD = Path(__file__).with_name("bad-channels.yaml")
NO_SECRET = "a secret is never written here: write { env: VARIABLE } or { file: PATH }"


def test_every_mistake_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        load_channels(BAD)
    assert [problem.removeprefix(f"{BAD}:") for problem in raised.value.problems] == [
        "1: trace_url: must have {trace_id} once where the trace's id goes, and no other braces",
        "2: guide_url: must end before the #: the section is put there",
        "3: heartbeat: a secret is never written here: write { env: VARIABLE } or { file: PATH }",
        "5: mail.host: 'smtp.example.com:587' is no host: write smtp.example.com; the port stands by itself",
        "6: mail.port: must be greater than or equal to 1",
        "7: mail.security: none is for a server on this machine only: others can read what goes there",
        "8: mail.from: 'smokeprobe' is no e-mail address: write name@example.com",
        "9: mail.pasword: unknown key; did you mean password?",
        "11: slack.token: a secret is never written here: write { env: VARIABLE } or { file: PATH }",
        "12: slack.webhooks.#alerts: '#alerts' is no channel of Slack: write alerts, without the #",
        (
            "12: slack.webhooks.team: env: names an environment variable, in capital letters; the secret "
            "itself stands there"
        ),
        "13: slack.url: a secret goes there, so over https only",
        "15: pagerduty.Primary: 'Primary' is not a name: small letters, digits, - and _, at most 40",
        "16: pagerduty.other.key: a secret names either env: VARIABLE or file: PATH",
        "16: pagerduty.other.region: must be 'us' or 'eu'",
        "17: pagerduty.third.key: is missing",
        "17: pagerduty.third.url: has no user or password in it: secrets belong in the environment",
        "19: opsgenie.ops.key: file: names a file",
        "19: opsgenie.ops.url: 'ftp://example.com' is no link: write https://host/path, without blanks",
        "21: apprise.teams.url: a secret is never written here: write { env: VARIABLE } or { file: PATH }",
        "22: sms: unknown key",
    ]
    assert not [secret for secret in ("hunter2", "xoxb-1234", "msteams", "hc-ping") if secret in str(raised.value)]


def test_without_a_file_nobody_is_reached(tmp_path: Path) -> None:
    assert unreached(load_channels(tmp_path / FILE), ["a@example.com"]) == {
        "a@example.com": "a@example.com cannot be reached: channels.yaml says nothing of mail."
    }


def test_those_whom_the_shipped_rules_tell_are_reached_by_the_shipped_channels() -> None:
    channels = load_channels(shipped("config") / FILE)
    told = ["oncall@betterprompts.com", "team@betterprompts.com", "slack:#alerts"]
    assert unreached(channels, told) == {}
    assert unreached(channels, told, {"SMOKEPROBE_SMTP_PASSWORD": "x"}) == {
        "slack:#alerts": "slack:#alerts cannot be reached: the environment variable SMOKEPROBE_SLACK_TOKEN, which "
        "channels.yaml names for slack.token, is empty."
    }


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("slack:#alerts", "slack.webhooks.alerts"),
        ("slack:#team", "slack.token"),
        ("pagerduty:primary", "pagerduty.primary.key"),
        ("opsgenie:ops", "opsgenie.ops.key"),
        ("apprise:teams", "apprise.teams.url"),
    ],
)
def test_the_way_to_an_address(address: str, key: str) -> None:
    assert everything().way_to(address)[0] == key


def test_of_a_slack_channel_without_a_way_both_ways_are_named() -> None:
    only = Channels.model_validate({"slack": {"webhooks": {"alerts": {"env": "HOOK"}}}})
    with pytest.raises(ConfigError, match=r"says nothing of slack\.webhooks\.alert, nor of slack\.token"):
        only.way_to("slack:#alert")


@pytest.mark.parametrize("address", ["pagerduty:ops", "slack:alerts", "", "a@example.com", "apprise:Teams"])
def test_there_is_no_way(address: str) -> None:
    with pytest.raises(ConfigError):
        everything().way_to(address)


def test_the_secrets_are_known_in_all_their_parts() -> None:
    environ = {
        "S": "xoxb-token", "W": "https://hooks.example.com/services/T1/B1/XXXX", "P": "p" * 32, "O": "o" * 32,
        "A": "tgram://123456789:abcdefghij/-100", "SMOKEPROBE_HEARTBEAT_URL": "https://hc.example.com/ping/uuid-uuid",
    }  # fmt: skip
    assert set(everything().secrets(environ)) >= {
        "xoxb-token", environ["W"], "/services/T1/B1/XXXX", "p" * 32, "o" * 32, environ["A"], "123456789:abcdefghij",
        "/ping/uuid-uuid",
    }  # fmt: skip


def everything() -> Channels:
    return Channels.model_validate(
        {
            "slack": {"token": {"env": "S"}, "webhooks": {"alerts": {"env": "W"}}},
            "pagerduty": {"primary": {"key": {"env": "P"}}},
            "opsgenie": {"ops": {"key": {"env": "O"}, "region": "eu"}},
            "apprise": {"teams": {"url": {"env": "A"}}},
        }
    )

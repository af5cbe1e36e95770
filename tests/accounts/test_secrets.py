"""Secrets from the environment and from files: taken as they were meant, or refused without being repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from probes.accounts.secrets import edge_header
from probes.checks.probe import AccountSecrets
from probes.checks.registry import load_settings
from probes.config.load import Source
from probes.config.models import SecretSource, Settings
from probes.config.secrets import read_secret
from probes.errors import ConfigError

ENDINGS = ["", "\n", "\r\n", "\n\n", "\r"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_of_its_line_is_no_part_of_a_secret(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(f" hunter2 {ending}".encode())
    for source in (SecretSource(file=str(file)), SecretSource(env="A_SECRET")):
        secret = read_secret(source, {"A_SECRET": f" hunter2 {ending}"})
        assert secret is not None
        assert secret.get_secret_value() == " hunter2 "
        assert str(secret) == "**********"
        assert "hunter2" not in repr(secret)


def test_what_logs_an_account_in_prints_as_its_alias() -> None:
    secrets = AccountSecrets("basic", "someone@example.com", "hunter2", "JBSWY3DPEHPK3PXP")
    assert repr(secrets) == str(secrets) == "AccountSecrets(alias='basic')"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_secret_of_line_ends_alone_is_missing(ending: str) -> None:
    assert read_secret(SecretSource(env="A_SECRET"), {"A_SECRET": ending}) is None


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    header = {"name": "X-Edge", "value": {"env": "EDGE_SECRET"}}
    data = {
        "env": "test",
        "target": {"url": "https://example.com"},
        "credentials": {"hosts": ["example.com"], "edge_header": header},
        "checks": {"page": {"kind": "http", "requests": {"page": {"path": "/"}}}},
    }
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(data))
    return load_settings(Source(path))


@pytest.mark.parametrize("value", ["abc", "a b=c;d", "hünter2", "x", "abc\n"])
def test_what_a_header_can_hold(settings: Settings, value: str) -> None:
    assert edge_header(settings, {"EDGE_SECRET": value}) == ("X-Edge", value.rstrip("\n"))


@pytest.mark.parametrize(
    "value",
    [
        "hunter2\nX-Other: y",
        "hunter2\r\nX-Other: y",
        "hunter2\0",
        "hun\tter2",
        "hunter2\x7f",
        "hunter2\x85",
        "hunter2 ",
        " hunter2",
        "\xa0hunter2",
        "hunter2 \n",
        "hunter2→",
        "hunter2\udcff",  # a byte of the environment that is not UTF-8
    ],
)
def test_what_no_header_can_hold_is_refused_and_not_repeated(settings: Settings, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        edge_header(settings, {"EDGE_SECRET": value})
    assert str(refused.value) == (
        "The environment variable EDGE_SECRET is not the edge's header X-Edge: a header's value has no control "
        "characters, none beyond Latin-1, and no blanks at its ends."
    )
    assert refused.value.__suppress_context__ or refused.value.__context__ is None

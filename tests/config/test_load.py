"""From a file to settings: what is put right by default, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from probes.checks.registry import kinds_for
from probes.config.load import Source, config_path, environments, load, shipped
from probes.config.mistakes import NO_SECRET_HERE
from probes.config.models import Settings
from probes.errors import ConfigError
from tests.config.sample import GOOD, LOGIN, read, write

BAD = Path(__file__).parent / "bad"
EXPECTED = "# expected:"


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return [line.replace(f"{folder}/config.yaml", "config") for line in caught.value.problems]


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_bad_configurations_are_refused_with_exactly_these_words(path: Path) -> None:
    """Each file of the folder says at its end what is wrong with it, as `# expected: LINE: message`."""
    wanted = [
        line.removeprefix(EXPECTED).strip() for line in path.read_text().splitlines() if line.startswith(EXPECTED)
    ]
    assert wanted
    with pytest.raises(ConfigError) as caught:
        load(Source(path), kinds_for)
    assert [line.removeprefix(f"{path}:") for line in caught.value.problems] == wanted
    count = "one mistake" if len(wanted) == 1 else f"{len(wanted)} mistakes"
    assert caught.value.message == f"{path} has {count}:"


def test_every_extension_of_the_folder_is_tried() -> None:
    assert len(list(BAD.glob("*.yaml"))) == len(list(BAD.iterdir()))


def test_a_small_configuration_is_filled_up(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    assert (settings.env, settings.target.url, settings.run.timeout, settings.run.attempts) == (
        "here",
        "https://example.com",
        30.0,
        3,
    )
    front = settings.checks["front"]
    assert (front.timeout, front.every, settings.attempts(front), settings.every(front)) == (6.0, 300.0, 3, 300.0)
    (limit,) = settings.rate_limits
    assert (limit.name, limit.requests, limit.window_s, limit.key) == ("site", 100, 60.0, "ip")


def test_what_is_loaded_cannot_be_changed(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    with pytest.raises(ValidationError, match="frozen"):
        settings.__setattr__("env", "other")


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://Example.COM/", "https://example.com"),
        ("HTTPS://example.com:443", "https://example.com"),
        ("http://example.com.:8080", "http://example.com:8080"),
        ("http://[::1]:8089", "http://[::1]:8089"),
    ],
)
def test_a_target_is_kept_in_its_one_plain_spelling(tmp_path: Path, written: str, origin: str) -> None:
    assert read(tmp_path, GOOD.replace("https://example.com", f'"{written}"')).target.url == origin


def test_no_value_of_the_file_is_in_a_message_of_pydantic() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(
            {"env": ["hunter2"], "credentials": "hunter2", "checks": {"a": 1}, "target": {"url": "https://a"}}
        )
    assert "hunter2" not in str(caught.value)


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "line",
    [
        f"password: {SECRET}",
        f"password: [{SECRET}]",
        f"password: {{{SECRET}}}",
        f"password: {{{SECRET}: 1}}",
        f"password: {{env: {SECRET}}}",
        f"password: {{env: [{SECRET}]}}",
        f"password: {{env: A, file: {SECRET}}}",
        f"password: {{value: {SECRET}}}",
        f"password: {{env: A, value: {SECRET}}}",
        f"password: !secret {SECRET}",
        f"password: *{SECRET}",
        f"password: {{env: A}}, totp: {SECRET}",
        f"password: {{env: A}}, totp: {{seed: {SECRET}}}",
        f"password: {{env: A}}, password: {SECRET}",
        f"password: {{env: A}}, token: {SECRET}",
        f"password: {{env: A}}, user: [{SECRET}]",
    ],
)
def test_a_secret_written_into_the_file_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    account = f"    basic: {{ user: someone@example.com, {line} }}"
    text = GOOD + LOGIN.replace("    basic: { user: someone@example.com, password: { env: SITE_PASSWORD } }", account)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert "hunter2" not in str(caught.value).lower()
    assert "hunter2" not in repr(caught.value).lower()
    assert f"config.yaml:{text.splitlines().index(account) + 1}:" in str(caught.value)


@pytest.mark.parametrize(
    "part",
    [
        f"credentials: {SECRET}",
        f"credentials: {{hosts: [example.com], accounts: {SECRET}}}",
        f"credentials: {{hosts: [example.com], accounts: {{basic: {SECRET}}}}}",
        f"credentials: {{hosts: [example.com], edge_header: {SECRET}}}",
        f"credentials: {{hosts: [example.com], edge_header: {{name: 'X-Edge: {SECRET}', value: {{env: A}}}}}}",
        f"credentials: {{hosts: [example.com], edge_header: {{name: X-Edge, value: {SECRET}}}}}",
        f"credentials: {{hosts: ['someone:{SECRET}@example.com']}}",
        f"credentials: {{hosts: ['https://someone:{SECRET}@example.com']}}",
        f"credentials: {{hosts: {SECRET}}}",
    ],
)
def test_nothing_under_credentials_is_repeated(tmp_path: Path, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"{GOOD}{part}\n")
    assert "hunter2" not in str(caught.value)
    assert f"config.yaml:{len(GOOD.splitlines()) + 1}:" in str(caught.value)


def test_what_would_be_right_is_said_where_a_secret_stands(tmp_path: Path) -> None:
    text = GOOD + LOGIN.replace("{ env: SITE_PASSWORD }", "hunter2")
    assert problems(tmp_path, text) == [
        f"config:16: credentials.accounts.basic.password: {NO_SECRET_HERE}",
    ]


@pytest.mark.parametrize(
    "url", ["https://someone:hunter2@example.com", "https://:hunter2@example.com", "https://@example.com"]
)
def test_a_target_with_a_password_in_it_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    for target_url, text in (("", GOOD.replace("https://example.com", url)), (url, GOOD)):
        with pytest.raises(ConfigError) as caught:
            read(tmp_path, text, url=target_url)
        assert "user name or password" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_target_url_takes_the_place_of_the_files(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD, url="http://127.0.0.1:8080/").target.url == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    "url",
    [
        "example.com",
        "ftp://example.com",
        "https://",
        "https://example.com/path",
        "https://example.com?x",
        "//x",
        "https://a b",
    ],
)
def test_a_target_url_that_is_none_is_named_as_the_flag_that_it_is(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD, url=url)
    assert caught.value.message.startswith("--target-url: ")
    assert "write " in caught.value.message


def test_with_a_target_url_the_file_needs_none(tmp_path: Path) -> None:
    text = GOOD.replace("target:\n  url: https://example.com\n", "")
    assert read(tmp_path, text, url="https://example.org").target.url == "https://example.org"
    assert problems(tmp_path, text) == ["config:1: target: is missing"]


@pytest.mark.parametrize(
    "line",
    [
        "checks: 5",
        "checks: []",
        "checks: {}",
        "checks:",
        "limits: []",
        "overrides: 5",
        "overrides: [5]",
        "extensions: 5",
        "regions: us",
        "shares: 5",
        "run: 5",
        "target: 5",
        "safety: []",
    ],
)
def test_a_part_of_another_shape_is_one_mistake_and_no_traceback(tmp_path: Path, line: str) -> None:
    name = line.partition(":")[0]
    rest = "\n".join(block for block in GOOD.replace("\n  ", "\0").splitlines() if not block.startswith(f"{name}:"))
    (problem,) = problems(tmp_path, rest.replace("\0", "\n  ") + f"\n{line}\n")
    assert name in problem


def test_a_configuration_in_the_current_folder_comes_before_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_path("local", "") == shipped("config") / "local.yaml"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "local.yaml").touch()
    assert config_path("local", "") == Path("config/local.yaml")
    assert config_path("local", "other.yaml") == Path("other.yaml")


@pytest.mark.parametrize("path", [shipped("config") / f"{env}.yaml" for env in environments()], ids=environments())
def test_every_shipped_configuration_loads(path: Path) -> None:
    settings = load(Source(path), kinds_for)
    assert settings.env == path.stem
    assert set(settings.checks) == {"health", "homepage", "enhancement", "login", "api"}


def test_an_extension_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.py: listed under extensions, but there is no such Python file"):
        read(tmp_path, f"{GOOD}extensions: [mine.py]\n")


def test_an_extension_brings_a_kind_of_check(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from probes.checks.base import Check, CheckOptions\n"
        "class MineOptions(CheckOptions):\n    colour: str\n"
        "class Mine(Check[MineOptions]):\n    kind = 'mine'\n    Options = MineOptions\n"
        "    def calls(self):\n        return ()\n    def attempt(self, probe):\n        pass\n"
    )
    text = f"{GOOD}  other: {{ kind: mine, color: red }}\nextensions: [mine.py]\n"
    assert problems(tmp_path, text) == [
        "config:13: checks.other.colour: is missing",
        "config:13: checks.other.color: unknown key; did you mean colour?",
    ]
    assert read(tmp_path, text.replace("color:", "colour:")).checks["other"].model_dump()["colour"] == "red"


def test_the_files_name_is_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "env: 1\n")
    with pytest.raises(ConfigError) as caught:
        load(Source(Path("config.yaml")), kinds_for)
    assert all(line.startswith("config.yaml:1: ") for line in caught.value.problems)

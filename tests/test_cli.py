"""The commands beside `run`: what they say, where they write, and with which code they end."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from probes.checks.registry import load_settings
from probes.cli import app
from probes.config.load import Source, environments, shipped
from probes.errors import ConfigError
from probes.options import ENVIRONMENT, RunOptions, check_names
from probes.safety.ledger import open_ledger
from probes.starter import starter_configuration
from probes.validate import validate_plan
from tests.clients.raw_server import OK, RawServer, always

SMOKEPROBE = Path(sys.executable).with_name("smokeprobe")
COMMANDS = (
    "run",
    "ui",
    "master",
    "worker",
    "init",
    "validate",
    "standin",
    "doctor",
    "pause",
    "resume",
    "history",
    "report",
)


@dataclass(frozen=True)
class Ended:
    """What a command said, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def environment(folder: Path, **own: str) -> dict[str, str | None]:
    """Nothing of this process's own settings, and a state of its own."""
    unset = dict.fromkeys(name for name in os.environ if name.startswith("SMOKEPROBE_"))
    state = str(folder / "state")
    return {**unset, "COLUMNS": "100", "NO_COLOR": "1", "HOME": str(folder), "XDG_STATE_HOME": state, **own}


def smokeprobe(*arguments: str, cwd: Path, **own: str) -> Ended:
    """Run a command in this process, which is a second faster than a new one."""
    with contextlib.chdir(cwd):
        ended = CliRunner().invoke(app, arguments, env=environment(cwd, **own), prog_name="smokeprobe")
    assert ended.exception is None or isinstance(ended.exception, SystemExit)
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


def spawned(*arguments: str, cwd: Path) -> Ended:
    """Run a command as a user does."""
    changed = {**os.environ, **environment(cwd)}
    done = subprocess.run(
        [SMOKEPROBE, *arguments],
        cwd=cwd,
        env={name: value for name, value in changed.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_help_names_every_command(tmp_path: Path) -> None:
    bare, asked = spawned(cwd=tmp_path), spawned("--help", cwd=tmp_path)
    assert asked.returncode == 0
    assert bare.returncode == 2
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", asked.stdout)
    assert "Traceback" not in bare.stderr + asked.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    ended = smokeprobe(command, "-h", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Usage: smokeprobe" in ended.stdout
    assert not re.search(r"<(bool|int|str|path|list)|\bINTEGER\b", ended.stdout), "a type, and not what is meant"


def test_help_fills_its_lines(tmp_path: Path) -> None:
    """The source's line ends fit no terminal: a sentence would be broken twice."""
    shown = smokeprobe("alerts", "test", "-h", cwd=tmp_path, COLUMNS="80").stdout
    prose = [line.strip() for line in shown.partition("╭")[0].splitlines()]
    begins = next(number for number, line in enumerate(prose) if line.startswith("A line of a series"))
    assert all(len(line) > 50 for line in prose[begins : begins + 2]), shown


def test_version(tmp_path: Path) -> None:
    assert re.fullmatch(r"smokeprobe \d+\.\d+\.\d+\S*\n", smokeprobe("--version", cwd=tmp_path).stdout)


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("validate", "--nonsense"), ("init",), ("standin", "--port", "99999")]
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = smokeprobe(*arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize("turned", [False, True])
def test_two_configurations_on_one_command_line_are_refused(tmp_path: Path, command: str, *, turned: bool) -> None:
    given = [("--env", "local"), ("--config", "c.yaml")]
    arguments = [word for option in (reversed(given) if turned else given) for word in option]
    ended = smokeprobe(command, *arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert "--env and --config each name a configuration: leave one out" in " ".join(
        ended.stderr.replace("│", " ").split()
    )


def test_a_configuration_of_the_environment_gives_way(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(starter_configuration("https://example.com"))
    by_file = smokeprobe("validate", "--config", "c.yaml", cwd=tmp_path, SMOKEPROBE_ENV="production")
    assert (by_file.returncode, by_file.stderr) == (0, "")
    by_variable = smokeprobe("validate", "--env", "local", cwd=tmp_path, SMOKEPROBE_CONFIG="c.yaml")
    assert (by_variable.returncode, by_variable.stderr) == (0, "")


def test_help_of_a_master_says_how_several_regions_and_its_share_are_given(tmp_path: Path) -> None:
    said = " ".join(smokeprobe("master", "--help", cwd=tmp_path).stdout.replace("│", " ").split())
    assert "several are separated by commas" in said
    assert "else the one named there" in said


# --- init ---


def test_init_writes_what_validate_accepts(tmp_path: Path) -> None:
    ended = smokeprobe("init", "--url", "https://example.com", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "smokeprobe run --config smokeprobe.yaml" in ended.stdout
    assert len((tmp_path / "smokeprobe.yaml").read_text().splitlines()) <= 15
    checked = smokeprobe("validate", "--config", "smokeprobe.yaml", cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "smokeprobe.yaml").write_text("mine")
    ended = smokeprobe("init", "--url", "https://example.com", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "smokeprobe.yaml is there already. Choose another name with --file.\n"
    assert (tmp_path / "smokeprobe.yaml").read_text() == "mine"
    assert (
        smokeprobe("init", "--url", "https://example.com", "--file", "folder/other.yaml", cwd=tmp_path).returncode == 0
    )
    assert (tmp_path / "folder" / "other.yaml").exists()


def test_init_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = smokeprobe("init", "--url", "https://example.com", "--file", "file/smokeprobe.yaml", cwd=tmp_path)
    assert ended.returncode == 3
    assert ended.stderr.startswith("cannot write file/smokeprobe.yaml: ")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "name", "path", "private"),
    [
        ("https://example.com", "example-com", "/", False),
        ("https://Example.COM/shop/?q=1#top", "example-com", "/shop/", False),
        ("http://127.0.0.1:8089", "127-0-0-1", "/", True),
        ("http://localhost:8089/", "localhost", "/", True),
        ("http://[::1]:8089/", "1", "/", True),
        ("http://10.1.2.3/", "10-1-2-3", "/", True),
        ("https://93.184.215.14/", "93-184-215-14", "/", False),
        ("https://example.com//twice", "example-com", "/twice", False),
        ('https://example.com/a"b{}:#', "example-com", '/a"b{}:', False),
        ("https://example.com/caf\u00e9", "example-com", "/caf\u00e9", False),
        ("https://" + "a" * 60 + ".example", "a" * 40, "/", False),
    ],
)
def test_a_starter_configuration_holds_for_any_site(
    tmp_path: Path, url: str, name: str, path: str, *, private: bool
) -> None:
    file = tmp_path / "smokeprobe.yaml"
    file.write_text(starter_configuration(url), encoding="utf-8")
    settings = load_settings(Source(file))
    validate_plan(RunOptions(config=str(file)))
    assert (settings.env, settings.target.private, settings.safety.get_only) == (name, private, True)
    assert settings.credentials is None
    (spec,) = settings.checks["site"].model_dump()["requests"].values()
    assert spec["path"] == path


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "ftp://example.com", "https://", "file:///etc/passwd", "ws://example.com", "http://127.1"],
)
def test_what_is_no_site(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^--url "):
        starter_configuration(url)


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"^--url: a URL with a user name or password in it\. Write") as caught:
        starter_configuration("https://someone:hunter2@example.com")
    assert "hunter2" not in str(caught.value)


# --- validate ---

DATABASE = "postgresql://nobody@db.invalid/smokeprobe"  # nobody asks it


def test_what_holds_for_all_environments_is_none_itself(tmp_path: Path) -> None:
    ended = smokeprobe("validate", "--env", "monitoring-integration", cwd=tmp_path)
    assert ended.returncode == 2
    assert "shipped are gateway, local, production, staging" in ended.stderr


def test_a_mistake_of_what_stands_beside_a_configuration_is_found(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    shutil.copy(shipped("config") / "local.yaml", tmp_path / "config")
    (tmp_path / "config" / "monitoring-integration.yaml").write_text("services: { datdog: {} }")
    ended = smokeprobe("validate", "--env", "local", cwd=tmp_path)
    assert ended.returncode == 2
    assert "config/monitoring-integration.yaml:1: services.datdog: unknown key; did you mean datadog?" in ended.stderr


def test_rules_are_held_against_the_configuration_that_they_stand_beside(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    for name in ("local", "production"):
        shutil.copy(shipped("config") / f"{name}.yaml", tmp_path / "config")
    shutil.copy(shipped("config") / "channels.yaml", tmp_path / "config")
    rules = (shipped("config") / "alert-rules.yaml").read_text()
    path = tmp_path / "config" / "alert-rules.yaml"
    path.write_text(rules.replace("checks: [api]", "checks: [apii]").replace("quorum: 2", "quorum: 4", 1))
    assert smokeprobe("validate", "--env", "local", cwd=tmp_path).returncode == 0  # they are production's
    ended = smokeprobe("validate", "--env", "production", cwd=tmp_path)
    assert ended.returncode == 2
    assert "rules.slow.checks: 'apii' is no check of production; did you mean api?" in ended.stderr
    assert "rules.success.quorum: 4 can never be reached: production has 3 regions" in ended.stderr
    path.write_text(rules.replace("evaluator: datadog", "evaluator: smokeprobe", 1))
    ended = smokeprobe("validate", "--env", "production", cwd=tmp_path)
    assert ended.returncode == 2
    assert (
        "rules.success.quorum: 2 can never be reached: without a database each master of production sees one region "
        "only: name a service as evaluator, or set SMOKEPROBE_DATABASE_URL"
    ) in ended.stderr
    ended = smokeprobe("validate", "--env", "production", cwd=tmp_path, SMOKEPROBE_DATABASE_URL=DATABASE)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.search(r"success +│ smokeprobe +│ +5 min", ended.stdout)


def test_whom_no_channel_reaches_and_what_is_made_quiet_that_is_not_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    for name in ("production", "channels"):
        shutil.copy(shipped("config") / f"{name}.yaml", tmp_path / "config")
    rules = (shipped("config") / "alert-rules.yaml").read_text()
    rules = rules.replace(
        '"slack:#alerts"]\n    evaluator: datadog', '"slack:#alerts", pagerduty:ops]\n    evaluator: smokeprobe'
    )
    (tmp_path / "config" / "alert-rules.yaml").write_text(rules)
    (tmp_path / "config" / "maintenance.yaml").write_text(
        "mutes:\n"
        "  known: { rules: [succes, slow], checks: [apii], until: 2027-01-01 12:00, zone: UTC, reason: ticket 7 }\n"
        "  there: { environments: [staging], checks: [apii], until: 2027-01-01 12:00, zone: UTC, reason: ticket 8 }\n"
    )
    ended = smokeprobe("validate", "--env", "production", cwd=tmp_path, SMOKEPROBE_DATABASE_URL=DATABASE)
    assert ended.returncode == 2
    assert [line.strip() for line in ended.stderr.splitlines()[1:]] == [
        (
            "config/maintenance.yaml:2: mutes.known.rules: 'succes' is no rule; did you mean success? or datadog tells "
            "of 'slow': it is made quiet there"
        ),
        "config/maintenance.yaml:2: mutes.known.checks: 'apii' is no check of production; did you mean api?",
        "config/alert-rules.yaml: pagerduty:ops cannot be reached: channels.yaml says nothing of pagerduty.ops.",
    ]


@pytest.mark.parametrize("env", environments())
def test_every_shipped_configuration_is_valid_by_its_name(tmp_path: Path, env: str) -> None:
    ended = smokeprobe("validate", "--env", env, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Worst case of requests, retries and schedules included" in ended.stdout
    assert re.search(r"about [\d,]+ requests, [\d,.]+ MiB, [\d,]+\s+logins", ended.stdout)


def test_validate_shows_each_limit_with_its_percentage(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(starter_configuration("https://example.com"))
    shown = smokeprobe("validate", "--config", "c.yaml", cwd=tmp_path).stdout
    row = next(line for line in shown.splitlines() if "100 per 60 s" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["site", "100 per 60 s", "9", "3 (3.0 %)", "3 (3.0 %)"]


def test_validate_names_every_mistake_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("env: 1\ntarget: { url: https://example.com, prvate: true }\n")
    ended = smokeprobe("validate", "--config", "c.yaml", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "c.yaml has 3 mistakes:",
        "  c.yaml:1: env: must be a text",
        "  c.yaml:1: checks: is missing",
        "  c.yaml:2: target.prvate: unknown key; did you mean private?",
    ]


def test_what_is_spaced_has_its_percentage_too(tmp_path: Path) -> None:
    shown = smokeprobe("validate", "--env", "gateway", cwd=tmp_path).stdout
    row = next(line for line in shown.splitlines() if "10 per 1 s" in line)
    cells = [cell.strip() for cell in row.split("│")[1:-1]]
    assert cells[2] == "1 in 1.05 s"
    assert all(re.fullmatch(r"\d+ \(9\.5 %\)", cell) for cell in cells[3:])


def test_the_stand_in_is_probed_from_any_region_with_the_whole_ceiling_every_10_s(tmp_path: Path) -> None:
    settings = load_settings(Source(shipped("config") / "local.yaml"))
    assert {name: share.part for name, share in settings.shares.items()} == {"adhoc": 1.0}
    assert settings.run.interval == settings.every(settings.checks["health"]) == 10.0
    for region in ("us-east-1", "mars-7"):
        assert smokeprobe("validate", "--region", region, cwd=tmp_path).returncode == 0


def test_validate_refuses_what_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(starter_configuration("https://example.com").replace("100 per 60s", "25 per 60s"))
    ended = smokeprobe("validate", "--config", "c.yaml", cwd=tmp_path)
    assert ended.returncode == 2
    assert "limits.site: one run needs up to 3 requests in 60 s, retries included (12.0 % of 25)" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--config", "none.yaml"), "none.yaml: there is no such file. `smokeprobe init --url URL` writes one."),
        (
            ("--env", "none"),
            "There is no environment 'none': no config/none.yaml here, and shipped are gateway, local,",
        ),
        (("--env", "production", "--target-url", "https://example.org"), "passwords go nowhere else"),
        (("--env", "production", "--region", "mars"), "regions: 'mars' is not one of"),
        (
            ("--env", "production", "--share", "none"),
            "shares: there is no share 'none'; one of adhoc, us-east-1, us-west-2, eu-west-1",
        ),
        (("--env", "local", "--target-url", "nonsense"), "--target-url: 'nonsense' is not a target"),
    ],
)
def test_validate_says_what_is_wrong_with_its_call(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = smokeprobe("validate", *arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_options_come_from_the_environment_too(tmp_path: Path) -> None:
    ended = smokeprobe("validate", cwd=tmp_path, SMOKEPROBE_ENV="production", SMOKEPROBE_REGION="mars")
    assert (ended.returncode, "'mars'" in ended.stderr) == (2, True)


OPTIONS_OF_A_RUN = RunOptions(
    env="production", target_url="https://example.org", region="eu-west-1", checks=("health", "api"), no_browser=True,
    json_file="r.json", junit_file="r.xml", html_file="r.html", state_dir="here", allow_degraded=True, share="mine",
)  # fmt: skip


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch) -> list[RunOptions]:
    """What `run` hands over to Locust, which is not started."""
    taken: list[RunOptions] = []
    monkeypatch.setattr("probes.swarm.drive.drive", taken.append)
    return taken


def test_a_run_takes_its_options_from_the_command_line_or_the_environment(
    tmp_path: Path, driven: list[RunOptions]
) -> None:
    flags = [
        *("--env", "production", "--target-url", "https://example.org", "--region", "eu-west-1", "--check", "health"),
        *("--check", "api", "--no-browser", "--json-file", "r.json", "--junit-file", "r.xml", "--html-file", "r.html"),
        *("--state-dir", "here", "--allow-degraded", "--share", "mine"),
    ]
    variables = {ENVIRONMENT[name]: value for name, value in asdict(OPTIONS_OF_A_RUN).items() if value}
    variables |= {ENVIRONMENT["checks"]: "health api"}
    variables |= dict.fromkeys((ENVIRONMENT["no_browser"], ENVIRONMENT["allow_degraded"]), "1")
    smokeprobe("run", cwd=tmp_path)
    smokeprobe("run", "--config", "c.yaml", cwd=tmp_path)
    smokeprobe("run", *flags, cwd=tmp_path)
    smokeprobe("run", cwd=tmp_path, **variables)
    assert driven == [RunOptions(env="local"), RunOptions(config="c.yaml"), OPTIONS_OF_A_RUN, OPTIONS_OF_A_RUN]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_an_environment_variable_too(tmp_path: Path, command: str) -> None:
    shown = smokeprobe(command, "--help", cwd=tmp_path).stdout
    options = set(re.findall(r"(?m)^│ +\*? +(--[a-z-]+)|^│ (--[a-z-]+)", shown)) - {("", "--help"), ("--help", "")}
    assert options
    assert shown.count("[env var: SMOKEPROBE_") == len(options)


def test_options_of_other_commands_come_from_the_environment_too(tmp_path: Path) -> None:
    assert smokeprobe("init", cwd=tmp_path, SMOKEPROBE_INIT_URL="https://example.com").returncode == 0
    assert "https://example.com" in (tmp_path / "smokeprobe.yaml").read_text()
    assert " 2 h, " in smokeprobe("pause", cwd=tmp_path, SMOKEPROBE_PAUSE_FOR="2h").stdout
    named = smokeprobe("standin", cwd=tmp_path, SMOKEPROBE_STANDIN_FAULT="none-such")
    assert named.stderr == "--fault none-such: not known. `--fault list` lists them.\n"
    assert smokeprobe("validate", cwd=tmp_path, SMOKEPROBE_VERSION="1.2").returncode == 0  # somebody's own


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path) -> None:
    empty = dict.fromkeys(ENVIRONMENT.values(), "")
    assert smokeprobe("validate", cwd=tmp_path, **empty).returncode == 0
    asked = smokeprobe("run", "--config", "none.yaml", "--help", cwd=tmp_path, **empty)
    assert (asked.returncode, asked.stderr) == (0, "")


@pytest.mark.parametrize("values", [["health api"], ["health", "api"], [" health ", "api\n"]])
def test_several_checks_are_several_options_or_one_with_several_names(values: list[str]) -> None:
    assert check_names(values) == ("health", "api")


def test_validate_sends_nothing(tmp_path: Path) -> None:
    with RawServer(always(OK)) as server:
        (tmp_path / "c.yaml").write_text(starter_configuration(server.url))
        assert smokeprobe("validate", "--config", "c.yaml", cwd=tmp_path).returncode == 0
    assert server.connections == 0


# --- pause and resume ---


def pauses(state: Path) -> list[tuple[str, float | None]]:
    return [(pause.why, pause.remaining_s) for pause in open_ledger(state).pauses("https://any.example")]


def test_pause_and_resume(tmp_path: Path) -> None:
    state = tmp_path / "here"
    there = ("--state-dir", str(state))
    ledger = f"in the ledger {state / 'ledger.sqlite3'}."
    resume = f"`smokeprobe resume --state-dir {state}`"
    assert smokeprobe("pause", *there, cwd=tmp_path).stdout == f"Probing is paused until {resume}, {ledger}\n"
    assert pauses(state) == [("paused by hand", None)]
    assert smokeprobe("resume", *there, cwd=tmp_path).stdout == f"Probing goes on, {ledger}\n"
    assert pauses(state) == []
    assert smokeprobe("resume", *there, cwd=tmp_path).stdout == f"Nothing was paused by hand, {ledger}\n"


def test_the_default_state_need_not_be_named_to_resume(tmp_path: Path) -> None:
    said = smokeprobe("pause", cwd=tmp_path).stdout
    ledger = tmp_path / "state" / "smokeprobe" / "ledger.sqlite3"
    assert said == f"Probing is paused until `smokeprobe resume`, in the ledger {ledger}.\n"


def test_pause_for_a_while_and_why(tmp_path: Path) -> None:
    ended = smokeprobe("pause", "--for", "2h", "--why", "a migration", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (
        0,
        f"Probing is paused for 2 h, in the ledger {tmp_path / 'state' / 'smokeprobe' / 'ledger.sqlite3'}.\n",
    )
    ((why, left),) = pauses(tmp_path / "state" / "smokeprobe")
    assert why == "a migration"
    assert left is not None
    assert 7100 < left <= 7200


@pytest.mark.parametrize("length", ["soon", "2", "-1h", "1000000d"])
def test_a_pause_is_as_long_as_a_time(tmp_path: Path, length: str) -> None:
    ended = smokeprobe("pause", f"--for={length}", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("--for: ")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_without_a_state_that_can_be_written_they_end_with_3(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    ended = smokeprobe(command, "--state-dir", str(tmp_path / "file" / "state"), cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert len(ended.stderr.splitlines()) <= 2
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["does-not-exist", "health"])
def test_a_stand_in_does_not_start_with_faults_that_nobody_knows(tmp_path: Path, name: str) -> None:
    ended = smokeprobe("standin", "--fault", name, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (2, f"--fault {name}: not known. `--fault list` lists them.\n")


@pytest.mark.parametrize("persona", ["design", "gateway"])
def test_a_stand_in_says_which_command_probes_it(tmp_path: Path, persona: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name != "SMOKE_TEST_PASSWORD"}
    command = [str(SMOKEPROBE), "standin", "--port", "0", "--persona", persona]
    with subprocess.Popen(command, cwd=tmp_path, env=clean, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            url = child.stdout.readline().split()[-1]
            hint = child.stdout.readline()
        finally:
            child.terminate()
    env = " --env gateway" if persona == "gateway" else ""
    assert hint.endswith(f" smokeprobe run{env} --target-url {url}\n")


@pytest.mark.parametrize("command", [(), ("--", "true")])
def test_a_stand_in_whose_port_is_taken_names_another_and_no_command(tmp_path: Path, command: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = spawned("standin", "--port", str(port), *command, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in ended.stderr
    assert ended.stderr.endswith(" `--port 0` takes any free one.\n")
    assert len(ended.stderr.splitlines()) == 1

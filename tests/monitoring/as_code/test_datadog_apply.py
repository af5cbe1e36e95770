"""Datadog: what `plan` says and `apply` does, whatever the service answers; what is not ours is never touched."""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.errors import ConfigError
from probes.monitoring.as_code import https
from tests.e2e.harness import SMOKEPROBE
from tests.monitoring.as_code.datadog_code_server import API_KEY, APP_KEY, DatadogCodeServer
from tests.monitoring.as_code.loopback import Mode
from tests.monitoring.as_code.terminal import Desk, production
from tests.monitoring.loopback import serving

FOREIGN = {"title": "Of another team", "description": "managed-by:terraform", "layout_type": "ordered", "widgets": []}
OURS = "Ours.\n\nmanaged-by:smokeprobe env:production service:shop key:shop"
OF_STAGING = {**FOREIGN, "description": OURS.replace("production", "staging")}
OF_ANOTHER = {**FOREIGN, "description": OURS.replace("service:shop", "service:bank")}
MONITOR = {
    "name": "Of another team",
    "type": "query alert",
    "query": "avg(last_5m):avg:a{*} > 1",
    "tags": ["env:production"],
}


@pytest.fixture
def server() -> Iterator[DatadogCodeServer]:
    with serving(DatadogCodeServer()) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, server: DatadogCodeServer) -> Desk:
    made = Desk(tmp_path, "datadog", server.environment)
    made.write_board("shop")
    return made


def test_what_is_shipped_is_made_and_read_back(server: DatadogCodeServer) -> None:
    work, said = production("datadog", server.environment)
    assert work.plan(prune=False) == 4
    assert work.apply(prune=False) == 0, said.getvalue()
    assert server.complaints == []
    titles = [one["title"] for one in server.things["dashboard"].values()]
    assert titles == ["Production health (production)", "Smoke test status (production)"]
    assert "Done, and read back: datadog has 2 dashboards and " in said.getvalue()
    assert work.plan(prune=True) == 0


def test_twice_is_once(desk: Desk, server: DatadogCodeServer) -> None:
    assert desk.apply()[0] == 0
    assert len(server.writes) == 2
    code, said = desk.apply()
    assert (code, said) == (0, "Nothing to do: datadog has 1 dashboard and 1 monitor of production as described.\n")
    assert desk.plan() == (0, said)
    assert len(server.writes) == 2


def test_a_plan_changes_nothing(desk: Desk, server: DatadogCodeServer) -> None:
    code, said = desk.plan()
    assert (code, server.writes) == (4, [])
    assert said.splitlines() == [
        "+ dashboard shop “Shop (production)”",
        "+ monitor success “smokeprobe production: success”",
        "Not done yet: 2 to create, 0 as described.",
    ]


def test_what_was_changed_here_or_there_is_changed_back(desk: Desk, server: DatadogCodeServer) -> None:
    desk.apply()
    desk.write_board("shop", "Availability now")
    code, said = desk.plan()
    assert code == 4
    assert "~ dashboard shop “Shop (production)”" in said
    changed = [line.split() for line in said.splitlines() if line.startswith(("    -", "    +"))]
    assert changed == [["-", '"title":', '"Availability",'], ["+", '"title":', '"Availability', 'now",']]
    assert desk.apply()[0] == 0
    (monitor,) = server.things["monitor"].values()
    monitor["options"]["thresholds"]["critical"] = 17  # somebody has, in the web
    code, said = desk.apply()
    assert code == 0
    assert "~ monitor success “smokeprobe production: success”: changed" in said
    assert monitor["options"]["thresholds"]["critical"] != 17


def test_only_what_is_ours_is_pruned(desk: Desk, server: DatadogCodeServer) -> None:
    for body in (FOREIGN, OF_STAGING, OF_ANOTHER):
        server.add("dashboard", body)
    server.add("monitor", MONITOR)
    foreign = copy.deepcopy(server.things)
    desk.write_board("old")
    desk.apply()
    desk.forget_board("old")
    desk.write_rules()
    code, said = desk.apply()
    assert code == 0
    assert "dashboard old “Shop (production)” is ours and no longer described: --prune removes it." in said
    assert len(server.things["dashboard"]) == 5
    code, said = desk.apply(prune=True)
    assert code == 0
    assert "- dashboard old “Shop (production)”: removed" in said
    assert "- monitor success “smokeprobe production: success”: removed" in said
    kept = {
        kind: {id_: one for id_, one in things.items() if id_ in foreign[kind]}
        for kind, things in server.things.items()
    }
    assert kept == foreign
    assert (len(server.things["dashboard"]), len(server.things["monitor"])) == (4, 1)


def test_a_copy_of_ours_is_left_alone(desk: Desk, server: DatadogCodeServer) -> None:
    desk.apply()
    (ours,) = server.things["dashboard"].values()
    copied = server.add("dashboard", {**ours, "title": "My copy"})
    desk.forget_board("shop")
    code, said = desk.apply(prune=True)
    assert code == 0
    assert f"dashboard shop “My copy” ({copied}) has the mark of another: a copy? It is left alone." in said
    assert list(server.things["dashboard"]) == [copied]


def test_more_than_a_page_of_others(desk: Desk, server: DatadogCodeServer) -> None:
    for _ in range(230):
        server.add("dashboard", FOREIGN)
    assert desk.apply()[0] == 0
    assert desk.plan()[0] == 0


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        (401, "Datadog answers HTTP 401: are DD_API_KEY and DD_APP_KEY of datadoghq.com, and may they read and write"),
        (403, "Datadog answers HTTP 403: are DD_API_KEY and DD_APP_KEY of datadoghq.com, and may they read and write"),
        (429, "Datadog answers HTTP 429: it asks to be left alone for 7 s."),
        (500, "Datadog answers HTTP 500: it has trouble of its own."),
        (503, "Datadog answers HTTP 503: it has trouble of its own."),
        ("cut", "Datadog (127.0.0.1) cannot be reached: no connection, or it was cut off."),
        ("hang", "Datadog (127.0.0.1) does not answer within 0.3 s."),
        ("html", "Datadog's answer is no JSON: is something in between?"),
        ("elsewhere", "Datadog answers HTTP 302: it says no more."),
    ],
)
def test_an_error_is_one_sentence_without_a_key(
    desk: Desk, server: DatadogCodeServer, mode: Mode, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "TIMEOUT_S", 0.3)
    server.mode = mode
    code, said = desk.plan()
    assert code == 1
    assert said.startswith(sentence)
    assert said.count("\n") == 1
    assert API_KEY not in said
    assert APP_KEY not in said


def test_what_is_half_done_is_said_and_the_rest_is_done_later(desk: Desk, server: DatadogCodeServer) -> None:
    server.writes_left = 1
    code, said = desk.apply()
    assert code == 1
    assert said.splitlines() == [
        "+ dashboard shop “Shop (production)”: created",
        "Datadog answers HTTP 500: it has trouble of its own.",
        "1 of 2 changes are done. Once it is mended, apply again for the rest.",
    ]
    server.writes_left = None
    assert desk.apply()[0] == 0
    assert (len(server.things["dashboard"]), len(server.things["monitor"])) == (1, 1)


def test_what_the_service_refuses_it_says_without_a_key(
    desk: Desk, server: DatadogCodeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "answer", lambda *_: (400, {"errors": [f"bad {APP_KEY}", "and more"]}))
    assert desk.plan() == (1, "Datadog answers HTTP 400: bad [key]; and more\n")


def test_what_it_keeps_otherwise_than_sent_is_said(
    desk: Desk, server: DatadogCodeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = server.answer

    def forgetful(method: str, path: str, query: dict[str, str], body: object) -> tuple[int, object]:
        status, said = real(method, path, query, body)
        for one in server.things["monitor"].values():
            one["priority"] = 5
        return status, said

    monkeypatch.setattr(server, "answer", forgetful)
    code, said = desk.apply()
    assert code == 1
    assert "monitor success “smokeprobe production: success” is there, and otherwise than it was sent:" in said
    assert '-  "priority": 5' in said


@pytest.mark.parametrize("missing", ["DD_API_KEY", "DD_APP_KEY"])
def test_without_a_key_it_says_which(desk: Desk, missing: str) -> None:
    desk.environ = {name: value for name, value in desk.environ.items() if name != missing}
    with pytest.raises(ConfigError, match=f"need {missing} in the environment"):
        desk.plan()


def test_as_a_command(desk: Desk, server: DatadogCodeServer) -> None:
    def run(*words: str) -> tuple[int, str]:
        line = [SMOKEPROBE, "monitoring", *words, "--service", "datadog", "--config", str(desk.folder / "shop.yaml")]
        environ = {**os.environ, **server.environment, "COLUMNS": "40"}
        done = subprocess.run(line, env=environ, capture_output=True, text=True, check=False, timeout=50)
        assert done.stderr == ""
        return done.returncode, done.stdout

    assert run("plan")[0] == 4
    code, said = run("apply")
    assert (code, said.splitlines()[-1]) == (
        0, "Done, and read back: datadog has 1 dashboard and 1 monitor of production as described.",
    )  # fmt: skip
    assert run("plan", "--prune")[0] == 0


def test_a_key_goes_over_https_only(desk: Desk) -> None:
    desk.environ = {**desk.environ, "DATADOG_HOST": "http://datadog.example"}
    with pytest.raises(ConfigError, match="DATADOG_HOST: keys go over https only"):
        desk.plan()

"""What is rendered: as it was read and found right once, and as the services' own tools take it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from probes.as_code import AsCode
from probes.config.load import shipped
from probes.config.metrics import METRICS
from probes.monitoring.as_code.described import Service
from probes.monitoring.as_code.nerdgraph import CREATE_DASHBOARD
from probes.monitoring.newrelic_names import EVENTS
from probes.options import RunOptions
from tests.e2e.harness import SMOKEPROBE
from tests.monitoring.alert_sample import monitor
from tests.monitoring.as_code.datadog_models import wrong_with
from tests.monitoring.as_code.golden_files import FOLDER, RENDERED, datadog, text_of
from tests.monitoring.as_code.nerdgraph_server import ACCOUNT, NerdGraphServer
from tests.monitoring.as_code.terminal import Desk

ENVIRONMENTS = ("local", "staging", "production", "gateway")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DD_", "NEW_RELIC_"))}


def render(service: Service, env: str, folder: Path) -> dict[str, Any]:
    """The files of what is shipped."""
    work = AsCode(service, RunOptions(config=str(shipped("config") / f"{env}.yaml")), {})
    assert work.render(str(folder)) == 0
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*"))}


@pytest.mark.parametrize("service", RENDERED)
def test_as_it_was_found_right(service: str) -> None:
    assert text_of(service) == (FOLDER / f"{service}.json").read_text()


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_datadogs_own_models_read_it(env: str, tmp_path: Path) -> None:
    files = render("datadog", env, tmp_path)
    assert {"dashboard-production_health.json", "dashboard-smoke_test_status.json"} <= set(files)
    wrong = {name: wrong_with(name.partition("-")[0], body) for name, body in files.items()}
    assert {name: found for name, found in wrong.items() if found} == {}


def first(body: Any) -> Any:
    """The first widget of a dashboard."""
    return body["widgets"][0]["definition"]["widgets"][0]["definition"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.pop("layout_type"),
        lambda body: body["widgets"][0]["definition"]["widgets"][0]["definition"].update(type="number"),
        lambda body: body["widgets"][0]["definition"]["widgets"][0]["definition"]["requests"][0]["queries"][0].pop(
            "name"
        ),
        lambda body: body["widgets"][1]["layout"].pop("x"),
    ],
)
def test_the_models_see_what_is_wrong(spoil: Any) -> None:
    body = datadog()
    assert wrong_with("dashboard", body) == []
    spoil(body)
    assert wrong_with("dashboard", body)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_nerdgraph_takes_it(env: str, tmp_path: Path) -> None:
    found = render("newrelic", env, tmp_path)
    boards = [body for name, body in found.items() if name.startswith("dashboard-")]
    assert len(boards) == 2
    with NerdGraphServer() as server:
        for body in boards:
            asked = {"query": CREATE_DASHBOARD, "variables": {"account": ACCOUNT, "dashboard": body}}
            server.answer("POST", "/graphql", {}, asked)
        assert server.complaints == []
        del boards[0]["permissions"]
        asked = {"query": CREATE_DASHBOARD, "variables": {"account": ACCOUNT, "dashboard": boards[0]}}
        server.answer("POST", "/graphql", {}, asked)
        assert len(server.complaints) == 1


def test_new_relic_is_asked_for_the_events_that_it_is_sent(tmp_path: Path) -> None:
    boards = render("newrelic", "staging", tmp_path / "boards")  # no rule of it is watched for there
    condition = monitor("newrelic", tmp_path).body["nrql"]["query"]
    assert set(re.findall(r"FROM (\w+)", json.dumps(boards))) == {EVENTS}
    assert set(re.findall(r"FROM (\w+)", condition)) == {EVENTS}


def test_cfn_lint_finds_nothing(tmp_path: Path) -> None:
    for env in ENVIRONMENTS:
        assert f"smokeprobe-{env}-dashboards.template.json" in render("cloudwatch", env, tmp_path)
    command = [str(Path(sys.executable).with_name("cfn-lint")), *map(str, tmp_path.glob("*.json"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_dashboard_of_cloudwatch_stays_within_what_it_may_have(tmp_path: Path) -> None:
    (template,) = render("cloudwatch", "production", tmp_path).values()
    assert len(json.dumps(template, separators=(",", ":")).encode()) < 51_200
    for resource in template["Resources"].values():
        body = json.loads(resource["Properties"]["DashboardBody"]["Fn::Sub"])
        taken: set[tuple[int, int]] = set()
        for widget in body["widgets"]:
            expressions = [metric["expression"] for (metric,) in widget["properties"].get("metrics", ())]
            searches = [search for text in expressions for search in re.findall(r"SEARCH\('.*?', '\w+'\)", text)]
            assert all(len(search) <= 1024 for search in searches)
            assert len(searches) <= 100
            assert len(expressions) <= 500
            cells = {
                (x, y)
                for x in range(widget["x"], widget["x"] + widget["width"])
                for y in range(widget["y"], widget["y"] + widget["height"])
            }
            assert max(x for x, _ in cells) < 24
            assert not cells & taken, widget["properties"].get("title")
            taken |= cells


@pytest.mark.parametrize("service", ["datadog", "newrelic", "cloudwatch"])
def test_every_metric_that_is_asked_for_is_one_of_ours_with_the_prefix(service: Service, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    desk = Desk(tmp_path / "config", service, {})
    desk.write_rules()
    for path in (shipped("config") / "dashboards").glob("*.yaml"):
        (desk.folder / "dashboards" / path.name).write_text(path.read_text())
    (desk.folder / "monitoring-integration.yaml").write_text(
        f"tags: {{ team: a }}\nservices: {{ {service}: {{ prefix: my. }} }}\n"
    )
    work = AsCode(service, RunOptions(config=str(desk.folder / "shop.yaml")), {})
    assert work.render(str(tmp_path / "out")) == 0
    text = "".join(path.read_text() for path in (tmp_path / "out").glob("*"))
    asked = set(re.findall(r"[`:\"](my\.)?(smoke_test\.[\w.]*\w)", text))
    assert {before for before, _ in asked} == {"my."}
    assert {name for _, name in asked} <= set(METRICS)
    assert len(asked) > 20
    assert text.count("team") >= text.count("smoke_test.success")


@pytest.mark.parametrize(
    ("service", "besides"),
    [
        ("prometheus", ""),
        ("datadog", ", and there is no dashboard in {folder}/dashboards (such as in {shipped}/dashboards)"),
    ],
)
def test_where_nothing_is_described_it_says_where_that_would_stand_and_prints_nothing(
    tmp_path: Path, service: Service, besides: str, capfd: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path, "newrelic", {})
    desk.write_rules("success", "slow")
    work = AsCode(service, RunOptions(config=str(tmp_path / "shop.yaml")), {})
    assert work.render("") == 0
    why = f"no rule in {tmp_path}/alert-rules.yaml is for {service} to watch in production"
    why += besides.format(folder=tmp_path, shipped=shipped("config"))
    said = f"note: Nothing is described for {service}: {why}.\n"
    assert capfd.readouterr() == ("", said)  # the output may become a file of rules


def test_where_the_service_is_told_nothing_it_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path, "datadog", {})
    integration = tmp_path / "monitoring-integration.yaml"
    work = AsCode("datadog", RunOptions(config=str(desk.folder / "shop.yaml")), {})
    assert work.render(str(tmp_path / "out")) == 0
    assert capfd.readouterr().err == ""
    integration.write_text(integration.read_text().replace("production", "staging"))
    assert work.render(str(tmp_path / "out")) == 0
    why = f"{integration} does not have datadog told of production: only SMOKEPROBE_MONITORING does"
    assert capfd.readouterr().err == f"note: {why}, or nothing is to be seen.\n"


def test_a_widget_of_a_check_that_is_not_there_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path, "datadog", {})
    desk.write_board("shop")
    board = tmp_path / "dashboards" / "shop.yaml"
    work = AsCode("datadog", RunOptions(config=str(tmp_path / "shop.yaml")), {})
    board.write_text(board.read_text().replace("show: value", "show: value, checks: [health, _run]"))
    assert work.render(str(tmp_path / "out")) == 0
    assert capfd.readouterr().err == ""
    board.write_text(board.read_text().replace("health", "helth"))
    assert work.render(str(tmp_path / "out")) == 0
    why = "Availability stays empty: 'helth' is no check of production; did you mean health?"
    assert capfd.readouterr().err == f"note: {board}: {why}\n"


def test_the_command_needs_no_secret_and_prints_what_a_tool_takes(tmp_path: Path) -> None:
    line = [SMOKEPROBE, "monitoring", "render", "--service", "cloudwatch", "--env", "production"]
    done = subprocess.run(line, env=CLEAN, capture_output=True, text=True, check=False, timeout=50, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["AWSTemplateFormatVersion"] == "2010-09-09"
    assert list(tmp_path.iterdir()) == []

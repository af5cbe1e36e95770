"""What GitHub Actions is told: by its published schemas, by zizmor, and by running what it would run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from probes.standin.process import StandIn

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "github-actions"
WORKFLOWS = (FOLDER / "smoke-run.yml", FOLDER / "smoke-schedule.yml")
ACTION = FOLDER / "action.yml"
BIN = ROOT / ".venv" / "bin"


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def told(*command: str | Path) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_the_published_schemas_know_them() -> None:
    told(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    told(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-actions", ACTION)


def test_zizmor_finds_nothing(tmp_path: Path) -> None:
    said = told(BIN / "zizmor", "--offline", "--no-config", "--no-progress", "--persona=pedantic", *WORKFLOWS, ACTION)
    assert "No findings to report" in said
    # it would find something
    loose = tmp_path / "smoke-run.yml"
    loose.write_text(re.sub(r"@[0-9a-f]{40} # v", "@v", WORKFLOWS[0].read_text()))
    ended = subprocess.run(
        [BIN / "zizmor", "--offline", "--no-config", "--no-progress", loose],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode > 10
    assert "unpinned-uses" in ended.stdout


def test_others_actions_are_pinned_by_digest() -> None:
    for path in (*WORKFLOWS, ACTION):
        for used in re.findall(r"uses: (.*)", path.read_text()):
            assert used.startswith("$/") or re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)


def test_each_cron_begins_its_own_runs_with_all_that_the_action_wants() -> None:
    schedule, run, action = read(WORKFLOWS[1]), read(WORKFLOWS[0]), read(ACTION)
    crons = [each["cron"] for each in schedule["on"]["schedule"]]
    assert crons == ["*/30 * * * *", "10,40 * * * *", "20,50 * * * *"]
    for cron, job in zip(crons, schedule["jobs"].values(), strict=True):
        assert f"github.event.schedule == '{cron}'" in job["if"]
        (matrix,) = json.loads(job["with"]["runs"])
        assert matrix["runner"][-1] == matrix["region"]
        assert matrix["wait"] == 60  # it does not know what the last one has sent
        wanted = set(re.findall(r"matrix\.(\w+)", WORKFLOWS[0].read_text()))
        assert wanted == set(matrix)
    step = run["jobs"]["run"]["steps"][-1]
    assert set(step["with"]) == set(action["inputs"])
    assert run["jobs"]["run"]["concurrency"]["cancel-in-progress"] is False


def test_what_the_action_runs_judges_a_target_and_leaves_its_report(design: StandIn, tmp_path: Path) -> None:
    """The step as it stands there, with its expressions filled in as GitHub would."""
    step = next(each for each in read(ACTION)["runs"]["steps"] if each.get("name") == "Run")
    values = {
        "inputs.env": "local",
        "inputs.region": "local",
        "inputs.share": "adhoc",
        "inputs.checks": "health",
        "runner.temp": str(tmp_path),
    }

    def filled(text: str) -> str:
        return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: values[found[1]], text)

    summary = tmp_path / "summary.md"
    ended = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "GITHUB_ACTIONS": "true",
            "GITHUB_STEP_SUMMARY": str(summary),
            "SMOKEPROBE_TARGET_URL": design.url,
            "SMOKE_TEST_PASSWORD": "unused",
            **{name: filled(value) for name, value in step["env"].items()},
        },
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads((tmp_path / "smoke-report" / "report.json").read_text())
    assert [verdict["name"] for verdict in report["checks"] if verdict["outcome"] == "passed"] == ["health"]
    assert {path.suffix for path in (tmp_path / "smoke-report").iterdir()} == {".json", ".xml", ".html"}
    assert "health passed" in summary.read_text()


def test_the_action_waits_before_it_sends() -> None:
    steps = [step.get("name") for step in read(ACTION)["runs"]["steps"]]
    assert steps.index("Wait until the last run counts no longer") < steps.index("Run")
    kept = read(ACTION)["runs"]["steps"][-1]
    assert kept["if"].startswith("always()")


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
def test_no_expression_stands_in_a_command(path: Path) -> None:
    """What an input says must not become a command."""
    commands = re.findall(r"run: (.*)", path.read_text())
    assert not [command for command in commands if "${{" in command]

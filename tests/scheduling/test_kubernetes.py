"""What clusters are told: each overlay put together, by the schemas of Kubernetes, and what its commands take."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonpatch
import kubernetes_validate
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from probes.cli import app
from probes.config.cron_schedule import FILE, load_schedule
from probes.config.load import shipped

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ROOT / "deploy" / "kubernetes" / "overlays"
REGIONS = ("eu-west-1", "us-east-1", "us-west-2")
FLEET_AND_RUN = {"smokeprobe", "smokeprobe-master", "smokeprobe-worker"}

Manifest = dict[str, Any]


@cache
def put_together(folder: Path) -> tuple[Manifest, ...]:
    """As kustomize would: resources in their order, then JSON patches; anything else that it knows is refused here."""
    kustomization = YAML(typ="safe").load(folder / "kustomization.yaml")
    assert set(kustomization) <= {"apiVersion", "kind", "namespace", "resources", "patches"}
    found: list[Manifest] = []
    for name in kustomization["resources"]:
        path = folder / name
        found += put_together(path.resolve()) if path.is_dir() else YAML(typ="safe").load_all(path)
    return tuple(_changed(copy.deepcopy(one), kustomization) for one in found)


def _changed(manifest: Manifest, kustomization: Manifest) -> Manifest:
    manifest["metadata"]["namespace"] = kustomization["namespace"]
    for patch in kustomization.get("patches", ()):
        if patch["target"] == {"kind": manifest["kind"], "name": manifest["metadata"]["name"]}:
            manifest = jsonpatch.apply_patch(manifest, YAML(typ="safe").load(patch["patch"]))
    return manifest


def of_kind(region: str, kind: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in put_together(OVERLAYS / region) if one["kind"] == kind}


def pods(region: str) -> Iterator[tuple[str, Manifest]]:
    for one in put_together(OVERLAYS / region):
        if one["kind"] == "Deployment":
            yield one["metadata"]["name"], one["spec"]["template"]
        if one["kind"] == "CronJob":
            yield one["metadata"]["name"], one["spec"]["jobTemplate"]["spec"]["template"]


def test_there_is_an_overlay_for_each_region() -> None:
    assert tuple(sorted(path.name for path in OVERLAYS.iterdir())) == REGIONS


@pytest.mark.parametrize("region", REGIONS)
def test_kubernetes_knows_all_of_it(region: str) -> None:
    for one in put_together(OVERLAYS / region):
        kubernetes_validate.validate(one, "1.34", strict=True)
    misspelled = copy.deepcopy(of_kind(region, "CronJob")["smokeprobe"])
    misspelled["spec"]["concurencyPolicy"] = "Forbid"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelled, "1.34", strict=True)


@pytest.mark.parametrize("region", REGIONS)
def test_a_run_comes_as_the_schedule_says(region: str) -> None:
    entry = load_schedule(shipped("config") / FILE).schedule.entries[f"kubernetes-{region}"]
    spec = of_kind(region, "CronJob")["smokeprobe"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["suspend"]) == (entry.cron, "UTC", False)
    assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Forbid", 120)
    job = spec["jobTemplate"]["spec"]
    assert (job["activeDeadlineSeconds"], job["backoffLimit"]) == (entry.timeout, 0)
    said = of_kind(region, "ConfigMap")["smokeprobe-run"]["data"]
    where = {"SMOKEPROBE_ENV": "production", "SMOKEPROBE_REGION": region, "SMOKEPROBE_SHARE": entry.share}
    assert said == {**where, "SMOKEPROBE_CHECK": " ".join(entry.checks)}
    (container,) = job["template"]["spec"]["containers"]
    secrets = {each["valueFrom"]["secretKeyRef"]["key"] for each in container["env"] if "valueFrom" in each}
    assert secrets == set(entry.secrets)


def test_the_base_runs_nothing_by_itself() -> None:
    (cron,) = [one for one in put_together(OVERLAYS.parent / "base") if one["kind"] == "CronJob"]
    assert cron["spec"]["suspend"] is True


@pytest.mark.parametrize("region", REGIONS)
def test_no_pod_may_do_more_than_it_must(region: str) -> None:
    found = dict(pods(region))
    assert set(found) == FLEET_AND_RUN
    for template in found.values():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        (container,) = spec["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        # what it writes to is there, though its root cannot be written
        assert {each["mountPath"] for each in container["volumeMounts"]} == {"/state", "/tmp"}  # noqa: S108 - a mount of its own
        assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in spec["volumes"]}
        for source in container["envFrom"]:
            assert source["configMapRef"]["name"] in of_kind(region, "ConfigMap")


@pytest.mark.parametrize("region", REGIONS)
def test_networks_let_out_what_is_needed(region: str) -> None:
    policies = of_kind(region, "NetworkPolicy")
    everyone = policies["smokeprobe"]["spec"]
    for _, template in pods(region):
        assert everyone["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert everyone["ingress"] == []
    ports = [port["port"] for rule in everyone["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 443]
    (to_master,) = policies["smokeprobe-worker"]["spec"]["egress"]
    (from_worker,) = policies["smokeprobe-master"]["spec"]["ingress"]
    (service,) = of_kind(region, "Service").values()
    assert to_master["ports"] == from_worker["ports"] == [{"port": 5557, "protocol": "TCP"}]
    assert service["spec"]["ports"][0]["port"] == 5557
    assert service["spec"]["selector"] == dict(pods(region))["smokeprobe-master"]["metadata"]["labels"]


def test_the_commands_are_ours() -> None:
    """With --help, which an option that is not known comes before."""
    commands = {name: template["spec"]["containers"][0]["command"] for name, template in pods("us-east-1")}
    assert commands["smokeprobe-worker"][-1] in of_kind("us-east-1", "Service")
    for command in commands.values():
        assert command[0] == "smokeprobe"
        ended = CliRunner().invoke(app, [*command[1:], "--help"])
        assert ended.exit_code == 0, ended.output
    assert CliRunner().invoke(app, ["worker", "--master-hots", "smokeprobe-master", "--help"]).exit_code == 2

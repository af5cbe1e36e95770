"""Kubernetes, for kustomize: a base that never runs by itself, and an overlay for the cluster in each region.

An overlay adds two maps of variables and replaces a few single values of the base (JSON patches, RFC 6902), so that
what it comes to can be read off, and tested with no other tool. The master and its workers are among them where each
region has a master of its own.
"""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from probes.config.models import Settings
from probes.scheduling.render import Files, Planned, Rendering, rendered, variables

FOLDER = "kubernetes"

DATABASE = "SMOKEPROBE_DATABASE_URL"

HTTPS = 443


def kubernetes_files(rendering: Rendering) -> Files:
    """Base and overlays; none where nothing runs there."""
    kubernetes, planned = rendering.schedule.kubernetes, rendering.planned
    if kubernetes is None or not planned:
        return {}
    first = planned[0]
    fleet = kubernetes.fleet if all(_has_its_master(each) for each in planned) else None
    base = {
        "namespace": kubernetes.namespace,
        "image": kubernetes.image,
        "schedule": first.entry.cron,
        "zone": rendering.schedule.zone.key,
        "late": math.ceil(kubernetes.late),
        "timeout": math.ceil(first.entry.timeout),
        "secrets": first.entry.secrets,
        "fleet": fleet,
        "ports": sorted({HTTPS, _port(first.settings)}),
        "database": DATABASE
        in {*first.entry.secrets, *(fleet.master if fleet else ()), *(fleet.worker if fleet else ())},
    }
    names = ["cronjob.yaml", "network.yaml", *(["master.yaml", "workers.yaml"] if fleet else [])]
    files = {f"{FOLDER}/base/{name}": rendered(f"kubernetes/{name}.j2", **base) for name in names}
    files[f"{FOLDER}/base/kustomization.yaml"] = rendered("kubernetes/base.yaml.j2", names=names, **base)
    for each in planned:
        files |= _overlay(each, kubernetes.namespace, fleet=fleet is not None)
    return files


def _overlay(planned: Planned, namespace: str, *, fleet: bool) -> Files:
    folder = f"{FOLDER}/overlays/{planned.entry.region}"
    said = {name: value for name, value in variables(planned).items() if value}
    of_the_fleet = {name: said[name] for name in ("SMOKEPROBE_ENV", "SMOKEPROBE_REGION")}
    return {
        f"{folder}/kustomization.yaml": rendered(
            "kubernetes/overlay.yaml.j2",
            namespace=namespace,
            region=planned.entry.region,
            schedule=planned.entry.cron,
            timeout=math.ceil(planned.entry.timeout),
        ),
        f"{folder}/variables.yaml": rendered(
            "kubernetes/variables.yaml.j2", run=said, fleet=of_the_fleet if fleet else {}
        ),
    }


def _has_its_master(planned: Planned) -> bool:
    return any(master.regions == (planned.entry.region,) for master in planned.settings.masters.values())


def _port(settings: Settings) -> int:
    return urlsplit(settings.target.url).port or HTTPS

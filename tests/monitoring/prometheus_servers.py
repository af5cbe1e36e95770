"""Debian's Pushgateway and Prometheus as processes of the tests' own, gone with them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.ports import free_port
from tests.waiting import until


@contextmanager
def pushgateway(folder: Path, port: int = 0) -> Iterator[str]:
    """Its URL; what was pushed outlives it in `folder`."""
    address = f"127.0.0.1:{port or free_port()}"
    command = ["prometheus-pushgateway", f"--web.listen-address={address}"]
    command += [f"--persistence.file={folder / 'pushed'}", "--log.level=error"]
    with _running(command, f"http://{address}/-/ready"):
        yield f"http://{address}"


@contextmanager
def prometheus(folder: Path, *targets: str) -> Iterator[str]:
    """The URL of one that scrapes these addresses four times a second; of a Pushgateway as the documentation says."""
    config = {
        "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"},
        "scrape_configs": [{"job_name": "s", "honor_labels": True, "static_configs": [{"targets": list(targets)}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # which is YAML too
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address={address}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", "--log.level=error"]
    with _running(command, f"http://{address}/-/ready"):
        yield f"http://{address}"


def asked(url: str, query: str) -> dict[str, float]:
    """What Prometheus says now: values by the check of their series; none where it cannot say now.

    On a busy machine it answers a query with 503 now and then, and the next one as ever.
    """
    response = requests.get(f"{url}/api/v1/query", params={"query": query}, timeout=30)
    if response.status_code == 503:
        return {}
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return {found["metric"].get("check", ""): float(found["value"][1]) for found in answer["data"]["result"]}


def read_page(text: str) -> dict[tuple[str, str, str], float]:
    """Values of a page of metrics by name, check and version; not when each was measured."""
    return {
        (found.name, found.labels.get("check", ""), found.labels.get("version", "")): found.value
        for family in text_string_to_metric_families(text)
        for found in family.samples
        if "metric" not in found.labels
    }


def read_times(text: str) -> dict[tuple[str, str], float]:
    """When each value of a page of metrics was measured, by metric and check."""
    return {
        (found.labels["metric"], found.labels.get("check", "")): found.value
        for family in text_string_to_metric_families(text)
        for found in family.samples
        if found.name == "smoke_test_sample_timestamp_seconds"
    }


def get(url: str) -> str:
    """What a URL answers; nothing where it does not."""
    try:
        return requests.get(url, timeout=5).text
    except requests.RequestException:
        return ""


@contextmanager
def _running(command: list[str], ready: str) -> Iterator[None]:
    program = shutil.which(command[0])
    assert program, f"{command[0]} is missing: make test-tools"
    process = subprocess.Popen([program, *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: get(ready), 20), f"{command[0]} does not start"
        yield
    finally:
        process.terminate()
        process.wait(10)

"""What a master answers to whoever watches it, over HTTP: is it alive, is it ready, what does it know.

`/healthz` 200 while its loop turns; `/readyz` 200 while it has a worker and a ledger (what is wrong with the history
keeps it from nothing); `/board` all it knows, as JSON; `/metrics` the same for Prometheus. Read only, and on the
loopback unless told otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, Response, jsonify
from gevent.pywsgi import WSGIServer

from probes.errors import ConfigError
from probes.swarm.board import Snapshot

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

STUCK_S = 5.0
"""A loop that has not turned for so long is stuck: it turns several times a second."""

HIGHEST_PORT = 65535
OUTCOMES = ("passed", "degraded", "failed", "throttled", "error", "skipped", "no data")


@dataclass(frozen=True, slots=True)
class Status:
    """What is shown. `snapshot` gives all of it as JSON-able values, `turned_s` the age of the loop's last turn.

    `shelf` has more for `/metrics`: the samples of the checks.
    """

    snapshot: Callable[[], Snapshot]
    turned_s: Callable[[], float]
    shelf: Collector | None = None


def serve_status(status: Status, host: str, port: int) -> WSGIServer:
    """Answer from now on, in greenlets. Raises ConfigError where the address cannot be had."""
    what = f"--status-port {port}: cannot listen on {host}"
    if not 0 <= port <= HIGHEST_PORT:
        raise ConfigError(f"{what}: ports go up to {HIGHEST_PORT}.")
    server = WSGIServer((host, port), _app(status), log=None)
    try:
        server.start()
    except OSError as problem:
        raise ConfigError(f"{what}: {os.strerror(problem.errno or 0)}.") from None
    return server


def _app(status: Status) -> Flask:
    app = Flask("smokeprobe-status", static_folder=None)

    def healthz() -> tuple[Response, int]:
        turned_s = status.turned_s()
        return jsonify(ok=turned_s < STUCK_S, turned_s=round(turned_s, 3)), 200 if turned_s < STUCK_S else 503

    def readyz() -> tuple[Response, int]:
        found = status.snapshot()
        ready = bool(found["workers"]) and not found["own_health"]["ledger"] and status.turned_s() < STUCK_S
        told = {"workers": len(found["workers"]), "trouble": found["trouble"], "paused": found["paused"]}
        return jsonify(ready=ready, **told), 200 if ready else 503

    def board() -> Response:
        return jsonify(status.snapshot())

    def metrics() -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        registry = _registry(status.snapshot())
        if status.shelf is not None:
            registry.register(status.shelf)
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    for path, view in (("/healthz", healthz), ("/readyz", readyz), ("/board", board), ("/metrics", metrics)):
        app.add_url_rule(path, path[1:], view)
    return app


def _registry(found: Snapshot) -> CollectorRegistry:
    """A snapshot in Prometheus' words; made anew for each scrape, so that what has gone is gone."""
    from prometheus_client import CollectorRegistry, Gauge

    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"smokeprobe_{name}", text, labels, registry=registry)

    outcome = gauge("check_outcome", "1 for the last outcome", "region", "check", "outcome")
    age = gauge("check_age_seconds", "Age of the last verdict", "region", "check")
    verified = gauge("check_verified", "1 where something bore the region of the last verdict out", "region", "check")
    for cell in found["cells"]:
        verified.labels(cell["region"], cell["check"]).set(float(cell["verified"]))
        for name in OUTCOMES:
            outcome.labels(cell["region"], cell["check"], name).set(float(cell["outcome"] == name))
        if cell["age_s"] is not None:
            age.labels(cell["region"], cell["check"]).set(cell["age_s"])
    judging = gauge("quorum_regions", "Verified regions that have judged a check lately", "check")
    failing = gauge("quorum_failed_regions", "Those of them in which it has failed", "check")
    for counted in found["quorums"]:
        judging.labels(counted["check"]).set(counted["regions"])
        failing.labels(counted["check"]).set(counted["failed"])
    workers = gauge("workers", "Workers that have joined and are heard of", "region")
    for region in {cell["region"] for cell in found["cells"]}:
        workers.labels(region).set(sum(worker["region"] == region for worker in found["workers"]))
    gauge("ticks_under_way", "Occasions that have come to nothing yet").set(found["ticks_under_way"])
    own = found["own_health"]
    gauge("turn_age_seconds", "Age of the master's last turn").set(own["turned_s"])
    gauge("messages_unacknowledged", "Messages that no worker has acknowledged yet").set(own["unacknowledged"])
    gauge("results_unwritten", "Results that the history has not taken yet").set(own["unwritten"])
    gauge("results_lost", "Results that the history never will take").set(own["lost"])
    trouble = gauge("trouble", "1 while something is wrong with it", "of")
    trouble.labels("ledger").set(float(bool(own["ledger"])))
    trouble.labels("history").set(float(bool(own["store"])))
    samples = gauge("samples", "Samples of the checks, by what a monitoring service made of them", "service", "state")
    for service, counts in found["sinks"].items():
        for state, count in counts.items():
            samples.labels(service, state).set(count)
    rejected = sum(sum(reasons.values()) for reasons in found["rejected"].values())
    gauge("messages_rejected", "Messages that were not taken").set(rejected)
    gauge("paused", "1 while probing is paused").set(float(bool(found["paused"])))
    used = gauge("budget_peak_percent", "Worst window of a limit, in per cent of it", "limit")
    for limit in found["limits"]:
        used.labels(limit["name"]).set(limit["peak_percent"])
    return registry

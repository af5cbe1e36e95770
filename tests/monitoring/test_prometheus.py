"""Prometheus: a master's shelf, and a run's pushes; against Debian's own Pushgateway where marked slow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from probes.config.monitoring import PrometheusOptions
from probes.errors import ConfigError
from probes.monitoring.base import Fate
from probes.monitoring.prometheus import Pushgateway, Shelf, make_service
from probes.monitoring.samples import Sample, Tags
from tests.monitoring.prometheus_servers import get, pushgateway, read_page, read_times

OPTIONS = PrometheusOptions(tags={"service": "shop"})


def tags(check: str = "api", version: str = "1.2.3") -> Tags:
    return (
        ("env", "production"), ("region", "eu-west-1"), ("check", check), ("version", version), ("mode", "run"),
    )  # fmt: skip


def gauge(value: float, of: Tags, at: float = 0.0) -> Sample:
    return Sample("smoke_test.api_response", value, "gauge", "millisecond", of, at or time.time())


def count(value: float, of: Tags) -> Sample:
    return Sample("smoke_test.flaky", value, "count", "", of, time.time())


def page(shelf: Shelf) -> str:
    registry = CollectorRegistry()
    registry.register(shelf)
    return generate_latest(registry).decode()


def test_the_shelf_has_the_last_value_of_each_series_and_the_total_of_counts() -> None:
    shelf = Shelf(OPTIONS)
    shelf.send([gauge(5.0, tags(), 10.0), gauge(7.0, tags(), 11.0), gauge(9.0, tags(), 11.5), count(1.0, tags())], 1.0)
    shelf.send([gauge(3.0, tags("health")), count(0.0, tags()), count(1.0, tags())], 1.0)
    text = page(shelf)
    assert read_page(text) == {
        ("smoke_test_api_response", "api", "1.2.3"): 8.0,
        ("smoke_test_api_response", "health", "1.2.3"): 3.0,
        ("smoke_test_flaky_total", "api", "1.2.3"): 2.0,
    }
    assert 'service="shop"' in text
    assert "(milliseconds)" in text


def test_a_value_has_its_time_beside_it_through_a_release() -> None:
    shelf = Shelf(OPTIONS)
    shelf.send([gauge(5.0, tags(version="1"), 10.2), gauge(5.0, tags("health"), 11.0)], 1.0)
    shelf.send([gauge(5.0, tags(version="2"), 70.9)], 1.0)
    text = page(shelf)
    assert read_times(text) == {("smoke_test_api_response", "api"): 70.0, ("smoke_test_api_response", "health"): 11.0}
    (line,) = [line for line in text.splitlines() if line.startswith("smoke_test_sample") and 'check="api"' in line]
    assert "version" not in line


def test_a_new_version_of_the_target_takes_the_place_of_the_old_one() -> None:
    shelf = Shelf(OPTIONS)
    shelf.send([gauge(5.0, tags(version="1"))], 1.0)
    shelf.send([gauge(6.0, tags(version="2"))], 1.0)
    assert read_page(page(shelf)) == {("smoke_test_api_response", "api", "2"): 6.0}


@pytest.mark.parametrize(
    "url", ["127.0.0.1:9091", "ftp://u:secret@host/", "https:///secret", "http://[secret", "http://h:secret"]
)
def test_a_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make_service(OPTIONS, {"SMOKEPROBE_PUSHGATEWAY_URL": url})
    assert url not in str(raised.value)


class _Answers(BaseHTTPRequestHandler):
    status = 200
    seen: list[tuple[str, str, str]] = []  # noqa: RUF012 - emptied by the fixture

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.command, self.path, self.headers.get("Authorization", "")))
        if _Answers.status == 0:
            self.close_connection = True
            return
        self.send_response(_Answers.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def answers() -> Iterator[str]:
    _Answers.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "fate", "why"),
    [
        (200, Fate.DELIVERED, ""),
        (400, Fate.REFUSED, "HTTP 400"),
        (403, Fate.LATER, "HTTP 403"),
        (429, Fate.LATER, "HTTP 429"),
        (500, Fate.LATER, "HTTP 500"),
        (0, Fate.LATER, "cut off"),
    ],
)
def test_every_answer_has_its_meaning(answers: str, status: int, fate: Fate, why: str) -> None:
    _Answers.status = status
    said = Pushgateway(OPTIONS, f"http://{answers}").send([gauge(1.0, tags())], 2.0)
    assert said.fate is fate
    assert why in said.why


def test_the_password_of_its_url_goes_into_a_header_and_nowhere_else(answers: str) -> None:
    _Answers.status = 200
    service = Pushgateway(OPTIONS, f"http://probe:s%40cret@{answers}/gateway/")
    assert service.send([gauge(1.0, tags())], 2.0).fate is Fate.DELIVERED
    assert _Answers.seen == [
        (
            "PUT", "/gateway/metrics/job/smokeprobe/check/api/env/production/region/eu-west-1",
            "Basic cHJvYmU6c0BjcmV0",
        )
    ]  # fmt: skip


def test_nobody_there_is_for_later() -> None:
    said = Pushgateway(OPTIONS, "http://127.0.0.1:9").send([gauge(1.0, tags())], 2.0)
    assert (said.fate, said.why) == (Fate.LATER, "no connection, or it was cut off")


@pytest.mark.slow
def test_a_push_replaces_what_the_same_check_had_and_nothing_else(tmp_path: Path) -> None:
    with pushgateway(tmp_path) as url:
        service = Pushgateway(OPTIONS, url)
        first = [gauge(5.0, tags()), count(1.0, tags()), gauge(3.0, tags("health"))]
        assert service.send(first, 5.0).fate is Fate.DELIVERED
        assert service.send([gauge(6.0, tags(version="2"))], 5.0).fate is Fate.DELIVERED
        pushed = read_times(get(f"{url}/metrics"))
        assert pushed.keys() == {("smoke_test_api_response", "api"), ("smoke_test_api_response", "health")}
        ours = {
            key: value for key, value in read_page(get(f"{url}/metrics")).items() if key[0].startswith("smoke_test")
        }
        assert ours == {
            ("smoke_test_api_response", "api", "2"): 6.0,
            ("smoke_test_api_response", "health", "1.2.3"): 3.0,
        }
        assert service.read_back(gauge(6.0, tags()), 5.0) is True
        assert service.read_back(gauge(6.0, tags()), 5.0) is False  # asking has taken it away

"""A run and Debian's own Pushgateway and Prometheus."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.e2e.harness import Runner
from tests.monitoring.prometheus_servers import asked, get, prometheus, pushgateway, read_page
from tests.waiting import until


@pytest.mark.release
def test_what_a_run_has_pushed_is_in_prometheus(runner: Runner, tmp_path: Path) -> None:
    with pushgateway(tmp_path) as url, prometheus(tmp_path, url.removeprefix("http://")) as server:
        environ = {"SMOKEPROBE_MONITORING": "prometheus", "SMOKEPROBE_PUSHGATEWAY_URL": url}
        ran = runner.run("--no-browser", "--check", "api", "--check", "health", env=environ)
        assert ran.code == 0, ran.story()
        assert ran.sink("prometheus")["dropped"] == 0
        assert ran.sink("prometheus")["sent"] > 20
        assert until(lambda: "_run" in asked(server, "smoke_test_duration"), 20)
        assert asked(server, 'smoke_test_success{env="local",region="local"}') == {"api": 1.0, "health": 1.0}
        assert set(asked(server, "smoke_test_duration")) == {"api", "health", "_run"}
        assert asked(server, "smoke_test_db_query_time") == {"health": 4.2}
        assert asked(server, "push_failure_time_seconds") == {"api": 0.0, "health": 0.0, "_run": 0.0}


@pytest.mark.release
def test_a_pushgateway_that_is_down_costs_a_run_nothing_and_the_next_one_is_there(
    runner: Runner, tmp_path: Path
) -> None:
    with pushgateway(tmp_path) as url:
        gone = url
    environ = {"SMOKEPROBE_MONITORING": "prometheus", "SMOKEPROBE_PUSHGATEWAY_URL": gone}
    first = runner.run("--no-browser", "--check", "api", env=environ)
    assert first.code == 0, first.story()
    assert first.sink("prometheus")["dropped"] > 5  # it takes no time of day, so that later is never
    assert any(note.startswith("prometheus: no connection") for note in first.report["notes"])
    with pushgateway(tmp_path, int(gone.rpartition(":")[2])):
        second = runner.run("--no-browser", "--check", "api", env=environ)
        assert second.sink("prometheus")["dropped"] == 0, second.story()
        assert read_page(get(f"{gone}/metrics"))["smoke_test_success", "api", ""] == 1.0


@pytest.mark.release
def test_a_pushgateway_that_hangs_is_waited_for_two_seconds_at_most(runner: Runner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environ = {"SMOKEPROBE_MONITORING": "prometheus", "SMOKEPROBE_PUSHGATEWAY_URL": url}
        without = runner.run("--no-browser", "--check", "api")
        ran = runner.run("--no-browser", "--check", "api", env=environ)
    assert ran.code == 0, ran.story()
    assert ran.sink("prometheus")["dropped"] > 5
    assert "in time" in ran.report["notes"][0]
    added_s = ran.besides_s - without.besides_s
    assert added_s < 2.0 + 1.5, ran.story()  # the rest is what a busy machine makes of importing the client

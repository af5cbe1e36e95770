"""The stand-in's own calls, its command line, and the child process that tests use."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from probes.standin.faults import FAULTS, bodies, calls, edge, pages, wire
from probes.standin.process import StandIn, StandInProcessError
from probes.standin.server import StandInError, serve
from tests.standin.client import call, login


def test_ledger_tells_all_of_a_request(design: StandIn) -> None:
    headers = {"User-Agent": "probe/1", "X-Smokeprobe-Run": "run-7", "traceparent": "00-ab-cd-01", "Cookie": "a=b"}
    before = time.monotonic()
    call(design, "GET /api/v1/test?a=1&b", headers=headers)
    call(design, "POST /api/v1/enhance", {"text": "Explain tides"}, token="forged")
    first, second = design.ledger()
    assert before < first.pop("t") < second["t"] < time.monotonic()
    assert first.pop("request_id")
    assert first == {
        "n": 1,
        "method": "GET",
        "path": "/api/v1/test",
        "query": "a=1&b",
        "status": 200,
        "user_agent": "probe/1",
        "run": "run-7",
        "traceparent": "00-ab-cd-01",
        "authorization": False,
        "cookie": True,
        "limits": ["api", "test"],
        "body_bytes": 0,
        "client": "127.0.0.1",
    }
    assert (second["n"], second["authorization"], second["cookie"]) == (2, True, False)
    assert second["body_bytes"] == len(b'{"text": "Explain tides"}')


def test_control_calls_are_outside_limits_faults_and_ledger(design: StandIn) -> None:
    design.set_faults("throttled-429", "bot-challenge", "hang")
    for _ in range(5):
        design.state()
    assert design.state()["faults"] == ["throttled-429", "bot-challenge", "hang"]
    assert design.ledger() == []


def test_reset_forgets_everything(design: StandIn) -> None:
    token = login(design).json["access_token"]
    call(design, "POST /api/v1/enhance", {"text": "Explain tides"}, token=token)
    login(design, password="wrong")
    design.lock("premium", 60)
    design.set_faults("enhance-stores")
    call(design, "POST /api/v1/enhance", {"text": "Explain tides"})
    design.reset()
    state = design.state()
    nobody = {"basic": 0, "premium": 0}
    assert state.pop("locked") == {"basic": False, "premium": False}
    for name in ("open_sessions", "logins", "wrong_passwords", "history_rows"):
        assert state.pop(name) == nobody
    assert state.pop("faults") == []
    assert set(state.values()) == {0}
    assert design.ledger() == []
    assert call(design, "GET /api/v1/auth/profile", token=token).status == 401


def test_writes_are_counted_whatever_they_are_answered(design: StandIn) -> None:
    for request in ("POST /api/v1/prompts", "PUT /nowhere", "DELETE /api/v1/history", "POST /analytics/collect"):
        call(design, request, {})
    for request in ("GET /", "HEAD /health", "OPTIONS /api/v1/enhance"):
        call(design, request)
    state = design.state()
    assert state["writes"] == 4
    assert state["analytics_beacons"] == 1


def test_lock_by_hand(design: StandIn) -> None:
    design.lock("basic", 1800)
    assert login(design).status == 403
    with pytest.raises(StandInProcessError, match="account"):
        design.lock("nobody", 1)


def test_unknown_fault_by_control(design: StandIn) -> None:
    with pytest.raises(StandInProcessError, match=r"unknown fault: nope; there are: .*slow-health"):
        design.set_faults("nope")


def test_faults_have_names_of_their_own_and_say_what_to_expect() -> None:
    all_faults = [*wire.FAULTS, *bodies.FAULTS, *edge.FAULTS, *calls.FAULTS, *pages.FAULTS]
    assert len(FAULTS) == len(all_faults) >= 100
    for fault in all_faults:
        assert fault.expected
        assert "\n" not in fault.description
        for expected in fault.expected:
            assert (expected.layer is None) == (expected.outcome == "passed"), fault.name


def _run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "probes.standin", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_what_it_cannot_start_with_is_one_line_and_exit_code_2() -> None:
    done = _run("--host", "0.0.0.0")  # noqa: S104 - that it is refused
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "stand-in: it listens on loopback only (127.0.0.1, ::1), not on 0.0.0.0\n"


@pytest.mark.parametrize("host", ["10.1.2.3", "::", "example.org", ""])
def test_loopback_only(host: str) -> None:
    with pytest.raises(StandInError, match="loopback only"):
        serve(host, 0, "design", [])


def test_unknown_fault_lists_all() -> None:
    with pytest.raises(StandInError, match="unknown fault: nope; there are: ") as raised:
        serve("127.0.0.1", 0, "design", ["slow-health", "nope"])
    assert all(name in str(raised.value) for name in FAULTS)


def test_taken_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _run("--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"stand-in: cannot listen on 127.0.0.1, port {port}: Address already in use" in done.stderr


def test_bad_certificate(tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"
    cert.write_text("no certificate")
    with pytest.raises(StandInError, match="a certificate needs its key"):
        serve("127.0.0.1", 0, "design", [], tls_cert=cert)
    with pytest.raises(StandInError, match="cannot use certificate"):
        serve("127.0.0.1", 0, "design", [], tls_cert=cert, tls_key=cert)


def test_help_lists_every_fault() -> None:
    text = _run("--help").stdout
    assert all(f"  {name} " in text and fault.description in text for name, fault in FAULTS.items())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_at_once(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "probes.standin", "--persona", "gateway"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("stand-in (gateway) listening on http://127.0.0.1:")
        started = time.monotonic()
        child.send_signal(number)
        assert child.wait(5) == 0
        assert time.monotonic() - started < 3
        assert child.stderr is not None
        assert child.stderr.read() == ""


def test_child_that_does_not_start_is_told_in_its_own_words() -> None:
    with pytest.raises(StandInProcessError, match="unknown fault: nope"), StandIn(faults=["nope"]):
        pass


def test_child_ends_with_its_block_and_ignores_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with StandIn(faults=["version-2"]) as target:
        pid = target.pid
        assert target.state()["faults"] == ["version-2"]
    target.stop()
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with StandIn(tls=(cert, key)) as target:
        assert target.url.startswith("https://127.0.0.1:")
        at = urlsplit(target.url).netloc
        untrusting = http.client.HTTPSConnection(at, timeout=5, context=ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            untrusting.request("GET", "/health")
        untrusting.close()
        trusting = http.client.HTTPSConnection(at, timeout=5, context=context)
        for fault in ("reset-mid-body", "close-before-answer"):
            target.set_faults(fault)
            trusting.request("GET", "/health")
            with pytest.raises((OSError, http.client.HTTPException)):
                trusting.getresponse().read()
            trusting.close()
        target.reset()
        trusting.request("GET", "/health")
        with trusting.getresponse() as response:
            assert response.read().startswith(b'{"status":"healthy"')
        trusting.close()

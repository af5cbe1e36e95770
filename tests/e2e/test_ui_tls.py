"""`smokeprobe ui` over TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from probes.standin.process import StandIn
from tests.e2e.harness import SMOKEPROBE, Runner
from tests.e2e.ui_harness import PASSWORD, chromium_page, ui_of
from tests.waiting import until

pytestmark = pytest.mark.release


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> tuple[str, ...]:
    """The options that name a certificate of the loopback and its key."""
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    return ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))


def test_over_tls_one_logs_in_runs_and_pauses_in_a_real_browser(
    target: StandIn, runner: Runner, ui_config: Path, authority: trustme.CA, files: tuple[str, ...]
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with ui_of(runner, ui_config, "--no-browser", *files, password=PASSWORD, tls=trusting) as ui:
        assert "Secure" in {part.strip() for part in ui.log_in().headers["set-cookie"].split(";")}
        assert ui.post("/smoke/pause", Origin="https://evil.example").status == 403
        with chromium_page(ignore_https_errors=True) as page:
            page.goto(f"{ui.url}/smoke")
            page.get_by_label("User name").fill("smokeprobe")
            page.get_by_label("Password").fill(PASSWORD)
            page.keyboard.press("Enter")
            page.get_by_role("button", name="Run all checks now").click()
            page.get_by_text("All 3 checks: passed").wait_for(timeout=15_000)
        with socket.create_connection(("127.0.0.1", ui.port), timeout=5) as plain:
            plain.sendall(b"GET /smoke HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert plain.recv(1) == b""
        assert until(lambda: "broke off: HTTP_REQUEST" in ui.log.read_text())
        assert f"the web UI is at https://127.0.0.1:{ui.port}/" in ui.log.read_text()
        assert ui.end() == 130
        assert "Traceback" not in ui.log.read_text()
    assert target.ledger() != []


def test_files_that_cannot_be_served_with_end_it_before_it_begins(
    runner: Runner, ui_config: Path, files: tuple[str, ...]
) -> None:
    line = [SMOKEPROBE, "ui", "--config", str(ui_config), "--state-dir", str(runner.folder / "state"), *files[:2]]
    done = subprocess.run(line, env=runner.environment(), capture_output=True, text=True, timeout=40, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1].split(":")[0]) == (2, "--tls-cert without --tls-key"), done
    assert "Traceback" not in done.stderr

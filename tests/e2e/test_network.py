"""What breaks below HTTP is told apart, layer by layer: names, connections, certificates."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from probes.standin.process import StandIn
from tests.clients.raw_server import refusing_port
from tests.e2e.harness import CHECKS, SHORT, Ran, Runner, write_config

HTTP_CHECKS = tuple(check for check in CHECKS if check != "homepage")
HOSTS = ["127.0.0.1:*", "localhost:*", "smoke.invalid:*"]

RunAt = Callable[..., Ran]


@pytest.fixture
def run_at(target: StandIn, tmp_path: Path) -> RunAt:
    """Run at another URL than the stand-in's: the last --target-url counts."""
    overrides = {
        "run": {"timeout": "24s"},
        "checks": SHORT | {"homepage": {"timeout": "15s"}},  # a busy machine must not make a time-out of a refusal
        "credentials": {"hosts": HOSTS},
    }
    runner = Runner(target, tmp_path, write_config(tmp_path / "elsewhere.yaml", overrides))

    def run(url: str, *arguments: str, **env: str) -> Ran:
        return runner.run("--target-url", url, *arguments, env=env)

    return run


def assert_all_failed(ran: Ran, layer: str, checks: tuple[str, ...] = HTTP_CHECKS) -> None:
    assert ran.code == 1, ran.story()
    assert {check: (ran.outcome(check), ran.layer(check)) for check in checks} == dict.fromkeys(
        checks, ("failed", layer)
    ), ran.story()


@pytest.mark.slow
def test_an_unknown_name(run_at: RunAt) -> None:
    ran = run_at("http://smoke.invalid:8089")

    assert_all_failed(ran, "dns", CHECKS)
    assert "the name is not known" in ran.reason("health")


@pytest.mark.slow
def test_a_port_that_nobody_listens_on(run_at: RunAt) -> None:
    with refusing_port() as port:
        ran = run_at(f"http://127.0.0.1:{port}")

    assert_all_failed(ran, "connect", CHECKS)
    assert "refused" in ran.reason("health")
    (note,) = ran.report["notes"]
    assert f"Nothing listens at http://127.0.0.1:{port}. Start something to try it on (smokeprobe standin" in note


@contextmanager
def deaf_port() -> Iterator[int]:
    """A listener whose queue is full, so that the kernel answers no further SYN: as an address that leads nowhere."""
    with ExitStack() as sockets:
        server = sockets.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        for _ in range(4):
            client = sockets.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(address)
        yield address[1]


@pytest.mark.slow
def test_a_host_that_cannot_be_reached(run_at: RunAt) -> None:
    with deaf_port() as port:
        ran = run_at(f"http://127.0.0.1:{port}", "--no-browser")

    assert_all_failed(ran, "connect")
    assert "no connection within" in ran.reason("health")
    assert ran.report["duration_s"] < 25


def test_plain_http_where_tls_was_meant(target: StandIn, run_at: RunAt) -> None:
    ran = run_at(target.url.replace("http://", "https://"), "--no-browser", "--check", "health")

    assert_all_failed(ran, "tls", ("health",))


class Authority:
    """A throw-away CA, and stand-ins with certificates of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def pair(self, host: str = "127.0.0.1", days: float = 90.0, ca: trustme.CA | None = None) -> tuple[Path, Path]:
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        begins = min(dt.datetime.now(dt.UTC), ends) - dt.timedelta(days=2)
        issued = (ca or self._ca).issue_cert(host, not_before=begins, not_after=ends)
        certificate, key = self._folder / "cert.pem", self._folder / "key.pem"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return certificate, key


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    folder = tmp_path / "ca"
    folder.mkdir()
    return Authority(folder)


def test_a_good_certificate_passes_and_its_days_are_told(authority: Authority, run_at: RunAt) -> None:
    # not in the browser: Chromium trusts no CA from the environment, and nothing may make it trust any other
    with StandIn("design", tls=authority.pair()) as secure:
        ran = run_at(secure.url, "--no-browser", SSL_CERT_FILE=str(authority.file), SMOKE_TEST_PASSWORD=secure.password)

    assert ran.code == 0, ran.story()
    assert ran.checks["health"]["certificate_days"] == pytest.approx(90, abs=0.1)
    assert ran.step("health", "edge")["phases"]["tls_ms"] > 0
    assert re.search(r"^ +edge +\S+ ms +5\.00 s *$", ran.stdout, re.MULTILINE), ran.stdout
    assert re.search(r"^left out +homepage, login's web \(by --no-browser\) *$", ran.stdout, re.MULTILINE), ran.stdout
    assert "skipped:" not in ran.stdout
    assert re.search(r"^certificate +(89|90) days left *$", ran.stdout, re.MULTILINE), ran.stdout


@pytest.mark.parametrize(("days", "outcome"), [(20, "degraded"), (5, "failed")])
def test_a_certificate_that_ends_soon(days: float, outcome: str, authority: Authority, run_at: RunAt) -> None:
    with StandIn("design", tls=authority.pair(days=days)) as secure:
        ran = run_at(secure.url, "--no-browser", "--check", "health", SSL_CERT_FILE=str(authority.file))

    assert ran.code == 1, ran.story()
    assert (ran.outcome("health"), ran.layer("health")) == (outcome, "tls")
    assert f"{days}.0 days" in ran.reason("health")


@pytest.mark.parametrize(
    ("host", "days", "known", "says"),
    [
        pytest.param("127.0.0.1", -1, True, "expired", id="expired", marks=pytest.mark.slow),
        pytest.param(
            "127.0.0.1",
            90,
            False,
            "unable to get local issuer certificate",
            id="unknown issuer",
            marks=pytest.mark.slow,
        ),
        pytest.param("other.invalid", 90, True, "IP address mismatch", id="wrong host", marks=pytest.mark.slow),
    ],
)
def test_a_certificate_that_is_refused(
    host: str, days: float, known: bool, says: str, authority: Authority, run_at: RunAt
) -> None:
    pair = authority.pair(host, days, None if known else trustme.CA())
    with StandIn("design", tls=pair) as secure:
        ran = run_at(secure.url, "--check", "health", "--check", "homepage", SSL_CERT_FILE=str(authority.file))
        sent = secure.ledger()

    assert_all_failed(ran, "tls", ("health", "homepage"))
    assert says in ran.reason("health")
    assert sent == []


@pytest.mark.slow
def test_a_self_signed_certificate(tmp_path: Path, run_at: RunAt) -> None:
    with StandIn("design", tls=self_signed(tmp_path)) as secure:
        ran = run_at(secure.url, "--check", "health", "--check", "homepage")

    assert_all_failed(ran, "tls", ("health", "homepage"))
    assert "self-signed certificate" in ran.reason("health")


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today)
        .not_valid_after(today + dt.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "self.pem", folder / "self.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def test_the_environment_cannot_turn_verification_off(authority: Authority, run_at: RunAt) -> None:
    with StandIn("design", tls=authority.pair()) as secure:
        ran = run_at(
            secure.url, "--no-browser", "--check", "health",
            REQUESTS_CA_BUNDLE=str(authority.file), CURL_CA_BUNDLE=str(authority.file), PYTHONHTTPSVERIFY="0",
        )  # fmt: skip

    assert_all_failed(ran, "tls", ("health",))


def test_credentials_go_to_listed_hosts_only(target: StandIn, runner: Runner) -> None:
    ran = runner.run("--target-url", "http://smoke.invalid:8089")

    assert ran.code == 2
    assert "credentials.hosts" in ran.stdout + ran.stderr
    assert target.ledger() == []

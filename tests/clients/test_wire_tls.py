"""TLS on the wire: its time, its facts, and whom it trusts."""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from probes.model import Layer
from probes.trust import trusting_context
from tests.clients.http_help import failure, rig, total_ms
from tests.clients.raw_server import OK, RawServer, Talk, always, once

# --- TLS ---


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def _trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "roots.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))


def serving(certificate: trustme.LeafCert, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    certificate.configure_cert(context)
    return context


@contextlib.contextmanager
def secure(certificate: trustme.LeafCert, **options: Any) -> Iterator[RawServer]:
    with RawServer(always(OK), serving(certificate, **options)) as server:
        yield server


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize(
    ("version", "name"), [(ssl.TLSVersion.TLSv1_2, "1.2"), (ssl.TLSVersion.TLSv1_3, "1.3")], ids=["1.2", "1.3"]
)
def test_tls_is_timed_and_its_facts_are_known_for_every_request(
    authority: trustme.CA, version: ssl.TLSVersion, name: str
) -> None:
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=10)
    with secure(authority.issue_cert("127.0.0.1", not_after=ends), version=version) as server:
        tested = rig(server.url)
        first, second = tested.get(), tested.get()
    for response in (first, second):
        assert response.facts.tls_version == name
        assert response.facts.certificate_days == pytest.approx(10, abs=0.01)
        assert total_ms(response.phases) <= response.duration_ms
    assert first.phases.tls_ms is not None
    assert first.phases.tls_ms > 0
    assert second.phases.tls_ms is None
    assert server.connections == 1


@pytest.mark.usefixtures("_trusted")
def test_tls_time_is_its_own_and_not_the_connections(authority: trustme.CA) -> None:
    def slow_handshake(talk: Talk) -> None:
        time.sleep(0.15)
        with serving(authority.issue_cert("127.0.0.1")).wrap_socket(talk.sock, server_side=True) as sock:
            once(OK)(Talk(sock, talk.server, talk.number))

    with RawServer(slow_handshake) as server:
        phases = rig(f"https://127.0.0.1:{server.port}").get().phases
    assert phases.tls_ms is not None
    assert phases.connect_ms is not None
    assert phases.tls_ms >= 149
    assert phases.connect_ms < 149


def _expired(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert(
        "127.0.0.1",
        not_before=dt.datetime.now(dt.UTC) - dt.timedelta(days=2),
        not_after=dt.datetime.now(dt.UTC) - dt.timedelta(days=1),
    )


@pytest.mark.usefixtures("_trusted")
def test_certificates_that_are_wrong(authority: trustme.CA) -> None:
    other = trustme.CA()
    cases = {
        "certificate has expired": _expired(authority),
        "IP address mismatch": authority.issue_cert("127.0.0.9"),
        "unable to get local issuer certificate": other.issue_cert("127.0.0.1"),
    }
    for words, certificate in cases.items():
        with secure(certificate) as server:
            problem = failure(rig(server.url).get)
        assert problem.layer is Layer.TLS
        assert problem.message.startswith("certificate refused: ")
        assert words in problem.message
        assert server.requests == []


def test_a_certificate_of_nobody_is_refused(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere")
    with secure(authority.issue_cert("127.0.0.1")) as server:
        assert failure(rig(server.url).get).message.startswith("certificate refused: ")


def test_tls_to_a_plain_server() -> None:
    with RawServer(lambda talk: talk.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        problem = failure(rig(f"https://127.0.0.1:{server.port}").get)
    assert problem.layer is Layer.TLS
    assert problem.message.startswith("TLS failed: ")


@pytest.mark.usefixtures("_trusted")
def test_plain_http_to_a_tls_server(authority: trustme.CA) -> None:
    with secure(authority.issue_cert("127.0.0.1")) as server:
        problem = failure(lambda: rig(f"http://127.0.0.1:{server.port}").get(timeout_s=2))
    assert problem.layer is Layer.HTTP


def test_our_context_verifies_whatever_is_asked(authority: trustme.CA) -> None:
    context = trusting_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    with secure(authority.issue_cert("127.0.0.1")) as server:
        tested = rig(server.url)
        tested.client._session.verify = False  # noqa: SLF001 - what an author of a check might try
        assert failure(tested.get).layer is Layer.TLS

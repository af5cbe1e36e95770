"""Which files the web UI can serve TLS with, and what is said of the others before anything is begun."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from probes.errors import ConfigError
from probes.swarm.web_tls import tls_context


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate with its key, another's key, and files that are neither."""
    made = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    own, other = authority.issue_cert("probe.example.com"), authority.issue_cert("other.example.com")
    own.cert_chain_pems[0].write_to_path(made / "cert.pem")
    own.private_key_pem.write_to_path(made / "key.pem")
    other.private_key_pem.write_to_path(made / "other-key.pem")
    own.private_key_and_cert_chain_pem.write_to_path(made / "both.pem")
    key = load_pem_private_key(own.private_key_pem.bytes(), None)
    (made / "locked.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a phrase"))
    )
    (made / "old-locked.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"a phrase"))
    )
    (made / "text.pem").write_text("no PEM\n")
    (made / "binary.pem").write_bytes(bytes(range(256)))
    broken = own.private_key_pem.bytes().splitlines(keepends=True)
    (made / "broken.pem").write_bytes(b"".join([*broken[:1], *broken[2:]]))
    return made


@pytest.mark.parametrize(("certificate", "key"), [("cert.pem", "key.pem"), ("both.pem", "both.pem")])
def test_a_certificate_and_its_key(folder: Path, certificate: str, key: str) -> None:
    assert tls_context(str(folder / certificate), str(folder / key)) is not None


def test_without_both_there_is_no_tls() -> None:
    assert tls_context("", "") is None


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("cert.pem", "", "--tls-cert without --tls-key"),
        ("", "key.pem", "--tls-key without --tls-cert"),
        ("none.pem", "key.pem", "--tls-cert {}/none.pem: No such file or directory."),
        ("cert.pem", "none.pem", "--tls-key {}/none.pem: No such file or directory."),
        ("", ".", "--tls-key without --tls-cert"),
        ("cert.pem", ".", "--tls-key {}: Is a directory."),
        ("text.pem", "key.pem", "--tls-cert {}/text.pem: there is no certificate in it."),
        ("binary.pem", "key.pem", "--tls-cert {}/binary.pem: there is no certificate in it."),
        ("key.pem", "key.pem", "--tls-cert {}/key.pem: there is no certificate in it."),
        ("cert.pem", "cert.pem", "--tls-key {}/cert.pem: there is no private key in it."),
        ("cert.pem", "other-key.pem", "--tls-key {}/other-key.pem: this is not the key of --tls-cert {}/cert.pem."),
        ("cert.pem", "locked.pem", "--tls-key {}/locked.pem: the key is locked by a pass phrase."),
        ("cert.pem", "old-locked.pem", "--tls-key {}/old-locked.pem: the key is locked by a pass phrase."),
        ("cert.pem", "broken.pem", "--tls-cert {}/cert.pem and --tls-key {}/broken.pem cannot be used: "),
    ],
)
def test_what_it_cannot_serve_with_is_named(folder: Path, certificate: str, key: str, said: str) -> None:
    def path(name: str) -> str:
        return str(folder / name) if name else ""

    with pytest.raises(ConfigError) as caught:
        tls_context(path(certificate), path(key))
    assert str(caught.value).startswith(said.format(folder, folder))
    assert len(str(caught.value).splitlines()) == 1

"""Mail over real SMTP: encrypted, logged in, in threads; and what comes of a server that does not take it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from probes.alerts.channels import make_channel
from probes.alerts.notice import Channel, NotTakenError
from tests.alerts.mail_server import PASSWORD, USER, MailServer, Mode, Security, mail_server
from tests.alerts.notices import FIRING, REMINDER, RESOLVED, channels

TO = "oncall@betterprompts.com"

# aiosmtpd does not know that a connection within implicit TLS is encrypted
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def served(
    folder: Path, authority: trustme.CA, security: Security = "none", *, login: bool = False, name: str = "127.0.0.1"
) -> Iterator[tuple[MailServer, Channel]]:
    """A server, and the channel to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    options = {"host": "127.0.0.1", "security": security, "from": "smokeprobe@betterprompts.com"}
    if login:
        options |= {"user": USER, "password": {"env": "SMTP_PASSWORD"}}  # type: ignore[dict-item] # JSON
    with mail_server(security, context, login=login) as server:
        known = channels(folder, mail={**options, "port": server.port})
        yield server, make_channel(TO, known, {"SMTP_PASSWORD": PASSWORD})


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_arrives_encrypted_and_after_a_login(tmp_path: Path, authority: trustme.CA, security: Security) -> None:
    with served(tmp_path, authority, security, login=True) as (server, channel):
        channel.send(FIRING)
    (mail,) = server.mails
    assert (server.recipients, server.encrypted, server.logins) == ([TO], [True], [USER])
    assert set(server.greeted_as) == {"betterprompts.com"}  # and not this machine's name
    assert mail["Subject"] == "CRITICAL success 0.42: api, health - production"
    assert (mail["From"], mail["To"]) == ("smokeprobe <smokeprobe@betterprompts.com>", TO)
    assert (mail["Auto-Submitted"], mail["Importance"]) == ("auto-generated", "high")
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "Actual: 0.42\n" in text.get_content().replace("\r\n", "\n")
    assert 'href="https://docs.example.com/guide.md#success"' in html.get_content()


def test_the_mails_of_an_incident_are_a_thread_and_one_that_comes_twice_is_the_same(
    tmp_path: Path, authority: trustme.CA
) -> None:
    other = replace(FIRING, key="another")
    with served(tmp_path, authority) as (server, channel):
        for notice in (FIRING, FIRING, REMINDER, RESOLVED, other):
            channel.send(notice)
    first, again, *later, of_another = server.mails
    assert again.as_bytes() == first.as_bytes()
    assert "References" not in first
    assert [mail["References"] for mail in later] == [first["Message-ID"]] * 2
    assert [mail["In-Reply-To"] for mail in later] == [first["Message-ID"]] * 2
    assert len({mail["Message-ID"] for mail in server.mails}) == 4
    assert of_another["Message-ID"] != first["Message-ID"]


@pytest.mark.parametrize(
    ("mode", "why", "for_good"),
    [
        ("refuse", "SMTP 550: it takes no mail from us to this address", True),
        ("refuse sender", "SMTP 550: it takes no mail from us to this address", True),
        ("limit", "SMTP 450: it takes nothing now", False),
        ("die", "the connection was cut off: whether it was taken is not known", False),
        ("hang", "it does not answer in time", False),
        ("drip", "it does not answer in time", False),
    ],
)
def test_a_server_that_does_not_take_it(
    tmp_path: Path, authority: trustme.CA, mode: Mode, why: str, for_good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probes.alerts.mail.TAKES_S", 1.5 if mode in {"hang", "drip"} else 30.0)
    with served(tmp_path, authority) as (server, channel):
        server.mode = mode
        begun = time.monotonic()
        with pytest.raises(NotTakenError) as raised:
            channel.send(FIRING)
        assert time.monotonic() - begun < 20
    assert (str(raised.value), raised.value.for_good) == (why, for_good)
    assert "internal" not in str(raised.value)


def test_what_died_after_data_comes_again_as_the_same_mail(tmp_path: Path, authority: trustme.CA) -> None:
    with served(tmp_path, authority) as (server, channel):
        server.mode = "die"
        with pytest.raises(NotTakenError):
            channel.send(FIRING)
        server.mode = "up"
        channel.send(FIRING)
    assert len({mail["Message-ID"] for mail in server.mails}) == 1
    assert len(server.mails) == 2


@pytest.mark.usefixtures("trusted")
def test_a_login_that_is_refused(tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path, authority, "starttls", login=True) as (server, channel):
        monkeypatch.setattr(channel, "_password", "wrong")
        with pytest.raises(NotTakenError) as raised:
            channel.send(FIRING)
    assert str(raised.value) == "SMTP 535: it does not take the login: is the environment variable SMTP_PASSWORD right?"
    assert (raised.value.for_good, raised.value.after_s, server.mails) == (False, 60.0, [])


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_somebody_else_is_not_trusted(
    tmp_path: Path, authority: trustme.CA, security: Security
) -> None:
    with served(tmp_path, authority, security, login=True) as (server, channel), pytest.raises(NotTakenError) as raised:
        channel.send(FIRING)
    assert str(raised.value) == "its certificate is not trusted, or it speaks no TLS"
    assert server.logins == []


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_host_is_not_trusted(tmp_path: Path, authority: trustme.CA) -> None:
    with served(tmp_path, authority, "tls", name="mail.example.org") as (server, channel):
        with pytest.raises(NotTakenError, match="certificate is not trusted"):
            channel.send(FIRING)
        assert server.mails == []


def test_nothing_goes_in_the_clear_where_the_server_offers_no_starttls(tmp_path: Path) -> None:
    with mail_server("none", None, login=False) as server:
        options = {"host": "127.0.0.1", "port": server.port, "from": "smokeprobe@example.com"}
        channel = make_channel(TO, channels(tmp_path, mail=options), {})
        with pytest.raises(NotTakenError, match="the server does not offer starttls"):
            channel.send(FIRING)
        assert server.mails == []


def test_nobody_listens(tmp_path: Path, authority: trustme.CA) -> None:
    with served(tmp_path, authority) as (_, channel):
        pass
    with pytest.raises(NotTakenError, match="no connection, or it was cut off"):
        channel.send(FIRING)

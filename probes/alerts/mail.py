"""E-mail over SMTP. The mails of one incident are one thread, and a mail that is sent twice has one Message-ID."""

from __future__ import annotations

import contextlib
import hashlib
import smtplib
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from probes.alerts.mail_page import page
from probes.alerts.message import message
from probes.alerts.notice import Notice, NotTakenError
from probes.alerts.taking import MENDED_S, TAKES_S
from probes.config.channels import Channels, MailOptions
from probes.delivery import UnansweredError, within
from probes.trust import trusting_context

WAITS_S = 5.0
"""What connecting, and each wait for an answer, may take; all together `TAKES_S`."""

_LOGIN: Final = frozenset({530, 534, 535, 538})
"""Answers that ask for another login (RFC 4954)."""


class Mail:
    """The way to one address, by one server."""

    def __init__(self, address: str, options: MailOptions, password: str, channels: Channels) -> None:
        self.address = address
        self._options, self._password, self._channels = options, password, channels

    def send(self, notice: Notice) -> None:
        """One mail, on a connection of its own. Raises NotTakenError."""
        mail = mail_of(notice, self.address, self._options.sender, self._channels)
        try:
            within(TAKES_S, lambda: self._hand_over(mail))
        except UnansweredError as problem:
            raise NotTakenError(str(problem)) from None
        except smtplib.SMTPServerDisconnected:
            raise NotTakenError("the connection was cut off: whether it was taken is not known") from None
        except smtplib.SMTPNotSupportedError:
            wants = "a login" if self._options.user else self._options.security
            raise NotTakenError(f"the server does not offer {wants}", after_s=MENDED_S) from None
        except smtplib.SMTPRecipientsRefused as refused:
            raise self._refused(next(code for code, _ in refused.recipients.values())) from None
        except smtplib.SMTPConnectError as refused:
            raise NotTakenError(f"SMTP {refused.smtp_code}: it takes no connection now") from None
        except smtplib.SMTPResponseException as refused:
            raise self._refused(refused.smtp_code) from None
        except smtplib.SMTPException as problem:
            raise NotTakenError(f"{type(problem).__name__} while sending") from None
        except ssl.SSLError:
            raise NotTakenError("its certificate is not trusted, or it speaks no TLS", after_s=MENDED_S) from None
        except OSError:
            raise NotTakenError("no connection, or it was cut off") from None

    def _hand_over(self, mail: EmailMessage) -> None:
        options = self._options
        own_name = options.sender.rpartition("@")[2]  # and not this machine's
        with contextlib.ExitStack() as stack:
            if options.security == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(
                    options.host, options.port, own_name, timeout=WAITS_S, context=trusting_context(())
                )
            else:
                server = smtplib.SMTP(options.host, options.port, own_name, timeout=WAITS_S)
            stack.callback(server.close)
            if options.security == "starttls":
                server.starttls(context=trusting_context(()))
            if options.user is not None:
                server.login(options.user, self._password)
            server.send_message(mail, options.sender, [self.address])
            with contextlib.suppress(smtplib.SMTPException, OSError):  # it has been taken
                server.quit()

    def _refused(self, code: int) -> NotTakenError:
        if code in _LOGIN:
            source = self._options.password or "a login"
            return NotTakenError(f"SMTP {code}: it does not take the login: is {source} right?", after_s=MENDED_S)
        if 500 <= code < 600:
            return NotTakenError(f"SMTP {code}: it takes no mail from us to this address", for_good=True)
        return NotTakenError(f"SMTP {code}: it takes nothing now")


def mail_of(notice: Notice, to: str, sender: str, channels: Channels) -> EmailMessage:
    """The mail of a notice; the same one each time it is made."""
    said = message(notice, channels)
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = said.subject
    mail["From"] = Address("smokeprobe", addr_spec=sender)
    mail["To"] = to
    mail["Date"] = format_datetime(datetime.fromtimestamp(int(notice.at), UTC))
    mail["Message-ID"] = _id(notice.key, notice.number, sender)
    if notice.number > 1:
        first = _id(notice.key, 1, sender)
        mail["In-Reply-To"] = first
        mail["References"] = first
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
    mail["X-Auto-Response-Suppress"] = "All"
    if notice.severity == "critical" and notice.change in {"firing", "worse"}:
        mail["Importance"] = "high"
    mail.set_content(said.text, cte="quoted-printable")
    mail.add_alternative(page(said), subtype="html", cte="quoted-printable")
    mail.set_boundary(_digest(notice.key, notice.number))
    return mail


def _id(key: str, number: int, sender: str) -> str:
    return f"<{_digest(key, number)}@{sender.rpartition('@')[2]}>"


def _digest(key: str, number: int) -> str:
    return f"smokeprobe-{hashlib.sha256(key.encode()).hexdigest()[:32]}-{number}"

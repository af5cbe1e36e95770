"""A real SMTP server in a thread: aiosmtpd, with TLS from a throw-away authority, and ways not to take a mail."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from threading import Thread
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Security = Literal["starttls", "tls", "none"]
Mode = Literal["up", "refuse", "refuse sender", "limit", "hang", "die", "drip"]

USER, PASSWORD = "smokeprobe@example.com", "pass-on-4711-mail"


@dataclass
class MailServer:
    """What came, and how it behaves from now on."""

    port: int = 0
    mode: Mode = "up"
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    greeted_as: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    # the names and arguments of what follows are aiosmtpd's

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.greeted_as.append(hostname)
        if self.mode == "drip":
            for _ in range(600):
                await server.push("250-still here")
                await asyncio.sleep(0.05)
        return responses

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.mode == "refuse sender":
            return "550 5.7.1 mail.internal.example says no"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.mode == "refuse":
            return "550 5.1.1 nobody of that name at mail.internal.example"
        if self.mode == "limit":
            return "450 4.7.1 too many, slow down"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.mode == "hang":
            await asyncio.sleep(60)
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients += envelope.rcpt_tos
        transport = server.transport
        assert isinstance(transport, asyncio.Transport)
        self.encrypted.append(transport.get_extra_info("sslcontext") is not None)
        if self.mode == "die":
            transport.abort()
        return "250 taken"

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login.decode())
        return AuthResult(success=(data.login.decode(), data.password.decode()) == (USER, PASSWORD), handled=False)


@contextmanager
def mail_server(security: Security, context: ssl.SSLContext | None, *, login: bool) -> Iterator[MailServer]:
    """A server on the loopback, gone with the context."""
    found = MailServer()
    listening = socket.create_server(("127.0.0.1", 0))
    found.port = listening.getsockname()[1]
    options: dict[str, Any] = {"hostname": "mail.internal.example"}
    if security == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    if login:
        options |= {
            "authenticator": found.authenticate,
            "auth_required": True,
            "auth_require_tls": security == "starttls",
        }
    loop = asyncio.new_event_loop()

    async def serve() -> asyncio.Server:
        return await loop.create_server(
            lambda: SMTP(found, loop=loop, **options), sock=listening, ssl=context if security == "tls" else None
        )

    server = loop.run_until_complete(serve())
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield found
    finally:
        asyncio.run_coroutine_threadsafe(_end(server, loop), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server, loop: asyncio.AbstractEventLoop) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)

"""The target's test accounts: passwords, sessions, lockout and history rows."""

import base64
import hashlib
import hmac
import json
import secrets
import struct
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from probes.standin.limiter import Persona

DEFAULT_PASSWORD = "stand-in"  # noqa: S105 - the accounts are toys; known to whoever runs them
EMAILS = {
    "basic": "smoke-test-basic@betterprompts.com",
    "premium": "smoke-test-premium@betterprompts.com",
}
WRONG_PASSWORDS_UNTIL_LOCKED = 5
LOCK_TIME = timedelta(minutes=30)
TOKEN_LIFE = timedelta(minutes=15)
SHORTEST_PASSWORD = 8
_TOTP_STEP_S = 30


class RefusedError(Exception):
    """A call that the account's state does not allow; says the answer to give."""

    def __init__(self, status: int, error: str, **fields: str) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, **fields}


@dataclass
class Account:
    """One test account and all that is stored for it."""

    alias: str
    email: str
    password: str
    last_login_at: datetime | None = None
    wrong_passwords: int = 0
    """In a row; a lock that runs out leaves them, so one more wrong one locks again."""
    locked_until: datetime | None = None
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Session:
    """One login, until its log-out."""

    account: Account
    access_token: str
    refresh_token: str
    expires_at: datetime
    previous_login_at: datetime | None
    open: bool = True


class Accounts:
    """The accounts with their sessions. Every call takes now, the target's own time."""

    def __init__(self, persona: Persona, password: str, totp_secret: str = "") -> None:
        self._persona = persona
        self._totp_secret = totp_secret
        self.by_alias = {alias: Account(alias, email, password) for alias, email in EMAILS.items()}
        self._by_access_token: dict[str, Session] = {}
        self._by_refresh_token: dict[str, Session] = {}
        self.logins: Counter[str] = Counter()
        self.wrong_passwords: Counter[str] = Counter()
        self.logouts = 0

    def login(self, name: str, password: str, totp_code: str, now: datetime) -> Session:
        """Open a session. Raises RefusedError with 401, or with 403 while the account is locked."""
        account = self._named(name)
        if account is None:
            raise RefusedError(401, "invalid credentials")
        if account.locked_until is not None and now < account.locked_until:
            raise RefusedError(403, "account is locked", locked_until=iso(account.locked_until))
        if not hmac.compare_digest(password.encode(), account.password.encode()):
            self._note_wrong_password(account, now)
            raise RefusedError(401, "invalid credentials")
        if self._totp_secret and not totp_matches(self._totp_secret, totp_code, now):
            raise RefusedError(401, "invalid one-time code")
        return self._open(account, now)

    def session_of(self, access_token: str, now: datetime) -> Session:
        """The session that a token belongs to. Raises RefusedError with 401 if there is none, or no longer."""
        session = self._by_access_token.get(access_token)
        if session is None or now >= session.expires_at:
            raise RefusedError(401, "invalid or expired token")
        return session

    def refresh(self, refresh_token: str, now: datetime) -> Session:
        """Give a session a new access token. Raises RefusedError with 401."""
        session = self._by_refresh_token.get(refresh_token)
        if session is None:
            raise RefusedError(401, "invalid refresh token")
        self._by_access_token.pop(session.access_token, None)
        session.access_token = access_token(session.account, now)
        session.expires_at = now + TOKEN_LIFE
        self._by_access_token[session.access_token] = session
        return session

    def logout(self, session: Session, refresh_token: str) -> None:
        """End a session (design), or revoke all refresh tokens of its account and leave access as it is (gateway)."""
        self.logouts += 1
        if self._persona == "design":
            self._by_access_token.pop(session.access_token, None)
            self._by_refresh_token.pop(session.refresh_token, None)
            session.open = False
        elif self._by_refresh_token.get(refresh_token) is not None:
            for token, other in list(self._by_refresh_token.items()):
                if other.account is session.account:
                    del self._by_refresh_token[token]
                    other.open = False

    def change_password(self, session: Session, current: str, new: str, confirmed: str) -> None:
        """Set a new password. Raises RefusedError with 400 and the reason."""
        account = session.account
        if not hmac.compare_digest(current.encode(), account.password.encode()):
            raise RefusedError(400, "current password is wrong")
        if new != confirmed:
            raise RefusedError(400, "the new passwords differ")
        if len(new) < SHORTEST_PASSWORD or new == current:
            raise RefusedError(400, "the new password is too short or the old one")
        account.password = new

    def lock(self, alias: str, until: datetime) -> None:
        """Lock an account as five wrong passwords do. Raises KeyError for an unknown alias."""
        account = self.by_alias[alias]
        account.locked_until = until
        account.wrong_passwords = WRONG_PASSWORDS_UNTIL_LOCKED

    def open_sessions(self) -> dict[str, int]:
        """How many sessions of each account nobody has ended."""
        tokens = self._by_refresh_token.values()
        return {alias: sum(s.account.alias == alias and s.open for s in tokens) for alias in self.by_alias}

    def _named(self, name: str) -> Account | None:
        name = name.strip().lower()
        return next((a for a in self.by_alias.values() if name in {a.email, a.email.partition("@")[0]}), None)

    def _note_wrong_password(self, account: Account, now: datetime) -> None:
        self.wrong_passwords[account.alias] += 1
        account.wrong_passwords += 1
        if account.wrong_passwords >= WRONG_PASSWORDS_UNTIL_LOCKED:
            account.locked_until = now + LOCK_TIME

    def _open(self, account: Account, now: datetime) -> Session:
        session = Session(
            account,
            access_token(account, now),
            refresh_token=secrets.token_urlsafe(32),
            expires_at=now + TOKEN_LIFE,
            previous_login_at=account.last_login_at,
        )
        self._by_access_token[session.access_token] = session
        self._by_refresh_token[session.refresh_token] = session
        self.logins[account.alias] += 1
        account.last_login_at = now
        account.wrong_passwords = 0
        account.locked_until = None
        return session


def access_token(account: Account, now: datetime) -> str:
    """A token with the look of a JWT. Its signature is random: the stand-in knows its tokens by heart."""
    header = {"alg": "HS256", "typ": "JWT"}
    claims = {"sub": account.email, "jti": secrets.token_hex(8), "exp": int((now + TOKEN_LIFE).timestamp())}
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), secrets.token_bytes(32)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def totp_matches(secret: str, code: str, now: datetime) -> bool:
    """Whether code is the one-time code of now, or of one step before or after (RFC 6238: SHA-1, 30 s, 6 digits)."""
    step = int(now.timestamp()) // _TOTP_STEP_S
    return any(hmac.compare_digest(totp(secret, step + drift).encode(), code.encode()) for drift in (-1, 0, 1))


def totp(secret: str, step: int) -> str:
    """The code of one step, from a base32 secret (RFC 4226, section 5.3)."""
    padded = secret.replace(" ", "").upper()
    key = base64.b32decode(padded + "=" * (-len(padded) % 8))
    digest = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 0x0F)
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06d}"


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

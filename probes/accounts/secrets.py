"""What logs a test account in, and the secret that lets us past the edge."""

from __future__ import annotations

import re
from collections.abc import Mapping

from probes.checks.probe import AccountSecrets
from probes.config.models import Credentials, SecretSource, Settings
from probes.config.secrets import read_secret
from probes.errors import ConfigError
from probes.safety.redact import Redactor

_HEADER_VALUE = re.compile(r"[!-~\xa1-\xff](?:[ -~\xa0-\xff]*[!-~\xa1-\xff])?")


def account_secrets(credentials: Credentials, alias: str, environ: Mapping[str, str]) -> AccountSecrets:
    """What logs an account in. Raises ConfigError where the password or the one-time code's seed is missing."""
    account = credentials.accounts[alias]
    password = _needed(account.password, f"the password of the account {alias}", environ)
    seed = _seed(account.totp, alias, environ) if account.totp else ""
    return AccountSecrets(alias, account.user, password, seed)


class AccountBook:
    """What logs the accounts in, read when it is first needed; all of them are redacted, needed or not."""

    def __init__(self, credentials: Credentials | None, environ: Mapping[str, str], redactor: Redactor) -> None:
        self._credentials = credentials
        self._environ = environ
        self._redactor = redactor
        self._known: dict[str, AccountSecrets] = {}
        for alias, account in credentials.accounts.items() if credentials else ():
            redactor.learn(account.user, alias)

    def of(self, alias: str) -> AccountSecrets:
        """What logs this account in.

        Raises ConfigError where it is missing, SecretStoreError where a store does not give it out: that is
        asked for again with the next call.
        """
        if alias not in self._known:
            if self._credentials is None or alias not in self._credentials.accounts:
                raise ConfigError(f"There is no account {alias!r} under credentials.accounts.")
            found = account_secrets(self._credentials, alias, self._environ)
            self._redactor.learn(found.password, "password")
            if found.totp_seed:
                self._redactor.learn(found.totp_seed, "one-time code seed")
            self._known[alias] = found
        return self._known[alias]


def edge_header(settings: Settings, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The secret header for the edge, or None where none is configured.

    Raises ConfigError where it is missing, or no header could hold it: nothing is sent to find that out.
    """
    header = settings.credentials.edge_header if settings.credentials else None
    if header is None:
        return None
    what = f"the edge's header {header.name}"
    value = _needed(header.value, what, environ)
    if not _HEADER_VALUE.fullmatch(value):
        limits = "no control characters, none beyond Latin-1, and no blanks at its ends"
        source = str(header.value)
        raise ConfigError(f"{source[0].upper() + source[1:]} is not {what}: a header's value has {limits}.")
    return header.name, value


def _seed(source: SecretSource, alias: str, environ: Mapping[str, str]) -> str:
    import pyotp  # only where an account has one-time codes

    seed = _needed(source, f"the one-time codes' seed of the account {alias}", environ)
    try:
        pyotp.TOTP(seed).now()
    except ValueError:  # its own message is not shown: it might repeat the seed
        what = f"the one-time codes' seed of the account {alias}"
        raise ConfigError(f"{source} is not {what}: write it in base32, at least 112 bits (23 characters).") from None
    return seed


def _needed(source: SecretSource, what: str, environ: Mapping[str, str]) -> str:
    secret = read_secret(source, environ)
    if secret is None:
        raise ConfigError(f"{what[0].upper() + what[1:]} is missing: set {source}.")
    return secret.get_secret_value()

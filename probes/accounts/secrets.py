"""What logs a test account in, and the secret that lets us past the edge."""

from __future__ import annotations

import re
from collections.abc import Mapping

from probes.checks.probe import AccountSecrets
from probes.config.models import Credentials, SecretSource, Settings
from probes.config.secrets import read_secret
from probes.errors import ConfigError

_HEADER_VALUE = re.compile(r"[!-~\xa1-\xff](?:[ -~\xa0-\xff]*[!-~\xa1-\xff])?")


def account_secrets(credentials: Credentials, alias: str, environ: Mapping[str, str]) -> AccountSecrets:
    """What logs an account in. Raises ConfigError where the password or the one-time code's seed is missing."""
    account = credentials.accounts[alias]
    password = _needed(account.password, f"the password of the account {alias}", environ)
    seed = _seed(account.totp, alias, environ) if account.totp else ""
    return AccountSecrets(alias, account.user, password, seed)


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

"""A secret from where the configuration says that it is: an environment variable, a file, or a store of secrets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from probes.config.aws_secrets import read_aws_secret
from probes.config.models import SecretSource, StoredSecret
from probes.errors import ConfigError

LARGEST_SECRET = 4096
"""Bytes: more than any password has, and not so many that hiding it would take a run's time."""


def read_secret(source: SecretSource, environ: Mapping[str, str]) -> SecretStr | None:
    """A secret from its source, without the end of its line; None where it is missing or empty.

    Raises ConfigError where a file cannot be read, and SecretStoreError where a store does not give it out.
    """
    if isinstance(source, StoredSecret) and source.aws_secret:
        value = read_aws_secret(source.aws_secret, source.key, environ)
        if len(value.encode()) > LARGEST_SECRET:
            raise ConfigError(f"{source} is longer than {LARGEST_SECRET} bytes: that is no password.")
    elif source.env:
        value = environ.get(source.env, "")
    else:
        try:
            with Path(source.file or "").open("rb") as file:
                value = file.read(LARGEST_SECRET).decode()
        except FileNotFoundError:
            value = ""
        except (OSError, UnicodeDecodeError) as problem:
            raise ConfigError(f"{source} cannot be read: {type(problem).__name__}.") from None
    value = value.rstrip("\r\n")
    return SecretStr(value) if value else None

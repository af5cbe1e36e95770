"""A fleet's PostgreSQL database: how it is named, reached, and waited for no longer than it may take."""

from __future__ import annotations

import re
import select
from urllib.parse import urlsplit

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

CONNECT_S = 2
"""For each address of the server; libpq knows no less."""

ANSWER_S = 3.0
"""How long a server may be silent. A time-out of its own says more, where it still works, so that is set to 2 s."""

_HOST = r"(?:\[[^]]*\]|[^:,]*)(?::\d*)?"
_HOSTS = re.compile(f"{_HOST}(?:,{_HOST})*")


class PatientConnection(psycopg.Connection[TupleRow]):
    """Waits for each answer, but not for ever: then it is closed, as nothing else can be asked on it any more."""

    patience_s = ANSWER_S

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As the original, for `patience_s` at most."""
        try:
            return super().wait(gen, interval, self.patience_s if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.info.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def connect(url: str) -> PatientConnection:
    """A connection to the database at `url`, in autocommit, with nothing prepared: a pooler may stand in between.

    What the URL does not say is taken from the environment (PGPASSWORD and the like). Raises psycopg.Error, and
    UnicodeError for a host's name.
    """
    return PatientConnection.connect(
        url,
        autocommit=True,
        prepare_threshold=None,
        connect_timeout=CONNECT_S,
        fallback_application_name="smokeprobe",
    )


def is_silent(connection: PatientConnection) -> bool:
    """Nothing has come from the server that nobody asked for: that would be its farewell."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def address(url: str) -> str:
    """Host and database of the URL, without user and password.

    Raises:
        ValueError: it is no such URL, and how to write one. Nothing of it is shown: a password with special characters
            that are not escaped may stand anywhere in it.
    """
    try:
        parts = urlsplit(url)
        conninfo_to_dict(url)
        user, _, hosts = parts.netloc.rpartition("@")
        in_place = "@" not in user + parts.path + parts.query + parts.fragment and _HOSTS.fullmatch(hosts)
        if parts.scheme in {"postgres", "postgresql"} and in_place:
            return hosts + parts.path
    except (ValueError, psycopg.Error):
        pass
    # in angle brackets it survives the redactor, which takes USER:PASSWORD@ for somebody's
    raise ValueError("Write it as postgresql://<user>:<password>@<host>/<database>, with special characters as %XX.")


def first_line(error: Exception) -> str:
    """What an error says; what follows its first line is details, and the statement."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(" .:")

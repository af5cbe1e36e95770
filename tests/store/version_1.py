"""The tables as version 1 of the program made them, and some records that it wrote: as text, so that they stay so."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.postgres import PostgresServer

_TABLES = """
CREATE TABLE {s}history_version (version INTEGER NOT NULL);
CREATE TABLE {s}history (
    id TEXT NOT NULL,
    target TEXT NOT NULL,
    at {double} NOT NULL,
    region TEXT NOT NULL,
    verified BOOLEAN NOT NULL,
    "check" TEXT NOT NULL,
    outcome TEXT NOT NULL,
    duration_s {double},
    reason TEXT NOT NULL,
    flaky BOOLEAN NOT NULL,
    attempts INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    worker TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX history_of_check ON {s}history (target, region, "check", at);
CREATE INDEX history_by_time ON {s}history (at);
INSERT INTO {s}history_version (version) VALUES (1);
"""

_RECORDS = """
INSERT INTO {s}history VALUES
('a', 'https://shop.example', 7200.5, 'eu', {true}, 'api', 'passed', 0.2, '', {false}, 1, '{{"check":"api"}}', 'w'),
('b', 'https://shop.example', 7300.5, 'eu', {true}, 'api', 'failed', 0.2, 'wrong', {false}, 2, '', 'w'),
('c', 'https://shop.example', 7400.5, 'eu', {true}, 'api', 'throttled', 0.2, 'slow down', {false}, 1, '', 'w'),
('d', 'https://shop.example', 10800, 'eu', {true}, 'api', 'degraded', 0.2, 'slow', {true}, 1, '', 'w'),
('e', 'https://shop.example', 10801, 'eu', {false}, 'api', 'no data', NULL, 'no worker', {false}, 0, '', '');
"""


def in_file(path: Path) -> None:
    """Make the file of version 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript((_TABLES + _RECORDS).format(s="", double="DOUBLE", true=1, false=0))


def in_server(postgres: PostgresServer) -> None:
    """Make the schema of version 1."""
    postgres.execute("CREATE SCHEMA smokeprobe")
    sql = (_TABLES + _RECORDS).format(s="smokeprobe.", double="DOUBLE PRECISION", true="true", false="false")
    postgres.execute(sql)

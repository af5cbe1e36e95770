"""A PostgreSQL server of the tests' own, from Debian's binaries: on a socket in a temporary folder, gone with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

PASSWORD = "planted-database-password"
USER = "smokeprobe"


class PostgresServer:
    """Started by `start`, and stopped in all ways that a server can be."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder, self._binaries = folder, binaries
        # it refuses to run as root
        self._as_user: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if is_root() else {}
        self._process: subprocess.Popen[bytes] | None = None
        self._make()

    def _make(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if is_root():
            nobody = pwd.getpwnam("nobody")
            for path in (self._folder, password):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        command: list[str | Path] = [
            self._binaries / "initdb",
            "-D",
            self._data,
            "-U",
            USER,
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        command += ["--auth=scram-sha-256", f"--pwfile={password}"]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, **self._as_user)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def url(self) -> str:
        return self.url_of(USER, PASSWORD)

    def url_of(self, user: str, password: str, database: str = "postgres") -> str:
        return f"postgresql://{user}:{password}@/{database}?host={self._folder}"

    def start(self) -> None:
        command: list[str | Path] = [
            self._binaries / "postgres",
            "-D",
            self._data,
            "-k",
            self._folder,
            "-c",
            "listen_addresses=",
        ]
        command += ["-c", "fsync=off"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen[bytes](command, stderr=log, stdout=log, cwd=self._folder, **self._as_user)
        ends = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.02)
            else:
                return

    def execute(self, sql: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.encode())

    def forget(self) -> None:
        """As if nobody had ever used it."""
        self.execute("DROP SCHEMA IF EXISTS smokeprobe CASCADE")

    def kill(self) -> None:
        processes = self._processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # some end by themselves meanwhile
                process.kill()
        self._wait()
        psutil.wait_procs(processes, timeout=30)

    def shut_down(self) -> None:
        """As an administrator does: connections are ended, in good order."""
        if self._process:
            self._process.send_signal(signal.SIGINT)
        self._wait()

    def _wait(self) -> None:
        if self._process:
            self._process.wait(30)
        self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It hangs: takes connections, but answers nothing."""
        processes = self._processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def _processes(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        postmaster = psutil.Process(self._process.pid)
        return [postmaster, *postmaster.children(recursive=True)]


def is_root() -> bool:
    return os.geteuid() == 0


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server for as long as the block lasts; the test is skipped where there are no binaries, but not in CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail("no PostgreSQL here: make test-tools")
        pytest.skip("no PostgreSQL here: make test-tools")
    folder = Path(tempfile.mkdtemp())  # not pytest's: a socket's path must be short, and its owner is another user
    try:
        server = PostgresServer(folder, found[-1].parent)
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder)

"""Which sessions of the test accounts are still open, and which accounts nobody is to log in to for now."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

from probes.deadline import Deadline
from probes.errors import SmokeprobeError
from probes.files import write_atomically
from probes.safety.guard import counted_as
from probes.safety.redact import Redactor

HALF_S = 60.0
"""How old a half-written file must be before it is nobody's who still writes it."""


class OpenSessions:
    """The sessions that are not ended yet, and the accounts that nobody is to log in to for now.

    Their tokens are kept in one file (0600) an account and target until each log-out is proved, so that the next run
    ends what a dead one has left. What bars an account is remembered by this process only.
    """

    def __init__(self, state_dir: Path, target: str, redactor: Redactor) -> None:
        self._folder = state_dir / "sessions"
        # by whichever name the target goes, its sessions are the same
        self._target = hashlib.sha256(counted_as(target).encode()).hexdigest()[:12]
        self._redactor = redactor
        self._open: dict[str, list[dict[str, str]]] = {}
        self._bars: dict[str, tuple[str, Deadline]] = {}

    def opened(self, alias: str, tokens: Mapping[str, str]) -> None:
        """Keep a session's tokens until it is `closed`. Raises SmokeprobeError where that cannot be written."""
        self._open.setdefault(alias, []).append(dict(tokens))
        try:
            self._keep(alias)  # first of all: what follows takes time
        finally:
            for token in tokens.values():
                self._redactor.learn(token, "token")

    def closed(self, alias: str, tokens: Mapping[str, str]) -> None:
        """Forget a session. Raises SmokeprobeError where that cannot be written."""
        self._open[alias] = [each for each in self._open.get(alias, []) if each != dict(tokens)]
        self._keep(alias)

    def left_open(self, alias: str) -> list[dict[str, str]]:
        """The tokens of each session that a run left behind when it died.

        Raises SmokeprobeError where the file cannot be read. One that is damaged is put aside, so that this is said
        once: nobody can end those sessions, but their own lifetime does.
        """
        self._remove_halves()
        file = self._file(alias)
        try:
            raw = file.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise SmokeprobeError(f"The open session of {alias} cannot be read: {problem.strerror}.") from None
        sessions = _sessions(raw)
        if not sessions:
            aside = file.with_suffix(".damaged")
            file.replace(aside)
            raise SmokeprobeError(
                f"The open session of {alias} cannot be ended: its file was damaged, and is now {aside.name}.",
                "The session's own lifetime ends it; the next run goes on without it.",
            )
        for token in (token for tokens in sessions for token in tokens.values()):
            self._redactor.learn(token, "token")
        self._open[alias] = [dict(tokens) for tokens in sessions]
        return sessions

    def _keep(self, alias: str) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._open[alias]:
                self._file(alias).unlink(missing_ok=True)
                return
        except OSError as problem:
            raise SmokeprobeError(f"{self._folder} cannot be written: {problem.strerror}.") from None
        write_atomically(self._file(alias), json.dumps(self._open[alias]), mode=0o600)

    def _remove_halves(self) -> None:
        """What was being written when a run was killed never took its place, and may hold tokens."""
        for half in self._folder.glob(f".{self._target}-*.json.*"):
            with contextlib.suppress(OSError):
                if time.time() - half.stat().st_mtime > HALF_S:
                    half.unlink()

    def bar(self, alias: str, why: str, seconds: float) -> None:
        """Let nobody log in to an account for so long."""
        self._bars[alias] = (why, Deadline(seconds))

    def barred(self, alias: str) -> str:
        """Why nobody is to log in to an account now; empty where there is nothing against it."""
        why, lasts = self._bars.get(alias, ("", Deadline(0.0)))
        return why if lasts.remaining() > 0 else ""

    def _file(self, alias: str) -> Path:
        return self._folder / f"{self._target}-{alias}.json"


def _sessions(raw: bytes) -> list[dict[str, str]]:
    """What `_keep` wrote; empty for anything else."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        return []
    if not isinstance(data, list) or not all(isinstance(tokens, dict) and tokens for tokens in data):
        return []
    return data if all(isinstance(token, str) and token for tokens in data for token in tokens.values()) else []

"""The redactor: the one gate in front of everything that leaves the probe, be it a log, a screen, a report or an error.

It knows the secrets that it has been told of, in all their encodings, and what a secret or an internal address looks
like. Give it whole texts: a secret that something else has cut in two is no longer one that it knows.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from probes.errors import SmokeprobeError
from probes.model import RunReport
from probes.safety.redact_forms import Form, forms_of
from probes.safety.redact_rules import LABELS, RULES, host_key, placeholder

UNNAMED = "[***]"
"""Stands for a secret that is itself a word of its placeholder, such as the password `password`."""

SESSION_LABELS = frozenset({"token", "cookie", "session"})
SESSION_SECRETS = 64
"""How many secrets of sessions are remembered, the newest: a run has some twelve, and a process that runs for months
would otherwise slow down with every login. Older ones have been logged out, and most still look like tokens."""

_ROUNDS = 8  # two are enough but for texts that are written to need more
_LABEL = re.compile(r"[a-z0-9][a-z0-9 _-]{0,39}")
_T = TypeVar("_T")


class Redactor:
    """Replaces secrets by placeholders. What it returns, it leaves as it is when given it again."""

    def __init__(self) -> None:
        self._forms: dict[str, tuple[Form, ...]] = {}
        self._of_sessions: deque[str] = deque()
        self._allowed: frozenset[str] = frozenset()
        self._placeholders = {UNNAMED, *(placeholder(label) for label in LABELS)}
        self._known = self._compile_known()

    def learn(self, secret: str, label: str = "secret") -> None:
        """Hide `secret` from now on, in every encoding.

        It becomes `[redacted: label]`, or `[label]` where it is an account's e-mail address and the label its alias.
        Secrets of fewer than four characters are hidden only where they stand alone. Those labelled token, cookie or
        session are forgotten once 64 newer ones have come. Empty ones are ignored.

        Raises:
            ValueError: the label is not one to forty lower-case letters, digits, spaces, hyphens and underscores.
        """
        if not _LABEL.fullmatch(label):
            raise ValueError(f"a label of a secret is lower-case letters, digits, spaces, '-' and '_', not {label!r}")
        for text in dict.fromkeys((secret, secret.strip())):
            if text.strip() and text not in self._forms:
                self._add(text, label)

    def allow(self, text: str) -> None:
        """Show this origin, host or host:port although it may be internal: it is the target that the caller named.

        With a port, the host is shown alone or with that port, and not with another.
        """
        parts = urlsplit(text if "://" in text else f"//{text}")
        hosts = {host_key(parts.netloc.rpartition("@")[2]), host_key(parts.hostname or "")}
        self._allowed |= hosts - {""}

    def text(self, text: str) -> str:
        """`text` without its secrets."""
        for _ in range(_ROUNDS):
            before, text = text, self._once(text)
            if text == before:
                break
        return text

    def report(self, report: RunReport) -> RunReport:
        """`report` with every string within it redacted."""
        return self.deep(report)

    def deep(self, value: _T) -> _T:
        """`value` with every string in it redacted, through dataclasses, mappings, lists and tuples.

        Fields that are marked as identifiers (`probes.model.IDENTIFIER`) stay as they are.
        """
        redacted: Any = self._deep(value)
        return redacted  # type: ignore[no-any-return] # of the type that was given, which no checker can follow

    def _deep(self, value: object) -> object:
        if isinstance(value, Enum):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self._deep(key): self._deep(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._deep(item) for item in value)
        if is_dataclass(value) and not isinstance(value, type):
            shown = [field.name for field in fields(value) if not field.metadata.get("identifier")]
            return replace(value, **{name: self._deep(getattr(value, name)) for name in shown})
        return value

    def _add(self, secret: str, label: str) -> None:
        shown = f"[{label}]" if "@" in secret and label not in LABELS else placeholder(label)
        if shown not in self._placeholders:
            self._placeholders.add(shown)
            self._known = self._compile_known()
        if secret.lower() in shown:
            shown = UNNAMED
        forms = {**self._forms, secret: tuple(forms_of(secret, shown))}
        if label in SESSION_LABELS:
            self._of_sessions.append(secret)
            if len(self._of_sessions) > SESSION_SECRETS:
                del forms[self._of_sessions.popleft()]
        # The longest first: a secret that is a part of another one must not leave the rest of it. A new dictionary, as
        # another thread may be going through the old one.
        self._forms = dict(sorted(forms.items(), key=lambda item: -len(item[0])))

    def _compile_known(self) -> re.Pattern[str]:
        return re.compile(f"({'|'.join(map(re.escape, sorted(self._placeholders)))})")

    def _once(self, text: str) -> str:
        text = self._hide_learned(text)
        lowered = text.lower()
        for rule in RULES:
            for gate in rule.gates:
                if gate in lowered:
                    break
            else:
                if rule.gates:
                    continue
            text = rule.hide(text, self._allowed)
        return text

    def _hide_learned(self, text: str) -> str:
        lowered = text.lower()
        hits = [form for forms in self._forms.values() for form in forms if form.needle in lowered]
        if not hits:
            return text
        parts = self._known.split(text)  # every second part is a placeholder, and stays
        for index in range(0, len(parts), 2):
            for form in hits:
                parts[index] = form.hide(parts[index])
        return "".join(parts)


class RedactingFilter(logging.Filter):
    """Redacts a log record: message with its arguments, exception, stack and extra fields.

    Put it on every handler: a filter on a logger does not see the records of the loggers below it.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact `record` in place; let every record pass."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError) as error:  # the arguments do not fit the message
            message = f"{record.msg} {record.args} (bad log call: {error})"
        record.msg, record.args = self._redactor.text(message), None
        if record.exc_info and record.exc_info[0]:
            # The formatter would write the traceback after every filter; given the text, it uses that.
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        record.exc_info = None
        for name, value in list(vars(record).items()):
            if name not in _PLAIN_FIELDS:
                setattr(record, name, self._redactor.deep(value))
        return True


_PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) - {"exc_text", "stack_info", "msg"}


def install_excepthook(redactor: Redactor) -> None:
    """Let no traceback out: what nobody caught, in any thread, becomes one redacted line on stderr.

    A traceback shows source lines and an exception's whole text, causes included; the line says where to look instead.
    """

    def say(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        print(f"smokeprobe: {redactor.text(_one_line(kind, error, trace))}", file=sys.stderr, flush=True)  # noqa: T201 - the last word

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            say(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = say
    threading.excepthook = in_thread
    sys.unraisablehook = lambda args: say(args.exc_type, args.exc_value, args.exc_traceback)


def _one_line(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> str:
    if kind is KeyboardInterrupt:
        return "interrupted"
    if isinstance(error, SmokeprobeError):
        return str(error)
    frames = traceback.extract_tb(trace)
    where = ""
    if frames:
        path = Path(frames[-1].filename)  # its last two parts: the rest names somebody's home
        where = f" (at {path.parent.name}/{path.name}:{frames[-1].lineno})"
    message = " ".join(str(error if error is not None else "").split())
    return f"unexpected {kind.__name__}: {message}{where}. This is a defect of smokeprobe, not of the target."

"""What stands before standard output and error: the redactor for what libraries say, and patience with broken ones."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys

import gevent

from probes.safety.redact import RedactingFilter, Redactor, install_excepthook


class RedactedStream(io.StringIO):
    """Standard error, through the redactor."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def write(self, text: str) -> int:
        """Write a redacted text."""
        return sys.stderr.write(self._redactor.text(text))


def guard_output(redactor: Redactor) -> None:
    """Call it once logging is set up: a filter sits on handlers, and sees what every logger sends them."""
    install_excepthook(redactor)
    gevent.get_hub().exception_stream = RedactedStream(redactor)
    loggers = [
        logging.root,
        *(item for item in logging.root.manager.loggerDict.values() if isinstance(item, logging.Logger)),
    ]
    redacting = RedactingFilter(redactor)
    handlers = {handler for logger in loggers for handler in logger.handlers} | {logging.lastResort}
    for handler in handlers:
        if handler is not None:
            handler.addFilter(redacting)


class LastingOutput(io.TextIOWrapper):
    """An output that may break without harm to the run: its disk is full, its reader has gone, its terminal hung up.

    From then on it leads nowhere, the interpreter's own last flush included.
    """

    def write(self, text: str) -> int:
        """Write as long as that works."""
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush as long as that works."""
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if self is sys.stdout:
            sys.stderr.write(f"Standard output cannot be written to ({error.strerror}); the run goes on without it.\n")


def outlast_output() -> None:
    """Let neither a broken nor a closed standard output or error end or hold up this process."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - open to the very end
        elif isinstance(stream, io.TextIOWrapper) and not isinstance(stream, LastingOutput):
            with contextlib.suppress(OSError):
                stream.flush()
            lasting = LastingOutput(stream.buffer, stream.encoding, stream.errors, line_buffering=stream.line_buffering)
            setattr(sys, name, lasting)

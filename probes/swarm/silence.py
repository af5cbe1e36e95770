"""The redactor in front of what libraries say by themselves: log records, uncaught exceptions, gevent's tracebacks."""

from __future__ import annotations

import io
import logging
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

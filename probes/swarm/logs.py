"""The log of a master or worker: lines for people, or one JSON object a line for whatever gathers logs."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Mapping

from probes.errors import ConfigError

VARIABLE = "SMOKEPROBE_LOG_FORMAT"


class ConsoleFormatter(logging.Formatter):
    """A message a line, without what commands a terminal: a target or a worker may have put it there."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the original's name
        """One line; a traceback comes after it, in lines of its own."""
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in super().formatMessage(record))


class JsonFormatter(logging.Formatter):
    """`time` (UTC, ISO 8601), `level`, `logger`, `message`, and `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_text:  # made by the redacting filter
            line["exception"] = record.exc_text
        return json.dumps(line, ensure_ascii=False)


def set_up_log(environ: Mapping[str, str]) -> None:
    """Log to standard error as the environment says. Raises ConfigError for a format that there is not."""
    wanted = environ.get(VARIABLE, "").strip() or "console"
    if wanted not in {"console", "json"}:
        raise ConfigError(f"{VARIABLE}: {wanted[:20]!r} is no format: console or json.")
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if wanted == "json" else ConsoleFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])

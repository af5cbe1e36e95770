"""The log as JSON: one object a line, whatever is said."""

from __future__ import annotations

import io
import json
import logging

import pytest

from probes.errors import ConfigError
from probes.safety.redact import RedactingFilter, Redactor
from probes.swarm.logs import ConsoleFormatter, JsonFormatter, set_up_log


def test_a_record_is_one_line_without_secrets() -> None:
    redactor, stream = Redactor(), io.StringIO()
    redactor.learn("hunter2-hunter2", "password")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(RedactingFilter(redactor))
    logger = logging.getLogger("tests.swarm.test_logs")
    logger.handlers, logger.propagate = [handler], False
    logger.warning("two\nlines and %s", "hunter2-hunter2")
    try:
        int("hunter2-hunter2")
    except ValueError:
        logger.exception("broke")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["message"] == "two\nlines and [redacted: password]"
    assert (first["level"], first["logger"], first["time"][-6:]) == ("warning", "tests.swarm.test_logs", "+00:00")
    assert "ValueError" in second["exception"]
    assert "hunter2" not in stream.getvalue()


def test_another_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="console or json"):
        set_up_log({"SMOKEPROBE_LOG_FORMAT": "xml"})


def test_what_a_target_says_is_one_line_and_no_command_to_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    said = "status: up\n2026-01-01 00:00:00,000 INFO x: all is well\x1b[2J\x1b]0;title\x07\r\N{RIGHT-TO-LEFT OVERRIDE}"
    with caplog.at_level(logging.INFO):
        logging.getLogger("tests").info("health: %s, in M\N{LATIN SMALL LETTER U WITH DIAERESIS}nchen", said)
    (record,) = caplog.records
    line = ConsoleFormatter().format(record)
    assert line.isprintable()
    assert "status: up\\n2026-01-01" in line
    assert line.endswith("in M\N{LATIN SMALL LETTER U WITH DIAERESIS}nchen")
    assert "tests: health: " in line

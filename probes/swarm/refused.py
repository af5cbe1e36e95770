"""A run that is refused before it begins says so where it was asked to: on one screen, and in each report."""

from __future__ import annotations

import datetime as dt
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from probes.errors import ConfigError, SmokeprobeError
from probes.model import Outcome, RunReport
from probes.options import RunOptions
from probes.pipeline import Readers, hand_over
from probes.safety.redact import Redactor

EXIT_CODE = 2


def refuse(problem: SmokeprobeError, options: RunOptions, environ: Mapping[str, str] = os.environ) -> NoReturn:
    """End the process with exit code 2. A report of an earlier run must not be taken for this one's."""
    sys.stderr.write(f"{problem}\n")
    lines = problem.problems if isinstance(problem, ConfigError) else ()
    report = RunReport(
        run_id=uuid.uuid4().hex,
        env=Path(options.config).stem if options.config else options.env,
        region=options.region,
        target=options.target_url,
        started_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
        duration_s=0.0,
        outcome=Outcome.ERROR,
        exit_code=EXIT_CODE,
        verdicts=(),
        notes=(f"{problem.message} {problem.hint}".strip(), *lines),
    )
    readers = Readers(options.json_file, options.junit_file, options.html_file)
    for trouble in hand_over(Redactor().report(report), readers, environ):
        sys.stderr.write(f"{trouble}\n")
    sys.exit(EXIT_CODE)

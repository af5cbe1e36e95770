"""What a reader of a run's report should know besides its verdicts, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from probes.model import Layer, Outcome, Verdict
from probes.safety.guard import on_this_machine, parse_url

STANDIN_PORT = 8089


def notes_on(target: str, verdicts: Sequence[Verdict], of_pages: Mapping[str, int]) -> Iterator[str]:
    """`of_pages` says what the guard kept back of pages, each with how often."""
    if of_pages:
        what = ", ".join(f"{name} ({count} times)" if count > 1 else name for name, count in of_pages.items())
        yield f"The guard kept back what pages would have sent: {what}. That by itself fails no check."
    asked = [verdict for verdict in verdicts if not verdict.configured_out]
    if asked and all(map(_refused, asked)) and on_this_machine(target):
        port = parse_url(target).port
        there = "" if port == STANDIN_PORT else f" --port {port}"
        # not by its name, which is its password too, and would be redacted
        yield (
            f"Nothing listens at {target}. Start something to try it on (smokeprobe standin{there}), or name your own "
            "site (smokeprobe init --url URL)."
        )


def _refused(verdict: Verdict) -> bool:
    reason = verdict.reason
    return verdict.outcome is Outcome.FAILED and reason is not None and reason.layer is Layer.CONNECT

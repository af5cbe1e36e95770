"""What is said beside the verdicts: only what helps, and no address of others."""

from __future__ import annotations

import pytest

from probes.checks.probe import Tally
from probes.model import Layer, Outcome, Reason, Verdict
from probes.swarm.notes import notes_on

TARGET = "http://127.0.0.1:8089"
PASSED = Verdict("health", Outcome.PASSED)
REFUSED = Verdict("health", Outcome.FAILED, reason=Reason("edge", Layer.CONNECT, "connection refused"))
LEFT_OUT = Verdict("homepage", Outcome.SKIPPED, configured_out=True)


@pytest.mark.parametrize(
    ("target", "verdicts", "said"),
    [
        (TARGET, [REFUSED, LEFT_OUT], "Start something to try it on (smokeprobe standin), or name"),
        (
            "http://localhost:9",
            [REFUSED, REFUSED],
            "Nothing listens at http://localhost:9. Start something",
        ),
        ("http://localhost:9", [REFUSED], "(smokeprobe standin --port 9)"),
        (TARGET, [REFUSED, PASSED], ""),
        (TARGET, [LEFT_OUT], ""),
        (TARGET, [], ""),
        ("https://example.com", [REFUSED], ""),
    ],
)
def test_where_nothing_listens_on_this_machine(target: str, verdicts: list[Verdict], said: str) -> None:
    notes = list(notes_on(target, verdicts, {}))
    assert [said in note for note in notes] == [True] * bool(said)


def test_what_was_kept_back_of_pages_is_named_a_few_times() -> None:
    tally = Tally()
    for path in ("/a", "/b", "/a", "/c", "/d", "/e"):
        tally.kept_back_of_page(f"POST {path}")
    assert tally.blocked == 6
    what = "POST /a (2 times), POST /b, POST /c, others (2 times)"
    assert list(notes_on(TARGET, [PASSED], tally.of_pages)) == [
        f"The guard kept back what pages would have sent: {what}. That by itself fails no check."
    ]

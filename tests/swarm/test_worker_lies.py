"""What a worker with the key says need not be right: the master says `no data` then, and goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.fleet.harness import write_ledger
from tests.swarm.test_by_the_hour import options_for

URL = "http://127.0.0.1:9"
JOIN = {"client": "worker-1", "region": "local", "target": URL, "verified": False, "checks": ["site"]}
USAGE = {"permit": "PERMIT", "sent": 1, "by_method": {"GET": 1}, "spans": {"all": [[0.1, 0.05]]}}
PASSED = {"check": "site", "outcome": "passed"}
HUGE = 10**400


Said = tuple[str, Any]


def plays(folder: Path, scripts: Sequence[tuple[Said, ...]]) -> tuple[list[dict[str, Any]], str]:
    """What a master makes of each script, with a state of its own for each, and the log of all."""
    options = options_for(folder, URL, {"checks": {"site": {"every": "40s"}}})
    states = [folder / f"state-{number}" for number, _ in enumerate(scripts)]
    for state in states:
        write_ledger(state)
    said = [[("join", JOIN), *script] for script in scripts]
    child = [sys.executable, "-m", "tests.swarm.master_stage", options.config, *map(str, states)]
    done = subprocess.run(child, input=json.dumps(said), capture_output=True, text=True, check=True, timeout=50)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found, done.stderr


def play(folder: Path, *said: Said) -> tuple[dict[str, Any], str]:
    """What the master makes of one script, and its log."""
    (found,), log = plays(folder, [said])
    return found, log


ASKED = (("begin", "site"), ("ask", {"tick": "TICK"}))


def verdict(verdict: Any = PASSED, usage: Any = USAGE) -> Said:
    return "verdict", {"tick": "TICK", "usage": usage, "verdict": verdict}


def test_a_verdict_is_counted_once(tmp_path: Path) -> None:
    found, _ = play(tmp_path, *ASKED, verdict(), verdict())
    assert (found["cells"], found["runs"], found["unwritten"]) == ({"site": ["passed", ""]}, 1, 1)


def test_a_failure_is_looked_at_again_at_once(tmp_path: Path) -> None:
    """What is not there at the second look has passed; what was not possible leaves things as they are."""
    failed, again = verdict({**PASSED, "outcome": "failed"}), ("ask", {"tick": "TICK"})
    unseen = verdict(None)
    (waits, gone, unjudged), _ = plays(
        tmp_path, [(*ASKED, failed), (*ASKED, failed, again, verdict()), (*ASKED, failed, again, unseen)]
    )
    assert (waits["cells"]["site"][0], waits["ticks"], waits["runs"]) == ("failed", 1, 1)
    assert (gone["cells"]["site"][0], gone["ticks"], gone["runs"]) == ("passed", 0, 2)
    assert (unjudged["cells"]["site"][0], unjudged["ticks"], unjudged["runs"]) == ("failed", 0, 1)


UNREADABLE: list[Said] = [
    verdict({"check": 7}),
    verdict(["passed"]),
    verdict("passed"),
    verdict({**PASSED, "outcome": "splendid"}),
    verdict({**PASSED, "check": "another"}),
    verdict({**PASSED, "check": "other"}),
    verdict(usage=None),
    verdict(usage={**USAGE, "spans": {"all": [["long", "ago"]]}}),
    verdict(usage={**USAGE, "spans": {"none of ours": [[0.1, 0.05]]}}),
    verdict(usage={**USAGE, "spans": ["all"]}),
    verdict(usage={**USAGE, "sent": HUGE, "spans": {"all": [[HUGE, 0]]}}),
    ("verdict", {"tick": "TICK"}),
    ("verdict", {"tick": "TICK", "usage": USAGE}),
]
SENSELESS: list[Said] = [
    ("asked", {"what": "pause", "seconds": HUGE}),
    ("asked", {"what": "limit", "method": "GET", "path": "/", "requests": HUGE}),
    ("asked", {"what": "slow down", "method": "GET", "path": "no path", "seconds": 1}),
    ("asked", {"what": "pause", "seconds": -1}),
    ("asked", []),
    ("asked", {"what": ["pause"]}),
    ("join", {**JOIN, "checks": 5}),
    ("join", {**JOIN, "checks": None}),
    ("ask", {"tick": None}),
    ("who knows", {}),
]


def test_what_cannot_be_read_is_no_data_and_not_silence(tmp_path: Path) -> None:
    found, log = plays(tmp_path, [(*ASKED, said) for said in UNREADABLE])
    for said, each in zip(UNREADABLE, found, strict=True):
        assert each["ticks"] == 0, said
        assert each["cells"]["site"] == ["no data", "no answer: its verdict cannot be read"], said
    assert "Traceback" not in log


def test_what_makes_no_sense_changes_nothing(tmp_path: Path) -> None:
    found, log = plays(tmp_path, [(said, *ASKED, verdict()) for said in SENSELESS])
    for said, each in zip(SENSELESS, found, strict=True):
        assert each["cells"]["site"] == ["passed", ""], said
    assert "Traceback" not in log


def test_a_worker_that_is_another_regions_by_now_gets_nothing_more(tmp_path: Path) -> None:
    found, _ = play(tmp_path, ("join", {**JOIN, "region": "elsewhere"}), ("begin", "site"))
    assert (found["workers"], found["ticks"]) == (0, 1)


def test_a_turn_that_breaks_is_said_and_is_not_the_last(tmp_path: Path) -> None:
    found, log = play(tmp_path, ("break", "the next turn"), ("turns", 14), *ASKED, verdict())
    assert found["turned_s"] < 1.0
    assert "a turn of the master broke: RuntimeError" in log
    assert "a secret" not in log


def test_who_is_gone_is_forgotten_and_welcome_again(tmp_path: Path) -> None:
    """Workers come and go all day, and nothing is said for ever to those that are gone."""
    gone = ("patience", 0.3), ("turns", 6)
    back: tuple[Said, ...] = ("patience", 60.0), ("alive", {}), ("turns", 25), ("join", JOIN)
    (lost, found), _ = plays(tmp_path, [gone, (*gone, *back, *ASKED, verdict())])
    assert (lost["workers"], lost["remembered"]) == (0, [0, 0])
    assert (found["workers"], found["remembered"], found["cells"]["site"]) == (1, [1, 1], ["passed", ""])

"""A safe prompt gets an enhanced answer, nothing is stored, and no token goes along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from probes.model import Outcome, Verdict
from probes.standin.process import StandIn
from tests.checks.stage import ENHANCE, Stage, reason
from tests.clients.raw_server import RawServer, always

GOOD = {"id": "", "enhanced_text": "Much better.", "enhanced": True}
PROMPT = "Explain what a smoke test is."


def check(folder: Path, body: Any, status: int = 200, **options: Any) -> Verdict:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with RawServer(always(f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw)) as server:
        return Stage(folder, server.url).run({"attempts": 1, **options}, "enhancement")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "7f0c"}, 'something was stored: the id of an anonymous answer must be empty; expected ""'),
        ({"id": None}, 'something was stored: the id of an anonymous answer must be empty; expected ""'),
        ({"id": 0}, 'something was stored: the id of an anonymous answer must be empty; expected ""'),
        ({"id": False}, 'something was stored: the id of an anonymous answer must be empty; expected ""'),
        ({"enhanced_text": ""}, "enhanced_text is missing or empty"),
        ({"enhanced_text": " \n"}, "enhanced_text is missing or empty"),
        ({"enhanced_text": ["text"]}, "enhanced_text is missing or empty"),
        ({"enhanced_text": PROMPT}, "the answer equals the prompt"),
        ({"enhanced_text": f" {PROMPT}\n"}, "the answer equals the prompt"),
        ({"enhanced": False}, "enhanced is not true; expected true"),
        ({"enhanced": 1}, "enhanced is not true; expected true"),
        ({"enhanced": "true"}, "enhanced is not true; expected true"),
    ],
)
def test_what_an_answer_must_be(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    verdict = check(tmp_path, {**GOOD, **change})
    assert (verdict.outcome, reason(verdict)) == (Outcome.FAILED, f"enhance (body): {said}")


@pytest.mark.parametrize("name", sorted(GOOD))
def test_every_field_is_needed(tmp_path: Path, name: str) -> None:
    assert check(tmp_path, {key: value for key, value in GOOD.items() if key != name}).outcome == "failed"


def test_fields_may_have_other_names(tmp_path: Path) -> None:
    body = {"result": {"text": "better", "id": "", "done": True}}
    names: dict[str, Any] = {"answer_field": "result.text", "id_field": "result.id", "flag_field": "result.done"}
    assert check(tmp_path, body, **names).outcome == "passed"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 200, "enhance (body): the body is not valid JSON"),
        ([GOOD], 200, "enhance (body): the body is an array, not a JSON object"),
        ({"error": "pq: hunter2"}, 500, "enhance (http): wrong status; expected 200, got 500"),
        (GOOD, 201, "enhance (http): wrong status; expected 200, got 201"),
    ],
)
def test_answers_of_another_kind(tmp_path: Path, body: Any, status: int, said: str) -> None:
    assert reason(check(tmp_path, body, status)) == said


def test_the_stand_in_enhances_and_stores_nothing(stage: Stage, design: StandIn) -> None:
    assert stage.run({"prompt": "Say hello."}, "enhancement").outcome == "passed"
    (entry,) = design.ledger()
    assert (entry["method"], entry["path"]) == ("POST", ENHANCE)
    state = design.state()
    assert (state["anonymous_rows_stored"], state["writes"]) == (0, 0)


def test_no_token_goes_along(tmp_path: Path) -> None:
    raw = json.dumps(GOOD).encode()
    with RawServer(always(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(raw) + raw)) as server:
        assert Stage(tmp_path, server.url).run({}, "enhancement").outcome == "passed"
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert b"authorization" not in head.lower()
    assert b"cookie" not in head.lower()
    assert json.loads(body) == {"text": PROMPT}

"""The API beside health and accounts: test, techniques, enhancement, prompts, and what a page's script sends."""

import base64
import hashlib
import time
import uuid
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, g, jsonify, request

from probes.standin.accounts import Session, iso
from probes.standin.limiter import ENHANCE_PATH, TEST_PATH
from probes.standin.target import BEACON_PATH, WEBSOCKET_PATH, Target, current_exchange

LONGEST_TEXT = 5000
TECHNIQUES = {
    "chain_of_thought": "Chain of thought",
    "few_shot": "Few-shot examples",
    "role_play": "Role play",
    "structured_output": "Structured output",
    "step_by_step": "Step by step",
    "self_consistency": "Self-consistency",
    "tree_of_thoughts": "Tree of thoughts",
}
PROMPTS_PATH = "/api/v1/prompts"
_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_WEBSOCKET_CLOSE = b"\x88\x02\x03\xe8"  # a close frame with code 1000


def register(app: Flask, target: Target) -> None:
    """Add these calls."""
    if target.persona == "design":
        app.add_url_rule(TEST_PATH, "test", lambda: jsonify(status="ok"))
    app.add_url_rule("/api/v1/techniques", "techniques", _techniques)
    app.add_url_rule(ENHANCE_PATH, "enhance", lambda: _enhance(target), methods=["POST"])
    app.add_url_rule(PROMPTS_PATH, "prompts", _store_prompt, methods=["POST", "PUT", "DELETE"])
    app.add_url_rule(BEACON_PATH, "beacon", lambda: Response(status=204), methods=["POST"])
    app.add_url_rule(WEBSOCKET_PATH, "websocket", _websocket, websocket=True)


def _techniques() -> Response:
    techniques = [{"id": key, "name": name} for key, name in TECHNIQUES.items()]
    return jsonify(techniques=techniques, total=len(techniques))


def _enhance(target: Target) -> Response | tuple[Response, int]:
    started = time.perf_counter()
    exchange = current_exchange()
    text = exchange.json_object().get("text")
    if not isinstance(text, str) or not 1 <= len(text) <= LONGEST_TEXT:
        return jsonify(error=f"text must be 1 to {LONGEST_TEXT} characters long"), 400
    enhanced = enhance(text)
    session = exchange.session
    body = {
        "id": store_row(target, session, text, enhanced) if session else "",
        "original_text": text,
        "enhanced_text": enhanced,
        "enhanced_prompt": enhanced,
        "intent": "explanation",
        "complexity": "simple" if len(text) < 100 else "moderate",
        "techniques": ["role_play", "step_by_step"],
        "techniques_used": ["role_play", "step_by_step"],
        "confidence": 0.87,
        "processing_time_ms": round((time.perf_counter() - started) * 1000, 3),
        "enhanced": True,
    }
    return jsonify(body)


def enhance(text: str) -> str:
    """A better prompt, at least a longer one."""
    return f"You are an expert in the matter.\n\n{text}\n\nThink step by step, and give an example for each point."


def store_row(target: Target, session: Session, text: str, enhanced: str) -> str:
    """Write a history row and return its id."""
    row: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "original_text": text,
        "enhanced_text": enhanced,
        "created_at": iso(target.now()),
    }
    session.account.history.append(row)
    return str(row["id"])


def _store_prompt() -> tuple[Response, int]:
    """A call that writes. The ledger has counted it; nothing else needs to be kept."""
    return jsonify(id=str(uuid.uuid4())), 201


def _websocket() -> Response | tuple[Response, int]:
    """Accept a WebSocket, close it with its own frame, and end the connection."""
    key = request.headers.get("Sec-WebSocket-Key")
    if key is None:
        return jsonify(error="expected a WebSocket"), 400
    accept = base64.b64encode(hashlib.sha1((key + _WEBSOCKET_GUID).encode()).digest()).decode()  # noqa: S324 - RFC 6455
    head = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    wire, entry = current_exchange().wire, g.entry

    def upgraded() -> Iterator[bytes]:
        entry.status = 101
        wire.send(head.encode() + _WEBSOCKET_CLOSE)
        wire.drop(reset=False)
        yield b""

    return Response(upgraded())  # not as a 101, of which Werkzeug sends no body

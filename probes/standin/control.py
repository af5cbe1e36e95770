"""The stand-in's own calls, outside limits, faults and ledger."""

from datetime import timedelta
from typing import Any

from flask import Flask, Response, jsonify, request

from probes.standin.faults import unknown_faults
from probes.standin.target import Target

PREFIX = "/_standin/"


def register(app: Flask, target: Target) -> None:
    """Add these calls."""
    app.add_url_rule(f"{PREFIX}ledger", "control_ledger", lambda: jsonify(target.ledger.as_data()))
    app.add_url_rule(f"{PREFIX}state", "control_state", lambda: jsonify(target.state()))
    app.add_url_rule(f"{PREFIX}faults", "control_faults", lambda: _set_faults(target), methods=["POST"])
    app.add_url_rule(f"{PREFIX}reset", "control_reset", lambda: _reset(target), methods=["POST"])
    app.add_url_rule(f"{PREFIX}lock", "control_lock", lambda: _lock(target), methods=["POST"])


def _set_faults(target: Target) -> tuple[Response, int]:
    body = request.get_json(force=True, silent=True)
    names = body.get("faults") if isinstance(body, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return jsonify(error='expected {"faults": ["NAME", …]}'), 400
    if unknown := unknown_faults(names):
        return jsonify(error=unknown), 400
    target.set_faults(tuple(names))
    return jsonify(faults=names), 200


def _reset(target: Target) -> Response:
    target.forget()
    return jsonify(reset=True)


def _lock(target: Target) -> tuple[Response, int]:
    body: Any = request.get_json(force=True, silent=True)
    try:
        alias, seconds = str(body["account"]), float(body["seconds"])
        target.accounts.lock(alias, target.now() + timedelta(seconds=seconds))
    except (KeyError, TypeError, ValueError, OverflowError):
        return jsonify(error='expected {"account": "basic" or "premium", "seconds": NUMBER}'), 400
    return jsonify(locked=alias), 200

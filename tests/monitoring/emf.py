"""The Embedded Metric Format as AWS publishes it: its JSON schema, and what its text adds to that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

_SIZES = [f"{size}{what}" for what in ("bytes", "bits") for size in ("", "Kilo", "Mega", "Giga", "Tera")]
_COUNTED = [*(size.capitalize() for size in _SIZES), "Count"]
UNITS = [
    "Seconds", "Microseconds", "Milliseconds", "Percent", "None", *_COUNTED, *(f"{unit}/Second" for unit in _COUNTED)
]  # fmt: skip


def _text(longest: int) -> Mapping[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": "^(.*)$"}


SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "properties": {
                            "Namespace": _text(1024),
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "array", "minItems": 0, "maxItems": 30, "items": _text(250)},
                            },
                            "Metrics": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "properties": {
                                        "Name": _text(1024),
                                        "Unit": {"enum": UNITS},
                                        "StorageResolution": {"type": "integer"},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def read_line(line: str) -> dict[str, Any]:
    """A line of a log as CloudWatch reads it; fails where that would not."""
    assert len(line.encode()) < 256_000
    document: dict[str, Any] = json.loads(line)
    Draft202012Validator(SCHEMA).validate(document)
    for directive in document["_aws"]["CloudWatchMetrics"]:
        names = [metric["Name"] for metric in directive["Metrics"]]
        assert len(names) <= 100
        assert len(set(names)) == len(names)
        assert all(metric.get("StorageResolution", 60) in {1, 60} for metric in directive["Metrics"])
        for name in names:
            values = document[name] if isinstance(document[name], list) else [document[name]]
            assert 1 <= len(values) <= 100
            assert all(isinstance(value, int | float) for value in values)
        for dimension in {name for of_one in directive["Dimensions"] for name in of_one}:
            assert isinstance(document[dimension], str)
            assert 1 <= len(document[dimension]) <= 1024
    return document

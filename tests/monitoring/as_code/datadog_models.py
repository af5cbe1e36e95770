"""What is wrong with a dashboard or monitor, by the models of Datadog's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from datadog_api_client import ApiClient, Configuration
from datadog_api_client.exceptions import ApiTypeError, ApiValueError
from datadog_api_client.model_utils import UnparsedObject
from datadog_api_client.v1.model.dashboard import Dashboard
from datadog_api_client.v1.model.monitor import Monitor

_MODELS = {"dashboard": Dashboard, "monitor": Monitor}


def wrong_with(kind: str, body: Any) -> list[str]:
    """Where the models cannot read it: what is missing, of a wrong type, or no value of its enumeration."""
    try:
        text = json.dumps(body)
        read = ApiClient(Configuration()).deserialize(text, (_MODELS[kind],), check_type=True)
    except (ApiTypeError, ApiValueError, TypeError) as problem:
        return [str(problem)[:200]]
    return list(_unread(read, kind))


def _unread(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, UnparsedObject) or getattr(value, "_unparsed", False):
        yield path
    inner = getattr(value, "_data_store", value)
    if isinstance(inner, dict):
        for key, part in inner.items():
            yield from _unread(part, f"{path}.{key}")
    elif isinstance(inner, list | tuple):
        for number, part in enumerate(inner):
            yield from _unread(part, f"{path}[{number}]")

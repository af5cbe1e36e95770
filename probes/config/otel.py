"""OpenTelemetry's own environment variables, as far as they say where metrics go."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping


def otlp_setting(environ: Mapping[str, str], what: str) -> str:
    """A setting of the exporter; what is said for metrics alone goes before what is said for all signals."""
    names = (f"OTEL_EXPORTER_OTLP_METRICS_{what}", f"OTEL_EXPORTER_OTLP_{what}")
    return next((environ[name].strip() for name in names if environ.get(name, "").strip()), "")


def otlp_headers(environ: Mapping[str, str]) -> dict[str, str]:
    """The headers that are to be sent along, which may be keys."""
    return pairs(otlp_setting(environ, "HEADERS"))


def pairs(text: str) -> dict[str, str]:
    """`key=value,key=value`, values percent-encoded."""
    parts = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name.strip(): urllib.parse.unquote(value.strip()) for name, _, value in parts}

"""A loopback server that answers like Datadog's API of dashboards and monitors; Datadog's own models read them."""

from __future__ import annotations

import copy
import itertools
import re
from typing import Any
from urllib.parse import unquote

from tests.monitoring.as_code.datadog_models import wrong_with
from tests.monitoring.as_code.loopback import JsonServer

API_KEY, APP_KEY = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210fedcba98"
ENVIRONMENT = {"DD_API_KEY": f"{API_KEY}\n", "DD_APP_KEY": APP_KEY}


class DatadogCodeServer(JsonServer):
    """`things` is all that it has, by kind and id."""

    def __init__(self) -> None:
        super().__init__({"DD-API-KEY": API_KEY, "DD-APPLICATION-KEY": APP_KEY})
        self.things: dict[str, dict[str, dict[str, Any]]] = {"dashboard": {}, "monitor": {}}
        self._numbers = itertools.count(1)

    @property
    def environment(self) -> dict[str, str]:
        return {**ENVIRONMENT, "DATADOG_HOST": self.url}

    def add(self, kind: str, body: dict[str, Any]) -> str:
        """Something that somebody has made there."""
        return str(self._make(kind, body)["id"])

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        match = re.fullmatch(r"/api/v1/(dashboard|monitor)(?:/([\w-]+))?", path)
        kind, reference = match.groups() if match else ("", "")
        if match is None or (reference and reference not in self.things[kind]):
            return 404, {"errors": ["Not found"]}
        if method in {"POST", "PUT"} and (wrong := self._wrong(kind, body)):
            self.complaints += wrong
            return 400, {"errors": wrong}
        if method == "POST":
            return 200, self._make(kind, body)
        if not reference:
            return 200, self._listed(kind, query)
        if method == "DELETE":
            return 200, {f"deleted_{kind}_id": self.things[kind].pop(reference)["id"]}
        if method == "PUT":
            self.things[kind][reference] |= _completed(kind, body)
        return 200, self.things[kind][reference]

    @staticmethod
    def _wrong(kind: str, body: Any) -> list[str]:
        wrong = wrong_with(kind, body)
        if kind == "dashboard" and any(not tag.startswith("team:") for tag in body.get("tags", ())):
            wrong.append("tags: only team:<name>")
        if kind == "dashboard" and body.get("reflow_type") == "fixed":
            wrong += [f"no layout: {widget}"[:80] for widget in body["widgets"] if "layout" not in widget]
        return wrong

    def _make(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        made: dict[str, Any] = (
            {"id": number} if kind == "monitor" else {"id": f"abc-{number:03d}-xyz", "author_handle": "me"}
        )
        made["created_at" if kind == "dashboard" else "created"] = f"2026-01-01T00:00:{number:02d}+00:00"
        self.things[kind][str(made["id"])] = {**_completed(kind, body), **made}
        return self.things[kind][str(made["id"])]

    def _listed(self, kind: str, query: dict[str, str]) -> Any:
        things = list(self.things[kind].values())
        if kind == "dashboard":
            start, count = int(query.get("start", 0)), int(query.get("count", 100))
            known = ("id", "title", "description", "layout_type", "author_handle", "created_at")
            return {"dashboards": [{name: one.get(name) for name in known} for one in things[start : start + count]]}
        wanted = set(filter(None, unquote(query.get("monitor_tags", "")).split(",")))
        found = [one for one in things if wanted <= set(one.get("tags", ()))]
        size, page = int(query["page_size"]), int(query["page"])
        return found[page * size : (page + 1) * size]


def _completed(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """With what the service adds by itself, and in the order that it likes."""
    found = copy.deepcopy(body)
    if kind == "monitor":
        found["options"] = {"new_host_delay": 300, "silenced": {}, **found.get("options", {})}
        found["tags"] = list(reversed(found.get("tags", [])))
        return {**found, "overall_state": "No Data", "multi": False}
    for number, widget in enumerate(found["widgets"]):
        widget["id"] = 1000 + number
        for inner, part in enumerate(widget["definition"].get("widgets", ())):
            part["id"] = 2000 + inner
    return {**found, "notify_list": [], "is_read_only": False, "template_variables": None}

"""A loopback NerdGraph: a real GraphQL executor over the part of the schema that we ask, with an account behind it.

As there, what was made is found by its tags only some time later (`lag` searches), and what was deleted is found on.
"""

from __future__ import annotations

import copy
import itertools
import re
from pathlib import Path
from typing import Any

from graphql import build_schema, graphql_sync

from tests.monitoring.as_code.loopback import JsonServer

KEY, ACCOUNT = "NRAK-0123456789ABCDEFGHIJKLMNOPQ", 1234567
SCHEMA = build_schema(Path(__file__).with_name("nerdgraph.graphql").read_text())
PAGE = 2
_TAG = re.compile(r"tags\.`([\w-]+)` = '([^']*)'")

Thing = dict[str, Any]


class NerdGraphServer(JsonServer):
    """`dashboards`, `policies` and `conditions` are all that it has, by id; `tags` are those of dashboards."""

    def __init__(self) -> None:
        super().__init__({"API-Key": KEY})
        self.dashboards: dict[str, Thing] = {}
        self.policies: dict[str, Thing] = {}
        self.conditions: dict[str, Thing] = {}
        self.tags: dict[str, dict[str, list[str]]] = {}
        self.lag = 0
        self.refuses_tags = False
        self._seen: dict[str, int] = {}
        self._numbers = itertools.count(1)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "NEW_RELIC_API_KEY": KEY,
            "NEW_RELIC_ACCOUNT_ID": str(ACCOUNT),
            "NEW_RELIC_NERDGRAPH_API_URL": f"{self.url}/graphql",
        }

    def writes_something(self, method: str, body: Any) -> bool:  # noqa: ARG002 - the base class's
        return "mutation" in body["query"]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if (method, path, query) != ("POST", "/graphql", {}):
            return 404, {}
        result = graphql_sync(SCHEMA, body["query"], self._root(), variable_values=body["variables"])
        if result.errors:
            self.complaints += [error.message for error in result.errors]
            return 200, {"data": result.data, "errors": [{"message": error.message} for error in result.errors]}
        return 200, {"data": result.data}

    def _root(self) -> Thing:
        actor = {
            "account": self._account,
            "entity": lambda _, guid: self.dashboards.get(guid),
            "entitySearch": lambda _, query: {"results": lambda _, cursor=None: self._search(query, cursor)},
        }
        writes = [name for name in dir(self) if name.startswith(("dashboard_", "tagging_", "alerts_"))]
        return {"actor": actor, **{_camel(name): getattr(self, name) for name in writes}}

    def _account(self, _: Any, **asked: Any) -> Thing | None:
        if asked["id"] != ACCOUNT:
            raise PermissionError("Access denied.")
        found = {"policiesSearch": self._policies, "nrqlConditionsSearch": self._conditions}
        return {"id": asked["id"], "alerts": found}

    def _policies(self, _: Any, **asked: Any) -> Thing:
        words = asked["searchCriteria"]["name"]
        return _paged("policies", [one for one in self.policies.values() if words in one["name"]], asked.get("cursor"))

    def _conditions(self, _: Any, **asked: Any) -> Thing:
        policy = asked["searchCriteria"]["policyId"]
        found = [one for one in self.conditions.values() if one["policyId"] == policy]
        return _paged("nrqlConditions", found, asked.get("cursor"))

    def _search(self, query: str, cursor: str | None) -> Thing:
        wanted = _TAG.findall(query)
        assert wanted, query
        found: list[Thing] = []
        for guid, tags in self.tags.items():
            if all(value in tags.get(key, ()) for key, value in wanted):
                self._seen[guid] = self._seen.get(guid, 0) + (cursor is None)
                if self._seen[guid] > self.lag:
                    found.append({"__typename": "DashboardEntityOutline", "guid": guid, "dashboardParentGuid": None})
                    found.append({"__typename": "DashboardEntityOutline", "guid": "page", "dashboardParentGuid": guid})
        return _paged("entities", found, cursor)

    def dashboard_create(self, _: Any, **asked: Any) -> Thing:
        number = next(self._numbers)
        guid = f"MTIzNDU2N3xWSVp8REFTSEJPQVJEfGRhOjE{number}"
        made = {"__typename": "DashboardEntity", "guid": guid, "createdAt": f"2026-01-01T00:00:{number:02d}Z"}
        self.dashboards[guid] = {**made, **self._completed(asked["dashboard"])}
        self.tags[guid] = {"accountId": [str(asked["accountId"])]}
        return {"entityResult": self.dashboards[guid], "errors": None}

    def dashboard_update(self, _: Any, guid: str, dashboard: Thing) -> Thing:
        if guid not in self.dashboards:
            return {"errors": [{"type": "INVALID_INPUT", "description": "no such dashboard"}]}
        self.dashboards[guid] |= self._completed(dashboard)
        return {"entityResult": self.dashboards[guid], "errors": None}

    def dashboard_delete(self, _: Any, guid: str) -> Thing:
        del self.dashboards[guid]  # and is found on by its tags
        return {"status": "SUCCESS", "errors": None}

    def _completed(self, dashboard: Thing) -> Thing:
        found = copy.deepcopy(dashboard)
        for page in found["pages"]:
            page.setdefault("guid", f"page-{next(self._numbers)}")
            for widget in page["widgets"]:
                widget["id"] = str(next(self._numbers))
        return found

    def tagging_add_tags_to_entity(self, _: Any, guid: str, tags: list[Thing]) -> Thing:
        if self.refuses_tags:
            return {"errors": [{"type": "FORBIDDEN", "message": "may not tag"}]}
        self.tags[guid] |= {tag["key"]: tag["values"] for tag in tags}
        return {"errors": []}

    def alerts_policy_create(self, _: Any, **asked: Any) -> Thing:
        made = {"id": str(next(self._numbers)), **asked["policy"]}
        self.policies[made["id"]] = made
        return made

    def alerts_policy_delete(self, _: Any, **asked: Any) -> Thing:
        return self.policies.pop(asked["id"])

    def alerts_nrql_condition_static_create(self, _: Any, **asked: Any) -> Thing:
        assert asked["policyId"] in self.policies
        made = {"id": str(next(self._numbers)), "policyId": asked["policyId"], "type": "STATIC"}
        self.conditions[made["id"]] = {**made, **copy.deepcopy(asked["condition"])}
        return self.conditions[made["id"]]

    def alerts_nrql_condition_static_update(self, _: Any, **asked: Any) -> Thing:
        self.conditions[asked["id"]] |= copy.deepcopy(asked["condition"])
        return self.conditions[asked["id"]]

    def alerts_condition_delete(self, _: Any, **asked: Any) -> Thing:
        return self.conditions.pop(asked["id"])


def _paged(name: str, things: list[Thing], cursor: str | None) -> Thing:
    start = int(cursor or 0)
    more = str(start + PAGE) if len(things) > start + PAGE else None
    return {name: things[start : start + PAGE], "nextCursor": more, "totalCount": len(things)}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)

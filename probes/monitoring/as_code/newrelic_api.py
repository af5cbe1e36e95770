"""New Relic's NerdGraph: dashboards, and one policy for an environment with its NRQL conditions.

A dashboard is looked for by its tags; what has been made a moment ago may take some seconds to be found by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from probes.errors import ConfigError
from probes.monitoring.as_code import nerdgraph
from probes.monitoring.as_code.changes import Change, Create, Found, Remove, Update
from probes.monitoring.as_code.https import Api, ApiError
from probes.monitoring.as_code.mark import Mark
from probes.monitoring.as_code.wanted import Wanted
from probes.monitoring.newrelic_names import NERDGRAPH_VARIABLE, nerdgraph_url

MOST_PAGES = 100


def make_keeper(mark: Mark, region: str, account: int, environ: Mapping[str, str]) -> Keeper:
    """With the key of the environment. Raises ConfigError where something is missing."""
    key = environ.get("NEW_RELIC_API_KEY", "").strip()
    if not key or not account:
        missing = [name for name, there in (("NEW_RELIC_API_KEY", key), ("NEW_RELIC_ACCOUNT_ID", account)) if not there]
        raise ConfigError(
            f"New Relic's dashboards and monitors need {' and '.join(missing)} in the environment.",
            hint="The key is a user's (NRAK-…), not a license key.",
        )
    url = nerdgraph_url(environ, eu=region == "eu")
    who = f"is NEW_RELIC_API_KEY a user's key (NRAK-…), of region {region}, and may it change account {account}?"
    return Keeper(mark, account, Api("New Relic", url, {"API-Key": key}, NERDGRAPH_VARIABLE, who))


class Keeper:
    """What is ours there, and what becomes of it."""

    def __init__(self, mark: Mark, account: int, api: Api) -> None:
        self._mark, self._account, self._api = mark, account, api
        self._policy_name = f"smokeprobe {mark.env} ({' '.join(mark.words)})"

    def marked(self, wanted: Wanted) -> Wanted:
        """With the mark in its description."""
        text = self._mark.on(str(wanted.body.get("description", "")), wanted.key)
        return replace(wanted, body={**wanted.body, "description": text})

    def found(self) -> list[Found]:
        """Dashboards that carry our tags, and the conditions of our policy, the oldest first."""
        return [*self._dashboards(), *self._conditions()]

    def _dashboards(self) -> Iterator[Found]:
        tags = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in self._mark.pairs.items())
        query = f"domain = 'VIZ' AND type = 'DASHBOARD' AND accountId = {self._account} AND {tags}"
        outlines = self._pages(nerdgraph.SEARCH_DASHBOARDS, ("entitySearch", "results"), "entities", query=query)
        bodies = []
        for outline in outlines:
            if not outline.get("dashboardParentGuid"):  # a page of a dashboard is an entity, too
                body = self._ask(nerdgraph.READ_DASHBOARD, guid=outline["guid"])["actor"]["entity"]
                bodies += [body] if body else []  # what was deleted a moment ago may still be found
        for body in sorted(bodies, key=lambda body: str(body.get("createdAt", ""))):
            if key := self._mark.key_in(body.get("description")):
                yield Found("dashboard", key, str(body["name"]), str(body["guid"]), body)

    def _conditions(self) -> Iterator[Found]:
        for body in self._in_policy(self._policy()):
            if key := self._mark.key_in(body.get("description")):
                yield Found("monitor", key, str(body["name"]), str(body["id"]), body)

    def _in_policy(self, policy: str) -> list[dict[str, Any]]:
        """All its conditions; somebody may have put one of his own there."""
        if not policy:
            return []
        path = ("account", "alerts", "nrqlConditionsSearch")
        found = self._pages(nerdgraph.SEARCH_CONDITIONS, path, "nrqlConditions", account=self._account, policy=policy)
        return sorted(found, key=lambda body: int(body["id"]))

    def _policy(self) -> str:
        """The id of our policy, or nothing."""
        path = ("account", "alerts", "policiesSearch")
        arguments = {"account": self._account, "name": self._policy_name}
        for policy in self._pages(nerdgraph.SEARCH_POLICIES, path, "policies", **arguments):
            if policy["name"] == self._policy_name:
                return str(policy["id"])
        return ""

    def carry_out(self, changes: Sequence[Change]) -> Iterator[Change]:
        """A request or two for each."""
        policy = ""
        for change in changes:
            if change.thing.kind == "dashboard":
                self._carry_out_dashboard(change)
            else:
                policy = policy or self._policy() or self._make_policy()
                self._carry_out_condition(change, policy)
            yield change
        if policy and not self._in_policy(policy):
            self._ask(nerdgraph.DELETE_POLICY, account=self._account, id=policy)

    def _carry_out_dashboard(self, change: Change) -> None:
        match change:
            case Create(wanted):
                made = self._ask(nerdgraph.CREATE_DASHBOARD, account=self._account, dashboard=wanted.body)
                self._tag(str(made["dashboardCreate"]["entityResult"]["guid"]))
            case Update(wanted, found):
                body = {**wanted.body, "pages": _same_pages(wanted.body["pages"], found.body["pages"])}
                self._ask(nerdgraph.UPDATE_DASHBOARD, guid=found.reference, dashboard=body)
            case Remove(found):
                self._ask(nerdgraph.DELETE_DASHBOARD, guid=found.reference)

    def _tag(self, guid: str) -> None:
        """One that cannot be marked would be nobody's: it is taken away again."""
        tags = [{"key": name, "values": [value]} for name, value in self._mark.pairs.items()]
        try:
            self._ask(nerdgraph.TAG, guid=guid, tags=tags)
        except ApiError as problem:
            try:
                self._ask(nerdgraph.DELETE_DASHBOARD, guid=guid)
            except ApiError:
                left = f"The dashboard {guid} is there without our tags: remove it by hand."
                raise ApiError(f"{problem} {left}", problem.status) from None
            raise

    def _make_policy(self) -> str:
        policy = {"name": self._policy_name, "incidentPreference": "PER_CONDITION"}
        made = self._ask(nerdgraph.CREATE_POLICY, account=self._account, policy=policy)
        return str(made["alertsPolicyCreate"]["id"])

    def _carry_out_condition(self, change: Change, policy: str) -> None:
        account = self._account
        match change:
            case Create(wanted):
                self._ask(nerdgraph.CREATE_CONDITION, account=account, policy=policy, condition=wanted.body)
            case Update(wanted, found):
                self._ask(nerdgraph.UPDATE_CONDITION, account=account, id=found.reference, condition=wanted.body)
            case Remove(found):
                self._ask(nerdgraph.DELETE_CONDITION, account=account, id=found.reference)

    def _pages(self, search: str, path: Sequence[str], things: str, **variables: Any) -> list[dict[str, Any]]:
        """All things that a search finds, whose pages lie at `path`."""
        found: list[dict[str, Any]] = []
        cursor = None
        for _ in range(MOST_PAGES):
            page = self._ask(search, **variables, cursor=cursor)["actor"]
            for name in path:
                page = page[name]
            found += page[things]
            if not (cursor := page["nextCursor"]):
                break
        return found

    def _ask(self, text: str, /, **variables: Any) -> dict[str, Any]:
        """What GraphQL answers. Errors stand beside the data, or within the answer of a mutation."""
        answer = self._api.ask("POST", "", {"query": text, "variables": variables})
        errors = [str(error.get("message")) for error in answer.get("errors") or ()]
        data: dict[str, Any] = answer.get("data") or {}
        for result in data.values():
            if isinstance(result, dict):
                errors += [
                    str(error.get("description") or error.get("message")) for error in result.get("errors") or ()
                ]
        if errors:
            raise ApiError(f"New Relic does not do it: {self._api.in_short(errors).rstrip('.')}.")
        return data


def _same_pages(wanted: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Pages that stay the same, with the same address, as far as there were as many."""
    known = [{"guid": page["guid"]} for page in found]
    return [{**page, **(known[number] if number < len(known) else {})} for number, page in enumerate(wanted)]

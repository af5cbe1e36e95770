"""Datadog's API of dashboards and monitors.

A monitor carries our mark in its tags; a dashboard in its description, as its tags are for teams only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from probes.config.monitoring import DatadogOptions
from probes.errors import ConfigError
from probes.monitoring.as_code.changes import Change, Create, Found, Remove, Update
from probes.monitoring.as_code.https import Api
from probes.monitoring.as_code.mark import Mark
from probes.monitoring.as_code.wanted import Wanted
from probes.monitoring.datadog import api_url

PAGE = 100
MOST_PAGES = 100
"""Ten thousand dashboards or monitors: an account with more is not listed to its end for ever."""

_PATHS = {"dashboard": "/api/v1/dashboard", "monitor": "/api/v1/monitor"}


def make_keeper(mark: Mark, options: DatadogOptions, environ: Mapping[str, str]) -> Keeper:
    """With the keys of the environment. Raises ConfigError where one is missing."""
    names = ("DD_API_KEY", "DD_APP_KEY")
    if missing := [name for name in names if not environ.get(name, "").strip()]:
        raise ConfigError(
            f"Datadog's dashboards and monitors need {' and '.join(missing)} in the environment.",
            hint="An application key needs the scopes dashboards_read, _write, monitors_read and _write.",
        )
    keys = {"DD-API-KEY": environ["DD_API_KEY"].strip(), "DD-APPLICATION-KEY": environ["DD_APP_KEY"].strip()}
    who = f"are DD_API_KEY and DD_APP_KEY of {options.site}, and may they read and write dashboards and monitors?"
    return Keeper(mark, Api("Datadog", api_url(options, environ), keys, "DATADOG_HOST", who))


class Keeper:
    """What is ours there, and what becomes of it."""

    def __init__(self, mark: Mark, api: Api) -> None:
        self._mark, self._api = mark, api

    def marked(self, wanted: Wanted) -> Wanted:
        """With the mark where the kind has it."""
        body = dict(wanted.body)
        if wanted.kind == "dashboard":
            body["description"] = self._mark.on(str(body.get("description", "")), wanted.key)
        else:
            body["tags"] = sorted({*body.get("tags", ()), *self._mark.words, f"key:{wanted.key}"})
        return replace(wanted, body=body)

    def found(self) -> list[Found]:
        """Dashboards and monitors, the oldest first."""
        return [*self._dashboards(), *self._monitors()]

    def _dashboards(self) -> Iterator[Found]:
        ours: list[tuple[str, str, str]] = []
        for number in range(MOST_PAGES):
            query = {"count": str(PAGE), "start": str(number * PAGE)}
            page = self._api.ask("GET", _PATHS["dashboard"], **query)["dashboards"]
            ours += [
                (str(one.get("created_at", "")), str(one["id"]), key)
                for one in page
                if (key := self._mark.key_in(one.get("description")))
            ]
            if len(page) < PAGE:
                break
        for _, reference, key in sorted(ours):
            body = self._api.ask("GET", f"{_PATHS['dashboard']}/{reference}")
            yield Found("dashboard", key, str(body["title"]), reference, body)

    def _monitors(self) -> Iterator[Found]:
        ours: list[dict[str, Any]] = []
        for number in range(MOST_PAGES):
            query = {"monitor_tags": ",".join(self._mark.words), "page": str(number), "page_size": str(PAGE)}
            page = self._api.ask("GET", _PATHS["monitor"], **query)
            ours += page
            if len(page) < PAGE:
                break
        for one in sorted(ours, key=lambda monitor: int(monitor["id"])):
            tags = one.get("tags", [])
            keys = [tag.removeprefix("key:") for tag in tags if tag.startswith("key:")]
            if keys and set(self._mark.words) <= set(tags):  # whatever the service takes a query for
                yield Found("monitor", keys[0], str(one["name"]), str(one["id"]), {**one, "tags": sorted(tags)})

    def carry_out(self, changes: Sequence[Change]) -> Iterator[Change]:
        """One request each."""
        for change in changes:
            path = _PATHS[change.thing.kind]
            match change:
                case Create(wanted):
                    self._api.ask("POST", path, wanted.body)
                case Update(wanted, found):
                    self._api.ask("PUT", f"{path}/{found.reference}", wanted.body)
                case Remove(found):
                    self._api.ask("DELETE", f"{path}/{found.reference}")
            yield change

"""Asking New Relic by NRQL, through NerdGraph, whether it has a value that it took."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from probes.delivery import UnansweredError, ask
from probes.errors import ConfigError
from probes.monitoring.newrelic_names import NERDGRAPH_VARIABLE, nerdgraph_url
from probes.monitoring.samples import Sample

EVERY_S = 1.0
"""What arrives can be asked for after some seconds."""

_QUERY = "query($account: Int!, $nrql: Nrql!) { actor { account(id: $account) { nrql(query: $nrql) { results } } } }"


@dataclass(frozen=True, slots=True)
class Asker:
    """An account, and a user's key that may read it."""

    url: str
    account: int
    key: str = field(repr=False)
    authorities: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str], *, eu: bool) -> Asker | None:
        """What the environment names; None where it does not. Raises ConfigError where the key would be shown."""
        key, account = (environ.get(name, "").strip() for name in ("NEW_RELIC_API_KEY", "NEW_RELIC_ACCOUNT_ID"))
        if not key or not account.isdecimal():
            return None
        url = nerdgraph_url(environ, eu=eu)
        if urllib.parse.urlsplit(url).scheme != "https":
            raise ConfigError(f"{NERDGRAPH_VARIABLE}: the key goes over https only.", hint="Write https://HOST/….")
        return cls(url, int(account), key, environ.get("NEW_RELIC_CA_BUNDLE_PATH", ""))

    def has(self, table: str, name: str, sample: Sample, timeout_s: float) -> bool | None:
        """Whether a sample is there, or comes within `timeout_s`; None where nobody answers a query."""
        tags = " AND ".join(f"`{tag}` = '{value}'" for tag, value in sample.tags if value)
        nrql = f"SELECT latest(`{name}`) AS value FROM {table} WHERE {tags} SINCE 10 minutes ago"  # noqa: S608 - no tag has a quote
        ends = time.monotonic() + timeout_s
        while (results := self._results(nrql, timeout_s)) is not None:
            if any(result.get("value") == sample.value for result in results):
                return True
            if time.monotonic() + EVERY_S > ends:
                return False
            time.sleep(EVERY_S)
        return None

    def _results(self, nrql: str, timeout_s: float) -> list[dict[str, Any]] | None:
        asked = {"query": _QUERY, "variables": {"account": self.account, "nrql": nrql}}
        try:
            answer = ask(
                "POST", self.url, seconds=timeout_s, body=asked, headers={"API-Key": self.key},
                authorities=self.authorities,
            )  # fmt: skip
            found = json.loads(answer.body)["data"]["actor"]["account"]["nrql"]["results"]
        except (UnansweredError, ValueError, LookupError, TypeError):
            return None
        return list(found)

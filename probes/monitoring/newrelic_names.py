"""What our samples are called in New Relic, and where it is asked about them."""

from __future__ import annotations

from collections.abc import Mapping

EVENTS = "SmokeTest"
"""The type of the events: metrics are attributes by their names, and so are tags."""

NERDGRAPH_VARIABLE = "NEW_RELIC_NERDGRAPH_API_URL"


def nerdgraph_url(environ: Mapping[str, str], *, eu: bool) -> str:
    """What answers queries and keeps dashboards and monitors: as the environment says, or by the account's region."""
    return environ.get(NERDGRAPH_VARIABLE, "") or f"https://api.{'eu.' if eu else ''}newrelic.com/graphql"

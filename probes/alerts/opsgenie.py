"""Opsgenie by its Alert API: all notices of an incident are of one alert, under one alias.

What is created again under the alias of an open alert counts there, and is no new one.
https://docs.opsgenie.com/docs/alert-api
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from probes.alerts.message import message, names, one_line
from probes.alerts.notice import Notice
from probes.alerts.taking import not_taken, post
from probes.config.channels import Channels, OpsgenieOptions

LONGEST_MESSAGE, LONGEST_ALIAS, LONGEST_DESCRIPTION, LONGEST_ENTITY, LONGEST_SOURCE = 130, 512, 15_000, 512, 100
"""Characters, as the documentation has them."""

_PRIORITIES = {"critical": "P1", "warning": "P3", "info": "P5"}
SOURCE = "smokeprobe"


class Opsgenie:
    """The way to one integration of Opsgenie."""

    def __init__(self, address: str, options: OpsgenieOptions, key: str, channels: Channels) -> None:
        self.address = address
        self._options, self._key, self._channels = options, key, channels

    def send(self, notice: Notice) -> None:
        """One request: create, or close. Raises NotTakenError."""
        alias = one_line(notice.key, LONGEST_ALIAS)
        url = f"{self._options.base}/v2/alerts"
        if notice.change == "resolved":
            url += f"/{quote(alias, safe='')}/close?identifierType=alias"
        answer = post(url, self._body(notice, alias), {"Authorization": f"GenieKey {self._key}"})
        if answer.status != 202:
            raise not_taken(answer, str(self._options.key))

    def _body(self, notice: Notice, alias: str) -> dict[str, Any]:
        said = message(notice, self._channels)
        if notice.change == "resolved":
            return {"source": SOURCE, "note": one_line(said.subject)}
        return {
            "message": one_line(said.subject, LONGEST_MESSAGE),
            "alias": alias,
            "description": said.text[:LONGEST_DESCRIPTION],
            "priority": _PRIORITIES[notice.severity],
            "entity": one_line(notice.target, LONGEST_ENTITY),
            "source": SOURCE,
            "tags": [notice.env, notice.severity],
            "details": {"rules": names([trouble.rule for trouble in notice.troubles]), "run": notice.run_url},
        }

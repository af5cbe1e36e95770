"""Whatever Apprise speaks, by its URL, which holds a token or password and is shown nowhere.

Apprise says whether a notice was taken, and why not only in logs that may hold what the URL does.
"""

from __future__ import annotations

import logging
from typing import Final

from probes.alerts.message import message
from probes.alerts.notice import Notice, NotTakenError
from probes.alerts.taking import TAKES_S
from probes.config.channels import Channels
from probes.delivery import UnansweredError, within
from probes.errors import ConfigError

_KINDS: Final = {"critical": "failure", "warning": "warning", "info": "info"}


class ByUrl:
    """The way that one URL is. Raises ConfigError where Apprise cannot read it."""

    def __init__(self, address: str, url: str, source: str, channels: Channels) -> None:
        from apprise import Apprise, AppriseAsset

        for name in ("apprise", "requests_oauthlib"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self.address = address
        self._channels = channels
        asset = AppriseAsset(async_mode=False, http_redirects=False, app_id="smokeprobe", app_desc="smokeprobe")
        self._apprise = Apprise(asset=asset)
        if not self._apprise.add(url):
            raise ConfigError(f"{address} cannot be reached: what stands in {source} is no URL that Apprise knows.")

    def send(self, notice: Notice) -> None:
        """Raises NotTakenError."""
        said = message(notice, self._channels)
        kind = "success" if notice.change == "resolved" else _KINDS[notice.severity]

        def work() -> bool:
            taken = self._apprise.notify(body=said.text, title=said.subject, notify_type=kind, body_format="text")
            return bool(taken)

        try:
            taken = within(TAKES_S, work)
        except UnansweredError as problem:
            raise NotTakenError(str(problem)) from None
        except Exception as problem:  # noqa: BLE001 - more than a hundred plugins may raise anything, with the URL in it
            raise NotTakenError(f"{type(problem).__name__} within Apprise") from None
        if not taken:
            raise NotTakenError("Apprise could not hand it over")

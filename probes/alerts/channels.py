"""From an address of a rule to the way there; what a way needs is imported only then."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from probes.alerts.notice import Channel, NotTakenError
from probes.config.addresses import kind_of
from probes.config.channels import Channels
from probes.delivery import keeps_a_secret
from probes.errors import ConfigError


class Ways:
    """The channel of each address, made once, as a bot remembers its threads; and anew where its secret has changed.

    `named` are the addresses that rules name now.
    """

    def __init__(self, channels: Channels, environ: Mapping[str, str], named: Collection[str]) -> None:
        self._channels, self._environ, self._named = channels, environ, named
        self._made: dict[str, tuple[str, Channel]] = {}

    def __call__(self, address: str) -> Channel:
        """The way to an address. Raises ConfigError, or NotTakenError where people have given it up altogether."""
        try:
            self._channels.way_to(address)
        except ConfigError:
            if address in self._named:
                raise
            raise NotTakenError("no rule names it any more, and nothing says how to reach it", for_good=True) from None
        secret = self._channels.secret_for(address, self._environ)
        made = self._made.get(address)
        if made is None or made[0] != secret:
            made = self._made[address] = secret, make_channel(address, self._channels, self._environ)
        return made[1]


def make_channels(addresses: Iterable[str], channels: Channels, environ: Mapping[str, str]) -> dict[str, Channel]:
    """The channel of each address. Raises ConfigError with all that cannot be reached."""
    made: dict[str, Channel] = {}
    problems = []
    for address in dict.fromkeys(addresses):
        try:
            made[address] = make_channel(address, channels, environ)
        except ConfigError as problem:
            problems.append(problem.message)
    if problems:
        raise ConfigError("Not everyone can be told of alerts:", tuple(problems))
    return made


def make_channel(address: str, channels: Channels, environ: Mapping[str, str]) -> Channel:
    """The way to an address. Raises ConfigError with what is missing, and never with what is secret."""
    secret = channels.secret_for(address, environ)
    key, source = channels.way_to(address)
    kind, name = kind_of(address)
    if kind == "mail" and channels.mail is not None:
        from probes.alerts.mail import Mail

        return Mail(address, channels.mail, secret, channels)
    if kind == "slack" and channels.slack is not None:
        from probes.alerts.slack import Bot, Webhook

        if key == "slack.token":
            return Bot(address, name, secret, channels, url=channels.slack.url, source=str(source))
        if not keeps_a_secret(secret):
            raise ConfigError(f"{address} cannot be reached: what stands in {source} is no https://… of a webhook.")
        return Webhook(address, secret, str(source), channels)
    if kind == "pagerduty":
        from probes.alerts.pagerduty import PagerDuty

        return PagerDuty(address, channels.pagerduty[name], secret, channels)
    if kind == "opsgenie":
        from probes.alerts.opsgenie import Opsgenie

        return Opsgenie(address, channels.opsgenie[name], secret, channels)
    from probes.alerts.by_url import ByUrl

    return ByUrl(address, secret, str(source), channels)

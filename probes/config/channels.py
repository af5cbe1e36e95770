"""`channels.yaml`: by which way each kind of address is reached, and where messages lead to.

No secret stands there: it names the environment variables, or files, that have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from probes.config.addresses import MailAddress, kind_of
from probes.config.document import read_document
from probes.config.mistakes import raise_if_any, read_as
from probes.config.models import Name, SecretSource, Strict
from probes.config.secrets import read_secret
from probes.config.units import shown
from probes.delivery import LOOPBACK, is_url, keeps_a_secret
from probes.errors import ConfigError

FILE = "channels.yaml"

SHORTEST = 8
"""What is shorter in a URL may be a common word."""

TRACE = "{trace_id}"

_HOST = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|[0-9a-f:]{3,39}")
_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")


def _link(value: str) -> str:
    if "@" in value:
        raise ValueError("has no user or password in it: secrets belong in the environment")
    if not is_url(value) or any(ord(char) <= 32 for char in value):
        raise ValueError(f"{shown(value)} is no link: write https://host/path, without blanks")
    return value


def _trace_url(value: str) -> str:
    if re.findall(r"\{.*?\}|[{}]", value) != [TRACE]:
        raise ValueError(f"must have {TRACE} once where the trace's id goes, and no other braces")
    _link(value.replace(TRACE, "0"))
    return value


def _guide_url(value: str) -> str:
    if urlsplit(_link(value)).fragment:
        raise ValueError("must end before the #: the section is put there")
    return value.removesuffix("#")


def _api_url(value: str) -> str:
    if not keeps_a_secret(_link(value)):
        raise ValueError("a secret goes there, so over https only")
    return value.rstrip("/")


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError(f"{shown(value)} is no host: write smtp.example.com; the port stands by itself")
    return value


def _slack_channel(value: str) -> str:
    if not _CHANNEL.fullmatch(value):
        raise ValueError(f"{shown(value)} is no channel of Slack: write alerts, without the #")
    return value


ApiUrl = Annotated[str, AfterValidator(_api_url)]


class MailOptions(Strict):
    """An SMTP server. It asks for a login where there is a `user`."""

    host: Annotated[str, AfterValidator(_host)]
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: MailAddress = Field(alias="from")
    user: Annotated[str, Field(min_length=1, max_length=254)] | None = None
    password: SecretSource | None = None

    @field_validator("security")
    @classmethod
    def _private(cls, value: str, info: ValidationInfo) -> str:
        if value == "none" and info.data.get("host") not in LOOPBACK:
            raise ValueError("none is for a server on this machine only: others can read what goes there")
        return value

    @model_validator(mode="after")
    def _both(self) -> MailOptions:
        if (self.user is None) != (self.password is None):
            raise ValueError("a login has a user and a password: { env: SMOKEPROBE_SMTP_PASSWORD }, for one")
        return self


class SlackOptions(Strict):
    """A bot, which can answer in threads, or for one channel each a webhook; a channel's webhook comes first."""

    token: SecretSource | None = None
    webhooks: dict[Annotated[str, AfterValidator(_slack_channel)], SecretSource] = Field(default={})
    url: ApiUrl = "https://slack.com/api"

    @model_validator(mode="after")
    def _some(self) -> SlackOptions:
        if self.token is None and not self.webhooks:
            raise ValueError("names no way: token: { env: SMOKEPROBE_SLACK_TOKEN }, or webhooks by channel")
        return self


class PagerDutyOptions(Strict):
    """A service's integration by the Events API, version 2; `url` is for what speaks it elsewhere."""

    key: SecretSource
    region: Literal["us", "eu"] = "us"
    url: ApiUrl | None = None

    @property
    def base(self) -> str:
        """Where its API is."""
        return self.url or {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}[self.region]


class OpsgenieOptions(Strict):
    """An API integration; `url` is for what speaks it elsewhere."""

    key: SecretSource
    region: Literal["us", "eu"] = "us"
    url: ApiUrl | None = None

    @property
    def base(self) -> str:
        """Where its API is."""
        return self.url or {"us": "https://api.opsgenie.com", "eu": "https://api.eu.opsgenie.com"}[self.region]


class AppriseOptions(Strict):
    """Whatever Apprise speaks; the URL holds a token or password."""

    url: SecretSource


class Channels(Strict):
    """The whole file."""

    trace_url: Annotated[str, AfterValidator(_trace_url)] | None = None
    run_url: Annotated[str, AfterValidator(_link)] | None = None
    guide_url: Annotated[str, AfterValidator(_guide_url)] | None = None
    heartbeat: SecretSource = SecretSource(env="SMOKEPROBE_HEARTBEAT_URL")
    mail: MailOptions | None = None
    slack: SlackOptions | None = None
    pagerduty: dict[Name, PagerDutyOptions] = Field(default={})
    opsgenie: dict[Name, OpsgenieOptions] = Field(default={})
    apprise: dict[Name, AppriseOptions] = Field(default={})

    def way_to(self, address: str) -> tuple[str, SecretSource | None]:
        """The key of the file by which an address is reached, and the secret that it takes.

        Raises ConfigError where there is no way, or it is no address.
        """
        try:
            kind, name = kind_of(address)
        except ValueError as problem:
            raise ConfigError(f"{problem}.") from None
        if kind == "mail" and self.mail is not None:
            return "mail", self.mail.password
        if kind == "slack" and self.slack is not None:
            if name in self.slack.webhooks:
                return f"slack.webhooks.{name}", self.slack.webhooks[name]
            if self.slack.token is not None:
                return "slack.token", self.slack.token
        if kind == "pagerduty" and name in self.pagerduty:
            return f"pagerduty.{name}.key", self.pagerduty[name].key
        if kind == "opsgenie" and name in self.opsgenie:
            return f"opsgenie.{name}.key", self.opsgenie[name].key
        if kind == "apprise" and name in self.apprise:
            return f"apprise.{name}.url", self.apprise[name].url
        key = {"mail": "mail", "slack": f"slack.webhooks.{name}, nor of slack.token"}.get(kind, f"{kind}.{name}")
        raise ConfigError(f"{address} cannot be reached: {FILE} says nothing of {key}.")

    def secret_for(self, address: str, environ: Mapping[str, str]) -> str:
        """What the way to an address takes; empty where it takes none. Raises ConfigError where it is missing."""
        key, source = self.way_to(address)
        if source is None:
            return ""
        secret = read_secret(source, environ)
        if secret is None:
            raise ConfigError(f"{address} cannot be reached: {source}, which {FILE} names for {key}, is empty.")
        return secret.get_secret_value()

    def sources(self) -> Iterator[SecretSource]:
        """Where all secrets are that the file names."""
        yield self.heartbeat
        if self.mail is not None and self.mail.password is not None:
            yield self.mail.password
        if self.slack is not None:
            yield from filter(None, (self.slack.token, *self.slack.webhooks.values()))
        yield from (pager.key for pager in self.pagerduty.values())
        yield from (pager.key for pager in self.opsgenie.values())
        yield from (way.url for way in self.apprise.values())

    def secrets(self, environ: Mapping[str, str]) -> Iterator[str]:
        """All secrets that are there; of URLs also what comes after the host, and each password. Raises nothing."""
        for source in self.sources():
            try:
                found = read_secret(source, environ)
            except ConfigError:  # said where it is to be used
                continue
            if found is not None:
                yield from _forms(found.get_secret_value())


def _forms(secret: str) -> Iterator[str]:
    yield secret
    if "://" in secret:
        try:
            parts = urlsplit(secret)
        except ValueError:
            return
        host = "" if parts.scheme in {"http", "https"} else parts.netloc  # Apprise has tokens there
        yield from (text for text in (host, parts.path, parts.query, parts.password or "") if len(text) >= SHORTEST)


def unreached(channels: Channels, addresses: Iterable[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The addresses that cannot be reached, and why; without an environment by the file alone."""
    found = {}
    for address in addresses:
        try:
            if environ is None:
                channels.way_to(address)
            else:
                channels.secret_for(address, environ)
        except ConfigError as problem:
            found[address] = problem.message
    return found


def load_channels(path: Path) -> Channels:
    """Read the file; without one nobody can be reached. Raises ConfigError with every mistake."""
    if not path.exists():
        return Channels()
    found, problems = read_as(read_document(path), Channels)
    raise_if_any(f"{path} has", problems)
    return found or Channels()

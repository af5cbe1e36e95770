"""The shape of a configuration file. Strict: an unknown key is a mistake, never ignored.

Options of each kind of check live beside the check (`probes.checks`) and derive from `CheckOptions`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from probes.config.shares import ADHOC, Master, Share, ShareOptions
from probes.config.units import Duration, PositiveDuration, Rate, show_duration, shown
from probes.config.vantage import VARIABLE, Control, RegionProof
from probes.errors import RefusedError
from probes.safety.guard import parse_url, split_host
from probes.safety.limits import CallPattern, RateLimit

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE")  # RFC 9110, 9.3; RFC 5789
AWS_SECRET = re.compile(r"[A-Za-z0-9/_+=.@:-]{1,512}")
"""A name or an ARN (CreateSecret in the API's reference)."""
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Strict(BaseModel):
    """Base of every part of a configuration: unknown keys refused, nothing changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"{shown(value)} is not a name: small letters, digits, - and _, at most 40")
    return value


def _path(value: str) -> str:
    if not value.startswith("/") or value.startswith("//") or any(ord(char) <= 32 for char in value):
        raise ValueError(f"{shown(value)} is not a path of the target: it begins with one / and has no blanks")
    return value


def _origin(value: str) -> str:
    if "@" in value:
        raise ValueError("a target has no user name or password in it: write https://host; secrets belong elsewhere")
    try:
        endpoint = parse_url(value)
    except RefusedError as refused:
        raise ValueError(f"{shown(value)} is not a target ({refused.message}): write https://host") from None
    parts = urlsplit(value)
    if endpoint.scheme not in {"http", "https"} or parts.query or parts.fragment:
        raise ValueError(f"{shown(value)} is not a target: write https://host or http://host:port")
    if parts.path not in {"", "/"}:
        raise ValueError(f"{shown(value)} has a path: write only https://host; paths belong to the checks")
    return endpoint.origin


def target_problem(url: str) -> str:
    """What keeps a URL from being a target, or nothing."""
    try:
        _origin(url)
    except ValueError as problem:
        return str(problem)
    return ""


def _host(value: str) -> str:
    host, port = split_host(value)
    bare = f"[{host}]" if ":" in host else host
    try:
        plain = port in {"", "*"} or (port.isascii() and port.isdigit() and int(port[:6]) <= 65535)
        plain = plain and parse_url(f"https://{bare}/").host == host
    except RefusedError:
        plain = False
    if not plain:
        what = "an entry with a user name" if "@" in value else shown(value)
        raise ValueError(f"{what} is not a host: write example.com, example.com:8443 or example.com:* (any port)")
    return value


def _call(value: Any) -> CallPattern:
    if isinstance(value, CallPattern):
        return value
    try:
        call = CallPattern.parse(value)
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"{shown(value)} is not a call: write METHOD /path, or * /path/* for many") from None
    written = value.split()[0]
    if call.method not in {"*", *METHODS}:  # a limit with a misspelled method would count nothing
        raise ValueError(f"{shown(written)} is not a method: write * for any, or one of {', '.join(METHODS)}")
    if written != call.method:
        raise ValueError(f"{shown(written)} is not a method: write {call.method}")
    return call


Name = Annotated[str, AfterValidator(_name)]
Path = Annotated[str, AfterValidator(_path)]
Origin = Annotated[str, AfterValidator(_origin)]
Host = Annotated[str, AfterValidator(_host)]
Call = Annotated[CallPattern, BeforeValidator(_call)]


class SecretSource(Strict):
    """Where a secret comes from: an environment variable or a file. Never the configuration itself."""

    env: str | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one(self) -> SecretSource:
        self._plain()
        return self

    def _plain(self) -> None:
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret names either env: VARIABLE or file: PATH")
        # never repeated in a message: somebody may have written the secret itself here
        if self.env is not None and not VARIABLE.fullmatch(self.env):
            raise ValueError("env: names an environment variable, in capital letters; the secret itself stands there")
        if self.file is not None and not self.file.strip():
            raise ValueError("file: names a file")

    def __str__(self) -> str:
        return f"the environment variable {self.env}" if self.env else f"the file {self.file}"


class StoredSecret(SecretSource):
    """The same, or a secret in AWS Secrets Manager by its name or ARN; `key` takes one text out of a JSON object."""

    aws_secret: str | None = None
    key: str = ""

    @model_validator(mode="after")
    def _one(self) -> StoredSecret:
        if self.aws_secret is None:
            if self.key:
                raise ValueError("key: is of a JSON object in aws_secret:")
            self._plain()
        elif self.env is not None or self.file is not None:
            raise ValueError("a secret names one of env: VARIABLE, file: PATH and aws_secret: NAME")
        elif not AWS_SECRET.fullmatch(self.aws_secret):
            raise ValueError(
                "aws_secret: names a secret in AWS Secrets Manager, or is its ARN; it is not the secret itself"
            )
        return self

    def __str__(self) -> str:
        return f"the AWS secret {self.aws_secret}" if self.aws_secret else super().__str__()


class Certificate(Strict):
    """Days that the target's certificate must still be valid, and the lowest TLS version."""

    degraded_under: Duration = 21 * 86400.0
    failed_under: Duration = 7 * 86400.0
    tls_at_least: Literal["1.2", "1.3"] = "1.2"


class Target(Strict):
    """What is probed, and where else a GET may go (fonts, a CDN)."""

    url: Origin
    private: bool = False
    hosts: tuple[Host, ...] = ()
    websockets: tuple[Host, ...] = ()
    certificate: Certificate = Certificate()
    contact: str = "https://github.com/betterprompts/smokeprobe"


class Account(Strict):
    """A dedicated test account. Everywhere else it is called by its alias only."""

    user: str
    password: StoredSecret
    totp: StoredSecret | None = None


class EdgeHeader(Strict):
    """A secret header that lets the probe through the edge's bot wall."""

    name: str
    value: SecretSource

    @model_validator(mode="after")
    def _valid(self) -> EdgeHeader:
        if not HEADER_NAME.fullmatch(self.name):
            raise ValueError("name: is not a header's name, such as X-Probe-Key; its value comes from value:")
        return self


class Credentials(Strict):
    """Accounts and secret headers, and the only hosts that they may go to."""

    hosts: tuple[Host, ...] = Field(min_length=1)
    accounts: dict[Name, Account] = {}
    edge_header: EdgeHeader | None = None


class LimitOptions(Strict):
    """A rate limit of the target."""

    allows: Rate
    key: Literal["ip", "account", "global"]
    covers: tuple[Call, ...] = Field(min_length=1)
    excepts: tuple[Call, ...] = ()

    def rate_limit(self, name: str) -> RateLimit:
        """As the permits and the ledger know it."""
        requests, window_s = self.allows
        return RateLimit(name, requests, window_s, self.key, self.covers, self.excepts)


class ExceptionCall(Strict):
    """A call that is not read-only and still allowed: exactly one method and path, with reason and proof."""

    call: Call
    reason: str = Field(min_length=10)
    proof: str = Field(min_length=10)

    @model_validator(mode="after")
    def _exact(self) -> ExceptionCall:
        if "*" in self.call.method or "*" in self.call.path:
            raise ValueError("an exception is one exact method and path, without *")
        return self


class Safety(Strict):
    """What may be sent besides GET, HEAD and OPTIONS."""

    get_only: bool = False
    exceptions: tuple[ExceptionCall, ...] = ()


class Refusal(Strict):
    """How the edge says `slow down` where it does not say 429."""

    status: int = Field(ge=400, le=599)
    content_type: str


class Backoff(Strict):
    """Waits between tries: `first`, doubled each time up to `longest`, and a jitter of up to half of `first`."""

    first: Duration = 0.3
    longest: Duration = 3.0


CLEANUP_S = 4.0
"""How long after a check's own time its log-out may still be sent."""

LAST_ORDERS_S = 1.2
"""How long before the end of a run every check is cut off, so that log-outs and reports still fit into its time."""


def _run_time(value: float) -> float:
    if value <= LAST_ORDERS_S:
        kept = f"{show_duration(LAST_ORDERS_S)} of each run are kept for log-outs and the report"
        raise ValueError(f"{show_duration(value)} is too short for any check: {kept}")
    return value


class Run(Strict):
    """One pass of all checks."""

    timeout: Annotated[PositiveDuration, AfterValidator(_run_time)] = 30.0
    attempts: int = Field(default=3, ge=1, le=10)
    interval: PositiveDuration = 60.0
    backoff: Backoff = Backoff()

    @property
    def checks_s(self) -> float:
        """How much of the run's time its checks have, in seconds."""
        return self.timeout - LAST_ORDERS_S


class CheckOptions(Strict):
    """What every kind of check can be told. `every` is the interval where it runs continuously."""

    kind: str = ""
    enabled: bool = True
    timeout: PositiveDuration = 6.0
    attempts: int | None = Field(default=None, ge=1, le=10)
    every: PositiveDuration | None = None
    retry_on: tuple[Literal["failed", "degraded", "error"], ...] = ("failed", "degraded", "error")
    measure: Literal["ttfb", "ttfb_minus_rtt"] = "ttfb"


class Override(Strict):
    """Other limits for some regions or some hours: what stands under `checks` and `limits` is laid over the rest."""

    regions: tuple[str, ...] = ()
    between: str = ""
    timezone: str = "UTC"
    checks: dict[str, Any] = {}
    limits: dict[str, Any] = {}

    @model_validator(mode="after")
    def _valid(self) -> Override:
        if not self.regions and not self.between:
            raise ValueError("an override says for which regions or between which hours it holds")
        if self.between and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", self.between):
            raise ValueError(f"between: {shown(self.between)} is not a span of the day: write 08:00-18:00")
        begin, _, end = self.between.partition("-")
        if self.between and begin == end:
            raise ValueError(f"between: {self.between} is no time at all: leave it out for the whole day")
        return self


class Settings(Strict):
    """A whole configuration, validated. `checks` holds the options of each check by its name, in order."""

    env: Name
    target: Target
    credentials: Credentials | None = None
    regions: tuple[Name, ...] = ()
    region_proofs: dict[Name, RegionProof] = {}
    control: Control | None = None
    run: Run = Run()
    ledger: Literal["machine", "database"] = (
        "machine"  # where those who draw on it count: each machine its own, or all in one
    )
    shares: dict[Name, ShareOptions] = {ADHOC: Share(part=1.0)}
    masters: dict[Name, Master] = {}
    limits: dict[Name, LimitOptions] = {}
    safety: Safety = Safety()
    throttled_when: tuple[Refusal, ...] = ()
    extensions: tuple[str, ...] = ()
    overrides: tuple[Override, ...] = ()
    checks: dict[Name, Any] = Field(min_length=1)

    @property
    def rate_limits(self) -> tuple[RateLimit, ...]:
        """Every limit as permits and ledger know it."""
        return tuple(options.rate_limit(name) for name, options in self.limits.items())

    def attempts(self, options: CheckOptions) -> int:
        """How many tries a check has."""
        return self.run.attempts if options.attempts is None else options.attempts

    def every(self, options: CheckOptions) -> float:
        """Seconds between two ticks of a check where it runs continuously."""
        return self.run.interval if options.every is None else options.every

"""CloudWatch: PutMetricData through boto3; inside Lambda lines of the Embedded Metric Format on standard output.

Each sample goes with its own second, and CloudWatch keeps all values of a series: what is sent twice counts twice. So a
batch whose answer was lost, and which therefore goes again, leaves the average, minimum and maximum of its minute as
they are where nothing else fell into it, and doubles sum and number of samples. The other way, never to send again
what may have arrived, would lose all that was measured while the service hangs: a failure among it would page nobody.
CloudWatch itself promises no more than "at least once" for what it reads from logs.

The target's version is no dimension: an alarm watches exactly one set of them, and a release would end that series.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.config.metrics import Kind, Unit
from probes.config.monitoring import CloudWatchOptions
from probes.delivery import keeps_a_secret
from probes.errors import ConfigError
from probes.monitoring.base import DELIVERED, Fate, Said, Service
from probes.monitoring.samples import Sample, Tags, same_second

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.exceptions import BotoCoreError, ClientError

LONGEST_PAST_S = 14 * 86400.0 - 3600.0
"""Two weeks are taken; an hour is left for the way there."""

NO_ACCESS_WAIT_S = 60.0
"""How long to leave alone what does not let us in."""

MOST_DATA = 400
"""So many go in one request: 1000 are allowed, but 1 MB too, and with all tags at their longest one takes 2.2 kB."""

MOST_VALUES = 100
"""So many values one datum may have (150 in PutMetricData)."""

RESOLUTION_S = 60
"""Checks run every few minutes: nothing finer is kept."""

_UNITS: Mapping[Unit, str] = {"second": "Seconds", "millisecond": "Milliseconds", "percent": "Percent"}
_ADDRESSES = ("AWS_ENDPOINT_URL_CLOUDWATCH", "AWS_ENDPOINT_URL")
_NOT_LET_IN = re.compile(r"Access|Auth|Token|Signature|UnrecognizedClient|OptIn|RequestExpired")
_TOO_MUCH = re.compile(r"Throttl|LimitExceeded|TooMany")
"""What is in a code that comes with status 400 and yet does not speak of what was sent."""


def make_service(options: CloudWatchOptions, environ: Mapping[str, str]) -> Service:
    """Lines for the log inside Lambda, where they end up in the region that is wanted, else the API.

    Raises ConfigError where nobody says which region that is, or its address would show a session's token to others.
    """
    here = environ.get("AWS_REGION", "")
    if environ.get("AWS_LAMBDA_FUNCTION_NAME") and options.region in {"", here}:
        return Lines(options)
    for name in _ADDRESSES:
        if environ.get(name) and not keeps_a_secret(environ[name]):
            raise ConfigError(f"{name}: a session's token goes over https only.", hint="Write https://HOST.")
    return Api(options, options.region or here)


@dataclass(frozen=True, slots=True)
class _Datum:
    """All values of one series within a second."""

    name: str
    tags: Tags
    unit: str
    at: int
    values: tuple[float, ...]


def _data(batch: Sequence[Sample], options: CloudWatchOptions) -> Iterator[_Datum]:
    for same in same_second(batch):
        first, values = same[0], [sample.value for sample in same]
        if first.kind == "count":
            values = [math.fsum(values)]
        tags = (*((name, value) for name, value in first.tags if value), *options.tags.items())
        for start in range(0, len(values), MOST_VALUES):
            part = tuple(values[start : start + MOST_VALUES])
            yield _Datum(options.prefix + first.name, tags, _unit(first.kind, first.unit), int(first.at), part)


def _unit(kind: Kind, unit: Unit) -> str:
    return "Count" if kind == "count" else _UNITS.get(unit, "None")


def _dimensions(tags: Tags) -> Tags:
    return tuple(tag for tag in tags if tag[0] != "version")


def _leads_nowhere() -> bool:
    """Whether standard output is closed, or broke just now: a run then puts the null device in its place."""
    try:
        return os.path.samestat(os.fstat(sys.stdout.fileno()), Path(os.devnull).stat())
    except (OSError, ValueError):  # it is no file
        return False


class Lines:
    """One document a line and series of tags; the version stands in it for whoever reads the log."""

    name = "cloudwatch"
    longest_past_s = LONGEST_PAST_S

    def __init__(self, options: CloudWatchOptions) -> None:
        self._options = options

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:  # noqa: ARG002 - the protocol's
        """Print them."""
        for document in self._documents(batch):
            sys.stdout.write(f"{json.dumps(document, allow_nan=False)}\n")
        sys.stdout.flush()
        return Said(Fate.LATER, "standard output leads nowhere") if _leads_nowhere() else DELIVERED

    def _documents(self, batch: Sequence[Sample]) -> Iterator[Mapping[str, Any]]:
        """A metric stands once in a document; there are fewer of them than the hundred that one may have."""
        together: dict[tuple[Tags, int, int], list[_Datum]] = {}
        seen: dict[tuple[str, Tags, int], int] = {}
        for datum in _data(batch, self._options):
            part = seen[datum.name, datum.tags, datum.at] = seen.get((datum.name, datum.tags, datum.at), -1) + 1
            together.setdefault((datum.tags, datum.at, part), []).append(datum)
        for (tags, at, _), data in together.items():
            metrics = [{"Name": one.name, "Unit": one.unit, "StorageResolution": RESOLUTION_S} for one in data]
            names = [name for name, _ in _dimensions(tags)]
            directive = {"Namespace": self._options.namespace, "Dimensions": [names], "Metrics": metrics}
            yield {
                "_aws": {"Timestamp": at * 1000, "CloudWatchMetrics": [directive]},
                **dict(tags),
                **{one.name: one.values if len(one.values) > 1 else one.values[0] for one in data},
            }

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:  # noqa: ARG002 - the protocol's
        """Nobody is asked from inside Lambda."""
        return None


class Api:
    """PutMetricData. Credentials are looked for where boto3 looks for them, at the first batch."""

    name = "cloudwatch"
    longest_past_s = LONGEST_PAST_S

    def __init__(self, options: CloudWatchOptions, region: str) -> None:
        from boto3.session import Session
        from botocore.exceptions import BotoCoreError

        logging.getLogger("botocore").setLevel(logging.CRITICAL)  # the outbox says what is wrong, once
        self._options = options
        try:
            self._region = Session(region_name=region or None).region_name
        except BotoCoreError as problem:  # a profile that is not there, a file that cannot be read
            raise ConfigError(f"cloudwatch: {problem}") from None
        if not self._region:
            raise ConfigError("cloudwatch: in which region?", hint="Set AWS_REGION, or region beside its environments.")
        self._made: tuple[float, BaseClient] | None = None

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:
        """One request, unless a very busy second takes more."""
        data = [_put(datum) for datum in _data(batch, self._options)]
        for start in range(0, len(data), MOST_DATA):
            said = self._asked(data[start : start + MOST_DATA], timeout_s)
            if said.fate is not Fate.DELIVERED:
                return said
        return DELIVERED

    def _asked(self, data: list[dict[str, Any]], timeout_s: float) -> Said:
        from botocore import exceptions as known

        try:
            client = self._client(timeout_s)
        except known.BotoCoreError as problem:  # whoever hands out credentials is not there either
            return self._not_asked(problem)
        try:
            client.put_metric_data(Namespace=self._options.namespace, MetricData=data)
        except known.ClientError as problem:
            return self._heard(problem)
        except (known.ConnectTimeoutError, known.ReadTimeoutError):
            return Said(Fate.LATER, "it does not answer in time")
        except (known.ConnectionError, known.HTTPClientError):
            return Said(Fate.LATER, "no connection, or it was cut off")
        except known.BotoCoreError as problem:
            return self._not_asked(problem)
        return DELIVERED

    def _not_asked(self, problem: BotoCoreError) -> Said:
        self._made = None
        return Said(Fate.LATER, f"boto3 cannot ask it: {type(problem).__name__}", NO_ACCESS_WAIT_S)

    def _client(self, timeout_s: float) -> Any:
        """One for each time-out, made by a session that has read environment and files anew."""
        if self._made is None or self._made[0] != timeout_s:
            from boto3.session import Session
            from botocore.config import Config

            config = Config(
                connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 1},
                user_agent_extra="smokeprobe",
            )  # fmt: skip
            self._made = timeout_s, Session(region_name=self._region).client("cloudwatch", config=config)
        return self._made[1]

    def _heard(self, problem: ClientError) -> Said:
        status, code = problem.response["ResponseMetadata"]["HTTPStatusCode"], problem.response["Error"]["Code"]
        what = f"HTTP {status}, {code[:60]}"
        if status in {401, 403} or _NOT_LET_IN.search(code):
            self._made = None  # whoever renews a file with credentials is heard
            return Said(
                Fate.LATER, f"{what}: the credentials are not valid, or not for cloudwatch:PutMetricData",
                NO_ACCESS_WAIT_S,
            )  # fmt: skip
        if status == 413:
            return Said(Fate.REFUSED, f"{what}: what was sent is too large")
        if status == 400 and not _TOO_MUCH.search(code):
            return Said(Fate.REFUSED, f"{what}: it cannot read what was sent")
        return Said(Fate.LATER, f"{what}: it takes nothing now")

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:
        """Ask until it is there; None where we may not ask, or it does not show it yet, which can take minutes."""
        from botocore.exceptions import BotoCoreError, ClientError

        (datum,) = _data([sample], self._options)
        ends = time.monotonic() + timeout_s
        while time.monotonic() < ends:
            try:
                if datum.values[0] in self._values(datum, timeout_s):
                    return True
            except (BotoCoreError, ClientError):
                return None
            time.sleep(max(0.0, min(1.0, ends - time.monotonic())))
        return None

    def _values(self, datum: _Datum, timeout_s: float) -> list[float]:
        minute = datum.at - datum.at % RESOLUTION_S
        put = _put(datum)
        metric = {"Namespace": self._options.namespace, "MetricName": datum.name, "Dimensions": put["Dimensions"]}
        answer = self._client(timeout_s).get_metric_data(
            MetricDataQueries=[
                {"Id": "sent", "MetricStat": {"Metric": metric, "Period": RESOLUTION_S, "Stat": "Maximum"}}
            ],
            StartTime=minute,
            EndTime=minute + RESOLUTION_S,
        )
        values: list[float] = answer["MetricDataResults"][0]["Values"]
        return values


def _put(datum: _Datum) -> dict[str, Any]:
    """A datum as PutMetricData wants it."""
    return {
        "MetricName": datum.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in _dimensions(datum.tags)],
        "Timestamp": datum.at,
        "Values": list(datum.values),
        "Unit": datum.unit,
        "StorageResolution": RESOLUTION_S,
    }

"""moto's CloudWatch behind a door of ours.

It looks at what goes through as CloudWatch is documented to do, and misbehaves on demand. As there, all values of a
series are kept: what comes twice is there twice.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import logging
import math
import os
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from boto3.session import Session
from moto.server import ThreadedMotoServer

from tests.monitoring.loopback import Loopback, LoopbackHandler, serving

KEY_ID = "AKIAINVENTED00000000"
SECRET = "inventedSecret/0123456789abcdefghijklmnop"
TOKEN = "inventedSessionToken//////////0123456789"
REGION = "us-east-1"

Error = Literal["denied", "expired", "unknown", "limited", "throttled", "busy", "broken", "too large", "wrong"]
Mode = Literal["up", "hang", "cut", "take and cut", Error]
ERRORS: Mapping[str, tuple[int, str]] = {
    "denied": (403, "AccessDenied"),
    "expired": (403, "ExpiredToken"),
    "unknown": (400, "UnrecognizedClientException"),
    "limited": (400, "LimitExceededException"),
    "throttled": (400, "Throttling"),
    "busy": (429, "TooManyRequestsException"),
    "broken": (500, "InternalFailure"),
    "too large": (413, "RequestEntityTooLargeException"),
    "wrong": (400, "InvalidParameterValue"),
}
UNITS = {"Seconds", "Milliseconds", "Percent", "Count", "None"}
TWO_WEEKS_S, TWO_HOURS_S = 14 * 86400, 7200


class CloudWatchServer(Loopback):
    """Set `mode` to let it misbehave; `put` is every datum that moto took, `complaints` what was wrong with any."""

    def __init__(self, behind: tuple[str, int], port: int = 0) -> None:
        super().__init__(_Handler, port)
        self.behind = behind
        self.mode: Mode = "up"
        self.put: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self.requests = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a process is given to send here."""
        return {
            "SMOKEPROBE_MONITORING": "cloudwatch", "AWS_ENDPOINT_URL": self.url, "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN,
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }  # fmt: skip

    def client(self) -> Any:
        """For reading back, past the door."""
        session = Session(KEY_ID, SECRET, region_name=REGION)
        return session.client("cloudwatch", endpoint_url=f"http://{self.behind[0]}:{self.behind[1]}")

    def kept(self, metric: str, at: float, namespace: str = "Smokeprobe", **tags: str) -> list[float]:
        """What moto says of one second of a series: average, minimum, maximum, number of samples; nothing of none."""
        found = self.client().get_metric_statistics(
            Namespace=namespace, MetricName=metric, StartTime=int(at), EndTime=int(at) + 1, Period=1,
            Dimensions=[{"Name": name, "Value": value} for name, value in tags.items()],
            Statistics=["Average", "Minimum", "Maximum", "SampleCount"],
        )["Datapoints"]  # fmt: skip
        return [found[0][name] for name in ("Average", "Minimum", "Maximum", "SampleCount")] if found else []

    def values(self, metric: str, **tags: str) -> list[float]:
        """The values that were put for series with these tags, oldest first."""
        found = [
            datum for datum in self.put if datum["MetricName"] == metric and tags.items() <= tags_of(datum).items()
        ]
        return [value for datum in sorted(found, key=lambda datum: datum["Timestamp"]) for value in datum["Values"]]


def tags_of(datum: Mapping[str, Any]) -> dict[str, str]:
    return {one["Name"]: one["Value"] for one in datum["Dimensions"]}


def wrong_with(body: Mapping[str, Any]) -> list[str]:
    """Everything that the API's documentation forbids of PutMetricData."""
    found = []
    if set(body) != {"Namespace", "MetricData"} or not 1 <= len(body["MetricData"]) <= 1000:
        found.append(f"not a body: {str(body)[:80]}")
    for datum in body["MetricData"]:
        dimensions = datum["Dimensions"]
        rules = {
            "keys": set(datum) == {"MetricName", "Dimensions", "Timestamp", "Values", "Unit", "StorageResolution"},
            "name": 1 <= len(datum["MetricName"]) <= 255,
            "dimensions": len(dimensions) <= 30 and len(tags_of(datum)) == len(dimensions),
            "a dimension": all(
                1 <= len(one["Name"]) <= 255 and one["Name"][0] != ":" and 1 <= len(one["Value"]) <= 1024
                for one in dimensions
            ),
            "timestamp": time.time() - TWO_WEEKS_S < datum["Timestamp"] < time.time() + TWO_HOURS_S,
            "values": 1 <= len(datum["Values"]) <= 150 and all(map(math.isfinite, datum["Values"])),
            "unit": datum["Unit"] in UNITS,
            "resolution": datum["StorageResolution"] in {1, 60},
        }
        found += [f"{rule}: {str(datum)[:300]}" for rule, holds in rules.items() if not holds]
    return found


class _Handler(LoopbackHandler):
    server: CloudWatchServer

    def post(self, body: bytes) -> None:
        self.server.requests += 1
        mode = "cut" if self.server.closing.is_set() else self.server.mode  # a line that was kept open ends too
        if mode in ERRORS:
            self._refuse(*ERRORS[mode])
            return
        if mode == "hang":
            self.server.closing.wait(30)
            return
        answer = self._pass_on(body) if mode != "cut" else b""
        if mode in {"cut", "take and cut"}:
            self.cut()
            return
        self._say(200, answer, {})

    def _pass_on(self, body: bytes) -> bytes:
        self._look_at(body)
        behind = http.client.HTTPConnection(*self.server.behind, timeout=10)
        try:
            behind.request("POST", self.path, body, dict(self.headers))
            answer = behind.getresponse()
            if answer.status != http.HTTPStatus.OK:
                self.server.complaints.append(f"moto answered {answer.status}")
            return answer.read()
        finally:
            behind.close()

    def _look_at(self, body: bytes) -> None:
        wanted = f"Credential={KEY_ID}/{time.strftime('%Y%m%d', time.gmtime())}/{REGION}/monitoring/aws4_request"
        if wanted not in self.headers["Authorization"] or self.headers["X-Amz-Security-Token"] != TOKEN:
            self.server.complaints.append(f"not signed as it should be: {str(self.headers)[:600]}")
        if SECRET in str(self.headers):
            self.server.complaints.append("the secret key went over the wire")
        plain = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
        if len(plain) > 1_000_000:
            self.server.complaints.append(f"{len(plain)} bytes")
        if self.headers["X-Amz-Target"].endswith(".PutMetricData"):
            asked = json.loads(plain)
            self.server.complaints += wrong_with(asked)
            self.server.put += asked["MetricData"]

    def _refuse(self, status: int, code: str) -> None:
        text = json.dumps({"__type": f"com.amazonaws.cloudwatch.v2010_08_01#{code}", "message": f"{code}, says it"})
        whose = "Sender" if status < 500 else "Receiver"
        self._say(status, text.encode(), {"x-amzn-query-error": f"{code};{whose}"})

    def _say(self, status: int, text: bytes, headers: Mapping[str, str]) -> None:
        with contextlib.suppress(OSError):  # whoever asked may have lost patience
            self.answer(status, text, {"Content-Type": "application/x-amz-json-1.0", **headers})


@contextmanager
def moto_server() -> Iterator[tuple[str, int]]:
    """Moto in a thread, with nothing in it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()
    finally:
        server.stop()


@contextmanager
def cloudwatch_server(moto: tuple[str, int], port: int = 0) -> Iterator[CloudWatchServer]:
    """A door to moto, which has forgotten all it was told, in a thread; gone with the context."""
    reset = urllib.request.Request(f"http://{moto[0]}:{moto[1]}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset, timeout=10).close()  # noqa: S310 - the same
    with serving(CloudWatchServer(moto, port)) as server:
        yield server

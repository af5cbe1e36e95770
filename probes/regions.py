"""Whether a run is where it says it is: a region's name is a claim until something that knows the place bears it out.

The cloud's own metadata service is link-local, where the guard lets no request to a target go: it is asked from here,
nothing but this one question, and its token is kept nowhere.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from probes.config.models import Settings
from probes.config.vantage import RegionProof
from probes.model import LOCAL

METADATA = "http://169.254.169.254"
"""Where an AWS instance finds its metadata service."""

PATIENCE_S = 0.3
"""What connecting, and each piece of an answer, may take: the service is on this very machine."""

LONGEST_S = 0.5
"""What asking it may take in all."""

LONGEST_ANSWER = 256


@dataclass(frozen=True, slots=True)
class VerifiedRegion:
    """A region and whether a run is there; `by` is what bears that out, or why nothing does."""

    name: str
    verified: bool
    by: str


def verify_region(
    name: str, settings: Settings, environ: Mapping[str, str], metadata: str = METADATA
) -> VerifiedRegion:
    """Whether this process runs in the region of this name; within `LONGEST_S`. The first that says anything decides.

    The metadata service is asked last, and only where the configuration names regions at all.
    """
    if name == LOCAL:
        return VerifiedRegion(name, verified=False, by="it claims no region")
    for witness, said in _witnesses(name, settings, environ, metadata):
        if said:
            right = said == name
            return VerifiedRegion(name, verified=right, by=witness if right else f"{witness} names another region")
    return VerifiedRegion(name, verified=False, by="nothing bears it out")


def _witnesses(name: str, settings: Settings, environ: Mapping[str, str], metadata: str) -> Iterator[tuple[str, str]]:
    """Who may know the place, and what it says (empty: nothing), the cheapest first."""
    if proof := settings.region_proofs.get(name):
        yield str(proof), _content(proof, environ)
    if _set_by_aws(environ):
        yield "AWS_REGION", environ.get("AWS_REGION", "")
    if settings.regions:
        yield "the instance's metadata", _in_time(metadata)


def _content(proof: RegionProof, environ: Mapping[str, str]) -> str:
    if proof.env:
        return environ.get(proof.env, "")
    path = Path(proof.file)
    try:
        return path.read_text(errors="replace") if path.is_file() else ""
    except OSError:
        return ""


def _set_by_aws(environ: Mapping[str, str]) -> bool:
    """Whether AWS has set AWS_REGION. Elsewhere it says which API to call: actions that log in to AWS set it too."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return False
    return bool(environ.get("AWS_EXECUTION_ENV") or environ.get("AWS_LAMBDA_FUNCTION_NAME"))


def _in_time(metadata: str) -> str:
    """What the metadata service says, from a thread that is left behind where the answer drips."""
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(_region_of_instance(metadata)), name="metadata", daemon=True)
    thread.start()
    thread.join(LONGEST_S)
    return said[0] if said else ""


def _region_of_instance(metadata: str) -> str:
    """By the second version of the service (IMDSv2): one that answers without a token may be anybody."""
    url = urlsplit(metadata)
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=PATIENCE_S)
    try:
        token = _answer(connection, "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        if not token:
            return ""
        return _answer(connection, "GET", "/latest/meta-data/placement/region", {"X-aws-ec2-metadata-token": token})
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    finally:
        connection.close()


def _answer(connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str]) -> str:
    connection.request(method, path, headers=dict(headers))
    answer = connection.getresponse()
    body = answer.read(LONGEST_ANSWER + 1)
    return body.decode("ascii") if answer.status == http.HTTPStatus.OK and len(body) <= LONGEST_ANSWER else ""

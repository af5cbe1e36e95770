"""A region's name is a claim: what bears it out, what contradicts it, and that nobody is asked for nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.config.models import Settings
from probes.errors import ConfigError
from probes.regions import VerifiedRegion, verify_region
from tests.clients.raw_server import Handler, RawServer, Talk, always, refusing_port
from tests.config.sample import GOOD, read

TOKEN = "AQAEA-token-of-a-minute=="
WITHIN_S = 0.5
NOTHING = VerifiedRegion("us-east-1", verified=False, by="nothing bears it out")


def answer(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def metadata(region: str, token: str = TOKEN) -> Handler:
    """IMDSv2 and nothing else: a token for a PUT that says how long it is for, the region for whoever holds it."""

    def handle(talk: Talk) -> None:
        while request := talk.request().decode():
            line, *headers = request.lower().split("\r\n")
            if line == "put /latest/api/token http/1.1" and "x-aws-ec2-metadata-token-ttl-seconds: 60" in headers:
                talk.send(answer(token))
            elif (
                line == "get /latest/meta-data/placement/region http/1.1"
                and f"x-aws-ec2-metadata-token: {token.lower()}" in headers
            ):
                talk.send(answer(region))
            else:
                talk.send(answer("", "401 Unauthorized"))

    return handle


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read(tmp_path, GOOD)


@pytest.fixture
def unasked() -> Iterator[RawServer]:
    """A metadata service that would say yes, and that nobody is to ask."""
    with RawServer(metadata("us-east-1")) as server:
        yield server
    assert server.connections == 0


def test_the_metadata_bears_it_out(settings: Settings) -> None:
    with RawServer(metadata("us-east-1")) as server:
        found = verify_region("us-east-1", settings, {}, server.url)
    assert found == VerifiedRegion("us-east-1", verified=True, by="the instance's metadata")
    assert len(server.requests) == 2


def test_the_metadata_names_another_region(settings: Settings) -> None:
    with RawServer(metadata("eu-west-1")) as server:
        found = verify_region("us-east-1", settings, {}, server.url)
    assert found == VerifiedRegion("us-east-1", verified=False, by="the instance's metadata names another region")


def v1_only(talk: Talk) -> None:
    while request := talk.request():
        talk.send(answer("us-east-1") if request.startswith(b"GET ") else answer("", "405 Method Not Allowed"))


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(v1_only, id="only the first version, which gives its answer to anybody"),
        pytest.param(always(answer("us-east-1", "404 Not Found")), id="not found"),
        pytest.param(always(answer("", "302 Found\r\nLocation: /")), id="a redirect"),
        pytest.param(metadata("us-east-1", "x" * 1000), id="a token without end"),
        pytest.param(always(answer("us-east-1\r\nX: y")), id="a token that would be two headers"),
        pytest.param(always(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe"), id="bytes that are no text"),
        pytest.param(metadata("us-east-1" * 100), id="a region without end"),
        pytest.param(metadata(""), id="nothing"),
        pytest.param(always(b"SSH-2.0-x\r\n"), id="another protocol"),
        pytest.param(lambda talk: talk.hang(), id="silence"),
        pytest.param(lambda talk: talk.drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 99, 0.05), id="a drip"),
        pytest.param(lambda talk: talk.reset(), id="a reset"),
    ],
)
def test_what_is_no_such_service_bears_nothing_out_and_takes_no_time(settings: Settings, handler: Handler) -> None:
    with RawServer(handler) as server:
        took_s = []
        for _ in range(3):  # this machine may be busy
            begun = time.monotonic()
            assert not verify_region("us-east-1", settings, {}, server.url).verified
            took_s.append(time.monotonic() - begun)
            if took_s[-1] < WITHIN_S + 0.2:
                break
    assert min(took_s) < WITHIN_S + 0.2


def test_nobody_there(settings: Settings) -> None:
    with refusing_port() as port:
        assert verify_region("us-east-1", settings, {}, f"http://127.0.0.1:{port}") == NOTHING


def test_local_is_no_region_and_asks_nobody(settings: Settings, unasked: RawServer) -> None:
    environ = {"AWS_REGION": "local", "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}
    assert not verify_region("local", settings, environ, unasked.url).verified


def test_where_no_regions_are_configured_the_metadata_is_not_asked(tmp_path: Path, unasked: RawServer) -> None:
    plain = read(tmp_path, GOOD.replace("regions: [us-east-1, eu-west-1]\n", ""))
    assert verify_region("us-east-1", plain, {}, unasked.url) == NOTHING


@pytest.mark.parametrize(
    "marks", [{"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}, {"AWS_LAMBDA_FUNCTION_NAME": "smokeprobe"}]
)
def test_where_aws_itself_sets_its_region_nobody_else_is_asked(
    settings: Settings, marks: dict[str, str], unasked: RawServer
) -> None:
    right = verify_region("us-east-1", settings, {"AWS_REGION": "us-east-1", **marks}, unasked.url)
    assert right == VerifiedRegion("us-east-1", verified=True, by="AWS_REGION")
    wrong = verify_region("us-east-1", settings, {"AWS_REGION": "eu-west-1", **marks}, unasked.url)
    assert wrong == VerifiedRegion("us-east-1", verified=False, by="AWS_REGION names another region")


@pytest.mark.parametrize(
    "marks",
    [
        {},
        {"AWS_EXECUTION_ENV": "", "AWS_LAMBDA_FUNCTION_NAME": ""},
        {"GITHUB_ACTIONS": "true"},
        {"GITHUB_ACTIONS": "true", "AWS_EXECUTION_ENV": "AWS_ECS_EC2"},
    ],
)
def test_a_region_that_somebody_has_put_into_the_environment_is_no_proof(
    settings: Settings, marks: dict[str, str]
) -> None:
    with refusing_port() as port:
        environ = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", **marks}
        assert verify_region("us-east-1", settings, environ, f"http://127.0.0.1:{port}") == NOTHING


def proved_by(folder: Path, proof: dict[str, Any]) -> Settings:
    return read(folder, GOOD + f"region_proofs: {{ us-east-1: {proof} }}\n")


@pytest.mark.parametrize(
    ("said", "verified"),
    [("us-east-1", True), ("us-east-10", False), ("us-east-1\n", False), (" us-east-1", False), ("US-EAST-1", False)],
)
def test_a_configured_proof_says_exactly_the_regions_name(
    tmp_path: Path, said: str, verified: bool, unasked: RawServer
) -> None:
    (tmp_path / "region").write_text(said)
    file = verify_region("us-east-1", proved_by(tmp_path, {"file": str(tmp_path / "region")}), {}, unasked.url)
    assert file.verified is verified
    assert file.by.startswith(f"the file {tmp_path / 'region'}")
    variable = verify_region("us-east-1", proved_by(tmp_path, {"env": "NODE_REGION"}), {"NODE_REGION": said}, "x:")
    assert variable.verified is verified
    assert variable.by.startswith("the environment variable NODE_REGION")


def test_a_proof_that_is_not_there_leaves_it_to_the_others(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with RawServer(metadata("us-east-1")) as server:
        for proof in ({"env": "NODE_REGION"}, {"file": str(tmp_path / "none")}, {"file": str(tmp_path / "folder")}):
            found = verify_region("us-east-1", proved_by(tmp_path, proof), {"NODE_REGION": ""}, server.url)
            assert found.by == "the instance's metadata"
        unreadable = proved_by(tmp_path, {"file": str(tmp_path / "bytes")})
        assert not verify_region("us-east-1", unreadable, {}, server.url).verified


def test_a_proof_of_another_region_proves_nothing_of_this_one(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD + "region_proofs: { eu-west-1: { env: NODE_REGION } }\n")
    with refusing_port() as port:
        found = verify_region("us-east-1", settings, {"NODE_REGION": "us-east-1"}, f"http://127.0.0.1:{port}")
    assert found == NOTHING


@pytest.mark.parametrize(
    ("proof", "says"),
    [
        ("{}", "either env: VARIABLE or file: PATH"),
        ("{ env: NODE_REGION, file: /etc/podinfo/region }", "either env: VARIABLE or file: PATH"),
        ("{ env: node region }", "'node region' is no environment variable"),
        ("{ file: podinfo/region }", "'podinfo/region' is no absolute path"),
        ("{ env: NODE_REGION, why: not }", "why: unknown key"),
    ],
)
def test_a_proof_names_one_thing(tmp_path: Path, proof: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD + f"region_proofs: {{ us-east-1: {proof} }}\n")
    assert says in str(caught.value)

"""Passwords in AWS Secrets Manager: real calls to moto, and to a store that refuses, hangs or is not there."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator

import pytest
from boto3.session import Session

from probes.accounts.secrets import AccountBook
from probes.config import aws_secrets
from probes.config.models import Credentials, StoredSecret
from probes.config.secrets import LARGEST_SECRET, read_secret
from probes.errors import ConfigError, SecretStoreError
from probes.safety.redact import Redactor
from tests.monitoring.cloudwatch_server import moto_server
from tests.monitoring.loopback import Loopback, LoopbackHandler, serving

REGION = "eu-west-1"
SECRETS = {
    "smoke/basic": "hunter2-in-the-store\n",
    "smoke/both": json.dumps({"basic": "hunter2-of-basic", "number": 5}),
    "smoke/long": "x" * (LARGEST_SECRET + 1),
}
ARNS: dict[str, str] = {}


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """Where moto is, with `SECRETS` in it."""
    with moto_server() as (host, port):
        url = f"http://{host}:{port}"
        client = Session("AKIAINVENTED00000000", "invented", region_name=REGION).client(
            "secretsmanager", endpoint_url=url
        )
        for name, text in SECRETS.items():
            ARNS[name] = client.create_secret(Name=name, SecretString=text)["ARN"]
        client.create_secret(Name="smoke/binary", SecretBinary=b"hunter2")
        yield url


@pytest.fixture(autouse=True)
def _platform(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "AKIAINVENTED00000000", "AWS_SECRET_ACCESS_KEY": "invented"}
    given |= dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def asked(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is moto."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", store)


def read(name: str, key: str = "") -> str:
    secret = read_secret(StoredSecret(aws_secret=name, key=key), os.environ)
    return secret.get_secret_value() if secret else ""


def refused(name: str, key: str = "") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(name, key)
    assert "hunter2" not in str(caught.value)
    return caught.value


@pytest.mark.usefixtures("asked")
def test_a_secret_is_found_by_its_name_its_arn_and_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read("smoke/basic") == "hunter2-in-the-store"
    assert read("smoke/both", "basic") == "hunter2-of-basic"
    monkeypatch.setenv("AWS_REGION", "us-west-2")  # an ARN says its own region
    assert read(ARNS["smoke/basic"]) == "hunter2-in-the-store"


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("smoke/none", "", "The AWS secret smoke/none is not to be had: there is none of that name"),
        ("smoke/both", "premium", "has no key 'premium'"),
        ("smoke/both", "number", "what stands under 'number' is no text"),
        ("smoke/basic", "basic", "is no JSON object, so it has no key 'basic'"),
        ("smoke/binary", "", "is binary: keep a text there"),
        ("smoke/long", "", f"is longer than {LARGEST_SECRET} bytes"),
    ],
)
def test_a_secret_that_is_not_there_or_is_another_thing(name: str, key: str, said: str) -> None:
    assert said in refused(name, key).message


class Refusing(Loopback):
    """Answers with `code` and `status`; without a code, never."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(_Refusal)
        self.code, self.status = code, status


class _Refusal(LoopbackHandler):
    server: Refusing

    def post(self, body: bytes) -> None:
        assert b"smoke/basic" in body
        if self.server.code:
            text = json.dumps({"__type": self.server.code, "message": "hunter2 is what it says"})
            self.answer(self.server.status, text.encode(), {"Content-Type": "application/x-amz-json-1.1"})
        else:
            self.server.closing.wait(30)


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("AccessDeniedException", 400, "access is denied: allow secretsmanager:GetSecretValue"),
        ("ExpiredTokenException", 400, "our credentials have expired"),
        ("InternalServiceError", 500, "Secrets Manager answers 500 InternalServiceError"),
        ("ThrottlingException", 400, "Secrets Manager answers 400 ThrottlingException"),
    ],
)
def test_a_store_that_refuses_says_why(monkeypatch: pytest.MonkeyPatch, code: str, status: int, said: str) -> None:
    with serving(Refusing(code, status)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        problem = refused("smoke/basic")
    assert isinstance(problem, SecretStoreError)
    assert said in problem.message


def test_a_store_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_secrets, "READ_S", 0.3)
    with serving(Refusing("", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        begun = time.monotonic()
        problem = refused("smoke/basic")
        assert time.monotonic() - begun < 10  # asked again, or by boto3's own time-out, it would be 60 and more
    assert isinstance(problem, SecretStoreError)
    assert "has not answered within" in problem.message


def test_a_store_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:  # bound, but nobody listens
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        problem = refused("smoke/basic")
    assert isinstance(problem, SecretStoreError)
    assert problem.message == "The AWS secret smoke/basic is not to be had: Secrets Manager cannot be reached."


@pytest.mark.usefixtures("asked")
def test_without_region_or_credentials_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "boto3 finds no AWS credentials" in refused("smoke/basic").message
    monkeypatch.delenv("AWS_REGION")
    assert "no AWS region is set: set AWS_REGION" in refused("smoke/basic").message


def test_a_secret_comes_over_https_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://secrets.example.com")
    assert "AWS_ENDPOINT_URL_SECRETS_MANAGER: a secret comes over https only" in refused("smoke/basic").message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"aws_secret": "smoke/basic", "env": "A_SECRET"}, "one of env: VARIABLE, file: PATH and aws_secret: NAME"),
        ({"aws_secret": "hunter2 with blanks"}, "names a secret in AWS Secrets Manager"),
        ({"env": "A_SECRET", "key": "basic"}, "key: is of a JSON object in aws_secret"),
        ({}, "either env: VARIABLE or file: PATH"),
    ],
)
def test_where_a_secret_is_must_be_one_place(source: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        StoredSecret.model_validate(source)
    assert "hunter2" not in str(caught.value)


def test_what_a_store_does_not_give_out_is_asked_for_again_and_is_never_shown(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = {"user": "someone@example.com", "password": {"aws_secret": "smoke/basic"}}
    credentials = Credentials.model_validate({"hosts": ["example.com"], "accounts": {"basic": account}})
    redactor = Redactor()
    book = AccountBook(credentials, os.environ, redactor)
    with serving(Refusing("InternalServiceError", 500)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(SecretStoreError):
            book.of("basic")
    monkeypatch.setenv("AWS_ENDPOINT_URL", store)
    assert book.of("basic").password == "hunter2-in-the-store"
    assert redactor.text("it was hunter2-in-the-store") == "it was [redacted: password]"

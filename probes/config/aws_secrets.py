"""A secret from AWS Secrets Manager. boto3 looks for region and credentials where it always does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from probes.delivery import keeps_a_secret
from probes.errors import ConfigError, SecretStoreError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

CONNECT_S = 2.0
READ_S = 3.0
"""How long it may be silent: a run has 30 s for everything, and a login waits for this. It is asked once."""

_ADDRESSES = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL")

_REFUSED = {
    "ResourceNotFoundException": "there is none of that name in this account and region",
    "AccessDeniedException": "access is denied: allow secretsmanager:GetSecretValue (kms:Decrypt for a key of yours)",
    "DecryptionFailure": "its key cannot decrypt it",
    "ExpiredTokenException": "our credentials have expired",
    "UnrecognizedClientException": "our credentials are not known there",
    "InvalidRequestException": "it is not to be had as it is; it may be about to be deleted",
}
"""What is wrong, by the error's code (GetSecretValue in the API's reference, and its common errors)."""


def read_aws_secret(name: str, key: str, environ: Mapping[str, str]) -> str:
    """The text of a secret by its name or ARN, or of one key where it is a JSON object; '' where it is empty.

    Raises SecretStoreError where it is not to be had, and ConfigError where it is not what the configuration says.
    """
    for variable in _ADDRESSES:
        if environ.get(variable) and not keeps_a_secret(environ[variable]):
            raise ConfigError(f"{variable}: a secret comes over https only.", hint="Write https://HOST.")
    # boto3 itself reads AWS_DEFAULT_REGION only
    region = _region_in(name) or environ.get("AWS_REGION") or None
    text = _ask(name, region).get("SecretString")
    what = f"The AWS secret {name}"
    if not isinstance(text, str):
        raise ConfigError(f"{what} is binary: keep a text there.")
    if not key:
        return text
    try:
        value = json.loads(text)[key]
    except (ValueError, TypeError, RecursionError):  # their messages would repeat some of it
        raise ConfigError(f"{what} is no JSON object, so it has no key {key!r}: leave key out.") from None
    except KeyError:
        raise ConfigError(f"{what} has no key {key!r}.") from None
    if not isinstance(value, str):
        raise ConfigError(f"{what}: what stands under {key!r} is no text.")
    return value


def _ask(name: str, region: str | None) -> Mapping[str, Any]:
    from boto3.session import Session  # only where a password is kept there
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=CONNECT_S, read_timeout=READ_S, retries={"total_max_attempts": 1})
    where = f"The AWS secret {name} is not to be had"
    try:
        client: Any = Session(region_name=region).client("secretsmanager", config=config)
        answer: Mapping[str, Any] = client.get_secret_value(SecretId=name)
    except ClientError as refused:
        raise SecretStoreError(f"{where}: {_said(refused)}.") from None
    except (BotoCoreError, ValueError) as problem:  # ValueError: an endpoint that is no URL
        raise SecretStoreError(f"{where}: {_trouble(problem)}.") from None
    return answer


def _region_in(name: str) -> str:
    """An ARN says where the secret is: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME."""
    parts = name.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 3 else ""


def _said(refused: ClientError) -> str:
    code = str(refused.response.get("Error", {}).get("Code", ""))
    status = refused.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "no status")
    return _REFUSED.get(code, f"Secrets Manager answers {status} {code[:60]}".rstrip())


def _trouble(problem: Exception) -> str:
    from botocore import exceptions as known

    if isinstance(problem, known.NoRegionError):
        return "no AWS region is set: set AWS_REGION"
    if isinstance(problem, known.NoCredentialsError | known.PartialCredentialsError | known.CredentialRetrievalError):
        return "boto3 finds no AWS credentials"
    if isinstance(problem, known.ConnectTimeoutError | known.ReadTimeoutError):
        return f"Secrets Manager has not answered within {CONNECT_S + READ_S:g} s"
    if isinstance(problem, known.EndpointConnectionError | known.ConnectionError | known.HTTPClientError):
        return "Secrets Manager cannot be reached"
    return f"boto3 cannot ask: {type(problem).__name__}"

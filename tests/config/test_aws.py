"""Whether there are AWS credentials, without asking anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.config.aws import has_aws_credentials

NITRO = "Amazon EC2\n"


@pytest.mark.parametrize(
    ("environ", "vendor", "file", "has"),
    [
        ({}, "", "", False),
        ({"AWS_ACCESS_KEY_ID": " "}, "QEMU\n", "", False),
        ({"AWS_ACCESS_KEY_ID": "AKIA"}, "", "", True),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token"}, "", "", True),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}, "", "", True),
        ({"AWS_LAMBDA_FUNCTION_NAME": "smoke"}, "", "", True),
        ({"HOME": "{home}"}, "", "", False),
        ({"HOME": "{home}"}, "", ".aws/credentials", True),
        ({"HOME": "{home}"}, "", ".aws/config", True),
        ({"AWS_SHARED_CREDENTIALS_FILE": "{home}/mine"}, "", "mine", True),
        ({"HOME": "{home}", "AWS_CONFIG_FILE": "/dev/null"}, "", ".aws/config", False),
        ({}, NITRO, "", True),  # an instance may have a role
        ({"AWS_EC2_METADATA_DISABLED": "True"}, NITRO, "", False),
    ],
)
def test_it_is_told_by_environment_files_and_machine(
    tmp_path: Path, environ: dict[str, str], vendor: str, file: str, *, has: bool
) -> None:
    made_by = tmp_path / "sys_vendor"
    if vendor:
        made_by.write_text(vendor)
    if file:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
    environ = {name: value.replace("{home}", str(tmp_path)) for name, value in environ.items()}
    assert has_aws_credentials(environ, made_by) is has

"""Whether a process has AWS credentials. Environment, files and machine tell: nobody is asked, nothing imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

AWS_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]")
"""What the name of one of its regions looks like."""

VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_LAMBDA_FUNCTION_NAME",
)
"""Each says that there are some; in Lambda metrics need none."""

FILES = {"AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials", "AWS_CONFIG_FILE": ".aws/config"}
"""Where else they stand: the variable that names the file, and where it is in the home folder otherwise."""

VENDOR = Path("/sys/class/dmi/id/sys_vendor")
"""What made the machine. An instance of EC2 says so here, and may have a role."""


def has_aws_credentials(environ: Mapping[str, str], vendor: Path | None = None) -> bool:
    """Whether boto3's own chain has somewhere to look; what it finds there, only AWS can judge."""
    if any(environ.get(name, "").strip() for name in VARIABLES):
        return True
    home = environ.get("HOME", "")
    for name, usual in FILES.items():
        file = environ.get(name, "") or (f"{home}/{usual}" if home else "")
        if file and Path(file).is_file():
            return True
    return environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true" and _is_ec2(vendor or VENDOR)


def _is_ec2(vendor: Path) -> bool:
    try:
        return vendor.read_text(errors="replace").startswith("Amazon EC2")
    except OSError:
        return False

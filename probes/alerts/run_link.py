"""Where a run can be seen, by the variables of what it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

_CONSOLES = {"cn": "console.amazonaws.cn", "us-gov": "console.amazonaws-us-gov.com"}
"""AWS has a console of its own for the regions of some names; of all others it is one."""


def run_url(environ: Mapping[str, str]) -> str:
    """The run on GitHub Actions, or its log on AWS Lambda; empty where it runs on neither."""
    if all(run := _values(environ, "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")):
        return "{}/{}/actions/runs/{}".format(*run)
    log = _values(environ, "AWS_REGION", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME")
    return _log_url(*log) if all(log) else ""


def _values(environ: Mapping[str, str], *names: str) -> list[str]:
    return [environ.get(name, "") for name in names]


def _log_url(region: str, group: str, stream: str) -> str:
    console = _CONSOLES.get(region.rsplit("-", 2)[0], f"{region}.console.aws.amazon.com")
    where = f"log-groups/log-group/{_quoted(group)}/log-events/{_quoted(stream)}"
    return f"https://{console}/cloudwatch/home?region={quote(region, safe='')}#logsV2:{where}"


def _quoted(name: str) -> str:
    """Quoted twice, with $ for the second one's %: so the console reads what stands behind the #."""
    return quote(quote(name, safe=""), safe="").replace("%", "$")

"""Where a message leads to for its run."""

from __future__ import annotations

import pytest

from probes.alerts.run_link import run_url

GITHUB = {
    "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "shop/smoke", "GITHUB_RUN_ID": "17",
}  # fmt: skip
LAMBDA = {
    "AWS_REGION": "eu-west-1",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/smoke",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/12/01/[$LATEST]5f2c",
}


@pytest.mark.parametrize("missing", sorted(GITHUB))
def test_on_github_it_is_the_run_where_all_is_known(missing: str) -> None:
    assert run_url(GITHUB) == "https://github.com/shop/smoke/actions/runs/17"
    assert run_url({**GITHUB, missing: ""}) == ""


@pytest.mark.parametrize("missing", sorted(LAMBDA))
def test_on_lambda_it_is_the_log_of_the_run_where_all_is_known(missing: str) -> None:
    log = (
        "log-groups/log-group/$252Faws$252Flambda$252Fsmoke/log-events/2026$252F12$252F01$252F$255B$2524LATEST$255D5f2c"
    )
    expected = f"https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:{log}"
    assert run_url(LAMBDA) == expected
    assert run_url({name: value for name, value in LAMBDA.items() if name != missing}) == ""


@pytest.mark.parametrize(
    ("region", "console"),
    [("cn-north-1", "console.amazonaws.cn"), ("us-gov-west-1", "console.amazonaws-us-gov.com")],
)
def test_china_and_the_government_have_consoles_of_their_own(region: str, console: str) -> None:
    assert run_url({**LAMBDA, "AWS_REGION": region}).startswith(f"https://{console}/cloudwatch/home?region={region}#")


def test_elsewhere_there_is_none() -> None:
    assert run_url({}) == ""

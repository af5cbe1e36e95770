"""Which service gets what: the file with every mistake at once, and what the environment makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.config.load import shipped
from probes.config.monitoring import FILE, Integration, Role, chosen, load_integration
from probes.errors import ConfigError

DATADOG, PROMETHEUS = {"DD_API_KEY": "k"}, {"SMOKEPROBE_PUSHGATEWAY_URL": "http://127.0.0.1:9091"}
BAD = Path(__file__).with_name("bad-monitoring.yaml")


@pytest.fixture(autouse=True)
def _no_cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("probes.config.aws.VENDOR", tmp_path / "sys_vendor")  # whatever made this machine


def integration() -> Integration:
    return load_integration(shipped("config") / FILE)


def test_every_mistake_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        load_integration(BAD)
    assert [problem.removeprefix(f"{BAD}:") for problem in raised.value.problems] == [
        "1: tags: 'env' is no name for a tag: small letters, digits and _, and not one of ours",
        (
            "6: services.datadog.site: must be 'datadoghq.com', 'us3.datadoghq.com', 'us5.datadoghq.com', "
            "'datadoghq.eu', 'ap1.datadoghq.com', 'ap2.datadoghq.com' or 'ddog-gov.com'"
        ),
        "7: services.datadog.api_key: unknown key",
        "8: services.datadog.environments.0: 'Production' is not a name: small letters, digits, - and _, at most 40",
        (
            "9: services.datadog.metrics.0: 'smoke_test.sucess' is no metric of ours, nor a pattern of some, such as "
            "smoke_test.phase.*; did you mean smoke_test.success?"
        ),
        "11: services.prometheus.prefix: 'my-' is no prefix: small letters, digits and _, with a dot at its end",
        "12: services.prometheus.tags: team: its value is no tag: small letters, digits, _, ., / and -, at most 100",
        "13: services.newrelic.tags: team: its value is no tag: small letters, digits, _, ., / and -, at most 100",
        "14: services.cloudwatch.region: 'ireland' is no region of AWS, such as eu-west-1",
        (
            "14: services.cloudwatch.namespace: 'AWS/Mine' is no namespace: letters, digits, ., _, /, # and -, at most "
            "255, and not AWS's own"
        ),
        "15: services.datdog: unknown key; did you mean datadog?",
    ]


def test_without_a_file_no_service_stands_there(tmp_path: Path) -> None:
    assert chosen(load_integration(tmp_path / FILE), "production", "run", {**DATADOG, **PROMETHEUS}) == {}


@pytest.mark.parametrize(
    ("env", "role", "environ", "names"),
    [
        ("production", "run", {**DATADOG, **PROMETHEUS}, ["datadog", "prometheus"]),
        ("production", "run", DATADOG, ["datadog"]),
        ("production", "run", {"DD_AGENT_HOST": "127.0.0.1"}, ["datadog"]),
        ("production", "run", {"NEW_RELIC_LICENSE_KEY": "k"}, ["newrelic"]),
        ("production", "run", {"DD_API_KEY": " "}, []),
        ("production", "run", {"AWS_PROFILE": "probe"}, ["cloudwatch"]),
        ("production", "master", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}, ["cloudwatch", "prometheus"]),
        ("production", "run", {}, []),
        ("production", "master", {}, ["prometheus"]),  # it is scraped
        ("production", "worker", {**DATADOG, **PROMETHEUS}, []),  # its master sends
        ("local", "run", {**DATADOG, **PROMETHEUS}, []),
        ("local", "master", DATADOG, []),
        ("local", "run", {**DATADOG, "SMOKEPROBE_MONITORING": "datadog"}, ["datadog"]),
        ("production", "run", {**DATADOG, **PROMETHEUS, "SMOKEPROBE_MONITORING": "prometheus"}, ["prometheus"]),
    ],
)
def test_a_service_is_used_where_it_stands_there_and_has_its_credentials(
    env: str, role: Role, environ: dict[str, str], names: list[str]
) -> None:
    assert list(chosen(integration(), env, role, environ)) == names


def test_the_environment_may_ask_for_a_service_that_stands_in_no_file(tmp_path: Path) -> None:
    found = chosen(load_integration(tmp_path / FILE), "mine", "run", {**DATADOG, "SMOKEPROBE_MONITORING": "datadog"})
    assert found["datadog"].prefix == ""


def test_what_a_service_gets_and_how_it_is_tagged(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text(
        "tags: { service: shop, team: a }\n"
        "services:\n"
        "  datadog: { environments: [local], metrics: [smoke_test.success, smoke_test.phase.*], tags: { team: b } }\n"
    )
    options = chosen(load_integration(path), "local", "run", DATADOG)["datadog"]
    assert options.tags == {"service": "shop", "team": "b"}
    wanted = [
        name for name in ("smoke_test.success", "smoke_test.phase.dns", "smoke_test.blind") if options.wants(name)
    ]
    assert wanted == ["smoke_test.success", "smoke_test.phase.dns"]


def test_a_service_whose_credentials_are_nowhere_cannot_be_asked_for() -> None:
    with pytest.raises(ConfigError) as raised:
        chosen(integration(), "local", "run", {"SMOKEPROBE_MONITORING": "cloudwatch"})
    assert "asks for cloudwatch" in str(raised.value)
    assert "AWS_ACCESS_KEY_ID, AWS_PROFILE" in str(raised.value)

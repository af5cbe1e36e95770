"""CloudWatch by CloudFormation: what moto makes of our stacks, and what is said where CloudFormation does not do it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.session import Session
from botocore.stub import Stubber

from probes.errors import ConfigError, SmokeprobeError
from probes.monitoring.as_code import cloudformation
from probes.monitoring.as_code.changes import Create
from probes.monitoring.as_code.cloudformation import Keeper, marked
from probes.monitoring.as_code.mark import Mark
from probes.monitoring.as_code.wanted import Wanted
from tests.monitoring.as_code.terminal import Desk

DASHBOARDS = "smokeprobe-production-dashboards"
REGION = "us-east-1"
SECRET = "inventedSecret/0123456789abcdefghijklmnop"
TOPIC = Wanted("topic", "oncall", "On call", {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "On call"}})


@pytest.fixture
def aws(moto: tuple[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A session that leads to moto, which has nothing."""
    settings = {
        "AWS_ENDPOINT_URL": f"http://{moto[0]}:{moto[1]}", "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "AKIAINVENTED",
        "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    session = Session(region_name=REGION)
    client = session.client("cloudformation")
    yield session
    for stack in client.describe_stacks()["Stacks"]:
        client.delete_stack(StackName=stack["StackName"])


@pytest.fixture
def desk(tmp_path: Path, aws: object) -> Desk:  # noqa: ARG001 - it is the environment
    made = Desk(tmp_path, "cloudwatch", {"AWS_REGION": REGION})
    made.write_rules()  # moto makes no alarms of a template
    made.write_board("shop")
    return made


def names(aws: Any) -> list[str]:
    found = aws.client("cloudwatch").list_dashboards()["DashboardEntries"]
    return sorted(one["DashboardName"] for one in found)


def test_made_changed_carried_over_and_pruned(desk: Desk, aws: Any) -> None:
    desk.write_board("old")
    code, said = desk.apply()
    assert code == 0, said
    assert said.splitlines()[-1].startswith("Done, and read back: cloudwatch has 2 dashboards of production")
    assert names(aws) == ["smokeprobe-production-old", "smokeprobe-production-shop"]
    assert desk.plan() == (0, "Nothing to do: cloudwatch has 2 dashboards of production as described.\n")

    desk.forget_board("old")
    desk.write_board("shop", "Availability now")
    code, said = desk.plan()
    assert code == 4
    assert "~ dashboard shop “Shop (production)”" in said
    changed = [line.split(maxsplit=1)[1] for line in said.splitlines() if line.startswith(("    -", "    +"))]
    assert '"title": "Availability",' in changed
    assert '"title": "Availability now",' in changed
    assert desk.apply()[0] == 0
    assert names(aws) == ["smokeprobe-production-old", "smokeprobe-production-shop"]
    body = aws.client("cloudwatch").get_dashboard(DashboardName="smokeprobe-production-shop")["DashboardBody"]
    assert "Availability now" in body
    assert f'"region":"{REGION}"' in body.replace('": "', '":"')

    code, said = desk.apply(prune=True)
    assert (code, "- dashboard old “Shop (production)”: removed" in said) == (0, True)
    assert names(aws) == ["smokeprobe-production-shop"]


def test_another_title_is_seen_by_cloudformation(desk: Desk, aws: Any) -> None:
    """It takes a change of metadata only together with one of a property: so the title stands in the body, too."""
    desk.apply()
    template = aws.client("cloudformation").get_template(StackName=DASHBOARDS)["TemplateBody"]
    board = desk.folder / "dashboards" / "shop.yaml"
    board.write_text(board.read_text().replace("title: Shop", "title: Our shop"))
    assert desk.apply()[0] == 0
    changed = aws.client("cloudformation").get_template(StackName=DASHBOARDS)["TemplateBody"]
    assert template["Resources"]["DashboardShop"]["Properties"] != changed["Resources"]["DashboardShop"]["Properties"]


def test_a_stack_goes_with_the_last_that_is_in_it(desk: Desk, aws: Any) -> None:
    desk.apply()
    desk.forget_board("shop")
    code, said = desk.apply(prune=True)
    assert code == 0, said
    assert aws.client("cloudformation").describe_stacks()["Stacks"] == []


def test_alarms_and_topics_have_a_stack_of_their_own(aws: Any) -> None:
    client = aws.client("cloudformation")
    keeper = Keeper(Mark("production", {"service": "shop"}), client, pause_s=0.0)
    (done,) = keeper.carry_out([Create(marked(TOPIC))])
    assert done.thing.key == "oncall"
    (found,) = keeper.found()
    assert (found.kind, found.key, found.name) == ("topic", "oncall", "On call")
    (stack,) = client.describe_stacks()["Stacks"]
    assert stack["StackName"] == "smokeprobe-production-monitors"
    assert stack["Tags"] == TAGS


def test_a_stack_of_somebody_else_is_left_alone(desk: Desk, aws: Any) -> None:
    client = aws.client("cloudformation")
    template = json.dumps({"Resources": {"Theirs": dict(TOPIC.body)}})
    client.create_stack(StackName=DASHBOARDS, TemplateBody=template)
    code, said = desk.apply(prune=True)
    assert code == 1
    assert said.startswith(
        f"There is a stack {DASHBOARDS} without our tags managed-by:smokeprobe env:production service:shop: it is"
    )
    assert client.get_template(StackName=DASHBOARDS)["TemplateBody"] == json.loads(template)


def test_foreign_dashboards_stay(desk: Desk, aws: Any) -> None:
    watch = aws.client("cloudwatch")
    watch.put_dashboard(DashboardName="theirs", DashboardBody='{"widgets":[]}')
    desk.apply(prune=True)
    assert names(aws) == ["smokeprobe-production-shop", "theirs"]
    watch.delete_dashboards(DashboardNames=["theirs"])


def stub(*answers: tuple[str, Any]) -> Keeper:
    """A keeper to whom CloudFormation says these things, each an answer, or the status, code and text of an error."""
    client = Session("AKIAINVENTED", SECRET, region_name=REGION).client("cloudformation")
    stubber = Stubber(client)
    for operation, answer in answers:
        if isinstance(answer, tuple):
            status, code, text = answer
            stubber.add_client_error(operation, code, text, http_status_code=status)
        else:
            stubber.add_response(operation, answer)
    stubber.activate()
    return Keeper(Mark("production", {"service": "shop"}), client, pause_s=0.0)


def status(name: str) -> tuple[str, Any]:
    stack = {"StackName": DASHBOARDS, "CreationTime": 0, "StackStatus": name}
    return "describe_stacks", {"Stacks": [{**stack, "Tags": TAGS}]}


TAGS = [
    {"Key": name, "Value": value}
    for name, value in (("managed-by", "smokeprobe"), ("env", "production"), ("service", "shop"))
]
NONE = "describe_stacks", (400, "ValidationError", f"Stack with id {DASHBOARDS} does not exist")
CREATED = "create_stack", {"StackId": "arn:stack"}
DELETED: tuple[str, Any] = ("delete_stack", {})
BOARD = Wanted(
    "dashboard", "shop", "Shop", {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"DashboardBody": "{}"}}
)


def make(keeper: Keeper) -> None:
    assert list(keeper.carry_out([Create(marked(BOARD))]))


def test_a_stack_that_is_rolled_back_says_why() -> None:
    def event(resource: str, reason: str) -> dict[str, Any]:
        known = {"StackId": "arn", "EventId": "1", "StackName": DASHBOARDS, "Timestamp": 0}
        return {
            **known,
            "LogicalResourceId": resource,
            "ResourceStatus": "CREATE_FAILED",
            "ResourceStatusReason": reason,
        }

    events = [event("Other", "Resource creation cancelled"), event("DashboardShop", "period is no number")]
    keeper = stub(
        NONE, NONE, CREATED, status("CREATE_IN_PROGRESS"), status("ROLLBACK_IN_PROGRESS"), status("ROLLBACK_COMPLETE"),
        ("describe_stack_events", {"StackEvents": events}),
    )  # fmt: skip
    with pytest.raises(SmokeprobeError) as raised:
        make(keeper)
    assert str(raised.value) == (
        f"The stack {DASHBOARDS} is ROLLBACK_COMPLETE: nothing was changed. DashboardShop: period is no number"
    )


def test_what_was_never_made_is_out_of_the_way_first() -> None:
    back = status("ROLLBACK_COMPLETE")
    make(stub(back, back, DELETED, status("DELETE_IN_PROGRESS"), NONE, CREATED, status("CREATE_COMPLETE")))


def test_a_stack_that_takes_too_long_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloudformation, "PATIENCE_S", -1.0)
    with pytest.raises(SmokeprobeError, match="is still CREATE_IN_PROGRESS, after -1 s: look there"):
        make(stub(NONE, NONE, CREATED, status("CREATE_IN_PROGRESS")))


def test_a_template_has_an_end() -> None:
    large = Wanted(
        "dashboard", "shop", "Shop", {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"X": "x" * 51_200}}
    )
    with pytest.raises(
        SmokeprobeError, match="takes a template of 51200 bytes, and that of smokeprobe-production-dash"
    ):
        list(stub(NONE, NONE).carry_out([Create(marked(large))]))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ((403, "AccessDenied", "User arn:… is not"), "HTTP 403, AccessDenied: are the credentials valid, and may they"),
        ((400, "Throttling", "Rate exceeded"), "HTTP 400, Throttling: it asks to be left alone."),
        ((500, "InternalFailure", ""), "HTTP 500, InternalFailure: it has trouble of its own."),
        ((400, "ValidationError", "Stack is busy"), "HTTP 400, ValidationError: Stack is busy"),
    ],
)  # fmt: skip
def test_an_error_is_one_sentence(error: tuple[int, str, str], sentence: str) -> None:
    with pytest.raises(SmokeprobeError) as raised:
        stub(("describe_stacks", error)).found()
    assert str(raised.value).startswith(f"CloudFormation answers {sentence}")


def test_nobody_there_and_no_credentials(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    said = "CloudFormation (127.0.0.1) cannot be reached: no connection, or it was cut off.\n"
    assert desk.plan() == (1, said)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigError, match="cloudwatch: boto3 finds no credentials of AWS") as raised:
        desk.plan()
    assert raised.value.hint.startswith("Set AWS_PROFILE, or")


def test_keys_go_over_https_only(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://aws.example")
    with pytest.raises(ConfigError, match="keys go over https only"):
        desk.plan()

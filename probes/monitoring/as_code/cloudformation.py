"""CloudWatch's dashboards, and its alarms with their topics, as two CloudFormation stacks: these are the mark.

One alone would soon be larger than a template may be. CloudFormation does all that is asked of a stack, or nothing.
What is in a stack and no longer described is carried over, unless it is pruned.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from probes.delivery import keeps_a_secret
from probes.errors import ConfigError, SmokeprobeError
from probes.monitoring.as_code.changes import Change, Found, Remove
from probes.monitoring.as_code.https import TIMEOUT_S, ApiError
from probes.monitoring.as_code.mark import OWNER, Mark
from probes.monitoring.as_code.wanted import Kind, Wanted, logical_id

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from types_boto3_cloudformation.client import CloudFormationClient

LARGEST = 51_200
"""So many bytes a template may have that comes with the request."""

PATIENCE_S = 300.0
"""How long a stack may take."""

_KINDS: Mapping[str, Kind] = {"AWS::CloudWatch::Dashboard": "dashboard", "AWS::SNS::Topic": "topic"}
_MARK = "Smokeprobe"
_FAILED = ("ROLLBACK", "FAILED")
_NEVER_MADE = frozenset({"", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"})
"""None of its resources is there; one that was rolled back can only be deleted."""


def make_keeper(mark: Mark, region: str) -> Keeper:
    """With the credentials that boto3 finds. Raises ConfigError where there are none, or nobody says which region."""
    from boto3.session import Session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1},
        user_agent_extra="smokeprobe",
    )  # fmt: skip
    try:
        session = Session(region_name=region or None)
        client = session.client("cloudformation", config=config)
        credentials = session.get_credentials()
    except BotoCoreError as problem:  # no region, a profile that is not there, a file that cannot be read
        raise ConfigError(f"cloudwatch: {problem}", hint="Set AWS_REGION, or region in the file.") from None
    if credentials is None:
        hint = "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where there is a role."
        raise ConfigError("cloudwatch: boto3 finds no credentials of AWS.", hint=hint)
    if not keeps_a_secret(client.meta.endpoint_url):
        raise ConfigError("AWS_ENDPOINT_URL: keys go over https only.", hint="Write https://HOST.")
    return Keeper(mark, client)


def stack_of(env: str, kind: Kind) -> str:
    """The name of the stack that has all of a kind."""
    return f"smokeprobe-{env}-{'dashboards' if kind == 'dashboard' else 'monitors'}".replace("_", "-")


def templates(env: str, wanted: Sequence[Wanted]) -> dict[str, dict[str, Any]]:
    """The templates of all stacks that have something, by name."""
    found: dict[str, dict[str, Any]] = {}
    for one in wanted:
        stack = stack_of(env, one.kind)
        found.setdefault(stack, template(env, {}))["Resources"][logical_id(one.kind, one.key)] = one.body
    return found


def template(env: str, resources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A template with these resources, by logical id."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Of smokeprobe {env}. {OWNER}",
        "Resources": dict(resources),
    }


def marked(wanted: Wanted) -> Wanted:
    """With its key and name as metadata of the resource."""
    return replace(wanted, body={**wanted.body, "Metadata": {_MARK: {"Key": wanted.key, "Name": wanted.name}}})


class Keeper:
    """What is in our stacks, and what becomes of it. `pause_s` is the time between two looks at one that changes."""

    def __init__(self, mark: Mark, client: CloudFormationClient, pause_s: float = 2.0) -> None:
        self._mark, self._env, self._client, self._pause_s = mark, mark.env, client, pause_s
        self._tags = [{"Key": name, "Value": value} for name, value in mark.pairs.items()]
        self._where = f"CloudFormation ({urlsplit(client.meta.endpoint_url).hostname})"

    def marked(self, wanted: Wanted) -> Wanted:
        """With its key and name."""
        return marked(wanted)

    def found(self) -> list[Found]:
        """The resources of our stacks, as they were told to them."""
        stacks = (stack_of(self._env, "dashboard"), stack_of(self._env, "monitor"))
        return [found for stack in stacks for found in self._resources(stack).values()]

    def _resources(self, stack: str) -> dict[str, Found]:
        if self._status(stack) in _NEVER_MADE:
            return {}
        body: Any = self._ask("get_template", StackName=stack, TemplateStage="Original")["TemplateBody"]
        template = json.loads(body) if isinstance(body, str) else body
        found = {}
        for name, resource in template["Resources"].items():
            mark = resource.get("Metadata", {}).get(_MARK, {})
            kind = _KINDS.get(resource["Type"], "monitor")
            found[name] = Found(kind, mark.get("Key", name), mark.get("Name", name), name, resource)
        return found

    def carry_out(self, changes: Sequence[Change]) -> Iterator[Change]:
        """All of a stack at once."""
        stacks: dict[str, list[Change]] = {}
        for change in changes:
            stacks.setdefault(stack_of(self._env, change.thing.kind), []).append(change)
        for stack, of_it in stacks.items():
            self._carry_out(stack, of_it)
            yield from of_it

    def _carry_out(self, stack: str, changes: Sequence[Change]) -> None:
        resources = {name: found.body for name, found in self._resources(stack).items()}
        is_new = not resources
        if is_new and self._status(stack):  # it was never made, and is in the way
            self._ask("delete_stack", StackName=stack)
            self._wait(stack, gone=True)
        for change in changes:
            if isinstance(change, Remove):
                del resources[change.thing.reference]
            else:
                resources[logical_id(change.thing.kind, change.thing.key)] = change.thing.body
        if resources:
            self._submit(stack, resources, is_new=is_new)
        else:
            self._ask("delete_stack", StackName=stack)
        self._wait(stack, gone=not resources)

    def _submit(self, stack: str, resources: Mapping[str, Mapping[str, Any]], *, is_new: bool) -> None:
        body = json.dumps(template(self._env, resources), separators=(",", ":"), ensure_ascii=False)
        if (size := len(body.encode())) > LARGEST:
            raise SmokeprobeError(
                f"CloudFormation takes a template of {LARGEST} bytes, and that of {stack} has {size}.", "Describe less."
            )
        self._ask("create_stack" if is_new else "update_stack", StackName=stack, TemplateBody=body, Tags=self._tags)

    def _status(self, stack: str) -> str:
        """The status of a stack; nothing where there is none. Raises SmokeprobeError where it is somebody else's."""
        try:
            (found,) = self._ask("describe_stacks", StackName=stack)["Stacks"]
        except ApiError as problem:
            if "does not exist" in problem.message:
                return ""
            raise
        if any(tag not in found.get("Tags", []) for tag in self._tags):
            raise SmokeprobeError(
                f"There is a stack {stack} without our tags {' '.join(self._mark.words)}: "
                "it is somebody else's, and is left alone."
            )
        return str(found["StackStatus"])

    def _wait(self, stack: str, *, gone: bool) -> None:
        ends = time.monotonic() + PATIENCE_S
        while (status := self._status(stack)).endswith("IN_PROGRESS"):
            if time.monotonic() > ends:
                raise SmokeprobeError(f"The stack {stack} is still {status}, after {PATIENCE_S:g} s: look there.")
            time.sleep(self._pause_s)
        if any(word in status for word in _FAILED) or gone == bool(status):
            raise SmokeprobeError(f"The stack {stack} is {status}: nothing was changed. {self._why(stack)}".strip())

    def _why(self, stack: str) -> str:
        """What CloudFormation says of the first resource that failed."""
        for event in self._ask("describe_stack_events", StackName=stack)["StackEvents"]:
            reason = event.get("ResourceStatusReason", "")
            if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason:
                return f"{event['LogicalResourceId']}: {reason}"
        return ""

    def _ask(self, operation: str, **arguments: Any) -> Any:
        from botocore import exceptions as known

        try:
            return getattr(self._client, operation)(**arguments)
        except known.ClientError as problem:
            raise self._sorry(operation, problem) from None
        except (known.ConnectTimeoutError, known.ReadTimeoutError):
            raise ApiError(f"{self._where} does not answer within {TIMEOUT_S:g} s.") from None
        except (known.ConnectionError, known.HTTPClientError):
            raise ApiError(f"{self._where} cannot be reached: no connection, or it was cut off.") from None
        except known.BotoCoreError as problem:
            raise ApiError(f"CloudFormation cannot be asked: {problem}") from None

    @staticmethod
    def _sorry(operation: str, problem: ClientError) -> ApiError:
        status, error = problem.response["ResponseMetadata"]["HTTPStatusCode"], problem.response["Error"]
        code, said = error["Code"], " ".join(error.get("Message", "").split())[:300]
        if status in {401, 403} or "AccessDenied" in code:
            action = "".join(word.capitalize() for word in operation.split("_"))
            said = f"are the credentials valid, and may they cloudformation:{action}?"
        elif "Throttl" in code:
            said = "it asks to be left alone."
        elif status >= 500:
            said = "it has trouble of its own."
        return ApiError(f"CloudFormation answers HTTP {status}, {code}: {said}", status)

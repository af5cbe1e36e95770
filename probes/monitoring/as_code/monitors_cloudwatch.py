"""CloudWatch: a composite alarm a rule, over two silent alarms for each region: the condition, and samples enough.

Each of these asks a query (Metrics Insights), as an alarm on named metrics would have to name every mode and check, and
may name ten; and such an alarm may have one query only, so that the quorum is the composite alarm's.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

from probes.config.conditions import Operator
from probes.config.monitoring import ServiceOptions
from probes.monitoring.as_code.wanted import Wanted, logical_id
from probes.monitoring.as_code.watch import Monitors, Watch, channels, mails

NAMESPACE = "Smokeprobe"
LONGEST_WINDOW_S = 3 * 3600
LONGEST_RULE = 10_240

_FUNCTIONS = {"mean": "AVG", "sum": "SUM", "min": "MIN", "max": "MAX"}
_COMPARISONS: dict[Operator, str] = {
    "<": "LessThanThreshold",
    "<=": "LessThanOrEqualToThreshold",
    ">": "GreaterThanThreshold",
    ">=": "GreaterThanOrEqualToThreshold",
}


def monitors(watched: list[Watch], options: ServiceOptions) -> Monitors:
    """Alarms, and a topic for each e-mail address, which has to confirm that it is its own."""
    wanted: list[Wanted] = []
    notes: list[str] = []
    topics: dict[str, Wanted] = {}
    for watch in watched:
        if trouble := _trouble(watch):
            notes.append(f"{watch.key}: {trouble}")
            continue
        told = [_topic(mail) for mail in mails(watch.rule)]
        topics.update({topic.key: topic for topic in told})
        wanted += _alarms(watch, options)
        wanted.append(_composite(watch, told))
        notes += _notes(watch)
    return Monitors((*topics.values(), *wanted), tuple(notes))


def _trouble(watch: Watch) -> str:
    if watch.rule.percentile:
        return "a CloudWatch query has no percentiles: take mean or max."
    if watch.window_s > LONGEST_WINDOW_S:
        return "a CloudWatch query looks back 3 h at most."
    if len(_rule(watch)) > LONGEST_RULE:
        return "too many choices of regions for one composite alarm: ask for fewer."
    return ""


def _notes(watch: Watch) -> list[str]:
    found = []
    if watch.rule.recovery is not None:
        found.append(f"{watch.key}: CloudWatch has no recovery apart: it ends where the condition no longer holds.")
    if told := channels(watch.rule):
        names = ", ".join(f"#{channel}" for channel in told)
        found.append(f"{watch.key}: {names} needs Amazon Q in chat applications (once AWS Chatbot), set up by hand.")
    return found


def _topic(mail: str) -> Wanted:
    key = re.sub(r"[^a-z0-9]+", "-", mail.lower()).strip("-")
    properties = {"DisplayName": "smokeprobe", "Subscription": [{"Protocol": "email", "Endpoint": mail}]}
    return Wanted("topic", key, mail, {"Type": "AWS::SNS::Topic", "Properties": properties})


def _alarms(watch: Watch, options: ServiceOptions) -> list[Wanted]:
    rule = watch.rule
    function, comparison = _FUNCTIONS[rule.statistic], _COMPARISONS[rule.condition.operator]
    found = []
    for region in watch.regions:
        for key, asked, holds, threshold in (
            (_holds(watch, region), function, comparison, rule.condition.value),
            (_enough(watch, region), "COUNT", _COMPARISONS[">="], float(rule.samples)),
        ):
            body = _alarm(watch, region, _query(watch, region, asked, options), holds, threshold)
            found.append(Wanted("monitor", key, f"smokeprobe {watch.env}: {key}", body))
    return found


def _holds(watch: Watch, region: str) -> str:
    return f"{watch.key}-{region}"


def _enough(watch: Watch, region: str) -> str:
    return f"{watch.key}-{region}-samples"


def _alarm(watch: Watch, region: str, query: str, holds: str, threshold: float) -> dict[str, Any]:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": f"Tells nobody by itself: what {region} says to: {watch.title}.",
            "Metrics": [{"Id": "asked", "Expression": query, "Period": watch.window_s, "ReturnData": True}],
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "ComparisonOperator": holds,
            "Threshold": threshold,
            "TreatMissingData": "notBreaching",  # a region without samples says nothing
        },
    }


def _query(watch: Watch, region: str, function: str, options: ServiceOptions) -> str:
    """All series of a region, whatever mode they are of. A query has no `or`: other checks are left out by name."""
    (only, *more) = watch.checks
    named = [f"\"check\" = '{only}'"] if not more else [f"\"check\" != '{other}'" for other in watch.others]
    tags = [f"\"{name}\" = '{value}'" for name, value in watch.tags.items()]
    where = " AND ".join([f"\"env\" = '{watch.env}'", *tags, f"\"region\" = '{region}'", *named])
    namespace = getattr(options, "namespace", NAMESPACE)
    metric = options.prefix + watch.rule.metric
    return f'SELECT {function}("{metric}") FROM "{namespace}" WHERE {where}'  # noqa: S608 - all of them are plain names


def _composite(watch: Watch, told: list[Wanted]) -> Wanted:
    topics = [{"Ref": logical_id("topic", topic.key)} for topic in told]
    properties = {
        "AlarmName": watch.title,
        "AlarmDescription": watch.text,
        "AlarmRule": {"Fn::Sub": _rule(watch)},
        "ActionsEnabled": True,
        "AlarmActions": topics,
        "OKActions": topics,
    }
    body = {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": properties}
    return Wanted("monitor", watch.key, watch.title, body)


def _rule(watch: Watch) -> str:
    """A quorum of regions where both alarms are on; where asked for, also so many without samples that none is left."""
    says = {
        region: f"{_is('ALARM', _holds(watch, region))} AND {_is('ALARM', _enough(watch, region))}"
        for region in watch.regions
    }
    choices = [" AND ".join(says[region] for region in some) for some in combinations(watch.regions, watch.rule.quorum)]
    if watch.rule.no_data == "alert":  # an alarm that has just been made is neither on nor OK
        silent = [_is("OK", _enough(watch, region)) for region in watch.regions]
        choices += [" AND ".join(some) for some in combinations(silent, len(silent) - watch.rule.quorum + 1)]
    return " OR ".join(f"({choice})" for choice in choices)


def _is(state: str, key: str) -> str:
    return f'{state}("${{{logical_id("monitor", key)}}}")'

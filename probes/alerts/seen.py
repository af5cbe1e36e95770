"""What rules look at: occasions, each with the samples that the monitoring services are told of it.

They are made by the same code as those samples, so that a metric means the same, whoever evaluates the rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from probes.model import JUDGED, Outcome, Verdict
from probes.monitoring.samples import Sample, Sampler
from probes.quorum import region_tag
from probes.store.record import Record

_VERDICT = TypeAdapter(Verdict)
_SAMPLER = Sampler("", "fleet")
"""Its tags are not looked at."""

Values = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one occasion: `region` is as `region_tag` makes it, `values` by metric.

    `id` names it; `confirms` is that of the failure that was looked at again.
    """

    at: float
    region: str
    check: str
    outcome: str
    values: Values
    reason: str = ""
    request_id: str = ""
    trace_id: str = ""
    id: str = ""
    confirms: str = ""

    @property
    def contradicts(self) -> str:
        """The failure that was not there any more when it was looked at again at once."""
        return self.confirms if self.judged and self.outcome != Outcome.FAILED else ""

    @property
    def good(self) -> bool:
        """Whether the target was right, and fast enough."""
        return self.outcome == Outcome.PASSED

    @property
    def judged(self) -> bool:
        """Whether it says anything of the target."""
        return self.outcome in JUDGED


def seen_in(record: Record, *, verified: bool) -> Seen:
    """What a record of the history comes to; `verified` is the region's, as one without a verdict has none of its own.

    Of a verdict that was too long to be kept, only what the record says besides.
    """
    region = region_tag(record.region, verified=verified)
    if not record.is_verdict:
        return Seen(
            record.at, region, record.check, record.outcome,
            values_of(_SAMPLER.no_verdict(region, record.check, record.at)), record.reason,
        )  # fmt: skip
    verdict = _verdict(record)
    samples = _SAMPLER.verdict(region, verdict, record.at)
    for step in verdict.steps:
        samples += _SAMPLER.request(region, record.check, step, record.at)
    reason = verdict.reason
    expected = f"expected {reason.expected}, got {reason.actual}" if reason and reason.expected else record.reason
    return Seen(
        record.at, region, record.check, record.outcome, values_of(samples), expected,
        reason.request_id if reason else "", reason.trace_id if reason else "", record.id, record.confirms,
    )  # fmt: skip


def values_of(samples: Iterable[Sample]) -> Values:
    """The values of samples, by their metric."""
    found: dict[str, tuple[float, ...]] = {}
    for sample in samples:
        found[sample.name] = (*found.get(sample.name, ()), sample.value)
    return found


def _verdict(record: Record) -> Verdict:
    try:
        return _VERDICT.validate_json(record.verdict)
    except ValidationError:
        return Verdict(record.check, Outcome(record.outcome), record.attempts, record.flaky)

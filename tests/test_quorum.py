"""Which regions may speak of the target."""

from __future__ import annotations

import pytest

from probes.quorum import Heard, Quorum, quorum, region_tag


def heard(region: str, outcome: str = "passed", age_s: float = 1.0, *, verified: bool = True) -> Heard:
    return Heard(region, verified, outcome, age_s)


@pytest.mark.parametrize(
    ("said", "regions", "failed"),
    [
        ([], "", ""),
        ([heard("us"), heard("eu", "failed")], "eu us", "eu"),
        ([heard("us", "degraded")], "us", ""),
        ([heard("us", "failed", verified=False), heard("eu")], "eu", ""),
        ([heard("us", outcome) for outcome in ("throttled", "error", "skipped", "no data")], "", ""),
        ([heard("us", age_s=61.0), heard("eu", age_s=60.0)], "eu", ""),
        ([heard("us", "failed", 50), heard("us", "passed", 20), heard("us", "error", 1)], "us", ""),
        ([heard("us", "passed", 20), heard("us", "failed", 50)], "us", ""),
        ([heard("us", "failed", 5), heard("us", "failed", 1, verified=False)], "us", "us"),
    ],
    ids=[
        "nothing", "two", "degraded is no failure", "unverified", "inconclusive", "old", "the newest judgement",
        "in whatever order", "verified before",
    ],
)  # fmt: skip
def test_only_a_recent_judgement_of_a_verified_region_counts(said: list[Heard], regions: str, failed: str) -> None:
    assert quorum(said, 60.0) == Quorum(tuple(regions.split()), tuple(failed.split()))


@pytest.mark.parametrize(
    ("region", "verified", "tag"),
    [
        ("eu-west-1", True, "eu-west-1"),
        ("eu-west-1", False, "eu-west-1-unverified"),
        ("local", False, "local"),
        ("x" * 60, False, "x" * 40 + "-unverified"),
    ],
)
def test_a_claim_has_a_tag_that_no_monitor_counts(region: str, verified: bool, tag: str) -> None:
    assert region_tag(region, verified=verified) == tag

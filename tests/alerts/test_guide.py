"""The response guide has a section for whatever a message leads to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from probes.alerts.guide import SHIPPED, section_of
from probes.config.alert_rules import FILE, load_rules
from probes.config.load import shipped
from probes.config.metrics import METRICS

GUIDE = (Path(__file__).parents[2] / "docs" / "alert-response-guide.md").read_text()
SECTIONS = {
    re.sub(r"[^a-z0-9 -]", "", heading.lower()).strip().replace(" ", "-"): text
    for heading, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
}
RULES = load_rules(shipped("config") / FILE).rules


def test_every_shipped_rule_has_a_section() -> None:
    assert {section_of(name, rule.metric) for name, rule in RULES.items()} <= set(SECTIONS)
    assert set(SHIPPED) <= set(RULES)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_a_section(metric: str) -> None:
    assert section_of("a-rule-of-ones-own", metric) in SECTIONS


def test_what_each_section_says() -> None:
    for name, text in SECTIONS.items():
        missing = [word for word in ("First look", "Likely causes", "Confirm", "Escalate") if f"**{word}." not in text]
        assert missing == [], name


def test_links_within_the_guide_lead_somewhere() -> None:
    assert set(re.findall(r"\]\(#([^)]+)\)", GUIDE)) <= set(SECTIONS)

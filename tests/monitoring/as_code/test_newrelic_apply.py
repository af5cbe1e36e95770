"""New Relic: dashboards by their tags, conditions in a policy of ours; what is not ours is never touched."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.errors import ConfigError
from probes.monitoring.as_code import https
from tests.monitoring.as_code.loopback import Mode
from tests.monitoring.as_code.nerdgraph_server import ACCOUNT, KEY, NerdGraphServer
from tests.monitoring.as_code.terminal import Desk, production
from tests.monitoring.loopback import serving

POLICY = "smokeprobe production (managed-by:smokeprobe env:production service:shop)"


@pytest.fixture
def server() -> Iterator[NerdGraphServer]:
    with serving(NerdGraphServer()) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, server: NerdGraphServer) -> Desk:
    made = Desk(tmp_path, "newrelic", server.environment)
    made.write_board("shop")
    return made


def test_what_is_shipped_is_made_and_read_back(server: NerdGraphServer) -> None:
    work, said = production("newrelic", server.environment)
    assert work.apply(prune=False) == 0, said.getvalue()
    assert server.complaints == []
    names = [one["name"] for one in server.dashboards.values()]
    assert names == ["Production health (production)", "Smoke test status (production)"]
    (page,) = next(iter(server.dashboards.values()))["pages"]
    queries = [query for widget in page["widgets"] for query in widget["rawConfiguration"].get("nrqlQueries", ())]
    assert {tuple(query["accountIds"]) for query in queries} == {(ACCOUNT,)}
    assert work.plan(prune=True) == 0


def test_twice_is_once_even_where_it_is_found_late(desk: Desk, server: NerdGraphServer) -> None:
    server.lag = 2
    assert desk.apply()[0] == 0
    writes = len(server.writes)
    assert [policy["name"] for policy in server.policies.values()] == [POLICY]
    code, said = desk.apply()
    assert (code, said) == (0, "Nothing to do: newrelic has 1 dashboard and 1 monitor of production as described.\n")
    assert len(server.writes) == writes


def test_what_is_never_found_again_is_said(desk: Desk, server: NerdGraphServer) -> None:
    server.lag = 99
    code, said = desk.apply()
    assert code == 1
    assert "dashboard shop “Shop (production)” is not there, though it was taken." in said


def test_a_page_stays_the_same_page(desk: Desk, server: NerdGraphServer) -> None:
    desk.apply()
    (before,) = copy.deepcopy(list(server.dashboards.values()))
    desk.write_board("shop", "Availability now")
    (condition,) = server.conditions.values()
    condition["enabled"] = False  # somebody has, in the web
    code, said = desk.apply()
    assert code == 0, said
    assert "~ dashboard shop “Shop (production)”: changed" in said
    assert "~ monitor success “smokeprobe production: success”: changed" in said
    (after,) = server.dashboards.values()
    assert after["pages"][0]["guid"] == before["pages"][0]["guid"]
    assert "Availability now" in [widget["title"] for widget in after["pages"][0]["widgets"]]
    assert condition["enabled"] is True


def test_only_what_is_ours_is_pruned(desk: Desk, server: NerdGraphServer) -> None:
    body = {"name": "Of another team", "permissions": "PRIVATE", "pages": []}
    foreign = server.dashboard_create(None, accountId=ACCOUNT, dashboard=body)["entityResult"]["guid"]
    server.tags[foreign] |= {"managed-by": ["terraform"], "env": ["production"]}
    tagged = server.dashboard_create(None, accountId=ACCOUNT, dashboard=body)["entityResult"][
        "guid"
    ]  # our tags, and no key of ours
    server.tags[tagged] |= {"managed-by": ["smokeprobe"], "env": ["production"], "service": ["shop"]}
    other = server.alerts_policy_create(None, policy={"name": f"Not {POLICY}", "incidentPreference": "PER_POLICY"})
    desk.write_board("old")
    desk.apply()
    (ours,) = [id_ for id_, policy in server.policies.items() if policy["name"] == POLICY]
    theirs = {"name": "By hand", "enabled": True, "nrql": {"query": "SELECT 1"}, "terms": []}
    by_hand = server.alerts_nrql_condition_static_create(None, policyId=ours, condition=theirs)["id"]
    desk.forget_board("old")
    desk.write_rules()
    code, said = desk.apply()
    assert (code, said.count("--prune removes it")) == (0, 2)
    code, said = desk.apply(prune=True)
    assert (code, said.count(": removed")) == (0, 2)
    assert (list(server.conditions), list(server.policies)) == ([by_hand], [other["id"], ours])
    assert len(server.dashboards) == 3
    assert {foreign, tagged} < set(server.dashboards)


def test_a_policy_that_has_nothing_any_more_goes_too(desk: Desk, server: NerdGraphServer) -> None:
    desk.apply()
    desk.write_rules()
    assert desk.apply(prune=True)[0] == 0
    assert server.policies == {}


def test_a_dashboard_that_cannot_be_marked_is_taken_away_again(desk: Desk, server: NerdGraphServer) -> None:
    server.refuses_tags = True
    code, said = desk.apply()
    assert code == 1
    assert said.splitlines() == [
        "New Relic does not do it: may not tag.",
        "0 of 2 changes are done. Once it is mended, apply again for the rest.",
    ]
    assert server.dashboards == {}


def test_one_that_cannot_be_taken_away_is_named(desk: Desk, server: NerdGraphServer) -> None:
    server.writes_left = 1
    code, said = desk.apply()
    assert code == 1
    (guid,) = server.dashboards
    assert f"The dashboard {guid} is there without our tags: remove it by hand." in said


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        (401, "New Relic answers HTTP 401: is NEW_RELIC_API_KEY a user's key (NRAK-…), of region us, and may it"),
        (403, "New Relic answers HTTP 403: is NEW_RELIC_API_KEY a user's key"),
        (429, "New Relic answers HTTP 429: it asks to be left alone for 7 s."),
        (500, "New Relic answers HTTP 500: it has trouble of its own."),
        ("cut", "New Relic (127.0.0.1) cannot be reached: no connection, or it was cut off."),
        ("hang", "New Relic (127.0.0.1) does not answer within 0.3 s."),
        ("html", "New Relic's answer is no JSON: is something in between?"),
    ],
)  # fmt: skip
def test_an_error_is_one_sentence_without_a_key(
    desk: Desk, server: NerdGraphServer, mode: Mode, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "TIMEOUT_S", 0.3)
    server.mode = mode
    code, said = desk.plan()
    assert code == 1
    assert said.startswith(sentence)
    assert said.count("\n") == 1
    assert KEY not in said


def test_an_account_that_the_key_may_not_ask_is_said(desk: Desk) -> None:
    desk.environ = {**desk.environ, "NEW_RELIC_ACCOUNT_ID": "7"}
    assert desk.plan() == (1, "New Relic does not do it: Access denied.\n")


@pytest.mark.parametrize("missing", ["NEW_RELIC_API_KEY", "NEW_RELIC_ACCOUNT_ID"])
def test_without_a_key_or_an_account_it_says_which(desk: Desk, missing: str) -> None:
    desk.environ = {name: value for name, value in desk.environ.items() if name != missing}
    with pytest.raises(ConfigError, match=f"need {missing} in the environment"):
        desk.plan()


def test_an_account_is_a_number(desk: Desk) -> None:
    desk.environ = {**desk.environ, "NEW_RELIC_ACCOUNT_ID": "shop"}
    with pytest.raises(ConfigError, match="NEW_RELIC_ACCOUNT_ID is no number"):
        desk.plan()


def test_a_key_goes_over_https_only(desk: Desk) -> None:
    desk.environ = {**desk.environ, "NEW_RELIC_NERDGRAPH_API_URL": "http://newrelic.example/graphql"}
    with pytest.raises(ConfigError, match="keys go over https only"):
        desk.plan()

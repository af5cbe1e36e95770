"""What is asked of New Relic's NerdGraph, as GraphQL."""

from __future__ import annotations

PAGE = "column row width height"
DASHBOARD = f"""
  guid name description permissions createdAt
  pages {{ guid name description
    widgets {{ title layout {{ {PAGE} }} visualization {{ id }} rawConfiguration }} }}
"""
CONDITION = """
  id name description enabled policyId type runbookUrl titleTemplate violationTimeLimitSeconds
  nrql { query dataAccountId }
  terms { operator priority threshold thresholdDuration thresholdOccurrences }
  expiration {
    closeViolationsOnExpiration expirationDuration openViolationOnExpiration ignoreOnExpectedTermination
  }
  signal {
    aggregationWindow evaluationDelay fillOption fillValue aggregationMethod aggregationDelay aggregationTimer slideBy
  }
"""

SEARCH_DASHBOARDS = """
query($query: String!, $cursor: String) {
  actor { entitySearch(query: $query) { results(cursor: $cursor) {
    nextCursor entities { guid ... on DashboardEntityOutline { dashboardParentGuid } }
  } } }
}"""
READ_DASHBOARD = f"""
query($guid: EntityGuid!) {{
  actor {{ entity(guid: $guid) {{ ... on DashboardEntity {{ {DASHBOARD} }} }} }}
}}"""
CREATE_DASHBOARD = """
mutation($account: Int!, $dashboard: DashboardInput!) {
  dashboardCreate(accountId: $account, dashboard: $dashboard) {
    entityResult { guid } errors { description type }
  }
}"""
UPDATE_DASHBOARD = """
mutation($guid: EntityGuid!, $dashboard: DashboardInput!) {
  dashboardUpdate(guid: $guid, dashboard: $dashboard) { entityResult { guid } errors { description type } }
}"""
DELETE_DASHBOARD = """
mutation($guid: EntityGuid!) { dashboardDelete(guid: $guid) { status errors { description type } } }"""
TAG = """
mutation($guid: EntityGuid!, $tags: [TaggingTagInput!]!) {
  taggingAddTagsToEntity(guid: $guid, tags: $tags) { errors { message type } }
}"""

SEARCH_POLICIES = """
query($account: Int!, $name: String!, $cursor: String) {
  actor { account(id: $account) { alerts {
    policiesSearch(cursor: $cursor, searchCriteria: { name: $name }) { nextCursor policies { id name } }
  } } }
}"""
CREATE_POLICY = """
mutation($account: Int!, $policy: AlertsPolicyInput!) {
  alertsPolicyCreate(accountId: $account, policy: $policy) { id }
}"""
DELETE_POLICY = """
mutation($account: Int!, $id: ID!) { alertsPolicyDelete(accountId: $account, id: $id) { id } }"""
SEARCH_CONDITIONS = f"""
query($account: Int!, $policy: ID!, $cursor: String) {{
  actor {{ account(id: $account) {{ alerts {{
    nrqlConditionsSearch(cursor: $cursor, searchCriteria: {{ policyId: $policy }}) {{
      nextCursor nrqlConditions {{ {CONDITION} }}
    }}
  }} }} }}
}}"""
CREATE_CONDITION = """
mutation($account: Int!, $policy: ID!, $condition: AlertsNrqlConditionStaticInput!) {
  alertsNrqlConditionStaticCreate(accountId: $account, policyId: $policy, condition: $condition) { id }
}"""
UPDATE_CONDITION = """
mutation($account: Int!, $id: ID!, $condition: AlertsNrqlConditionUpdateStaticInput!) {
  alertsNrqlConditionStaticUpdate(accountId: $account, id: $id, condition: $condition) { id }
}"""
DELETE_CONDITION = """
mutation($account: Int!, $id: ID!) { alertsConditionDelete(accountId: $account, id: $id) { id } }"""

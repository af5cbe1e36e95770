"""The persona gateway, call by call, where it differs from the design."""

from probes.standin.process import StandIn
from tests.standin.client import call, login


def test_health_calls(gateway: StandIn) -> None:
    edge = call(gateway, "GET /health")
    assert (edge.status, edge.body) == (200, b"healthy\n")
    assert (edge.header("Content-Type") or "").startswith("text/plain")
    assert call(gateway, "GET /api/v1/health").json == {"status": "healthy", "service": "api-gateway"}
    assert call(gateway, "GET /api/v1/ready").json == {"status": "ready"}
    assert call(gateway, "GET /api/v1/status").status == 404
    assert call(gateway, "GET /api/v1/test").status == 404


def test_head_and_wrong_methods_are_unknown(gateway: StandIn) -> None:
    assert call(gateway, "HEAD /api/v1/health").status == 404
    assert call(gateway, "GET /api/v1/enhance").status == 404


def test_headers_of_the_limit_have_their_own_case(gateway: StandIn) -> None:
    answer = call(gateway, "POST /api/v1/enhance", {"text": "Explain tides"})
    assert {"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"} <= {name for name, _ in answer.headers}
    assert answer.json["id"] == ""


def test_ready_fails_with_the_cache_while_health_does_not(gateway: StandIn) -> None:
    gateway.set_faults("redis-down")
    ready = call(gateway, "GET /api/v1/ready")
    assert (ready.status, ready.json) == (503, {"status": "not ready", "error": "cache connection failed"})
    assert call(gateway, "GET /api/v1/health").json["status"] == "healthy"


def test_refusal_is_a_503_with_html(gateway: StandIn) -> None:
    answers = [call(gateway, "GET /api/v1/techniques")]
    while answers[-1].status == 200 and len(answers) < 1000:
        answers.append(call(gateway, "GET /api/v1/techniques"))
    refused = answers[-1]
    assert len(answers) > 21
    assert refused.status == 503
    assert refused.header("Content-Type") == "text/html"
    assert b"<html>" in refused.body
    assert refused.header("Retry-After") is None
    assert call(gateway, "GET /api/v1/health").status == 200


def test_logout_revokes_the_accounts_refresh_tokens_and_no_access_token(gateway: StandIn) -> None:
    first, second, other = login(gateway).json, login(gateway).json, login(gateway, "premium").json
    logout = {"refresh_token": first["refresh_token"]}
    assert call(gateway, "POST /api/v1/auth/logout", logout, token=first["access_token"]).status == 200
    assert call(gateway, "GET /api/v1/auth/profile", token=first["access_token"]).status == 200
    for session in (first, second):
        assert call(gateway, "POST /api/v1/auth/refresh", {"refresh_token": session["refresh_token"]}).status == 401
    assert call(gateway, "POST /api/v1/auth/refresh", {"refresh_token": other["refresh_token"]}).status == 200
    assert gateway.state()["open_sessions"] == {"basic": 0, "premium": 1}


def test_logout_without_the_refresh_token_revokes_nothing(gateway: StandIn) -> None:
    session = login(gateway).json
    assert call(gateway, "POST /api/v1/auth/logout", {}, token=session["access_token"]).status == 200
    assert gateway.state()["open_sessions"]["basic"] == 1


def test_profile_says_more(gateway: StandIn) -> None:
    token = login(gateway).json["access_token"]
    profile = call(gateway, "GET /api/v1/auth/profile", token=token).json
    assert {"email", "last_login_at", "id", "username", "role"} <= set(profile)

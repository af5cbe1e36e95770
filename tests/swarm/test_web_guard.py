"""What the web UI takes from a browser, whoever it was that told the browser to ask."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from probes.errors import ConfigError
from probes.swarm.web_door import Door, Inside, Tries, door_of, has_token
from probes.swarm.web_guard import SameOrigin

HOST = "127.0.0.1:8090"
Headers = list[tuple[str, str]]


def locust(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [("Access-Control-Allow-Origin", "*"), ("Cache-Control", "max-age=9"), ("X-Kept", "1")])
    return [b"done"]


def ask(
    method: str = "GET", path: str = "/", headers: dict[str, str] | None = None, *, everywhere: bool = False
) -> tuple[int, Headers]:
    """Status and headers; a name such as `sec_fetch_site` is a header."""
    environ = {f"HTTP_{name.upper()}": value for name, value in {"host": HOST, **(headers or {})}.items()}
    said: list[tuple[str, Headers]] = []
    guard = SameOrigin(locust, {"localhost", "127.0.0.1", "::1"}, any_address=everywhere)
    guard(
        {**environ, "REQUEST_METHOD": method, "PATH_INFO": path},
        lambda status, sent, _exc=None: said.append((status, sent)),  # type: ignore[arg-type]  # nobody writes
    )
    ((status, sent),) = said
    return int(status.split()[0]), sent


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # no browser
        ({"origin": f"http://{HOST}", "sec_fetch_site": "same-origin"}, 200),
        ({"origin": "http://127.0.0.1:3000", "sec_fetch_site": "same-site"}, 403),
        ({"origin": "http://localhost:8090"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": f"https://evil.example/{HOST}"}, 403),
        ({"origin": f"http://{HOST}.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://["}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "none"}, 403),
        ({"origin": f"http://{HOST}", "sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 403),
    ],
)
def test_a_post_is_taken_from_our_own_pages_only(headers: dict[str, str], status: int) -> None:
    assert ask("POST", "/swarm", headers)[0] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec_fetch_site": "none", "sec_fetch_mode": "navigate"}, 200),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 200),  # somebody follows a link
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, 403),
        ({"origin": "https://evil.example", "sec_fetch_site": "cross-site", "sec_fetch_mode": "cors"}, 403),
    ],
)
def test_other_sites_may_link_here_and_read_nothing(headers: dict[str, str], status: int) -> None:
    assert ask("GET", "/stats/requests", headers)[0] == status


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:8090"])
def test_its_own_names_lead_to_it(host: str) -> None:
    assert ask(headers={"host": host})[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8090", "", "[::1", "10.0.0.1", "a@localhost.x"],
)
def test_other_names_do_not(host: str) -> None:
    assert ask(headers={"host": host})[0] == 421


def test_listening_everywhere_addresses_lead_to_it_and_names_do_not() -> None:
    assert ask(headers={"host": "10.0.0.1:8090"}, everywhere=True)[0] == 200
    assert ask(headers={"host": "evil.example"}, everywhere=True)[0] == 421


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "TRACE"])
def test_other_methods_are_refused(method: str) -> None:
    assert ask(method)[0] == 405


def test_answers_are_hardened() -> None:
    headers = {name.lower(): value for name, value in ask()[1]}
    assert "access-control-allow-origin" not in headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-kept"] == "1"
    assert dict(ask(path="/assets/x.js")[1])["Cache-Control"] == "max-age=9"


def test_where_locust_opens_no_web_ui_there_is_no_door() -> None:
    for name in ("headless", "worker"):
        assert door_of(Namespace(**{"headless": False, "worker": False, name: True}), {}) is None


def options(host: str = "127.0.0.1", *, web_login: bool = False) -> Namespace:
    return Namespace(headless=False, worker=False, web_host=host, web_login=web_login, tls_cert="", tls_key="")


def door(options: Namespace, environ: dict[str, str]) -> Door:
    found = door_of(options, environ)
    assert found is not None
    return found


LONG = "a horse, a battery"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", ""])
def test_on_the_loopback_no_password_is_needed(host: str) -> None:
    assert not door(options(host), {}).locked


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "*", "192.0.2.1", "probe.example"])  # noqa: S104 - what is refused
def test_beyond_it_one_is(host: str) -> None:
    with pytest.raises(ConfigError, match="without a password the web UI stays on the loopback"):
        door(options(host), {})
    assert door(options(host), {"SMOKEPROBE_UI_PASSWORD": LONG}).locked


def test_a_short_password_and_a_login_without_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="12 characters at least"):
        door(options(), {"SMOKEPROBE_UI_PASSWORD": "elevenchars"})
    with pytest.raises(ConfigError, match="there is no password"):
        door(options(web_login=True), {})


@pytest.mark.parametrize(
    ("user", "password", "opens"),
    [("smokeprobe", LONG, True), ("smokeprobe", "", False), ("", LONG, False), ("smokeprobe", LONG + "é", False)],
)
def test_only_the_right_pair_opens(user: str, password: str, *, opens: bool) -> None:
    assert Door("smokeprobe", LONG).opens(user, password) is opens


def test_no_password_never_opens() -> None:
    assert not Door("smokeprobe", "").opens("smokeprobe", "")


def test_five_wrong_tries_a_minute_and_then_one_waits() -> None:
    now = [0.0]
    tries = Tries(lambda: now[0])
    for _ in range(5):
        assert tries.wait_s("here") == 0
        tries.failed("here")
        now[0] += 1
    assert tries.wait_s("here") == 55
    assert tries.wait_s("there") == 0
    now[0] = 60.0
    assert tries.wait_s("here") == 0
    tries.failed("here")
    assert tries.wait_s("here") == 1  # the second of the last five was a second later


def test_a_session_that_was_ended_stays_ended_though_its_cookie_comes_again() -> None:
    inside, session = Inside(), {"wanted": "/smoke"}
    inside.let_in(session := _Session(session))
    cookie = _Session(session)
    assert inside.has(session)
    assert "wanted" not in session
    inside.let_out(session)
    assert not inside.has(session)
    assert not inside.has(cookie)


def test_a_form_without_the_token_of_its_session_is_refused() -> None:
    session: dict[str, Any] = {}
    assert not has_token(session, {})
    assert not has_token(session, {"csrf": ""})
    assert not has_token(session, {"csrf": "ü"})
    assert has_token(session, {"csrf": session["csrf"]})


class _Session(dict[str, Any]):
    permanent = False

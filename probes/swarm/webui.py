"""The Smoke tab of Locust's web UI: the board at `/smoke`, live, with pause and resume; and the door before it all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import gevent
from flask import Blueprint, Response, abort, jsonify, redirect, request, session, url_for
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from probes.config.units import parse_duration
from probes.errors import LedgerError
from probes.safety.ledger import Ledger, open_ledger
from probes.swarm.board import Snapshot
from probes.swarm.equipment import Equipment
from probes.swarm.fleet import is_loopback
from probes.swarm.web_door import Door, Inside, Tries, csrf_token, has_token, seal
from probes.swarm.web_guard import LOOPBACK, OURS, SameOrigin
from probes.swarm.web_tls import serve_tls

if TYPE_CHECKING:
    from flask import Flask
    from locust.env import Environment as LocustEnvironment
    from locust.web import WebUI
    from werkzeug.wrappers import Response as Answer

FRESH_S = 1.0
"""A snapshot is made at most so often, whoever looks: while it is made, nothing else happens in this process."""

SWARM_FIELDS = frozenset({"user_count", "spawn_rate", "host", "run_time", "user_classes", "shape_class", "profile"})
"""What a Start may say. Locust would take any of its options from there, such as a file to write."""

PAUSES = {"15m": "for 15 min", "1h": "for 1 h", "": "until resumed"}
"""How long one may pause here, and how that is called; `smokeprobe pause --for` takes any time."""

LINK = b"""<nav aria-label="Smoke" style="padding:5px 24px;background:#0b3d1e;font:14px system-ui,sans-serif">
<a href="/smoke" style="color:#fff">Smoke board</a></nav>
"""
"""A way from Locust's page to ours: the tabs that it lets one add hold tables of numbers only."""

log = logging.getLogger(__name__)


class Watched(Protocol):
    """A session with something to show: a run, or a master."""

    equipment: Equipment

    def snapshot(self) -> Snapshot:
        """All that it knows."""


class PauseSeen(TypedDict):
    """A pause, in the words of the ledger."""

    by: str
    why: str
    remaining_s: float | None


def furnish(environment: LocustEnvironment, watched: Watched, the_door: Door) -> None:
    """Before Locust's web UI opens: put the guard before it, the lock on it, and our pages into it."""
    web_ui = environment.web_ui
    assert web_ui is not None  # noqa: S101 - the caller has looked
    options = environment.parsed_options
    if not web_ui.host and options is not None and options.web_host != "*":
        web_ui.host = "127.0.0.1"  # Locust's own default is every address
    app = _app(web_ui)
    everywhere = web_ui.host in {"", "0.0.0.0", "::"}  # noqa: S104 - asks whether, and binds nothing
    names = LOOPBACK if everywhere else LOOPBACK | {web_ui.host}
    app.wsgi_app = SameOrigin(app.wsgi_app, names, any_address=everywhere)  # type: ignore[method-assign]  # Flask's way
    seal(app, web_ui.port, tls=the_door.tls is not None)
    if the_door.tls is not None:
        serve_tls(web_ui, the_door.tls)
    inside = Inside()
    app.before_request(lambda: setattr(environment, "host", watched.equipment.target))  # typed in, it means nothing
    if options is not None and options.stay:
        app.before_request(_to_board)
    if the_door.locked:
        _lock(web_ui, inside)
    app.register_blueprint(_Tab(environment, watched, the_door, inside).blueprint(web_ui))
    app.before_request(_refuse_options)
    app.after_request(_own_copy)
    address = f"{'127.0.0.1' if everywhere else web_ui.host}:{web_ui.port}"
    watched.equipment.redactor.allow(address)
    log.info("the web UI is at http%s://%s/, its Smoke board at /smoke", "s" if the_door.tls else "", address)
    if the_door.tls is None and not is_loopback(web_ui.host):
        log.warning("the web UI has no TLS: whoever is on the way reads its password (--tls-cert, --tls-key)")


def _app(web_ui: WebUI) -> Flask:
    assert web_ui.app is not None  # noqa: S101 - it has one from its first line on
    return web_ui.app


def _lock(web_ui: WebUI, inside: Inside) -> None:
    """Whoever gave our password has a session that says so; all others are shown our login, and not Locust's."""

    class Operator:
        is_authenticated = True

        def get_id(self) -> str:
            return "operator"

    def to_login() -> Answer:
        return redirect(url_for("smoke.login"))

    manager: Any = web_ui.login_manager
    manager.request_loader(lambda _request: Operator() if inside.has(session) else None)
    manager.unauthorized_handler(to_login)
    _app(web_ui).before_request(lambda: to_login() if request.endpoint == "locust.login" else None)


def _to_board() -> Answer | None:
    """Of `smokeprobe ui`, `/` is the board. Locust's own page is there with any query, as it gives itself one."""
    if request.endpoint == "locust.index" and not request.query_string:
        return redirect(url_for("smoke.board"), 303)
    return None


def _refuse_options() -> None:
    if request.endpoint == "locust.swarm" and set(request.form) - SWARM_FIELDS:
        abort(400, f"A start says nothing but {', '.join(sorted(SWARM_FIELDS))}.")


def _own_copy(answer: Response) -> Response:
    """An answer for this request alone, with a way to the board where it is Locust's page.

    Locust keeps some answers for two seconds, and Flask would put the cookies of all sessions into one.
    """
    if answer.direct_passthrough:
        return answer
    data = answer.get_data()
    if request.endpoint == "locust.index":
        data = data.replace(b'<div id="root">', LINK + b'<div id="root">')
    kept = [(name, value) for name, value in answer.headers if name != "Content-Length"]
    return Response(data, answer.status, kept)


class _Tab:
    """The views. All but the login and its style are behind it; what changes something wants the session's token."""

    def __init__(self, environment: LocustEnvironment, watched: Watched, the_door: Door, inside: Inside) -> None:
        self._environment, self._watched, self._door, self._inside = environment, watched, the_door, inside
        self._equipment = watched.equipment
        options = watched.equipment.options
        self._ledger = open_ledger(options.state, options.database_url)
        self._tries = Tries()
        self._fresh: tuple[float, dict[str, Any]] = (0.0, {})
        self._templates = Environment(
            loader=ChoiceLoader([PackageLoader("probes.swarm"), PackageLoader("probes.reports")]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def blueprint(self, web_ui: WebUI) -> Blueprint:
        """All routes."""
        made = Blueprint("smoke", __name__, url_prefix="/smoke")
        behind_login: Callable[[Callable[[], Answer]], Callable[[], Answer]] = web_ui.auth_required_if_enabled
        for path, name, page in (
            ("", "board", self._board),
            ("/board.json", "data", self._data),
            ("/board.js", "js", lambda: self._file("board.js", "text/javascript")),
        ):
            made.add_url_rule(path, name, behind_login(page))
        for name, act in (("pause", self._pause), ("resume", self._resume), ("start", self._start)):
            made.add_url_rule(f"/{name}", name, behind_login(_tokened(act)), methods=["POST"])
        made.add_url_rule("/logout", "logout", _tokened(self._log_out), methods=["POST"])
        made.add_url_rule("/board.css", "css", lambda: self._file("board.css", "text/css"))
        if self._door.locked:
            made.add_url_rule("/login", "login", self._login, methods=["GET"])
            made.add_url_rule("/login", "log_in", self._log_in, methods=["POST"])
        return made

    def _board(self) -> Response:
        return self._page(
            "board.html.j2",
            env=self._equipment.settings.env,
            target=self._equipment.target,
            token=csrf_token(session),
            locked=self._door.locked,
            master=self._is_master,
            paused=any(pause["by"] == "hand" for pause in self._pauses()),
            lengths=PAUSES,
        )

    def _page(self, template: str, **values: object) -> Response:
        answer = Response(self._templates.get_template(template).render(**values))
        answer.headers["Content-Security-Policy"] = OURS
        return answer

    def _file(self, name: str, kind: str) -> Response:
        return Response(self._templates.get_template(name).render(), mimetype=kind)

    def _data(self) -> Response:
        made_at, found = self._fresh
        if time.monotonic() - made_at > FRESH_S:
            found = {**self._watched.snapshot(), "pauses": self._pauses()}
            self._fresh = (time.monotonic(), found)
        return jsonify(found)

    def _pauses(self) -> list[PauseSeen]:
        clean = self._equipment.redactor.text
        try:
            pauses = self._ledger.pauses(self._equipment.target)
        except LedgerError:
            return []  # the snapshot says so
        return [{"by": each.by, "why": clean(each.why), "remaining_s": each.remaining_s} for each in pauses]

    def _pause(self) -> Answer:
        length = request.form.get("for", "")
        if length not in PAUSES:
            return Response("There is no such length of a pause here.\n", 400, mimetype="text/plain")
        seconds = parse_duration(length) if length else None
        return self._ask(lambda ledger: ledger.pause(None, seconds, "in the web UI", "hand"))

    def _resume(self) -> Answer:
        return self._ask(lambda ledger: ledger.resume(None))

    def _ask(self, what: Callable[[Ledger], object]) -> Answer:
        try:
            what(self._ledger)
        except LedgerError as problem:
            return Response(f"{problem}\n", 503, mimetype="text/plain")
        self._fresh = (0.0, {})
        return redirect(url_for("smoke.board"), 303)

    @property
    def _is_master(self) -> bool:
        from locust.runners import MasterRunner

        return isinstance(self._environment.runner, MasterRunner)

    def _start(self) -> Answer:
        """As Locust's own Start; of a master, whose ticks are planned, it changes nothing. None while paused."""
        if paused := self._watched.snapshot()["paused"]:
            return Response(f"Nothing is started: {paused}. Resume probing first.\n", 409, mimetype="text/plain")
        runner = self._environment.runner
        if runner is not None and not self._is_master:
            gevent.spawn(runner.start, len(runner.user_classes), 100.0)
            self._fresh = (0.0, {})
        return redirect(url_for("smoke.board"), 303)

    def _login(self, error: str = "") -> Response:
        return self._page("login.html.j2", error=error)

    def _log_in(self) -> Answer:
        address = request.remote_addr or ""
        if wait_s := self._tries.wait_s(address):
            answer = self._login(f"Too many wrong passwords. Try again in {wait_s:.0f} s.")
            answer.headers["Retry-After"] = f"{wait_s:.0f}"
            answer.status_code = 429
            return answer
        if not self._door.opens(request.form.get("username", ""), request.form.get("password", "")):
            self._tries.failed(address)
            log.warning("a wrong user name or password for the web UI, from %s", address)
            answer = self._login("Wrong user name or password.")
            answer.status_code = 403
            return answer
        self._inside.let_in(session)
        return redirect(url_for("smoke.board"), 303)

    def _log_out(self) -> Answer:
        self._inside.let_out(session)
        return redirect(url_for("smoke.login"), 303)


def _tokened(view: Callable[[], Answer]) -> Callable[[], Answer]:
    def checked() -> Answer:
        if not has_token(session, request.form):
            return Response("This form is not of this session; load the page again.\n", 403, mimetype="text/plain")
        return view()

    return checked

"""The web pages: home, login and dashboard. Their files are in pages/."""

from flask import Flask, Response, current_app, redirect, render_template

from probes.standin.target import Target, current_exchange

HOME = "/"
LOGIN_PAGE = "/login"
DASHBOARD = "/dashboard"

Page = str | Response


def register(app: Flask, target: Target) -> None:
    """Add the pages, for both personas."""
    for name in ("index.html", "login.html", "dashboard.html"):
        app.jinja_env.get_template(name)  # compiled now, not in the first visitor's time
    app.add_url_rule(HOME, "home", home_page)
    app.add_url_rule(
        LOGIN_PAGE, "login_page", lambda: render_template("login.html", totp=bool(target.settings.totp_secret))
    )
    app.add_url_rule(DASHBOARD, "dashboard", _dashboard)
    app.add_url_rule("/favicon.ico", "favicon", lambda: current_app.send_static_file("favicon.svg"))


def home_page() -> str:
    """The document of the home page."""
    return render_template("index.html")


def _dashboard() -> Page:
    session = current_exchange().session
    if session is None:
        answer = redirect(LOGIN_PAGE)
        return Response(answer.get_data(), answer.status_code, headers=answer.headers)
    return render_template("dashboard.html", account=session.account, rows=len(session.account.history))

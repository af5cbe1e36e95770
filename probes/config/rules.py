"""What a configuration says to the guard and to the target, as the clients want it."""

from __future__ import annotations

from probes import __version__
from probes.config.models import Settings
from probes.safety.guard import GuardRules, parse_url


def user_agent(settings: Settings) -> str:
    """By what the target's owner recognises us, and where to read what we are."""
    return f"smokeprobe/{__version__} (+{settings.target.contact})"


def guard_rules(settings: Settings) -> GuardRules:
    """The configuration's part of the guard. With `safety.get_only` there is no exception at all."""
    target, credentials = settings.target, settings.credentials
    exceptions = () if settings.safety.get_only else settings.safety.exceptions
    return GuardRules(
        origin=parse_url(target.url).origin,
        hosts=target.hosts,
        exceptions=tuple((exception.call.method, exception.call.path) for exception in exceptions),
        websockets=target.websockets,
        credential_hosts=credentials.hosts if credentials else (),
        private=target.private,
    )

"""What commands share: options, how help shows them, and how errors are said."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup

from probes.errors import ConfigError, SmokeprobeError
from probes.options import ENVIRONMENT


def _not_both(ctx: typer.Context, value: str) -> str:
    """Refuse two configurations on one command line; a variable of the environment is a default, and gives way."""
    sources = (ctx.get_parameter_source(name) for name in ("env", "config"))
    if all(source is not None and source.name == "COMMANDLINE" for source in sources):
        raise typer.BadParameter("--env and --config each name a configuration: leave one out")
    return value


Env = Annotated[
    str,
    typer.Option(
        envvar=ENVIRONMENT["env"],
        help="Environment: config/NAME.yaml here, or as shipped.",
        metavar="NAME",
        callback=_not_both,
    ),
]
Config = Annotated[
    str,
    typer.Option(
        envvar=ENVIRONMENT["config"],
        help="A configuration file, instead of --env.",
        metavar="FILE",
        callback=_not_both,
    ),
]
TargetUrl = Annotated[
    str,
    typer.Option(
        envvar=ENVIRONMENT["target_url"],
        help="Another target for the same configuration; credentials go to listed hosts only.",
        metavar="URL",
    ),
]
Region = Annotated[
    str, typer.Option(envvar=ENVIRONMENT["region"], help="Region that this run speaks for.", metavar="NAME")
]
Regions = Annotated[
    str,
    typer.Option(
        envvar=ENVIRONMENT["region"],
        help="Region whose workers it has; several are separated by commas.",
        metavar="NAMES",
    ),
]
StateDir = Annotated[
    str,
    typer.Option(
        envvar=ENVIRONMENT["state_dir"],
        help="Where ledger, history and open sessions are kept; by default ~/.local/state/smokeprobe.",
        metavar="DIR",
        show_default=False,
    ),
]
Share = Annotated[
    str, typer.Option(envvar=ENVIRONMENT["share"], help="Share of the ceiling to draw on.", metavar="NAME")
]
MasterShare = Annotated[
    str,
    typer.Option(
        envvar=ENVIRONMENT["share"],
        help="Share of the ceiling to draw on, where the configuration names no masters; else the one named there.",
        metavar="NAME",
    ),
]
Port = Annotated[int, typer.Option(help="The port on which the master listens.", metavar="PORT", min=1, max=65535)]
NoBrowser = Annotated[
    bool, typer.Option("--no-browser", envvar=ENVIRONMENT["no_browser"], help="Leave out what needs a browser.")
]

Service = Annotated[
    Literal["datadog", "newrelic", "cloudwatch", "prometheus"],
    typer.Option(help="Whose format or API: datadog, newrelic, cloudwatch or prometheus.", metavar="NAME"),
]
Prune = Annotated[bool, typer.Option("--prune", help="Remove what is ours there and no longer described.")]
Since = Annotated[str, typer.Option(help="How far back, such as 24h or 7d.", metavar="TIME")]


class QuietHelp(TyperGroup):
    """Commands whose help says of a flag, which takes nothing, nothing of what it takes, and which fills its lines.

    Its types are Click's, which some versions of Typer have a copy of.
    """

    def get_params(self, ctx: Any) -> Any:
        """The options of the group itself."""
        return _quiet(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One of its commands."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _quiet(command.get_params(ctx))
            command.help = _filled(command.help)
        return command


def _quiet(params: Iterable[Any]) -> Iterable[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


def _filled(text: str | None) -> str | None:
    """Its paragraphs without the line ends of the source, which fit no terminal but the author's."""
    return text and "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def say_errors(work: Callable[[], object]) -> None:
    """Say an error on one screen, without a traceback, and end with exit code 2 (configuration) or 3."""
    try:
        work()
    except ConfigError as problem:
        _end(problem, 2)
    except SmokeprobeError as problem:
        _end(problem, 3)


def _end(problem: SmokeprobeError, code: int) -> NoReturn:
    typer.echo(str(problem), err=True)
    sys.exit(code)


def moment_ago(since: str) -> float:
    """The moment so long ago, in seconds since the epoch. Raises ConfigError where it is no length of time."""
    import time

    from probes.config.units import parse_positive_duration

    try:
        return time.time() - parse_positive_duration(since)
    except ValueError as problem:
        raise ConfigError(f"--since: {problem}.") from None

"""The command `smokeprobe`. Thin: each command says what it takes, and calls the room that does it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from probes import __version__
from probes.cli_alerts import alerts
from probes.cli_history import baseline, history, report
from probes.cli_options import (
    Config,
    Env,
    MasterShare,
    NoBrowser,
    Port,
    Prune,
    QuietHelp,
    Region,
    Regions,
    Service,
    Share,
    StateDir,
    TargetUrl,
    say_errors,
)
from probes.cli_schedule import schedule
from probes.errors import ConfigError
from probes.options import ENVIRONMENT, RunOptions, check_names, forget_empty, resume_command

app = typer.Typer(
    name="smokeprobe",
    cls=QuietHelp,
    help="Production smoke tests that never harm what they probe.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # each option that names no variable has SMOKEPROBE_COMMAND_OPTION
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "auto_envvar_prefix": "SMOKEPROBE",
    },
)

monitoring = typer.Typer(
    cls=QuietHelp, no_args_is_help=True, help="Monitoring services: try them; dashboards and monitors as code."
)
app.add_typer(monitoring, name="monitoring")
app.add_typer(alerts, name="alerts")
app.add_typer(schedule, name="schedule")
app.command()(history)
app.command()(report)
app.command()(baseline)


@app.command()
def run(  # noqa: PLR0913, PLR0917 - Typer makes an option of each parameter
    env: Env = "local",
    config: Config = "",
    target_url: TargetUrl = "",
    region: Region = "local",
    check: Annotated[
        list[str] | None,
        typer.Option(envvar=ENVIRONMENT["checks"], help="Run only this check; may be repeated.", metavar="NAME"),
    ] = None,
    no_browser: NoBrowser = False,
    json_file: Annotated[
        str, typer.Option(envvar=ENVIRONMENT["json_file"], help="Write the report as JSON.", metavar="FILE")
    ] = "",
    junit_file: Annotated[
        str, typer.Option(envvar=ENVIRONMENT["junit_file"], help="Write the report as JUnit XML.", metavar="FILE")
    ] = "",
    html_file: Annotated[
        str, typer.Option(envvar=ENVIRONMENT["html_file"], help="Write the report as a page.", metavar="FILE")
    ] = "",
    state_dir: StateDir = "",
    allow_degraded: Annotated[
        bool,
        typer.Option(
            "--allow-degraded",
            envvar=ENVIRONMENT["allow_degraded"],
            help="Slow is good enough: degraded checks do not fail the run.",
        ),
    ] = False,
    share: Share = "adhoc",
) -> None:
    """Run all checks once and say what they found.

    Exit codes: 0 passed; 1 something failed or was degraded; 2 usage or configuration, nothing sent;
    3 inconclusive: nothing failed, but something could not be judged; 129, 130, 143 interrupted.
    """
    from probes.swarm.drive import drive

    drive(
        RunOptions(
            env, config, target_url, region, check_names(check or ()), no_browser, json_file, junit_file, html_file,
            state_dir, allow_degraded, share,
        )
    )  # fmt: skip


@app.command()
def ui(  # noqa: PLR0913, PLR0917 - Typer makes an option of each parameter
    env: Env = "local",
    config: Config = "",
    target_url: TargetUrl = "",
    region: Region = "local",
    state_dir: StateDir = "",
    share: Share = "adhoc",
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond the loopback only with a password.", metavar="ADDRESS")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port of the web UI.", metavar="PORT", min=1, max=65535)] = 8090,
    tls_cert: Annotated[str, typer.Option(help="Serve TLS with this certificate (PEM).", metavar="FILE")] = "",
    tls_key: Annotated[str, typer.Option(help="The certificate's private key (PEM).", metavar="FILE")] = "",
    no_browser: NoBrowser = False,
) -> None:
    """Open Locust's web UI with a Smoke board: each press on Start runs all checks once, within the budget.

    With SMOKEPROBE_UI_PASSWORD (12 characters at least) it asks for a login, as SMOKEPROBE_UI_USER or smokeprobe.
    """
    from probes.swarm.drive import serve
    from probes.swarm.fleet import refuse_taken

    options = RunOptions(env, config, target_url, region, (), no_browser, state_dir=state_dir, share=share)
    say_errors(lambda: refuse_taken("--port", host, port))
    address = ("--web-host", host, "--web-port", str(port))
    serve("ui.conf", options, (*address, f"--tls-cert={tls_cert}", f"--tls-key={tls_key}"))


@app.command()
def master(  # noqa: PLR0913, PLR0917 - Typer makes an option of each parameter
    env: Env = "local",
    config: Config = "",
    target_url: TargetUrl = "",
    region: Regions = "local",
    state_dir: StateDir = "",
    share: MasterShare = "adhoc",
    bind_host: Annotated[
        str, typer.Option(help="Address to listen on; beyond the loopback only with a key.", metavar="ADDRESS")
    ] = "127.0.0.1",
    port: Port = 5557,
    status_port: Annotated[
        int,
        typer.Option(
            envvar="SMOKEPROBE_STATUS_PORT",
            help="Port on the loopback for /healthz, /readyz, /metrics and /board; 0 for none.",
            metavar="PORT",
            min=0,
            max=65535,
        ),
    ] = 8091,
    no_browser: NoBrowser = False,
) -> None:
    """Be the master of a region: plan each check at its interval, and give it to one of the region's workers.

    It runs until it is stopped, and sends nothing itself. SMOKEPROBE_FLEET_KEY holds the key that all share.
    """
    from probes.swarm.drive import serve

    options = RunOptions(env, config, target_url, region, (), no_browser, state_dir=state_dir, share=share)
    serve(
        "master.conf",
        options,
        ("--master-bind-host", bind_host, "--master-bind-port", str(port), "--status-port", str(status_port)),
    )


@app.command()
def worker(  # noqa: PLR0917 - Typer makes an option of each parameter
    env: Env = "local",
    config: Config = "",
    target_url: TargetUrl = "",
    region: Region = "local",
    state_dir: StateDir = "",
    master_host: Annotated[str, typer.Option(help="Where the region's master is.", metavar="HOST")] = "127.0.0.1",
    port: Port = 5557,
    no_browser: NoBrowser = False,
) -> None:
    """Be a worker of a region: run what its master offers, on the master's permits, until stopped.

    When stopped it logs out and tells the master what it has seen.
    """
    from probes.swarm.drive import serve

    options = RunOptions(env, config, target_url, region, (), no_browser, state_dir=state_dir)
    serve("worker.conf", options, ("--master-host", master_host, "--master-port", str(port)))


@app.command()
def init(
    url: Annotated[str, typer.Option(help="The site to probe.", metavar="URL")],
    file: Annotated[Path, typer.Option("--file", help="Where to write it.", metavar="FILE")] = Path("smokeprobe.yaml"),
) -> None:
    """Write a first configuration for any site: GET only, no login, no secret."""
    from probes.files import write_atomically
    from probes.starter import starter_configuration

    def work() -> None:
        text = starter_configuration(url)
        if file.exists():
            raise ConfigError(f"{file} is there already.", hint="Choose another name with --file.")
        write_atomically(file, text)
        typer.echo(f"{file} is written. Run it:  smokeprobe run --config {file}")

    say_errors(work)


@app.command()
def validate(
    env: Env = "local",
    config: Config = "",
    target_url: TargetUrl = "",
    region: Region = "local",
    share: Share = "adhoc",
) -> None:
    """Check a configuration and show its plan: the worst case for each limit, what a day costs, what rules come to.

    So it does with the whole schedule, and says what holds for each entry on its kind of machine. Sends nothing.
    Exit code 2 where there is a mistake, or where it does not fit under the ceiling.
    """
    from probes.validate import (
        print_plan,
        print_rules,
        print_what_is_over,
        print_whom_no_rule_tells,
        sums_of_rules,
        validate_plan,
    )
    from probes.validate_schedule import print_schedule

    def work() -> None:
        options = RunOptions(env=env, config=config, target_url=target_url, region=region, share=share)
        print_plan(validate_plan(options))
        print_rules(sums_of_rules(options))
        print_schedule(options)
        print_whom_no_rule_tells(options)
        print_what_is_over(options)

    say_errors(work)


@app.command()
def standin(
    port: Annotated[
        int, typer.Option(help="Port on 127.0.0.1; 0 takes any free one.", metavar="PORT", min=0, max=65535)
    ] = 8089,
    persona: Annotated[Literal["design", "gateway"], typer.Option(help="Which target to be.")] = "design",
    fault: Annotated[
        list[str] | None, typer.Option(help="Misbehave so; may be repeated. `--fault list` lists them.", metavar="NAME")
    ] = None,
    command: Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND", hidden=True)] = None,
) -> None:
    """Be a target to try things on. With a COMMAND: run that against it, and end with its exit code."""
    from probes import trial

    say_errors(lambda: sys.exit(trial.stand_in(port, persona, tuple(fault or ()), tuple(command or ()))))


@app.command()
def doctor(
    env: Env = "local",
    config: Config = "",
    target_url: TargetUrl = "",
    region: Region = "local",
    state_dir: StateDir = "",
) -> None:
    """Say what is installed, configured and reachable, and for what is not, the one command that mends it."""
    from probes.doctor import examine

    options = RunOptions(env=env, config=config, target_url=target_url, region=region, state_dir=state_dir)
    say_errors(lambda: sys.exit(examine(options)))


@monitoring.command("send-test")
def send_test(env: Env = "local", config: Config = "", region: Region = "local") -> None:
    """Send one marked sample to each monitoring service of an environment, and say what became of it.

    Nothing is asked of the target. Exit code 1 where a service did not take it.
    """
    from probes.send_test import send_tests

    options = RunOptions(env=env, config=config, region=region)
    say_errors(lambda: sys.exit(send_tests(options)))


@monitoring.command()
def render(
    service: Service,
    env: Env = "local",
    config: Config = "",
    directory: Annotated[
        str, typer.Option(help="Write the files there, instead of printing them.", metavar="DIR")
    ] = "",
) -> None:
    """Print dashboards and monitors as a service's own tools take them. Asks nobody, and needs no secret."""
    from probes.as_code import AsCode

    work = AsCode(service, RunOptions(env=env, config=config))
    say_errors(lambda: sys.exit(work.render(directory)))


@monitoring.command()
def plan(service: Service, env: Env = "local", config: Config = "", prune: Prune = False) -> None:
    """Show what `apply` would create, change and remove, and do nothing.

    Exit codes: 0 nothing to do; 1 the service could not be asked; 2 usage or configuration; 4 something is to be done.
    """
    from probes.as_code import AsCode

    work = AsCode(service, RunOptions(env=env, config=config))
    say_errors(lambda: sys.exit(work.plan(prune=prune)))


@monitoring.command()
def apply(service: Service, env: Env = "local", config: Config = "", prune: Prune = False) -> None:
    """Create and change dashboards and monitors as described, and look whether they are there.

    What does not carry the mark of smokeprobe and of the environment is never touched.
    Exit codes: 0 all is there; 1 not all could be done; 2 usage or configuration.
    """
    from probes.as_code import AsCode

    work = AsCode(service, RunOptions(env=env, config=config))
    say_errors(lambda: sys.exit(work.apply(prune=prune)))


@app.command()
def pause(
    seconds: Annotated[
        str,
        typer.Option(
            "--for",
            envvar="SMOKEPROBE_PAUSE_FOR",
            help="How long, such as 2h; without it, until `smokeprobe resume`.",
            metavar="TIME",
        ),
    ] = "",
    why: Annotated[str, typer.Option(help="What to tell those who wonder.", metavar="TEXT")] = "paused by hand",
    state_dir: StateDir = "",
) -> None:
    """Stop all probing on this machine, or of the whole fleet that shares a ledger; log-outs still go."""
    from probes.config.units import parse_duration, show_duration

    def work() -> None:
        try:
            length = parse_duration(seconds) if seconds else None
        except ValueError as problem:
            raise ConfigError(f"--for: {problem}.") from None
        ledger = _ledger(state_dir)
        ledger.pause(None, length, why, "hand")
        until = f"for {show_duration(length)}" if length else f"until `{resume_command(state_dir)}`"
        typer.echo(f"Probing is paused {until}, in the ledger {ledger.place}.")

    say_errors(work)


@app.command()
def resume(state_dir: StateDir = "") -> None:
    """Lift what `smokeprobe pause` set. A pause that the target's owner asked for stays."""

    def work() -> None:
        ledger = _ledger(state_dir)
        said = "Probing goes on" if ledger.resume(None) else "Nothing was paused by hand"
        typer.echo(f"{said}, in the ledger {ledger.place}.")

    say_errors(work)


def _ledger(state_dir: str) -> Ledger:
    from probes.safety.ledger import open_ledger

    options = RunOptions(state_dir=state_dir)
    return open_ledger(options.state, options.database_url)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"smokeprobe {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[  # noqa: ARG001 - its callback does its work
        bool,
        # SMOKEPROBE_VERSION may well be somebody's name for which one to install
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version.", allow_from_autoenv=False),
    ] = False,
) -> None:
    """Production smoke tests that never harm what they probe."""
    forget_empty(os.environ)  # before a command looks for its options there


if TYPE_CHECKING:
    from probes.safety.ledger import Ledger

if __name__ == "__main__":
    app()

"""Our options in Locust's own parser, so that the plain `locust` command knows them, in its help and its files too."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from locust.argument_parser import LocustArgumentParser

from probes.options import ENVIRONMENT, RunOptions, check_names

HELP = {
    "env": "Name of the environment: config/NAME.yaml",
    "smoke_config": "A configuration file, instead of --env",
    "target_url": "Another target for the same configuration",
    "region": "Region that this run speaks for",
    "check": "Run only this check (may be repeated)",
    "no_browser": "Leave out what needs a browser",
    "report_json": "Write the report as JSON",
    "report_junit": "Write the report as JUnit XML",
    "report_html": "Write the report as a page",
    "state_dir": "Where ledger and open sessions are kept",
    "allow_degraded": "Let degraded checks pass",
    "share": "Share of the ceiling that this run draws on",
    "status_port": "Of a master: port on the loopback for /healthz, /readyz, /metrics and /board; 0 for none",
    "once": "Run each check once, report, and quit; otherwise each runs for ever at its interval",
}


def add_arguments(parser: LocustArgumentParser, **_: Any) -> None:
    """Listen to Locust's `init_command_line_parser`. Where Locust has a name already (--config), ours has a prefix."""

    def add(flag: str, field: str, **kwargs: Any) -> None:
        name = flag.removeprefix("--").replace("-", "_")
        parser.add_argument(flag, env_var=ENVIRONMENT[field], help=HELP[name], include_in_web_ui=False, **kwargs)

    add("--env", "env", default="local", metavar="NAME")
    add("--smoke-config", "config", default="", metavar="FILE")
    add("--target-url", "target_url", default="", metavar="URL")
    add("--region", "region", default="local", metavar="NAME")
    add("--check", "checks", action="append", default=[], metavar="NAME")
    add("--no-browser", "no_browser", action="store_true")
    add("--report-json", "json_file", default="", metavar="FILE")
    add("--report-junit", "junit_file", default="", metavar="FILE")
    add("--report-html", "html_file", default="", metavar="FILE")
    add("--state-dir", "state_dir", default="", metavar="DIR")
    add("--allow-degraded", "allow_degraded", action="store_true")
    add("--share", "share", default="adhoc", metavar="NAME")
    parser.add_argument(
        "--status-port", type=int, default=0, metavar="PORT", env_var="SMOKEPROBE_STATUS_PORT",
        help=HELP["status_port"], include_in_web_ui=False,
    )  # fmt: skip
    parser.add_argument(
        "--once", action="store_true", env_var="SMOKEPROBE_ONCE", help=HELP["once"], include_in_web_ui=False
    )


def options_from(parsed: Namespace) -> RunOptions:
    """Our part of what Locust parsed."""
    return RunOptions(
        env=parsed.env,
        config=parsed.smoke_config,
        target_url=parsed.target_url,
        region=parsed.region,
        checks=check_names(parsed.check),
        no_browser=parsed.no_browser,
        json_file=parsed.report_json,
        junit_file=parsed.report_junit,
        html_file=parsed.report_html,
        state_dir=parsed.state_dir,
        allow_degraded=parsed.allow_degraded,
        share=parsed.share,
    )


def arguments_for(options: RunOptions) -> list[str]:
    """The inverse: a command line for Locust."""
    valued = {
        "--env": options.env,
        "--smoke-config": options.config,
        "--target-url": options.target_url,
        "--region": options.region,
        "--report-json": options.json_file,
        "--report-junit": options.junit_file,
        "--report-html": options.html_file,
        "--state-dir": options.state_dir,
        "--share": options.share,
    }
    arguments = [part for flag, value in valued.items() if value for part in (flag, value)]
    arguments += [part for name in options.checks for part in ("--check", name)]
    flags = {"--no-browser": options.no_browser, "--allow-degraded": options.allow_degraded}
    return arguments + [flag for flag, on in flags.items() if on]

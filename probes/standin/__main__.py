"""Run the stand-in: python -m probes.standin."""

import argparse
import sys
from pathlib import Path

from probes.standin.faults import FAULTS
from probes.standin.server import StandInError, serve


def main() -> int:
    """Parse the command line and serve; the exit code is 0, or 2 when it cannot start as asked."""
    options = _parser().parse_args()
    try:
        serve(
            options.host,
            options.port,
            options.persona,
            options.fault,
            tls_cert=options.tls_cert,
            tls_key=options.tls_key,
        )
    except StandInError as error:
        sys.stderr.write(f"stand-in: {error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, FAULTS))
    faults = "\n".join(f"  {fault.name:{width}}  {fault.description}" for fault in FAULTS.values())
    parser = argparse.ArgumentParser(
        prog="python -m probes.standin",
        description="The stand-in target. It listens on loopback only.",
        epilog=f"faults:\n{faults}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes any free one")
    parser.add_argument("--persona", choices=["design", "gateway"], default="design")
    parser.add_argument("--fault", action="extend", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE")
    parser.add_argument("--tls-key", type=Path, metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())

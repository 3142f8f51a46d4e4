"""The command line: one driver, or all."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import overload, reload, stop
from .server import ROOT, Failure

DRIVERS = {"overload": overload, "reload": reload, "stop": stop}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/load/run", description="Drives a real daemon; tests/load/README.md says how and why.")
    drivers = parser.add_subparsers(dest="driver", metavar="DRIVER", required=True)
    for name, driver in DRIVERS.items():
        own = drivers.add_parser(name, help=(driver.__doc__ or "").partition("\n")[0], description=driver.__doc__)
        _add_common(own)
        driver.add_options(own)
    _add_common(drivers.add_parser("all", help="one after the other, with their defaults"))
    return parser.parse_args()


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="a few seconds: to see that it works, not for figures")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "load", metavar="DIRECTORY", help="for tables and figures (build/load)"
    )


def _run_all(options: argparse.Namespace) -> int:
    result = 0
    for name, driver in DRIVERS.items():
        parser = argparse.ArgumentParser()
        driver.add_options(parser)
        own = parser.parse_args([], argparse.Namespace(quick=options.quick, output=options.output))
        print(f"## {name}\n", flush=True)
        result = max(result, driver.run(own))
    return result


def main() -> int:
    options = parse()
    try:
        return _run_all(options) if options.driver == "all" else DRIVERS[options.driver].run(options)
    except Failure as failure:
        print(f"load: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

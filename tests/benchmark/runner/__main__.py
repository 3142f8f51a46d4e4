"""The command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .rows import ENGINE_ROWS, SERVICE_ROWS

ROOT = Path(__file__).resolve().parents[3]
NAMES = [row.name for row in (*ENGINE_ROWS, *SERVICE_ROWS)]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/benchmark/run",
        description="Compares espalier with ONNX Runtime, PyTorch and a Node service, in turns in one run.",
        epilog="Rows: " + ", ".join(NAMES) + ".",
    )
    parser.add_argument("--quick", action="store_true", help="few and short rounds: to see that it works, not for figures")
    parser.add_argument("--rows", metavar="NAME,...", help="only these (all)")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each row (15; of the service's rows 7)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", default=Path("build/benchmark/table.md"),
        help="where the table goes (%(default)s); all figures go beside it, as .json",
    )  # fmt: skip
    parser.add_argument(
        "--binary", type=Path, metavar="FILE", default=Path("build/server/espalier"),
        help="an espalier that is built already (%(default)s, which is built first)",
    )  # fmt: skip
    arguments = parser.parse_args()
    arguments.rows = arguments.rows.split(",") if arguments.rows else NAMES
    unknown = [name for name in arguments.rows if name not in NAMES]
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds is a number from 1")
    return arguments


if __name__ == "__main__":
    given = parse()
    from .benchmark import main  # only now: --help needs no PyTorch

    sys.exit(main(given, ROOT))

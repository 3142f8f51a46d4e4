"""A whole run: prepares, measures the rows that are asked for, and writes the table and all figures behind it."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from . import engine_rows, machine, pictures, service_rows
from .contenders import Bench, call_milliseconds
from .espalier import Espalier, Kernels
from .exports import Exports
from .processes import Failure, cores
from .rows import ENGINE_ROWS, SERVICE_ROWS, VARIANTS, EngineRow, ServiceRow
from .settings import FULL, QUICK, Settings
from .table import Report, render


def main(arguments: argparse.Namespace, root: Path) -> int:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # so that what was started is stopped
    try:
        report = _measure(arguments, root)
    except Failure as failure:
        print(f"benchmark: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    _write(report, arguments.output)
    return 0


def _measure(arguments: argparse.Namespace, root: Path) -> Report:
    settings = _settings(arguments)
    bench = _prepare(arguments.binary, root)
    report = Report(
        command=shlex.join(["tests/benchmark/run", *sys.argv[1:]]),
        date=datetime.date.today().isoformat(),
        machine=machine.describe(root, bench.work, bench.espalier.binary, bench.cores),
    )
    kernels = _kernels(bench.espalier, report)
    engine, service = _rows(arguments.rows, len(bench.cores), report)
    if engine:
        report.call_ms = call_milliseconds(bench)
    for engine_row in engine:
        _begin(engine_row.title, bench, report)
        report.engine.append(engine_rows.measure(bench, engine_row, kernels, settings))
    serving = [one for one in kernels if one.serves]
    for service_row in service:
        _begin(f"the service: {service_row.title}", bench, report)
        report.service.append(service_rows.measure(bench, service_row, serving, settings))
    return report


def _begin(title: str, bench: Bench, report: Report) -> None:
    _say(title)
    report.busy = max(report.busy, machine.busy_share(bench.cores))


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = QUICK if arguments.quick else FULL
    if arguments.rounds is None:
        return settings
    return dataclasses.replace(settings, rounds=arguments.rounds, service_rounds=arguments.rounds)


def _prepare(binary: Path, root: Path) -> Bench:
    if not binary.is_file():
        raise Failure(f"{binary} is no program. Build espalier first, or name one with --binary.")
    work, model, usable = root / "build" / "benchmark", root / "deploy" / "models" / "tiny-imagenet-200", cores()
    exports = Exports(work / "exports", model)
    made = pictures.prepare(root / "deploy" / "samples", work / "pictures", exports.model)
    return Bench(work, model, exports, made, Espalier(binary.resolve(), model, usable[0]), usable)


def _kernels(espalier: Espalier, report: Report) -> list[Kernels]:
    """Those that this machine can run, each once; the report says why others cannot."""
    found: dict[str, Kernels] = {}
    for variant in VARIANTS:
        try:
            kernels = espalier.kernels(variant)
        except Failure as failure:
            if not variant.optional:
                raise
            report.skipped[f"espalier {' '.join(variant.flags)}"] = str(failure)
        else:
            found.setdefault(kernels.name, kernels)
    return list(found.values())


def _rows(names: Sequence[str], usable: int, report: Report) -> tuple[list[EngineRow], list[ServiceRow]]:
    """The rows asked for; without a second CPU there are no two threads, and no CPU for the client of a service."""
    engine = [row for row in ENGINE_ROWS if row.name in names]
    service = [row for row in SERVICE_ROWS if row.name in names]
    if usable >= 2:
        return engine, service
    for row in [*(row for row in engine if row.threads > 1), *service]:
        report.skipped[row.title] = "it needs two CPUs, and there is one"
    return [row for row in engine if row.threads == 1], []


def _write(report: Report, output: Path) -> None:
    text, figures = render(report), output.with_suffix(".json")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    figures.write_text(json.dumps(dataclasses.asdict(report), indent=1) + "\n", encoding="utf-8")
    print(text)
    _say(f"written to {output} and {figures}")


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)

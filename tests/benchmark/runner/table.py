"""The figures as Markdown, to be put into the README as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .contenders import OnnxRuntime
from .engine_rows import EngineResult
from .service_rows import NODE, ServiceResult
from .turns import Ratio, Turns

MISSING = "–"
QUIET = 0.05


@dataclass
class Report:
    """All that a run of the benchmark found out."""

    command: str
    date: str
    machine: dict[str, Any]
    skipped: dict[str, str] = field(default_factory=dict)
    busy: float = 0.0  # the largest share of the CPUs that others had, looked at before each row
    call_ms: float | None = None
    engine: list[EngineResult] = field(default_factory=list)
    service: list[ServiceResult] = field(default_factory=list)


def render(report: Report) -> str:
    parts = [_machine(report)]
    if report.engine:
        parts += [_engine_table(report.engine), _engine_notes(report)]
    if report.service:
        parts += [_service_table(report.service), _service_notes(report.service)]
    return "\n\n".join([*parts, _foot(report)]) + "\n"


def _machine(report: Report) -> str:
    machine = report.machine
    flags = " ".join(machine["flags"]) or "no vector flags of note"
    return f"Measured on {machine['cpu']}, {_cpus(machine['cpus'])}, {flags}; repeat it with\n\n    {report.command}"


# ---- the engine ----


def _engine_table(results: Sequence[EngineResult]) -> str:
    titles = _in_order(title for result in results for title in result.turns.rounds)
    head = ["one run of the network", "MACs", *titles]
    rows = [
        [result.row.title, _millions(result.macs * result.row.batch), *(_engine_cell(result, title) for title in titles)]
        for result in results
    ]
    return _table(head, rows)


def _engine_cell(result: EngineResult, title: str) -> str:
    if title not in result.turns.rounds:
        return MISSING
    time = _milliseconds(result.turns.median(title, "ms"))
    return time if title == OnnxRuntime.title else f"{time}, {_times(_speed(result, title))}"


def _speed(result: EngineResult, title: str) -> Ratio:
    """How many times as fast as ONNX Runtime."""
    return result.turns.ratio(OnnxRuntime.title, title, "ms")


def _engine_notes(report: Report) -> str:
    rounds = {len(result.turns.rounds[OnnxRuntime.title]) for result in report.engine}
    ratios = [
        _speed(result, title) for result in report.engine for title in result.turns.rounds if title != OnnxRuntime.title
    ]
    lines = [
        f"Medians of {_span(rounds)} rounds in which all take turns, each with the median of {_span(r.runs for r in report.engine)} "
        "runs, decoding not included; × is how many times as fast as ONNX Runtime, the median of the rounds' ratios "
        f"({_spread(ratios)}).",
        f"One thread on one CPU unless the row says two. {_same_answer(report.engine)}",
        "The peers run networks that were cut down to the row's categories beforehand, in the fastest of the forms in "
        f"which they can be written ({_ways(report.engine)}); espalier is told the categories with the request.",
    ]
    if report.call_ms is not None:
        call = _milliseconds(report.call_ms)
        lines.append(f"ONNX Runtime is called from Node, as a service calls it: a graph that does nothing takes {call}.")
    return " ".join(lines)


def _same_answer(results: Sequence[EngineResult]) -> str:
    reference = next(iter(results[0].benches))
    found: dict[str, float] = {}
    for result in results:
        for title, choice in result.choices.items():
            if title != reference:
                found[title] = max(found.get(title, 0.0), choice.difference)
    distances = ", ".join(f"{title} {difference:.1g}" for title, difference in found.items())
    return f"Same answer, checked before anything was timed: the largest difference of a score to {reference} is {distances}."


def _ways(results: Sequence[EngineResult]) -> str:
    """The ways that were the fastest ones, by contender that had a choice."""
    found: dict[str, list[str]] = {}
    for result in results:
        for title, choice in result.choices.items():
            if len(choice.trials) > 1:
                found.setdefault(title, []).append(" ".join(choice.way.values()))
    return "; ".join(f"{title}: {', '.join(_in_order(ways))}" for title, ways in found.items())


# ---- the service ----


def _service_table(results: Sequence[ServiceResult]) -> str:
    titles = _in_order(title for result in results for turns in result.turns.values() for title in turns.rounds)
    head = ["from JPEG to JSON", "connections", *(text for title in titles for text in (f"{title}: requests/s", "p50, p99"))]
    rows = [
        [result.row.title, str(connections), *(cell for title in titles for cell in _service_cells(turns, title))]
        for result in results
        for connections, turns in result.turns.items()
    ]
    return _table(head, rows)


def _service_cells(turns: Turns, title: str) -> list[str]:
    if title not in turns.rounds:
        return [MISSING, MISSING]
    rate = f"{turns.median(title, 'rate'):.0f}"
    if title != NODE:
        rate += f", {_times(turns.ratio(title, NODE, 'rate'))}"
    return [rate, ", ".join(_milliseconds(turns.median(title, figure)) for figure in ("p50_ms", "p99_ms"))]


def _service_notes(results: Sequence[ServiceResult]) -> str:
    all_turns = [turns for result in results for turns in result.turns.values()]
    rounds = {len(turns.rounds[NODE]) for turns in all_turns}
    ratios = [turns.ratio(title, NODE, "rate") for turns in all_turns for title in turns.rounds if title != NODE]
    checked = "; ".join(
        f"{result.row.name}: {max(result.differences.values()):.1g}" for result in results if result.differences
    )
    return (
        f"Medians of {_span(rounds)} rounds in turns; the services share one CPU, on which only one of them is asked at a "
        "time, wrk has another; × is how many times the requests per second of the Node service, the median of the "
        f"rounds' ratios ({_spread(ratios)}). Same answer, checked before: the same first category for all pictures, and "
        f"the largest difference of a score is {checked}."
    )


# ---- words and figures ----


def _foot(report: Report) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.machine["versions"].items())
    lines = [f"{report.date}, commit {report.machine['commit']}, {report.machine['system']}; {versions}."]
    if report.busy > QUIET:
        lines.append(f"**The machine was not quiet**: other programs had up to {report.busy:.0%} of its CPUs; measure again.")
    lines += [f"Not measured: {title} ({reason})." for title, reason in report.skipped.items()]
    return " ".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _in_order(items: Iterable[str]) -> list[str]:
    """Each once, in the order in which they first came."""
    return list(dict.fromkeys(items))


def _span(numbers: Iterable[int]) -> str:
    found = set(numbers)
    return str(min(found)) if len(found) == 1 else f"{min(found)} to {max(found)}"


def _spread(ratios: Sequence[Ratio]) -> str:
    if not ratios:
        return "nothing to compare"
    widest = max(max(ratio.high - ratio.median, ratio.median - ratio.low) / ratio.median for ratio in ratios)
    return f"quartiles within {widest:.0%} of it"


def _cpus(count: int) -> str:
    return "1 CPU" if count == 1 else f"{count} CPUs"


def _times(ratio: Ratio) -> str:
    return f"{ratio.median:.2f} ×"


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count < 1e9 else f"{count / 1e9:.2f} G"


def _milliseconds(value: float) -> str:
    """Three figures."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f} ms"

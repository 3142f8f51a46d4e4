"""What records say, and how it is written down."""

from __future__ import annotations

import datetime
import json
import platform
import statistics
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .client import Record
from .server import CORES, ROOT

NOTHING = float("nan")
TOGETHER = 0.001  # of a window: answers of a batch are no further apart


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that so large a share does not exceed; nan of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else NOTHING


def median(values: Iterable[float]) -> float:
    known = [value for value in values if value == value]
    return statistics.median(known) if known else NOTHING


def rate(moments: Iterable[float]) -> float:
    """Answers per second, from the first to the last; those that came with the first one were computed before. A window that
    begins anywhere would count a batch too many or too few."""
    ordered = sorted(moments)
    if len(ordered) < 2 or ordered[-1] == ordered[0]:
        return 0.0
    span = ordered[-1] - ordered[0]
    return sum(moment > ordered[0] + TOGETHER * span for moment in ordered) / span


def summarise(records: Sequence[Record], begin: float, end: float) -> dict[str, Any]:
    """Of a window: good answers that came in it, and what became of the requests that were scheduled in it."""
    asked = [record for record in records if begin <= record.scheduled < end]
    latencies = [record.latency * 1000 for record in asked if record.good]
    return {
        "seconds": end - begin,
        "asked": len(asked),
        "offered": len(asked) / (end - begin),
        "goodput": rate(record.answered for record in records if record.good and begin <= record.answered < end),
        "p50_ms": quantile(latencies, 0.50),
        "p99_ms": quantile(latencies, 0.99),
        "refused_429": sum(record.status == 429 for record in asked) / max(1, len(asked)),
        "late_p99_ms": quantile(((record.sent - record.scheduled) * 1000 for record in asked if record.sent), 0.99),
        "ends": ends(asked),
    }


def ends(records: Iterable[Record]) -> dict[str, int]:
    """How many ended how: by fault, or by status."""
    return dict(sorted(Counter(record.fault or str(record.status) for record in records).items()))


def failures(records: Iterable[Record]) -> int:
    return sum(record.failed for record in records)


# ---- words ----


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def figure(value: float, unit: str = "") -> str:
    """With three digits that count."""
    if value != value:
        return "–"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{decimals}f}{unit}"


def percent(share: float) -> str:
    return "–" if share != share else f"{share:.1%}"


def counts(found: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in found.items()) or "nothing"


# ---- files ----


def write(output: Path, name: str, report: dict[str, Any], text: str) -> None:
    """The table as Markdown and all figures as JSON, into this directory."""
    report = {"machine": _machine(), **report}
    text = f"{text}\n\n{report['machine']}\n"
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{name}.md").write_text(text, encoding="utf-8")
    (output / f"{name}.json").write_text(json.dumps(_plain(report), indent=1) + "\n", encoding="utf-8")
    print(text)


def _plain(value: Any) -> Any:
    """JSON knows no nan."""
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(member) for member in value]
    return None if value != value else value


def _machine() -> str:
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    cpu = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), platform.machine())
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True).stdout.strip()
    return f"{datetime.date.today().isoformat()}, {len(CORES)} CPUs of {cpu}, Linux {platform.release()}, commit {commit or 'unknown'}."

"""More requests than the daemon can answer.

A round, for each factor: the peak is measured by a few users who wait for their answers, then that many times the peak is
offered on a schedule. Figures are compared within a round, as the machine is another one a minute later; medians over the
rounds are reported. Last in each round are users who obey `retry_after_ms`, more of them than the queue has room for."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import figures
from .arrivals import closed_loop, open_loop, poisson, regular
from .client import Client, Record
from .mixes import MIXES, asker
from .server import Failure, Server, others_share, pin_client

BATCH = 8
# Times as long as what takes least, so that there are answers enough.
PATIENCE = {"whole": 2, "one": 1, "random": 1.5}
# Plain C is slow enough for the client's core to offer ten times as much; so many wait for some seconds. Room for two batches.
DEPTHS = {"whole": 16, "one": 64, "random": 24}
SAMPLE_SECONDS = 0.1  # between looks at the memory
QUERY_SEED = 1


@dataclass(frozen=True)
class Settings:
    rounds: int = 5
    seconds: float = 20  # of each load
    peak_seconds: float = 8
    warm_share: float = 0.25  # of the time of a load, at its beginning, which does not count
    factors: tuple[float, ...] = (1, 2, 5, 10)
    peak_users: int = 16  # two batches: one is computed, one waits
    obeying_per_place: int = 4  # users for each place in the queue


FULL = Settings()
QUICK = Settings(rounds=1, seconds=3, peak_seconds=2, factors=(1, 10))


@dataclass
class Load:
    """One load of one round."""

    title: str
    peak: float  # requests per second, measured just before
    figures: dict[str, Any]
    failed: int
    bare_429: int  # without Retry-After or retry_after_ms
    retry: list[tuple[float, float]]  # (said, true) in ms, for each 429
    rss: float  # the most, in MB
    others: float  # the share of the daemon's CPU that others had

    @property
    def ratio(self) -> float:
        return self.figures["goodput"] / self.peak if self.peak else figures.NOTHING


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mixes", default="one,whole,random", metavar="NAME,...", help=f"of {', '.join(MIXES)} (%(default)s)")
    parser.add_argument("--arrivals", choices=("poisson", "regular"), default="poisson", help="(%(default)s)")
    parser.add_argument("--kernels", default="plain", help="of the daemon (%(default)s)")
    parser.add_argument("--depth", type=int, metavar="N", help="of the queue (some seconds of work)")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"({FULL.rounds})")
    parser.add_argument("--seconds", type=float, metavar="S", help=f"of each load of one category, others take longer ({FULL.seconds:g})")
    parser.add_argument("--factors", metavar="X,...", help="times the peak (1,2,5,10)")


def run(options: argparse.Namespace) -> int:
    settings = _settings(options)
    unknown = [mix for mix in options.mixes.split(",") if mix not in MIXES]
    if unknown:
        raise Failure(f"there is no mix {', '.join(unknown)}; there are {', '.join(MIXES)}")
    pin_client()
    report: dict[str, Any] = {"settings": dataclasses.asdict(settings), "mixes": {}}
    texts, failed = [], 0
    for mix in options.mixes.split(","):
        found = _measure(mix, _patient(settings, PATIENCE[mix]), options)
        report["mixes"][mix] = found
        texts.append(_render(mix, found))
        failed += sum(load["failed"] for load in found["loads"])
    figures.write(options.output, "overload", report, "\n\n".join(texts))
    return 1 if failed else 0


def _settings(options: argparse.Namespace) -> Settings:
    settings = QUICK if options.quick else FULL
    said = {"rounds": options.rounds, "seconds": options.seconds}
    if options.factors:
        said["factors"] = tuple(float(factor) for factor in options.factors.split(","))
    return dataclasses.replace(settings, **{name: value for name, value in said.items() if value is not None})


def _patient(settings: Settings, times: float) -> Settings:
    return dataclasses.replace(settings, seconds=settings.seconds * times, peak_seconds=settings.peak_seconds * times)


def _measure(mix: str, settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    depth = options.depth or DEPTHS[mix]
    flags = ["--kernels", options.kernels, "--instances", "1", "--batch", str(BATCH), "--queue-depth", str(depth)]
    with Server(options.output / "logs" / f"overload-{mix}", flags) as server:
        trial = _Trial(server, mix, depth, settings, options.arrivals)
        trial.peak()  # warms it up
        before = server.rss()
        loads = [load for number in range(settings.rounds) for load in trial.round(number)]
        after = server.rss()
    return {"depth": depth, "rss_before": before, "rss_after": after,
            "loads": [{**dataclasses.asdict(load), "ratio": load.ratio} for load in loads]}  # fmt: skip


class _Trial:
    def __init__(self, server: Server, mix: str, depth: int, settings: Settings, arrivals: str) -> None:
        self.server, self.depth, self.settings, self.arrivals = server, depth, settings, arrivals
        self.ask = asker(server, mix, QUERY_SEED)

    def peak(self) -> float:
        seconds = self.settings.peak_seconds
        records: list[Record] = []
        with Client(self.server.address) as client:
            until = client.now() + seconds
            # No more than fit into the queue: nobody is refused, and nothing but good answers takes time.
            users = min(self.settings.peak_users, self.depth)
            closed_loop(client, users, until, self.ask, records.append)
            client.run()
        return figures.rate(record.answered for record in records if record.good and record.answered < until)

    def round(self, number: int) -> list[Load]:
        return [*(self._offer(factor, seed=number + 1) for factor in self.settings.factors), self._obey()]

    def _offer(self, factor: float, seed: int) -> Load:
        peak = self.peak()
        with Client(self.server.address) as client:
            rate, begin, seconds = factor * peak, client.now(), self.settings.seconds
            moments = poisson(begin, rate, seconds, seed) if self.arrivals == "poisson" else regular(begin, rate, seconds)
            records: list[Record] = []
            open_loop(client, moments, self.ask, records.append)
            return self._load(f"{factor:g} × the peak", peak, client, records)

    def _obey(self) -> Load:
        peak = self.peak()
        with Client(self.server.address) as client:
            users, until = self.settings.obeying_per_place * self.depth, client.now() + self.settings.seconds
            records: list[Record] = []
            closed_loop(client, users, until, self.ask, records.append, obeys=True)
            return self._load(f"{users} users who obey", peak, client, records)

    def _load(self, title: str, peak: float, client: Client, records: list[Record]) -> Load:
        begin, end = client.now(), client.now() + self.settings.seconds
        memory: list[float] = []

        def look() -> None:
            memory.append(self.server.rss())
            if client.now() < end:
                client.at(client.now() + SAMPLE_SECONDS, look)

        client.at(begin, look)
        ticks = self.server.ticks()
        client.run()
        others = others_share(ticks, self.server.ticks())
        found = figures.summarise(records, begin + self.settings.warm_share * (end - begin), end)
        bare = sum(record.status == 429 and not (record.retry_after and record.retry_after_ms) for record in records)
        return Load(title, peak, found, figures.failures(records), bare, retry_errors(records), max(memory), others)


def retry_errors(records: Sequence[Record]) -> list[tuple[float, float]]:
    """For each 429 what it said and what would have been true: the queue that it was refused for has been worked off when the
    last of those that were accepted earlier is answered."""
    found, free = [], 0.0
    for record in sorted(records, key=lambda record: record.sent):
        if record.status == 200:
            free = max(free, record.answered)
        elif record.status == 429 and record.retry_after_ms and free > record.answered:
            found.append((record.retry_after_ms, (free - record.answered) * 1000))
    return found


# ---- the table ----


def _render(mix: str, found: dict[str, Any]) -> str:
    loads: dict[str, list[dict[str, Any]]] = {}
    for load in found["loads"]:
        loads.setdefault(load["title"], []).append(load)
    head = ["offered", "goodput, requests/s", "of the peak", "least", "429", "p50, ms", "p99, ms", "bound, ms",
            "`retry_after_ms` ÷ truth", "its error, ms", "RSS, MB", "failed"]  # fmt: skip
    rows = [_row(title, rounds, found["depth"]) for title, rounds in loads.items()]
    peak = figures.median(load["peak"] for load in found["loads"])
    late = max(load["figures"]["late_p99_ms"] for load in found["loads"])
    bare = sum(load["bare_429"] for load in found["loads"])
    return "\n\n".join((
        f"**{mix}**, queue of {found['depth']}, peak {figures.figure(peak)} requests/s",
        figures.table(head, rows),
        f"RSS {found['rss_before']:.1f} MB before and {found['rss_after']:.1f} MB after; "
        f"{bare} answers 429 lacked when to come back; the client was up to {figures.figure(late)} ms behind its schedule (p99); others had up to "
        f"{max(load['others'] for load in found['loads']):.0%} of the daemon's CPU.",
    ))  # fmt: skip


def _row(title: str, rounds: Sequence[dict[str, Any]], depth: int) -> list[str]:
    def middle(name: str) -> float:
        return figures.median(load["figures"][name] for load in rounds)

    peak = figures.median(load["peak"] for load in rounds)
    retry = [pair for load in rounds for pair in load["retry"]]
    return [
        title, figures.figure(middle("goodput")), figures.percent(figures.median(load["ratio"] for load in rounds)),
        figures.percent(min(load["ratio"] for load in rounds)), figures.percent(middle("refused_429")),
        figures.figure(middle("p50_ms")), figures.figure(middle("p99_ms")), figures.figure(bound_ms(depth, peak)),
        _quartiles(said / true for said, true in retry),
        figures.figure(figures.median(abs(said - true) for said, true in retry)), f"{max(load['rss'] for load in rounds):.1f}",
        str(sum(load["failed"] for load in rounds)),
    ]  # fmt: skip


def bound_ms(depth: int, peak: float) -> float:
    """An accepted request waits at most for the batch that runs and for a full queue, of which it is the last."""
    return (depth + BATCH) / peak * 1000 if peak else figures.NOTHING


def _quartiles(values: Any) -> str:
    known = list(values)
    low, middle, high = (figures.quantile(known, share) for share in (0.25, 0.5, 0.75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})" if known else "–"

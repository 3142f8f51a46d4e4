"""The network is replaced under load.

First, in turns, intervals without and with reloads, for each kind of load: what a reload does to the latency of others. Then
reloads until there were as many as wanted: what they leave behind in memory. Now and then the new network is a broken one,
which has to be refused while the old one serves on. No request may fail, and every answer has to be the same as before."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import figures
from .arrivals import Ask, closed_loop, open_loop, poisson
from .client import Client, Record
from .mixes import MIXES, asker
from .replacing import TOKEN, Network, Reloader, Reloads
from .server import CORES, Server, pin_client

MARKS = (10, 100, 1000)  # reloads after which the memory is looked at
SURPRISES_SHOWN = 10
SEED = 3


@dataclass(frozen=True)
class Settings:
    rounds: int = 5
    seconds: float = 10  # of each interval
    reloads: int = 1000  # at least
    every: float = 0.25  # from one reload's begin to the next
    broken_every: int = 50
    share: float = 0.5  # of the capacity, for the load on a schedule
    capacity_seconds: float = 4
    users: int = 4  # of the loads of users who wait
    pause: float = 5  # before the last look at the memory


FULL = Settings()
QUICK = Settings(rounds=1, seconds=1, reloads=10, every=0.1, broken_every=4, capacity_seconds=1, pause=1)


@dataclass(frozen=True)
class Kind:
    title: str
    keeps: bool
    scheduled: bool


KINDS = (
    Kind("on a schedule, kept connections", keeps=True, scheduled=True),
    Kind("users, kept connections", keeps=True, scheduled=False),
    Kind("users, a connection for each request", keeps=False, scheduled=False),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", choices=("route", "signal"), default="route", help="how: the admin route, or SIGHUP (%(default)s)")
    parser.add_argument("--reloads", type=int, metavar="N", help=f"at least ({FULL.reloads})")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"of intervals without and with reloads ({FULL.rounds})")
    parser.add_argument("--seconds", type=float, metavar="S", help=f"of each interval ({FULL.seconds:g})")
    parser.add_argument("--every", type=float, metavar="S", help=f"from one reload's begin to the next ({FULL.every:g})")
    parser.add_argument("--share", type=float, metavar="X", help=f"of the capacity, for the load on a schedule ({FULL.share:g})")
    parser.add_argument("--kernels", default="auto", help="of the daemon (%(default)s)")
    parser.add_argument("--mix", choices=MIXES, default="one", help="what is asked (%(default)s)")
    parser.add_argument("--cores", metavar="N,...", help="the daemon's CPUs (all but the last, which is the client's)")


def run(options: argparse.Namespace) -> int:
    names = [field.name for field in dataclasses.fields(Settings)]
    said = {name: value for name, value in vars(options).items() if name in names and value is not None}
    settings = dataclasses.replace(QUICK if options.quick else FULL, **said)
    pin_client()
    with tempfile.TemporaryDirectory() as folder:
        network = Network(Path(folder))
        report = _measure(network, settings, options)
    figures.write(options.output, "reload", report, _render(report))
    return 1 if report["failed"] or report["surprises"] else 0


def _measure(network: Network, settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    cores = [int(core) for core in options.cores.split(",")] if options.cores else CORES[:-1]
    flags = ["--kernels", options.kernels, "--model", str(network.directory)]
    with Server(options.output / "logs" / "reload", flags, cores, ESPALIER_ADMIN_TOKEN=TOKEN) as server:
        trial = _Trial(server, network, settings, options)
        capacity = trial.capacity()
        trial.remember("before")
        intervals = [interval for _ in range(settings.rounds) for kind in KINDS for interval in trial.pair(kind, capacity)]
        trial.finish()
        reloads = trial.reloads
        return {
            "settings": dataclasses.asdict(settings), "by": options.by, "capacity": capacity, "intervals": intervals,
            "rss": trial.memory, "reloads": reloads.done, "refused": reloads.refused, "reload_ms": reloads.milliseconds,
            "refusal": reloads.refusal, "surprises": reloads.surprises, "requests": trial.requests, "failed": trial.failed,
            "ends": trial.ends,
        }  # fmt: skip


class _Trial:
    def __init__(self, server: Server, network: Network, settings: Settings, options: argparse.Namespace) -> None:
        self.server, self.settings = server, settings
        self.reloads = Reloads(settings.every, settings.broken_every, by_signal=options.by == "signal")
        self.reloader = Reloader(server, network, self.reloads, self._after_reload)
        self.asks: dict[bool, Ask] = {keeps: asker(server, options.mix, keeps=keeps) for keeps in (True, False)}
        self.memory: dict[str, float] = {}
        self.requests = self.failed = 0
        self.ends: dict[str, int] = {}

    def remember(self, when: str) -> None:
        self.memory[when] = self.server.rss()

    def _after_reload(self) -> None:
        if self.reloads.done in MARKS:
            self.remember(f"after {self.reloads.done} reloads")

    def capacity(self) -> float:
        """What users who wait get out of it."""
        return float(self._interval(KINDS[1], 0, self.settings.capacity_seconds, False)["goodput"])

    def pair(self, kind: Kind, capacity: float) -> list[dict[str, Any]]:
        rate, seconds = capacity * self.settings.share, self.settings.seconds
        return [{"kind": kind.title, "reloading": reloading, **self._interval(kind, rate, seconds, reloading)}
                for reloading in (False, True)]  # fmt: skip

    def finish(self) -> None:
        """The reloads that are left, with users of both kinds."""
        while self.reloads.done < self.settings.reloads:
            for kind in KINDS[1:]:
                self._interval(kind, 0, self.settings.seconds, True)
        self.remember("at the end")
        time.sleep(self.settings.pause)
        self.remember(f"{self.settings.pause:g} s later")

    def _interval(self, kind: Kind, rate: float, seconds: float, reloading: bool) -> dict[str, Any]:
        records: list[Record] = []
        with Client(self.server.address) as client:
            begin = client.now()
            if kind.scheduled:
                open_loop(client, poisson(begin, rate, seconds, SEED), self.asks[kind.keeps], records.append)
            else:
                closed_loop(client, self.settings.users, begin + seconds, self.asks[kind.keeps], records.append)
            before = self.reloads.tried
            if reloading:
                self.reloader.start(client, begin + seconds)
            client.run()
        self.requests += len(records)
        self.failed += figures.failures(records)
        for name, count in figures.ends(records).items():
            self.ends[name] = self.ends.get(name, 0) + count
        return {**figures.summarise(records, begin, begin + seconds), "reloads": self.reloads.tried - before}


# ---- the table ----


def _render(report: dict[str, Any]) -> str:
    head = ["load", "requests/s without, with reloads", "p50, ms", "p99, ms", "p99 with ÷ without", "most", "reloads/s"]
    rows = [_row(kind.title, report["intervals"]) for kind in KINDS]
    memory = ", ".join(f"{when} {size:.1f} MB" for when, size in report["rss"].items())
    lines = [
        f"{report['reloads']} reloads by {report['by']} and {report['refused']} attempts with a broken network under "
        f"{report['requests']} requests, of which {report['failed']} failed ({figures.counts(report['ends'])}); "
        f"capacity {figures.figure(report['capacity'])} requests/s.",
        f"RSS: {memory}.",
    ]
    if report["reload_ms"]:
        lines.append(f"A reload took {figures.figure(figures.median(report['reload_ms']))} ms, "
                     f"at most {figures.figure(max(report['reload_ms']))} ms.")  # fmt: skip
    if report["refusal"]:
        lines.append(f"What a broken network is told: {report['refusal']}")
    lines += [f"**Unexpected**: {surprise}" for surprise in report["surprises"][:SURPRISES_SHOWN]]
    return figures.table(head, rows) + "\n\n" + "\n\n".join(lines)


def _row(title: str, intervals: Sequence[dict[str, Any]]) -> list[str]:
    quiet, reloading = ([one for one in intervals if one["kind"] == title and one["reloading"] == state] for state in (False, True))
    ratios = [with_them["p99_ms"] / without["p99_ms"] for without, with_them in zip(quiet, reloading)]

    def both(name: str) -> str:
        return ", ".join(figures.figure(figures.median(one[name] for one in group)) for group in (quiet, reloading))

    rate = sum(one["reloads"] for one in reloading) / sum(one["seconds"] for one in reloading)
    return [title, both("goodput"), both("p50_ms"), both("p99_ms"), figures.figure(figures.median(ratios)), figures.figure(max(ratios)),
            figures.figure(rate)]  # fmt: skip

"""The network is replaced under load.

First, in turns, intervals without and with reloads, for each kind of load: what a reload does to the latency of others. Then
reloads until there were as many as wanted: what they leave behind in memory. Now and then the new network is a broken one,
which has to be refused while the old one serves on. No request may fail, and every answer has to be the same as before."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import figures
from .arrivals import Ask, closed_loop, open_loop, poisson
from .client import Client, Record
from .messages import build
from .mixes import asker
from .server import CORES, MODEL, Failure, Server, pin_client

TOKEN = "only-for-this-load-driver"
MARKS = (0, 10, 100, 1000)  # reloads after which the memory is looked at
BREAK_SECONDS = 1.0  # a broken network lies there for so long when it's signals that reload: nobody says when they are done
WEIGHTS = "model.safetensors"
SEED = 3


@dataclass(frozen=True)
class Settings:
    rounds: int = 5
    seconds: float = 10  # of each interval
    reloads: int = 1000
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
    parser.add_argument("--reloads", type=int, metavar="N", help=f"({FULL.reloads})")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"of intervals without and with reloads ({FULL.rounds})")
    parser.add_argument("--seconds", type=float, metavar="S", help=f"of each interval ({FULL.seconds:g})")
    parser.add_argument("--every", type=float, metavar="S", help=f"from one reload's begin to the next ({FULL.every:g})")
    parser.add_argument("--share", type=float, metavar="X", help=f"of the capacity, for the load on a schedule ({FULL.share:g})")
    parser.add_argument("--kernels", default="auto", help="of the daemon (%(default)s)")
    parser.add_argument("--mix", default="one", help="what is asked (%(default)s)")
    parser.add_argument("--cores", metavar="N,...", help="the daemon's CPUs (all but the last, which is the client's)")


def run(options: argparse.Namespace) -> int:
    names = [field.name for field in dataclasses.fields(Settings)]
    said = {name: value for name, value in vars(options).items() if name in names and value is not None}
    settings = dataclasses.replace(QUICK if options.quick else FULL, **said)
    pin_client()
    with tempfile.TemporaryDirectory() as folder:
        network = _Network(Path(folder))
        report = _measure(network, settings, options)
    figures.write(options.output, "reload", report, _render(report))
    return 1 if report["failed"] or report["surprises"] else 0


def _measure(network: _Network, settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    cores = [int(core) for core in options.cores.split(",")] if options.cores else CORES[:-1]
    flags = ["--kernels", options.kernels, "--model", str(network.directory)]
    with Server(options.output / "logs" / "reload", flags, cores, ESPALIER_ADMIN_TOKEN=TOKEN) as server:
        trial = _Trial(server, network, settings, options)
        capacity = trial.capacity()
        trial.remember()
        intervals = [interval for _ in range(settings.rounds) for kind in KINDS for interval in trial.pair(kind, capacity)]
        trial.finish()
        reloads = trial.reloads
        return {
            "settings": dataclasses.asdict(settings), "by": options.by, "capacity": capacity, "intervals": intervals,
            "rss": trial.memory, "reloads": reloads.done, "refused": reloads.refused, "reload_ms": reloads.milliseconds,
            "refusal": reloads.refusal, "surprises": reloads.surprises, "requests": trial.requests, "failed": trial.failed,
            "ends": trial.ends,
        }  # fmt: skip


class _Network:
    """A copy of the bundled network whose weights can be swapped for broken ones, and back, at a stroke."""

    def __init__(self, folder: Path) -> None:
        self.directory = folder / MODEL.name
        self._good, self._broken, self._next = folder / "good", folder / "broken", folder / "next"
        shutil.copytree(MODEL, self.directory)
        shutil.copy(MODEL / WEIGHTS, self._good)
        whole = self._good.read_bytes()
        self._broken.write_bytes(whole[: len(whole) // 2])

    def break_it(self) -> None:
        self._swap(self._broken)

    def mend(self) -> None:
        self._swap(self._good)

    def _swap(self, weights: Path) -> None:
        """By a name for the same file, which then takes the old one's place: nobody sees half of it."""
        os.link(weights, self._next)
        os.replace(self._next, self.directory / WEIGHTS)


class _Reloads:
    """Reloads one after the other, some of them of a broken network, on the event loop of whoever makes the load."""

    def __init__(self, server: Server, network: _Network, settings: Settings, by_signal: bool, remember: Callable[[], None]) -> None:
        self.server, self.network, self.settings, self.by_signal, self.remember = server, network, settings, by_signal, remember
        name = server.json("/categories")["model"]["name"]
        self.request = build("POST", f"/v2/repository/models/{name}/load", wants_body=True, Authorization=f"Bearer {TOKEN}")
        self.begun = self.done = self.refused = 0
        self.milliseconds: list[float] = []
        self.refusal = ""
        self.surprises: list[str] = []

    def start(self, client: Client, until: float) -> None:
        """Goes on until that moment, or until there were enough."""
        if client.now() >= until or self.done >= self.settings.reloads:
            return
        self.begun += 1
        begun, broken = client.now(), self.begun % self.settings.broken_every == 0
        if broken:
            self.network.break_it()

        def finished() -> None:
            if broken:
                self.network.mend()
            self._count(broken)
            client.at(max(client.now(), begun + self.settings.every), lambda: self.start(client, until))

        if self.by_signal:
            self.server.signal(signal.SIGHUP)
            client.at(begun + (BREAK_SECONDS if broken else self.settings.every), finished)
        else:
            client.send(self.request, begun, lambda record: (self._hear(record, broken), finished()))

    def _count(self, broken: bool) -> None:
        if broken:
            self.refused += 1
            return
        self.done += 1
        if self.done in MARKS:
            self.remember()

    def _hear(self, record: Record, broken: bool) -> None:
        said = record.body.decode(errors="replace").strip()
        if record.status in (401, 403, 404, 405):
            raise Failure(f"the daemon has no way to load a network: {record.status} {said}")
        if broken == record.good or not record.status:
            self.surprises.append(f"{'broken' if broken else 'good'}: {record.fault or record.status} {said}")
        elif broken:
            self.refusal = f"{record.status} {said}"
        else:
            self.milliseconds.append((record.answered - record.sent) * 1000)


class _Trial:
    def __init__(self, server: Server, network: _Network, settings: Settings, options: argparse.Namespace) -> None:
        self.server, self.settings = server, settings
        self.reloads = _Reloads(server, network, settings, options.by == "signal", self.remember)
        self.asks: dict[bool, Ask] = {keeps: asker(server, options.mix, keeps=keeps) for keeps in (True, False)}
        self.memory: dict[str, float] = {}
        self.requests = self.failed = 0
        self.ends: dict[str, int] = {}

    def remember(self, when: str = "") -> None:
        self.memory[when or f"{self.reloads.done} reloads"] = self.server.rss()

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
        self.remember(f"{self.reloads.done} reloads, at the end")
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
            before = self.reloads.done + self.reloads.refused
            if reloading:
                self.reloads.start(client, begin + seconds)
            client.run()
        self.requests += len(records)
        self.failed += figures.failures(records)
        for name, count in figures.ends(records).items():
            self.ends[name] = self.ends.get(name, 0) + count
        return {**figures.summarise(records, begin, begin + seconds), "reloads": self.reloads.done + self.reloads.refused - before}


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
    lines += [f"**Unexpected**: {surprise}" for surprise in report["surprises"]]
    return figures.table(head, rows) + "\n\n" + "\n\n".join(lines)


def _row(title: str, intervals: Sequence[dict[str, Any]]) -> list[str]:
    quiet, reloading = ([one for one in intervals if one["kind"] == title and one["reloading"] == state] for state in (False, True))
    ratios = [with_them["p99_ms"] / without["p99_ms"] for without, with_them in zip(quiet, reloading)]

    def both(name: str) -> str:
        return ", ".join(figures.figure(figures.median(one[name] for one in group)) for group in (quiet, reloading))

    rate = sum(one["reloads"] for one in reloading) / sum(one["seconds"] for one in reloading)
    return [title, both("goodput"), both("p50_ms"), both("p99_ms"), figures.figure(figures.median(ratios)), figures.figure(max(ratios)),
            figures.figure(rate)]  # fmt: skip

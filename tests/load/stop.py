"""SIGTERM under load.

Each round starts a daemon and four kinds of clients: users on kept connections, users who connect for each request, a
balancer that asks `/readyz`, and a probe that asks `/healthz`. At a random moment the daemon gets SIGTERM. From when the
balancer has seen that the daemon is not ready, no new connection is opened; users on kept connections go on until these are
closed. No request may fail, and the daemon has to end with 0."""

from __future__ import annotations

import argparse
import dataclasses
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import figures
from .arrivals import closed_loop
from .client import REFUSED, UNSENT, Client, Record
from .messages import build
from .mixes import MIXES, asker
from .server import STOP_SECONDS, Server, pin_client

LOOK_SECONDS = 0.01  # between looks whether the process is there
AFTER_SECONDS = STOP_SECONDS  # after the signal, before the driver gives up
SEED = 4


@dataclass(frozen=True)
class Settings:
    rounds: int = 50
    delays_ms: tuple[int, ...] = (0, 500)
    users: int = 8  # of each kind
    probe_seconds: float = 0.02  # between questions of the balancer
    earliest: float = 0.2  # the moment of the signal
    latest: float = 0.8


FULL = Settings()
QUICK = Settings(rounds=2)


@dataclass
class Round:
    delay_ms: int
    kept: dict[str, int]  # how the requests ended, by fault or status
    short: dict[str, int]
    after_signal: int  # requests that were sent after it
    failed: int
    refused: int  # connections, before the balancer could know
    refused_ms: float  # the longest wait for that
    noticed_ms: float  # until the balancer knew
    unhealthy: int  # answers of /healthz that were not 200
    exit_code: int | None
    stop_ms: float


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, metavar="N", help=f"for each delay ({FULL.rounds})")
    parser.add_argument("--delays", metavar="MS,...", help="--drain-delay-ms of the daemon (0,500)")
    parser.add_argument("--kernels", default="auto", help="of the daemon (%(default)s)")
    parser.add_argument("--mix", choices=MIXES, default="one", help="what is asked (%(default)s)")


def run(options: argparse.Namespace) -> int:
    settings = _settings(options)
    pin_client()
    chance, found = random.Random(SEED), []
    for _ in range(settings.rounds):
        for delay in settings.delays_ms:
            found.append(_round(delay, chance.uniform(settings.earliest, settings.latest), settings, options))
    report = {"settings": dataclasses.asdict(settings), "rounds": [dataclasses.asdict(one) for one in found]}
    figures.write(options.output, "stop", report, _render(found))
    return 1 if any(one.failed or one.exit_code != 0 for one in found) else 0


def _settings(options: argparse.Namespace) -> Settings:
    settings = QUICK if options.quick else FULL
    delays = tuple(int(delay) for delay in options.delays.split(",")) if options.delays else settings.delays_ms
    return dataclasses.replace(settings, rounds=options.rounds or settings.rounds, delays_ms=delays)


def _round(delay: int, moment: float, settings: Settings, options: argparse.Namespace) -> Round:
    flags = ["--kernels", options.kernels, "--drain-delay-ms", str(delay)]
    with Server(options.output / "logs" / "stop", flags) as server, Client(server.address) as client:
        return _Stop(server, client, settings, options.mix).run(delay, client.now() + moment)


class _Stop:
    def __init__(self, server: Server, client: Client, settings: Settings, mix: str) -> None:
        self.server, self.client, self.settings = server, client, settings
        self.asks = {True: asker(server, mix), False: asker(server, mix, keeps=False)}
        self.records: dict[bool, list[Record]] = {True: [], False: []}
        self.unhealthy = 0
        self.signalled = self.ended = 0.0
        self.noticed = figures.NOTHING

    def run(self, delay: int, moment: float) -> Round:
        client = self.client
        for keeps, ask in self.asks.items():
            closed_loop(client, self.settings.users, moment + AFTER_SECONDS, ask, self.records[keeps].append)
        self._probe("/readyz", self._hear_ready)
        self._probe("/healthz", self._hear_health)
        client.at(moment, self._signal)
        client.run()
        everything = [record for records in self.records.values() for record in records]
        refused = [record for record in everything if record.fault in (REFUSED, UNSENT)]
        return Round(
            delay, figures.ends(self.records[True]), figures.ends(self.records[False]),
            sum(record.sent > self.signalled for record in everything), figures.failures(everything),
            len(refused), max((record.latency * 1000 for record in refused), default=0.0),
            (self.noticed - self.signalled) * 1000, self.unhealthy, self.server.process.poll(), (self.ended - self.signalled) * 1000,
        )  # fmt: skip

    def _signal(self) -> None:
        self.server.may_end = True
        self.server.signal(signal.SIGTERM)
        self.signalled = self.client.now()
        self._look()

    def _look(self) -> None:
        """Whether the process has ended; asking on a new connection tells nobody any more."""
        now = self.client.now()
        if self.server.process.poll() is not None or now > self.signalled + AFTER_SECONDS:
            self.ended = now
            self.client.may_connect = False
        else:
            self.client.at(now + LOOK_SECONDS, self._look)

    # ---- the balancer, and the probe of the process's health ----

    def _probe(self, path: str, hear: Callable[[Record], None]) -> None:
        """Each question on a new connection, as probes do; the probe ends when there is nobody to ask."""
        request = build("GET", path, keeps=False)

        def ask() -> None:
            may, self.client.may_connect = self.client.may_connect, True
            self.client.send(request, self.client.now(), answered)
            self.client.may_connect &= may  # it may have been answered already, by a refusal

        def answered(record: Record) -> None:
            hear(record)
            if record.status:
                self.client.at(record.answered + self.settings.probe_seconds, ask)

        ask()

    def _hear_ready(self, record: Record) -> None:
        if record.status != 200 and self.client.may_connect:
            self.client.may_connect = False
            self.noticed = record.answered

    def _hear_health(self, record: Record) -> None:
        self.unhealthy += record.status not in (0, 200)


# ---- the table ----


def _render(found: list[Round]) -> str:
    head = ["`--drain-delay-ms`", "stops", "requests", "sent after SIGTERM", "failed", "refused connections", "after, ms",
            "not ready noticed, ms", "`/healthz` not 200", "exit codes", "time to stop, ms"]  # fmt: skip
    delays = sorted({one.delay_ms for one in found})
    rows = [_row(delay, [one for one in found if one.delay_ms == delay]) for delay in delays]
    kinds = [f"{delay} ms, {kind}: {figures.counts(_sum(getattr(one, kind) for one in found if one.delay_ms == delay))}"
             for delay in delays for kind in ("kept", "short")]  # fmt: skip
    return figures.table(head, rows) + "\n\nHow requests ended: " + "; ".join(kinds) + "."


def _row(delay: int, rounds: list[Round]) -> list[str]:
    stops = [one.stop_ms for one in rounds]
    return [
        str(delay), str(len(rounds)), str(sum(sum(one.kept.values()) + sum(one.short.values()) for one in rounds)),
        str(sum(one.after_signal for one in rounds)), str(sum(one.failed for one in rounds)),
        str(sum(one.refused for one in rounds)), f"at most {max(one.refused_ms for one in rounds):.0f}",
        figures.figure(figures.median(one.noticed_ms for one in rounds)), str(sum(one.unhealthy for one in rounds)),
        figures.counts(_sum({str(one.exit_code): 1} for one in rounds)),
        f"{figures.median(stops):.0f}, at most {max(stops):.0f}",
    ]  # fmt: skip


def _sum(found: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in found:
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))

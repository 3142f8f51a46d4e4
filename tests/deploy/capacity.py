"""Measures what the capacity plan of deploy/README.md stands on, and prints its tables:

    /usr/bin/python3 tests/deploy/capacity.py [--seconds 3] [--rounds 3]

- One instance on one CPU, asked by users on another, with pictures of the network's own size and with photos of 640 x 480 pixels,
  which the plan is made for: whole networks, one category, and that category of a replica that holds only its group. In turns;
  medians of the rounds.
- HAProxy's share of a CPU for each request.
- Two replicas behind HAProxy, asked for whole networks and for one category at the same time: both with the whole network, and
  as two pools."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from balancers import HAProxy  # noqa: E402
from load import mixes  # noqa: E402
from load.arrivals import closed_loop  # noqa: E402
from load.client import Client, Record  # noqa: E402
from load.figures import quantile  # noqa: E402
from load.server import BINARY, Server, pin_client  # noqa: E402
from places import free_ports, wait_until  # noqa: E402
from replicas import Process  # noqa: E402
from traffic import Front  # noqa: E402

GROUP = "cat"  # of mixes.ONE, and of the small pool in deploy/haproxy/haproxy.cfg
USERS = 8
AT_MOST = 0.7  # of what a core can do is planned with
CORES_OF_A_REPLICA = 8
GOALS = (10_000, 1_000_000)
PHOTO = Path(__file__).resolve().parents[2] / "deploy" / "samples" / "orange.jpg"


@dataclass
class Row:
    name: str
    model: Path | None
    mix: str
    small: list[float] = field(default_factory=list)  # requests/s with pictures of the network's own size
    photos: list[float] = field(default_factory=list)
    memory: float = 0.0  # MB


def ask_for(address: tuple[str, int], seconds: float, body: bytes | None = None, **users: int) -> dict[str, list[Record]]:
    """Users of each mix, on one client; what fails ends the run."""
    records: dict[str, list[Record]] = {mix: [] for mix in users}
    with Client(address) as client:
        for mix, count in users.items():
            closed_loop(client, count, client.now() + seconds, mixes.asker(Front(address[1]), mix, body=body), records[mix].append)
        client.run()
    assert all(record.good for found in records.values() for record in found)
    return records


def one_instance(rows: Sequence[Row], work: Path, seconds: float) -> None:
    for row in rows:
        flags = ["--instances", "1", "--log-level", "warn", *(["--model", str(row.model)] if row.model else [])]
        with Server(work / "one", flags) as server:
            for body, rates in ((None, row.small), (PHOTO.read_bytes(), row.photos)):
                rates.append(len(ask_for(server.address, seconds, body, **{row.mix: USERS})[row.mix]) / seconds)
            row.memory = server.rss()


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def behind_haproxy(work: Path, small: Path, pools: bool, seconds: float) -> tuple[dict[str, list[Record]], float]:
    """What becomes of both kinds of requests, and HAProxy's microseconds of CPU for each."""
    work.mkdir()
    first, second, *gone = free_ports(4)
    replicas = [Process(first, work / "first.log"), Process(second, work / "second.log", **({"MODEL": str(small)} if pools else {}))]
    for replica in replicas:
        replica.start()
    ports = {8081: first, 8082: gone[0], 8083: gone[1], 8091: second} if pools else {8081: first, 8082: second, 8083: gone[0], 8091: gone[1]}
    with HAProxy(work, ports) as balancer:
        wait_until(lambda: sum(row["status"] == "UP" for name in ("espalier", "cats") for row in balancer.figures(name)
                               if not (name == "cats" and row["svname"] != "cats1")) == 2, "two replicas")  # fmt: skip
        before = ticks(balancer.worker())
        records = ask_for(("127.0.0.1", balancer.port), seconds, whole=USERS // 2, one=USERS // 2)
        used = (ticks(balancer.worker()) - before) / os.sysconf("SC_CLK_TCK")
    for replica in replicas:
        replica.drain()
    return records, used * 1e6 / sum(map(len, records.values()))


def plan(rows: Sequence[Row]) -> None:
    print("\n| | requests/s of a core, 64 × 64 pixels | photos of 640 × 480 | memory, one instance |" + "".join(f" cores for {goal:,}/s | replicas of {CORES_OF_A_REPLICA} |" for goal in GOALS))
    print("| --- | ---: | ---: | ---: |" + " ---: | ---: |" * len(GOALS))
    for row in rows:
        rate = statistics.median(row.photos)
        cores = [goal / (AT_MOST * rate) for goal in GOALS]
        print(f"| {row.name} | {statistics.median(row.small):.0f} | {rate:.0f} | {row.memory:.0f} MB |" + "".join(f" {n:,.0f} | {-(-n // CORES_OF_A_REPLICA):,.0f} |" for n in cores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        small = work / "cats"
        subprocess.run([BINARY, "cutout", "--categories", GROUP, "-o", small], check=True, stdout=subprocess.DEVNULL)
        rows = [Row("whole network", None, "whole"), Row(f"one category (`{mixes.ONE}`)", None, "one"),
                Row(f"... of a replica that holds only `{GROUP}`", small, "one")]  # fmt: skip
        usable = os.sched_getaffinity(0)
        pin_client()
        for _ in range(options.rounds):
            one_instance(rows, work, options.seconds)
        os.sched_setaffinity(0, usable)
        plan(rows)

        print("\n| two replicas, half of the users each | whole: requests/s | p50, p99 | one category: requests/s | p50, p99 | HAProxy, µs of CPU for each |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for name, pools in (("both hold everything", False), ("one holds only `cat`", True)):
            records, used = behind_haproxy(work / f"pools-{pools}", small, pools, options.seconds * options.rounds)
            cells = []
            for found in records.values():
                times = [record.latency * 1000 for record in found]
                cells += [f"{len(found) / options.seconds / options.rounds:.0f}", f"{quantile(times, 0.5):.1f}, {quantile(times, 0.99):.1f} ms"]
            print(f"| {name} | {' | '.join(cells)} | {used:.0f} |")


if __name__ == "__main__":
    main()

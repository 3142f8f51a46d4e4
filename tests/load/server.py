"""The daemon: starting it on a CPU of its own, its memory, stopping it.

    with Server(work, ["--instances", "1"]) as server:
        server.address, server.rss(), server.json("/categories")

The program is $ESPALIER_BINARY, or build/server/espalier. The client gets the last of the usable CPUs, the daemon the
others; where there is only one they share it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("ESPALIER_BINARY", str(ROOT / "build" / "server" / "espalier"))
MODEL = ROOT / "deploy" / "models" / "tiny-imagenet-200"
START_SECONDS = 60
STOP_SECONDS = 60
ANSWER_SECONDS = 120
LOG_TAIL = 2000
CORES = sorted(os.sched_getaffinity(0))


class Failure(Exception):
    """Something that the person who started the driver should read."""


def pin_client() -> None:
    os.sched_setaffinity(0, CORES[-1:])


def others_share(before: tuple[int, int, int], after: tuple[int, int, int]) -> float:
    """How much of the daemon's CPUs went to others between two looks at its ticks: whether a figure is to be trusted."""
    everything, busy, own = (late - early for early, late in zip(before, after))
    return max(0.0, (busy - own) / max(1, everything))


class Server:
    def __init__(self, work: Path, flags: Sequence[str], cores: Sequence[int] = (), **environment: str) -> None:
        self.may_end = False  # with whatever code: whoever sets it looks at the code
        self.cores = cores or CORES[:-1] or CORES
        self.log = work / "daemon.log"
        work.mkdir(parents=True, exist_ok=True)
        # Killed by the kernel where this process ends without having stopped it.
        command = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", ",".join(map(str, self.cores)), BINARY, "serve",
                   "--listen", "127.0.0.1:0", *flags]  # fmt: skip
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment}
            )
        self.pid = self.process.pid

    def __enter__(self) -> Server:
        end = time.monotonic() + START_SECONDS
        while not (match := re.search(r"http://([\d.]+):(\d+)", self.log.read_text(errors="replace"))):
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise Failure(f"the daemon did not start: {self.tail()}")
            time.sleep(0.005)
        self.address = (match[1], int(match[2]))
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        if kind is None and code != 0 and not self.may_end:
            raise Failure(f"the daemon ended with {code}: {self.tail()}")

    def check(self) -> None:
        """That it has not ended on its own."""
        if self.process.poll() is not None:
            raise Failure(f"the daemon ended with {self.process.returncode}: {self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_TAIL:].strip() or "it said nothing"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def rss(self) -> float:
        """Memory in MB; 0 once it is gone."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        except OSError:
            return 0.0
        match = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(match[1]) / 1024 if match else 0.0

    def ticks(self) -> tuple[int, int, int]:
        """Of its CPUs since the start: all, those that somebody had (another machine on the same hardware, too), and its own."""
        lines = [line.split() for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()]
        times = [[int(ticks) for ticks in line[1:9]] for line in lines if line[0] in {f"cpu{core}" for core in self.cores}]
        idle = sum(ticks[3] + ticks[4] for ticks in times)
        own = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return sum(map(sum, times)), sum(map(sum, times)) - idle, int(own[11]) + int(own[12])

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        status, said = self.ask("GET", path)
        if status != 200:
            raise Failure(f"GET {path} answers {status}: {said.decode(errors='replace')}")
        return json.loads(said)

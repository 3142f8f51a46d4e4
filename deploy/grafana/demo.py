"""A daemon with some minutes of varied load, for the dashboard's picture: cutouts, whole networks, mistakes, more than the
daemon can do, networks loaded anew, a restart, and calm. Everything is on loopback and ends with the `with` block."""

from __future__ import annotations

import http.client
import random
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from prometheus import free_port

ROOT = Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "server" / "espalier"
PICTURES = sorted((ROOT / "deploy" / "samples").glob("*.jpg"))
FLAGS = ["--queue-depth", "24", "--batch", "4", "--timeout-ms", "2000"]

CUTOUTS = ["tabby", "cat", "fruit_or_vegetable", "orange,lemon", "school_bus", "animal", "teapot,candle", "ladybug"]
MISTAKES = ["/classify?categories=tabbi", "/classify?top=0", "/nothing"]


@dataclass
class Phase:
    share: float      # of the whole time
    clients: int
    whole: float      # the share of requests for the whole network
    pause: float      # seconds between two requests of a client, on average
    mistakes: float = 0.0
    impatient: float = 0.0  # the share of requests that have very little time
    leaving: float = 0.0    # the share of requests whose client does not wait for the answer
    reload: bool = False    # the network is loaded anew, in the middle of the phase
    restart: bool = False   # the daemon, likewise


PHASES = [Phase(0.15, 3, 0.0, 0.02), Phase(0.2, 6, 0.3, 0.01, mistakes=0.05, reload=True),
          Phase(0.2, 48, 0.6, 0.0, impatient=0.05, leaving=0.03), Phase(0.15, 3, 1.0, 0.01, reload=True), Phase(0.2, 6, 0.2, 0.01, mistakes=0.02, restart=True), Phase(0.1, 1, 0.1, 0.1)]


@dataclass
class Demo:
    """The daemon, and clients that do what the phase wants."""
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        self.process = subprocess.Popen([BINARY, "serve", "--listen", f"127.0.0.1:{self.port}", *FLAGS],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if "serving" not in self.process.stdout.readline():
            raise RuntimeError("the daemon did not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self) -> Demo:
        self.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.stop()

    def request(self, connection: http.client.HTTPConnection, phase: Phase) -> None:
        path = "/classify"
        if random.random() < phase.mistakes:
            path = random.choice(MISTAKES)
        elif random.random() >= phase.whole:
            path += f"?categories={random.choices(CUTOUTS, range(len(CUTOUTS), 0, -1))[0]}"
        if random.random() < phase.impatient and path == "/classify":
            path += "?timeout_ms=20"
        connection.request("POST", path, random.choice(PICTURES).read_bytes(), {"Content-Type": "image/jpeg"})
        if random.random() < phase.leaving:
            connection.close()
            return
        answer = connection.getresponse()
        answer.read()
        if answer.status == 429:
            time.sleep(random.uniform(0.05, 0.2))

    def client(self, phase: Phase, end: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while time.monotonic() < end:
            try:
                self.request(connection, phase)
            except (OSError, http.client.HTTPException):  # the restart
                connection.close()
                time.sleep(0.2)
            time.sleep(random.expovariate(1 / phase.pause) if phase.pause else 0)
        connection.close()

    def run(self, phase: Phase, seconds: float) -> None:
        end = time.monotonic() + seconds
        clients = [threading.Thread(target=self.client, args=(phase, end)) for _ in range(phase.clients)]
        for client in clients:
            client.start()
        time.sleep(seconds / 2)
        if phase.reload:
            self.process.send_signal(signal.SIGHUP)
        if phase.restart:
            self.stop()
            self.start()
        for client in clients:
            client.join()

    def run_all(self, seconds: float) -> None:
        for phase in PHASES:
            self.run(phase, phase.share * seconds)

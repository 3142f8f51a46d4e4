"""Replicas of espalier, each on a port that it keeps over its lives: started, drained, killed, replaced.

    replica = Process(port, log)                   the program of the build, run bare
    replica = Container(port, log, containers)     the image, by podman; see containers.py
    replica.start(), replica.drain(), replica.kill()

`drain` is SIGTERM, and fails where the daemon does not end with 0. Both kinds take the same settings, by the environment."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from containers import Containers
from places import ROOT, WAIT_SECONDS, ask, wait_until

BINARY = os.environ.get("ESPALIER_BINARY", str(ROOT / "build" / "server" / "espalier"))
SETTINGS = {"INSTANCES": "1", "DRAIN_DELAY_MS": "1000", "CONNECTIONS": "256", "LOG_LEVEL": "warn"}


class Replica:
    def __init__(self, port: int, log: Path, **settings: str) -> None:
        self.port, self.log = port, log
        named = {"LISTEN": f"127.0.0.1:{port}", **SETTINGS, **settings}
        self.environment = {f"ESPALIER_{name}": value for name, value in named.items()}
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def signal(self, number: signal.Signals) -> None:
        raise NotImplementedError

    def start(self) -> None:
        with self.log.open("a") as out:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **self._variables()}
            )
        wait_until(self._is_up, f"port {self.port}: {self.log.read_text()[-2000:]}")

    def drain(self) -> None:
        assert self.process
        self.signal(signal.SIGTERM)
        code = self.process.wait(WAIT_SECONDS)
        assert code == 0, f"ended with {code}: {self.log.read_text()[-2000:]}"

    def kill(self) -> None:
        assert self.process
        self.signal(signal.SIGKILL)
        assert self.process.wait(WAIT_SECONDS) != 0

    def end(self) -> None:
        """Whatever state it is in."""
        if self.process and self.process.poll() is None:
            self.kill()

    def answered(self) -> int:
        """Pictures classified in this life."""
        return sum(map(int, re.findall(rb'^espalier_requests_total{route="/classify",code="200"} (\d+)', ask(self.port, "/metrics")[1], re.M)))

    def _variables(self) -> Mapping[str, str]:
        return {}

    def _is_up(self) -> bool:
        assert self.process and self.process.poll() is None, f"it ended: {self.log.read_text()[-2000:]}"
        return ask(self.port, "/readyz")[0] == 200


class Process(Replica):
    def command(self) -> Sequence[str]:
        return ["setpriv", "--pdeathsig", "KILL", BINARY, "serve"]

    def peak_bytes(self) -> int:
        """The most memory that it had so far."""
        assert self.process
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def _variables(self) -> Mapping[str, str]:
        return self.environment


class Container(Replica):
    """As it would run anywhere: some uid, a root that cannot be written, no capability."""

    def __init__(self, port: int, log: Path, containers: Containers, image: str, *options: str, **settings: str) -> None:
        super().__init__(port, log, **settings)
        self.containers, self.image, self.options = containers, image, options
        self.name = f"espalier-test-{port}"

    def command(self) -> Sequence[str]:
        variables = [text for name, value in self.environment.items() for text in ("--env", f"{name}={value}")]
        return self.containers.run_command(self.image, "--rm", "--name", self.name, *variables, *self.options)

    def signal(self, number: signal.Signals) -> None:
        self.containers.podman("kill", "--signal", number.name, self.name)

    def probe(self) -> str:
        return self.containers.podman("exec", self.name, "espalier", "probe")

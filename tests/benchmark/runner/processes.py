"""Starting, pinning and stopping. Whatever is started here ends with its `with` block, or with this process.

    cores()                                     the CPUs that may be used
    run(command, cores)                         a command's output; Failure where it fails
    with LinePeer(command, cores, log) as peer:     a process that answers lines of JSON
        peer.ask(command="time", runs=20)
    with Service(command, cores, log) as service:   a process that says where it serves
        service.url
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

STOP_SECONDS = 10
LOG_TAIL = 2000

# What would change how many threads a contender starts, or how it computes, without the table saying so.
UNWANTED = ("OMP_", "KMP_", "GOMP_", "MKL_", "ONEDNN_", "DNNL_", "OPENBLAS_", "ESPALIER_", "UV_", "NODE_", "VIPS_", "LD_PRELOAD")


class Failure(Exception):
    """Something that the person who started the benchmark should read."""


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)} | more


def pinned(command: Sequence[str | Path], on: Sequence[int]) -> list[str]:
    """The command on these CPUs only, ended by the kernel where this process ends without having stopped it."""
    places = ",".join(map(str, on))
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", places, *map(str, command)]


def run(command: Sequence[str | Path], on: Sequence[int]) -> str:
    result = subprocess.run(pinned(command, on), env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip()[-LOG_TAIL:]
        raise Failure(f"{said or 'it said nothing'} (exit {result.returncode} of: {' '.join(map(str, command))})")
    return result.stdout


class Process:
    """Its standard input stays open as long as it is wanted; what it says besides goes to the log."""

    def __init__(self, command: Sequence[str | Path], on: Sequence[int], log: Path, **more: str) -> None:
        self.name = Path(command[0]).name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                pinned(command, on), env=environment(**more), text=True, bufsize=1,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Peers end at the end of their input, services at SIGTERM."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                pass  # it ended without reading all that was written

    def read_line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(STOP_SECONDS)
            said = self.log.read_text(errors="replace")[-LOG_TAIL:].strip()
            raise Failure(f"{self.name} ended ({self.process.returncode}): {said or 'it said nothing'} ({self.log})")
        return line


class LinePeer(Process):
    def ask(self, **question: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
        except BrokenPipeError:
            pass  # reading says why
        answer = json.loads(self.read_line())
        if "error" in answer:
            raise Failure(f"{self.name}, asked for {question}: {answer['error']}")
        return answer


class Service(Process):
    """`url` is what stands in the first line that has one."""

    def __init__(self, command: Sequence[str | Path], on: Sequence[int], log: Path, **more: str) -> None:
        super().__init__(command, on, log, **more)
        try:
            self.url = self._find_url()
        except BaseException:
            self.close()
            raise

    def _find_url(self) -> str:
        while True:
            match = re.search(r"http://[^\s/]+:\d+", self.read_line())
            if match:
                return match[0]


def pause() -> None:
    """Lets the threads of whoever was just measured fall asleep: some spin for a while."""
    time.sleep(0.05)

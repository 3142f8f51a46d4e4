"""Users who ask one port all the time, each waiting for the answer, while something happens to what is behind it.

    with Traffic(port, "one") as traffic:
        ...                       replicas come and go
        traffic.reach(20000)      requests that are over
    traffic.failed                all that went wrong

A request fails if there is no complete answer, one that is not 200 (429, too), or one whose predictions differ in a digit from
those of a request that was asked alone. Nothing is sent twice by the client."""

from __future__ import annotations

import json
import threading
import time

from load import mixes
from load.client import Client, Record
from places import ask, wait_until

USERS = 12
REACH_SECONDS = 1200  # on the busiest of machines; a quiet one takes one for each thousand requests


class Front:
    """What load.mixes asks to know the right answers."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] = {}) -> tuple[int, bytes]:
        return ask(self.port, path, method, body, **headers)

    def json(self, path: str) -> object:
        return json.loads(self.ask("GET", path)[1])


class Traffic:
    def __init__(self, port: int, mix: str, users: int = USERS) -> None:
        self._ask = mixes.asker(Front(port), mix)
        self._client = Client(("127.0.0.1", port))
        self._users, self._ends = users, False
        self._thread = threading.Thread(target=self._run)
        self.over = 0
        self.failed: list[str] = []
        self.slowest = 0.0

    def __enter__(self) -> Traffic:
        self.began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._ends = True
        self._thread.join()
        self.seconds = time.monotonic() - self.began
        self._client.__exit__()

    def reach(self, count: int) -> None:
        wait_until(lambda: self.over >= count or not self._thread.is_alive(), f"{count} requests", REACH_SECONDS)

    def __str__(self) -> str:
        return (f"{self.over} requests in {self.seconds:.0f} s, {self.over / self.seconds:.0f} per second, {len(self.failed)} failed, "
                f"the slowest took {self.slowest * 1000:.0f} ms")  # fmt: skip

    def _run(self) -> None:
        for _ in range(self._users):
            self._send()
        self._client.run()

    def _send(self) -> None:
        self._client.send(self._ask(), self._client.now(), self._hear)

    def _hear(self, record: Record) -> None:
        self.over += 1
        self.slowest = max(self.slowest, record.latency)
        if not record.good:
            self.failed.append(f"{record.fault or record.status} {record.body[:200]!r}")
        if not self._ends:
            self._client.at(self._client.now(), self._send)

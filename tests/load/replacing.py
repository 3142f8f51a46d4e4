"""Replacing the daemon's network, again and again, on the event loop of whoever makes the load.

Every network that is offered has a version of its own, which its answers name: so it is seen, however the daemon was told,
that the new one serves after a reload, and the old one after an attempt with a broken one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .client import Client, Record
from .messages import build
from .mixes import ONE, picture
from .server import MODEL, Failure, Server

DESCRIPTION, WEIGHTS = "model.json", "model.safetensors"
TOKEN = "only-for-this-load-driver"
VERSION = re.compile(rb'"version": *"([^"]*)"')
LOOK_SECONDS = 0.02  # between looks whether a signal has worked
PATIENCE_SECONDS = 60  # for a signal to work
BROKEN_SECONDS = 1.0  # before a look whether a signal has worked that must not
SAID_MOST = 300  # letters of an answer that are repeated


class Network:
    """A copy of the bundled network. Its files change at a stroke: nobody sees half of one."""

    def __init__(self, folder: Path) -> None:
        self.directory = folder / MODEL.name
        self._good, self._broken, self._next = folder / "good", folder / "broken", folder / "next"
        shutil.copytree(MODEL, self.directory)
        whole = (MODEL / WEIGHTS).read_bytes()
        self._good.write_bytes(whole)
        self._broken.write_bytes(whole[: len(whole) // 2])
        self._description = json.loads((MODEL / DESCRIPTION).read_text(encoding="utf-8"))
        self.name = str(self._description["name"])
        self._weights = Path()

    def offer(self, version: str, broken: bool) -> None:
        self._next.write_text(json.dumps({**self._description, "version": version}), encoding="utf-8")
        os.replace(self._next, self.directory / DESCRIPTION)
        self._take(self._broken if broken else self._good)

    def _take(self, weights: Path) -> None:
        """By another name for the same file. Where it is that file already, a rename would leave both names."""
        if weights != self._weights:
            os.link(weights, self._next)
            os.replace(self._next, self.directory / WEIGHTS)
            self._weights = weights


@dataclass
class Reloads:
    """What came of them, over all intervals of load."""

    every: float  # seconds from one's begin to the next
    broken_every: int
    by_signal: bool
    done: int = 0
    refused: int = 0  # broken ones
    milliseconds: list[float] = field(default_factory=list)
    refusal: str = ""  # what the daemon said to the last broken one
    surprises: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return self.done + self.refused


class Reloader:
    def __init__(self, server: Server, network: Network, reloads: Reloads, after_each: Callable[[], None]) -> None:
        self.server, self.network, self.reloads, self.after_each = server, network, reloads, after_each
        self.load = build("POST", f"/v2/repository/models/{network.name}/load", wants_body=True, Authorization=f"Bearer {TOKEN}")
        self.look = build("POST", f"/classify?categories={ONE}", picture(), wants_body=True, Content_Type="image/jpeg")
        self.serving = str(server.json("/categories")["model"]["version"])

    def start(self, client: Client, until: float) -> None:
        """Goes on until that moment."""
        if client.now() < until:
            _Attempt(self, client, until).begin()


class _Attempt:
    """One reload, from the files to the look at what serves afterwards."""

    def __init__(self, reloader: Reloader, client: Client, until: float) -> None:
        self.reloader, self.client, self.until = reloader, client, until
        self.reloads = reloader.reloads
        self.begun = 0.0
        self.broken = (self.reloads.tried + 1) % self.reloads.broken_every == 0
        self.version = f"reload-{self.reloads.tried + 1}"

    def begin(self) -> None:
        self.reloader.network.offer(self.version, self.broken)
        self.begun = self.client.now()
        if not self.reloads.by_signal:
            self.client.send(self.reloader.load, self.begun, self._answered)
            return
        self.reloader.server.signal(signal.SIGHUP)
        self.client.at(self.begun + (BROKEN_SECONDS if self.broken else LOOK_SECONDS), self._look)

    def _answered(self, record: Record) -> None:
        said = record.body.decode(errors="replace").strip()[:SAID_MOST]
        if record.status in (401, 403, 404, 405):
            raise Failure(f"the daemon has no way to load a network: {record.status} {said}")
        if self.broken == record.good or not record.status:
            self._surprise(f"was answered {record.fault or record.status} {said}")
        elif self.broken:
            self.reloads.refusal = f"{record.status} {said}"
        self._took(record.answered)
        self._look()

    def _took(self, moment: float) -> None:
        if not self.broken:
            self.reloads.milliseconds.append((moment - self.begun) * 1000)

    def _look(self) -> None:
        self.client.send(self.reloader.look, self.client.now(), self._seen)

    def _seen(self, record: Record) -> None:
        match = VERSION.search(record.body)
        if not record.good or not match:
            self.reloader.server.check()
            self._surprise(f"left nothing serving: {record.fault or record.status}")
            self._end()
        else:
            self._compare(match[1].decode())

    def _compare(self, serving: str) -> None:
        before, now = self.reloader.serving, self.client.now()
        expected = before if self.broken else self.version
        if self.reloads.by_signal and serving == before != expected and now < self.begun + PATIENCE_SECONDS:
            self.client.at(now + LOOK_SECONDS, self._look)
            return
        if serving != expected:
            self._surprise(f"left {serving} serving, not {expected}")
        elif self.reloads.by_signal:
            self._took(now)
        self.reloader.serving = serving
        self._end()

    def _surprise(self, text: str) -> None:
        self.reloads.surprises.append(f"{'a broken' if self.broken else 'a good'} network, {self.version}, {text}")

    def _end(self) -> None:
        if self.broken:
            self.reloads.refused += 1
        else:
            self.reloads.done += 1
            self.reloader.after_each()
        next_one = max(self.client.now(), self.begun + self.reloads.every)
        self.client.at(next_one, lambda: self.reloader.start(self.client, self.until))

"""A real espalier daemon on a free port, and a small client for it.

The program is $ESPALIER_BINARY, or build/server/espalier. A daemon ends with its `with` block, and the block fails where
the daemon did not stop cleanly: a sanitizer's report, a crash or a hang is a failed test. What it wrote to its standard
error is then in `log`."""

from __future__ import annotations

import copy
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unrest import Unrest

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("ESPALIER_BINARY", str(ROOT / "build" / "server" / "espalier"))
SHARED = Path(os.environ.get("ESPALIER_SHARED", ROOT.parent / "shared"))
START_SECONDS = 60
STOP_SECONDS = 60


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Daemon:
    """Starts `espalier serve` with the given flags (queue_depth=1 is --queue-depth 1)."""

    def __init__(self, **flags: Any) -> None:
        flags.setdefault("listen", "127.0.0.1:0")
        self.expected_exit = 0
        self.flags = [text for name, value in flags.items() for text in (f"--{name.replace('_', '-')}", str(value))]

    def __enter__(self) -> Daemon:
        self.errors = tempfile.TemporaryFile("w+")  # not a pipe, which would be full some time
        self.process = subprocess.Popen([BINARY, "serve", *self.flags], stdout=subprocess.PIPE, stderr=self.errors, text=True)
        line = self.process.stdout.readline()
        places = re.findall(r"https?://(\[?[^\]/]+\]?):(\d+)", line)
        if not places:
            self.process.kill()
            raise RuntimeError(f"no address in {line!r}; {self.read_log()}")
        self.first_line = line
        self.host, self.port = places[0][0].strip("[]"), int(places[0][1])
        self.admin_port = int(places[1][1]) if len(places) > 1 else None
        self.unrest = Unrest(self)
        self.unrest.begin()
        return self

    def read_log(self) -> str:
        """Waits for the end, and gives all that was written to the standard error."""
        self.process.communicate(timeout=STOP_SECONDS)
        self.errors.seek(0)
        return self.errors.read()

    def __exit__(self, kind: object, *rest: object) -> None:
        self.unrest.end()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.log = err = self.read_log()
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        if kind is None:
            assert self.process.returncode == self.expected_exit, f"exit {self.process.returncode}: {err[-4000:]}"
            assert "Sanitizer" not in err and "runtime error" not in err, err[-4000:]

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def request(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Answer:
        connection = self.connect()
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            return read_answer(connection)
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    @property
    def administration(self) -> Daemon:
        """The same daemon, to be asked through its other listener."""
        other = copy.copy(self)
        other.port = self.admin_port
        return other

    def reload(self, message: str) -> None:
        """Has files read again, and waits for as many lines in the log as there were before, and one more."""
        before = self.log_so_far().count(message)
        self.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 30
        while self.log_so_far().count(message) == before:
            assert time.monotonic() < end, f"no '{message}' in {self.log_so_far()[-2000:]}"
            time.sleep(0.01)

    def log_so_far(self) -> str:
        return os.pread(self.errors.fileno(), 1 << 24, 0).decode()

    def classify(self, image: bytes, query: str = "", content_type: str = "image/jpeg") -> Answer:
        return self.request("POST", "/classify" + query, image, Content_Type=content_type)

    def classify_json(self, document: Any, query: str = "") -> Answer:
        return self.request("POST", "/classify" + query, json.dumps(document), Content_Type="application/json")

    def raw(self, text: bytes, timeout: float = 20) -> bytes:
        """Sends bytes as they are and reads until the daemon closes or falls silent."""
        with socket.create_connection((self.host, self.port), timeout=timeout) as connection:
            connection.sendall(text)
            return drain(connection)

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        text = self.get("/metrics").body.decode()
        values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
        assert values, f"no metric {name}"
        return sum(map(float, values))

    def wait_for_metric(self, name: str, value: float, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while self.metric(name) != value:
            assert time.monotonic() < end, f"{name} stays at {self.metric(name)}, not {value}"
            time.sleep(0.01)


def sanitized() -> bool:
    """Whether the program was built with a sanitizer, whose malloc and memory are not the program's own."""
    program = Path(BINARY).read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


def read_answer(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def drain(connection: socket.socket) -> bytes:
    """Reads until the peer closes; a reset counts as closed."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except (ConnectionResetError, TimeoutError, socket.timeout):
        pass
    return received


def status_of(raw: bytes) -> int:
    """The status of a raw answer, 0 where there is none."""
    match = re.match(rb"HTTP/1\.1 (\d+)", raw)
    return int(match[1]) if match else 0


def multipart(*parts: tuple[str, bytes, dict[str, str]], boundary: str = "espalierboundary") -> tuple[bytes, str]:
    """A multipart/form-data body of (name, content, {"filename": ..., "type": ...}) and its content type."""
    body = b""
    for name, content, extra in parts:
        filename = f'; filename="{extra["filename"]}"' if "filename" in extra else ""
        kind = f'Content-Type: {extra["type"]}\r\n' if "type" in extra else ""
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n{kind}\r\n'.encode()
        body += content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"

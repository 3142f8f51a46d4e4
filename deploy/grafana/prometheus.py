"""A client for Prometheus' HTTP API, and a Prometheus of one's own that scrapes one daemon."""

from __future__ import annotations

import json
import math
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

CONFIGURATION = Path(__file__).resolve().parents[1] / "prometheus"
START_SECONDS = 60

Series = tuple[dict[str, str], list[tuple[float, float]]]  # labels; time and value, without those that are no number


class QueryError(Exception):
    """Prometheus refused the query."""


def numbers(pairs: list) -> list[tuple[float, float]]:
    return [(float(at), float(value)) for at, value in pairs if not math.isnan(float(value))]


class Client:
    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def get(self, path: str, **parameters: Any) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as problem:
            raise QueryError(json.load(problem).get("error", str(problem))) from None

    def query(self, expression: str, at: float) -> list[Series]:
        return [(row["metric"], numbers([row["value"]])) for row in self.get("query", query=expression, time=at)["result"]]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        rows = self.get("query_range", query=expression, start=start, end=end, step=step)["result"]
        return [(row["metric"], numbers(row["values"])) for row in rows]

    def label_values(self, selector: str, label: str) -> list[str]:
        return self.get(f"label/{label}/values", **{"match[]": selector})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus(Client):
    """Starts Debian's Prometheus on a free port of loopback, with the configuration beside this folder; its data are gone
    when the `with` block ends."""

    def __init__(self, target: str, interval: str = "1s") -> None:
        self.target, self.interval = target, interval
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")

    @staticmethod
    def is_installed() -> bool:
        return shutil.which("prometheus") is not None

    def configure(self, folder: Path) -> Path:
        text = (CONFIGURATION / "prometheus.yml").read_text()
        text = re.sub(r"(_interval:) \w+", rf"\1 {self.interval}", text).replace("127.0.0.1:8080", self.target)
        (folder / "prometheus.yml").write_text(text)
        shutil.copy(CONFIGURATION / "alerts.yml", folder)
        return folder / "prometheus.yml"

    def __enter__(self) -> Prometheus:
        self.folder = tempfile.TemporaryDirectory()
        folder = Path(self.folder.name)
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.configure(folder)}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                    return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.log.seek(0)
                    text = self.log.read()
                    self.__exit__()
                    raise RuntimeError(f"Prometheus did not start: {text[-2000:]}") from None
                time.sleep(0.1)

    def __exit__(self, *problem: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()

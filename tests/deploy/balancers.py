"""The configurations of deploy/haproxy and deploy/nginx as they are, but for ports and for where they keep their files; all of
their timeouts may be a fifth, for a test that waits for them.

    with HAProxy(folder, {8081: port, ...}) as balancer:
        balancer.wait_for_all()       until it sends requests to all replicas
        balancer.drain(1)             replica 1 gets no more requests, and has none when this returns; as an operator would
        balancer.admit(1)             it gets some again
        balancer.reload()             its configuration, which may have changed
        balancer.repeated()           how often it sent a request once more, to another replica or the same"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from places import DEPLOY, WAIT_SECONDS, ask, free_ports, wait_until


FIFTH_MS = 200  # of a second
HEARD_SECONDS = 5  # after which a signal was lost


class Balancer:
    """`ports` says which port takes the place of which; 8000, where it listens, gets one of its own."""

    source: Path

    def __init__(self, work: Path, ports: Mapping[int, int], hurried: bool = False) -> None:
        self.port = free_ports(1)[0]
        self.work, self.log = work, work / "balancer.log"
        self.config = work / self.source.name
        changed = {8000: self.port, **ports}
        text = re.sub(r"127\.0\.0\.1:(\d+)", lambda match: f"127.0.0.1:{changed.get(int(match[1]), int(match[1]))}", self.source.read_text())
        if hurried:
            text = re.sub(r"(timeout(?: [\w-]+)? +)(\d+)s\b", lambda match: f"{match[1]}{int(match[2]) * FIFTH_MS}ms", text)
        self.config.write_text(self.adapt(text))

    def adapt(self, text: str) -> str:
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def wait_for_all(self) -> None:
        raise NotImplementedError

    def drain(self, number: int) -> None:
        raise NotImplementedError

    def admit(self, number: int) -> None:
        raise NotImplementedError

    def reload(self) -> None:
        raise NotImplementedError

    def repeated(self) -> int:
        raise NotImplementedError

    def __enter__(self) -> Balancer:
        with self.log.open("w") as out:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *self.command()], stdout=out, stderr=out)
        wait_until(self._is_up, "the balancer")
        return self

    def __exit__(self, *problem: object) -> None:
        self.process.terminate()
        self.process.wait(WAIT_SECONDS)

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return ask(self.port, "/readyz")[0] == 200


class HAProxy(Balancer):
    source = DEPLOY / "haproxy" / "haproxy.cfg"

    def adapt(self, text: str) -> str:
        self.socket = self.work / "admin.sock"
        if os.getuid() != 0:  # only root can change its user and root directory; the comment there says so
            text = re.sub(r"^    (user|group|chroot) .*\n", "", text, flags=re.M)
        return text.replace("/run/haproxy/admin.sock", str(self.socket))

    def command(self) -> Sequence[str]:
        return ["haproxy", "-W", "-f", str(self.config)]

    def worker(self) -> int:
        """The process that does the work, below the one that was started."""
        return int(re.search(r"^Pid: (\d+)$", self.tell("show info"), re.M)[1])

    def wait_for_all(self) -> None:
        for row in self.figures("espalier"):
            self.wait_for("espalier", row["svname"], status="UP")

    def drain(self, number: int) -> None:
        self.tell(f"set server espalier/replica{number} state drain")
        self.wait_for("espalier", f"replica{number}", scur="0")

    def admit(self, number: int) -> None:
        self.tell(f"set server espalier/replica{number} state ready")

    def reload(self) -> None:
        """The signal is lost where the first process is not yet through with the last one, so it may take another."""
        before, patience = self.worker(), 0.0

        def so() -> bool:
            nonlocal patience
            if time.monotonic() > patience:
                patience = time.monotonic() + HEARD_SECONDS
                self.process.send_signal(signal.SIGUSR2)
            return self.worker() != before

        wait_until(so, "a worker with the new configuration")

    def repeated(self) -> int:
        return sum(int(row["wretr"]) + int(row["wredis"]) for row in self.figures("espalier"))

    def tell(self, words: str) -> str:
        """As an operator with socat."""
        with socket.socket(socket.AF_UNIX) as connection:
            os.chdir(self.work)  # a socket's path may be no longer than a hundred bytes
            connection.connect(self.socket.name)
            connection.sendall(words.encode() + b"\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def figures(self, backend: str) -> list[dict[str, str]]:
        """What it counts of each server of a backend."""
        head, *rows = [line.split(",") for line in self.tell("show stat").lstrip("# ").splitlines() if line]
        found = [dict(zip(head, row)) for row in rows]
        return [row for row in found if row["pxname"] == backend and row["svname"] not in ("FRONTEND", "BACKEND")]

    def wait_for(self, backend: str, server: str, **wanted: str) -> None:
        """Until its figures of this server are so: status="UP", scur="0"."""
        def so() -> bool:
            row = next(row for row in self.figures(backend) if row["svname"] == server)
            return all(row[name] == value for name, value in wanted.items())

        wait_until(so, f"{server} of {backend} to be {wanted}")


class Nginx(Balancer):
    source = DEPLOY / "nginx" / "nginx.conf"

    def adapt(self, text: str) -> str:
        return text.replace("/run/nginx-espalier.pid", str(self.work / "nginx.pid"))

    def command(self) -> Sequence[str]:
        return ["nginx", "-c", str(self.config), "-g", "daemon off;"]

    def wait_for_all(self) -> None:
        """It takes them for well until a request fails."""

    def drain(self, number: int) -> None:
        self._mark(number, " down;")

    def admit(self, number: int) -> None:
        self._mark(number, ";")

    def _mark(self, number: int, end: str) -> None:
        lines = self.config.read_text().splitlines()
        place = [index for index, line in enumerate(lines) if line.strip().startswith("server 127.0.0.1:")][number - 1]
        lines[place] = lines[place].removesuffix(";").removesuffix(" down") + end
        self.config.write_text("\n".join(lines) + "\n")
        self.reload()

    def reload(self) -> None:
        """The workers of the old configuration go when their last request is over."""
        before = children(self.process.pid)
        subprocess.run(["nginx", "-s", "reload", "-c", str(self.config)], check=True, stderr=subprocess.DEVNULL)
        wait_until(lambda: not before & children(self.process.pid), "the old workers to end")

    def repeated(self) -> int:
        """It says so of each request that failed somewhere, and the tests let none fail everywhere."""
        return len(re.findall(r'^.* \[error\] .* upstream: "', self.log.read_text(), re.M))


def children(parent: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended in the meantime
        if int(fields[1]) == parent:
            found.add(int(stat.parent.name))
    return found

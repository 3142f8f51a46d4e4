"""deploy/systemd/espalier.service: systemd finds nothing wrong with it, calls it hardened, and its filter lets through every
system call that the daemon makes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from load.mixes import picture
from places import DEPLOY, ask, free_ports, wait_until
from replicas import BINARY

UNIT = DEPLOY / "systemd" / "espalier.service"
EXPOSURE_MOST = 1.5  # of 10; systemd calls up to 2 "OK", above 5 "medium"

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def analyze(*arguments: str) -> str:
    done = subprocess.run(["systemd-analyze", "--no-pager", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_it_is_valid(tmp_path):
    here = tmp_path / "espalier.service"  # with the program where it is here
    here.write_text(UNIT.read_text().replace("/usr/local/bin/espalier", BINARY))
    assert analyze("verify", "--man=no", str(here)) == ""


def test_it_is_hardened():
    said = analyze("security", "--offline=yes", str(UNIT))
    exposure = re.search(r"Overall exposure level for espalier.service: ([\d.]+)", said)
    assert exposure and float(exposure[1]) <= EXPOSURE_MOST, said


def allowed() -> set[str]:
    """System calls that pass: as systemd does it, the first line allows, and ~ takes away again."""
    groups: dict[str, list[str]] = {}
    for line in analyze("syscall-filter").splitlines():
        if line.startswith("@"):
            members = groups.setdefault(line.split()[0], [])
        elif line.startswith(" ") and not line.strip().startswith("#"):
            members.append(line.strip())

    def expand(name: str) -> set[str]:
        return set().union(*map(expand, groups[name])) if name in groups else {name}

    passing: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)", UNIT.read_text(), re.MULTILINE):
        named = set().union(*map(expand, line.lstrip("~").split()))
        passing = passing - named if line.startswith("~") else passing | named
    return passing


def test_its_filter_lets_the_daemon_work(tmp_path: Path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    port, calls = free_ports(1)[0], tmp_path / "calls"
    with subprocess.Popen(["strace", "-f", "-o", calls, BINARY, "serve", "--listen", f"127.0.0.1:{port}"], stderr=subprocess.DEVNULL) as traced:
        wait_until(lambda: traced.poll() is not None or ask(port, "/readyz")[0] == 200, "the daemon")
        if traced.poll() is not None:
            pytest.skip("nothing can be traced here")
        daemon = int(Path(f"/proc/{traced.pid}/task/{traced.pid}/children").read_text().split()[0])
        os.kill(daemon, signal.SIGHUP)
        wait_until(lambda: b'espalier_model_loads_total{result="loaded"} 0' not in ask(port, "/metrics")[1], "the networks, loaded anew")
        assert ask(port, "/classify", "POST", picture())[0] == 200
        os.kill(daemon, signal.SIGTERM)
    used = set(re.findall(r"^\d+ +(\w+)\(", calls.read_text(), re.MULTILINE)) - {"execve"}  # which systemd does itself
    assert {"accept4", "futex", "setpriority"} <= used
    assert used - allowed() == set()

"""What the figures were measured on, and with: for the table's foot, and for whoever repeats it."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# What decides which kernels can run.
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16")
NODE_PACKAGES = ("onnxruntime-node", "sharp", "fastify")
BUSY_SECONDS = 1.0
DEBIAN_PACKAGES = {"PyTorch": "python3-torch", "OpenBLAS": "libopenblas0-pthread", "wrk": "wrk"}


def describe(root: Path, work: Path, binary: Path, cores: Sequence[int]) -> dict[str, Any]:
    return {
        "cpu": _cpu_name(),
        "flags": _cpu_flags(),
        "cpus": len(cores),
        "system": f"{_system()}, Linux {platform.release()}",
        "versions": _versions(work, binary),
        "commit": _commit(root),
    }


def busy_share(cores: Sequence[int]) -> float:
    """How busy other programs, and other machines on the same hardware, keep the CPUs while this one sleeps."""
    before = _ticks(cores)
    time.sleep(BUSY_SECONDS)
    busy, idle = (after - earlier for after, earlier in zip(_ticks(cores), before))
    return busy / max(1, busy + idle)


def _ticks(cores: Sequence[int]) -> tuple[int, int]:
    """Of these CPUs since the start: busy ones, those stolen included, and idle ones."""
    lines = [line.split() for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()]
    wanted = [[int(ticks) for ticks in line[1:9]] for line in lines if line[0] in {f"cpu{core}" for core in cores}]
    idle = sum(ticks[3] + ticks[4] for ticks in wanted)
    return sum(map(sum, wanted)) - idle, idle


def _cpu_info() -> dict[str, str]:
    first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}


def _cpu_name() -> str:
    """Virtual machines often tell no more than the family of a name, so its numbers stand with it."""
    info = _cpu_info()
    name = info.get("model name", platform.machine())
    numbers = [f"{label} {info[member]}" for label, member in (("family", "cpu family"), ("model", "model")) if member in info]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def _cpu_flags() -> list[str]:
    flags = _cpu_info().get("flags", "").split()
    return [flag for flag in FLAGS if flag in flags]


def _system() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")


def _versions(work: Path, binary: Path) -> dict[str, str]:
    versions = {"espalier": _said([binary, "--version"]).removeprefix("espalier ")}
    versions["Node"] = _said(["node", "--version"]).removeprefix("v")
    for package in NODE_PACKAGES:
        manifest = work / "node_modules" / package / "package.json"
        versions[package] = json.loads(manifest.read_text(encoding="utf-8"))["version"]
    for name, package in DEBIAN_PACKAGES.items():
        versions[name] = _said(["dpkg-query", "-W", "-f", "${Version}", package])
    versions["compiler"] = _said(["gcc", "--version"]).partition("\n")[0]
    return versions


def _commit(root: Path) -> str:
    """With a + where tracked files differ from it."""
    commit = _said(["git", "-C", str(root), "rev-parse", "--short=10", "HEAD"])
    changed = _said(["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"])
    if not re.fullmatch(r"[0-9a-f]+", commit):
        return "unknown"
    return commit + ("+" if changed else "")


def _said(command: Sequence[str | Path]) -> str:
    if not shutil.which(command[0]):
        return "unknown"
    result = subprocess.run(command, capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else "unknown"

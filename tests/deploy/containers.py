"""Builds deploy/Containerfile with buildah and runs it with podman and crun, also where no registry is in reach and the
machine is a sandbox itself:

- the base comes from Debian's packages, by mmdebstrap, and is kept in build/deploy with all that buildah makes of it;
- buildah builds in a chroot, and storage is plain directories (vfs);
- podman runs in a mount namespace of its own, in which the cgroup file system is gone, on the machine's network.

`Containers.missing()` says why a machine cannot do it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from places import DEPLOY, ROOT

PLACE = ROOT / "build" / "deploy"
BASE = "localhost/espalier-test-base"
CATEGORIES = "cat,orange"  # of the image that is built here
PROGRAMS = ("buildah", "podman", "crun", "catatonit", "mmdebstrap", "unshare")
GIGABYTES = 5  # of disk: each stage is a copy of its base
# Without cgroups and with the machine's network: what a sandbox allows. The rest is as strict as a cluster would be.
SANDBOX = ("--cgroups=disabled", "--runtime", "crun", "--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
           "--no-healthcheck")  # fmt: skip
STRICT = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--user", "12345:54321")
WITHOUT_CGROUPS = 'grep -w cgroup2 /proc/mounts | cut -d" " -f2 | sort -r | xargs -r umount -l; exec "$@"'


class Containers:
    def __init__(self) -> None:
        storage = ["--root", str(PLACE / "storage"), "--runroot", str(PLACE / "run"), "--storage-driver", "vfs"]
        self._buildah = ["buildah", *storage]
        self._podman = ["unshare", "-m", "sh", "-c", WITHOUT_CGROUPS, "sh", "podman", *storage, "--tmpdir", str(PLACE / "tmp")]
        PLACE.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def missing() -> str:
        """Why there can be no containers here; empty if there can."""
        absent = [program for program in PROGRAMS if not shutil.which(program)]
        if absent:
            return f"there is no {', '.join(absent)}"
        if os.getuid() != 0:
            return "it takes root"
        if shutil.disk_usage(ROOT).free < GIGABYTES << 30:
            return f"less than {GIGABYTES} GB of disk are free"
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
            return "no mount namespace can be made"
        return ""

    def build(self, name: str, *arguments: str) -> str:
        self._make_base()
        _run([*self._buildah, "bud", "--isolation", "chroot", "--format", "docker", "--build-arg", f"BASE={BASE}",
              *arguments, "--file", str(DEPLOY / "Containerfile"), "--tag", name, str(ROOT)])  # fmt: skip
        return name

    def _make_base(self) -> None:
        """As debian:bookworm-slim: what apt needs, without documentation."""
        if subprocess.run([*self._buildah, "inspect", "--type", "image", BASE], capture_output=True).returncode == 0:
            return
        tar = PLACE / "debian.tar"
        slim = ["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
                "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"]  # fmt: skip
        _run(["mmdebstrap", "--quiet", "--variant=apt", *slim, "bookworm", str(tar)])
        container = _run([*self._buildah, "from", "scratch"]).strip()
        _run([*self._buildah, "add", container, str(tar), "/"])
        _run([*self._buildah, "commit", "--rm", container, BASE])
        tar.unlink()

    def podman(self, *arguments: str) -> str:
        return _run([*self._podman, *arguments])

    def play(self, file: Path) -> None:
        """`podman kube play`, whose limits come from a file, as it has no options for them."""
        limits = PLACE / "limits.conf"
        limits.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
        _run(["env", f"CONTAINERS_CONF={limits}", *self._podman, "--cgroup-manager", "cgroupfs", "--runtime", "crun", "kube", "play", str(file)])

    def run_command(self, image: str, *arguments: str) -> Sequence[str]:
        """`podman run`, for whoever starts it; the image's name comes last, so that more can follow."""
        return [*self._podman, "run", *SANDBOX, *STRICT, *arguments, image]

    def files(self, image: str) -> dict[str, int]:
        """Bytes of each file."""
        container = _run([*self._buildah, "from", image]).strip()
        try:
            root = _run([*self._buildah, "mount", container]).strip()
            found = {}
            for folder, _, names in os.walk(root):
                for path in (os.path.join(folder, name) for name in names):
                    if not os.path.islink(path):
                        found[path.removeprefix(root)] = os.stat(path).st_size
            return found
        finally:
            _run([*self._buildah, "rm", container])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout

"""deploy/Containerfile: what is in the image, and that it runs where nothing is allowed. Prints the table of deploy/README.md.

One image is built, with a cutout: that with the whole network differs from it by the model directory, which is in the clone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers import BASE, CATEGORIES, Containers
from load.mixes import picture
from places import DEPLOY, ask, free_ports
from replicas import Container

NETWORK = DEPLOY / "models" / "tiny-imagenet-200"
INSTALLED = ("model.json", "model.safetensors", "README.md")
BYTES_MOST = 65_000_000  # above the base
PARTS = {
    "the program, with OpenBLAS and libarchive": "/usr/bin/espalier",
    "the network": "/usr/share/espalier/models/",
    "libturbojpeg": "/usr/lib/x86_64-linux-gnu/libturbojpeg",
    "libmicrohttpd": "/usr/lib/x86_64-linux-gnu/libmicrohttpd",
    "libjansson": "/usr/lib/x86_64-linux-gnu/libjansson",
    "licences, a sample picture": "/usr/share/",
    "what the package manager keeps": "/",
}
NO_SHELL = [text for shell in ("dash", "bash") for text in ("--volume", f"/dev/null:/usr/bin/{shell}:ro")]


def added(containers: Containers, image: str) -> dict[str, int]:
    """Bytes of each file that the base has not, or has in another size."""
    base = containers.files(BASE)
    return {path: size for path, size in containers.files(image).items() if base.get(path) != size}


def by_part(files: dict[str, int]) -> dict[str, int]:
    parts = dict.fromkeys(PARTS, 0)
    for path, size in files.items():
        parts[next(part for part, prefix in PARTS.items() if path.startswith(prefix))] += size
    return parts


def test_its_size(containers, image):
    parts = by_part(added(containers, image))
    cutout, parts["the network"] = parts["the network"], sum((NETWORK / name).stat().st_size for name in INSTALLED)
    assert 0 < cutout < parts["the network"] / 2
    total = sum(parts.values())
    print("\n| above the base | MB |\n| --- | ---: |")
    for part, size in parts.items():
        print(f"| {part} | {size / 1e6:.2f} |")
    print(f"| **all** | **{total / 1e6:.1f}** |")
    print(f"\nThe network of {CATEGORIES} takes {cutout / 1e6:.2f} MB.")
    assert total <= BYTES_MOST
    assert parts["the program, with OpenBLAS and libarchive"]


def test_what_it_is_told(containers, image):
    """No shell in between, so that the program is PID 1; open to the outside; not root; a health check."""
    found = json.loads(containers.podman("image", "inspect", image))[0]
    config = found["Config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["espalier"], ["serve"])
    assert "ESPALIER_LISTEN=0.0.0.0:8080" in config["Env"]
    assert config["User"] not in ("", "0", "root")
    assert found["Healthcheck"]["Test"] == ["CMD", "espalier", "probe"]


@pytest.fixture
def replica(tmp_path: Path, containers: Containers, image: str) -> Iterator[Container]:
    port = free_ports(1)[0]
    made = Container(port, tmp_path / "log", containers, image, *NO_SHELL, LISTEN=f"0.0.0.0:{port}")
    try:
        made.start()
        yield made
    finally:
        made.end()


def test_it_runs_where_nothing_is_allowed(replica):
    """Some uid, a root that cannot be written, no capabilities, no shell; its health check answers and SIGTERM ends it with 0."""
    status, said = ask(replica.port, "/classify?categories=tabby", "POST", picture(), Content_Type="image/jpeg")
    assert status == 200 and json.loads(said)["predictions"]
    assert ask(replica.port, "/classify?categories=lemon", "POST", picture())[0] == 422  # not in this cutout
    replica.probe()
    replica.drain()

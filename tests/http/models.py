"""Model directories for tests: copies of the project's networks under other names."""

from __future__ import annotations

import json
import os
from pathlib import Path

from daemon import ROOT

BUNDLED = ROOT / "deploy" / "models" / "tiny-imagenet-200"
SMALL = ROOT / "tests" / "golden" / "layers" / "nested_layers"


def make_network(directory: Path, source: Path = SMALL, **changes: str) -> Path:
    """A model directory like `source`, with other members of model.json (name, version); the weights are a link."""
    directory.mkdir(parents=True)
    description = json.loads((source / "model.json").read_text()) | changes
    (directory / "model.json").write_text(json.dumps(description))
    (directory / "model.safetensors").symlink_to(source / "model.safetensors")
    return directory


def replace_file(path: Path, content: bytes) -> None:
    """At once: whoever opens the path gets the old file or the new one."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    os.replace(new, path)

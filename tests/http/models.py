"""Model directories for tests: copies of the project's networks under other names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from daemon import ROOT

BUNDLED = ROOT / "deploy" / "models" / "tiny-imagenet-200"
SMALL = ROOT / "tests" / "golden" / "layers" / "nested_layers"


def make_network(directory: Path, source: Path = SMALL, **changes: Any) -> Path:
    """A model directory like `source`, with other members of model.json (name, trunk, ...); the weights are a link."""
    directory.mkdir(parents=True)
    description = json.loads((source / "model.json").read_text()) | changes
    (directory / "model.json").write_text(json.dumps(description))
    (directory / "model.safetensors").symlink_to(source / "model.safetensors")
    return directory


def leaves(node: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Path and description of each category below a node of model.json, in the order of the tree."""
    if "children" not in node:
        return [(path, node)]
    return [leaf for child in node["children"] for leaf in leaves(child, f"{path}/{child['name']}".lstrip("/"))]


def calibrated_trunk(source: Path = SMALL, calibrated: bool = True) -> dict[str, Any]:
    """The trunk of a network, with a calibration in each leaf, each another one, or with none."""
    trunk = json.loads((source / "model.json").read_text())["trunk"]
    for number, (_, leaf) in enumerate(leaves(trunk)):
        leaf.pop("calibration", None)
        if calibrated:
            leaf["calibration"] = {"slope": 0.3 + 0.1 * number, "offset": 0.7 - 0.2 * number}
    return trunk


def replace_file(path: Path, content: bytes) -> None:
    """At once: whoever opens the path gets the old file or the new one."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    os.replace(new, path)

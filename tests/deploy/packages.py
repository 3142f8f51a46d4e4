"""Packages from npm, which tests check files by."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from places import ROOT


def npm_packages(name: str, *packages: str) -> Path:
    """A directory of that name whose node_modules has them; the test is skipped where there is no npm."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    place = ROOT / "build" / "deploy" / name
    place.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--prefix", str(place), "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", *packages]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"npm could not install {packages}: {done.stderr}"
    return place

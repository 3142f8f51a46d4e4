"""The reference network and the validation pictures, where they are on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daemon import ROOT, SHARED

REFERENCE = SHARED / "reference"
VALIDATION = SHARED / "data" / "tiny-imagenet" / "val.tar.gz"

needs_reference = pytest.mark.skipif(
    not (REFERENCE.exists() and VALIDATION.exists()), reason="the reference network's data is not on this machine"
)


def model_directory(folder: Path) -> Path:
    """The reference network as a model directory, in `folder`."""
    subprocess.run([sys.executable, "-m", "espalier_models.convert_reference", "--reference", REFERENCE, "--output", folder, "--dtype", "f16"],
                   cwd=ROOT / "deploy" / "models", check=True, timeout=300)
    return folder


def first_500() -> list[list[str]]:
    """Name, true category and the reference's first answer for each of the first 500 validation pictures."""
    return [line.split("\t") for line in (REFERENCE / "val_first_500.tsv").read_text().splitlines()[1:]]

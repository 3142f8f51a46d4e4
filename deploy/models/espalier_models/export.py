"""Writes a trained network as a model directory, calibrated, with golden vectors.

    finish(directory, plan, network, scores, pictures)

    directory/model.json           the description, with the calibration fitted to the scores (see calibration)
    directory/model.safetensors    the weights: normalisation folded in FP32, then rounded to F16
    directory/../golden/           pictures, and what PyTorch says to them (see golden): an engine has to say the same

`scores` [pictures, categories] are those of pictures that were not trained on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import calibration, golden, model_directory
from .pictures import Pictures
from .recipe import Recipe
from .tree_network import TreeNetwork

DTYPE = "F16"


def finish(directory: Path, plan: Recipe, network: TreeNetwork, scores: np.ndarray, pictures: Pictures) -> None:
    slopes, offsets = calibration.fit(scores, pictures.truth)
    description = calibration.with_calibration(plan.description, slopes, offsets)
    tensors = network.export()
    model_directory.write(directory, description, tensors, {name: DTYPE for name in tensors})
    golden.write_beside(directory, directory.parent / "golden")
    print(f"{directory}: {(directory / 'model.safetensors').stat().st_size / 1e6:.1f} MB")

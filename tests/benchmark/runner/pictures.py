"""The pictures: deploy/samples, and the same made as small as the network's input, so that nobody's resizing matters.

    pictures = prepare(samples, folder, model)
    pictures.small, pictures.large      JPEG files, the same pictures in both
    pictures.inputs                     file: the small ones, decoded and normalised, float32 [n, 3, height, width]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from espalier_models.description import input_shape
from espalier_models.model_directory import Model

QUALITY = 90


@dataclass(frozen=True)
class Pictures:
    small: list[Path]
    large: list[Path]
    inputs: Path

    def files(self, size: str) -> list[Path]:
        return {"small": self.small, "large": self.large}[size]


def prepare(samples: Path, folder: Path, model: Model) -> Pictures:
    """Writes the small pictures and the inputs made of them to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    large = sorted(samples.glob("*.jpg"))
    if not large:
        raise SystemExit(f"There is no JPEG in {samples}; the benchmark needs the project's sample pictures.")
    _, height, width = input_shape(model.description)
    small = [_shrink(path, folder / path.name, (width, height)) for path in large]
    inputs = folder / "inputs.f32"
    np.stack([_normalise(path, model) for path in small]).astype(np.float32).tofile(inputs)
    return Pictures(small, large, inputs)


def _shrink(path: Path, to: Path, size: tuple[int, int]) -> Path:
    with Image.open(path) as picture:
        ImageOps.fit(picture.convert("RGB"), size, Image.Resampling.BICUBIC).save(to, quality=QUALITY)
    return to


def _normalise(path: Path, model: Model) -> np.ndarray:
    entry = model.description["input"]
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
    normalised = (pixels / 255 - np.array(entry["mean"])) / np.array(entry["std"])
    return normalised.transpose(2, 0, 1)

"""Draws pictures to try the tools with: shapes of any colour, size and turn on noisy ground, in folders as a tree.

    python3 -m espalier_models.example_pictures pictures --each 120

    pictures/round/disc, ring, moon; pictures/angular/triangle, square, star
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SHAPES = {"round": ("disc", "ring", "moon"), "angular": ("triangle", "square", "star")}
FINER = 4  # drawn so many times as large, and then shrunk, for smooth edges


def draw(shape: str, size: int, random: np.random.RandomState) -> Image.Image:
    """One picture, size × size pixels."""
    ground, colour = (random.randint(0, 256, 3) for _ in range(2))
    while abs(ground.mean() - colour.mean()) < 50:
        colour = random.randint(0, 256, 3)
    large = size * FINER
    mask = Image.new("L", (large, large))
    radius = large * random.uniform(0.22, 0.42)
    x, y = (random.uniform(radius, large - radius) for _ in range(2))
    _draw_shape(ImageDraw.Draw(mask), shape, x, y, radius, random.uniform(0, 2 * math.pi))
    picture = Image.new("RGB", (large, large), tuple(ground.tolist()))
    picture.paste(tuple(colour.tolist()), mask=mask)
    pixels = np.asarray(picture.resize((size, size), Image.BOX).filter(ImageFilter.GaussianBlur(0.5))).astype(float)
    return Image.fromarray(np.clip(pixels + random.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8))


def write(folder: Path, each: int, size: int, seed: int) -> int:
    """Writes the tree of folders; returns how many pictures."""
    random = np.random.RandomState(seed)
    for group, shapes in SHAPES.items():
        for shape in shapes:
            place = folder / group / shape
            place.mkdir(parents=True, exist_ok=True)
            for number in range(each):
                draw(shape, size, random).save(place / f"{number:04}.jpg", quality=92)
    return each * sum(map(len, SHAPES.values()))


def _draw_shape(pen: ImageDraw.ImageDraw, shape: str, x: float, y: float, radius: float, turn: float) -> None:
    def circle(cx: float, cy: float, r: float, fill: int) -> None:
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=fill)

    def polygon(radii: list[float]) -> None:
        step = 2 * math.pi / len(radii)
        pen.polygon([(x + r * math.cos(turn + n * step), y + r * math.sin(turn + n * step)) for n, r in enumerate(radii)], fill=255)

    if shape in ("disc", "ring", "moon"):
        circle(x, y, radius, 255)
        if shape == "ring":
            circle(x, y, radius * 0.6, 0)
        elif shape == "moon":
            circle(x + radius * 0.5 * math.cos(turn), y + radius * 0.5 * math.sin(turn), radius * 0.85, 0)
    elif shape == "star":
        polygon([radius, radius * 0.45] * 5)
    else:
        polygon([radius] * (3 if shape == "triangle" else 4))


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw pictures of shapes, in folders as a tree.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=120, help="pictures of each shape (default: %(default)s)")
    parser.add_argument("--size", type=int, default=48, help="width and height in pixels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another number draws other pictures")
    arguments = parser.parse_args()
    count = write(arguments.folder, arguments.each, arguments.size, arguments.seed)
    print(f"{count} pictures in {arguments.folder}")


if __name__ == "__main__":
    main()

"""Labelled pictures, and how they are varied for training.

    pictures = load([Path("train.tar.gz")], labels, 64, 64, cache=Path("train.npz"))
    pictures.pixels [n, height, width, 3] uint8, pictures.truth [n], pictures.names
    inputs = vary(batch, size, settings, generator)      random crops, flips, light, ... as [n, 3, size, size]
    inputs = plain(batch, size)                          the pictures as they are

A source is a directory or a tar archive of <anything>/<label>/<file> (see recipe.category_of). A picture is turned upright and cut
to the network's size as the engine does it; one that cannot be read is left out, and named. Pixels stay bytes until a batch is made: 100,000 pictures of 64 × 64 take 1.2 GB.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from .recipe import category_of

ENDINGS = (".jpeg", ".jpg", ".png")
NAMED = 10  # of what is left out
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what Pillow raises on files that are no pictures

# What turns a picture upright, by its EXIF orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Pictures:
    names: list[str]
    pixels: np.ndarray
    truth: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def some(self, rows: np.ndarray) -> Pictures:
        return Pictures([self.names[row] for row in rows], self.pixels[rows], self.truth[rows])


def load(
    sources: Sequence[Path], labels: Mapping[str, int], height: int, width: int, cache: Path | None = None
) -> Pictures:
    """Reads all pictures with a known label. `cache` keeps them decoded for the next time that the same files are read in the same size."""
    names, pixels = _cached(sources, height, width, cache) if cache else _read(sources, height, width)
    found = [category_of(labels, name) for name in names]
    known = np.array([row for row, category in enumerate(found) if category is not None], dtype=int)
    if not len(known):
        raise ValueError(f"{', '.join(map(str, sources))}: no folder with pictures is named like a category")
    unknown = {name.rpartition("/")[0].rpartition("/")[2] or "(no folder)" for name, category in zip(names, found) if category is None}
    _say_left_out("no category is called so", sorted(unknown))
    truth = np.array([found[row] for row in known])
    if len(known) == len(names):
        return Pictures(names, pixels, truth)
    return Pictures([names[row] for row in known], pixels[known], truth)


def _cached(sources: Sequence[Path], height: int, width: int, cache: Path) -> tuple[list[str], np.ndarray]:
    made_from = f"cut to {height} x {width}, {[_state(source) for source in sources]}"
    if cache.exists():
        with np.load(cache) as kept:
            if "made_from" in kept and str(kept["made_from"]) == made_from:
                return kept["names"].tolist(), kept["pixels"]
        print(f"{cache}: is of other pictures, or of another size; all are read again", flush=True)
    names, pixels = _read(sources, height, width)
    with open(cache, "wb") as file:
        np.savez(file, names=np.array(names), pixels=pixels, made_from=np.array(made_from))
    return names, pixels


def _state(source: Path) -> list[tuple[str, int, int]]:
    """What tells a source from another, and from itself before it was changed."""
    paths = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in ENDINGS] if source.is_dir() else [source]
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def _read(sources: Sequence[Path], height: int, width: int) -> tuple[list[str], np.ndarray]:
    names, decoded, unreadable = [], [], []
    for source in sources:
        for name, content in files(source):
            if picture := decode(content):
                decoded.append(fit(picture, height, width))
                names.append(name)
            else:
                unreadable.append(name)
    _say_left_out("they cannot be read", unreadable)
    return names, np.stack(decoded) if decoded else np.zeros((0, height, width, 3), np.uint8)


def _say_left_out(why: str, what: Sequence[str]) -> None:
    if what:
        print(f"left out, as {why}: {', '.join(what[:NAMED])}{f' and {len(what) - NAMED} more' if len(what) > NAMED else ''}")


def hold_out(truth: np.ndarray, part: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on, and rows held out: the same part of every category, and one picture at least of those that have two."""
    random = np.random.RandomState(seed)
    held: list[int] = []
    for category in np.unique(truth):
        rows = np.flatnonzero(truth == category)
        count = max(round(len(rows) * part), 1 if len(rows) > 1 else 0)
        held += random.permutation(rows)[:count].tolist()
    return np.setdiff1d(np.arange(len(truth)), held), np.sort(np.array(held, dtype=int))


def plain(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Pictures [n, h, w, 3] uint8 as [n, 3, *size] from 0 to 1."""
    x = pixels.permute(0, 3, 1, 2).float() / 255
    if tuple(x.shape[2:]) != size:
        x = functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
    return x


def vary(
    pixels: torch.Tensor, size: tuple[int, int], settings: Mapping[str, Any], generator: torch.Generator
) -> torch.Tensor:
    """The same, each picture zoomed, shifted, turned, flipped, lit and partly erased at random."""
    count, device = len(pixels), pixels.device

    def between(low: float, high: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) * (high - low) + low).to(device)

    zoom, turn = 1 / between(*settings["zoom"]), between(-settings["turn"], settings["turn"]) * (math.pi / 180)
    flip = torch.where(between(0, 1) < 0.5, -1.0, 1.0) if settings["flip"] else torch.ones(count, device=device)
    cosine, sine = zoom * torch.cos(turn), zoom * torch.sin(turn)
    # By whole pixels, and bicubic: what is blurred here is not what the network will be shown.
    height, width = pixels.shape[1:3]
    shift_x, shift_y = (torch.round(between(-side, side) * settings["shift"]) * (2 / side) for side in (width, height))
    affine = torch.stack(
        [torch.stack([cosine * flip, -sine, shift_x], 1), torch.stack([sine * flip, cosine, shift_y], 1)], 1
    )
    x = pixels.permute(0, 3, 1, 2).float() / 255
    grid = functional.affine_grid(affine, [count, 3, *size], align_corners=False)
    x = functional.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    light, contrast = between(-settings["light"], settings["light"]), between(-settings["light"], settings["light"])
    tint = (torch.rand(count, 3, generator=generator).to(device) - 0.5) * (settings["light"] / 2)
    means = x.mean((1, 2, 3), keepdim=True)
    x = (x - means) * (1 + contrast)[:, None, None, None] + means * (1 + light)[:, None, None, None] + tint[:, :, None, None]
    return _erase(x.clamp_(0, 1), between(0, 1) < settings["erase"], between)


def cut_mix(x: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Each picture with a rectangle of another one of the batch, the same for all (CutMix: Yun et al., arXiv 1905.04899).
    Returns the pictures, the places of the others, and the part of each picture that is still its own."""
    size, *middle = torch.rand(3, generator=generator).tolist()
    other = torch.randperm(len(x), generator=generator)
    top, bottom, left, right = (
        min(max(round(side * (at + end * math.sqrt(size))), 0), side) for side, at in zip(x.shape[2:], middle) for end in (-0.5, 0.5)
    )
    x = x.clone(memory_format=torch.preserve_format)
    x[:, :, top:bottom, left:right] = x[other.to(x.device), :, top:bottom, left:right]
    return x, other, 1 - (bottom - top) * (right - left) / (x.shape[2] * x.shape[3])


def _erase(x: torch.Tensor, chosen: torch.Tensor, between: Any) -> torch.Tensor:
    """Covers a square of a fifth to a half of the width with grey."""
    height, width = x.shape[2:]
    half = between(0.1, 0.25)
    rows = torch.arange(height, device=x.device) / height - between(0, 1)[:, None]
    columns = torch.arange(width, device=x.device) / width - between(0, 1)[:, None]
    hidden = (rows.abs() < half[:, None])[:, None, :, None] & (columns.abs() < half[:, None])[:, None, None, :]
    return x.masked_fill(hidden & chosen[:, None, None, None], 0.45)


def files(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in ENDINGS:
                yield path.relative_to(source).as_posix(), path.read_bytes()
        return
    with tarfile.open(source, "r|*") as tar:
        for member in tar:
            if member.isfile() and Path(member.name).suffix.lower() in ENDINGS:
                content = tar.extractfile(member)
                assert content is not None
                yield member.name, content.read()


def decode(content: bytes) -> Image.Image | None:
    """The picture in RGB, upright as its EXIF says; None where the file is none."""
    try:
        picture = Image.open(io.BytesIO(content))
        turn = TURNS.get(_orientation(picture))
        picture = picture.convert("RGB")
    except UNREADABLE:
        return None
    return picture.transpose(turn) if turn is not None else picture


def _orientation(picture: Image.Image) -> Any:
    """What EXIF says; nothing where it makes no sense: that is no fault of the picture's."""
    with contextlib.suppress(*UNREADABLE, KeyError, TypeError, struct.error):
        return picture.getexif().get(0x0112)
    return None


def fit(picture: Image.Image, height: int, width: int) -> np.ndarray:
    """The picture's middle [height, width, 3], as the engine takes it (espalier/image.h): resized so that it just covers that, and cropped."""
    if picture.size == (width, height):
        return np.asarray(picture)
    own_width, own_height = picture.size
    if width * own_height >= height * own_width:
        covers = width, width * own_height // own_width
    else:
        covers = height * own_width // own_height, height
    left, right = _middle(own_width, covers[0], width)
    top, bottom = _middle(own_height, covers[1], height)
    return np.asarray(picture.resize((width, height), Image.BILINEAR, (left, top, right, bottom)))


def _middle(own: int, resized: int, count: int) -> tuple[float, float]:
    """Where, in a side of `own` pixels, the middle `count` of those begin and end that it is resized to."""
    first = round((resized - count) / 2)
    return first * own / resized, min((first + count) * own / resized, own)

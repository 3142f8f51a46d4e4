"""Makes pictures hard to recognise: blurred, noisy, half covered. For measuring when attention helps.

    write(Path("val.tar.gz"), Path("blurred.tar"), "blurred")

The archive gets the same names; the pictures are stored as JPEG of quality 95. The same picture is changed in the same way
every time: the noise is drawn from its name. A file that cannot be read is left out.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from .pictures import decode, files

KINDS = ("blurred", "noisy", "half covered")
BLUR = 0.8  # radius in pixels of a picture of 64
NOISE = 20  # deviation, of 255
GREY = 118


def write(source: Path, target: Path, kind: str) -> None:
    with tarfile.open(target, "w") as tar:
        for name, content in files(source):
            changed = io.BytesIO()
            if (picture := decode(content)) is None:
                continue
            change(picture, kind, name).save(changed, "JPEG", quality=95)
            member = tarfile.TarInfo(name)
            member.size = len(changed.getvalue())
            changed.seek(0)
            tar.addfile(member, changed)


def change(picture: Image.Image, kind: str, name: str) -> Image.Image:
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if kind == "blurred":
        return picture.filter(ImageFilter.GaussianBlur(BLUR * picture.width / 64))
    pixels = np.asarray(picture).astype(np.float32)
    if kind == "noisy":
        pixels = pixels + random.normal(0, NOISE, pixels.shape)
    elif kind == "half covered":
        height, width = pixels.shape[:2]
        side = random.randint(4)
        rows = slice(0, height // 2) if side == 0 else slice(height // 2, height) if side == 1 else slice(None)
        columns = slice(0, width // 2) if side == 2 else slice(width // 2, width) if side == 3 else slice(None)
        pixels[rows, columns] = GREY
    else:
        raise ValueError(f"{kind} is none of {', '.join(KINDS)}")
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

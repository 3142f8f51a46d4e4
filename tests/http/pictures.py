"""Pictures that the tests make themselves."""

from __future__ import annotations

import io
import struct
from functools import lru_cache

from PIL import Image, ImageDraw


def scene(width: int = 160, height: int = 120) -> Image.Image:
    """Something orange and round on a table, with marks that tell every corner apart."""
    image = Image.new("RGB", (width, height), (200, 190, 170))
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, height * 2 // 3, width, height], fill=(120, 80, 50))
    draw.ellipse([width // 4, height // 4, width * 3 // 4, height * 7 // 8], fill=(240, 140, 20))
    draw.ellipse([width * 2 // 5, height // 3, width // 2, height // 2], fill=(255, 200, 120))
    draw.rectangle([0, 0, width // 6, height // 6], fill=(20, 40, 160))
    draw.rectangle([width * 5 // 6, 0, width, height // 8], fill=(30, 140, 40))
    return image


def jpeg(image: Image.Image, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=options.pop("quality", 92), **options)
    return out.getvalue()


@lru_cache
def orange() -> bytes:
    return jpeg(scene())


def png() -> bytes:
    out = io.BytesIO()
    scene().save(out, "PNG")
    return out.getvalue()


def oriented(image: Image.Image, orientation: int) -> bytes:
    """A JPEG whose EXIF asks to turn it; turned, it shows `image`."""
    undo = {1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}[orientation]
    stored = image.transpose(undo) if undo is not None else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(stored, exif=exif, quality=98, subsampling=0)


def header_of(width: int, height: int) -> bytes:
    """A JPEG whose header says it is that large, with nothing behind."""
    good = orange()
    place = good.index(b"\xff\xc0")
    return good[:place + 5] + struct.pack(">HH", height, width) + good[place + 9:]

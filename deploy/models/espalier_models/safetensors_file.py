"""Reads and writes safetensors files.

The file is: the header's length (8 bytes, little endian), the header (JSON, padded with spaces so that the data begins
at a multiple of 8), the data. The header gives each tensor's dtype, shape and place in the data.

    tensors = read(path)                        arrays by name, in the order of the header
    dtypes = read_dtypes(path)                  how each tensor is stored: F32, F16, BF16 or U8
    write(path, tensors)                        float32 as F32, float16 as F16, uint8 as U8
    write(path, tensors, {"a:w": "BF16", ...})  rounds the tensors named to the dtype given

BF16 comes back as float32, which holds every BF16 value; numpy has no such type. Tensors are stored in the order given,
without gaps, so equal tensors make equal bytes. A tensor may start at any byte; readers must not expect an alignment.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

ALIGNMENT = 8
LARGEST_HEADER = 100_000_000
ITEM_TYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2"), "U8": np.dtype("u1")}
NATURAL_DTYPES = {"float32": "F32", "float16": "F16", "uint8": "U8"}


class SafetensorsError(ValueError):
    """The file is not a safetensors file that can be read, or the tensors cannot be stored as asked."""


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads all tensors. Nothing in the file is trusted: a file with any fault is refused."""
    header, data = _split(path.read_bytes())
    _check_places(header, len(data))
    return {name: _decode(entry, data) for name, entry in header.items()}


def read_dtypes(path: Path) -> dict[str, str]:
    """Says for each tensor how it is stored."""
    header, _ = _split(path.read_bytes())
    return {name: entry["dtype"] for name, entry in header.items()}


def write(path: Path, tensors: Mapping[str, np.ndarray], dtypes: Mapping[str, str] | None = None) -> None:
    """Writes the tensors in the order given. `dtypes` names those to be rounded to another dtype than their own."""
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    begin = 0
    for name, array in tensors.items():
        dtype = (dtypes or {}).get(name) or _natural_dtype(name, array)
        part = _encode(name, array, dtype)
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, begin + len(part)]}
        begin += len(part)
        parts.append(part)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def _split(content: bytes) -> tuple[dict[str, dict[str, Any]], bytes]:
    """Splits a file into its checked header (without the metadata, which nothing here uses) and its data."""
    if len(content) < 8:
        raise SafetensorsError("shorter than the header's length")
    (length,) = struct.unpack("<Q", content[:8])
    if length > min(LARGEST_HEADER, len(content) - 8):
        raise SafetensorsError(f"the header's length, {length}, goes past the file's end or the limit")
    try:
        header = json.loads(content[8 : 8 + length].decode(), object_pairs_hook=_unique_members)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise SafetensorsError(f"the header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise SafetensorsError("the header is not an object")
    header.pop("__metadata__", None)
    for name, entry in header.items():
        _check_entry(name, entry)
    return header, content[8 + length :]


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise SafetensorsError("a name stands twice in the header")
    return members


def _check_entry(name: str, entry: Any) -> None:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise SafetensorsError(f"{name}: needs dtype, shape and data_offsets, and nothing else")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in ITEM_TYPES:
        raise SafetensorsError(f"{name}: dtype {entry['dtype']!r} is none of {', '.join(ITEM_TYPES)}")
    if not _are_sizes(entry["shape"]) or not _are_sizes(entry["data_offsets"]) or len(entry["data_offsets"]) != 2:
        raise SafetensorsError(f"{name}: shape and data_offsets must be lists of whole numbers from 0")
    begin, end = entry["data_offsets"]
    size = math.prod(entry["shape"]) * ITEM_TYPES[entry["dtype"]].itemsize
    if end - begin != size:
        raise SafetensorsError(f"{name}: holds {end - begin} bytes, its shape needs {size}")


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _check_places(header: Mapping[str, dict[str, Any]], data_size: int) -> None:
    """The tensors must cover the data exactly: no gap, no overlap, nothing left over."""
    expected = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        if begin != expected:
            raise SafetensorsError(f"{name}: begins at byte {begin} of the data, expected {expected}")
        expected = end
    if expected != data_size:
        raise SafetensorsError(f"the tensors take {expected} bytes of data, the file has {data_size}")


def _decode(entry: Mapping[str, Any], data: bytes) -> np.ndarray:
    begin, end = entry["data_offsets"]
    items = np.frombuffer(data[begin:end], ITEM_TYPES[entry["dtype"]]).reshape(entry["shape"])
    if entry["dtype"] == "BF16":
        return (items.astype(np.uint32) << 16).view(np.float32)
    return items.copy()


def _natural_dtype(name: str, array: np.ndarray) -> str:
    if array.dtype.name not in NATURAL_DTYPES:
        raise SafetensorsError(f"{name}: cannot store {array.dtype.name}")
    return NATURAL_DTYPES[array.dtype.name]


def _encode(name: str, array: np.ndarray, dtype: str) -> bytes:
    if dtype not in ITEM_TYPES or (dtype == "U8") != (array.dtype == np.uint8):
        raise SafetensorsError(f"{name}: cannot store {array.dtype.name} as {dtype}")
    if dtype == "U8":
        return array.tobytes()
    rounded = _to_bf16(array) if dtype == "BF16" else _to_float(array, ITEM_TYPES[dtype])
    if rounded is None:
        raise SafetensorsError(f"{name}: holds a value that is not finite, or too large for {dtype}")
    return rounded.tobytes()


def _to_float(array: np.ndarray, item_type: np.dtype) -> np.ndarray | None:
    with np.errstate(over="ignore"):
        rounded = array.astype(item_type)
    return rounded if np.isfinite(rounded).all() else None


def _to_bf16(array: np.ndarray) -> np.ndarray | None:
    """Rounds to the nearest BF16, ties to even: the upper half of a float32."""
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32).astype(np.uint64)
    upper = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    exponents = (upper >> 7) & 0xFF
    return upper.astype(ITEM_TYPES["BF16"]) if (exponents != 0xFF).all() else None

"""Writes a file beside the one that it replaces, so that who reads meanwhile finds the old one or the new one, and whole.

    with replacing(Path("model.json")) as unfinished:
        unfinished.write_text(...)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The file to write, which takes the other's place afterwards; not where writing fails."""
    unfinished = path.with_name(path.name + ".new")
    yield unfinished
    unfinished.replace(path)

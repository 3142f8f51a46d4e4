"""Reads JSON that people have written.

    value = json_file.read(Path("recipe.json"))
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .description import DescriptionError


def read(path: Path) -> Any:
    """Raises DescriptionError, with the file's name, where it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DescriptionError(f"{path}: is no JSON: {error}") from error

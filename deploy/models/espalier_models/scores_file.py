"""What `espalier evaluate --scores FILE.npy` writes: every score, and in FILE.tsv beside it which pictures they are of.

    said = scores_file.read(Path("FILE.npy"))
    said.scores [pictures, categories]    NaN where a branch did not run
    said.names, said.shown                the pictures, and the paths of their categories
    said.truth(paths)                     the places of these categories among the network's
    said.macs                             paid for each picture

Pictures that could not be read, for which nothing was paid, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .description import DescriptionError


@dataclass(frozen=True)
class Said:
    scores: np.ndarray
    names: list[str]
    shown: list[str]
    macs: np.ndarray

    def truth(self, paths: Sequence[str]) -> np.ndarray:
        place = {path: number for number, path in enumerate(paths)}
        if strange := set(self.shown) - set(place):
            raise DescriptionError(f"the scores are of other categories, with {min(strange)}")
        return np.array([place[path] for path in self.shown])


def read(file: Path, categories: int | None = None) -> Said:
    """categories: how many the network has whose scores these are to be. Raises DescriptionError where they are another's, where the
    two files do not belong together, or are none of these."""
    try:
        scores = np.load(file)
    except (ValueError, EOFError) as error:
        raise DescriptionError(f"{file}: is no file of scores, as espalier evaluate --scores writes it") from error
    lines = [line.split("\t") for line in file.with_suffix(".tsv").read_text(encoding="utf-8").splitlines()[1:]]
    if categories is not None and scores.shape[1] != categories:
        raise DescriptionError(f"{file}: {scores.shape[1]} categories, where the network has {categories}")
    if any(len(line) != 3 for line in lines):
        raise DescriptionError(f"{file.with_suffix('.tsv')}: its lines are not a picture, a category and MACs")
    if len(lines) != len(scores):
        raise DescriptionError(f"{file}: {len(scores)} pictures, but {len(lines)} names beside it")
    names, shown, macs = ([line[column] for line in lines] for column in range(3))
    paid = np.array(macs, dtype=np.int64)
    read = np.flatnonzero(paid)
    return Said(scores[read], [names[row] for row in read], [shown[row] for row in read], paid[read])

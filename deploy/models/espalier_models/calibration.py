"""Calibration: what a category's score says about the chance that the picture shows the category at all.

    slopes, offsets = fit(scores, truth)            scores [pictures, categories], truth [pictures]
    description = with_calibration(description, slopes, offsets)

    python3 -m espalier_models.calibration --model DIR --scores scores.npy

The command fits a model directory's calibration anew, to what `espalier evaluate --scores scores.npy` wrote about pictures
that the network was not trained on, and writes it into model.json.

confidence = 1 / (1 + exp(-(slope · score + offset))), fitted for each category by itself to "this category" against all other
pictures (Platt, "Probabilistic outputs for support vector machines", 1999, with his targets that leave room for
doubt). The chance is that under the mix of the pictures it is fitted to: where every category is shown equally often, one of
200. A category has few pictures to fit two numbers to, so that they are drawn towards those that fit all categories
together: a Gaussian prior around these, as wide as SLOPE_SPREAD and OFFSET_SPREAD say.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import numpy as np

from . import model_directory, scores_file
from .description import DescriptionError
from .plain_errors import plain_errors
from .recipe import leaves

SLOPE_SPREAD = 0.15  # of the common slope
OFFSET_SPREAD = 0.75
LEAST_SLOPE = 0.01  # a higher score never means less confidence, even where the pictures say so
STEPS = 100


def fit(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and offset of every category."""
    scores = scores.astype(np.float64)
    shown = truth[:, None] == np.arange(scores.shape[1])
    common = _fit_one(scores.ravel(), shown.ravel(), np.array([1.0, -np.mean(scores) - 1]), np.array([np.inf, np.inf]))
    common[0] = max(common[0], LEAST_SLOPE)
    spread = np.array([SLOPE_SPREAD * common[0], OFFSET_SPREAD])
    fitted = [_fit_one(scores[:, place], shown[:, place], common, spread) for place in range(scores.shape[1])]
    slopes, offsets = np.array(fitted).T
    return np.maximum(slopes, LEAST_SLOPE), offsets


def confidence(scores: np.ndarray, slopes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-(scores.astype(np.float64) * slopes + offsets)))


def with_calibration(description: dict[str, Any], slopes: np.ndarray, offsets: np.ndarray) -> dict[str, Any]:
    """The description with a calibration at every leaf."""
    calibrated = copy.deepcopy(description)
    for (_, leaf), slope, offset in zip(leaves(calibrated["trunk"]), slopes, offsets, strict=True):
        leaf["calibration"] = {"slope": float(f"{slope:.5g}"), "offset": float(f"{offset:.5g}")}
    return calibrated


def _fit_one(scores: np.ndarray, shown: np.ndarray, middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The slope and offset that are most likely, given a prior around `middle`: Newton's method, with halved steps where a
    whole one would not help."""
    count = shown.sum()
    targets = np.where(shown, (count + 1) / (count + 2), 1 / (len(shown) - count + 2))
    precision = 1 / spread**2

    def loss(at: np.ndarray) -> float:
        z = at[0] * scores + at[1]
        return float((np.logaddexp(0, z) - targets * z).sum() + (precision * (at - middle) ** 2).sum() / 2)

    point, best = middle.copy(), loss(middle)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-(point[0] * scores + point[1])))
        error, weight = chance - targets, np.maximum(chance * (1 - chance), 1e-12)
        slope_curve, mixed, offset_curve = (weight * scores**2).sum(), (weight * scores).sum(), weight.sum()
        gradient = np.array([(error * scores).sum(), error.sum()]) + precision * (point - middle)
        curve = np.array([[slope_curve, mixed], [mixed, offset_curve]]) + np.diag(precision)
        step = np.linalg.solve(curve, gradient)
        while loss(point - step) > best and np.abs(step).max() > 1e-9:
            step = step / 2
        point, before = point - step, best
        best = loss(point)
        if before - best < 1e-9 * max(1.0, abs(before)):
            break
    return point


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the calibration of a model directory.")
    parser.add_argument("--model", type=Path, required=True, help="the model directory; its model.json is written anew")
    parser.add_argument("--scores", type=Path, required=True, help="what espalier evaluate --scores wrote")
    arguments = parser.parse_args()
    with plain_errors():
        run(arguments.model, arguments.scores)


def run(directory: Path, scores: Path) -> None:
    description = model_directory.read(directory).description
    paths = [path for path, _ in leaves(description["trunk"])]
    said = scores_file.read(scores, len(paths))
    truth = said.truth(paths)
    if not np.isfinite(said.scores).all():
        raise DescriptionError(f"{scores}: not all categories were asked for: evaluate without --categories, --search and --budget")
    slopes, offsets = fit(said.scores, truth)
    model_directory.write_description(directory, with_calibration(description, slopes, offsets))
    print(f"{len(paths)} categories calibrated with {len(truth)} pictures; slopes from {slopes.min():.3g} to {slopes.max():.3g}")


if __name__ == "__main__":
    main()

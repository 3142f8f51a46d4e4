"""The plots of RESULTS.md, as SVG, their words as text: drawn letters would be most of a file. The same figures give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "espalier", "svg.fonttype": "none", "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans", "Arial"], "font.size": 9,
    "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False,
})  # fmt: skip
from matplotlib import pyplot  # noqa: E402

GREEN, BROWN, BLUE, GREY = "#3a7d44", "#a65e2e", "#2e6fa6", "#888888"


def cutouts(path: Path, realms: Sequence[Any], groups: Sequence[Any], random: Sequence[Any]) -> None:
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6))
    for cuts, colour, name in ((realms, BROWN, "a realm"), (groups, GREEN, "a group"), (random, BLUE, "random categories")):
        sizes = [cut.categories for cut in cuts]
        axes[0].plot(sizes, [100 * cut.macs_excluded for cut in cuts], "o", color=colour, label=name, markersize=4)
        axes[1].plot(sizes, [100 * cut.cutout_top for cut in cuts], "o", color=colour, markersize=4)
        axes[1].plot(sizes, [100 * cut.whole_top for cut in cuts], "x", color=colour, markersize=4)
    axes[0].set(xlabel="categories asked for", ylabel="MACs excluded, %", xscale="log", ylim=(0, 100))
    axes[0].legend(frameon=False)
    axes[1].set(xlabel="categories asked for", ylabel="top-1, %", xscale="log", ylim=(0, 101))
    axes[1].plot([], [], "o", color=GREY, label="the cutout")
    axes[1].plot([], [], "x", color=GREY, label="whole network, same pictures")
    axes[1].legend(frameon=False)
    _save(figure, path)


def attention(path: Path, weights: Sequence[float], recall: Sequence[float], false: Sequence[float]) -> None:
    figure, axis = pyplot.subplots(figsize=(5, 3.4))
    axis.plot(weights, [100 * value for value in recall], "o-", color=GREEN, label="recall of the attended category")
    axis.plot(weights, [100 * value for value in false], "o-", color=BROWN, label="false positives")
    axis.set(xlabel="attention weight", ylabel="%", ylim=(0, 101))
    axis.legend(frameon=False)
    _save(figure, path)


def hard(path: Path, weights: Sequence[float], curves: Mapping[str, Sequence[float]]) -> None:
    figure, axis = pyplot.subplots(figsize=(5, 3.4))
    for (kind, recall), colour in zip(curves.items(), (GREEN, BLUE, BROWN, GREY)):
        axis.plot(weights, [100 * value for value in recall], "o-", color=colour, label=kind)
    axis.set(xlabel="attention weight", ylabel="recall, %", ylim=(0, 101))
    axis.legend(frameon=False)
    _save(figure, path)


def reliability(path: Path, bins: Sequence[tuple[float, int, float, float]]) -> None:
    figure, axis = pyplot.subplots(figsize=(3.8, 3.4))
    axis.plot([0, 1], [0, 1], "--", color=GREY)
    axis.plot([mean for _, _, mean, _ in bins], [share for _, _, _, share in bins], "o-", color=GREEN)
    axis.set(xlabel="confidence stated", ylabel="share that shows the category", xlim=(0, 1), ylim=(0, 1))
    _save(figure, path)


def search(path: Path, points: Mapping[str, Sequence[tuple[float, float]]], whole: float) -> None:
    figure, axis = pyplot.subplots(figsize=(5, 3.4))
    for (kind, found), colour in zip(points.items(), (GREEN, BROWN)):
        axis.plot([100 * paid for paid, _ in found], [100 * top for _, top in found], "o-", color=colour, label=kind)
    axis.axhline(100 * whole, linestyle="--", color=GREY, label="everything runs")
    axis.set(xlabel="MACs paid, % of the whole network", ylabel="top-1, %", xlim=(0, 101))
    axis.legend(frameon=False)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)

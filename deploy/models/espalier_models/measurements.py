"""Measures a network with the program itself, on labelled pictures that were not trained on.

    measured = Measurements(Engine(program, model), Path("val.tar.gz"), sequential=Engine(program, ordinary))
    measured.whole                             what all categories say to every picture
    measured.below["animal"]                   the places of the categories below an inner node
    measured.realms, measured.groups           the inner nodes with inner nodes below them, and those with categories only
    measured.cut("animal/dog", [places])       what a cutout excludes, saves and keeps
    measured.leaf_attention(evaluation)        recall and false positives of each category at each of WEIGHTS
    measured.group_attention("animal/dog", 2)  the same of a group

By law 1 a cutout's scores are those of the whole network, bit by bit; so the scores of all pictures are computed once, and the
accuracy of every cutout is that of its columns. `check_cutouts` has the program compute some cutouts on their own, and raises
where they differ. Attention at a category makes its features w times as large, and so its score s, which is linear in them, w · (s − b) + b,
b being the head's bias; `check_attention` asks the program for some of these as well. Attention at a group changes what lies below, so that
the program computes each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from . import model_directory
from .description import inner_heads, nodes
from .engine import Engine, Evaluation

WEIGHTS = (0.5, 0.8, 1.0, 1.1, 1.25, 1.5, 2.0)
SET_SIZES = (1, 2, 5, 10, 20)
DRAWS = 20
BEAMS = (1, 2, 3, 4, 6, 8, 12)
BUDGET_PARTS = (0.25, 0.35, 0.45, 0.6, 0.8)  # of the whole network; what is less than a search takes is left out


@dataclass(frozen=True)
class Cut:
    """One or several cutouts measured: shares from 0 to 1, averaged where there are several; NaN where there is nothing to choose."""

    name: str
    categories: float
    macs_excluded: float
    parameters_excluded: float
    time_saved: float
    cutout_top: float
    whole_top: float
    # Beside the sequential network, whose cost is the same whatever is asked for: what is saved of it, and its accuracy.
    sequential_macs_saved: float
    sequential_parameters_saved: float
    sequential_time_saved: float
    sequential_cutout_top: float
    sequential_whole_top: float


def mean_cut(name: str, cuts: Sequence[Cut]) -> Cut:
    values = np.array([[getattr(cut, field) for field in Cut.__dataclass_fields__ if field != "name"] for cut in cuts])
    return Cut(name, *np.mean(values, axis=0).round(12).tolist())


def reliability(stated: np.ndarray, shown: np.ndarray) -> list[tuple[float, int, float, float]]:
    """For each tenth: where it begins, how many, their mean, and how many of them were shown."""
    number = np.minimum((stated * 10).astype(int), 9)
    return [
        (place / 10, int((number == place).sum()), float(stated[number == place].mean()), float(shown[number == place].mean()))
        for place in range(10)
        if (number == place).any()
    ]


class Measurements:
    """`first`: only so many of the pictures. `sequential`: a network without branches; ValueError where it lacks a category."""

    def __init__(self, engine: Engine, data: Path, sequential: Engine | None = None, first: int | None = None) -> None:
        self.engine, self.data, self.sequential = engine, data, sequential
        if sequential and (lacking := set(names(engine)) - set(sequential.categories)):
            raise ValueError(f"{sequential.model}: has no category {min(lacking)}, which {engine.model} has")
        self.limit = ["--first", str(first)] if first else []
        self.model = model_directory.read(engine.model)
        self.whole = self.evaluate(data)
        inner = [node for node in nodes(engine.trunk) if node.children and node.path != "trunk"]
        self.below = {node.path: [place for place, path in enumerate(engine.categories) if path.startswith(node.path + "/")] for node in inner}
        self.realms = [node.path for node in inner if any(child.children for child in node.children)]
        self.groups = [node.path for node in inner if node.path not in self.realms]

    def evaluate(self, data: Path, *options: str) -> Evaluation:
        return self.engine.evaluate(data, *self.limit, *options)

    # ---- cutouts

    def cut(self, name: str, sets: Sequence[Sequence[int]]) -> Cut:
        """The mean of the cutouts of these sets of categories; `name` is asked for where it is an inner node."""
        found: list[list[float]] = []
        for places in sets:
            asked = [name] if name in self.below else [self.engine.categories[place] for place in places]
            cost = self.engine.cost(asked)
            paid = np.array([cost["macs"], cost["parameters"], self.engine.time_ms(asked, 50)])
            beside = [np.nan] * 5
            if self.sequential:
                beside = [*1 - paid / self.sequential.full, top_of(self.sequential_scores, places, places), top_of(self.sequential_scores, places)]
            found.append([len(places), *1 - paid / self.engine.full, top_of(self.whole, places, places), top_of(self.whole, places), *beside])
        return Cut(name, *np.mean(found, axis=0).tolist())

    def random_sets(self) -> dict[int, list[np.ndarray]]:
        """For each size DRAWS sets of so many categories, the same each time; no size that takes all of them."""
        count = len(self.engine.categories)
        drawn = {}
        for size in SET_SIZES:
            if size < count:
                random = np.random.RandomState(size)
                drawn[size] = [np.sort(random.choice(count, size, replace=False)) for _ in range(DRAWS)]
        return drawn

    @cached_property
    def sequential_scores(self) -> Evaluation:
        """What the sequential network says, with its categories in this network's order."""
        assert self.sequential
        found = self.sequential.evaluate(self.data, *self.limit)
        place = [self.sequential.categories.index(name) for name in names(self.engine)]
        back = {old: new for new, old in enumerate(place)}
        return Evaluation(found.names, np.array([back[one] for one in found.truth]), found.scores[:, place], found.macs)

    def check_cutouts(self) -> None:
        """The program computes some cutouts by itself: the scores must be those of the whole network."""
        row_of = {name: row for row, name in enumerate(self.whole.names)}
        for path in self.groups[:3]:
            alone = self.evaluate(self.data, "--categories", path)
            both = [(row, row_of[name]) for row, name in enumerate(alone.names) if name in row_of]
            mine, whole = np.array(both, dtype=int).reshape(-1, 2).T
            places = self.below[path]
            if not np.array_equal(alone.scores[mine][:, places], self.whole.scores[whole][:, places]):
                raise RuntimeError(f"{path}: the cutout's scores are not those of the whole network")

    # ---- attention

    def leaf_attention(self, evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray]:
        """Recall and false positives of each category attended to, [categories, weights]. NaN where it has no pictures."""
        scores, truth = evaluation.scores, evaluation.truth
        order = np.sort(scores, 1)
        best, second = order[:, -1], order[:, -2]
        recall, false = np.zeros((2, scores.shape[1], len(WEIGHTS)))
        for place in range(scores.shape[1]):
            rival = np.where(scores[:, place] == best, second, best)
            own = truth == place
            for number, weight in enumerate(WEIGHTS):
                first = self._attended(scores[:, place], place, weight) > rival
                recall[place, number] = first[own].mean() if own.any() else np.nan
                false[place, number] = first[~own].mean()
        return recall, false

    def group_attention(self, path: str, weight: float) -> tuple[float, float]:
        """Recall of the group's pictures (their exact categories), and the share of the others whose first answer lies in it."""
        places = self.below[path]
        scores, truth = self.whole.scores.copy(), self.whole.truth
        if weight != 1:
            attended = self.evaluate(self.data, "--categories", path, "--all-pictures", "--attention", f"{path}:{weight:g}")
            scores[:, places] = attended.scores[:, places]
        first = scores.argmax(1)
        inside = np.isin(truth, places)
        recall = float((first[inside] == truth[inside]).mean()) if inside.any() else np.nan
        return recall, float(np.isin(first[~inside], places).mean())

    def check_attention(self) -> None:
        """The program computes some attended categories: the scores must be w · (s − b) + b."""
        for place in range(0, len(self.engine.categories), 67):
            path = self.engine.categories[place]
            options = ["--first", "200", "--categories", path, "--all-pictures", "--attention", f"{path}:1.5"]
            attended = self.engine.evaluate(self.data, *options)
            count = min(len(attended.scores), len(self.whole.scores))
            expected = self._attended(self.whole.scores[:count, place], place, 1.5)
            if np.abs(attended.scores[:count, place] - expected).max() > 1e-3:
                raise RuntimeError(f"{path}: attention is not linear at the category")

    def _attended(self, scores: np.ndarray, place: int, weight: float) -> np.ndarray:
        bias = float(self.model.tensors[f"{self.engine.categories[place]}:head.bias"][0])
        return weight * (scores - bias) + bias

    # ---- searches

    def searches(self) -> list[tuple[str, int]]:
        """Beams and budgets to try; none where no inner node has a head to choose by."""
        if not inner_heads(self.engine.trunk):
            return []
        least, full = self.engine.least_search(), self.engine.cost([])["macs_full"]
        budgets = [least, *(round(part * full) for part in BUDGET_PARTS)]
        return [("beam", beam) for beam in BEAMS] + [("budget", budget) for budget in budgets if budget >= least]


def names(engine: Engine) -> list[str]:
    """The names of the categories, without what stands above them: their paths in a network without branches."""
    return [path.rpartition("/")[2] for path in engine.categories]


def top_of(evaluation: Evaluation, pictures: Sequence[int], among: Sequence[int] | None = None) -> float:
    """Top-1 of the pictures of some categories, among some categories or all; NaN where there are none, or nothing to choose."""
    rows = np.isin(evaluation.truth, pictures)
    if not rows.any() or (among is not None and len(among) < 2):
        return np.nan
    columns = np.arange(evaluation.scores.shape[1]) if among is None else np.array(among)
    return float((columns[evaluation.scores[rows][:, columns].argmax(1)] == evaluation.truth[rows]).mean())

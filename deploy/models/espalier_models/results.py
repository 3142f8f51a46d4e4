"""Writes RESULTS.md of a network: what cutouts save and keep, what attention does, how confident it may be, and what a search
costs; with plots. Everything is measured with the program itself on labelled pictures that were not trained on.

    python3 -m espalier_models.results --model deploy/models/tiny-imagenet-200 --data ../shared/data/tiny-imagenet/val.tar.gz \\
        --sequential DIR --group NAME=DIR --output deploy/models/tiny-imagenet-200/RESULTS.md

`--sequential` is an ordinary network of the same MACs, without branches; `--group` (any number) one of a group's cutout's MACs, trained on
that group alone. `--first N` takes only some of the pictures, for a quick look.

By law 1 a cutout's scores are those of the whole network, bit by bit; so the scores of all pictures are computed once, and the
accuracy of every cutout is that of its columns. `check_cutouts` has the program compute some cutouts on their own, and stops
where they differ. Attention at a category makes its features w times as large, and so its score s, which is linear in them, w · (s − b) + b,
b being the head's bias; the program is asked for some of these as well. Attention at a group changes what lies below, so that
the program computes each of them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from . import calibration, hard_pictures, model_directory, plots
from .description import Node, nodes
from .engine import Engine, Evaluation
from .recipe import leaves

WEIGHTS = (0.5, 0.8, 1.0, 1.1, 1.25, 1.5, 2.0)
SET_SIZES = (1, 2, 5, 10, 20)
DRAWS = 20
GROUP_PICTURES = 1500  # the first ones, for attention at a group, which is computed for each group and weight
BEAMS = (1, 2, 3, 4, 6, 8, 12)
BUDGET_PARTS = (0.25, 0.35, 0.45, 0.6, 0.8)  # of the whole network; what is less than a search takes is left out
THRESHOLDS = (0.2, 0.5, 0.8, 0.9)
PAPER = {"macs": 84.41, "parameters": 73.48}  # excluded at most, in percent: Kelm et al., arXiv 2308.05128


@dataclass(frozen=True)
class Cut:
    """One or several cutouts measured: shares from 0 to 1, averaged where there are several."""

    name: str
    categories: float
    macs_excluded: float
    parameters_excluded: float
    time_saved: float
    cutout_top: float
    whole_top: float
    sequential_cutout_top: float
    sequential_whole_top: float


def percent(value: float, digits: int = 1) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.{digits}f}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


class Report:
    """Measures, and collects the sections."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.data = arguments, arguments.data
        self.limit = ["--first", str(arguments.first)] if arguments.first else []
        self.engine = Engine(arguments.program, arguments.model, arguments.threads)
        self.model = model_directory.read(arguments.model)
        self.whole = self.engine.evaluate(self.data, *self.limit)
        self.sequential = self._sequential()
        self.plots = arguments.output.parent / "plots"
        self.plots.mkdir(exist_ok=True)
        self.below = {
            node.path: [place for place, path in enumerate(self.engine.categories) if path.startswith(node.path + "/")]
            for node in nodes(self.engine.trunk)
            if node.children and node.path != "trunk"
        }

    def write(self) -> None:
        sections = [self.overview, self.cutouts, self.leaf_attention, self.group_attention, self.hard, self.confidence, self.search, self.groups]
        text = "\n".join(section() for section in sections)
        self.arguments.output.write_text(text, encoding="utf-8")
        print(f"wrote {self.arguments.output}")

    # ---- sections

    def overview(self) -> str:
        description, cost = self.model.description, self.engine.cost([])
        rows = [["this network", f"{cost['macs_full']:,}", f"{cost['parameters_full']:,}", percent(self.whole.top(), 2), percent(self.whole.top(5), 2)]]
        if self.sequential:
            other = self.sequential.cost([])
            scores = self.sequential_scores
            rows.append(["a sequential network", f"{other['macs_full']:,}", f"{other['parameters_full']:,}", percent(scores.top(), 2), percent(scores.top(5), 2)])
        return (
            f"# {description['name']}, version {description['version']}: results\n\n"
            f"Written by `espalier_models.results` (its first lines say how); measured with the program on {len(self.whole.truth):,} pictures that were not\n"
            f"trained on. Kernels `{cost['kernels']}`, {cost['precision']}. Times are medians on one thread of the machine that wrote this.\n\n"
            + table(["", "MACs", "parameters", "top-1 %", "top-5 %"], rows)
        )

    def cutouts(self) -> str:
        self.check_cutouts()
        realms = [self.cut(path, [self.below[path]]) for path in self.below if "/" not in path]
        groups = [self.cut(path, [self.below[path]]) for path in self.below if "/" in path]
        random = [self.cut(f"{size} random", self._draws(size)) for size in SET_SIZES]
        plots.cutouts(self.plots / "cutouts.svg", realms, groups, random)
        means = [mean_cut("mean of the realms", realms), mean_cut("mean of the groups", groups)]
        best = max(random + groups, key=lambda cut: cut.macs_excluded)
        header = ["asked for", "categories", "MACs excluded %", "parameters excluded %", "time saved %", "top-1 % of the cutout", "top-1 % unrestricted"]
        if self.sequential:
            header += ["sequential, only these %", "sequential, unrestricted %"]
        rows = [self._cut_row(cut) for cut in [*realms, *groups, *means, *random]]
        return (
            "\n## What a cutout saves, and what it keeps\n\n"
            "![MACs excluded, and accuracy, for each cutout](plots/cutouts.svg)\n\n"
            "Each row: the pictures of its categories only. A cutout chooses among its own categories; *unrestricted* is the whole network on the same\n"
            f"pictures. Random sets are means of {DRAWS} draws (of one category there is nothing to choose). "
            + ("A sequential network costs\nthe same whatever is asked for: 0 % excluded in every row.\n\n" if self.sequential else "\n\n")
            + table(header, rows)
            + f"\nThe most that is excluded here: {percent(best.macs_excluded, 2)} % of the MACs and {percent(best.parameters_excluded, 2)} % of the parameters ({best.name});\n"
            f"the paper's best are {PAPER['macs']} % and {PAPER['parameters']} %, and on average it excludes 8 % of the MACs and 40 % of the parameters against comparable ordinary\n"
            f"networks. Averages here: {percent(means[0].macs_excluded)} % and {percent(means[0].parameters_excluded)} % for a realm, {percent(means[1].macs_excluded)} % and {percent(means[1].parameters_excluded)} % for a group.\n"
        )

    def leaf_attention(self) -> str:
        recall, false = self._leaf_sweep(self.whole)
        self.check_attention()
        base = WEIGHTS.index(1.0)
        summary = [
            [f"{weight:g}", percent(np.nanmean(recall[:, place])), percent(false[:, place].mean(), 2), percent((recall[:, place] > recall[:, base]).mean()), percent((recall[:, place] < recall[:, base]).mean())]
            for place, weight in enumerate(WEIGHTS)
        ]
        plots.attention(self.plots / "attention.svg", WEIGHTS, np.nanmean(recall, 0), false.mean(0))
        rows = [
            [path, *(percent(value, 0) for value in recall[place]), *(percent(value, 2) for value in false[place])]
            for place, path in enumerate(self.engine.categories)
        ]
        header = ["category", *(f"recall {weight:g}" for weight in WEIGHTS), *(f"false {weight:g}" for weight in WEIGHTS)]
        return (
            "\n## Top-down attention at a category\n\n"
            "![Recall and false positives by weight](plots/attention.svg)\n\n"
            "One category is attended to, all are asked for. Recall: the share of the category's own pictures whose first answer it is. False positives: the\n"
            "share of all other pictures whose first answer it is. Means of all categories, in percent.\n\n"
            + table(["weight", "recall", "false positives", "categories that gain", "categories that lose"], summary)
            + f"\n<details><summary>Every category</summary>\n\n{table(header, rows)}\n</details>\n"
        )

    def group_attention(self) -> str:
        measured: dict[str, list[tuple[float, float]]] = {}
        for path, places in self.below.items():
            if "/" in path:
                measured[path] = [self._group_at(path, places, weight) for weight in WEIGHTS]
        recall = np.array([[pair[0] for pair in row] for row in measured.values()])
        false = np.array([[pair[1] for pair in row] for row in measured.values()])
        rows = [
            [path, *(f"{percent(one)} / {percent(two, 2)}" for one, two in row)] for path, row in measured.items()
        ] + [["mean", *(f"{percent(one)} / {percent(two, 2)}" for one, two in zip(np.nanmean(recall, 0), false.mean(0)))]]
        base = WEIGHTS.index(1.0)
        gain = ", ".join(f"{percent((recall[:, place] > recall[:, base]).mean(), 0)} % at {weight:g}" for place, weight in enumerate(WEIGHTS) if weight > 1)
        return (
            "\n## Top-down attention at a group\n\n"
            "The weight multiplies the features of the group, which its categories read. Recall of the group's pictures (the exact category first) / other\n"
            "pictures whose first answer lies in the group, in percent, on the first "
            f"{min(GROUP_PICTURES, len(self.whole.truth)):,} pictures. The share of the groups that gain: " + gain + ".\n\n"
            + table(["group", *(f"{weight:g}" for weight in WEIGHTS)], rows)
        )

    def hard(self) -> str:
        kinds = {"as they are": self.whole}
        with tempfile.TemporaryDirectory() as folder:
            for kind in hard_pictures.KINDS:
                archive = Path(folder, "pictures.tar")
                hard_pictures.write(self.data, archive, kind)
                kinds[kind] = self.engine.evaluate(archive, *self.limit)
        rows, curves = [], {}
        for kind, evaluation in kinds.items():
            recall, false = self._leaf_sweep(evaluation)
            curves[kind] = np.nanmean(recall, 0)
            rows.append([kind, percent(evaluation.top(), 2), *(f"{percent(one)} / {percent(two, 2)}" for one, two in zip(np.nanmean(recall, 0), false.mean(0)))])
        plots.hard(self.plots / "hard.svg", WEIGHTS, curves)
        return (
            "\n## Attention on hard pictures\n\n"
            "![Recall by weight on hard pictures](plots/hard.svg)\n\n"
            f"The same pictures blurred (a Gaussian of {hard_pictures.BLUR} pixels), with noise (deviation {hard_pictures.NOISE} of 255), and with one half covered in grey. Recall / false\n"
            "positives in percent, means of all categories, one category attended to.\n\n"
            + table(["pictures", "top-1 %", *(f"{weight:g}" for weight in WEIGHTS)], rows)
        )

    def confidence(self) -> str:
        found = [leaf.get("calibration") for _, leaf in leaves(self.model.description["trunk"])]
        if None in found:
            return ""
        stated = calibration.confidence(self.whole.scores, np.array([one["slope"] for one in found]), np.array([one["offset"] for one in found]))
        shown = self.whole.truth[:, None] == np.arange(stated.shape[1])
        bins = reliability(stated.ravel(), shown.ravel())
        error = sum(count * abs(mean - share) for _, count, mean, share in bins) / stated.size
        plots.reliability(self.plots / "confidence.svg", bins)
        rows = [[f"{low:.1f} to {low + 0.1:.1f}", f"{count:,}", f"{mean:.3f}", f"{share:.3f}"] for low, count, mean, share in bins]
        single = [
            [f"{limit:g}", percent((stated[~shown] > limit).mean(), 3), percent((stated[shown] > limit).mean()), percent(shown[stated > limit].mean())]
            for limit in THRESHOLDS
        ]
        return (
            "\n## Confidence\n\n"
            "![Stated confidence against what was true](plots/confidence.svg)\n\n"
            "`confidence` is the chance that the picture shows this category at all, from its own score alone. Asked for a single category, with a picture of\n"
            "something else (all pairs of a picture and a category; every category as frequent as here, one of "
            f"{stated.shape[1]}), in percent:\n\n"
            + table(["confidence above", "pictures of something else", "pictures of the category", "of those above, right"], single)
            + f"\nOf all {stated.size:,} pairs, how often the category was shown (expected calibration error {error:.5f}):\n\n"
            + table(["confidence", "pairs", "mean confidence", "shown"], rows)
        )

    def search(self) -> str:
        full = self.engine.cost([])["macs_full"]
        points: dict[str, list[tuple[float, float]]] = {"beam": [], "budget": []}
        rows = []
        for kind, value in self._searches(full):
            options = ["--search", f"beam:{value}"] if kind == "beam" else ["--budget", f"macs:{value}"]
            evaluation = self.engine.evaluate(self.data, *self.limit, *options)
            paid, most = evaluation.macs.mean() / full, evaluation.macs.max() / full
            points[kind].append((paid, evaluation.top()))
            rows.append([f"{kind} {value:,}", percent(paid), percent(most), percent(evaluation.top(), 2), percent(evaluation.top(5), 2)])
        rows.append(["everything", "100.0", "100.0", percent(self.whole.top(), 2), percent(self.whole.top(5), 2)])
        plots.search(self.plots / "search.svg", points, self.whole.top())
        return (
            "\n## Coarse to fine\n\n"
            "![Accuracy against MACs](plots/search.svg)\n\n"
            "Nothing is known about the picture: a search scores the inner branches and descends into the best (`search`), or as far as the MACs go (`budget`).\n"
            "MACs paid, in percent of the whole network's, heads of the inner branches included.\n\n"
            + table(["", "MACs, mean", "MACs, most", "top-1 %", "top-5 %"], rows)
        )

    def groups(self) -> str:
        """Networks for one group alone, beside the cutout."""
        rows = []
        for name, directory in self.arguments.group:
            other = Engine(self.arguments.program, directory)
            places = self.below[name]
            cutout = self._top_of(self.whole, places, places)
            alone = other.evaluate(self.data, *self.limit)
            mine, theirs = self.engine.cost([name]), other.cost([])
            rows.append([name, len(places), f"{mine['macs']:,}", percent(cutout, 2), f"{theirs['macs_full']:,}", percent(alone.top(), 2)])
        if not rows:
            return ""
        return (
            "\n## A cutout beside a network for its group alone\n\n"
            "A sequential network of about the cutout's MACs, trained from the beginning on the pictures of the group alone.\n\n"
            + table(["group", "categories", "MACs of the cutout", "top-1 % of the cutout", "MACs of the other", "top-1 % of the other"], rows)
        )

    # ---- measuring

    def cut(self, name: str, sets: Sequence[Sequence[int]]) -> Cut:
        found: list[list[float]] = []
        for places in sets:
            paths = [self.engine.categories[place] for place in places]
            cost = self.engine.cost([name] if name in self.below else paths)
            time = self.engine.time_ms([name] if name in self.below else paths, 50)
            sequential = [np.nan, np.nan]
            if self.sequential:
                sequential = [self._top_of(self.sequential_scores, places, places), self._top_of(self.sequential_scores, places, None)]
            found.append([
                len(places), 1 - cost["macs"] / cost["macs_full"], 1 - cost["parameters"] / cost["parameters_full"], 1 - time / self._whole_time,
                self._top_of(self.whole, places, places), self._top_of(self.whole, places, None), *sequential,
            ])  # fmt: skip
        return Cut(name, *np.mean(found, axis=0).tolist())

    def check_cutouts(self) -> None:
        """The program computes some cutouts by itself: the scores must be those of the whole network."""
        for path in [path for path in self.below if "/" in path][:3]:
            alone = self.engine.evaluate(self.data, *self.limit, "--categories", path)
            row_of = {name: row for row, name in enumerate(self.whole.names)}
            both = [(row, row_of[name]) for row, name in enumerate(alone.names) if name in row_of]
            mine, whole = np.array(both, dtype=int).reshape(-1, 2).T
            places = self.below[path]
            if not np.array_equal(alone.scores[mine][:, places], self.whole.scores[whole][:, places]):
                raise RuntimeError(f"{path}: the cutout's scores are not those of the whole network")

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

    def _leaf_sweep(self, evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray]:
        """Recall and false positives, [categories, weights]."""
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

    def _attended(self, scores: np.ndarray, place: int, weight: float) -> np.ndarray:
        bias = float(self.model.tensors[f"{self.engine.categories[place]}:head.bias"][0])
        return weight * (scores - bias) + bias

    def _group_at(self, path: str, places: Sequence[int], weight: float) -> tuple[float, float]:
        count = min(GROUP_PICTURES, len(self.whole.truth))
        scores, truth = self.whole.scores[:count].copy(), self.whole.truth[:count]
        if weight != 1:
            options = ["--first", str(count), "--categories", path, "--all-pictures", "--attention", f"{path}:{weight:g}"]
            scores[:, places] = self.engine.evaluate(self.data, *options).scores[:, places]
        first = scores.argmax(1)
        inside = np.isin(truth, places)
        return float((first[inside] == truth[inside]).mean()), float(np.isin(first[~inside], places).mean())

    def _top_of(self, evaluation: Evaluation, pictures: Sequence[int], among: Sequence[int] | None) -> float:
        """Top-1 of the pictures of some categories, among some categories or all."""
        rows = np.isin(evaluation.truth, pictures)
        if not rows.any() or (among is not None and len(among) < 2):
            return np.nan
        columns = np.arange(evaluation.scores.shape[1]) if among is None else np.array(among)
        return float((columns[evaluation.scores[rows][:, columns].argmax(1)] == evaluation.truth[rows]).mean())

    def _searches(self, full: int) -> list[tuple[str, int]]:
        least = self.engine.least_search()
        budgets = [least, *(round(part * full) for part in BUDGET_PARTS)]
        return [("beam", beam) for beam in BEAMS] + [("budget", budget) for budget in budgets if budget >= least]

    def _draws(self, size: int) -> Iterator[np.ndarray]:
        random = np.random.RandomState(size)
        return [np.sort(random.choice(len(self.engine.categories), size, replace=False)) for _ in range(DRAWS)]

    @cached_property
    def _whole_time(self) -> float:
        return self.engine.time_ms([])

    def _sequential(self) -> Engine | None:
        if not self.arguments.sequential:
            return None
        engine = Engine(self.arguments.program, self.arguments.sequential)
        order = [path.rpartition("/")[2] for path in self.engine.categories]
        found = engine.evaluate(self.data, *self.limit)
        place = [engine.categories.index(name) for name in order]
        back = {old: new for new, old in enumerate(place)}
        self.sequential_scores = Evaluation(found.names, np.array([back[one] for one in found.truth]), found.scores[:, place], found.macs)
        return engine

    def _cut_row(self, cut: Cut) -> list[str]:
        shown = [cut.name, f"{cut.categories:.3g}", percent(cut.macs_excluded, 2), percent(cut.parameters_excluded, 2), percent(cut.time_saved), percent(cut.cutout_top), percent(cut.whole_top)]
        return shown + ([percent(cut.sequential_cutout_top), percent(cut.sequential_whole_top)] if self.sequential else [])


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


def main() -> None:
    def named(text: str) -> tuple[str, Path]:
        name, _, directory = text.partition("=")
        return name, Path(directory)

    parser = argparse.ArgumentParser(description="Write RESULTS.md of a network.")
    parser.add_argument("--model", type=Path, required=True, help="the model directory")
    parser.add_argument("--data", type=Path, required=True, help="labelled pictures that were not trained on")
    parser.add_argument("--output", type=Path, required=True, help="the file to write; plots go into a folder beside it")
    parser.add_argument("--program", type=Path, default=Path("build/server/espalier"), help="the program (default: %(default)s)")
    parser.add_argument("--sequential", type=Path, help="model directory of a sequential network")
    parser.add_argument("--group", type=named, action="append", default=[], metavar="PATH=DIR", help="network for one group alone")
    parser.add_argument("--threads", type=int, help="threads that compute (default: all CPUs)")
    parser.add_argument("--first", type=int, help="only so many pictures")
    Report(parser.parse_args()).write()


if __name__ == "__main__":
    main()

"""Writes RESULTS.md of a network: what cutouts save and keep, what attention does, how confident it may be, and what a search
costs; with plots. measurements.py does the measuring, with the program itself, on labelled pictures that were not trained on.

    python3 -m espalier_models.results --model deploy/models/tiny-imagenet-200 --data ../shared/data/tiny-imagenet/val.tar.gz \\
        --sequential DIR --group NAME=DIR --output deploy/models/tiny-imagenet-200/RESULTS.md

`--sequential` is an ordinary network of the same MACs, without branches; `--group` (any number) one of a group's cutout's MACs, trained on
that group alone. `--first N` takes only some of the pictures, for a quick look. What a network does not have (groups, inner heads, a
calibration) has no section. The command itself stands in what it writes.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from . import calibration, hard_pictures, plots
from .engine import Engine
from .measurements import DRAWS, WEIGHTS, Cut, Measurements, mean_cut, reliability, top_of
from .plain_errors import plain_errors
from .recipe import leaves

THRESHOLDS = (0.2, 0.5, 0.8, 0.9)
PAPER = {"macs": 84.41, "parameters": 73.48}  # excluded at most, in percent: Kelm et al., arXiv 2308.05128
PAPER_MEANS = ("8", "40")  # of MACs and parameters, in percent, on average


def percent(value: float, digits: int = 1) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.{digits}f}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


class Report:
    """Writes the sections, and the plots beside them."""

    def __init__(self, measured: Measurements, others: Sequence[tuple[str, Engine]], output: Path, command: str) -> None:
        """`others`: networks for one group alone, with the group's path. `command`: how this was called."""
        self.measured, self.engine, self.others = measured, measured.engine, others
        self.output, self.command = output, command
        self.plots = output.parent / "plots"
        self.plots.mkdir(parents=True, exist_ok=True)

    def write(self) -> None:
        sections = [self.overview, self.cutouts, self.leaf_attention, self.group_attention, self.hard, self.confidence, self.search, self.alone]
        self.output.write_text("\n".join(text for section in sections if (text := section())), encoding="utf-8")
        print(f"wrote {self.output}")

    def overview(self) -> str:
        measured, description, cost = self.measured, self.measured.model.description, self.engine.cost([])
        networks = [("this network", self.engine, measured.whole)]
        if measured.sequential:
            networks.append(("a sequential network", measured.sequential, measured.sequential_scores))
        rows = [
            [name, *(f"{engine.cost([])[unit]:,}" for unit in ("macs_full", "parameters_full")), f"{engine.full[2]:.2f}", percent(said.top(), 2), percent(said.top(5), 2)]
            for name, engine, said in networks
        ]
        return (
            f"# {description['name']}, version {description['version']}: results\n\n"
            f"Measured with the program on {len(measured.whole.truth):,} pictures that were not trained on. Kernels `{cost['kernels']}`, {cost['precision']}. Times are\n"
            "medians on one thread of the machine that wrote this. Written by\n\n"
            f"```sh\n{self.command}\n```\n\n"
            + table(["", "MACs", "parameters", "time, ms", "top-1 %", "top-5 %"], rows)
        )

    def cutouts(self) -> str:
        measured = self.measured
        measured.check_cutouts()
        realms, groups = ([measured.cut(path, [measured.below[path]]) for path in paths] for paths in (measured.realms, measured.groups))
        random = [measured.cut(f"{size} random", sets) for size, sets in measured.random_sets().items()]
        plots.cutouts(self.plots / "cutouts.svg", realms, groups, random)
        means = {kind: mean_cut(f"mean of the {kind}s", cuts) for kind, cuts in (("realm", realms), ("group", groups)) if cuts}
        rows = [*realms, *groups, *means.values(), *random]
        header = ["asked for", "categories", "MACs excluded %", "parameters excluded %", "time saved %", "top-1 % of the cutout", "top-1 % unrestricted"]
        return (
            "\n## What a cutout saves, and what it keeps\n\n"
            "![MACs excluded, and accuracy, for each cutout](plots/cutouts.svg)\n\n"
            "Each row: the pictures of its categories only. A cutout chooses among its own categories; *unrestricted* is the whole network on the same\n"
            f"pictures. Random sets are means of {DRAWS} draws (of one category there is nothing to choose).\n\n"
            + table(header, [
                [cut.name, f"{cut.categories:.3g}", percent(cut.macs_excluded, 2), percent(cut.parameters_excluded, 2), percent(cut.time_saved), percent(cut.cutout_top), percent(cut.whole_top)]
                for cut in rows
            ])
            + self._beside_the_sequential(rows)
            + self._beside_the_paper(max(groups + random, key=lambda cut: cut.macs_excluded), {**means, "single category": random[0]})
        )  # fmt: skip

    def leaf_attention(self) -> str:
        recall, false = self.measured.leaf_attention(self.measured.whole)
        self.measured.check_attention()
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
        groups = self.measured.groups
        if not groups:
            return ""
        found = np.array([[self.measured.group_attention(path, weight) for weight in WEIGHTS] for path in groups])
        recall = found[:, :, 0]
        base = WEIGHTS.index(1.0)
        gain = ", ".join(f"{percent((recall[:, place] > recall[:, base]).mean(), 0)} % at {weight:g}" for place, weight in enumerate(WEIGHTS) if weight > 1)
        rows = zip([*groups, "mean"], [*found, np.nanmean(found, 0)])
        return (
            "\n## Top-down attention at a group\n\n"
            "The weight multiplies the features of the group, which its categories read. Recall of the group's pictures (the exact category first) / other\n"
            "pictures whose first answer lies in the group, in percent. The share of the groups that gain: " + gain + ".\n\n"
            + table(["group", *(f"{weight:g}" for weight in WEIGHTS)], [[name, *(f"{percent(one)} / {percent(two, 2)}" for one, two in row)] for name, row in rows])
        )

    def hard(self) -> str:
        kinds = {"as they are": self.measured.whole}
        with tempfile.TemporaryDirectory() as folder:
            for kind in hard_pictures.KINDS:
                archive = Path(folder, "pictures.tar")
                hard_pictures.write(self.measured.data, archive, kind)
                kinds[kind] = self.measured.evaluate(archive)
        rows, curves = [], {}
        for kind, evaluation in kinds.items():
            recall, false = self.measured.leaf_attention(evaluation)
            curves[kind] = np.nanmean(recall, 0)
            rows.append([kind, percent(evaluation.top(), 2), *(f"{percent(one)} / {percent(two, 2)}" for one, two in zip(curves[kind], false.mean(0)))])
        plots.hard(self.plots / "hard.svg", WEIGHTS, curves)
        return (
            "\n## Attention on hard pictures\n\n"
            "![Recall by weight on hard pictures](plots/hard.svg)\n\n"
            f"The same pictures blurred (a Gaussian of {hard_pictures.BLUR} pixels), with noise (deviation {hard_pictures.NOISE} of 255), and with one half covered in grey. Recall / false\n"
            "positives in percent, means of all categories, one category attended to.\n\n"
            + table(["pictures", "top-1 %", *(f"{weight:g}" for weight in WEIGHTS)], rows)
        )

    def confidence(self) -> str:
        found = [leaf.get("calibration") for _, leaf in leaves(self.measured.model.description["trunk"])]
        if None in found:
            return ""
        whole = self.measured.whole
        stated = calibration.confidence(whole.scores, np.array([one["slope"] for one in found]), np.array([one["offset"] for one in found]))
        shown = whole.truth[:, None] == np.arange(stated.shape[1])
        bins = reliability(stated.ravel(), shown.ravel())
        error = sum(count * abs(mean - share) for _, count, mean, share in bins) / stated.size
        plots.reliability(self.plots / "confidence.svg", bins)
        rows = [[f"{low:.1f} to {low + 0.1:.1f}", f"{count:,}", f"{mean:.3f}", f"{share:.3f}"] for low, count, mean, share in bins]
        single = [
            [f"{limit:g}", percent((stated[~shown] > limit).mean(), 3), percent((stated[shown] > limit).mean()), percent(shown[stated > limit].mean()) if (stated > limit).any() else "–"]
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
        searches = self.measured.searches()
        if not searches:
            return ""
        full, whole = self.engine.cost([])["macs_full"], self.measured.whole
        points: dict[str, list[tuple[float, float]]] = {"beam": [], "budget": []}
        rows = []
        for kind, value in searches:
            options = ["--search", f"beam:{value}"] if kind == "beam" else ["--budget", f"macs:{value}"]
            evaluation = self.measured.evaluate(self.measured.data, *options)
            paid, most = evaluation.macs.mean() / full, evaluation.macs.max() / full
            points[kind].append((paid, evaluation.top()))
            rows.append([f"{kind} {value:,}", percent(paid), percent(most), percent(evaluation.top(), 2), percent(evaluation.top(5), 2)])
        rows.append(["everything", "100.0", "100.0", percent(whole.top(), 2), percent(whole.top(5), 2)])
        plots.search(self.plots / "search.svg", points, whole.top())
        return (
            "\n## Coarse to fine\n\n"
            "![Accuracy against MACs](plots/search.svg)\n\n"
            "Nothing is known about the picture: a search scores the inner branches and descends into the best (`search`), or as far as the MACs go (`budget`).\n"
            "MACs paid, in percent of the whole network's, heads of the inner branches included. Where a budget does not pay for the most promising\n"
            "branch, the next that it pays for is entered: with less than what a beam of 1 takes at most, price decides more than the picture.\n\n"
            + table(["", "MACs, mean", "MACs, most", "top-1 %", "top-5 %"], rows)
        )

    def alone(self) -> str:
        """Networks for one group alone, beside the cutout."""
        if not self.others:
            return ""
        rows = []
        for name, other in self.others:
            places = self.measured.below[name]
            cutout, alone = top_of(self.measured.whole, places, places), other.evaluate(self.measured.data, *self.measured.limit).top()
            macs = self.engine.cost([name])["macs"], other.cost([])["macs_full"]
            rows.append([name, len(places), f"{macs[0]:,}", percent(cutout, 2), f"{macs[1]:,}", percent(alone, 2)])
        return (
            "\n## A cutout beside a network for its group alone\n\n"
            "A sequential network of about the cutout's MACs, trained from the beginning on the pictures of the group alone.\n\n"
            + table(["group", "categories", "MACs of the cutout", "top-1 % of the cutout", "MACs of the other", "top-1 % of the other"], rows)
        )

    # ---- parts of sections

    def _beside_the_sequential(self, cuts: Sequence[Cut]) -> str:
        if not self.measured.sequential:
            return ""
        header = ["asked for", "MACs saved %", "parameters saved %", "time saved %", "top-1 % of the cutout", "sequential, only these %", "sequential, unrestricted %"]
        return (
            "\nBeside the sequential network, which costs the same whatever is asked for: 0 % excluded in every row. What a cutout saves of that\n"
            "network's MACs, parameters and time; the top-1 of the cutout, of the sequential network where only its answers among these categories\n"
            "count, and of all its answers.\n\n"
            + table(header, [
                [cut.name, percent(cut.sequential_macs_saved, 2), percent(cut.sequential_parameters_saved, 2), percent(cut.sequential_time_saved), percent(cut.cutout_top),
                 percent(cut.sequential_cutout_top), percent(cut.sequential_whole_top)]
                for cut in cuts
            ])
        )  # fmt: skip

    def _beside_the_paper(self, best: Cut, means: Mapping[str, Cut]) -> str:
        header = ["in the mean", "MACs excluded %", "parameters excluded %"]
        rows = [[f"a {kind}", percent(cut.macs_excluded), percent(cut.parameters_excluded)] for kind, cut in means.items()]
        paper = ["the paper"]
        if self.measured.sequential:
            header += ["MACs saved of the sequential %", "parameters saved %"]
            for row, cut in zip(rows, means.values()):
                row += [percent(cut.sequential_macs_saved), percent(cut.sequential_parameters_saved)]
            paper += ["–", "–"]
        return (
            f"\nThe most that is excluded here: {percent(best.macs_excluded, 2)} % of the MACs and {percent(best.parameters_excluded, 2)} % of the parameters ({best.name});\n"
            f"the paper's best are {PAPER['macs']} % and {PAPER['parameters']} %. Its averages are those against comparable ordinary networks.\n\n"
            + table(header, [*rows, [*paper, *PAPER_MEANS]])
        )


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
    chosen = parser.parse_args()
    with plain_errors():
        report(chosen)


def report(chosen: argparse.Namespace) -> None:
    """Writes what the command line asks for."""

    def engine(model: Path) -> Engine:
        return Engine(chosen.program, model, chosen.threads)

    measured = Measurements(engine(chosen.model), chosen.data, engine(chosen.sequential) if chosen.sequential else None, chosen.first)
    if unknown := [name for name, _ in chosen.group if name not in measured.below]:
        raise ValueError(f"--group: {chosen.model} has no group {unknown[0]}")
    command = re.sub(" (?=--)", " \\\\\n    ", "PYTHONPATH=deploy/models python3 -m espalier_models.results " + shlex.join(sys.argv[1:]))
    Report(measured, [(name, engine(model)) for name, model in chosen.group], chosen.output, command).write()


if __name__ == "__main__":
    main()

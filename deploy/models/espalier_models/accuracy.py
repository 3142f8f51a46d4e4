"""Measures a model directory on an archive of pictures: <anything>/<WordNet id>/<file>, a .tar.gz, read in place.

    python3 -m espalier_models.accuracy --model DIR --taxonomy taxonomy.json --archive val.tar.gz

The taxonomy gives each category's WordNet id. The pictures are taken in the order of the archive, and cut to the network's size as
in the training (see pictures). Reported are top-1, top-5, how often the first answer lies in the right group (the
category's parent), and the same top-1 where only the categories of the picture's own group are asked for, averaged
over the groups, beside that of all categories on the same pictures, averaged in the same way.

    --first N           take only the first N pictures
    --predictions TSV   compare with known first answers: lines of image, true category, predicted category
    --compare DIR       report also how far the scores are from those of another model directory
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import json_file, model_directory, pictures
from .description import input_shape
from .network import Network
from .plain_errors import plain_errors

BATCH = 100


@dataclass(frozen=True)
class Picture:
    """A picture of the archive: its name there, its WordNet id and its pixels."""

    name: str
    wnid: str
    pixels: np.ndarray


@dataclass(frozen=True)
class Results:
    """What a network said to the pictures: names, indices of the true categories, and scores, row by row."""

    names: list[str]
    truth: torch.Tensor
    scores: torch.Tensor


def read_archive(archive: Path, height: int, width: int) -> Iterator[Picture]:
    """Yields the archive's pictures in its order."""
    for name, content in pictures.files(archive):
        picture, folders = pictures.decode(content), name.split("/")[:-1]
        if picture is None or not folders:
            raise ValueError(f"{archive}: {name} is no picture in a folder")
        yield Picture(name, folders[-1], pictures.fit(picture, height, width))


def categories_by_wnid(node: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """The category path of each WordNet id of a taxonomy."""
    paths: dict[str, str] = {}
    for child in node["children"]:
        path = prefix + child["name"]
        if "children" in child:
            paths.update(categories_by_wnid(child, path + "/"))
        else:
            paths[child["wnid"]] = path
    return paths


def classify(network: Network, shown: Iterator[Picture], paths: dict[str, str]) -> Results:
    """Runs the network on the pictures, batch by batch."""
    names: list[str] = []
    truth: list[int] = []
    scores: list[torch.Tensor] = []
    with torch.no_grad():
        while batch := list(itertools.islice(shown, BATCH)):
            names += [picture.name for picture in batch]
            if unknown := [picture.wnid for picture in batch if picture.wnid not in paths]:
                raise ValueError(f"the taxonomy has no category {unknown[0]}")
            truth += [network.categories.index(paths[picture.wnid]) for picture in batch]
            inputs = network.normalise(np.stack([picture.pixels for picture in batch]))
            scores.append(network.run(inputs).categories)
    return Results(names, torch.tensor(truth), torch.cat(scores))


def share(hits: torch.Tensor) -> float:
    """The share of hits, in percent."""
    return 100 * hits.float().mean().item()


def top(results: Results, count: int) -> float:
    """How often the true category is among the first `count`."""
    found = results.scores.topk(count).indices == results.truth[:, None]
    return share(found.any(1))


def groups_of(categories: list[str]) -> torch.Tensor:
    """The number of each category's group, counted from 0 in order of first appearance."""
    parents = [path.rpartition("/")[0] for path in categories]
    numbers = {parent: number for number, parent in enumerate(dict.fromkeys(parents))}
    return torch.tensor([numbers[parent] for parent in parents])


def first_group(results: Results, groups: torch.Tensor) -> float:
    """How often the first answer lies in the true category's group."""
    return share(groups[results.scores.argmax(1)] == groups[results.truth])


def own_group(results: Results, groups: torch.Tensor) -> tuple[float, float]:
    """Top-1 where only the picture's own group is asked for, and where all are: means over the groups."""
    restricted: list[float] = []
    unrestricted: list[float] = []
    for group in range(int(groups.max()) + 1):
        rows = groups[results.truth] == group
        if rows.any():
            inside = results.scores[rows].masked_fill(groups != group, float("-inf"))
            restricted.append(share(inside.argmax(1) == results.truth[rows]))
            unrestricted.append(share(results.scores[rows].argmax(1) == results.truth[rows]))
    return float(np.mean(restricted)), float(np.mean(unrestricted))


def agreement(results: Results, categories: list[str], predictions: Path) -> tuple[int, int]:
    """How many of a list's first answers are the network's, and how many the list has."""
    lines = [line.split("\t") for line in predictions.read_text(encoding="utf-8").splitlines()[1:]]
    answers = dict(zip(results.names, (categories[index] for index in results.scores.argmax(1))))
    return sum(answers.get(image) == predicted for image, _, predicted in lines), len(lines)


def report_difference(results: Results, other: Results) -> None:
    """Prints how far two networks' scores are from each other."""
    differences = (results.scores - other.scores).abs()
    changed = int((results.scores.argmax(1) != other.scores.argmax(1)).sum())
    print(f"compared: largest score difference {differences.max():.3g}, mean {differences.mean():.3g}, ", end="")
    print(f"top-1 there {top(other, 1):.2f} %, {changed} first answers differ")


def report(results: Results, categories: list[str]) -> None:
    """Prints the accuracy."""
    groups = groups_of(categories)
    restricted, unrestricted = own_group(results, groups)
    print(f"pictures: {len(results.names)}")
    print(f"top-1 {top(results, 1):.2f} %, top-5 {top(results, 5):.2f} %, ", end="")
    print(f"group of the first answer {first_group(results, groups):.2f} %")
    print(f"own group only, mean of the groups: top-1 {restricted:.2f} % ({unrestricted:.2f} % among all categories)")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a model directory on an archive of pictures.")
    parser.add_argument("--model", type=Path, required=True, help="the model directory")
    parser.add_argument("--taxonomy", type=Path, required=True, help="taxonomy.json with the WordNet ids")
    parser.add_argument("--archive", type=Path, required=True, help=".tar.gz of <anything>/<WordNet id>/<file>")
    parser.add_argument("--first", type=int, help="take only the first N pictures (default: all)")
    parser.add_argument("--predictions", type=Path, help="known first answers (TSV: image, true, predicted)")
    parser.add_argument("--compare", type=Path, help="another model directory to compare the scores with")
    arguments = parser.parse_args()
    with plain_errors():
        run(arguments)


def run(arguments: argparse.Namespace) -> None:
    paths = categories_by_wnid(json_file.read(arguments.taxonomy))

    def measure(directory: Path) -> tuple[Network, Results]:
        model = model_directory.read(directory)
        network, (_, height, width) = Network(model), input_shape(model.description)
        return network, classify(network, itertools.islice(read_archive(arguments.archive, height, width), arguments.first), paths)

    network, results = measure(arguments.model)
    report(results, network.categories)
    if arguments.predictions:
        same, listed = agreement(results, network.categories, arguments.predictions)
        print(f"first answers as listed: {same} of {listed}")
    if arguments.compare:
        report_difference(results, measure(arguments.compare)[1])


if __name__ == "__main__":
    main()

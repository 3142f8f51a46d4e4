"""Tests of what draws, spoils and measures pictures, of the first draft of a recipe, and of RESULTS.md.

RESULTS.md is written where the program is built: ESPALIER_BINARY, or build/server/espalier.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from espalier_models import example_pictures, hard_pictures, measurements, model_directory, new_recipe, pictures, recipe, results
from espalier_models.description import input_shape, parse_tree, tensor_shapes
from espalier_models.engine import Engine, Evaluation

BINARY = Path(os.environ.get("ESPALIER_BINARY", Path(__file__).resolve().parents[2] / "build" / "server" / "espalier"))


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class Drawn(Folder):
    def test_the_same_seed_draws_the_same(self) -> None:
        self.assertEqual(example_pictures.write(self.folder / "a", 2, 24, 5), 12)
        example_pictures.write(self.folder / "b", 2, 24, 5)
        example_pictures.write(self.folder / "c", 2, 24, 6)
        path = Path("round", "moon", "0001.jpg")
        self.assertEqual((self.folder / "a" / path).read_bytes(), (self.folder / "b" / path).read_bytes())
        self.assertNotEqual((self.folder / "a" / path).read_bytes(), (self.folder / "c" / path).read_bytes())

    def test_shapes_differ(self) -> None:
        shapes = [shape for group in example_pictures.SHAPES.values() for shape in group]
        drawn = [np.asarray(example_pictures.draw(shape, 32, np.random.RandomState(3))).astype(int) for shape in shapes]
        for one in range(len(drawn)):
            for other in range(one):
                self.assertGreater(np.abs(drawn[one] - drawn[other]).mean(), 1, f"{shapes[one]}, {shapes[other]}")


class FirstDraft(Folder):
    def test_folders_become_the_tree(self) -> None:
        example_pictures.write(self.folder / "pictures", 1, 24, 1)
        (self.folder / "pictures" / "round" / "Half Moon").mkdir()
        Image.new("RGB", (8, 8)).save(self.folder / "pictures" / "round" / "Half Moon" / "1.png")
        (self.folder / "pictures" / "empty").mkdir()
        tree = new_recipe.taxonomy(self.folder / "pictures")
        paths = [path for path, _ in recipe.leaves(tree)]
        self.assertEqual(paths[:3], ["angular/square", "angular/star", "angular/triangle"])
        self.assertIn("round/half_moon", paths)
        self.assertFalse(any(path.startswith("empty") for path in paths))

    def test_the_pictures_of_every_folder_are_found(self) -> None:
        for folder in ("bird/Young", "cat/Young", "cat/Egyptian cat", "dog/St. Bernard (large)"):
            (self.folder / folder).mkdir(parents=True)
            Image.new("RGB", (24, 24)).save(self.folder / folder / "1.png")
        (self.folder / "taxonomy.json").write_text(json.dumps(new_recipe.taxonomy(self.folder)))
        (self.folder / "recipe.json").write_text(json.dumps(new_recipe.recipe("animals", 24)))
        plan = recipe.read(self.folder / "recipe.json")
        self.assertEqual(pictures.load([self.folder], plan.labels, 24, 24).truth.tolist(), [0, 1, 2, 3])

    def test_folders_that_cannot_be_told_apart_are_an_error(self) -> None:
        for folders, said in ((("cat/tabby", "Cat/manx"), "Cat and .*cat: both would be called cat"), (("日本",), "日本: a category's name has 1 to 64 letters")):
            with tempfile.TemporaryDirectory() as place:
                for folder in folders:
                    Path(place, folder).mkdir(parents=True)
                    Image.new("RGB", (8, 8)).save(Path(place, folder, "1.png"))
                with self.assertRaisesRegex(ValueError, said):
                    new_recipe.taxonomy(Path(place))

    def test_a_draft_can_be_read_for_every_size(self) -> None:
        example_pictures.write(self.folder / "pictures", 1, 24, 1)
        (self.folder / "taxonomy.json").write_text(json.dumps(new_recipe.taxonomy(self.folder / "pictures")))
        for size in (24, 48, 64, 128, 224):
            (self.folder / "recipe.json").write_text(json.dumps(new_recipe.recipe("shapes", size)))
            plan = recipe.read(self.folder / "recipe.json")
            self.assertEqual(plan.labels["moon"], plan.labels["round/moon"])

    def test_the_command(self) -> None:
        """Writes both files or none, and the name is one that a network may have."""
        for name in ("pictures/cat/1.jpg", "pictures/dog/1.jpg", "pictures/.thumbnails/1.jpg"):
            path = self.folder / name
            path.parent.mkdir(parents=True)
            path.write_bytes(b"")
        self.draft("my garden!")
        plan = recipe.read(self.folder / "my garden!" / "recipe.json")
        self.assertEqual(plan.description["name"], "my_garden_")
        self.assertEqual(set(plan.labels), {"cat", "dog"})
        (self.folder / "my garden!" / "taxonomy.json").unlink()
        (self.folder / "file").write_text("")
        for output, size, message in (("my garden!", 64, "there already"), ("file", 64, "file"), ("file/below", 64, "file"),
                                      ("new", 7, "8 to 4096"), ("new", 4097, "8 to 4096")):  # fmt: skip
            with self.assertRaisesRegex(SystemExit, message):
                self.draft(output, size)
        self.assertFalse((self.folder / "my garden!" / "taxonomy.json").exists() or (self.folder / "new").exists())
        (self.folder / "pictures" / "cat").rename(self.folder / "pictures" / "Trunk")
        with self.assertRaisesRegex(SystemExit, "Trunk: .* rename the folder"):
            self.draft("new")

    def draft(self, output: str, size: int = 48) -> None:
        command = ["new_recipe", "--data", str(self.folder / "pictures"), "--output", str(self.folder / output), "--size", str(size)]
        with mock.patch.object(sys, "argv", command), contextlib.redirect_stdout(io.StringIO()):
            new_recipe.main()

    def test_a_folder_without_pictures_is_an_error(self) -> None:
        with self.assertRaisesRegex(ValueError, "has no folders with pictures"):
            new_recipe.taxonomy(self.folder)


class HardPictures(Folder):
    def archive(self) -> Path:
        path = self.folder / "pictures.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            for number in range(3):
                content = io.BytesIO()
                example_pictures.draw("star", 48, np.random.RandomState(number)).save(content, "JPEG", quality=95)
                member = tarfile.TarInfo(f"pictures/star/{number}.jpg")
                member.size = content.tell()
                content.seek(0)
                tar.addfile(member, content)
        return path

    def test_keep_their_names_and_change_the_same_way_each_time(self) -> None:
        source = self.archive()
        for kind in hard_pictures.KINDS:
            copies = [self.folder / "one.tar", self.folder / "two.tar"]
            for copy in copies:
                hard_pictures.write(source, copy, kind)
            self.assertEqual(copies[0].read_bytes(), copies[1].read_bytes())
            plain, changed = dict(pictures.files(source)), dict(pictures.files(copies[0]))
            self.assertEqual(list(plain), list(changed))
            for name, content in plain.items():
                before, after = (np.asarray(Image.open(io.BytesIO(one))).astype(int) for one in (content, changed[name]))
                self.assertGreater(np.abs(before - after).mean(), 2, kind)

    def test_what_cannot_be_read_is_left_out(self) -> None:
        (self.folder / "star").mkdir()
        (self.folder / "star" / "0.jpg").write_bytes(b"no picture")
        hard_pictures.write(self.folder, self.folder / "one.tar", "noisy")
        self.assertEqual(list(pictures.files(self.folder / "one.tar")), [])

    def test_half_of_a_picture_is_covered(self) -> None:
        covered = np.asarray(hard_pictures.change(Image.new("RGB", (40, 40), (250, 10, 10)), "half covered", "name"))
        self.assertEqual(int((covered == hard_pictures.GREY).all(2).sum()), 800)

    def test_an_unknown_kind_is_an_error(self) -> None:
        with self.assertRaisesRegex(ValueError, "blurred"):
            hard_pictures.change(Image.new("RGB", (8, 8)), "burnt", "name")


class Figures(unittest.TestCase):
    def test_ranks_count_what_is_better(self) -> None:
        scores = np.array([[3.0, 2, 1], [1, 2, 3], [np.nan, 1, 2], [1, np.nan, 0]])
        found = Evaluation([""] * 4, np.array([0, 0, 0, 0]), scores, np.zeros(4))
        self.assertEqual(found.ranks().tolist(), [0, 2, 3, 0])
        self.assertEqual(found.top(), 0.5)
        self.assertEqual(found.top(3), 0.75)

    def test_reliability_counts_every_pair_once(self) -> None:
        random = np.random.RandomState(1)
        stated = np.concatenate([random.rand(1000), [0.0, 1.0]])
        shown = random.rand(1002) < stated
        bins = measurements.reliability(stated, shown)
        self.assertEqual(sum(count for _, count, _, _ in bins), 1002)
        for low, _, mean, share in bins:
            self.assertTrue(low <= mean <= low + 0.1)
            self.assertAlmostEqual(mean, share, delta=0.15)

    def test_a_table_is_markdown(self) -> None:
        self.assertEqual(results.table(["a", "b"], [["x", 1]]), "| a | b |\n| --- | --: |\n| x | 1 |\n")


@unittest.skipUnless(BINARY.is_file(), f"{BINARY} is not there: build it, or set ESPALIER_BINARY")
class Reports(Folder):
    """RESULTS.md of networks with random weights, on drawn pictures."""

    def setUp(self) -> None:
        super().setUp()
        self.data = self.folder / "pictures"
        example_pictures.write(self.data / "shape", 4, 24, 1)
        self.tree = new_recipe.taxonomy(self.data)

    def network(self, name: str, **changes: Any) -> Path:
        """A network of the drawn shapes; `changes` to its recipe."""
        (self.folder / "taxonomy.json").write_text(json.dumps(self.tree))
        (self.folder / "recipe.json").write_text(json.dumps({**new_recipe.recipe(name, 24), **changes}))
        description = recipe.read(self.folder / "recipe.json").description
        random = np.random.RandomState(len(name))
        tensors = {
            name: np.abs(random.normal(0, 0.2, shape)).astype(np.float32) if "head" in name else random.normal(0, 0.2, shape).astype(np.float32)
            for name, shape in tensor_shapes(parse_tree(description), input_shape(description)).items()
        }
        model_directory.write(self.folder / name, description, tensors, dict.fromkeys(tensors, "F32"))
        return self.folder / name

    def report(self, model: Path, *options: str) -> str:
        output = self.folder / "RESULTS.md"
        command = ["results", "--program", str(BINARY), "--model", str(model), "--data", str(self.data), "--output", str(output), *options]
        with mock.patch.object(sys, "argv", command), mock.patch("builtins.print"):
            results.main()
        return output.read_text(encoding="utf-8")

    def test_a_tree_beside_ordinary_networks(self) -> None:
        ordinary = self.network("ordinary", flat=True)
        alone = self.network("alone", only="shape/round", flat=True)
        tree = self.network("tree")
        (self.data / "shape" / "round" / "moon" / "broken.jpg").write_bytes(b"no picture")
        text = self.report(tree, "--sequential", str(ordinary), "--group", f"shape/round={alone}")
        self.assertIn(f"espalier_models.results \\\n    --program {BINARY} \\\n    --model {tree} \\\n", text)
        own, other = Engine(BINARY, tree), Engine(BINARY, ordinary)
        cost = own.cost(["shape/round"])
        kept = measurements.top_of(own.evaluate(self.data, "--categories", "shape/round", "--all-pictures"), [3, 4, 5], [3, 4, 5])
        row = next(line.split(" | ") for line in text.splitlines() if line.startswith("| shape/round |"))
        self.assertEqual(row[2], f"{100 * (1 - cost['macs'] / cost['macs_full']):.2f}")
        self.assertEqual(row[5], f"{100 * kept:.1f}")
        # the two groups are alike, so that their mean is either's
        saved = [f"{100 * (1 - cost[unit] / other.cost([])[unit + '_full']):.1f}" for unit in ("macs", "parameters")]
        self.assertEqual(next(line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| a group |"))[3:], saved)
        self.assertIn("| shape/round | 3 |", text)
        for section in ("Top-down attention at a group", "Coarse to fine", "beside a network for its group alone", "| mean of the realms |"):
            self.assertIn(section, text)
        self.assertNotIn("nan", text)

    def test_what_a_network_does_not_have_is_left_out(self) -> None:
        text = self.report(self.network("ordinary", flat=True))
        for section in ("at a group", "Confidence", "Coarse to fine", "mean of the", "sequential"):
            self.assertNotIn(section, text)
        for section in ("| 5 random |", "Top-down attention at a category", "Attention on hard pictures", "![Recall"):
            self.assertIn(section, text)

    def test_networks_of_other_categories_are_refused(self) -> None:
        other, tree = self.network("other", only="shape/round", flat=True), self.network("tree")
        with self.assertRaisesRegex(SystemExit, "other: has no category square, which .*tree has"):
            self.report(tree, "--sequential", str(other))
        with self.assertRaisesRegex(SystemExit, "tree has no group shape/flat"):
            self.report(tree, "--group", f"shape/flat={other}")


if __name__ == "__main__":
    unittest.main()

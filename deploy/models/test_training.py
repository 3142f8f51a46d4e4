"""Tests of the training package: recipe, pictures, network, choice of branches, calibration, training and export.

The engine's part runs where the program is built: ESPALIER_BINARY, or build/server/espalier.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

from espalier_models import calibration, imitate, model_directory, normalised_start, pictures, recipe, safetensors_file, train
from espalier_models.branch_choice import BranchChoice
from espalier_models.description import DescriptionError, input_shape, parse_tree
from espalier_models.distillation import Teacher
from espalier_models.network import Network
from espalier_models.tree_network import Convolution, TreeNetwork, trained

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("ESPALIER_BINARY", REPOSITORY / "build" / "server" / "espalier"))
COLOURS = {"red": (200, 40, 40), "grey": (128, 128, 128), "green": (40, 180, 60), "blue": (40, 60, 200), "black": (10, 10, 10)}

CONV = {"op": "conv", "name": "conv1", "out": 6, "kernel": 3, "stride": 2, "padding": 1, "activation": "relu"}
LEAF = {"op": "conv", "name": "conv1", "out": 4, "kernel": 3, "padding": 1, "activation": "relu"}
TAXONOMY = {
    "children": [
        {"name": "warm", "label": "warm colours", "children": [{"name": "red", "id": "n01"}, {"name": "grey"}]},
        {"name": "cold", "children": [{"name": "green"}, {"name": "blue"}]},
        {"name": "black"},
    ]
}


def residual(middle: int, channels: int = 6) -> dict[str, Any]:
    body = [
        {"op": "conv", "name": "conv1", "out": middle, "kernel": 3, "padding": 1, "activation": "relu"},
        {"op": "conv", "name": "conv2", "out": channels, "kernel": 3, "padding": 1},
    ]
    return {"op": "residual", "name": "res1", "activation": "relu", "body": body}


def layers(trunk: list[Any] | None = None, inner: list[Any] | None = None, leaf: Any = None) -> dict[str, Any]:
    return {"trunk": trunk or [CONV, residual(5)], "inner": [inner or [CONV]], "leaf": [leaf or LEAF]}


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def plan(self, training: dict[str, Any] | None = None, **parts: Any) -> recipe.Recipe:
        return recipe.read(self.recipe_file(training, **parts))

    def recipe_file(self, training: dict[str, Any] | None = None, **parts: Any) -> Path:
        (self.folder / "taxonomy.json").write_text(json.dumps(TAXONOMY))
        size = {"channels": 3, "height": 32, "width": 32, "mean": [0.5] * 3, "std": [0.25] * 3}
        text = {"name": "colours", "version": "1", "taxonomy": "taxonomy.json", "input": size, "layers": layers(**parts)}
        path = self.folder / "recipe.json"
        path.write_text(json.dumps({**text, "training": training or {}}))
        return path

    def flat_recipe_file(self, trunk: list[Any], training: dict[str, Any] | None = None) -> Path:
        """An ordinary network: all categories hang from the trunk."""
        path = self.recipe_file(training)
        path.write_text(json.dumps({**json.loads(path.read_text()), "flat": True, "layers": {"trunk": trunk, "leaf": []}}))
        return path

    def pictures(self, each: int = 24) -> Path:
        """Folders of noisy pictures of one colour each."""
        random = np.random.RandomState(1)
        for name, colour in COLOURS.items():
            folder = self.folder / "pictures" / name
            folder.mkdir(parents=True)
            for number in range(each):
                pixels = np.clip(np.array(colour) + random.normal(0, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
        return self.folder / "pictures"

    def train(self, *arguments: str, training: dict[str, Any] | None = None, **parts: Any) -> str:
        """Runs the command; returns what it printed."""
        return self.follow(self.recipe_file({"epochs": 3, "batch": 16, "held_out": 0.2, **(training or {})}, **parts), *arguments)

    def follow(self, path: Path, *arguments: str) -> str:
        command = ["train", "--recipe", str(path), "--data", str(self.folder / "pictures"), "--output", str(self.folder / "run")]
        printed = io.StringIO()
        with mock.patch.object(sys, "argv", [*command, "--threads", "1", *arguments]), contextlib.redirect_stdout(printed):
            train.main()
        return printed.getvalue()


def random_network(plan: recipe.Recipe, norm: str, seed: int = 3) -> TreeNetwork:
    torch.manual_seed(seed)
    network = TreeNetwork(parse_tree(plan.description), input_shape(plan.description), norm)
    for name, part in network.named_parameters():
        if "norm" in name or "bias" in name:
            torch.nn.init.uniform_(part, 0.5, 1.5)
    for name, part in network.named_buffers():
        if "running" in name:
            torch.nn.init.uniform_(part, 0.5, 1.5)
    return network.eval()


class Recipes(Folder):
    def test_makes_the_tree_of_the_taxonomy(self) -> None:
        plan = self.plan()
        trunk = parse_tree(plan.description)
        self.assertEqual([child.path for child in trunk.children], ["warm", "cold", "black"])
        self.assertEqual(plan.labels["n01"], plan.labels["warm/red"])
        self.assertEqual(plan.labels["black"], 4)
        self.assertEqual(plan.training["label_smoothing"], recipe.TRAINING["label_smoothing"])

    def test_takes_one_branch_only(self) -> None:
        path = self.recipe_file()
        self.assertEqual([leaf for leaf, _ in recipe.leaves(recipe.read(path, "cold").description["trunk"])], ["cold/green", "cold/blue"])
        path.write_text(json.dumps({**json.loads(path.read_text()), "only": "cold", "flat": True}))
        self.assertEqual([leaf for leaf, _ in recipe.leaves(recipe.read(path).description["trunk"])], ["green", "blue"])
        with self.assertRaisesRegex(DescriptionError, "cold/yellow"):
            recipe.read(path, "cold/yellow")

    def test_refuses_what_it_does_not_know(self) -> None:
        with self.assertRaisesRegex(DescriptionError, "epoks"):
            self.plan({"epoks": 3})
        with self.assertRaisesRegex(DescriptionError, "roots"):
            path = self.recipe_file()
            path.write_text(path.read_text().replace('"inner"', '"roots"'))
            recipe.read(path)

    def test_a_name_of_two_categories_is_no_label(self) -> None:
        twice = {"children": [{"name": group, "children": [{"name": "other"}]} for group in ("a", "b")]}
        self.recipe_file()
        (self.folder / "taxonomy.json").write_text(json.dumps(twice))
        plan = recipe.read(self.folder / "recipe.json")
        self.assertNotIn("other", plan.labels)
        self.assertEqual(plan.labels["b/other"], 1)


class PictureFiles(Folder):
    def test_a_folder_and_an_archive_give_the_same(self) -> None:
        folder, labels = self.pictures(3), self.plan().labels
        archive = self.folder / "pictures.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder, "pictures")
        one = pictures.load([folder], labels, 32, 32)
        two = pictures.load([archive], labels, 32, 32, cache=self.folder / "cache")
        with mock.patch.object(pictures, "files", side_effect=AssertionError("read again")):
            again = pictures.load([archive], labels, 32, 32, cache=self.folder / "cache")
        order = [np.argsort([name.split("pictures/")[-1] for name in found.names]) for found in (one, two, again)]
        for found, rows in ((two, order[1]), (again, order[2])):
            np.testing.assert_array_equal(one.pixels[order[0]], found.pixels[rows])
            np.testing.assert_array_equal(one.truth[order[0]], found.truth[rows])

    def test_a_cache_of_other_pictures_is_not_taken(self) -> None:
        folder, labels, cache = self.pictures(2), self.plan().labels, self.folder / "cache.npz"
        self.assertEqual(len(pictures.load([folder], labels, 32, 32, cache)), 10)
        (folder / "red" / "0.png").rename(folder / "red" / "new.png")
        for size in (32, 24):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                found = pictures.load([folder], labels, size, size, cache)
            self.assertIn("read again", printed.getvalue())
            self.assertIn("red/new.png", found.names)
            self.assertEqual(found.pixels.shape[1:], (size, size, 3))

    def test_folders_in_each_other_are_a_path(self) -> None:
        """Two categories with the same name, and folders that are spelled for people."""
        numbers = {"bird/young": 0, "cat/young": 1, "cat/egyptian_cat": 2, "egyptian_cat": 2, "n02": 2}
        for path, category in {"bird/young/1.png": 0, "all/cat/young/1.png": 1, "Cat/Young/1.png": 1, "young/1.png": None, "a/n02/1.png": 2,
                               "Egyptian Cat/1.png": 2, "cat/Egyptian-cat!/1.png": 2, "N02/1.png": 2, "1.png": None, "bird/1.png": None}.items():  # fmt: skip
            self.assertEqual(recipe.category_of(numbers, path), category, path)

    def test_what_cannot_be_read_is_left_out_and_named(self) -> None:
        folder = self.pictures(2)
        (folder / "red" / "0.png").write_bytes(b"no picture")
        (folder / "blue" / "1.png").write_bytes((folder / "blue" / "1.png").read_bytes()[:200])
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            found = pictures.load([folder], self.plan().labels, 32, 32)
        self.assertIn("cannot be read: blue/1.png, red/0.png\n", printed.getvalue())
        self.assertEqual(len(found), 8)

    def test_pictures_are_turned_upright_and_cut_as_by_the_engine(self) -> None:
        """Wide and high ones, stored in all eight ways."""
        random = np.random.RandomState(3)
        for width, height in ((90, 60), (48, 131), (40, 50), (20, 300)):
            coarse = Image.fromarray(random.randint(0, 256, (5, 5, 3)).astype(np.uint8))
            upright = coarse.resize((width, height), Image.BICUBIC)
            for orientation in (0, *range(1, 9)):
                found = pictures.decode(self.stored(upright, orientation))
                self.assertEqual(found.size, (width, height))
                np.testing.assert_allclose(np.asarray(found).astype(int), np.asarray(upright).astype(int), atol=12)
            covers = (40 * width // height, 40) if 40 * width // height >= 50 else (50, 50 * height // width)
            left, top = (round((all - own) / 2) for all, own in zip(covers, (50, 40)))
            expected = upright.resize(covers, Image.BILINEAR).crop((left, top, left + 50, top + 40))
            np.testing.assert_allclose(pictures.fit(upright, 40, 50).astype(int), np.asarray(expected).astype(int), atol=1)

    def stored(self, upright: Image.Image, orientation: int) -> bytes:
        """A JPEG file whose pixels lie as the EXIF orientation says; 0: an orientation that makes no sense."""
        ways = {2: Image.FLIP_LEFT_RIGHT, 3: Image.ROTATE_180, 4: Image.FLIP_TOP_BOTTOM, 5: Image.TRANSPOSE,
                6: Image.ROTATE_90, 7: Image.TRANSVERSE, 8: Image.ROTATE_270}  # fmt: skip
        exif, content = Image.Exif(), io.BytesIO()
        exif[0x0112] = orientation or 77
        lying = upright.transpose(ways[orientation]) if orientation in ways else upright
        lying.save(content, "JPEG", quality=100, subsampling=0, exif=exif)
        return content.getvalue()

    @unittest.skipUnless(BINARY.is_file(), f"{BINARY} is not built: set ESPALIER_BINARY to the program")
    def test_the_engine_takes_the_same_part_of_a_picture(self) -> None:
        plan = self.plan()
        network = random_network(plan, "none")
        model_directory.write(self.folder / "model", plan.description, network.export(), {})
        model = Network(model_directory.read(self.folder / "model"))
        random, file = np.random.RandomState(4), self.folder / "picture.jpg"
        for width, height, orientation in ((90, 60, 1), (60, 90, 6), (131, 48, 8), (50, 40, 3), (64, 32, 5)):
            coarse = Image.fromarray(random.randint(0, 256, (4, 4, 3)).astype(np.uint8))
            file.write_bytes(self.stored(coarse.resize((width, height), Image.BICUBIC), orientation))
            picture = pictures.decode(file.read_bytes())
            right, squashed = (
                model.run(model.normalise(np.stack([pixels]))).categories[0].numpy()
                for pixels in (pictures.fit(picture, 32, 32), np.asarray(picture.resize((32, 32), Image.BILINEAR)))
            )
            command = [BINARY, "classify", "--json", "--top", "5", "--model", self.folder / "model", file]
            said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["predictions"]
            engine = {found["category"]: found["score"] for found in said}
            scores = np.array([engine[path] for path in model.categories])
            distance, other = np.abs(scores - right).max(), np.abs(scores - squashed).max()
            self.assertLess(distance, 0.03, (width, height))
            self.assertGreater(other, 5 * distance, (width, height))

    def test_unknown_folders_are_left_out_and_named(self) -> None:
        folder = self.pictures(2)
        (folder / "red").rename(folder / "unheard_of")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            found = pictures.load([folder], self.plan().labels, 16, 16)
        self.assertIn("unheard_of", printed.getvalue())
        self.assertEqual(found.pixels.shape, (8, 16, 16, 3))
        with self.assertRaisesRegex(ValueError, "no folder"):
            pictures.load([folder], {"other": 0}, 16, 16)

    def test_every_category_is_held_out_in_the_same_part(self) -> None:
        truth = np.repeat(np.arange(5), 20)
        train_rows, held = pictures.hold_out(truth, 0.1, 1)
        self.assertEqual(np.bincount(truth[held]).tolist(), [2] * 5)
        self.assertEqual(sorted([*train_rows, *held]), list(range(100)))

    def test_one_of_two_is_held_out_and_a_single_one_is_not(self) -> None:
        truth = np.array([0, 0, 1, 2, 2, 2])
        _, held = pictures.hold_out(truth, 0.05, 1)
        self.assertEqual(truth[held].tolist(), [0, 2])

    def test_variation_keeps_shape_and_range_and_follows_the_seed(self) -> None:
        pixels = torch.randint(0, 256, (6, 32, 32, 3), dtype=torch.uint8)
        settings = recipe.TRAINING["augment"]
        varied = [pictures.vary(pixels, (24, 24), settings, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
        self.assertEqual(tuple(varied[0].shape), (6, 3, 24, 24))
        self.assertTrue(0 <= float(varied[0].min()) and float(varied[0].max()) <= 1)
        self.assertTrue(torch.equal(varied[0], varied[1]))
        self.assertFalse(torch.equal(varied[0], varied[2]))

    def test_what_is_shifted_and_flipped_stays_sharp(self) -> None:
        pixels = torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        settings = {"zoom": [1, 1], "shift": 0.1, "turn": 0, "flip": True, "light": 0, "erase": 0}
        inner = slice(4, 28)  # the largest shift is of three pixels
        for varied, still in zip(pictures.vary(pixels, (32, 32), settings, torch.Generator().manual_seed(2)), pictures.plain(pixels, (32, 32))):
            moved = [torch.roll(way, (down, right), (1, 2)) for way in (still, still.flip(2)) for down in range(-3, 4) for right in range(-3, 4)]
            self.assertLess(min(float((varied - one)[:, inner, inner].abs().max()) for one in moved), 1e-4)

    def test_what_is_zoomed_and_turned_keeps_its_detail(self) -> None:
        pixels = torch.randint(0, 256, (16, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        settings = {**recipe.TRAINING["augment"], "light": 0, "erase": 0}
        varied, still = pictures.vary(pixels, (32, 32), settings, torch.Generator().manual_seed(2)), pictures.plain(pixels, (32, 32))
        self.assertGreater(float(varied.std() / still.std()), 0.8)

    def test_cut_and_mixed_pictures_are_of_two(self) -> None:
        whole = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 3, 24, 32).contiguous()
        generator, shares = torch.Generator().manual_seed(1), []
        for _ in range(200):
            mixed, other, own = pictures.cut_mix(whole, generator)
            self.assertEqual(sorted(other.tolist()), list(range(6)))
            for number, picture in enumerate(mixed):
                foreign = picture[0] != number
                self.assertTrue((picture == picture[0]).all() and (picture[0][foreign] == float(other[number])).all())
                if int(other[number]) != number:
                    self.assertAlmostEqual(float(foreign.float().mean()), 1 - own, places=5)
                    rows, columns = foreign.any(1).sum(), foreign.any(0).sum()
                    self.assertEqual(int(foreign.sum()), int(rows * columns))  # a rectangle
            shares.append(own)
        self.assertTrue(0 <= min(shares) < 0.2 and 0.95 < max(shares) <= 1)
        self.assertTrue(torch.equal(whole, torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 3, 24, 32)))

    def test_no_variation_is_the_picture(self) -> None:
        pixels = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
        still = {"zoom": [1, 1], "shift": 0, "turn": 0, "flip": False, "light": 0, "erase": 0}
        varied = pictures.vary(pixels, (32, 32), still, torch.Generator())
        torch.testing.assert_close(varied, pictures.plain(pixels, (32, 32)), atol=1e-4, rtol=0)


class Networks(Folder):
    inputs = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(4))

    def exported(self, plan: recipe.Recipe, network: TreeNetwork) -> Network:
        model_directory.write(self.folder / "model", plan.description, network.export(), {})
        return Network(model_directory.read(self.folder / "model"))

    def test_exports_what_it_computes(self) -> None:
        se = {"op": "squeeze_excitation", "name": "se", "hidden": 3}
        pools = [{"op": "max_pool", "kernel": 3, "stride": 2, "padding": 1}, {"op": "avg_pool", "kernel": 2, "stride": 1}]
        for norm in ("batch", "none"):
            plan = self.plan(trunk=[CONV, residual(5), *pools, se, {"op": "activation", "activation": "relu6"}])
            network = random_network(plan, norm)
            with torch.no_grad():
                scores, expected = network(self.inputs), self.exported(plan, network).run(self.inputs)
            torch.testing.assert_close(scores.categories, expected.categories, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(scores.inner, expected.inner, atol=1e-4, rtol=1e-4)

    def test_batch_normalisation_begins_where_a_trained_network_ended(self) -> None:
        """The same scores, with the running means and variances and with those of the pictures themselves."""
        plan = self.plan(trunk=[CONV, residual(5)])
        before = random_network(plan, "batch")
        network = TreeNetwork(parse_tree(plan.description), input_shape(plan.description), "batch")
        self.assertEqual(normalised_start.begin(network, before.export(), self.inputs.split(2)), [])
        with torch.no_grad():
            for training in (False, True):
                scores, expected = network.train(training)(self.inputs), before(self.inputs)
                torch.testing.assert_close(scores.categories, expected.categories, atol=1e-3, rtol=1e-3)
                torch.testing.assert_close(scores.inner, expected.inner, atol=1e-3, rtol=1e-3)

    def test_leaves_with_several_layers_are_trained_together(self) -> None:
        deep = {**layers(), "leaf": [LEAF, residual(3, 4)]}
        path = self.recipe_file()
        path.write_text(json.dumps({**json.loads(path.read_text()), "layers": deep}))
        plan = recipe.read(path)
        network = random_network(plan, "batch")
        with torch.no_grad():
            torch.testing.assert_close(
                network(self.inputs).categories, self.exported(plan, network).run(self.inputs).categories, atol=1e-4, rtol=1e-4
            )

    def test_only_the_wanted_branches_run_and_their_scores_stay(self) -> None:
        network = random_network(self.plan(), "none")
        wanted = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 0, 1]], dtype=torch.bool)
        with torch.no_grad():
            all_scores, some = network(self.inputs), network(self.inputs, wanted)
        ran = wanted[:, network.bouquet_of]
        torch.testing.assert_close(some.categories[ran], all_scores.categories[ran])
        self.assertTrue(torch.isinf(some.categories[~ran]).all())
        self.assertEqual(sorted(network.bouquet_of.unique().tolist()), [0, 1, 2])

    def test_a_branch_that_did_not_run_gets_no_gradient(self) -> None:
        network = random_network(self.plan(), "none")
        place = int(network.bouquet_of[network.categories.index("cold/blue")])
        wanted = torch.ones(5, 3, dtype=torch.bool)
        wanted[:, place] = False
        scores = network(self.inputs, wanted).categories
        scores[torch.isfinite(scores)].sum().backward()
        self.assertIsNotNone(network.segments["trunk"].layers[0].convolution.weight.grad)
        self.assertTrue(all(part.grad is None for part in network.segments["cold"].parameters()))

    def test_heads_of_leaves_stay_non_negative(self) -> None:
        network = random_network(self.plan(), "none")
        for part in network.parameters():
            part.data.sub_(1)
        network.project()
        leaf_heads = [array for name, array in network.export().items() if name.startswith("warm/") and name.endswith("head.weight")]
        self.assertEqual(min(float(array.min()) for array in leaf_heads), 0)

    def test_takes_over_a_network_of_the_same_shape(self) -> None:
        plan = self.plan()
        network, other = random_network(plan, "none", 3), random_network(plan, "none", 4)
        self.assertEqual(other.take_over(network.export()), [])
        with torch.no_grad():
            torch.testing.assert_close(other(self.inputs).categories, network(self.inputs).categories)

    def test_what_is_new_changes_nothing_at_first(self) -> None:
        network = random_network(self.plan(trunk=[CONV]), "none", 3)
        wider = random_network(self.plan(trunk=[CONV, residual(5)], leaf={**LEAF, "out": 7}), "none", 4)
        new = wider.take_over(network.export())
        self.assertIn("trunk:res1.conv1.weight", new)
        wider.segments["trunk"].layers[1].body[1].convolution.bias.data.zero_()
        with torch.no_grad():
            difference = (wider(self.inputs).categories - network(self.inputs).categories).abs().max()
        self.assertLess(float(difference), 0.2)  # the new channels of the leaves have next to no weight
        self.assertLess(float(difference), float(network(self.inputs).categories.abs().max()) / 5)

    def test_a_narrower_residual_keeps_the_strongest_channels(self) -> None:
        network = random_network(self.plan(trunk=[CONV, residual(6)]), "none", 3)
        network.segments["trunk"].layers[1].body[1].convolution.weight.data[:, [1, 4]] = 0  # these two do nothing
        narrow = random_network(self.plan(trunk=[CONV, residual(4)]), "none", 4)
        narrow.take_over(network.export())
        with torch.no_grad():
            torch.testing.assert_close(narrow(self.inputs).categories, network(self.inputs).categories)


class Choices(unittest.TestCase):
    def test_the_own_bouquet_and_the_likely_ones_run(self) -> None:
        choice = BranchChoice(4, 6)
        choice.mass[2] = torch.tensor([0.0, 5, 4, 1, 0, 3])
        wanted, correction = choice.choose(torch.tensor([2]), torch.tensor([0]), {"likely": 2, "random": 1}, torch.Generator().manual_seed(1))
        self.assertTrue(wanted[0, [0, 1, 2]].all())
        self.assertEqual(int(wanted.sum()), 4)
        drawn = wanted[0] & (correction[0] > 0)
        self.assertEqual(int(drawn.sum()), 1)
        self.assertAlmostEqual(float(correction.max()), float(np.log(3)), places=6)

    def test_the_sum_of_the_softmax_is_right_in_the_mean(self) -> None:
        masses = torch.tensor([0.5, 2, 1, 0.2, 0, -1])
        choice = BranchChoice(1, 6)
        choice.mass[0] = masses
        generator = torch.Generator().manual_seed(2)
        rows = torch.zeros(20000, dtype=torch.long)
        wanted, correction = choice.choose(rows, torch.full_like(rows, 4), {"likely": 2, "random": 2}, generator)
        sums = (torch.exp(masses + correction) * wanted).sum(1)
        self.assertAlmostEqual(float(sums.mean() / masses.exp().sum()), 1, delta=0.01)

    def test_learns_from_what_ran(self) -> None:
        choice = BranchChoice(2, 2)
        scores = torch.tensor([[1.0, 1.0, float("-inf")]])
        choice.mass[1, 1] = 7
        choice.learn(torch.tensor([1]), scores, torch.tensor([0, 0, 1]))
        self.assertAlmostEqual(float(choice.mass[1, 0]), 1 + float(np.log(2)), places=5)
        self.assertEqual(float(choice.mass[1, 1]), 7)


class Calibrations(Folder):
    def test_finds_the_curve_that_made_the_pictures(self) -> None:
        random = np.random.RandomState(1)
        scores = random.normal(0, 3, (20000, 1))
        shown = random.rand(20000) < 1 / (1 + np.exp(-(scores[:, 0] * 0.8 - 1.5)))
        slopes, offsets = calibration.fit(scores, np.where(shown, 0, -1))
        self.assertAlmostEqual(slopes[0], 0.8, delta=0.05)
        self.assertAlmostEqual(offsets[0], -1.5, delta=0.1)
        stated = calibration.confidence(scores[:, 0], slopes, offsets)
        for low in np.arange(0, 1, 0.1):
            some = (stated > low) & (stated < low + 0.1)
            self.assertAlmostEqual(stated[some].mean(), shown[some].mean(), delta=0.06)

    def test_few_pictures_stay_near_the_common_curve(self) -> None:
        random = np.random.RandomState(2)
        truth = np.arange(400) % 40
        scores = random.normal(0, 1, (400, 40)) + 4 * (truth[:, None] == np.arange(40))
        slopes, _ = calibration.fit(scores, truth)
        self.assertGreater(slopes.min(), 0.5 * slopes.mean())
        self.assertLess(slopes.max(), 1.5 * slopes.mean())

    def test_scores_that_say_nothing_keep_a_positive_slope(self) -> None:
        scores = np.random.RandomState(3).normal(0, 1, (300, 3))
        scores[:, 1] -= 5 * (np.arange(300) % 3 == 1)  # the wrong way round
        slopes, offsets = calibration.fit(scores, np.arange(300) % 3)
        self.assertGreater(slopes.min(), 0)
        self.assertTrue(np.isfinite(offsets).all())


    def test_the_command_fits_a_network_anew(self) -> None:
        plan = self.plan()
        directory, scores = self.folder / "model", np.random.RandomState(4).normal(0, 2, (60, len(COLOURS))).astype(np.float32)
        model_directory.write(directory, plan.description, random_network(plan, "none").export(), {})
        paths = [path for path, _ in recipe.leaves(plan.description["trunk"])]
        self.assertIn("5 categories calibrated with 60 pictures", self.fit_anew(directory, scores, paths))
        before = (directory / "model.json").read_text()
        self.assertIn("calibration", model_directory.read(directory).description["trunk"]["children"][2])
        partly, other = scores.copy(), [*paths[:-1], "purple"]
        partly[3, 2] = np.nan
        for wrong, names, message in ((partly, paths, "--search"), (scores[:, :4], paths[:4], "4 categories"), (scores, other, "purple")):
            with self.assertRaisesRegex(SystemExit, message):
                self.fit_anew(directory, wrong, names)
        with self.assertRaisesRegex(SystemExit, "nothing"):
            self.fit_anew(self.folder / "nothing", scores, paths)
        self.assertEqual((directory / "model.json").read_text(), before)

    def fit_anew(self, directory: Path, scores: np.ndarray, paths: list[str]) -> str:
        np.save(self.folder / "scores.npy", scores)
        lines = [f"{row}.jpg\t{paths[row % len(paths)]}\t1" for row in range(len(scores))]
        (self.folder / "scores.tsv").write_text("\n".join(["picture\tcategory\tmacs", *lines]) + "\n")
        command = ["calibration", "--model", str(directory), "--scores", str(self.folder / "scores.npy")]
        with mock.patch.object(sys, "argv", command), contextlib.redirect_stdout(io.StringIO()) as printed:
            calibration.main()
        return printed.getvalue()


class Training(Folder):
    def test_learns_colours_and_exports_what_the_engine_computes(self) -> None:
        self.pictures()
        printed = self.train(training={"epochs": 8})
        top = float(printed.rsplit("held out ", 1)[1].split(" ")[0])
        self.assertGreater(top, 80)
        model = model_directory.read(self.folder / "run" / "model")
        self.assertIn("calibration", model.description["trunk"]["children"][2])
        self.golden_agrees(model)
        self.engine_agrees(model)

    def golden_agrees(self, model: model_directory.Model) -> None:
        golden = safetensors_file.read(self.folder / "run" / "golden" / "golden.safetensors")
        attention = json.loads((self.folder / "run" / "golden" / "attention.json").read_text())
        network = Network(model)
        scores = network.run(network.normalise(golden["pictures"]), attention).categories
        np.testing.assert_allclose(scores.numpy(), golden["category_scores_with_attention"], atol=1e-5)

    def engine_agrees(self, model: model_directory.Model) -> None:
        if not BINARY.is_file():
            self.skipTest(f"{BINARY} is not built: set ESPALIER_BINARY to the program")
        names = list(COLOURS)
        files = [self.folder / f"{name}.jpg" for name in names]
        for path in files:
            # one colour each: every decoder makes the same pixels of it
            Image.new("RGB", (32, 32), COLOURS[path.stem]).save(path, quality=100, subsampling=0)
        network = Network(model)
        decoded = np.stack([np.asarray(Image.open(path)) for path in files])
        expected = network.run(network.normalise(decoded)).categories.numpy()
        command = [BINARY, "classify", "--json", "--top", "5", "--model", self.folder / "run" / "model", *files]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for row, line in enumerate(output.splitlines()):
            scores = {found["category"]: found["score"] for found in json.loads(line)["predictions"]}
            for place, path in enumerate(network.categories):
                self.assertAlmostEqual(scores[path], float(expected[row, place]), delta=2e-2)

    def test_goes_on_from_its_checkpoint(self) -> None:
        """Stopped after an epoch and continued, a training ends with the same weights as one that ran through."""
        self.pictures(12)
        self.train()
        through = model_directory.read(self.folder / "run" / "model").tensors
        for path in (self.folder / "run" / "model").iterdir():
            path.unlink()
        (self.folder / "run" / "checkpoint.pt").unlink()
        with mock.patch.object(train.Trainer, "progress", lambda self: 1.0 if self.step >= self.steps_per_epoch else self.step / (3 * self.steps_per_epoch)):
            self.train()
        self.assertEqual(self.train("--finish").count("epoch "), 0)
        halfway = model_directory.read(self.folder / "run" / "model").tensors
        printed = self.train()
        self.assertIn("goes on from", printed)
        continued = model_directory.read(self.folder / "run" / "model").tensors
        for name, array in through.items():
            np.testing.assert_array_equal(array, continued[name], err_msg=name)
        self.assertTrue(any((array != halfway[name]).any() for name, array in through.items()))

    def test_starts_from_a_trained_network_with_some_branches_for_each_picture(self) -> None:
        self.pictures(12)
        self.train(training={"epochs": 6})
        (self.folder / "run" / "model").rename(self.folder / "first")
        (self.folder / "run" / "checkpoint.pt").unlink()
        for norm in ("none", "batch"):
            settings = {"norm": norm, "optimiser": "adamw", "learning_rate": 0.001, "branches": {"likely": 1, "random": 1}}
            printed = self.train("--start", str(self.folder / "first"), training=settings)
            self.assertIn("0 tensors are new", printed)
            self.assertGreater(float(printed.rsplit("held out ", 1)[1].split(" ")[0]), 70)
            (self.folder / "run").rename(self.folder / norm)

    def test_what_is_kept_is_normalised_by_pictures_as_they_are(self) -> None:
        """And not by the last steps' smaller and varied ones, nor by those of other weights."""
        data = self.pictures(12)
        with mock.patch.object(train.export, "finish") as finish:
            self.train(training={"epochs": 2, "sizes": [[1.0, 0.5]]})
        _, plan, network, *_ = finish.call_args.args
        everything = pictures.load([data], plan.labels, 32, 32)
        seen = everything.some(pictures.hold_out(everything.truth, 0.2, 1)[0])
        inputs = train.Normaliser(plan.description, torch.device("cpu"))(pictures.plain(torch.from_numpy(seen.pixels), (32, 32)))
        first = next(part for part in network.modules() if isinstance(part, Convolution))
        with torch.no_grad():
            outputs = first.convolution(inputs)
        torch.testing.assert_close(first.norm.running_mean, outputs.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(first.norm.running_var, outputs.var((0, 2, 3)), rtol=1e-3, atol=1e-4)

    def test_runs_more_branches_as_the_training_goes_on(self) -> None:
        self.pictures(12)
        few, more = {"likely": 1, "random": 0}, {"likely": 1, "random": 1}
        with mock.patch.object(BranchChoice, "choose", autospec=True, side_effect=BranchChoice.choose) as choose:
            self.train(training={"epochs": 4, "branches": [[0.5, few], [1.0, more]]})
        used = [call.args[3] for call in choose.call_args_list]
        self.assertEqual(used, sorted(used, key=lambda settings: settings["random"]))
        self.assertEqual([used.count(few), used.count(more)], [len(used) // 2 + 1, len(used) - len(used) // 2 - 1])

    def test_mixes_in_where_it_began(self) -> None:
        self.pictures(6)
        self.train(training={"epochs": 1})
        (self.folder / "run").rename(self.folder / "first")
        settings = {"epochs": 8, "norm": "none", "optimiser": "adamw", "learning_rate": 0.01}
        found = {}
        for share in (0.0, 0.25, 1.0):
            self.train("--start", str(self.folder / "first" / "model"), training={**settings, "start_share": share})
            found[share] = model_directory.read(self.folder / "run" / "model").tensors
            (self.folder / "run").rename(self.folder / f"run{share}")
        for name, array in found[0.25].items():
            np.testing.assert_allclose(array, 0.75 * found[0.0][name] + 0.25 * found[1.0][name], rtol=2e-3, atol=2e-3, err_msg=name)
        first = model_directory.read(self.folder / "first" / "model").tensors
        self.assertTrue(all(np.array_equal(found[1.0][name], array) for name, array in first.items()))
        self.assertTrue(any(np.abs(found[0.0][name] - array).max() > 0.02 for name, array in first.items()))

    def test_learns_from_a_teacher(self) -> None:
        """Where the pictures' labels are wrong half of the time, what a teacher says keeps the network right."""
        self.pictures(12)
        self.train(training={"epochs": 6})
        (self.folder / "run").rename(self.folder / "teacher")
        for number in range(0, 12, 2):
            here, there = (self.folder / "pictures" / name / f"{number}.png" for name in ("red", "blue"))
            here.rename(self.folder / "kept.png"), there.rename(here), (self.folder / "kept.png").rename(there)
        taught = self.scores_of(model_directory.read(self.folder / "teacher" / "model"))
        settings = {"epochs": 40, "norm": "none", "optimiser": "adamw", "learning_rate": 0.01, "branches": {"likely": 1, "random": 1},
                    "augment": {"zoom": [1, 1], "shift": 0, "turn": 0, "flip": False, "light": 0, "erase": 0}}  # as the teacher saw them
        found = {}
        for weight in (0.0, 20.0):
            training = {**settings, "distillation": {"weight": weight, "temperature": 2.0}}
            self.train("--teacher", str(taught), training=training)
            model = model_directory.read(self.folder / "run" / "model")
            (self.folder / "run").rename(self.folder / f"run{weight}")
            found[weight] = self.distance(model, model_directory.read(self.folder / "teacher" / "model"))
        self.assertLess(found[20.0], found[0.0] / 2, found)

    def distance(self, model: model_directory.Model, teacher: model_directory.Model) -> float:
        """Between the probabilities that two networks give to noisy pictures of the colours."""
        noise = np.random.RandomState(5).normal(0, 30, (len(COLOURS), 32, 32, 3))
        pixels = np.clip(noise + np.array(list(COLOURS.values()))[:, None, None], 0, 255).astype(np.uint8)
        with torch.no_grad():
            one, other = (network.run(network.normalise(pixels)).categories.softmax(1) for network in map(Network, (model, teacher)))
        return float((one - other).abs().mean())

    def scores_of(self, model: model_directory.Model) -> Path:
        """What `espalier evaluate --scores` writes, of the pictures in the test's folder."""
        plan = self.plan()
        data = pictures.load([self.folder / "pictures"], plan.labels, 32, 32)
        network = Network(model)
        with torch.no_grad():
            scores = network.run(network.normalise(data.pixels)).categories
        return self.write_scores("taught", scores.numpy(), [(name, network.categories[truth]) for name, truth in zip(data.names, data.truth)])

    def write_scores(self, name: str, scores: np.ndarray, pictures_shown: list[tuple[str, str]]) -> Path:
        """The two files of `espalier evaluate --scores`: pictures with their categories, and their scores."""
        path = self.folder / f"{name}.npy"
        np.save(path, scores)
        lines = [f"{picture}\t{category}\t1" for picture, category in pictures_shown]
        path.with_suffix(".tsv").write_text("\n".join(["picture\tcategory\tmacs", *lines]) + "\n")
        return path

    def test_teachers_are_averaged_where_they_know_the_same_picture(self) -> None:
        network = TreeNetwork(parse_tree(self.plan().description), (3, 32, 32))
        in_a_tree = network.categories[0]
        in_a_flat_network = in_a_tree.rsplit("/", 1)[-1]
        files = []
        for category, names, value in ((in_a_flat_network, "abc", 1.0), (in_a_tree, "xbc", 3.0)):
            scores = np.full((3, len(COLOURS)), value, np.float32)
            scores[2, 1] = np.nan  # of the last picture, not all is known
            files.append(self.write_scores(category.replace("/", "."), scores, [(name, category) for name in names]))
        teacher = Teacher(files, ["b", "c", "a"], network, {"weight": 1.0, "temperature": 2.0}, torch.device("cpu"))
        self.assertEqual(teacher.known.tolist(), [True, False, True])
        self.assertEqual(teacher.scores[teacher.known].tolist(), [[2.0] * len(COLOURS), [1.0] * len(COLOURS)])

    def test_a_teacher_has_to_know_the_categories_and_some_pictures(self) -> None:
        self.pictures(2)
        scores, lines = self.folder / "taught.npy", self.folder / "taught.tsv"
        np.save(scores, np.zeros((1, 2), np.float32))
        path = next(name for name in self.plan().labels if "/" in name)
        lines.write_text(f"picture\tcategory\tmacs\nother/0.png\t{path}\t1\n")
        with self.assertRaisesRegex(SystemExit, "2 categories, where the network has"):
            self.train("--teacher", str(scores))
        np.save(scores, np.zeros((1, len(COLOURS)), np.float32))
        with self.assertRaisesRegex(SystemExit, "none of the pictures"):
            self.train("--teacher", str(scores))
        lines.write_text("picture\tcategory\tmacs\nother/0.png\tpurple\t1\n")
        with self.assertRaisesRegex(SystemExit, "other categories, with purple"):
            self.train("--teacher", str(scores))
        lines.write_text("picture\tcategory\tmacs\n")
        with self.assertRaisesRegex(SystemExit, "1 pictures, but 0 names"):
            self.train("--teacher", str(scores))

    def imitate(self, output: Path, minutes: float, trunk: list[Any]) -> None:
        """Runs the command, with the network in the folder `teacher`."""
        command = ["imitate", "--recipe", str(self.recipe_file(trunk=trunk)), "--teacher", str(self.folder / "teacher"),
                   "--data", str(self.folder / "pictures"), "--output", str(output), "--minutes", str(minutes)]
        clock = itertools.count(0, 0.005)  # seconds: as many steps on every machine
        with mock.patch.object(sys, "argv", command), mock.patch.object(imitate.time, "monotonic", lambda: next(clock)), \
             contextlib.redirect_stdout(io.StringIO()):
            imitate.main()

    def imitation_teacher(self) -> TreeNetwork:
        plan = self.plan(trunk=[CONV, residual(6)])
        network = random_network(plan, "none")
        model_directory.write(self.folder / "teacher", plan.description, network.export(), {})
        return network

    def test_a_trunk_of_another_width_cannot_imitate(self) -> None:
        self.pictures(2)
        with self.assertRaisesRegex(SystemExit, "teacher"):  # there is none
            self.imitate(self.folder / "start", 0.1, [CONV])
        self.imitation_teacher()
        with self.assertRaisesRegex(SystemExit, r"\[8, 16, 16\].*\[6, 16, 16\]"):
            self.imitate(self.folder / "start", 0.1, [{**CONV, "out": 8}])
        self.assertFalse((self.folder / "start").exists())

    def test_a_slimmer_trunk_learns_to_imitate(self) -> None:
        self.pictures(8)
        network = self.imitation_teacher()
        missed = {}
        for minutes in (1e-9, 0.1):
            output = self.folder / f"start{minutes}"
            self.imitate(output, minutes, [CONV, residual(3)])
            slim = trained(model_directory.read(output))
            with torch.no_grad():
                outputs = [each.segments["trunk"].layers(torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))) for each in (slim, network)]
            missed[minutes] = float((outputs[0] - outputs[1]).square().mean())
        self.assertLess(missed[0.1], missed[1e-9] / 2, missed)

    def test_a_mixed_picture_is_of_both_its_categories(self) -> None:
        """Of which each counts as much as is shown of it: here, nothing is left of the picture itself."""
        self.pictures()

        def exchange(x: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, float]:
            other = torch.randperm(len(x), generator=generator)
            return x[other], other, 0.0

        with mock.patch.object(pictures, "cut_mix", side_effect=exchange) as mixes:
            printed = self.train(training={"epochs": 8, "cut_mix": 1.0})
        self.assertEqual(mixes.call_count, 8 * (95 // 16))
        self.assertGreater(float(printed.rsplit("held out ", 1)[1].split(" ")[0]), 80)

    def test_mixes_for_a_part_of_the_training(self) -> None:
        self.pictures(12)
        with mock.patch.object(pictures, "cut_mix", side_effect=pictures.cut_mix) as mixes:
            self.train(training={"epochs": 4, "cut_mix": [[0.5, 1.0], [1.0, 0.0]]})
        self.assertEqual(mixes.call_count, 2 * (50 // 16) + 1)  # up to the half, and that one too

    def test_a_mixed_picture_needs_all_branches(self) -> None:
        self.pictures(2)
        with self.assertRaisesRegex(SystemExit, "leave out branches"):
            self.train(training={"cut_mix": 0.5, "branches": {"likely": 1, "random": 0}})

    def test_trains_in_bf16(self) -> None:
        self.pictures(12)
        printed = self.train("--precision", "bf16", training={"epochs": 4, "branches": {"likely": 1, "random": 0}, "norm": "none"})
        self.assertIn("run/model", printed)
        for name, array in model_directory.read(self.folder / "run" / "model").tensors.items():
            self.assertTrue(np.isfinite(array).all(), name)

    def test_mixing_in_the_start_needs_a_network_without_normalisation(self) -> None:
        self.pictures(2)
        with self.assertRaisesRegex(SystemExit, "norm=none"):
            self.train("--start", str(self.folder), training={"start_share": 0.5})

    def test_a_few_pictures_will_do(self) -> None:
        """Fewer than a batch, and fewer than a part to hold out."""
        self.pictures(3)
        printed = self.train(training={"batch": 64, "held_out": 0.05})
        self.assertIn("10 pictures to train on, 5 held out", printed)
        self.assertIn("run/model", printed)

    def test_what_the_person_can_put_right_is_one_line(self) -> None:
        with self.assertRaisesRegex(SystemExit, "No such file.*pictures"):
            self.train()
        self.pictures(1)
        with self.assertRaisesRegex(SystemExit, "no category has two pictures"):
            self.train()
        (self.folder / "pictures" / "black" / "1.png").write_bytes((self.folder / "pictures" / "black" / "0.png").read_bytes())
        (self.folder / "pictures" / "red" / "0.png").unlink()
        self.assertIn("without a picture, so that they learn nothing: warm/red\n", self.train())
        with self.assertRaisesRegex(SystemExit, "is of another network"):
            self.train(leaf={**LEAF, "out": 5})
        path = self.recipe_file()
        path.write_text(path.read_text() + "}")
        with self.assertRaisesRegex(SystemExit, "recipe.json: is no JSON"):
            self.follow(path)

    def test_a_sequential_network_is_a_recipe_without_inner_nodes(self) -> None:
        plan = recipe.read(self.flat_recipe_file([CONV, residual(4)]))
        self.assertEqual([child["name"] for child in plan.description["trunk"]["children"]], list(COLOURS))
        network = random_network(plan, "batch")
        self.assertEqual(network(torch.zeros(2, 3, 32, 32)).categories.shape, (2, 5))

    def test_a_sequential_network_is_trained_and_exported(self) -> None:
        self.pictures(12)
        self.follow(self.flat_recipe_file([CONV, residual(4)], {"epochs": 3, "batch": 16, "held_out": 0.2}))
        scores = safetensors_file.read(self.folder / "run" / "golden" / "golden.safetensors")
        self.assertEqual(scores["inner_scores"].shape[1], 0)
        self.assertEqual(len(model_directory.read(self.folder / "run" / "model").trunk.children), 5)


if __name__ == "__main__":
    unittest.main()

"""Tests of the Python tools. Run from the repository: python3 -m unittest discover -s deploy/models

Tests that need the reference network look for the shared folder in ESPALIER_SHARED, or beside the repository.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import tarfile
import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from espalier_models import accuracy, convert_reference, description, golden, model_directory, safetensors_file
from espalier_models.description import DescriptionError, categories, inner_heads, parse_tree
from espalier_models.layer_networks import NETWORKS, every_layer, random_tensors
from espalier_models.network import Network
from espalier_models.safetensors_file import SafetensorsError

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("ESPALIER_SHARED", REPOSITORY.parent / "shared"))
BUNDLED = REPOSITORY / "deploy" / "models" / "tiny-imagenet-200"
GOLDEN = REPOSITORY / "tests" / "golden"

needs_reference = unittest.skipUnless(
    (SHARED / "reference" / "weights.safetensors").is_file(),
    "the reference network is not there: set ESPALIER_SHARED to the shared folder",
)


def nested(levels: int) -> dict[str, Any]:
    """A branch of so many levels."""
    below = {"children": [nested(levels - 1)]} if levels > 1 else {}
    return {"name": "a", "layers": [], **below}


class TemporaryFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class SafetensorsFile(TemporaryFolder):
    def write_file(self, header: Any, data: bytes = b"") -> Path:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path = self.folder / "file"
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        return path

    def test_comes_back_as_written(self) -> None:
        tensors = {
            "b": np.arange(6, dtype=np.float32).reshape(2, 3),
            "a": np.array([0.1, -2], dtype=np.float16),
            "bytes": np.array([[1, 255, 3]], dtype=np.uint8),
            "empty": np.zeros((0, 4), dtype=np.float32),
            "scalar": np.array(5, dtype=np.float32),
        }
        path = self.folder / "file"
        safetensors_file.write(path, tensors)
        found = safetensors_file.read(path)
        self.assertEqual(list(found), list(tensors))
        for name, array in tensors.items():
            self.assertEqual(found[name].dtype, array.dtype)
            np.testing.assert_array_equal(found[name], array)

    def test_data_begins_at_a_multiple_of_eight(self) -> None:
        for length in range(1, 9):
            path = self.folder / "file"
            safetensors_file.write(path, {"n" * length: np.zeros(1, dtype=np.float32)})
            content = path.read_bytes()
            self.assertEqual((len(content) - 4) % 8, 0)
            self.assertTrue(content[8:-4].rstrip(b" ").endswith(b"}"))

    def test_rounds_to_nearest_even(self) -> None:
        values = np.random.RandomState(1).standard_normal(1000).astype(np.float32)
        values[:4] = [1 + 2**-8, 1 + 3 * 2**-8, -0.0, 1e-40]
        path = self.folder / "file"
        for dtype, torch_dtype in (("BF16", torch.bfloat16), ("F16", torch.float16)):
            safetensors_file.write(path, {"a": values}, {"a": dtype})
            expected = torch.from_numpy(values).to(torch_dtype).float().numpy()
            np.testing.assert_array_equal(safetensors_file.read(path)["a"].astype(np.float32), expected)
            self.assertEqual(safetensors_file.read_dtypes(path), {"a": dtype})

    def test_refuses_what_a_dtype_cannot_hold(self) -> None:
        for value, dtype in ((70000.0, "F16"), (3.4e38, "BF16"), (float("nan"), "F32"), (1.0, "U8"), (1.0, "F8")):
            with self.subTest(value=value, dtype=dtype), self.assertRaises(SafetensorsError):
                array = np.array([value], dtype=np.float32)
                safetensors_file.write(self.folder / "file", {"a": array}, {"a": dtype})

    def test_refuses_bad_files(self) -> None:
        good = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        bad: dict[str, tuple[Any, bytes]] = {
            "not JSON": (b"{", b""),
            "not UTF-8": (b"\xff\xff", b""),
            "not an object": ([], b""),
            "a name twice": (b'{"a": {}, "a": {}}', b""),
            "no shape": ({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8)),
            "unknown dtype": ({"a": {**good, "dtype": "F64"}}, bytes(8)),
            "negative size": ({"a": {**good, "shape": [-1, -2]}}, bytes(8)),
            "size too large": ({"a": {**good, "shape": [2**40, 2**40]}}, bytes(8)),
            "a fraction": ({"a": {**good, "shape": [2.0]}}, bytes(8)),
            "data cut short": ({"a": good}, bytes(7)),
            "data left over": ({"a": good}, bytes(9)),
            "overlap": ({"a": good, "b": good}, bytes(8)),
            "gap": ({"a": {**good, "data_offsets": [4, 12]}}, bytes(12)),
            "end before begin": ({"a": {**good, "data_offsets": [8, 0]}}, bytes(8)),
        }
        for name, (header, data) in bad.items():
            with self.subTest(name), self.assertRaises(SafetensorsError):
                safetensors_file.read(self.write_file(header, data))

    def test_refuses_a_header_past_the_end(self) -> None:
        for content in (b"", b"\0" * 7, struct.pack("<Q", 1), struct.pack("<Q", 2**63) + b"{}"):
            path = self.folder / "file"
            path.write_bytes(content)
            with self.subTest(content), self.assertRaises(SafetensorsError):
                safetensors_file.read(path)

    def test_leaves_metadata_alone(self) -> None:
        path = self.write_file({"__metadata__": {"format": "pt"}})
        self.assertEqual(safetensors_file.read(path), {})


class ModelDirectory(TemporaryFolder):
    def test_comes_back_as_written(self) -> None:
        description = every_layer()
        tensors = random_tensors(description, 1)
        model_directory.write(self.folder, description, tensors, {})
        model = model_directory.read(self.folder)
        self.assertEqual(model.description, description)
        self.assertEqual(list(model.tensors), list(tensors))
        for name, array in tensors.items():
            np.testing.assert_array_equal(model.tensors[name], array)

    def test_refuses_tensors_that_do_not_fit(self) -> None:
        description = every_layer()
        tensors = random_tensors(description, 1)
        name = "below_trunk:head.bias"
        faults: dict[str, dict[str, np.ndarray]] = {
            "missing": {key: array for key, array in tensors.items() if key != name},
            "too many": {**tensors, "below_trunk:mix.weights": tensors[name]},
            "shape": {**tensors, name: np.zeros(2, dtype=np.float32)},
            "not finite": {**tensors, name: np.array([np.inf], dtype=np.float32)},
        }
        for fault, changed in faults.items():
            with self.subTest(fault), self.assertRaisesRegex(DescriptionError, "below_trunk"):
                model_directory.write(self.folder, description, changed, {})

    def test_refuses_bad_descriptions(self) -> None:
        leaf = {"name": "a", "layers": []}
        bad: dict[str, Any] = {
            "name": {"name": "A", "layers": []},
            "called trunk": {"name": "trunk", "layers": []},
            "unknown member": {**leaf, "weight": 1},
            "leaf with head": {**leaf, "head": True},
            "no children": {**leaf, "children": []},
            "twice the same child": {**leaf, "children": [leaf, leaf]},
            "unknown op": {**leaf, "layers": [{"op": "softmax"}]},
            "unknown member of a layer": {**leaf, "layers": [{"op": "global_avg_pool", "kernel": 2}]},
            "no kernel": {**leaf, "layers": [{"op": "max_pool"}]},
            "kernel of 0": {**leaf, "layers": [{"op": "max_pool", "kernel": 0}]},
            "three kernels": {**leaf, "layers": [{"op": "max_pool", "kernel": [1, 2, 3]}]},
            "unknown activation": {**leaf, "layers": [{"op": "activation", "activation": "gelu"}]},
            "label no text": {**leaf, "label": 5},
            "empty label": {**leaf, "label": ""},
            "head no flag": {**leaf, "head": 1, "children": [leaf]},
            "children no list": {**leaf, "children": {}},
            "child no object": {**leaf, "children": ["a"]},
            "long name": {**leaf, "name": "a" * 65},
            "layers no list": {**leaf, "layers": {}},
            "layer no object": {**leaf, "layers": ["conv"]},
            "layer called head": {**leaf, "layers": [{"op": "linear", "name": "head", "out": 2}]},
            "layer without a proper name": {**leaf, "layers": [{"op": "linear", "name": "A", "out": 2}]},
            "out no number": {**leaf, "layers": [{"op": "linear", "name": "a", "out": "8"}]},
            "out below 1": {**leaf, "layers": [{"op": "linear", "name": "a", "out": -8}]},
            "groups of 0": {**leaf, "layers": [{"op": "conv", "name": "a", "out": 2, "kernel": 1, "groups": 0}]},
            "bias no flag": {**leaf, "layers": [{"op": "linear", "name": "a", "out": 2, "bias": 0}]},
            "empty body": {**leaf, "layers": [{"op": "residual", "name": "a", "body": []}]},
            "padding over half": {**leaf, "layers": [{"op": "max_pool", "kernel": 2, "padding": 2}]},
            "kernel too large": {**leaf, "layers": [{"op": "max_pool", "kernel": 16385}]},
            "too deep": nested(17),
        }
        for fault, child in bad.items():
            description = every_layer()
            description["trunk"] = {"layers": [], "children": [child]}
            with self.subTest(fault), self.assertRaises(DescriptionError):
                parse_tree(description)
        parse_tree({**every_layer(), "trunk": {"layers": [], "children": [nested(16)]}})

    def test_refuses_what_the_engine_refuses_of_name_and_input(self) -> None:
        good = every_layer()
        for change in (
            {"name": "my pets"}, {"name": 5}, {"name": "a" * 65}, {"version": ""}, {"version": 1},
            *({"input": {**good["input"], **change}} for change in (
                {"channels": 1}, {"height": 0}, {"width": 4097}, {"height": 8.0}, {"mean": [0, 0]}, {"mean": [float("nan"), 0, 0]},
                {"mean": "0"}, {"std": [0, 1, 1]}, {"std": [-1, 1, 1]}, {"std": [True, 1, 1]}, {"depth": 1})),
        ):  # fmt: skip
            with self.subTest(change), self.assertRaises(DescriptionError):
                parse_tree({**good, **change})

    def test_limits_are_the_engines(self) -> None:
        text = (REPOSITORY / "include" / "espalier" / "limits.h").read_text(encoding="utf-8")
        for name in ("NAME_MAX", "LABEL_MAX", "PATH_MAX", "DEPTH_MAX", "CHANNELS_MAX", "EXTENT_MAX", "INPUT_EXTENT_MAX"):
            self.assertIn(f" ESP_{name} = {getattr(description, name)},", text)

    def test_a_description_that_is_no_json_is_named(self) -> None:
        model_directory.write(self.folder, every_layer(), random_tensors(every_layer(), 1), {})
        (self.folder / "model.json").write_text("{")
        with self.assertRaisesRegex(DescriptionError, "model.json: is no JSON"):
            model_directory.read(self.folder)

    def test_leaves_stand_on_one_line(self) -> None:
        text = model_directory.format_json(every_layer())
        self.assertEqual(json.loads(text), every_layer())
        self.assertEqual(sum("below_trunk" in line and "relu" in line for line in text.splitlines()), 1)


def _residual(channels: int, middle: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, middle, 3, padding=1), nn.ReLU(), nn.Conv2d(middle, channels, 3, padding=1))


class HandWrittenBranch(nn.Module):
    """The bundled network's structure along one path, in plain PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk1, self.trunk2 = nn.Conv2d(3, 24, 3, 2, 1), nn.Conv2d(24, 48, 3, 2, 1)
        self.trunk_res1, self.trunk_res2 = _residual(48, 48), _residual(48, 24)
        self.realm1, self.realm_res = nn.Conv2d(48, 96, 3, 2, 1), _residual(96, 64)
        self.group1, self.group_res = nn.Conv2d(96, 64, 3, 1, 1), _residual(64, 64)
        self.category1 = nn.Conv2d(64, 20, 3, 1, 1)
        self.realm_head, self.group_head, self.category_head = nn.Linear(96, 1), nn.Linear(64, 1), nn.Linear(20, 1)

    def forward(self, inputs: torch.Tensor, attention: list[float]) -> list[torch.Tensor]:
        """The scores of realm, group and category; attention for trunk, realm, group and category."""
        x = torch.relu(self.trunk2(torch.relu(self.trunk1(inputs))))
        x = torch.relu(x + self.trunk_res1(x))
        x = torch.relu(x + self.trunk_res2(x)) * attention[0]
        x = torch.relu(self.realm1(x))
        realm = torch.relu(x + self.realm_res(x)) * attention[1]
        x = torch.relu(self.group1(realm))
        group = torch.relu(x + self.group_res(x)) * attention[2]
        category = torch.relu(self.category1(group)) * attention[3]
        features = ((self.realm_head, realm), (self.group_head, group), (self.category_head, category))
        return [head(maps.mean((2, 3)))[:, 0] for head, maps in features]

    def load(self, tensors: dict[str, np.ndarray], category: str) -> None:
        """Takes the weights of the path to the category."""
        realm, group = category.split("/")[0], category.rpartition("/")[0]
        places = {
            "trunk:conv1": self.trunk1, "trunk:conv2": self.trunk2,
            "trunk:res1.conv1": self.trunk_res1[0], "trunk:res1.conv2": self.trunk_res1[2],
            "trunk:res2.conv1": self.trunk_res2[0], "trunk:res2.conv2": self.trunk_res2[2],
            f"{realm}:conv1": self.realm1, f"{realm}:res1.conv1": self.realm_res[0],
            f"{realm}:res1.conv2": self.realm_res[2], f"{realm}:head": self.realm_head,
            f"{group}:conv1": self.group1, f"{group}:res1.conv1": self.group_res[0],
            f"{group}:res1.conv2": self.group_res[2], f"{group}:head": self.group_head,
            f"{category}:conv1": self.category1, f"{category}:head": self.category_head,
        }  # fmt: skip
        for name, layer in places.items():
            layer.weight.data = torch.from_numpy(tensors[f"{name}.weight"]).reshape(layer.weight.shape)
            layer.bias.data = torch.from_numpy(tensors[f"{name}.bias"])


class NetworkRuns(unittest.TestCase):
    def setUp(self) -> None:
        grad = torch.no_grad()
        grad.__enter__()
        self.addCleanup(grad.__exit__, None, None, None)

    def test_agrees_with_a_network_written_by_hand(self) -> None:
        model = model_directory.read(BUNDLED)
        network = Network(model)
        inputs = torch.from_numpy(np.random.RandomState(3).standard_normal((2, 3, 64, 64)).astype(np.float32))
        weights = [1.1, 0.5, 2.0, 1.5]
        for category in ("animal/cat/tabby", network.categories[-1]):
            realm, group = category.split("/")[0], category.rpartition("/")[0]
            by_hand = HandWrittenBranch()
            by_hand.load(model.tensors, category)
            scores = network.run(inputs, dict(zip(("trunk", realm, group, category), weights)))
            found = [scores.inner[:, network.inner_heads.index(path)] for path in (realm, group)]
            found.append(scores.categories[:, network.categories.index(category)])
            for ours, expected in zip(found, by_hand(inputs, weights)):
                torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)

    def test_normalises(self) -> None:
        network = Network(model_directory.read(BUNDLED))
        pictures = np.zeros((1, 64, 64, 3), dtype=np.uint8)
        pictures[0, 2, 5] = (255, 51, 0)
        pixel = network.normalise(pictures)[0, :, 2, 5]
        expected = [(1 - 0.4802) / 0.277, (0.2 - 0.4481) / 0.2691, -0.3975 / 0.2821]
        np.testing.assert_allclose(pixel.numpy(), expected, rtol=1e-5)

    def test_attention_of_zero_silences(self) -> None:
        network = self.small_network()
        inputs = torch.ones((1, 3, 12, 10))
        scores = network.run(inputs, {"gates": 0.0})
        silenced = [path.startswith("gates/") for path in network.categories]
        self.assertEqual(scores.categories[0].isnan().tolist(), silenced)
        plain = network.run(inputs)
        others = ~torch.tensor(silenced)
        self.assertTrue(torch.equal(scores.categories[:, others], plain.categories[:, others]))

    def test_attention_at_a_leaf_scales_its_score(self) -> None:
        network = self.small_network()
        inputs = torch.ones((1, 3, 12, 10))
        bias = network.tensors["below_trunk:head.bias"]
        plain = network.run(inputs).categories[:, 0] - bias
        raised = network.run(inputs, {"below_trunk": 2.5}).categories[:, 0] - bias
        torch.testing.assert_close(raised, plain * 2.5)

    def test_refuses_bad_attention(self) -> None:
        network = self.small_network()
        for attention in ({"nothing": 1.0}, {"gates": -0.1}, {"gates": 16.1}, {"gates": float("nan")}):
            with self.subTest(attention), self.assertRaises(ValueError):
                network.run(torch.ones((1, 3, 12, 10)), attention)

    def small_network(self) -> Network:
        description = every_layer()
        return Network(model_directory.Model(description, parse_tree(description), random_tensors(description, 1)))


class Golden(TemporaryFolder):
    def setUp(self) -> None:
        super().setUp()
        output = contextlib.redirect_stdout(io.StringIO())
        output.__enter__()
        self.addCleanup(output.__exit__, None, None, None)

    def test_files_are_those_of_the_stored_weights(self) -> None:
        stored = safetensors_file.read(GOLDEN / "tiny-imagenet-200.safetensors")
        golden.write_network(BUNDLED, GOLDEN / "tiny-imagenet-200.safetensors", self.folder / "again")
        self.assert_close(safetensors_file.read(self.folder / "again"), stored)

    def test_layer_networks_are_made_again(self) -> None:
        golden.write_layers(self.folder)
        for name in NETWORKS:
            again, stored = self.folder / name, GOLDEN / "layers" / name
            for file in ("model.json", "model.safetensors", "attention.json"):
                self.assertEqual((again / file).read_bytes(), (stored / file).read_bytes())
            scores = safetensors_file.read(again / "golden.safetensors")
            self.assert_close(scores, safetensors_file.read(stored / "golden.safetensors"))

    def assert_close(self, found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
        self.assertEqual(list(found), list(expected))
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-4)


class Accuracy(TemporaryFolder):
    def test_reads_an_archive_in_its_order(self) -> None:
        archive = self.folder / "pictures.tar.gz"
        names = ["val/n2/grey.JPEG", "val/n1/coloured.JPEG"]
        with tarfile.open(archive, "w:gz") as tar:
            for name, mode in zip(names, ("L", "RGB")):
                content = io.BytesIO()
                Image.new(mode, (6, 4), 200 if mode == "L" else (200, 0, 0)).save(content, "PNG")
                member = tarfile.TarInfo(name)
                member.size = len(content.getvalue())
                tar.addfile(member, io.BytesIO(content.getvalue()))
        pictures = list(accuracy.read_archive(archive, 4, 6))
        self.assertEqual([picture.name for picture in pictures], names)
        self.assertEqual([picture.wnid for picture in pictures], ["n2", "n1"])
        self.assertEqual(pictures[0].pixels[3, 5].tolist(), [200, 200, 200])
        self.assertEqual(pictures[1].pixels.shape, (4, 6, 3))

    def test_compares_with_a_list(self) -> None:
        listed = self.folder / "list.tsv"
        listed.write_text("image\ttrue\tpredicted\n1\ta\tb\n2\ta\ta\nabsent\ta\ta\n", encoding="utf-8")
        results = accuracy.Results(["1", "2"], torch.tensor([0, 0]), torch.tensor([[0.0, 1], [0.0, 1]]))
        self.assertEqual(accuracy.agreement(results, ["a", "b"], listed), (1, 3))

    def test_counts(self) -> None:
        names = ["a/x", "a/y", "b/x", "b/y"]
        scores = torch.tensor([[3.0, 2, 1, 0], [3.0, 2, 1, 0], [3.0, 2, 1, 0]])
        results = accuracy.Results(["1", "2", "3"], torch.tensor([0, 1, 2]), scores)
        groups = accuracy.groups_of(names)
        self.assertAlmostEqual(accuracy.top(results, 1), 100 / 3, places=4)
        self.assertAlmostEqual(accuracy.top(results, 3), 100, places=4)
        self.assertAlmostEqual(accuracy.first_group(results, groups), 200 / 3, places=4)
        self.assertEqual(accuracy.own_group(results, groups), (75.0, 25.0))


@needs_reference
class ReferenceNetwork(TemporaryFolder):
    def test_conversion_is_deterministic(self) -> None:
        for name in ("one", "two"):
            convert_reference.convert(SHARED / "reference", self.folder / name, "F16")
        for file in ("model.json", "model.safetensors"):
            self.assertEqual((self.folder / "one" / file).read_bytes(), (self.folder / "two" / file).read_bytes())

    def test_unrounded_network_has_the_golden_scores(self) -> None:
        convert_reference.convert(SHARED / "reference", self.folder, "F32")
        expected = safetensors_file.read(SHARED / "reference" / "golden.safetensors")
        network = Network(model_directory.read(self.folder))
        inputs = network.normalise(expected["pictures"])
        scores = network.run(inputs)
        attended = network.run(inputs, golden.NETWORK_ATTENTION)
        is_group = np.array(["/" in path for path in network.inner_heads])
        found = {
            "category_scores": scores.categories.numpy(),
            "group_scores": scores.inner.numpy()[:, is_group],
            "realm_scores": scores.inner.numpy()[:, ~is_group],
            "category_scores_with_attention": attended.categories.numpy(),
        }
        for name, array in found.items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-4)

    def test_order_is_that_of_the_taxonomy(self) -> None:
        taxonomy = json.loads((SHARED / "reference" / "taxonomy.json").read_text(encoding="utf-8"))
        trunk = model_directory.read(BUNDLED).trunk
        self.assertEqual(categories(trunk), list(accuracy.categories_by_wnid(taxonomy).values()))
        self.assertEqual(inner_heads(trunk)[:3], ["animal", "animal/cat", "animal/dog"])


if __name__ == "__main__":
    unittest.main()

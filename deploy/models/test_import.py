"""Tests of the importer: torchvision's networks with random weights, from PyTorch and ONNX, against PyTorch's output.

Those that run the engine take the program from ESPALIER_BINARY, or build/server/espalier, and are skipped where it was
not built; those that need torchvision or onnx (Debian's python3-torchvision, python3-onnx) where these are missing.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import tempfile
import unittest
import unittest.mock
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from espalier_models import branch_definitions, import_trunk, model_directory, safetensors_file, torchvision_trunks
from espalier_models.branch_definitions import Picture, build
from espalier_models.description import categories, parse_tree
from espalier_models.network import Network
from espalier_models.onnx_trunk import from_onnx
from espalier_models.trunk_source import ImportFault, Source

try:
    import torchvision
except ImportError:
    torchvision = None
try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    onnx = None

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("ESPALIER_BINARY", REPOSITORY / "build" / "server" / "espalier"))
CLASSES = 12
CLOSE = 1e-4  # of the scores' spread

needs_torchvision = unittest.skipUnless(torchvision, "torchvision is not there: install python3-torchvision")
needs_onnx = unittest.skipUnless(onnx, "onnx is not there: install python3-onnx")
needs_engine = unittest.skipUnless(BINARY.is_file(), f"{BINARY} is not there: build it, or set ESPALIER_BINARY")


def randomised(module: nn.Module) -> nn.Module:
    """Random weights and statistics, so that no term of a normalisation is without effect, and scores far apart."""
    torch.manual_seed(5)
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(part.weight)
            if part.bias is not None:
                nn.init.normal_(part.bias, std=0.3)
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.3)
            part.running_mean.normal_(std=0.3)
            part.running_var.uniform_(0.5, 2)
    return module.eval()


def small_vgg(normalised: bool) -> nn.Module:
    """Two poolings and a narrow classifier."""
    vgg = torchvision.models.vgg
    module = vgg.VGG(vgg.make_layers([8, "M", 12, 16, "M"], batch_norm=normalised), init_weights=False)
    module.classifier = nn.Sequential(
        nn.Linear(16 * 49, 40),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(40, 30),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(30, CLASSES),
    )
    return module


def narrow_resnet(block: str, **options: Any) -> nn.Module:
    resnet = torchvision.models.resnet
    return resnet.ResNet(getattr(resnet, block), [1, 2, 1, 1], num_classes=CLASSES, **options)


# For each network how it is made, and the height and width of its pictures: VGG's such as torch.onnx.export can pool.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=CLASSES), (64, 64)),
    "resnet of bottlenecks in groups": (lambda: narrow_resnet("Bottleneck", groups=4, width_per_group=8), (40, 56)),
    "vgg": (lambda: small_vgg(False), (28, 56)),
    "vgg with batch normalisation": (lambda: small_vgg(True), (28, 28)),
    "mobilenet_v2 of a quarter's width": (
        lambda: torchvision.models.mobilenet_v2(num_classes=CLASSES, width_mult=0.25), (64, 48)
    ),
}  # fmt: skip


def rows(count: int = CLASSES) -> dict[str, Any]:
    """A leaf for each class, in two groups without layers."""
    leaves = [{"name": f"row{row}", "row": row} for row in range(count)]
    groups = [{"name": "even", "children": leaves[::2]}, {"name": "odd", "children": leaves[1::2]}]
    return {"name": "imported", "children": groups}


def order(paths: list[str]) -> list[int]:
    """The classes of leaves called as by `rows`."""
    return [int(re.search(r"row(\d+)$", path)[1]) for path in paths]


class Importing(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        grad = torch.no_grad()
        grad.__enter__()
        self.addCleanup(grad.__exit__, None, None, None)

    def save(self, module: nn.Module, size: tuple[int, int], kind: str) -> Path:
        """Writes the network into a file: a state dict or ONNX."""
        path = self.folder / f"network.{kind}"
        if kind == "pth":
            torch.save(module.state_dict(), path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(module, torch.zeros(1, 3, *size), str(path))
        return path

    def run_importer(self, source: Path, definitions: dict[str, Any], size: tuple[int, int], *options: str) -> Path:
        """Imports by the command line; returns the model directory."""
        branches, output = self.folder / "branches.json", self.folder / "model"
        branches.write_text(json.dumps(definitions), encoding="utf-8")
        files = ["--from", str(source), "--branches", str(branches), "--output", str(output)]
        import_trunk.run([*files, "--size", f"{size[1]}x{size[0]}", *options])
        return output

    def whole_network(self, module: nn.Module, size: tuple[int, int], kind: str) -> Path:
        """Imports a network so that each of its classes is a leaf. VGG's hidden linear layers end the trunk."""
        path = self.save(module, size, kind)
        last = len(import_trunk.read(path, size).body)
        return self.run_importer(path, rows(), size, "--until", str(last))

    def assert_same_scores(self, found: torch.Tensor, expected: torch.Tensor) -> None:
        spread = float(expected.std())
        self.assertGreater(spread, 1e-3)
        torch.testing.assert_close(found, expected, rtol=0, atol=CLOSE * spread)


@needs_torchvision
class ScoresAreTheOriginals(Importing):
    def check(self, kind: str) -> None:
        for name, (make, size) in NETWORKS.items():
            with self.subTest(name):
                module = randomised(make())
                network = Network(model_directory.read(self.whole_network(module, size, kind)))
                inputs = torch.randn(2, 3, *size)
                scores = network.run(inputs).categories
                self.assert_same_scores(scores, module(inputs)[:, order(network.categories)])

    def test_from_pytorch(self) -> None:
        self.check("pth")

    @needs_onnx
    def test_from_onnx(self) -> None:
        self.check("onnx")

    def test_from_a_module(self) -> None:
        for name, (make, size) in NETWORKS.items():
            with self.subTest(name):
                module = randomised(make()).train()
                source = import_trunk.from_module(module, size)
                self.assertEqual(source.classifier.description["out"], CLASSES)
                self.assertTrue(module.training)

    def test_vgg_of_any_size(self) -> None:
        """7 × 7 of fewer, of more, and of as many features as do not divide evenly."""
        module = randomised(small_vgg(True))
        for size in ((4, 8), (28, 28), (40, 53), (90, 32)):
            with self.subTest(size):
                network = Network(model_directory.read(self.whole_network(module, size, "pth")))
                inputs = torch.randn(2, 3, *size)
                scores = network.run(inputs).categories
                self.assert_same_scores(scores, module(inputs)[:, order(network.categories)])

    def test_vgg_with_a_classifier_on_the_means(self) -> None:
        module = small_vgg(True)
        module.avgpool, module.classifier = nn.AdaptiveAvgPool2d(1), nn.Sequential(nn.Linear(16, CLASSES))
        source = import_trunk.from_module(randomised(module), (28, 28))
        self.assertEqual(len(source.body), source.features)

    @needs_engine
    def test_in_the_engine(self) -> None:
        """From a JPEG of the network's size with colours at full resolution, which both decode to the same pixels."""
        sources = {
            "resnet18": "pth",
            "vgg with batch normalisation": "onnx",
            "mobilenet_v2 of a quarter's width": "pth",
        }
        for name, kind in sources.items():
            if kind == "onnx" and onnx is None:
                kind = "pth"
            make, size = NETWORKS[name]
            with self.subTest(name):
                module = randomised(make())
                directory = self.whole_network(module, size, kind)
                picture = self.folder / "picture.jpg"
                self.write_picture(picture, size)
                network = Network(model_directory.read(directory))
                pixels = np.array(Image.open(picture).convert("RGB"))
                expected = module(network.normalise(pixels[None]))[0, order(network.categories)]
                self.assert_same_scores(self.engine_scores(directory, picture, network.categories), expected)

    def write_picture(self, path: Path, size: tuple[int, int]) -> None:
        height, width = size
        noise = np.random.RandomState(2).randint(0, 256, (height // 4, width // 4, 3)).astype(np.uint8)
        Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(path, quality=100, subsampling=0)

    def engine_scores(self, directory: Path, picture: Path, paths: list[str]) -> torch.Tensor:
        options = ["--json", "--top", str(len(paths)), "--precision", "fp32", "--model", str(directory)]
        done = subprocess.run(
            [BINARY, "classify", str(picture), *options], capture_output=True, text=True, timeout=120, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        scores = {guess["category"]: guess["score"] for guess in json.loads(done.stdout)["predictions"]}
        return torch.tensor([scores[path] for path in paths])


@needs_torchvision
class Trees(Importing):
    """Where the trunk ends, and what stands below it."""

    def setUp(self) -> None:
        super().setUp()
        self.module = randomised(narrow_resnet("BasicBlock"))
        self.size = (32, 32)
        self.inputs = torch.randn(2, 3, *self.size)
        self.source = torchvision_trunks.from_state_dict(
            torchvision_trunks.to_arrays(self.module.state_dict(), "resnet"), self.size
        )

    def build(self, definitions: dict[str, Any], **options: Any) -> model_directory.Model:
        description, tensors = build(self.source, definitions, Picture(*self.size), **options)
        return model_directory.Model(description, parse_tree(description), tensors)

    def test_trunk_ends_where_it_is_told(self) -> None:
        definitions = {"initial": "random", "children": [{"name": "a"}]}
        counts = {None: 7, "layer4": 7, "layer3.0": 6, "layer2": 5, "layer2.0": 4, "maxpool": 2, "bn1": 1, "5": 5}
        for until, count in counts.items():
            with self.subTest(until):
                model = self.build(definitions, until=until)
                self.assertEqual(len(model.trunk.layers), count)
        self.assertEqual(len(self.source.body), 7)

    def test_features_are_those_of_the_cut(self) -> None:
        model = self.build({"children": [{"name": "a"}]}, until="layer2", weights={
            "a:head.weight": np.eye(128, dtype=np.float32)[3], "a:head.bias": np.zeros(1, np.float32)})  # fmt: skip
        features = self.module.maxpool(F.relu(self.module.bn1(self.module.conv1(self.inputs))))
        features = self.module.layer2(self.module.layer1(features))
        torch.testing.assert_close(Network(model).run(self.inputs).categories[:, 0], features.mean((2, 3))[:, 3])

    def test_the_rest_goes_into_branches(self) -> None:
        """Once above both groups, once for each; the scores stay the network's."""
        once = {"children": [{"name": "shared", "layers": "rest", "children": rows()["children"]}]}
        twice = {"children": [{**group, "layers": "rest"} for group in rows()["children"]]}
        in_leaves = {
            "children": [{"name": "row3", "layers": "rest", "row": 3}, {"name": "row0", "layers": "rest", "row": 0}]
        }
        for definitions in (once, twice, in_leaves):
            network = Network(self.build(definitions, until="layer3"))
            scores = network.run(self.inputs).categories
            self.assert_same_scores(scores, self.module(self.inputs)[:, order(network.categories)])

    def test_weights_come_from_a_file(self) -> None:
        generator = np.random.RandomState(1)
        shapes = {"a:mix.weight": (4, 512, 1, 1), "a:mix.bias": (4,), "a:head.weight": (4,), "a:head.bias": (1,)}
        weights = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        layer = {"op": "conv", "name": "mix", "out": 4, "kernel": 1, "activation": "relu"}
        definitions = {"children": [{"name": "a", "label": "A", "layers": [layer]}, {"name": "row1", "row": 1}]}
        safetensors_file.write(self.folder / "weights.safetensors", weights)
        torch.save({name: torch.from_numpy(array) for name, array in weights.items()}, self.folder / "weights.pt")
        for file in ("weights.safetensors", "weights.pt"):
            source = self.save(self.module, self.size, "pth")
            directory = self.run_importer(source, definitions, self.size, "--weights", str(self.folder / file))
            model = model_directory.read(directory)
            self.assertEqual(model.description["trunk"]["children"][0], definitions["children"][0])
            for name, array in weights.items():
                np.testing.assert_array_equal(model.tensors[name], array)

    def test_random_values_are_drawn_by_the_seed(self) -> None:
        layer = {"op": "conv", "name": "mix", "out": 4, "kernel": 3, "activation": "relu"}
        definitions = {"children": [
            {"name": "group", "head": True, "initial": "random", "layers": [layer], "children": [{"name": "leaf"}]},
            {"name": "row1", "row": 1}]}  # fmt: skip
        self.size = (96, 96)
        first, again, other = (self.build(definitions, seed=seed).tensors for seed in (1, 1, 2))
        for name, array in first.items():
            np.testing.assert_array_equal(array, again[name])
        drawn = [name for name, array in first.items() if not np.array_equal(array, other[name])]
        self.assertEqual(drawn, ["group:mix.weight", "group:head.weight", "group/leaf:head.weight"])
        self.assertGreaterEqual(first["group/leaf:head.weight"].min(), 0)
        self.assertAlmostEqual(float(first["group:mix.weight"].std()), (2 / (512 * 9)) ** 0.5, places=3)

    def test_members_of_the_format_pass_through(self) -> None:
        definitions = {"name": "n", "version": "3", "children": [
            {"name": "a", "label": "An A", "layers": [], "children": [{"name": "row2", "label": "two", "row": 2}]}]}  # fmt: skip
        described = self.build(definitions).description
        self.assertEqual((described["name"], described["version"]), ("n", "3"))
        leaf = {"name": "row2", "label": "two", "layers": []}
        self.assertEqual(
            described["trunk"]["children"], [{"name": "a", "label": "An A", "layers": [], "children": [leaf]}]
        )

    def test_input_and_storage_are_options(self) -> None:
        source = self.save(self.module, self.size, "pth")
        options = ["--mean", "0.5", "0.25", "0", "--std", "1", "0.5", "2", "--dtype", "f16", "--until", "layer1"]
        directory = self.run_importer(source, {"initial": "random", "children": [{"name": "a"}]}, (24, 40), *options)
        described = model_directory.read(directory).description["input"]
        self.assertEqual(
            described, {"channels": 3, "height": 24, "width": 40, "mean": [0.5, 0.25, 0], "std": [1, 0.5, 2]}
        )
        dtypes = safetensors_file.read_dtypes(directory / "model.safetensors")
        self.assertEqual(set(dtypes.values()), {"F16"})

    def test_list_has_the_layers(self) -> None:
        source = self.save(self.module, self.size, "pth")
        lines = import_trunk.run(["--from", str(source), "--list"]).splitlines()
        self.assertEqual(len(lines), 8)
        self.assertRegex(lines[2], r"3 +layer1\.0 +residual, out 64")
        self.assertRegex(lines[6], "the trunk's end")
        self.assertRegex(lines[7], rf"fc +{CLASSES} rows")

    @needs_onnx
    def test_onnx_has_the_same_names_and_size(self) -> None:
        source = from_onnx(self.save(self.module, self.size, "onnx"))
        self.assertEqual(source.size, self.size)
        for until in ("conv1", "maxpool", "layer2", "layer2.0", "layer4"):
            self.assertEqual(source.position(until), self.source.position(until))

    def test_definitions_that_cannot_be(self) -> None:
        leaf = {"name": "a", "row": 0}
        layer = {"op": "activation", "activation": "relu"}
        bad: dict[str, tuple[Any, str]] = {
            "no children": ({"name": "n"}, "children"),
            "no object": ([leaf], "children"),
            "unknown member": ({"children": [leaf], "trunk": {}}, "trunk"),
            "children no list": ({"children": [{"name": "a", "children": {"b": {}}}]}, "a: its children"),
            "layers no list": ({"children": [{**leaf, "layers": "all"}]}, 'a: its layers .*"rest"'),
            "layers no objects": ({"children": [{**leaf, "layers": ["rest"]}]}, 'a: its layers .*"rest"'),
            "no name": ({"children": [{"row": 1}]}, "name"),
            "row too large": ({"children": [{"name": "a", "row": CLASSES}]}, f"a: row {CLASSES} .* 0 to {CLASSES - 1}"),
            "row below 0": ({"children": [{"name": "a", "row": -1}]}, "a: row -1"),
            "row no number": ({"children": [{"name": "a", "row": True}]}, "a: row True"),
            "row at a group": ({"children": [{"name": "a", "row": 1, "children": [leaf]}]}, "a: has children"),
            "row below other layers": ({"children": [{"name": "a", "row": 1, "layers": [layer]}]}, "a: row 1 needs"),
            "no value": ({"children": [{"name": "a"}]}, 'a:head.weight: .*"row".*"initial"'),
            "unknown initial": ({"children": [{"name": "a", "initial": "zero"}]}, 'a: "initial"'),
            "no rest": ({"children": [{**leaf, "layers": "rest"}]}, "a: .* nothing of the network is left"),
            "unknown member of a node": ({"children": [{**leaf, "weight": 1}]}, "a: does not know weight"),
        }  # fmt: skip
        for fault, (definitions, message) in bad.items():
            with self.subTest(fault), self.assertRaisesRegex(ValueError, message):
                self.build(definitions)
        with self.assertRaisesRegex(ImportFault, "a: row 0 needs all .*rest"):
            self.build({"children": [leaf]}, until="layer3")
        with self.assertRaisesRegex(ImportFault, "b: .* other layers stand above"):
            child = {"name": "b", "layers": "rest", "row": 0}
            self.build({"children": [{"name": "a", "layers": [layer], "children": [child]}]}, until="layer3")
        with self.assertRaisesRegex(ImportFault, "nothing.*--list"):
            self.build({"children": [leaf]}, until="nothing")

    def test_weights_that_have_no_place(self) -> None:
        head = {"a:head.weight": np.ones(512, np.float32)}
        for weights, message in (({"b:mix.weight": head["a:head.weight"]}, "b:mix.weight"), (head, "gives it already")):
            with self.assertRaisesRegex(ImportFault, message):
                self.build({"children": [{"name": "a", "row": 0}]}, weights=weights)


@needs_torchvision
class StateDicts(Importing):
    """What is told from the tensors, and what is refused."""

    def setUp(self) -> None:
        super().setUp()
        self.module = randomised(narrow_resnet("BasicBlock"))
        self.state = torchvision_trunks.to_arrays(self.module.state_dict(), "resnet")

    def read(self, state: dict[str, np.ndarray], size: tuple[int, int] = (32, 32)) -> Source:
        return torchvision_trunks.from_state_dict(state, size)

    def test_checkpoints_and_wrapped_modules(self) -> None:
        plain = self.module.state_dict()
        wrapped = {f"module.{name}": tensor for name, tensor in plain.items()}
        for content in (plain, {"state_dict": wrapped}, {"model": plain, "epoch": 3}):
            torch.save(content, self.folder / "file.pth")
            found = torchvision_trunks.load_state_dict(self.folder / "file.pth")
            self.assertEqual(set(found), set(plain))
        torch.save({"state_dict": {1: torch.zeros(2)}}, self.folder / "file.pth")
        with self.assertRaisesRegex(ImportFault, "no state dict"):
            torchvision_trunks.load_state_dict(self.folder / "file.pth")

    def test_a_network_that_is_part_of_a_module(self) -> None:
        for prefix in ("model.", "_orig_mod.model."):
            inside = self.read({prefix + name: array for name, array in self.state.items()})
            self.assertEqual(inside.classifier.description, self.read(self.state).classifier.description)
        with self.assertRaisesRegex(ImportFault, "no ResNet, VGG or MobileNetV2"):
            self.read({"model.stem.weight": np.zeros(3)})
        vgg = torchvision_trunks.to_arrays(small_vgg(True).state_dict(), "vgg")
        self.read({name: array for name, array in vgg.items() if name.startswith("features.")}, (64, 64))

    def test_the_classifier_may_be_missing_or_in_a_sequence(self) -> None:
        without = {name: array for name, array in self.state.items() if not name.startswith("fc.")}
        self.assertIsNone(self.read(without).classifier)
        sequence = {**without, "fc.1.weight": self.state["fc.weight"], "fc.1.bias": self.state["fc.bias"]}
        self.assertEqual(self.read(sequence).classifier.description["out"], CLASSES)
        with self.assertRaisesRegex(ImportFault, "a: asks for row 0"):
            build(self.read(without), {"children": [{"name": "a", "row": 0}]}, Picture(32, 32))

    def test_what_is_not_torchvisions_is_refused(self) -> None:
        state, vgg = self.state, torchvision_trunks.to_arrays(small_vgg(True).state_dict(), "vgg")
        mobile = {"features.0.0.weight": np.zeros((8, 3, 3, 3)), "features.1.conv.0.0.weight": np.zeros((8, 1, 3, 3))}
        bad: dict[str, tuple[dict[str, np.ndarray], str]] = {
            "another network": ({"stem.weight": np.zeros(3)}, "no ResNet, VGG or MobileNetV2"),
            "a tensor is missing": ({k: v for k, v in state.items() if k != "bn1.running_var"}, "bn1.running_var: .* missing"),
            "a tensor too many": ({**state, "layer1.0.se.fc1.weight": np.zeros((4, 4))}, "layer1.0.se.fc1.weight: .* no such tensor"),
            "another shape": ({**state, "conv1.weight": np.zeros(3)}, r"conv1.weight: has the shape \(3,\)"),
            "a small stem": ({**state, "conv1.weight": np.zeros((64, 3, 3, 3))}, "conv1.weight: .* 7 × 7"),
            "statistics of another width": ({**state, "bn1.running_mean": np.zeros(3)}, "conv1: .* channels"),
            "two linear layers": (
                {**{k: v for k, v in state.items() if k[:3] != "fc."}, "fc.0.weight": np.zeros((4, 512)), "fc.2.weight": np.zeros((4, 4))},
                "fc: has 2 linear layers"),
            "blocks of MobileNetV2": (mobile, "17 blocks"),
            "VGG's classifier": ({**vgg, "classifier.0.weight": np.zeros((40, 9))}, "classifier.0: reads 9 values"),
            "VGG's places": ({**vgg, "classifier.8.weight": np.zeros((2, 2))}, "classifier: linear layers at"),
        }  # fmt: skip
        for fault, (tensors, message) in bad.items():
            with self.subTest(fault), self.assertRaisesRegex(ImportFault, message):
                self.read(tensors)
        with self.assertRaisesRegex(ImportFault, "--size"):
            self.read(vgg, (3, 64))

    def test_a_module_that_computes_something_else_is_found(self) -> None:
        self.module.layer2[0].conv1.stride = (1, 1)
        self.module.layer2[0].downsample[0].stride = (1, 1)
        with self.assertRaisesRegex(ImportFault, "computes something else"):
            import_trunk.from_module(self.module, (32, 32))

    def test_files_that_run_code_are_refused(self) -> None:
        for content in (self.module, [1, 2]):
            torch.save(content, self.folder / "file.pth")
            with self.assertRaisesRegex(ImportFault, "state_dict()"):
                torchvision_trunks.load_state_dict(self.folder / "file.pth")
        (self.folder / "file.pth").write_bytes(b"nothing")
        with self.assertRaisesRegex(ImportFault, "state_dict()"):
            torchvision_trunks.load_state_dict(self.folder / "file.pth")

    def test_the_engines_limit_of_a_tensor(self) -> None:
        limits = (REPOSITORY / "include" / "espalier" / "limits.h").read_text(encoding="utf-8")
        exponent = re.search(r"ESP_TENSOR_MAX +\(\(size_t\)1 << (\d+)\)", limits)[1]
        self.assertEqual(branch_definitions.TENSOR_MAX, 1 << int(exponent))
        layer = {"op": "linear", "name": "fc", "out": 16385}
        with self.assertRaisesRegex(ImportFault, "a:fc.weight: has .*--size"):
            definitions = {"initial": "random", "children": [{"name": "a", "layers": [layer]}]}
            build(self.read(self.state), definitions, Picture(65, 65), until="layer1")
        with unittest.mock.patch.object(branch_definitions, "TENSOR_MAX", 40 * 16 * 49 - 1):
            source = import_trunk.from_module(randomised(small_vgg(True)), (28, 28))
            with self.assertRaisesRegex(ImportFault, "trunk:classifier_0.weight"):
                build(source, rows(), Picture(28, 28), until="classifier.3")

    def test_the_command_says_what_is_wrong(self) -> None:
        (self.folder / "broken.json").write_text("{", encoding="utf-8")
        network = str(self.save(self.module, (32, 32), "pth"))
        for arguments, message in (
            (
                ["--from", network, "--branches", str(self.folder / "broken.json"), "--output", "x"],
                "broken.json: is no JSON",
            ),
            (["--from", str(self.folder / "absent.pth"), "--list"], "absent.pth"),
            (["--from", network], "--branches and --output"),
            (["--from", network, "--list", "--mean", "123.675", "116.28", "103.53"], "divide"),
        ):
            with self.subTest(message), unittest.mock.patch("sys.argv", ["import_trunk", *arguments]):
                with self.assertRaises(SystemExit) as ended, contextlib.redirect_stdout(io.StringIO()):
                    import_trunk.main()
                self.assertIn(message, str(ended.exception))


@needs_onnx
class OnnxGraphs(Importing):
    """Graphs as other exporters write them, made by hand, and what is refused."""

    def write(self, nodes: list[Any], tensors: dict[str, np.ndarray], output: str, channels: int = 3) -> Path:
        """A graph from `x` [1, channels, 12, 10]."""
        graph = helper.make_graph(
            nodes, "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, 12, 10])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()],
        )  # fmt: skip
        path = self.folder / "graph.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), str(path))
        return path

    def test_what_torch_does_not_write(self) -> None:
        """Normalisation left as it is, ReLU6 with constants, blocks in blocks, shared weights, means as pooling."""
        generator = np.random.RandomState(4)
        w = generator.standard_normal((5, 3, 3, 3)).astype(np.float32) / 3
        v = generator.standard_normal((5, 5, 1, 1)).astype(np.float32)
        fc = generator.standard_normal((5, 4)).astype(np.float32)
        scale, shift, mean = generator.standard_normal((3, 5)).astype(np.float32)
        variance = generator.uniform(0.5, 2, 5).astype(np.float32)
        node = helper.make_node
        nodes = [
            node("Conv", ["x", "body.first.weight"], ["a"], kernel_shape=[3, 3], strides=[2, 1], pads=[1, 0, 1, 0]),
            node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["b"], epsilon=0.01),
            node("Constant", [], ["zero"], value=numpy_helper.from_array(np.float32(0))),
            node("Constant", [], ["six"], value_float=6.0),
            node("Clip", ["b", "zero", "six"], ["c"]),
            node("AveragePool", ["c"], ["d"], kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
            node("Conv", ["d", "v"], ["e"]),
            node("Relu", ["e"], ["f"]),
            node("Identity", ["v"], ["same"]),
            node("Conv", ["f", "same"], ["g"]),
            node("Add", ["f", "g"], ["h"]),
            node("Conv", ["d", "v"], ["i"]),
            node("Add", ["i", "h"], ["j"]),
            node("Relu", ["j"], ["k"]),
            node("MaxPool", ["k"], ["l"], kernel_shape=[2, 2]),
            node("ReduceMean", ["l"], ["m"], axes=[-1, -2], keepdims=1),
            node("Reshape", ["m", "flat"], ["n"]),
            node("Gemm", ["n", "fc"], ["scores"]),
            node("Softmax", ["scores"], ["chances"]),
        ]
        tensors = {"body.first.weight": w, "v": v, "fc": fc, "scale": scale, "shift": shift, "mean": mean}
        tensors.update(variance=variance, flat=np.array([1, 5]))
        source = from_onnx(self.write(nodes, tensors, "chances"))
        self.assertEqual(source.position("body.first"), 1)
        description, tensors = build(source, rows(4), Picture(12, 10))
        network = Network(model_directory.Model(description, parse_tree(description), tensors))
        inputs = torch.randn(2, 3, 12, 10)
        t = torch.from_numpy
        x = F.conv2d(inputs, t(w), None, (2, 1), (1, 0))
        x = F.relu6(F.batch_norm(x, t(mean), t(variance), t(scale), t(shift), False, 0, 0.01))
        x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        f = F.relu(F.conv2d(x, t(v)))
        x = F.relu(F.conv2d(x, t(v)) + f + F.conv2d(f, t(v)))
        expected = F.max_pool2d(x, 2, 1).mean((2, 3)) @ t(fc)
        self.assert_same_scores(network.run(inputs).categories, expected[:, order(network.categories)])

    def test_a_trunk_before_an_unknown_op_can_be_had(self) -> None:
        weight = np.ones((4, 3, 3, 3), np.float32)
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["a"], name="/stem/Conv"),
            helper.make_node("HardSigmoid", ["a"], ["b"], name="/gate"),
        ]
        source = from_onnx(self.write(nodes, {"w": weight}, "b"))
        definitions = {"initial": "random", "children": [{"name": "a"}]}
        description, _ = build(source, definitions, Picture(12, 10), until="stem")
        self.assertEqual(categories(parse_tree(description)), ["a"])
        self.assertIn("HardSigmoid", import_trunk.list_layers(source))
        for options in ({}, {"until": "absent"}):
            with self.assertRaisesRegex(ImportFault, r"node /gate \(HardSigmoid\): .*--until"):
                build(source, definitions, Picture(12, 10), **options)
        with self.assertRaisesRegex(ImportFault, "HardSigmoid"):
            build(source, {"children": [{"name": "a", "row": 0}]}, Picture(12, 10), until="stem")

    def test_what_the_format_does_not_know_is_refused(self) -> None:
        node = helper.make_node
        conv = node("Conv", ["x", "w"], ["a"], name="first")
        statistics = ["one", "one", "one", "one"]
        bad: dict[str, tuple[list[Any], str]] = {
            "ceil_mode": ([node("MaxPool", ["x"], ["z"], name="p", kernel_shape=[2, 2], ceil_mode=1)], "node p .*ceil_mode"),
            "dilated pooling": ([node("MaxPool", ["x"], ["z"], kernel_shape=[2, 2], dilations=[2, 2])], "node z .*dilated"),
            "pads": ([node("Conv", ["x", "w"], ["z"], name="c", pads=[0, 0, 1, 1])], r"node c .*\[0, 0\] before and \[1, 1\]"),
            "auto_pad": ([node("Conv", ["x", "w"], ["z"], auto_pad="SAME_UPPER")], "auto_pad SAME_UPPER"),
            "one dimension": ([node("Conv", ["x", "fc"], ["z"])], "over 0 dimensions"),
            "computed weights": ([node("Relu", ["w"], ["r"]), node("Conv", ["x", "r"], ["z"])], "input r is computed"),
            "Clip": ([conv, node("Clip", ["a", "zero", "one1"], ["z"])], "clips to 0.0 and 1.0"),
            "Clip without bounds": ([conv, node("Clip", ["a"], ["z"])], "clips to None"),
            "normalisation alone": ([node("BatchNormalization", ["x", *statistics], ["z"])], "behind no Conv"),
            "normalisation behind ReLU": (
                [conv, node("Relu", ["a"], ["b"]), node("BatchNormalization", ["b", *statistics], ["z"])], "behind no Conv"),
            "training": ([conv, node("BatchNormalization", ["a", *statistics], ["z"], training_mode=1)], "module.eval"),
            "Flatten": ([conv, node("Flatten", ["a"], ["z"], axis=2)], "torch.flatten"),
            "Reshape": ([conv, node("Reshape", ["a", "shape"], ["z"])], "torch.flatten"),
            "Gemm": ([node("Flatten", ["x"], ["a"]), node("Gemm", ["a", "fc"], ["z"], alpha=2.0)], "alpha"),
            "ReduceMean": ([node("ReduceMean", ["x"], ["z"], axes=[1])], "mean over the axes"),
            "unknown op": ([conv, node("Softmax", ["a"], ["b"], name="s"), node("Relu", ["b"], ["z"])], r"node s \(Softmax\): .*knows no Softmax, only Conv"),
            "three paths": ([conv, *(node("Relu", ["a"], [name]) for name in "bcd")], "tensor a: .*not two"),
            "paths that end": ([conv, node("Relu", ["a"], ["b"]), node("Relu", ["a"], ["c"])], "tensor a: .*meet in one Add"),
            "a sum with itself": ([conv, node("Add", ["a", "a"], ["z"])], "tensor a"),
            "a constant sum": ([conv, node("Add", ["a", "one1"], ["z"])], "adds something that is no path"),
        }  # fmt: skip
        tensors = {
            "w": np.ones((3, 3, 3, 3), np.float32),
            "fc": np.ones((360, 2), np.float32),
            "one": np.ones(3, np.float32),
        }
        tensors.update(zero=np.float32(0), one1=np.float32(1), shape=np.array([1, 3, -1]))
        for fault, (nodes, message) in bad.items():
            with self.subTest(fault), self.assertRaisesRegex(ImportFault, message):
                from_onnx(self.write(nodes, tensors, "z")).need_whole()

    def test_files_that_are_no_networks_of_pictures(self) -> None:
        (self.folder / "file.onnx").write_bytes(b"\xff nothing")
        with self.assertRaisesRegex(ImportFault, "no ONNX file"):
            from_onnx(self.folder / "file.onnx")
        with self.assertRaisesRegex(ImportFault, "0 inputs"):
            from_onnx(self.write([], {"x": np.zeros(1, np.float32)}, "x"))

    def test_pictures_of_other_channels_are_refused(self) -> None:
        path = self.write(
            [helper.make_node("Conv", ["x", "w"], ["a"])], {"w": np.ones((2, 1, 3, 3), np.float32)}, "a", 1
        )
        with self.assertRaisesRegex(ImportFault, "trunk:conv1.weight: .*3 channels"):
            build(from_onnx(path), {"initial": "random", "children": [{"name": "a"}]}, Picture(12, 10))


if __name__ == "__main__":
    unittest.main()

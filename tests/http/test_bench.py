"""`espalier bench`: its table, its JSON and its errors. Times are looked at only for being there."""

import json
import shutil
import subprocess

import pytest

from daemon import BINARY, ROOT

NETWORK = ROOT / "deploy" / "models" / "tiny-imagenet-200"
LAYERS = ROOT / "tests" / "golden" / "layers" / "every_layer"


def bench(*arguments, binary=BINARY):
    return subprocess.run([binary, "bench", *map(str, arguments)], capture_output=True, text=True, timeout=300)


def bench_json(*arguments, binary=BINARY):
    result = bench(*arguments, "--runs", 2, "--json", binary=binary)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def convolutions(layers, prefix=""):
    """Their names as bench has them: those in a residual behind its own."""
    names = []
    for layer in layers:
        names += convolutions(layer["body"], f"{prefix}{layer['name']}.") if "body" in layer else [prefix + layer["name"]]
    return names


@pytest.fixture
def image(picture, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(picture)
    return path


def test_help():
    assert "bench" in subprocess.run([BINARY, "--help"], capture_output=True, text=True).stdout
    result = bench("--help")
    assert result.returncode == 0
    for flag in ("categories", "attention", "batch", "threads", "runs", "model", "kernels", "precision", "json"):
        assert f"--{flag}" in result.stdout


@pytest.mark.parametrize(("arguments", "said"), [
    (("--batch", "0"), "--batch is '0'"), (("--batch", "65"), "from 1 to 64"), (("--threads", "0"), "--threads"),
    (("--runs", "many"), "--runs is 'many'"), (("--precision", "fp64"), "fp32, bf16 or auto"), (("--nonsense",), "--help"),
    (("a.jpg", "b.jpg"), "b.jpg"), (("--categories", "tabbi"), "animal/cat/tabby"),
    (("--attention", "tabby:17"), "16"), (("--attention", "trunk:0"), "")])
def test_wrong_arguments(arguments, said):
    result = bench(*arguments)
    assert result.returncode == 2 and said in result.stderr and not result.stdout


@pytest.mark.parametrize(("arguments", "said"), [
    (("/nowhere/a.jpg",), "/nowhere/a.jpg"), ((__file__,), "JPEG"), (("--kernels", "abacus"), "abacus"),
    (("--model", "/nowhere"), "/nowhere")])
def test_what_cannot_be_done(arguments, said):
    result = bench(*arguments)
    assert result.returncode == 1 and said in result.stderr and not result.stdout


def test_json(image):
    answer = bench_json(image, "--kernels", "plain", "--categories", "cat,pizza", "--batch", 2, "--threads", 2)
    assert (answer["kernels"], answer["precision"]) == ("plain", "fp32")
    assert (answer["batch"], answer["threads"], answer["runs"]) == (2, 2, 2)
    for member in ("peak_gflops", "median_ms", "fastest_ms", "decode_ms", "preprocess_ms"):
        assert answer[member] > 0
    paths = [segment["path"] for segment in answer["segments"]]
    assert paths[:3] == ["trunk", "animal", "animal/cat"] and paths[-3:] == ["food", "food/dish", "food/dish/pizza"]
    assert len(paths) == 3 + 5 + 3
    for row in answer["segments"] + [layer for segment in answer["segments"] for layer in segment["layers"]]:
        assert {"macs", "ms", "gflops", "share"} < row.keys()
    trunk = [layer["name"] for layer in answer["segments"][0]["layers"]]
    expected = convolutions(json.loads((NETWORK / "model.json").read_text())["trunk"]["layers"])
    assert trunk[: len(expected)] == expected
    assert [layer["name"] for layer in answer["segments"][-1]["layers"]] == ["conv1", "head"]


def test_macs_are_those_of_an_answer(image):
    chosen = ("--categories", "cat,pizza", "--attention", "tabby:0,dish:1.5")
    answer = bench_json(image, *chosen, "--batch", 3)
    classified = subprocess.run([BINARY, "classify", image, *chosen, "--json"], capture_output=True, text=True, check=True)
    assert answer["macs"] == json.loads(classified.stdout)["cost"]["macs"]
    for segment in answer["segments"]:
        assert segment["macs"] == sum(layer["macs"] for layer in segment["layers"])
    assert sum(segment["macs"] for segment in answer["segments"]) == 3 * answer["macs"]


def test_every_kind_of_layer():
    names = {layer["name"] for segment in bench_json("--model", LAYERS)["segments"] for layer in segment["layers"]}
    assert {"max pool", "average pool", "mean", "gate", "head"} <= names


def test_table(image):
    result = bench(image, "--categories", "cat,pizza", "--runs", 2, "--batch", 2, "--threads", 2)
    assert result.returncode == 0, result.stderr
    for text in ("6 of 200 categories", "2 images that run together", "2 threads' peak", "res1.conv2", "└─ 5 categories",
                 "└─ pizza", "JPEG decoding", "preprocessing", "Most time lost"):
        assert text in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 120
    assert all(line == line.rstrip() for line in result.stdout.splitlines())


def test_without_a_name_the_picture_that_comes_along():
    assert bench_json("--categories", "tabby")["decode_ms"] > 0


def test_without_any_picture(tmp_path):
    """A program that lies alone has neither network nor picture beside it."""
    binary = tmp_path / "bin" / "espalier"
    binary.parent.mkdir()
    shutil.copy(BINARY, binary)
    answer = bench_json("--model", NETWORK, "--categories", "tabby", binary=binary)
    assert answer["decode_ms"] is None and answer["preprocess_ms"] is None and answer["median_ms"] > 0
    text = bench("--model", NETWORK, "--categories", "tabby", "--runs", "1", binary=binary).stdout
    assert "random values" in text and "JPEG decoding" not in text


def test_a_broken_picture(image, picture):
    image.write_bytes(picture[: len(picture) // 2])
    result = bench(image)
    assert result.returncode == 1 and result.stderr and not result.stdout


@pytest.mark.parametrize("precision", ["fp32", "bf16", "auto"])
def test_precision(precision):
    result = bench("--precision", precision, "--categories", "tabby", "--runs", 1, "--json")
    if precision == "bf16" and result.returncode == 1:
        assert "BF16" in result.stderr
        pytest.skip("no BF16 on this machine")
    answer = json.loads(result.stdout)
    assert precision == "auto" or answer["precision"] == precision

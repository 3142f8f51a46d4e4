"""`espalier cutout`: smaller model directories, from the command line to the daemon that serves them."""

import json
import subprocess

import pytest

from daemon import BINARY, Daemon
from models import BUNDLED, SMALL, calibrated_trunk, leaves, make_network

SELECTIONS = ["tabby", "cat", "fruit_or_vegetable,tabby,school_bus"]


def run(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def cut(categories, directory, *flags):
    result = run("cutout", "--categories", categories, "-o", directory, *flags)
    assert result.returncode == 0, result.stderr
    return result.stdout


def classify(image, *flags):
    """The answer of `espalier classify --json`, its numbers as the digits that stand there."""
    result = run("classify", image, "--json", "--top", 1000, *flags)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout, parse_float=str)


def categories_below(node):
    return [path for child in node.get("children", []) for path in categories_below(child)] or [node["path"]]


@pytest.fixture
def image(picture, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(picture)
    return path


@pytest.fixture
def calibrated(tmp_path):
    """A small network whose categories are calibrated."""
    return make_network(tmp_path / "calibrated", name="small", version="7", trunk=calibrated_trunk())


def test_help():
    assert "cutout" in run("--help").stdout
    result = run("cutout", "--help")
    assert result.returncode == 0
    assert all(flag in result.stdout for flag in ("--categories", "-o", "--output", "--name", "--model"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("categories", SELECTIONS)
def test_the_same_digits(image, tmp_path, categories, precision):
    if precision == "bf16" and "no BF16" in run("inspect", "--precision", precision).stderr:
        pytest.skip("no BF16 on this machine")
    cut(categories, tmp_path / "part", "--model", BUNDLED)
    whole = classify(image, "--model", BUNDLED, "--categories", categories, "--precision", precision, "--groups")
    part = classify(image, "--model", tmp_path / "part", "--precision", precision, "--groups")
    assert part["predictions"] == whole["predictions"]
    assert part["groups"] == whole["groups"]
    assert part["cost"]["precision"] == precision
    for figure in ("macs", "parameters", "branches", "categories"):
        assert part["cost"][figure] == whole["cost"][figure]
    assert part["cost"]["categories_full"] == part["cost"]["categories"]


def test_what_is_printed(tmp_path):
    lines = cut("cat", tmp_path / "part", "--model", BUNDLED).splitlines()
    with Daemon(model=BUNDLED) as daemon:
        cost = daemon.request("POST", "/cost?categories=cat").json
    assert "-cutout, version" in lines[0] and str(tmp_path / "part") in lines[0]
    rows = {line.split()[0]: line for line in lines[1:]}
    assert list(rows) == ["categories", "branches", "MACs", "parameters", "bytes"]
    assert f"{cost['categories']}  of " in rows["categories"] and str(cost["categories_full"]) in rows["categories"]
    assert f"{100 * cost['macs_excluded']:.1f} % left out" in rows["MACs"]
    assert f"{100 * cost['parameters_excluded']:.1f} % left out" in rows["parameters"]


@pytest.mark.parametrize("network", [BUNDLED, SMALL])
def test_nothing_left_out(tmp_path, network):
    """Nor less than that, though the cutout's file may be larger, as its name is longer."""
    lines = cut("trunk", tmp_path / "all", "--model", network, "--name", "a" * 64).splitlines()
    assert sum((tmp_path / "all" / name).stat().st_size - (network / name).stat().st_size for name in ("model.json", "model.safetensors")) > 0
    assert len(lines) == 6 and all(line.endswith("      0.0 % left out") for line in lines[1:]), lines


def test_the_daemon_serves_it(picture, tmp_path):
    cut("cat,orange", tmp_path / "part", "--model", BUNDLED)
    with Daemon(model=BUNDLED) as whole, Daemon(model=tmp_path / "part") as part:
        tree = part.get("/categories").json
        assert tree["model"]["name"] == whole.get("/categories").json["model"]["name"] + "-cutout"
        asked = whole.classify(picture, "?categories=cat,orange&top=1000&attention=tabby:2,food:0.9").json
        answer = part.classify(picture, "?top=1000&attention=tabby:2,food:0.9").json
        assert answer["predictions"] == asked["predictions"]
        assert sorted(categories_below(tree["tree"])) == sorted(each["category"] for each in asked["predictions"])
        assert part.classify(picture, "?categories=lemon").status == 422
        one = part.classify(picture, "?categories=tabby")
        assert one.json["predictions"] == whole.classify(picture, "?categories=tabby").json["predictions"]


def test_a_cutout_of_a_cutout(image, tmp_path):
    cut("animal", tmp_path / "animals", "--model", BUNDLED)
    cut("cat", tmp_path / "cats", "--model", tmp_path / "animals", "--name", "cats")
    cut("cat", tmp_path / "direct", "--model", BUNDLED, "--name", "cats")
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "cats" / name).read_bytes() == (tmp_path / "direct" / name).read_bytes()
    assert classify(image, "--model", tmp_path / "cats")["predictions"] == \
        classify(image, "--model", BUNDLED, "--categories", "cat")["predictions"]


def test_the_description_is_kept(image, tmp_path, calibrated):
    cut("kernels,alone", tmp_path / "part", "--model", calibrated)
    whole, part = (json.loads((path / "model.json").read_text()) for path in (calibrated, tmp_path / "part"))
    assert part["name"] == "small-cutout"
    assert {key: part[key] for key in ("format", "version", "input")} == {key: whole[key] for key in ("format", "version", "input")}
    assert part["trunk"]["layers"] == whole["trunk"]["layers"]
    assert part["trunk"]["children"] == [child for child in whole["trunk"]["children"] if child["name"] in ("kernels", "alone")]
    assert all("calibration" in leaf for _, leaf in leaves(part["trunk"]))
    answer = classify(image, "--model", tmp_path / "part")
    assert answer["predictions"] == classify(image, "--model", calibrated, "--categories", "kernels,alone")["predictions"]
    assert all("confidence" in each for each in answer["predictions"])


@pytest.mark.parametrize("way", ["named", "here", "link"])
def test_into_an_empty_directory(tmp_path, way):
    """Such as a volume, which cannot be replaced, and no more can the directory that the person stands in."""
    (tmp_path / "part").mkdir()
    (tmp_path / "link").symlink_to("part")
    inode = (tmp_path / "part").stat().st_ino
    target = {"named": tmp_path / "part", "here": ".", "link": tmp_path / "link"}[way]
    result = subprocess.run([BINARY, "cutout", "--model", SMALL, "--categories", "kernels", "-o", target], cwd=tmp_path / "part", capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "part").iterdir()) == ["model.json", "model.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "part"] and (tmp_path / "part").stat().st_ino == inode
    assert run("inspect", "--model", tmp_path / "part").returncode == 0


@pytest.mark.parametrize(("arguments", "said"), [
    ((), "--categories"), (("-o", "OUT"), "--categories"), (("--categories", "alone"), "-o"),
    (("--categories", "alone", "-o", "OUT", "extra"), "too much"), (("--nonsense",), "--help"),
    (("--categories", "alon", "-o", "OUT"), "did you mean alone"), (("--categories", "", "-o", "OUT"), "categories"),
    (("--categories", "alone", "-o", "OUT", "--name", "a b"), "A-Za-z0-9._-")])
def test_wrong_arguments(tmp_path, arguments, said):
    result = run("cutout", "--model", SMALL, *(tmp_path / "out" if each == "OUT" else each for each in arguments))
    assert result.returncode == 2 and said in result.stderr and not result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("target", "said"), [
    ("full", "is there already"), ("lost", "is there already"), ("file", "is there already"), ("no/where", "make the one above it first")])
def test_places_that_will_not_do(tmp_path, target, said):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "lost").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    result = run("cutout", "--model", SMALL, "--categories", "alone", "-o", tmp_path / target)
    assert result.returncode == 1 and said in result.stderr and not result.stdout
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / "full" / "mine").read_text() == "mine"


def test_a_model_that_is_none(tmp_path):
    result = run("cutout", "--model", tmp_path, "--categories", "alone", "-o", tmp_path / "out")
    assert result.returncode == 1 and "model.json" in result.stderr
    assert list(tmp_path.iterdir()) == []

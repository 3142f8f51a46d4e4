"""`confidence`: in the answers of networks that have a calibration, and in no others."""

import json
import math
import subprocess

import pytest

from daemon import BINARY, Daemon
from models import calibrated_trunk, leaves, make_network
from test_openapi import check


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A directory of two networks that differ in nothing but a calibration."""
    directory = tmp_path_factory.mktemp("networks")
    make_network(directory / "plain", name="plain", trunk=calibrated_trunk(calibrated=False))
    make_network(directory / "calibrated", name="calibrated", trunk=calibrated_trunk())
    return directory


@pytest.fixture(scope="module")
def daemon(networks):
    with Daemon(model=networks, default_model="calibrated", instances=1) as running:
        yield running


@pytest.fixture
def still_serving():
    """These networks know no orange."""


@pytest.fixture
def image(picture, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(picture)
    return path


def by_category(answer, member="confidence"):
    assert answer.status == 200, answer.body
    return {each["category"]: each[member] for each in answer.json["predictions"]}


def test_answers_with_a_calibration(daemon, picture):
    answer = daemon.classify(picture, "?top=100")
    check(answer.json, "Classification")
    calibrations = {path: leaf["calibration"] for path, leaf in leaves(calibrated_trunk())}
    assert len(answer.json["predictions"]) == len(calibrations)
    for each in answer.json["predictions"]:
        assert list(each) == ["category", "label", "probability", "confidence", "score"]
        calibration = calibrations[each["category"]]
        expected = 1 / (1 + math.exp(-(calibration["slope"] * each["score"] + calibration["offset"])))
        assert each["confidence"] == pytest.approx(expected, rel=1e-6)


def test_answers_without_one(daemon, picture):
    answer = daemon.classify(picture, "?model=plain&top=100")
    check(answer.json, "Classification")
    assert all(list(each) == ["category", "label", "probability", "score"] for each in answer.json["predictions"])
    assert by_category(answer, "score") == by_category(daemon.classify(picture, "?top=100"), "score")


def test_the_same_in_every_cutout(daemon, picture):
    whole = by_category(daemon.classify(picture, "?top=100"))
    assert len(set(whole.values())) > 1
    for path, confidence in whole.items():
        assert by_category(daemon.classify(picture, f"?categories={path}")) == {path: confidence}
    assert by_category(daemon.classify(picture, "?categories=kernels")).items() <= whole.items()


def test_attention_counts(daemon, picture):
    path = next(iter(by_category(daemon.classify(picture))))
    plain, attending = (daemon.classify(picture, f"?categories={path}&attention={path}:{weight}") for weight in (1, 0.5))
    assert by_category(plain) != by_category(attending)
    assert by_category(plain, "probability") == by_category(attending, "probability") == {path: 1}


def test_the_tree_says_whether(daemon):
    for name, calibrated in (("calibrated", True), ("plain", False)):
        tree = daemon.get(f"/categories?model={name}").json
        check(tree, "Tree")
        assert tree["calibrated"] is calibrated


def run(*arguments):
    result = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_command_line(networks, image, daemon, picture):
    served = {name: daemon.classify(picture, f"?model={name}&top=100").json["predictions"] for name in ("calibrated", "plain")}
    for name, predictions in served.items():
        flags = "--model", networks / name, "--top", 100
        assert json.loads(run("classify", image, *flags, "--json"))["predictions"] == predictions
        text = run("classify", image, *flags)
        assert text.count("confidence") == (len(predictions) if name == "calibrated" else 0)
        assert ("calibrated: answers" if name == "calibrated" else "no category has a calibration") in run("inspect", *flags[:2])
    first = served["calibrated"][0]
    line = next(line for line in run("classify", image, "--model", networks / "calibrated").splitlines() if first["category"] in line)
    assert f"confidence {100 * first['confidence']:6.2f} %" in line


@pytest.mark.parametrize(("broken", "said"), [
    ({}, "has none: give all categories one, or none"),
    ({"calibration": {"slope": -1, "offset": 0}}, "calibration: slope has to be a number above 0")])
def test_a_broken_calibration_is_refused(tmp_path, broken, said):
    trunk = calibrated_trunk()
    path, leaf = leaves(trunk)[-1]
    del leaf["calibration"]
    leaf.update(broken)
    directory = make_network(tmp_path / "broken", trunk=trunk)
    result = subprocess.run([BINARY, "inspect", "--model", directory], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and path in result.stderr and said in result.stderr

"""`espalier evaluate`: what it prints is recomputed here from the scores that it writes, and from runs of other kinds."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import reference
from daemon import BINARY, ROOT
from models import SMALL, calibrated_trunk, leaves, make_network
from pictures import jpeg, scene
from reference import needs_reference

EACH = 5
PATHS = [path for path, _ in leaves(calibrated_trunk())]


def evaluate(*arguments, **options):
    return subprocess.run([BINARY, "evaluate", *map(str, arguments)], capture_output=True, text=True, timeout=300, **options)


def text_of(*arguments):
    """The text without its line of time."""
    result = evaluate(*arguments)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines(keepends=True)
    assert sum(line.startswith("  time ") for line in lines) == 1
    return "".join(line for line in lines if not line.startswith("  time "))


def table_of(*arguments):
    """The CSV as {(table, row, column): number, or None where there is none}."""
    result = evaluate(*arguments, "--csv")
    assert result.returncode == 0, result.stderr
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert rows[0] == ["table", "row", "column", "value"] and {len(row) for row in rows} == {4}
    table = {tuple(row[:3]): float(row[3]) if row[3] else None for row in rows[1:]}
    assert len(table) == len(rows) - 1
    return table


class Scores:
    """What --scores wrote: the array, and the lines beside it."""

    def __init__(self, directory: Path, *arguments) -> None:
        self.table = table_of(*arguments, "--scores", directory / "scores.npy")
        self.array = np.load(directory / "scores.npy")
        rows = list(csv.reader((directory / "scores.tsv").read_text().splitlines(), delimiter="\t"))
        assert rows[0] == ["picture", "category", "macs"]
        self.names, self.truths = [row[0] for row in rows[1:]], [row[1] for row in rows[1:]]
        self.macs = [int(row[2]) for row in rows[1:]]
        assert self.array.dtype == np.float32 and len(self.array) == len(self.names)

    @property
    def bits(self) -> np.ndarray:
        return self.array.view(np.uint32)

    def answers(self, paths: list[str]) -> list[str]:
        return [paths[place] for place in np.nanargmax(self.array, axis=1)]


def noise(generator: random.Random, width: int, height: int) -> bytes:
    """A picture like no other: rectangles in any colour."""
    image = scene(width, height)
    for _ in range(12):
        left, top = generator.randrange(width), generator.randrange(height)
        image.paste(tuple(generator.randrange(256) for _ in range(3)), (left, top, left + width // 3, top + height // 3))
    return jpeg(image)


def write_pictures(directory: Path, paths: list[str], each: int) -> Path:
    generator = random.Random(5)
    for path in paths:
        (directory / path).mkdir(parents=True)
        for number in range(each):
            (directory / path / f"{number}.jpg").write_bytes(noise(generator, 20 + 7 * number, 24))
    return directory


def pack(directory: Path, archive: Path, mode: str) -> Path:
    """The files in the order in which the directory is read."""
    with tarfile.open(archive, mode) as tar:
        for name in sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*.*")):
            tar.add(directory / name, name)
    return archive


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small network with a calibration."""
    return make_network(tmp_path_factory.mktemp("networks") / "small", trunk=calibrated_trunk())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pictures in folders called as its categories."""
    return write_pictures(tmp_path_factory.mktemp("data"), PATHS, EACH)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """The sample pictures, in folders called as the bundled network's categories."""
    directory = tmp_path_factory.mktemp("samples")
    for picture in (ROOT / "deploy" / "samples").glob("*.jpg"):
        (directory / picture.stem).mkdir()
        shutil.copy(picture, directory / picture.stem)
    return directory


def test_help():
    assert "evaluate" in subprocess.run([BINARY, "--help"], capture_output=True, text=True).stdout
    result = evaluate("--help")
    assert result.returncode == 0
    for flag in ("labels", "categories", "all-pictures", "attention", "attention-sweep", "weights", "search", "budget", "first",
                 "threads", "model", "kernels", "precision", "csv", "scores", "quiet"):
        assert f"--{flag} " in result.stdout


@pytest.mark.parametrize(("arguments", "said"), [
    ((), "name one directory or archive"), (("a", "b"), "name one directory or archive"), (("--nonsense", "."), "--help"),
    ((".", "--threads", "0"), "--threads"), ((".", "--first", "0"), "--first"), ((".", "--first", "many"), "many"),
    ((".", "--categories", "alne"), "alone"), ((".", "--attention", "alone:17"), "16"),
    ((".", "--attention", "trunk:0"), ""), ((".", "--search", "beam:0"), "beam"),
    ((".", "--weights", "1"), "--attention-sweep"), ((".", "--attention-sweep", "alone", "--weights", "1,17"), "from 0 to 16"),
    ((".", "--attention-sweep", "alone", "--weights", "a"), "from 0 to 16"), ((".", "--attention-sweep", "alne"), "alone"),
    ((".", "--attention-sweep", "a", "--categories", "alone"), "nested/deep/deepest/a is not among"),
    ((".", "--scores", "scores.tsv"), ".npy")])
def test_wrong_arguments(small, arguments, said):
    result = evaluate(*arguments, "--model", small)
    assert result.returncode == 2 and said in result.stderr and not result.stdout


@pytest.mark.parametrize(("arguments", "said"), [
    (("/nowhere/a.tar",), "/nowhere/a.tar"), ((__file__,), "Unrecognized archive format"), ((".", "--kernels", "abacus"), "abacus"),
    ((".", "--model", "/nowhere"), "/nowhere"), ((".", "--labels", "/nowhere/list"), "/nowhere/list")])
def test_what_cannot_be_done(tmp_path, arguments, said):
    result = evaluate(*arguments, cwd=tmp_path)
    assert result.returncode == 1 and said in result.stderr and not result.stdout


def test_nothing_to_evaluate(small, data, tmp_path):
    """The error says why there is nothing."""
    (tmp_path / "spoon").mkdir()
    assert "has no JPEG files" in evaluate(tmp_path, "--model", small).stderr
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "1.png").write_bytes(b"PNG")
    result = evaluate(tmp_path, "--model", small)
    assert result.returncode == 1 and "1 files that are not called .jpg" in result.stderr and "has no JPEG files" in result.stderr
    (tmp_path / "spoon" / "1.jpg").write_bytes(jpeg(scene()))
    result = evaluate(tmp_path, "--model", small)
    assert result.returncode == 1 and not result.stdout
    assert '1 pictures in "spoon"' in result.stderr and "is called like a category" in result.stderr
    result = evaluate(data / "alone", "--model", small)
    assert result.returncode == 1 and f"{EACH} pictures that lie in no folder" in result.stderr
    result = evaluate(write_pictures(tmp_path / "others", ["alone"], 1), "--model", small, "--categories", "kernels")
    assert result.returncode == 1 and "shows one of the categories asked for" in result.stderr
    (tmp_path / "others" / "alone" / "0.jpg").write_bytes(b"no picture")
    result = evaluate(tmp_path / "others", "--model", small)
    assert result.returncode == 1 and "can be read" in result.stderr and not result.stdout


@pytest.mark.parametrize("form", ["text", "csv"])
def test_a_full_disk(small, data, form):
    with open("/dev/full", "w") as full:
        result = subprocess.run([BINARY, "evaluate", data, "--model", small] + ["--csv"] * (form == "csv"), stdout=full,
                                stderr=subprocess.PIPE, text=True, timeout=300)
    assert result.returncode == 1 and "cannot be written" in result.stderr


def test_scores_that_cannot_be_written(small, data, tmp_path):
    """It is said before anything is computed, and leaves nothing behind."""
    result = evaluate(data, "--model", small, "--scores", tmp_path / "nowhere" / "a.npy")
    assert result.returncode == 1 and "nowhere/a.npy" in result.stderr and not result.stdout
    (tmp_path / "a.tsv").mkdir()
    result = evaluate(data, "--model", small, "--scores", tmp_path / "a.npy")
    assert result.returncode == 1 and "a.tsv" in result.stderr and not result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv"]


def test_archives_and_threads_change_nothing(small, data, tmp_path):
    arguments = ("--model", small, "--attention-sweep", "kernels")
    expected = text_of(data, *arguments, "--threads", 1)
    assert expected == text_of(data, *arguments, "--threads", 2)
    for mode, name in (("w", "a.tar"), ("w:gz", "a.tar.gz"), ("w:xz", "a.tar.xz")):
        assert expected == text_of(pack(data, tmp_path / name, mode), *arguments, "--threads", 2)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive, tarfile.open(tmp_path / "a.tar") as tar:
        for name in tar.getnames():
            archive.writestr(name, (data / name).read_bytes())
    assert expected == text_of(tmp_path / "a.zip", *arguments)


def test_scores_do_not_depend_on_threads(small, data, tmp_path):
    one = Scores(tmp_path, data, "--model", small, "--threads", 1)
    two = Scores(tmp_path, pack(data, tmp_path / "a.tar", "w"), "--model", small, "--threads", 2)
    assert one.names == two.names == sorted(one.names) and one.truths == two.truths
    assert (one.bits == two.bits).all() and one.macs == two.macs and one.table == two.table


def test_as_classify_says(samples, tmp_path):
    """The bundled network's scores, one by one."""
    scores = Scores(tmp_path, samples)
    for name, row in zip(scores.names, scores.array):
        result = subprocess.run([BINARY, "classify", samples / name, "--json", "--top", "1"], capture_output=True, check=True)
        answer = json.loads(result.stdout)
        assert answer["predictions"][0]["score"] == pytest.approx(float(np.nanmax(row)), rel=1e-8)
        assert scores.macs[0] == answer["cost"]["macs"]


def test_the_text(small, data):
    """Its shares are those of the CSV."""
    arguments = (data, "--model", small, "--attention-sweep", "a,alone", "--weights", "1,2")
    text, table = text_of(*arguments), table_of(*arguments)
    assert f"  pictures     {EACH * len(PATHS)}\n" in text
    for place in ("top1", "top5"):
        assert f"  {place[:3]}-{place[3]}      {100 * table['accuracy', 'all', place]:6.2f} %\n" in text
    words = [line.split() for line in text.splitlines()]
    for row in ("nested/deep", "kernels"):
        values = [f"{100 * table['groups', row, column]:.2f}" for column in ("top1", "group")]
        assert [row, str(int(table["groups", row, "pictures"])), values[0], "%", values[1], "%"] in words
    values = [f"{100 * table['attention', '2', 'recall']:.2f}", f"{100 * table['attention', '2', 'false_positives']:.3f}"]
    assert any(line[:2] == ["2", values[0]] and line[-2:] == [values[1], "%"] for line in words)
    for heading in ("probability", "confidence", "one category asked", "expected error"):
        assert heading in text
    assert max(map(len, text.splitlines())) <= 100 and all(line == line.rstrip() for line in text.splitlines())


def bins(said, so):
    """Count, mean and share of what was so for each tenth, and the expected calibration error."""
    places = np.minimum((said * 10).astype(int), 9)
    rows = [(int((places == place).sum()), said[places == place], so[places == place]) for place in range(10)]
    return rows, sum(abs(part.mean() - right.mean()) * count for count, part, right in rows if count) / len(said)


def check_calibration(table, name, said, so):
    rows, error = bins(said, so)
    for place, (count, part, right) in enumerate(rows):
        row = f"{place / 10:.1f}"
        assert table[name, row, "count"] == count
        assert table[name, row, "mean"] == (pytest.approx(part.mean(), rel=1e-9) if count else None)
        assert table[name, row, "so"] == (pytest.approx(right.mean(), rel=1e-9) if count else None)
    assert table[name, "all", "error"] == pytest.approx(error, rel=1e-9)


def check_accuracy(table, array, truths, paths):
    """Top-1, top-5 and groups."""
    order = np.argsort(-array, axis=1, kind="stable")
    ranked = [[paths[place] for place in row] for row in order]
    first = np.array([row[0] == truth for row, truth in zip(ranked, truths)])
    five = np.array([truth in row[:5] for row, truth in zip(ranked, truths)])
    assert table["accuracy", "all", "pictures"] == len(truths)
    assert table["accuracy", "all", "top1"] == pytest.approx(first.mean())
    assert table["accuracy", "all", "top5"] == pytest.approx(five.mean())
    groups = {"/".join(path.split("/")[:depth]) for path in truths for depth in range(1, path.count("/") + 1)}
    assert {row for name, row, _ in table if name == "groups"} == groups
    for group in groups:
        own = np.array([truth.startswith(group + "/") for truth in truths])
        inside = np.array([row[0].startswith(group + "/") for row in ranked])
        assert table["groups", group, "pictures"] == own.sum()
        assert table["groups", group, "top1"] == pytest.approx(first[own].mean())
        assert table["groups", group, "group"] == pytest.approx(inside[own].mean())
    return first


def test_the_table_recomputed(small, data, tmp_path):
    scores = Scores(tmp_path, data, "--model", small)
    array, table = scores.array.astype(float), scores.table
    assert not np.isnan(array).any() and array.shape == (EACH * len(PATHS), len(PATHS))
    assert scores.truths == [os.path.dirname(name) for name in scores.names]
    first = check_accuracy(table, array, scores.truths, PATHS)
    assert 0 < first.mean() < 1

    exponents = np.exp(array - array.max(axis=1, keepdims=True))
    check_calibration(table, "probability", (1 / exponents.sum(axis=1)), first)

    fits = [leaf["calibration"] for _, leaf in leaves(calibrated_trunk())]
    slope, offset = (np.array([fit[part] for fit in fits]) for part in ("slope", "offset"))
    said = 1 / (1 + np.exp(-(slope * array + offset)))
    so = np.array([[path == truth for path in PATHS] for truth in scores.truths])
    check_calibration(table, "confidence", said.ravel(), so.ravel())
    for limit in (0.2, 0.5, 0.8, 0.9):
        above, row = said > limit, f"{limit:g}"
        assert table["single", row, "others"] == pytest.approx(above[~so].mean())
        assert table["single", row, "own"] == pytest.approx(above[so].mean())
        assert table["single", row, "correct"] == (pytest.approx(so[above].mean()) if above.any() else None)
    assert table["cost", "mean", "macs"] == table["cost", "full", "macs"] == scores.macs[0]
    assert {table["left_out", row, column] for row, column in (
        ("unreadable", "pictures"), ("unselected", "pictures"), ("unknown", "folders"))} == {0}


def test_a_network_without_calibration(data):
    assert not any(row[0] in ("confidence", "single") for row in table_of(data, "--model", SMALL))
    assert "confiden" not in text_of(data, "--model", SMALL)


def test_a_cutout_on_its_own_pictures(small, data, tmp_path):
    whole = Scores(tmp_path, data, "--model", small)
    part = Scores(tmp_path, data, "--model", small, "--categories", "kernels,a")
    chosen = [path.startswith("kernels/") or path.endswith("/a") for path in PATHS]
    rows = [truth in np.array(PATHS)[chosen] for truth in whole.truths]
    assert part.names == [name for name, kept in zip(whole.names, rows) if kept]
    assert (part.bits[:, chosen] == whole.bits[rows][:, chosen]).all() and np.isnan(part.array[:, ~np.array(chosen)]).all()
    assert part.table["left_out", "unselected", "pictures"] == len(whole.names) - len(part.names)
    assert part.table["cost", "mean", "macs"] < part.table["cost", "full", "macs"] == whole.table["cost", "mean", "macs"]
    check_accuracy(part.table, np.where(np.isnan(part.array), -np.inf, part.array), part.truths, PATHS)


def test_a_cutout_on_all_pictures(small, data, tmp_path):
    """Those of other categories never count as right or wrong, but have scores, and confidences."""
    own = Scores(tmp_path, data, "--model", small, "--categories", "kernels")
    everything = Scores(tmp_path, data, "--model", small, "--categories", "kernels", "--all-pictures")
    assert len(everything.names) == EACH * len(PATHS) and set(own.names) < set(everything.names)
    for row, value in own.table.items():
        if row[0] in ("accuracy", "groups"):
            assert everything.table[row] == value
    for name, factor in (("probability", 1), ("confidence", 3)):
        assert sum(value for row, value in everything.table.items() if row[0] == name and row[2] == "count") == \
            EACH * len(PATHS) * factor
    assert f"{3 * EACH} of them of the categories asked for" in text_of(
        data, "--model", small, "--categories", "kernels", "--all-pictures")


@pytest.mark.parametrize("besides", [None, "nested:0.7,alone:1.5"])
def test_the_sweep_is_that_of_single_runs(small, data, tmp_path, besides):
    weights, nodes = ["0", "0.5", "1", "4", "16"], ["a", "kernels"]
    plain = ("--model", small) + (("--attention", besides) if besides else ())
    table = table_of(data, *plain, "--attention-sweep", ",".join(nodes), "--weights", ",".join(weights))
    attended = [path for path in PATHS if path.startswith("kernels/") or path.endswith("/a")]
    recalls = set()
    for weight in weights:
        attention = ",".join(([besides] if besides else []) + [f"{node}:{weight}" for node in nodes])
        run = Scores(tmp_path, data, "--model", small, "--attention", attention, "--all-pictures")
        pairs = list(zip(run.truths, run.answers(PATHS)))
        right = sum(truth == answer for truth, answer in pairs if truth in attended)
        said = sum(answer in attended for _, answer in pairs)
        wrong = sum(answer in attended for truth, answer in pairs if truth not in attended)
        assert table["attention", weight, "recall"] == pytest.approx(right / sum(truth in attended for truth, _ in pairs))
        assert table["attention", weight, "precision"] == (pytest.approx(right / said) if said else None)
        assert table["attention", weight, "false_positives"] == pytest.approx(
            wrong / sum(truth not in attended for truth, _ in pairs))
        recalls.add((right, said))
    assert len(recalls) > 1
    rest = {row: value for row, value in table.items() if row[0] != "attention"}
    assert rest == table_of(data, *plain)  # the sweep changes nothing else


@pytest.mark.parametrize(("beam", "share"), [(1, None), (3, None), (None, 0), (None, 0.5), (1, 0), (3, 0.2)])
def test_search_and_budget(samples, tmp_path, beam, share):
    """`share` is how far the budget lies from the least possible to all."""
    whole = Scores(tmp_path, samples)
    budget = whole.macs[0]
    flags = ("--search", f"beam:{beam}") if beam else ()
    if share is not None:
        refused = evaluate(samples, *flags, "--budget", "macs:1")
        assert refused.returncode == 2
        least = int(re.search(r"at least (\d+)", refused.stderr)[1])
        budget = int(least + share * (budget - least))
        flags += ("--budget", f"macs:{budget}")
    found = Scores(tmp_path, samples, *flags)
    ran = ~np.isnan(found.array)
    assert (found.bits[ran] == whole.bits[ran]).all() and ran.any(axis=1).all() and not ran.all()
    assert max(found.macs) <= budget and min(found.macs) > 0
    assert found.table["cost", "mean", "macs"] == pytest.approx(np.mean(found.macs), rel=1e-11)


def test_confidences_of_a_search_are_those_it_gave(samples, tmp_path):
    """What did not run was told nothing, and nobody has asked for a category alone, so nothing is said about that."""
    whole = Scores(tmp_path, samples).table
    for flags in (("--search", "beam:1"), ("--budget", f"macs:{whole['cost', 'full', 'macs'] / 2:.0f}")):
        found = Scores(tmp_path, samples, *flags)
        counts = [value for row, value in found.table.items() if row[0] == "confidence" and row[2] == "count"]
        assert sum(counts) == (~np.isnan(found.array)).sum() < found.array.size
        assert {row for row in whole if row not in found.table and row[0] != "groups"} == {row for row in whole if row[0] == "single"} != set()
        text = text_of(samples, *flags)
        assert re.search(r"^confidence +answers given +mean +so$", text, re.MULTILINE) and "one category asked" not in text
    wide = ("--search", "beam:1000")  # leaves nothing to choose
    assert table_of(samples, *wide) == whole and text_of(samples, *wide) == text_of(samples)
    assert re.search(r"^confidence +pairs +mean +so$", text_of(samples), re.MULTILINE) and "one category asked" in text_of(samples)


@pytest.mark.parametrize("kind", ["--search", "--budget"])
def test_no_sweep_of_a_search(samples, kind):
    value = "beam:1" if kind == "--search" else f"macs:{table_of(samples, '--first', 1)['cost', 'full', 'macs'] // 2:.0f}"
    result = evaluate(samples, "--attention-sweep", "orange", kind, value)
    assert result.returncode == 2 and "neither --search nor --budget" in result.stderr and not result.stdout


def test_labels(small, data, tmp_path):
    """Folders with other names, and a list that says what they mean."""
    other = tmp_path / "other"
    for number, path in enumerate(PATHS):
        shutil.copytree(data / path, other / f"n{number}")
    (tmp_path / "list").write_text("".join(f"n{number}\t{path}\n" for number, path in enumerate(PATHS)))
    labels = ("--labels", tmp_path / "list")
    expected = text_of(data, "--model", small)
    assert text_of(other, "--model", small, *labels) == expected
    assert evaluate(other, "--model", small).returncode == 1
    (tmp_path / "list").write_text("n0\tspoon\n")
    result = evaluate(other, "--model", small, *labels)
    assert result.returncode == 2 and "line 1" in result.stderr and "spoon" in result.stderr


def test_folders_as_people_write_them(small, data, tmp_path):
    """Capitals, spaces and the like: the same names, in folders in each other and on their own."""
    expected = text_of(data, "--model", small)
    other = tmp_path / "other"
    for number, path in enumerate(PATHS):
        folders = [folder.replace("_", " - ").title() for folder in path.split("/")]
        shutil.copytree(data / path, other / f"Lot {number}" / "/".join([*folders[:-1], f"({folders[-1]}) é"]))
    assert text_of(other, "--model", small) == expected
    assert evaluate(other, "--model", small).stderr.count("left out") == 0


def test_first(small, data, tmp_path):
    """So many of those that take part."""
    whole = Scores(tmp_path, data, "--model", small)
    some = Scores(tmp_path, data, "--model", small, "--first", 7)
    assert some.names == whole.names[:7] and (some.bits == whole.bits[:7]).all()
    assert some.table["accuracy", "all", "pictures"] == 7
    part = Scores(tmp_path, data, "--model", small, "--first", 7, "--categories", "nested", "--threads", 3)
    assert part.names == [name for name in whole.names if name.startswith("nested/")][:7]


def test_what_is_left_out(small, data, tmp_path):
    """It is named and counted, and changes no figure."""
    mixed = tmp_path / "mixed"
    shutil.copytree(data, mixed)
    good = (data / "alone" / "0.jpg").read_bytes()
    (mixed / "alone" / "broken.jpg").write_bytes(good[: len(good) // 2])
    (mixed / "alone" / "none.jpg").write_bytes(b"")
    (mixed / "alone" / "large.jpg").write_bytes(good + bytes(64 << 20))
    (mixed / "alone" / "notes.txt").write_text("no picture")
    (mixed / "alone" / "failing.jpg").symlink_to("/proc/self/mem")  # its first byte cannot be read
    (mixed / "spoon").mkdir()
    (mixed / "spoon" / "0.jpg").write_bytes(good)
    result = evaluate(mixed, "--model", small, "--quiet")
    assert result.returncode == 0
    said = result.stderr.splitlines()
    for name in ("broken", "none", "large", "failing"):
        assert sum(line.startswith(f"left out: alone/{name}.jpg: ") for line in said) == 1
    assert 'left out: 1 pictures in "spoon", which is no category\'s name, path or id' in said
    assert len(said) == 6 and said[-1].startswith("left out: 1 files")
    assert text_of(mixed, "--model", small) == text_of(data, "--model", small)
    scores = Scores(tmp_path, mixed, "--model", small)
    assert [scores.table["left_out", *row] for row in (("unreadable", "pictures"), ("unknown", "folders"))] == [4, 1]
    lost = [np.isnan(row).all() for row in scores.array]
    assert [name for name, gone in zip(scores.names, lost) if gone] == [f"alone/{name}.jpg" for name in ("broken", "failing", "large", "none")]


def test_folders_that_cannot_be_looked_into(small, data, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(data, mixed)
    for name in ("closed\x1b[31m", "closed\x1b[31m too"):
        (mixed / "more" / name).mkdir(parents=True, mode=0)
    # root, too, is kept out without these two capabilities
    weaker = [] if os.geteuid() else ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]
    if subprocess.run([*weaker, "true"]).returncode:
        pytest.skip("root cannot be kept out of a folder here: setpriv may not take capabilities away")
    result = subprocess.run([*weaker, BINARY, "evaluate", mixed, "--model", small, "--quiet"], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0
    assert result.stderr.startswith(f"left out: what lies in 2 folders that cannot be looked into: {mixed}/more/closed?[31m")
    assert result.stderr.endswith(": Permission denied, ...\n")
    figures = [[line for line in text.splitlines()[1:] if "pictures/s" not in line] for text in (result.stdout, evaluate(data, "--model", small).stdout)]
    assert figures[0] == figures[1]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_truncated_archive(small, data, tmp_path, mode):
    archive = pack(data, tmp_path / "a.tar", mode)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    result = evaluate(archive, "--model", small, "--threads", 2)
    assert result.returncode == 1 and "a.tar" in result.stderr and not result.stdout


def test_names_in_archives(small, data, tmp_path):
    """Those that are not ASCII are not lost, and none talks to the terminal."""
    picture = tarfile.TarInfo()
    content = (data / "alone" / "0.jpg").read_bytes()
    picture.size = len(content)
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for picture.name in ("données/alone/0.jpg", "../../alone/1.jpg", "/alone/2.jpg", "\x1b[31m\nred/3.jpg", "alone/\t\x1b[31m.jpg"):
            tar.addfile(picture, io.BytesIO(content))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("données/alone/0.jpg", content)
    scores = Scores(tmp_path, tmp_path / "a.tar", "--model", small)
    assert scores.names == ["données/alone/0.jpg", "../../alone/1.jpg", "/alone/2.jpg", "alone/??[31m.jpg"]
    result = evaluate(tmp_path / "a.tar", "--model", small, env={**os.environ, "LC_ALL": "C"})
    assert result.returncode == 0 and '"?[31m?red"' in result.stderr and "\x1b" not in result.stderr + result.stdout
    assert Scores(tmp_path, tmp_path / "a.zip", "--model", small).names == ["données/alone/0.jpg"]
    assert not list(tmp_path.parent.glob("alone"))  # nothing is unpacked


@needs_reference
def test_the_reference(tmp_path):
    """At least 490 of the first 500 first answers are those of the reference network in PyTorch."""
    model = reference.model_directory(tmp_path / "model")
    scores, rows = Scores(tmp_path, reference.VALIDATION, "--model", model, "--first", 500), reference.first_500()
    assert [[name, truth] for name, truth, _ in rows] == [list(pair) for pair in zip(scores.names, scores.truths)]
    paths = [path for path, _ in leaves(json.loads((model / "model.json").read_text())["trunk"])]
    same = sum(answer == row[2] for answer, row in zip(scores.answers(paths), rows))
    assert same >= 490
    right = sum(row[1] == row[2] for row in rows)
    assert scores.table["accuracy", "all", "top1"] == pytest.approx(right / 500, abs=0.02)

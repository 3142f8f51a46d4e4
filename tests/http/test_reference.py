"""The first 500 images of val.tar.gz through HTTP: at least 490 first answers equal those of the reference network."""

import tarfile

import pytest

from daemon import SHARED

LIST = SHARED / "reference" / "val_first_500.tsv"
IMAGES = SHARED / "data" / "tiny-imagenet" / "val.tar.gz"


@pytest.mark.skipif(not (LIST.exists() and IMAGES.exists()), reason="the reference network's data is not on this machine")
def test_first_500_answers(daemon):
    rows = [line.split("\t") for line in LIST.read_text().splitlines()[1:]]
    expected = {name: predicted for name, _, predicted in rows}
    same = seen = 0
    with tarfile.open(IMAGES) as archive:
        for member in archive:
            if member.name not in expected:
                continue
            answer = daemon.classify(archive.extractfile(member).read(), "?top=1")
            same += answer.json["predictions"][0]["category"] == expected[member.name]
            seen += 1
            if seen == len(expected):
                break
    print(f"{same} of {seen} first answers are the reference network's")
    assert seen == 500 and same >= 490

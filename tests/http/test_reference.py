"""The first 500 images of val.tar.gz through HTTP: at least 490 first answers equal those of the reference network in PyTorch."""

import tarfile

import reference
from daemon import Daemon
from reference import needs_reference


@needs_reference
def test_first_500_answers(tmp_path):
    expected = {name: predicted for name, _, predicted in reference.first_500()}
    same = seen = 0
    with Daemon(model=reference.model_directory(tmp_path / "reference")) as daemon, tarfile.open(reference.VALIDATION) as archive:
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

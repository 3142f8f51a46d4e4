import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(Path(__file__).parent), str(TESTS)]  # these tests' own modules, and the package `load`

from containers import CATEGORIES, Containers  # noqa: E402


@pytest.fixture(scope="session")
def containers() -> Containers:
    why = Containers.missing()
    if why:
        print(f"\n*** NO CONTAINERS: {why}. The image is not built and not run here. ***")
        pytest.skip(f"no containers: {why}")
    return Containers()


@pytest.fixture(scope="session")
def image(containers: Containers) -> str:
    """The image of this clone, with the cutout that is told here. $ESPALIER_TEST_IMAGE is one that was built before."""
    return os.environ.get("ESPALIER_TEST_IMAGE") or containers.build("localhost/espalier-test", "--build-arg", f"CATEGORIES={CATEGORIES}")

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from daemon import Daemon  # noqa: E402
from pictures import orange  # noqa: E402
from unrest import WANTED  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "calm: looks at what unrest would change")


def pytest_collection_modifyitems(items):
    for item in items:
        if WANTED and item.get_closest_marker("calm"):
            item.add_marker(pytest.mark.skip(reason="looks at what the unrest of this run changes"))


@pytest.fixture(scope="module")
def daemon():
    """One daemon for the tests of a file."""
    with Daemon() as running:
        yield running


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A JPEG of an orange thing, 160 x 120."""
    return orange()


@pytest.fixture(autouse=True)
def still_serving(request):
    """After every test that shared a daemon: the next request works."""
    yield
    if "daemon" in request.fixturenames:
        answer = request.getfixturevalue("daemon").classify(orange(), "?categories=orange")
        assert answer.status == 200

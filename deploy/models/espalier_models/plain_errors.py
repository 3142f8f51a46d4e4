"""What the commands of this package do with an error that the person can put right: they say it, in place of a traceback.

    with plain_errors():
        run(arguments)
"""

from __future__ import annotations

import contextlib
import sys
import tarfile
from collections.abc import Iterator


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Ends the program with the error's text. A ValueError is raised where what was given is wrong; anything else but a file's
    errors is a fault of the package, and keeps its traceback."""
    try:
        yield
    except (OSError, ValueError, tarfile.TarError) as error:
        sys.exit(str(error))

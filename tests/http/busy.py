"""A daemon whose only instance is busy for a while."""

from __future__ import annotations

import contextlib
import http.client
import threading

from daemon import Daemon
from pictures import jpeg, scene


class Busy:
    """A daemon with one instance that is busy for a while: plain kernels, and large pictures that wait in the queue."""

    def __init__(self, kind=Daemon, **flags):
        self.daemon = kind(instances=1, batch=1, kernels="plain", **flags)
        self.photo = jpeg(scene(6000, 4500), quality=90)
        self.answers = []

    def __enter__(self):
        self.daemon.__enter__()
        return self

    def __exit__(self, *problem):
        for thread in getattr(self, "threads", []):
            thread.join()
        self.daemon.__exit__(*problem)

    def occupy(self, count):
        """Sends `count` slow requests at once: one runs, the others wait, for as long as that takes."""
        self._start(count, self._send)

    @contextlib.contextmanager
    def kept_busy(self, count):
        """`count` senders of slow requests, one after the other, until the block ends."""
        over = threading.Event()

        def send_on():
            while not over.is_set():
                self._send()

        self._start(count, send_on)
        try:
            yield
        finally:
            over.set()
            for thread in self.threads:
                thread.join()

    def _start(self, count, what):
        self.threads = [threading.Thread(target=what) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _send(self):
        try:
            self.answers.append(self.daemon.classify(self.photo))
        except (OSError, http.client.HTTPException):
            pass  # the daemon is gone, or refused before it had the body: the test knows whether it may

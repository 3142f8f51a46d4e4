"""Unrest for every daemon of a test run, where $ESPALIER_TEST_UNREST is set: networks are loaded anew again and again, and
somebody asks all the time for what changes no figure that a test looks at. For runs under ThreadSanitizer."""

from __future__ import annotations

import http.client
import os
import signal
import threading

WANTED = "ESPALIER_TEST_UNREST" in os.environ
RELOAD_SECONDS = 1
PAUSE_SECONDS = 0.01
PATHS = ["/categories", "/metrics", "/readyz", "/healthz"]


class Unrest:
    """Of one daemon, from `begin` to `end`."""

    def __init__(self, daemon) -> None:
        self.daemon = daemon
        self.over = threading.Event()
        self.threads = [threading.Thread(target=work) for work in (self.reload, self.ask)] if WANTED else []

    def begin(self) -> None:
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def goes_on(self) -> bool:
        return not self.over.is_set() and self.daemon.process.poll() is None

    def reload(self) -> None:
        while self.goes_on():
            self.daemon.process.send_signal(signal.SIGHUP)
            self.over.wait(RELOAD_SECONDS)

    def ask(self) -> None:
        turn = 0
        while self.goes_on():
            try:
                self.daemon.get(PATHS[turn % len(PATHS)])
            except (OSError, http.client.HTTPException):
                pass  # it stops, or has as many connections as it may
            turn += 1
            self.over.wait(PAUSE_SECONDS)

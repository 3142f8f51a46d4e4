"""Stopping by a signal: who has sent a request gets an answer, and the daemon exits with 0."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections import Counter

import pytest

from busy import Busy
from daemon import Daemon, read_answer, status_of

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(daemon) -> socket.socket:
    return socket.create_connection((daemon.host, daemon.port), timeout=60)


def stop(daemon) -> None:
    daemon.process.send_signal(signal.SIGTERM)


def wait_until_stopping(daemon) -> None:
    end = time.monotonic() + 20
    while daemon.get("/readyz").status == 200:
        assert time.monotonic() < end
        time.sleep(0.01)


# ---- in order ----

def test_stop_with_requests_in_flight():
    """SIGTERM: every request that was taken is answered, new ones are not, exit 0."""
    with Busy(drain_timeout_ms=120000) as busy:
        busy.occupy(4)
        end = time.monotonic() + 30
        while busy.daemon.metric("espalier_instances_busy") + busy.daemon.metric("espalier_queue_depth") < 4:
            assert time.monotonic() < end
            time.sleep(0.01)
        stop(busy.daemon)
        for thread in busy.threads:
            thread.join()
        assert [answer.status for answer in busy.answers] == [200] * 4
        assert busy.daemon.process.wait(30) == 0
        with pytest.raises(OSError):
            busy.daemon.get("/healthz")


def test_stop_with_idle_connections():
    with Daemon() as daemon:
        connection = daemon.connect()
        connection.request("GET", "/healthz")
        assert read_answer(connection).status == 200
        stop(daemon)
        assert daemon.process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_by_signal(number):
    """Often, as it must not depend on which thread the signal comes to."""
    for _ in range(8):
        with Daemon() as daemon:
            daemon.process.send_signal(number)
            assert daemon.process.wait(20) == 0


def test_second_signal_stops_at_once(monkeypatch):
    # Threads that are left as they are, are what it is about.
    monkeypatch.setenv("TSAN_OPTIONS", os.environ.get("TSAN_OPTIONS", "") + ":report_thread_leaks=0")
    with Busy() as busy:
        busy.occupy(6)
        busy.daemon.wait_for_metric("espalier_instances_busy", 1)
        stop(busy.daemon)
        time.sleep(0.1)
        stop(busy.daemon)
        assert busy.daemon.process.wait(20) == 1
        busy.daemon.expected_exit = 1


def test_the_world_is_told_first(picture):
    """During the delay everything is served as before, but /readyz says that others had better be asked."""
    with Daemon(drain_delay_ms=3000) as daemon:
        kept = daemon.connect()
        stop(daemon)
        begin = time.monotonic()
        wait_until_stopping(daemon)
        assert daemon.get("/healthz").status == 200
        for _ in range(3):  # on one connection
            kept.request("POST", "/classify", picture)
            answer = read_answer(kept)
            assert answer.status == 200 and "connection" not in answer.headers
        kept.close()
        assert daemon.process.wait(20) == 0
        assert time.monotonic() - begin > 2.5


def test_the_last_answer_says_close():
    with Busy(drain_timeout_ms=120000) as busy:
        busy.occupy(4)
        busy.daemon.wait_for_metric("espalier_queue_depth", 3)
        stop(busy.daemon)
        assert busy.daemon.process.wait(60) == 0
        for thread in busy.threads:
            thread.join()
        assert [answer.status for answer in busy.answers] == [200] * 4
        assert busy.answers[-1].headers["connection"] == "close"


def test_who_has_connected_may_still_ask():
    with Daemon() as daemon, connect(daemon) as silent, connect(daemon) as kept:
        kept.sendall(GET)
        assert status_of(kept.recv(65536)) == 200
        stop(daemon)
        for connection in silent, kept:
            connection.sendall(GET)
        for connection in silent, kept:
            assert status_of(connection.recv(65536)) == 200 and connection.recv(1) == b""
        assert daemon.process.wait(20) == 0


def test_a_request_that_is_just_coming(picture):
    """Its header began before the signal and its body ends long after it."""
    request = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(picture), picture)
    with Daemon() as daemon, connect(daemon) as connection, connect(daemon) as other:
        connection.sendall(request[:30])
        other.sendall(request[:200])
        time.sleep(0.3)
        stop(daemon)
        time.sleep(1)
        for half in connection, other:
            half.sendall(request[30 if half is connection else 200:])
            answer = half.recv(65536)
            assert status_of(answer) == 200 and b"onnection: close" in answer
        assert daemon.process.wait(20) == 0


def test_the_bound_passes():
    """What runs is finished, what waits is told 503."""
    with Busy(drain_timeout_ms=100) as busy:
        busy.occupy(6)
        busy.daemon.wait_for_metric("espalier_queue_depth", 5)
        stop(busy.daemon)
        assert busy.daemon.process.wait(60) == 0
        for thread in busy.threads:
            thread.join()
        assert sorted(answer.status for answer in busy.answers)[-1] == 503
        assert len(busy.answers) == 6


def test_the_bound_passes_for_slow_clients():
    with Daemon(drain_timeout_ms=300) as daemon, connect(daemon) as slow:
        slow.sendall(GET[:-4])
        stop(daemon)
        assert daemon.process.wait(20) == 0
        assert slow.recv(1) == b""


def test_second_signal_during_the_delay():
    with Daemon(drain_delay_ms=60000) as daemon:
        stop(daemon)
        wait_until_stopping(daemon)
        stop(daemon)
        assert daemon.process.wait(20) == 1
        daemon.expected_exit = 1


# ---- under load ----

def answer_of(connection: socket.socket) -> bytes:
    """The header of an answer that has been read to its end; nothing where it does not come."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (piece := connection.recv(65536)):
            return b""
        received += piece
    head, body = received.split(b"\r\n\r\n", 1)
    size = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head)[1])
    while len(body) < size:
        if not (piece := connection.recv(65536)):
            return b""
        body += piece
    return head


def was_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        connection.settimeout(60)
        return False
    except ConnectionResetError:
        return True


class Client(threading.Thread):
    """Asks again and again, on one connection or on a new one each time, until nobody listens any more."""

    def __init__(self, daemon, request: bytes, keep: bool):
        super().__init__()
        self.daemon_under_test, self.request, self.keep = daemon, request, keep
        self.seen = Counter()
        self.start()

    def run(self):
        connection = None
        while True:
            try:
                if connection is None or was_closed(connection):
                    connection = connect(self.daemon_under_test)
            except ConnectionRefusedError:
                return
            try:
                connection.sendall(self.request)
                head = answer_of(connection)
            except OSError:
                head = b""
            self.seen[status_of(head)] += 1
            if not self.keep or not head or b"onnection: close" in head:
                connection.close()
                connection = None


@pytest.mark.parametrize("turn", range(6))
def test_no_request_gets_lost_under_load(picture, turn):
    """Whoever has connected and sent a request gets an answer; whoever comes too late is refused."""
    request = b"POST /classify?categories=tabby HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
        len(picture), picture)
    with Daemon() as daemon:
        clients = [Client(daemon, text, keep) for text in (GET, request) for keep in (True, False) for _ in range(5)]
        time.sleep(0.05 + 0.07 * turn)
        stop(daemon)
        assert daemon.process.wait(60) == 0
        for client in clients:
            client.join()
        seen = sum((client.seen for client in clients), Counter())
        assert set(seen) == {200}, seen

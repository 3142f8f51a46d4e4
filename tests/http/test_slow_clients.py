"""Clients that are slow or silent: each stage of a request has its deadline, and none of them holds up the others.

A deadline may be missed by much on a busy machine: what is tested is that a client who goes on for ever is cut off, long
before the inactivity timeout could have done it, and that one who is in time is not."""

from __future__ import annotations

import select
import socket
import time
from pathlib import Path

import pytest

from daemon import Daemon, status_of

HEADER_MS, BODY_MS, SEND_MS = 600, 800, 800
LATE = 20  # seconds; the idle timeout is much longer
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
ENDLESS = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 100


@pytest.fixture(scope="module")
def daemon():
    with Daemon(instances=1, idle_timeout=300, header_timeout_ms=HEADER_MS, body_timeout_ms=BODY_MS,
                send_timeout_ms=SEND_MS) as running:
        yield running


def connect(daemon, receive_buffer: int = 0) -> socket.socket:
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(LATE)
    connection.connect((daemon.host, daemon.port))
    return connection


def closed(connection: socket.socket, seconds: float) -> bool:
    """Whether the daemon closes within so many seconds; nothing may come before."""
    if not select.select([connection], [], [], seconds)[0]:
        return False
    try:
        return connection.recv(65536) == b""
    except ConnectionResetError:
        return True


def trickle(connection: socket.socket, text: bytes) -> float:
    """Sends byte by byte until the daemon closes; gives the seconds that it took."""
    begin = time.monotonic()
    for at in range(len(text)):
        try:
            connection.send(text[at:at + 1])
        except OSError:
            return time.monotonic() - begin
        if closed(connection, 0.03):
            return time.monotonic() - begin
        assert time.monotonic() - begin < LATE, "it goes on and on"
    raise AssertionError("all was sent")


def ask(connection: socket.socket) -> int:
    connection.sendall(GET)
    return status_of(connection.recv(65536))


def test_header_that_trickles(daemon):
    with connect(daemon) as connection:
        assert trickle(connection, ENDLESS) > HEADER_MS / 2000


def test_header_that_trickles_after_another_request(daemon):
    with connect(daemon) as connection:
        assert ask(connection) == 200
        assert trickle(connection, ENDLESS) > HEADER_MS / 2000


def test_header_that_trickles_behind_pipelined_requests(daemon):
    with connect(daemon) as connection:
        connection.sendall(GET * 3 + ENDLESS[:30])
        answers = b""
        while answers.count(b'{"status":"ok"}') < 3:
            answers += connection.recv(65536)
        assert trickle(connection, ENDLESS[30:]) > HEADER_MS / 2000


def test_first_line_that_trickles(daemon):
    """The library knows of a request only when its first line is there."""
    with connect(daemon) as connection:
        assert trickle(connection, b"GET /" + b"a" * 2000) > HEADER_MS / 2000


def test_header_that_is_broken_off(daemon):
    with connect(daemon) as connection:
        connection.sendall(ENDLESS)
        assert closed(connection, LATE)


def test_header_in_time(daemon):
    with connect(daemon) as connection:
        for _ in range(2):
            for at in range(0, len(GET), 4):
                connection.sendall(GET[at:at + 4])
                time.sleep(0.01)
            assert status_of(connection.recv(65536)) == 200


def test_deadlines_are_of_one_request(daemon):
    """Neither many requests nor pauses between them add up."""
    with connect(daemon) as connection:
        end = time.monotonic() + 2 * HEADER_MS / 1000
        while time.monotonic() < end:
            assert ask(connection) == 200
        time.sleep(2 * max(HEADER_MS, BODY_MS, SEND_MS) / 1000)
        assert ask(connection) == 200


def test_body_that_trickles(daemon):
    with connect(daemon) as connection:
        connection.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
        assert trickle(connection, b"a" * 10000) > BODY_MS / 2000


def test_refused_body_that_trickles(daemon):
    with connect(daemon) as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
        assert trickle(connection, b"a" * 10000) > BODY_MS / 2000


def test_slow_body_in_time(daemon, picture):
    with connect(daemon) as connection:
        connection.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(picture))
        for at in range(0, len(picture), 1000):
            connection.sendall(picture[at:at + 1000])
            time.sleep(0.01)
        assert status_of(connection.recv(65536)) == 200


def test_silent_connections():
    """Those that have never sent anything, and those that have."""
    with Daemon(idle_timeout=1, header_timeout_ms=600000) as daemon, connect(daemon) as silent, connect(daemon) as kept:
        assert ask(kept) == 200
        assert closed(silent, LATE) and closed(kept, LATE)


def never_read(daemon, request: bytes) -> socket.socket:
    """A client that sends as many requests as it can, and reads no answer."""
    connection = connect(daemon, receive_buffer=2048)
    connection.setblocking(False)
    try:
        for _ in range(2000):
            connection.sendall(request)
    except BlockingIOError:
        pass
    return connection


def wait_for_reset(connections: list[socket.socket]) -> None:
    """The daemon gives them up, which their system notices though they do not read."""
    end = time.monotonic() + LATE
    for connection in connections:
        watch = select.poll()
        watch.register(connection, select.POLLHUP | select.POLLERR)
        assert watch.poll(max(0, end - time.monotonic()) * 1000), "it still waits for its reader"


@pytest.mark.parametrize("path", ["/openapi.yaml", "/classify?top=200&groups=true"])
def test_slow_readers_hold_nobody_up(daemon, picture, path):
    """There is one instance; thirty clients do not read its answers."""
    method, body = (b"POST", picture) if path.startswith("/classify") else (b"GET", b"")
    request = b"%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (method, path.encode(), len(body), body)
    slow = [never_read(daemon, request) for _ in range(30)]
    for _ in range(5):
        assert daemon.classify(picture).status == 200
    if method == b"GET":
        wait_for_reset(slow)
    for connection in slow:
        connection.close()


@pytest.mark.calm
def test_the_watchdog_sleeps_without_connections(daemon):
    """While nobody is connected, the daemon does nothing at all."""
    time.sleep(0.3)
    before = switches(daemon)
    time.sleep(1)
    assert switches(daemon) - before < 20  # it would look 50 times in a second


def switches(daemon) -> int:
    """How often the daemon's threads have gone to sleep."""
    tasks = Path(f"/proc/{daemon.process.pid}/task").glob("*/status")
    return sum(int(line.split()[1]) for task in tasks for line in task.read_text().splitlines()
               if line.startswith("voluntary_ctxt_switches"))

"""The limits on connections and on what bodies take together."""

from __future__ import annotations

import re
import resource
import select
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from daemon import Daemon, multipart, sanitized, status_of

WAIT = 20  # seconds for what has to happen
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
REST = 0.6  # seconds after which a connection is idle for sure


def connect(daemon) -> socket.socket:
    return socket.create_connection((daemon.host, daemon.port), timeout=WAIT)


def answer(connection: socket.socket) -> bytes:
    """One answer with its body; nothing where the daemon closes instead."""
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            if not (piece := connection.recv(65536)):
                return b""
            received += piece
        size = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", received)[1])
        while len(received) < received.index(b"\r\n\r\n") + 4 + size:
            received += connection.recv(65536)
    except ConnectionResetError:
        return b""
    return received


def ask(connection: socket.socket, request: bytes = GET) -> int:
    try:
        connection.sendall(request)
    except OSError:
        return 0
    return status_of(answer(connection))


def post(body: bytes, **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join(["POST /classify?categories=tabby HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines])
    return head.encode() + b"\r\n\r\n" + body


def readable(connection: socket.socket, seconds: float) -> bool:
    return bool(select.select([connection], [], [], seconds)[0])


# ---- how many ----

@pytest.mark.calm
def test_the_longest_idle_makes_room():
    with Daemon(connections=4) as daemon, ExitStack() as stack:
        first, second, third, silent = (stack.enter_context(connect(daemon)) for _ in range(4))
        time.sleep(REST)  # all are accepted, before the others are asked
        for connection in first, second, third:
            assert ask(connection) == 200
        time.sleep(REST)
        assert ask(first) == 200  # so the silent one has been idle longest, then the second
        with connect(daemon) as fifth:
            assert ask(fifth) == 200
            assert readable(silent, WAIT) and silent.recv(1) == b""
            assert [ask(connection) for connection in (first, second, third, fifth)] == [200] * 4


def test_many_who_stay_connected():
    """Each finds room, as those before have been idle for a while."""
    with Daemon(connections=8) as daemon, ExitStack() as stack:
        for _ in range(20):
            assert ask(stack.enter_context(connect(daemon))) == 200


def test_nobody_who_has_something_to_do_makes_room(picture):
    with Daemon(connections=2) as daemon, connect(daemon) as first, connect(daemon) as second:
        whole = post(picture)
        first.sendall(whole[:-1])
        second.sendall(GET[:10])
        time.sleep(REST)
        with connect(daemon) as third:
            third.sendall(GET)
            assert not readable(third, 1)  # it is in the backlog
            assert ask(first, whole[-1:]) == 200 and ask(second, GET[10:]) == 200
            assert status_of(answer(third)) == 200  # one of the two is idle now


def cpu_seconds(daemon) -> float:
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def open_files(daemon) -> int:
    return len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))


@pytest.mark.calm
def test_open_files_run_out():
    """The daemon waits, without turning in circles, and goes on with what idle connections give back."""
    with Daemon() as daemon, ExitStack() as stack:
        most = open_files(daemon) + 20
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (most, most))
        busy = [stack.enter_context(connect(daemon)) for _ in range(40)]
        for connection in busy:
            connection.sendall(GET[:10])
        before = cpu_seconds(daemon)
        time.sleep(1.5)
        assert cpu_seconds(daemon) - before < 0.5
        assert [ask(connection, GET[10:]) for connection in busy] == [200] * 40  # one after the other makes room


# ---- how many bytes ----

def test_a_body_for_which_there_is_no_room(picture):
    """It is refused at its header, read and forgotten; the connection goes on."""
    whole = post(picture + bytes(700_000))
    with Daemon(queue_bytes=1 << 20) as daemon, connect(daemon) as holder, connect(daemon) as other:
        holder.sendall(whole[:-1])
        time.sleep(REST)
        other.sendall(whole)
        refused = answer(other)
        assert status_of(refused) == 429
        assert re.search(rb"\r\nRetry-After: \d+\r\n", refused) and b"retry_after_ms" in refused
        assert b"onnection: close" not in refused and ask(other) == 200
        assert ask(holder, whole[-1:]) == 200
        assert ask(other, whole) == 200


def chunked(body: bytes, pieces: int) -> bytes:
    size = len(body) // pieces + 1
    chunks = [body[at:at + size] for at in range(0, len(body), size)]
    return (b"POST /classify?categories=tabby HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n")


def form(picture: bytes) -> bytes:
    body, kind = multipart(("categories", b"tabby", {}), ("image", picture, {"filename": "a.jpg", "type": "image/jpeg"}))
    return post(body, Content_Type=kind).replace(b"?categories=tabby", b"", 1)


@pytest.mark.parametrize("kind", [lambda body: chunked(body, 9), form])
def test_room_runs_out_in_the_middle(picture, kind):
    """Two bodies begin, each of which would fit alone: the second to need the rest gets 429."""
    whole = kind(picture + bytes(700_000))
    with Daemon(queue_bytes=1 << 20) as daemon, connect(daemon) as first, connect(daemon) as second:
        for connection in first, second:  # half of the room each
            connection.sendall(whole[:300_000])
        time.sleep(REST)
        first.sendall(whole[300_000:-1])
        time.sleep(REST)
        statuses = sorted([ask(second, whole[300_000:]), ask(first, whole[-1:])])
        assert statuses in ([200, 429], [429, 429])
        assert ask(first) == 200 and ask(second) == 200
        assert ask(second, whole) == 200


def test_promises_take_no_room(picture):
    with Daemon(queue_bytes=1 << 20) as daemon, ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(daemon)).sendall(post(bytes(1_000_000))[:200])
        time.sleep(REST)
        with connect(daemon) as connection:
            assert ask(connection, post(picture + bytes(500_000))) == 200


def test_a_body_larger_than_all_the_room(picture):
    with Daemon(queue_bytes=1 << 16) as daemon, connect(daemon) as connection:
        assert ask(connection, post(picture + bytes(300_000))) == 200


def test_who_waits_for_100_continue_need_not_send(picture):
    whole = post(picture + bytes(700_000))
    with Daemon(queue_bytes=1 << 20) as daemon, connect(daemon) as holder, connect(daemon) as other:
        holder.sendall(whole[:-1])
        time.sleep(REST)
        other.sendall(whole.replace(b"Host: x", b"Host: x\r\nExpect: 100-continue", 1)[:200])
        assert status_of(answer(other)) == 429


def resident(daemon) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{daemon.process.pid}/status").read_text())[1]) << 10


@pytest.mark.skipif(sanitized(), reason="a sanitizer has memory of its own")
def test_memory_is_bounded(picture):
    """Two hundred megabytes of bodies come, 16 of them are kept."""
    whole = post(picture + bytes(8_000_000))
    with Daemon(queue_bytes=16 << 20, body_timeout_ms=120000) as daemon, ExitStack() as stack:
        assert daemon.classify(picture).status == 200
        before = resident(daemon)
        connections = [stack.enter_context(connect(daemon)) for _ in range(25)]
        for connection in connections:
            connection.sendall(whole[:-1])
        time.sleep(REST)
        assert resident(daemon) - before < 64 << 20
        statuses = [ask(connection, whole[-1:]) for connection in connections]
        assert set(statuses) == {200, 429} and statuses.count(200) <= 2

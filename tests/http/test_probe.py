"""espalier probe: ready or not, and why not, always before its deadline."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest

from daemon import BINARY, Daemon

SLACK = 10  # seconds that a busy machine may take beside the deadline


def probe(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ESPALIER_")}
    return subprocess.run([BINARY, "probe", *arguments], capture_output=True, text=True, timeout=60, env={**clean, **environment})


def assert_ready(result: subprocess.CompletedProcess) -> None:
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def assert_not_ready(result: subprocess.CompletedProcess, why: str) -> None:
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.startswith("espalier probe: http://") and result.stderr.count("\n") == 1
    assert why in result.stderr


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Listener:
    """Accepts connections one after the other and gives each to `behave`, until it is closed."""

    def __init__(self, behave) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.over = threading.Event()
        self.requests: list[bytes] = []
        self.thread = threading.Thread(target=self.serve, args=(behave,))
        self.thread.start()

    def serve(self, behave) -> None:
        while True:
            connection, _ = self.server.accept()
            with connection:
                if self.over.is_set():
                    return
                try:
                    behave(self, connection)
                except OSError:
                    pass  # the probe has hung up

    def close(self) -> None:
        self.over.set()
        socket.create_connection(self.server.getsockname()).close()
        self.thread.join()
        self.server.close()


@contextmanager
def listener(behave):
    running = Listener(behave)
    try:
        yield running
    finally:
        running.close()


def answering(answer: bytes):
    def behave(running: Listener, connection: socket.socket) -> None:
        running.requests.append(connection.recv(4096))
        connection.sendall(answer)
    return behave


def test_ready(daemon):
    url = f"http://127.0.0.1:{daemon.port}"
    for arguments in ([url], [f"{url}/"], [f"{url}/readyz"], [f"{url}/healthz"], ["HTTP" + url[4:]], ["--timeout-ms", "60000", url]):
        assert_ready(probe(*arguments))
    assert_ready(probe(f"http://localhost:{daemon.port}"))
    assert_not_ready(probe(f"{url}/nothing"), "/nothing answers 404 Not Found")


def test_without_a_url_it_asks_where_serve_listens(daemon, tmp_path):
    here = f"127.0.0.1:{daemon.port}"
    assert_ready(probe(ESPALIER_LISTEN=here))
    file = tmp_path / "espalier.conf"
    file.write_text(f"listen = {here}\n")
    assert_ready(probe(ESPALIER_CONFIG=str(file)))
    assert_ready(probe("--config", str(file)))
    elsewhere = f"127.0.0.1:{closed_port()}"
    assert_not_ready(probe(ESPALIER_CONFIG=str(file), ESPALIER_LISTEN=elsewhere), f"http://{elsewhere}/readyz: cannot connect")
    assert_ready(probe(f"http://{here}", ESPALIER_LISTEN=elsewhere))


def test_a_daemon_that_listens_everywhere_is_asked_at_the_loopback():
    with Daemon(listen="0.0.0.0:0") as daemon:
        assert_ready(probe(ESPALIER_LISTEN=f"0.0.0.0:{daemon.port}"))


@pytest.mark.parametrize("address", ["[::1]", "[::]"])
def test_ipv6(address):
    try:
        with Daemon(listen=f"{address}:0") as daemon:
            assert_ready(probe(ESPALIER_LISTEN=f"{address}:{daemon.port}"))
            assert_ready(probe(f"http://[::1]:{daemon.port}"))
    except RuntimeError as problem:
        pytest.skip(f"no IPv6 here: {problem}")


def test_draining():
    """From SIGTERM on it is never ready, whether it still answers or not."""
    with Daemon(drain_delay_ms=1000) as daemon:
        url = f"http://127.0.0.1:{daemon.port}"
        assert_ready(probe(url))
        daemon.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + SLACK
        while (result := probe(url)).returncode == 0:
            assert time.monotonic() < end, "still ready after SIGTERM"
        while daemon.process.poll() is None:
            assert_not_ready(result, "")
            result = probe(url)
        assert_not_ready(probe(url), "cannot connect: Connection refused")


def test_status_of_a_draining_daemon():
    with listener(answering(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")) as running:
        assert_not_ready(probe(running.url), "/readyz answers 503 Service Unavailable: it is starting, draining or overloaded")


def test_closed_port():
    assert_not_ready(probe(f"http://127.0.0.1:{closed_port()}"), "cannot connect: Connection refused")


def test_name_of_nobody():
    assert_not_ready(probe("http://nobody.invalid:8080", "--timeout-ms", "30000"), "http://nobody.invalid:8080/readyz: cannot resolve its name")


def silent(running: Listener, connection: socket.socket) -> None:
    running.over.wait(60)


def trickling(running: Listener, connection: socket.socket) -> None:
    connection.recv(4096)
    for byte in b"HTTP/1.1 200 OK and much more to come\r\n\r\n" * 10:
        connection.sendall(bytes([byte]))
        if running.over.wait(0.2):
            return


def trickling_header(running: Listener, connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    running.over.wait(60)


@pytest.mark.parametrize("behave", [silent, trickling])
def test_deadline(behave):
    with listener(behave) as running:
        begin = time.monotonic()
        result = probe(running.url, "--timeout-ms", "700")
        assert 0.7 <= time.monotonic() - begin < 0.7 + SLACK
        assert_not_ready(result, "no answer: timed out")


def test_deadline_of_a_connection_that_nobody_accepts():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # the backlog is full: a further SYN is not answered
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(server.getsockname())
        try:
            assert_not_ready(probe(f"http://127.0.0.1:{server.getsockname()[1]}", "--timeout-ms", "500"), "timed out")
        finally:
            for connection in waiting:
                connection.close()


def test_only_the_status_line_is_waited_for():
    with listener(trickling_header) as running:
        assert_ready(probe(running.url, "--timeout-ms", "30000"))


def test_what_it_sends():
    with listener(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as running:
        assert_ready(probe(f"{running.url}/a/b?c=d"))
        request = running.requests[0].decode().split("\r\n")
        assert request[0] == "GET /a/b?c=d HTTP/1.1" and f"Host: {running.url[7:]}" in request and request[-2:] == ["", ""]


@pytest.mark.parametrize("answer, why", [
    (b"HTTP/1.1 302 Found\r\nLocation: /healthz\r\n\r\n", "answers 302 Found"),
    (b"HTTP/1.1 500 \x1b[31mred\r\n\r\n", "answers 500 ?[31mred"),
    (b"HTTP/1.1 199 Odd\r\n\r\n", "answers 199 Odd"),
    (b"HTTP/1.1 2000 OK\r\n\r\n", "the answer is not HTTP's"),
    (b"HTTP/1.1 20\r\n\r\n", "the answer is not HTTP's"),
    (b"200 OK\r\n", "the answer is not HTTP's"),
    (b"SSH-2.0-OpenSSH_9.2p1\r\n", "the answer is not HTTP's"),
    (b"\r\n", "the answer is not HTTP's"),
    (b"\0" * 5000, "the answer is not HTTP's"),
    (b"x" * 100000, "the answer is not HTTP's"),
    (b"HTTP/1.1 200 OK", "no answer: the connection was closed"),
    (b"", "no answer: the connection was closed"),
])
def test_other_answers(answer, why):
    with listener(answering(answer)) as running:
        assert_not_ready(probe(running.url), why)


@pytest.mark.parametrize("status", [b"HTTP/1.1 200\r\n", b"HTTP/1.0 200 OK\n", b"HTTP/1.1 299 Fine \xc3\xa4\r\n"])
def test_other_forms_of_ready(status):
    with listener(answering(status)) as running:
        assert_ready(probe(running.url))


@pytest.mark.parametrize("arguments", [
    ["httpss://127.0.0.1:8080"], ["127.0.0.1:8080"], ["ftp://127.0.0.1"], [""], ["http://"], ["http:///readyz"], ["http://127.0.0.1:0"],
    ["http://127.0.0.1:70000"], ["http://127.0.0.1:"], ["http://::1:8080"], ["http://[::1"], ["http://me:secret@127.0.0.1:8080"],
    ["http://127.0.0.1:8080?x"], ["http://127.0.0.1:8080/a b"], ["http://127.0.0.1:8080/\r\nX: y"], ["http://127.0.0.1:8080/#x"],
    [f"http://127.0.0.1:8080/{'x' * 1024}"], [f"http://{'x' * 300}:8080/"], [f"http://{'x' * 300}"],
    ["http://127.0.0.1:8080", "more"], ["--timeout-ms", "0"], ["--timeout-ms", "soon"], ["--timeout-ms"], ["--nonsense"],
])
def test_bad_command_lines(arguments):
    result = probe(*arguments)
    assert result.returncode == 2 and result.stderr and not result.stdout


def test_bad_settings():
    result = probe(ESPALIER_LISTEN="127.0.0.1:0")
    assert result.returncode == 2 and "give the URL that it printed" in result.stderr
    assert probe(ESPALIER_LISTEN="nowhere").returncode == 2
    assert probe(ESPALIER_QUEUE_DEPTH="many").returncode == 2
    assert probe("--config", "/nowhere").returncode == 1


def test_help():
    result = probe("--help")
    assert result.returncode == 0 and result.stdout.startswith("Usage: espalier probe [URL]")
    assert "probe" in subprocess.run([BINARY, "--help"], capture_output=True, text=True).stdout

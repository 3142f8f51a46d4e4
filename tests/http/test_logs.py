"""One line for each request, and for what happens; traces, names and addresses; no secrets."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from bundled import TABBY
from busy import Busy
from daemon import BINARY, Daemon

TOKEN = "a-token-for-tests-only"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class LoggedDaemon(Daemon):
    """A daemon whose log is JSON, to be looked at when it has stopped."""

    def __init__(self, **flags):
        super().__init__(**{"log_format": "json", **flags})

    @property
    def lines(self):
        return [json.loads(line) for line in self.log.splitlines()]

    def requests(self, path=None):
        return [line for line in self.lines if line["message"] == "request" and path in (None, line.get("path"))]

    def events(self):
        return [line["message"] for line in self.lines if line["message"] != "request"]


@pytest.mark.calm
def test_each_request_has_one_line(picture):
    with LoggedDaemon() as daemon:
        answer = daemon.classify(picture, "?categories=tabby")
        daemon.classify(picture, "?categories=tabbi")
        daemon.get("/healthz")
        daemon.get("/nothing")
        daemon.request("POST", "/cost?categories=cat")
    # A line is written once its answer has left: that of another connection's next request may be before it.
    assert sorted((line["method"], line["path"], line["status"]) for line in daemon.requests()) == [
        ("GET", "/healthz", 200), ("GET", "/nothing", 404), ("POST", "/classify", 200), ("POST", "/classify", 422), ("POST", "/cost", 200)]
    classified, wrong = sorted(daemon.requests("/classify"), key=lambda line: line["status"])
    document, times = answer.json, answer.json["cost"]["time_ms"]
    assert classified["request_id"] == document["request_id"] == answer.headers["x-request-id"]
    assert classified["macs"] == document["cost"]["macs"] and classified["macs_full"] == document["cost"]["macs_full"]
    assert (classified["branches"], classified["batch"], classified["model"]) == (3, 1, "tiny-imagenet-200")
    assert classified["bytes_in"] == len(picture) and classified["bytes_out"] == len(answer.body)
    assert classified["level"] == "info" and classified["end"] == "sent" and classified["client"] == "127.0.0.1"
    for stage in ("queue", "decode", "preprocess", "trunk", "branches"):
        assert classified[f"{stage}_ms"] == pytest.approx(times[stage], abs=1e-3)
    assert classified["duration_ms"] >= times["total"] - 1e-3
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", classified["time"])
    assert "tabbi" in wrong["problem"] and "macs" not in wrong and wrong["level"] == "info"


def test_text_for_people(picture):
    with LoggedDaemon(log_format="text") as daemon:
        daemon.classify(picture, "?categories=tabby")
    assert re.search(r"^\S+Z info  request .*method=POST path=/classify .*status=200 .*macs=" + str(TABBY.macs), daemon.log, re.MULTILINE)


@pytest.mark.calm
def test_the_life_of_a_daemon_is_told():
    with LoggedDaemon() as daemon:
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_metric("espalier_model_loads_total", 1)
    assert daemon.events() == ["serving", "loading all networks anew", "network loaded", "draining", "stopped"]
    serving = next(line for line in daemon.lines if line["message"] == "serving")
    assert serving["url"] == f"http://127.0.0.1:{daemon.port}" and serving["models"] == "tiny-imagenet-200"


@pytest.mark.calm
@pytest.mark.parametrize("level, levels", [("debug", {"info", "warn"}), ("warn", {"warn"}), ("error", set()), ("off", set())])
def test_levels(level, levels, picture):
    with LoggedDaemon(log_level=level, queue_bytes=1024) as daemon:
        daemon.classify(picture)
        with socket.create_connection((daemon.host, daemon.port)) as holder:  # takes the room for bodies, but for its last byte
            head = f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
            holder.sendall(head + picture[:-1])
            end = time.monotonic() + 30
            while daemon.metric("espalier_body_bytes") < len(picture) - 1:  # or the next one might come before it
                assert time.monotonic() < end
            assert daemon.classify(picture).status == 429
            holder.sendall(picture[-1:])
            holder.recv(65536)
    assert {line["level"] for line in daemon.lines} == levels


@pytest.mark.calm
def test_a_trace_is_taken_over(picture):
    with LoggedDaemon() as daemon:
        answer = daemon.request("POST", "/classify?categories=tabby", picture, traceparent=f"00-{TRACE}-{PARENT}-01", X_Request_Id="mine-1")
        fresh = daemon.get("/healthz")
        invalid = daemon.request("GET", "/readyz", traceparent=f"00-{TRACE}-{PARENT}")
    version, trace, span, flags = answer.headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01") and span != PARENT
    line, = daemon.requests("/classify")
    assert (line["trace_id"], line["span_id"], line["parent_span_id"], line["request_id"]) == (TRACE, span, PARENT, "mine-1")
    for answer, path in ((fresh, "/healthz"), (invalid, "/readyz")):
        line, = daemon.requests(path)
        assert answer.headers["traceparent"] == f"00-{line['trace_id']}-{line['span_id']}-00"
        assert line["trace_id"] != TRACE and "parent_span_id" not in line


@pytest.mark.parametrize("trusted, client", [("", "127.0.0.1"), ("10.0.0.0/8", "127.0.0.1"), ("127.0.0.1,10.0.0.0/8", "203.0.113.9"),
                                             ("127.0.0.0/8", "10.1.1.1")])
def test_forwarded_addresses_are_believed_of_trusted_proxies(trusted, client):
    with LoggedDaemon(trusted_proxies=trusted) as daemon:
        daemon.request("GET", "/healthz", X_Forwarded_For="198.51.100.7, 203.0.113.9, 10.1.1.1")
    assert daemon.requests()[0]["client"] == client


def test_trusted_proxies_that_are_no_addresses():
    result = subprocess.run([BINARY, "serve", "--listen", "127.0.0.1:0", "--trusted-proxies", "10.0.0.0/8,proxy"],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 2 and "proxy" in result.stderr


def test_no_secrets_in_the_log(picture):
    secret = "hush-hush-hush-hush"
    with LoggedDaemon(admin_token=TOKEN, log_level="debug") as daemon:
        daemon.classify(picture, f"?token={secret}")
        daemon.request("GET", f"/healthz?{secret}", Authorization=f"Bearer {secret}", Cookie=secret)
        daemon.request("POST", "/v2/repository/index", Authorization=f"Bearer {TOKEN}")
        daemon.request("POST", "/v2/repository/index", Authorization=f"Bearer {secret}")
        daemon.classify_json({"image": secret})
    assert secret not in daemon.log and TOKEN not in daemon.log


def test_who_goes_is_logged_as_cancelled(picture):
    with Busy(log_format="json") as busy:
        busy.daemon.__class__ = LoggedDaemon
        busy.occupy(1)
        busy.daemon.wait_for_metric("espalier_instances_busy", 1)
        with socket.create_connection((busy.daemon.host, busy.daemon.port)) as connection:
            connection.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nX-Request-Id: gone\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture)
            busy.daemon.wait_for_metric("espalier_queue_depth", 1)
        busy.daemon.wait_for_metric("espalier_cancelled_total", 1)
    line = next(line for line in busy.daemon.requests() if line["request_id"] == "gone")
    assert line["end"] == "cancelled" and line["status"] == 499 and "macs" not in line


def test_a_reader_that_has_stopped_holds_nobody(picture):
    """The log goes into a pipe that nobody reads: lines are lost and counted, and every request is answered."""
    reading, writing = os.pipe()
    process = subprocess.Popen([BINARY, "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=writing, text=True)
    os.close(writing)
    daemon = Daemon()
    daemon.process = process
    daemon.host, daemon.port = "127.0.0.1", int(re.search(r":(\d+)$", process.stdout.readline())[1])
    connection = daemon.connect()
    for _ in range(3000):  # some 300 bytes each, and 320 KiB of room
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        assert response.status == 200
        response.read()
    connection.close()
    assert daemon.metric("espalier_log_lines_dropped_total") > 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    process.stdout.close()
    os.close(reading)


def test_without_standard_descriptors(picture):
    """The first socket is not taken for the standard error."""
    port = socket.create_server(("127.0.0.1", 0)).getsockname()[1]
    process = subprocess.Popen(["sh", "-c", f'exec "$0" serve --listen 127.0.0.1:{port} <&- >&- 2>&-', BINARY])
    daemon = Daemon()
    daemon.host, daemon.port = "127.0.0.1", port
    end = time.monotonic() + 60
    try:
        while True:
            try:
                assert daemon.classify(picture).status == 200
                break
            except ConnectionRefusedError:
                assert time.monotonic() < end
                time.sleep(0.02)
        assert daemon.get("/healthz").body == b'{"status":"ok"}'
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

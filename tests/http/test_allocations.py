"""Once warm, the program's own code allocates nothing for a request, and what it keeps for the next ones is bounded.

Warm means that such a load has been there before. tests/support/own_allocations.c counts; what the libraries allocate is
theirs. As memory is used over and over here, every answer is also compared with earlier ones to the same request."""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import re
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from daemon import BINARY, Daemon, multipart, sanitized, status_of
from models import BUNDLED
from pictures import jpeg, png, scene

COUNTING_LIBRARY = Path(BINARY).resolve().parents[1] / "tests" / "own_allocations.so"
KEPT_MAX = 16 << 20  # BUFFERS_KEPT_MAX in server/http/buffers.h


class CountedDaemon(Daemon):
    """A daemon whose own allocations are counted; skips the test where they can't be."""

    def __init__(self, directory: Path, **flags):
        if sanitized():
            pytest.skip("allocations can't be counted here: a sanitizer brings a malloc of its own")
        if not COUNTING_LIBRARY.exists():
            pytest.skip(f"allocations can't be counted without {COUNTING_LIBRARY}: build with -Dtests=true")
        super().__init__(**flags)
        self.record = directory / "allocations"

    def __enter__(self):
        added = {"LD_PRELOAD": str(COUNTING_LIBRARY), "ESPALIER_OWN_ALLOCATIONS": str(self.record)}
        os.environ.update(added)
        try:
            return super().__enter__()
        finally:
            for name in added:
                del os.environ[name]

    def callers(self) -> Counter:
        """How often each place of the program, by its address, has allocated so far."""
        values = struct.unpack(f"={self.record.stat().st_size // 8}Q", self.record.read_bytes())
        return Counter({address: count for address, count in zip(values[2::2], values[3::2]) if address})

    def resident(self) -> int:
        """Bytes of memory in use."""
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) << 10


def places(callers: Counter) -> str:
    """The callers for people."""
    lines = []
    for address, count in callers.most_common():
        where = subprocess.run(["addr2line", "-fe", BINARY, hex(address - 1)], capture_output=True, text=True).stdout
        lines.append(f"{count} by {hex(address)} {' '.join(where.split())}")
    return "\n".join(lines)


# ---- what is asked: the status that it gets, method, path, body, headers ----

PICTURES = [jpeg(scene(width, width * 3 // 4), quality=quality) for width, quality in
            ((40, 80), (160, 92), (640, 95), (2000, 97))]
OPTIONS = "categories=fruit_or_vegetable,tabby&attention=lemon:1.25,orange:0.5&groups=true&top=200"
FIELDS = [("categories", b"fruit_or_vegetable,tabby", {}), ("attention", b"lemon:1.25", {}), ("groups", b"true", {}),
          ("options", b'{"top": 3}', {})]
INFER = "/v2/models/tiny-imagenet-200/infer"
JPEG = {"Content-Type": "image/jpeg"}
JSON = {"Content-Type": "application/json"}


def form_of(picture: bytes) -> tuple[bytes, dict[str, str]]:
    body, kind = multipart(*FIELDS, ("image", picture, {"filename": "a.jpg", "type": "image/jpeg"}))
    return body, {"Content-Type": kind}


def json_of(picture: bytes, **options) -> bytes:
    return json.dumps({"image": base64.b64encode(picture).decode(), **options}).encode()


def infer_of(*pictures: bytes, **members) -> bytes:
    data = [base64.b64encode(picture).decode() for picture in pictures]
    return json.dumps({"inputs": [{"name": "jpeg", "datatype": "BYTES", "shape": [len(data)], "data": data},
                                  {"name": "categories", "datatype": "BYTES", "shape": [2], "data": ["cat", "orange"]}], **members}).encode()


def infer_numbers() -> bytes:
    shape = json.loads((BUNDLED / "model.json").read_text())["input"]
    return json.dumps({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [2, shape["height"], shape["width"], 3],
                                   "data": [7, 8, 9] * (2 * shape["height"] * shape["width"])}]}).encode()


def chunks_of(picture: bytes) -> list[bytes]:
    return [picture[at:at + 5000] for at in range(0, len(picture), 5000)]


KINDS = {
    "raw": [(200, "POST", "/classify?categories=tabby", picture, JPEG) for picture in PICTURES],
    "chunked": [(200, "POST", "/classify?categories=tabby", chunks_of(picture), JPEG) for picture in PICTURES],
    "options": [(200, "POST", f"/classify?{OPTIONS}", picture, JPEG) for picture in PICTURES],
    "whole network": [(200, "POST", "/classify?groups=true&top=200", PICTURES[0], JPEG)],
    "search": [(200, "POST", "/classify?search=beam:2&top=200", picture, JPEG) for picture in PICTURES]
    + [(200, "POST", "/classify", json_of(PICTURES[0], search={"beam": 3}, budget={"macs": 10**15}, groups=True), JSON),
       (200, "POST", "/cost?search=beam:1", b"", {}), (422, "POST", "/classify?budget=macs:1", PICTURES[0], JPEG)],
    "form": [(200, "POST", "/classify", *form_of(picture)) for picture in PICTURES],
    "JSON": [(200, "POST", "/classify", json_of(picture, categories=["cat", "orange"], attention={"cat": 2}), JSON)
             for picture in PICTURES],
    "inference": [(200, "POST", INFER, infer_of(*[PICTURES[1]] * count, id="7", parameters=parameters), JSON)
                  for count in (1, 3, 12) for parameters in ({}, {"binary_data_output": True})]
    + [(200, "POST", INFER, infer_numbers(), JSON), (200, "GET", "/v2/models/tiny-imagenet-200", None, {}),
       (422, "POST", INFER, infer_of(PICTURES[1], PICTURES[1][:200]), JSON), (400, "POST", INFER, b"{", JSON),
       (404, "GET", "/v2/models/tiny-imagenet-200/versions/7", None, {})],
    "cost": [(200, "POST", f"/cost?{OPTIONS}", b"", {}),
             (200, "POST", "/cost", b'{"categories": ["cat"]}', JSON),
             (200, "POST", "/cost", b"categories=cat&top=3", {"Content-Type": "application/x-www-form-urlencoded"})],
    "categories": [(200, "GET", "/categories", None, {})],
    "health": [(200, "GET", "/healthz", None, {}), (200, "HEAD", "/readyz", None, {})],
    "metrics": [(200, "GET", "/metrics", None, {})],
    "pages": [(200, "GET", "/", None, {}), (200, "GET", "/openapi.yaml", None, {}), (204, "OPTIONS", "/cost", None, {})],
    "400": [(400, "POST", "/classify", b"", JPEG), (400, "POST", "/classify", b'{"image": ', JSON),
            (400, "POST", "/classify", b'{"image": "#"}', JSON),
            (400, "POST", "/classify", form_of(PICTURES[1])[0][:-9], form_of(PICTURES[1])[1])],
    "404": [(404, "GET", "/nothing", None, {}), (404, "POST", "/classify?model=other", PICTURES[1], JPEG)],
    "405": [(405, "DELETE", "/classify", None, {})],
    "413": [(413, "POST", "/classify", PICTURES[1] + bytes(1 << 20), JPEG),
            (413, "POST", "/classify", chunks_of(PICTURES[1] + bytes(1 << 20)), JPEG)],
    "415": [(415, "POST", "/classify", png(), {"Content-Type": "image/png"}),
            (415, "POST", "/classify", PICTURES[1], {"Content-Encoding": "gzip"})],
    "422": [(422, "POST", "/classify?categories=tabbi", PICTURES[1], JPEG),
            (422, "POST", "/classify?nonsense=1", PICTURES[1], JPEG),
            (422, "POST", "/classify", json_of(PICTURES[1], categories=["tabbi"]), JSON),
            (422, "POST", "/classify", PICTURES[1][:200], JPEG)],
}
MAX_BODY = 512 << 10


# ---- load ----

def without_passing(value: object) -> object:
    """JSON without what differs from one answer to the next."""
    if not isinstance(value, dict):
        return value
    return {name: without_passing(each) for name, each in value.items() if not re.fullmatch("request_id|batch|.*_ms", name)}


def lasting(answer: bytes) -> object:
    """What an answer says, but for what is passing; also where bytes follow its JSON."""
    try:
        document, end = json.JSONDecoder().raw_decode(answer.decode("latin-1"))
    except ValueError:
        return answer if not answer.startswith(b"# HELP") else None
    return without_passing(document), answer[end:]


class Load:
    """Clients that keep their connections and, in each round, send all requests `repeats` times, all of them at once."""

    def __init__(self, daemon, requests, clients, repeats, any_status=False):
        self.daemon, self.requests, self.repeats, self.any_status = daemon, requests, repeats, any_status
        self.connections = [daemon.connect() for _ in range(clients)]
        self.statuses, self.answers, self.problems = Counter(), {}, []

    def send(self, connection, number):
        expected, *request = self.requests[number]
        try:
            connection.request(*request)
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
        except (ConnectionError, http.client.HTTPException):
            connection.close()  # opened again by the next request
            status, body = 413, None  # refused before all of it had come: the client may see a reset
        self.statuses[status] += 1
        if self.any_status:
            return
        if status != expected:
            self.problems.append(f"{request[:2]}: {status}")
        elif body is not None and self.answers.setdefault(number, lasting(body)) != lasting(body):
            self.problems.append(f"{request[:2]} was answered {body[:300]}")

    def client(self, connection, turn):
        for i in range(self.repeats * len(self.requests)):
            self.send(connection, (i + turn) % len(self.requests))

    def round(self) -> None:
        threads = [threading.Thread(target=self.client, args=(connection, turn))
                   for turn, connection in enumerate(self.connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.problems, self.problems[:3]

    def close(self):
        for connection in self.connections:
            connection.close()


def warm_up(daemon, requests, clients=20, rounds=2, **options) -> Counter:
    """Many more clients than will be measured: how many buffers a load needs at a time is a matter of chance."""
    load = Load(daemon, requests, clients, repeats=3, **options)
    for _ in range(rounds):
        load.round()
    load.close()
    return load.statuses


def assert_warm(daemon, requests, clients=8, **options) -> None:
    """That a round allocates nothing. As chance may still want a buffer more than ever before, a later one will do, too:
    whatever is allocated for each request, or for some of them, is so in all rounds."""
    load = Load(daemon, requests, clients, repeats=6, **options)
    rounds = []
    while len(rounds) < 5 and (not rounds or rounds[-1]):
        before = daemon.callers()
        load.round()
        rounds.append(daemon.callers() - before)
    load.close()
    assert not rounds[-1], f"{load.statuses.total()} requests\n{places(rounds[-1])}"


# ---- tests ----

@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    with CountedDaemon(tmp_path_factory.mktemp("counted"), instances=2, max_body=MAX_BODY) as daemon:
        yield daemon


def test_the_counter_sees_the_first_request(tmp_path):
    """A count of 0 says something."""
    with CountedDaemon(tmp_path, instances=1) as daemon:
        before = daemon.callers()
        assert daemon.classify(PICTURES[1]).status == 200
        assert (daemon.callers() - before).total() >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_own_code_allocates_nothing(counted, kind):
    warm_up(counted, KINDS[kind])
    assert_warm(counted, KINDS[kind])


def all_kinds():
    requests = [request for kind in KINDS.values() for request in kind]
    random.Random(1).shuffle(requests)
    return requests


def test_all_kinds_at_once(counted):
    warm_up(counted, all_kinds(), rounds=1)
    assert_warm(counted, all_kinds())


def test_requests_that_share_memory_keep_apart():
    """The same load without the counter, for the sanitizers."""
    with Daemon(instances=2, max_body=MAX_BODY) as daemon:
        warm_up(daemon, all_kinds(), clients=8)


def test_a_full_queue(tmp_path):
    with CountedDaemon(tmp_path, instances=1, queue_depth=1, kernels="plain") as daemon:
        requests = KINDS["raw"][:3] + KINDS["options"][:3]
        statuses = warm_up(daemon, requests, any_status=True)
        assert set(statuses) == {200, 429}
        assert_warm(daemon, requests, any_status=True)


def send_slowly(daemon, clients, body) -> Counter:
    """All clients have sent all but the last byte before one of them sends that."""
    head = f"POST /classify?categories=tabby HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    connections = [socket.create_connection((daemon.host, daemon.port), timeout=60) for _ in range(clients)]
    for connection in connections:
        connection.sendall(head + body[:-1])
    time.sleep(0.5)
    for connection in connections:
        connection.sendall(body[-1:])
    statuses = Counter(status_of(connection.recv(65536)) for connection in connections)
    for connection in connections:
        connection.close()
    return statuses


def test_a_burst_that_has_been_there_before(counted):
    """240 requests of which the last byte is missing have two buffers each, for themselves and for their bodies; 150 never
    need more than that, though each has a third one in the end, for its answer."""
    assert send_slowly(counted, 240, PICTURES[1]) == {200: 240}
    before = counted.callers()
    assert send_slowly(counted, 150, PICTURES[1]) == {200: 150}
    assert not (allocated := counted.callers() - before), places(allocated)


def test_a_burst_of_large_bodies_is_given_back(tmp_path):
    with CountedDaemon(tmp_path, instances=1, queue_depth=512) as daemon:
        assert send_slowly(daemon, 100, PICTURES[1]) == {200: 100}  # the activations of a whole batch are in use from then on
        before = daemon.resident()
        for size in 200_000, 3_000_000, 6_000_000:
            clients = 60_000_000 // size
            assert send_slowly(daemon, clients, PICTURES[1] + bytes(size)) == {200: clients}
        end = time.monotonic() + 10  # answers are over for the daemon a little later than for their clients
        while daemon.resident() - before > KEPT_MAX + (24 << 20):  # and not 60 MB
            assert time.monotonic() < end, f"{(daemon.resident() - before) >> 20} MB more than before"
            time.sleep(0.01)

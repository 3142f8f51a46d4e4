"""Who may come in, from where, and with how much: CORS, HEAD and OPTIONS, the listener of the administration, limits, and what
is said where the doors stand open."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from certificates import Authority, SecureDaemon
from daemon import BINARY, ROOT, Daemon, drain, status_of

ADMIN = "admin-admin-admin-admin"
VERSION = json.loads((ROOT / "deploy" / "models" / "tiny-imagenet-200" / "model.json").read_text())["version"]
PATHS = {path.replace("{name}", "tiny-imagenet-200").replace("{version}", VERSION): set(methods) for path, methods in
         yaml.safe_load((ROOT / "api" / "openapi.yaml").read_text())["paths"].items()}
ORIGIN, OTHER = "https://app.example", "https://evil.example"


def serve(*flags: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, "serve", "--listen", "127.0.0.1:0", *map(str, flags)], capture_output=True, text=True, timeout=60)


# ---- HEAD and OPTIONS ----

@pytest.mark.parametrize("path", PATHS)
def test_options_and_head(daemon, path):
    answer = daemon.request("OPTIONS", path)
    allowed = answer.headers["allow"].split(", ")
    assert answer.status == 204 and answer.body == b"" and allowed[-1] == "OPTIONS"
    assert {method.lower() for method in allowed} - {"head", "options"} == PATHS[path] - {"head", "options"}
    assert ("HEAD" in allowed) == ("GET" in allowed)
    head = daemon.request("HEAD", path)
    if "GET" in allowed:
        get = daemon.get(path)
        assert (head.status, head.body, head.headers["content-type"]) == (get.status, b"", get.headers["content-type"])
        assert "/metrics" in path or head.headers["content-length"] == get.headers["content-length"]
    else:
        assert head.status == 405 and head.headers["allow"] == answer.headers["allow"]
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - set(allowed):
        refused = daemon.request(method, path)
        assert refused.status == 405 and refused.headers["allow"] == answer.headers["allow"]


def test_options_of_everything_and_of_nothing(daemon):
    assert status_of(daemon.raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == 204
    assert daemon.request("OPTIONS", "/nothing").status == 404


# ---- CORS ----

def cors(answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def preflight(daemon, path: str, origin: str, method: str = "POST"):
    return daemon.request("OPTIONS", path, Origin=origin, Access_Control_Request_Method=method,
                          Access_Control_Request_Headers="authorization,content-type")


def test_no_word_of_cors_unless_asked_for(daemon, picture):
    for answer in (daemon.request("GET", "/categories", Origin=ORIGIN), preflight(daemon, "/classify", ORIGIN)):
        assert cors(answer) == {} and "vary" not in answer.headers


def test_named_origins(picture):
    with Daemon(cors_origins=f"{ORIGIN}, http://localhost:3000") as daemon:
        for origin in (ORIGIN, "http://localhost:3000"):
            answer = daemon.request("POST", "/classify", picture, Origin=origin, Content_Type="image/jpeg")
            assert answer.status == 200 and answer.headers["vary"] == "Origin"
            assert cors(answer)["access-control-allow-origin"] == origin
            exposed = cors(answer)["access-control-expose-headers"].split(", ")
            assert {"X-Request-Id", "Server-Timing", "Retry-After", "traceparent"} <= set(exposed)
            for path, methods in PATHS.items():
                asked = preflight(daemon, path, origin)
                assert asked.status == 204 and cors(asked)["access-control-allow-origin"] == origin
                assert cors(asked)["access-control-allow-methods"] == asked.headers["allow"]
                assert {"Authorization", "Content-Type"} <= set(cors(asked)["access-control-allow-headers"].split(", "))
                assert int(cors(asked)["access-control-max-age"]) > 0
        for origin in (OTHER, "null", ORIGIN + ":8443", ORIGIN + ".evil.example", "http://app.example", ORIGIN[:-1], ORIGIN.upper()):
            for answer in (daemon.request("GET", "/categories", Origin=origin), preflight(daemon, "/classify", origin)):
                assert answer.status in (200, 204) and cors(answer) == {} and answer.headers["vary"] == "Origin"
        assert daemon.get("/categories").headers["vary"] == "Origin"


def test_errors_can_be_read_as_well(picture):
    """Those that a handler gives, those that come before one, and those of the transport."""
    with Daemon(cors_origins=ORIGIN, max_body=1 << 20) as daemon:
        for answer, status in ((daemon.request("POST", "/classify", b"", Origin=ORIGIN), 400),
                               (daemon.request("GET", "/nothing", Origin=ORIGIN), 404),
                               (daemon.request("PUT", "/classify", Origin=ORIGIN), 405),
                               (daemon.request("POST", "/classify", picture, Origin=ORIGIN, Content_Encoding="gzip"), 415),
                               (daemon.request("POST", "/v2/repository/index", Origin=ORIGIN), 403)):
            assert answer.status == status and cors(answer)["access-control-allow-origin"] == ORIGIN
        head = f"POST /classify HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\nContent-Length: 2000000\r\n\r\n"
        assert f"Access-Control-Allow-Origin: {ORIGIN}\r\n".encode() in daemon.raw(head.encode())


def test_any_origin():
    with Daemon(cors_origins="*") as daemon:
        for answer in (daemon.request("GET", "/categories", Origin=OTHER), daemon.get("/categories"), preflight(daemon, "/cost", "null")):
            assert cors(answer)["access-control-allow-origin"] == "*" and "vary" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers


def test_a_preflight_needs_no_token(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("client-client-client\n")
    with Daemon(cors_origins=ORIGIN, tokens_file=file) as daemon:
        assert preflight(daemon, "/classify", ORIGIN).status == 204
        refused = daemon.request("POST", "/classify", Origin=ORIGIN)
        assert refused.status == 401 and cors(refused)["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("origins", ["app.example", "https://app.example/", "https://App.example", "https://*.example", "*, https://a.example",
                                     "https://a.example,,https://b.example", "null", "https://", "https://me@a.example"])
def test_bad_origins(origins):
    result = serve("--cors-origins", origins)
    assert result.returncode == 2 and "cors-origins names" in result.stderr


# ---- the listener of the administration ----

def index(daemon, token: str = ADMIN):
    return daemon.request("POST", "/v2/repository/index", Authorization=f"Bearer {token}")


ADMINISTRATIVE = {path for path in PATHS if path.startswith("/v2/repository/")}
PROBES = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}


@pytest.mark.parametrize("metrics", ["no", "yes"])
def test_administration_has_a_listener_of_its_own(metrics, picture):
    with Daemon(admin_listen="127.0.0.1:0", admin_metrics=metrics, admin_token=ADMIN) as daemon:
        admin = daemon.administration
        assert admin.port != daemon.port and f"administration at http://127.0.0.1:{admin.port}\n" in daemon.first_line
        for path in PATHS:
            there = path in ADMINISTRATIVE | PROBES | {"/metrics"}
            here = path not in ADMINISTRATIVE and not (path == "/metrics" and metrics == "yes")
            assert daemon.request("OPTIONS", path).status == (204 if here else 404), path
            assert admin.request("OPTIONS", path).status == (204 if there else 404), path
        assert index(daemon).status == 404 and index(admin).status == 200 and index(admin, "other-other-other").status == 401
        loaded = admin.request("POST", "/v2/repository/models/tiny-imagenet-200/load", Authorization=f"Bearer {ADMIN}")
        assert loaded.status == 200 and loaded.json["state"] == "READY"
        assert admin.classify(picture).status == 404
        assert daemon.classify(picture).status == 200
        assert admin.metric("espalier_predictions_total") >= 1
        assert daemon.get("/metrics").status == (404 if metrics == "yes" else 200)


def test_administration_stays_in_reach_when_all_connections_are_taken():
    with Daemon(admin_listen="127.0.0.1:0", admin_token=ADMIN, connections=4, io_threads=1) as daemon:
        admin = daemon.administration
        taken = [socket.create_connection((daemon.host, daemon.port)) for _ in range(4)]
        for connection in taken:
            connection.sendall(b"POST /cost HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")  # under way: none makes room
        admin.wait_for_metric("espalier_connections", 4)
        assert index(admin).status == 200
        for connection in taken:
            connection.close()


def test_administration_with_tls_and_tokens(tmp_path):
    authority = Authority(tmp_path)
    file = tmp_path / "tokens"
    file.write_text("client-client-client\n")
    with SecureDaemon(authority, *authority.sign("both"), admin_listen="127.0.0.1:0", admin_token=ADMIN,
                      tokens_file=file) as daemon:
        admin = daemon.administration
        assert index(admin).status == 200 and index(admin, "client-client-client").status == 403
        assert admin.get("/metrics").status == 401 and admin.get("/readyz").status == 200
        assert admin.request("GET", "/metrics", Authorization="Bearer client-client-client").status == 200


def test_bad_administration(daemon):
    assert "admin-metrics is yes without an admin-listen" in serve("--admin-metrics", "yes").stderr
    result = serve("--admin-listen", f"127.0.0.1:{daemon.port}")
    assert result.returncode == 1 and "another program listens there" in result.stderr and result.stdout == ""
    assert serve("--admin-listen", "nowhere").returncode == 2


# ---- limits ----

def test_headers(daemon):
    def ask(running, size: int) -> int:
        return running.request("GET", "/healthz", X_Filler="x" * size).status

    assert (ask(daemon, 60000), ask(daemon, 65536)) == (200, 431)
    with Daemon(max_header=8192) as small:
        assert (ask(small, 7000), ask(small, 8192)) == (200, 431)
        assert small.request("GET", "/healthz?" + "x" * 9000).status in (414, 431)
    with Daemon(max_header=1 << 20) as large:
        assert ask(large, 500000) == 200


def test_small_memory_for_headers_is_no_limit_for_bodies(picture):
    with Daemon(max_header=4096, cors_origins=ORIGIN) as daemon:
        answer = daemon.request("POST", "/classify?top=200", picture, Origin=ORIGIN)
        assert answer.status == 200 and len(answer.json["predictions"]) == 200
        assert daemon.get("/metrics").status == 200


def test_connections_of_one_address():
    with Daemon(connections_per_address=3) as daemon:
        kept = [daemon.connect() for _ in range(3)]
        for connection in kept:
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"status":"ok"}'
        assert daemon.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        with socket.create_connection((daemon.host, daemon.port), source_address=("127.0.0.2", 0)) as other:
            other.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert status_of(drain(other)) == 200
        kept.pop().close()
        end = time.monotonic() + 20
        while daemon.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == b"":
            assert time.monotonic() < end, "the one that has gone still counts"
        for connection in kept:
            connection.close()


# ---- what is said where the doors stand open ----

def warnings(daemon) -> list[str]:
    return [line for line in daemon.log.splitlines() if re.search(r" warn  other machines", line)]


def test_open_doors_are_said(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("client-client-client\n")
    authority = Authority(tmp_path)
    pair = authority.sign("here")
    with Daemon() as loopback:
        pass
    assert warnings(loopback) == []
    with Daemon(listen="0.0.0.0:0") as everywhere:
        pass
    assert len(warnings(everywhere)) == 2 and "--tls-certificate" in warnings(everywhere)[0] and "--tokens-file" in warnings(everywhere)[1]
    with Daemon(listen="0.0.0.0:0", tokens_file=file) as with_tokens:
        pass
    assert len(warnings(with_tokens)) == 1 and "without TLS" in warnings(with_tokens)[0]
    with SecureDaemon(authority, *pair, listen="0.0.0.0:0", tokens_file=file) as closed:
        pass
    assert warnings(closed) == []

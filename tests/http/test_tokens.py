"""Tokens: who brings which one may do what, and nothing else of the daemon tells a token."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from daemon import BINARY, ROOT, Daemon, status_of

APP, BATCH, ADMIN = "app-app-app-app-app-1", "batch-batch-batch-2", "admin-admin-admin-admin-3"
DESCRIPTION = yaml.safe_load((ROOT / "api" / "openapi.yaml").read_text())
VERSION = json.loads((ROOT / "deploy" / "models" / "tiny-imagenet-200" / "model.json").read_text())["version"]
ROUTES = [(method.upper(), path.replace("{name}", "tiny-imagenet-200").replace("{version}", VERSION), operation["security"] if "security" in operation else None)
          for path, methods in DESCRIPTION["paths"].items() for method, operation in methods.items() if method in ("get", "post")]


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# for tests\n\n{APP} mobile-app\n\t{BATCH}  \n")
    return path


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_each_route_wants_what_its_description_says(file):
    """An operation's `security` in the description: [] is open, [admin] is the admin's, a token otherwise."""
    seen = set()
    with Daemon(tokens_file=file, admin_token=ADMIN) as daemon:
        for method, path, security in ROUTES:
            kind = "open" if security == [] else "admin" if security == [{"admin": []}] else "token"
            seen.add(kind)
            bare, wrong = daemon.request(method, path), daemon.request(method, path, **bearer("another-token-another"))
            client, admin = (daemon.request(method, path, **bearer(token)) for token in (APP, ADMIN))
            if kind == "open":
                assert bare.status == wrong.status == 200, path
                continue
            assert bare.status == wrong.status == 401, path
            assert bare.headers["www-authenticate"] == 'Bearer realm="espalier"'
            assert wrong.headers["www-authenticate"] == 'Bearer realm="espalier", error="invalid_token"'
            assert bare.headers["content-type"] == "application/problem+json" and "Bearer TOKEN" in bare.json["error"]
            assert admin.status not in (401, 403), path
            if kind == "admin":
                assert client.status == 403 and "manage" in client.json["detail"], path
                assert client.headers["www-authenticate"].endswith('error="insufficient_scope"')
            else:
                assert client.status not in (401, 403), path
            assert daemon.request("OPTIONS", path).status == 204
    assert seen == {"open", "admin", "token"}


def test_probes_are_open_and_metrics_if_set_so(file):
    with Daemon(tokens_file=file, open_metrics="yes") as daemon:
        assert daemon.get("/metrics").status == daemon.get("/healthz").status == daemon.get("/readyz").status == 200
        assert daemon.get("/categories").status == 401
        assert subprocess.run([BINARY, "probe", f"http://127.0.0.1:{daemon.port}"], timeout=60).returncode == 0


@pytest.mark.parametrize("header", [
    APP, f"Basic {APP}", f"Bearer{APP}", f"Bearer {APP}x", f"Bearer {APP[:-1]}", f"Bearer {APP.upper()}", f"Bearer {APP} {APP}", "Bearer",
    "Bearer ", f"Bearer {APP}\tx", "Bearer line-4", f"Bearer # for tests", f"Bearer {APP} mobile-app", "Bearer " + "x" * 20000,
])
def test_what_is_no_token(file, header):
    with Daemon(tokens_file=file) as daemon:
        assert daemon.request("GET", "/categories", Authorization=header).status == 401
        for good in (f"Bearer {APP}", f"bEARER   {BATCH}"):
            assert daemon.request("GET", "/categories", Authorization=good).status == 200


def test_who_may_not_need_not_send_his_picture(file):
    with Daemon(tokens_file=file) as daemon:
        head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\nExpect: 100-continue\r\n\r\n"
        answer = daemon.raw(head)
        assert status_of(answer) == 401 and b"100 Continue" not in answer


def test_the_log_has_names_and_no_tokens(file, picture):
    with Daemon(tokens_file=file, admin_token=ADMIN, log_level="debug") as daemon:
        for token in (APP, BATCH, ADMIN, "wrong-wrong-wrong-wrong"):
            daemon.request("GET", f"/categories?token={token}", **bearer(token))
    lines = [line for line in daemon.log.splitlines() if "path=/categories" in line]
    # A line is written when its connection is through with the answer, so that two may change places.
    assert sorted(line.split("token=")[1].split()[0] if "token=" in line else "" for line in lines) == ["", "admin", "line-4", "mobile-app"]
    for token in (APP, BATCH, ADMIN, "wrong-wrong"):
        assert token not in daemon.log
    assert "tokens clients=2" in daemon.log


def test_reload(file):
    new = "new-new-new-new-new-5"
    with Daemon(tokens_file=file) as daemon:
        def status(token: str) -> int:
            return daemon.request("GET", "/categories", **bearer(token)).status

        connection = daemon.connect()
        connection.request("GET", "/categories", headers=bearer(APP))
        assert connection.getresponse().read()
        file.write_text(f"{new} other\n{BATCH}\n")
        daemon.reload("tokens clients=2")
        assert [status(token) for token in (APP, BATCH, new)] == [401, 200, 200]
        connection.request("GET", "/categories", headers=bearer(APP))  # a connection is not a token
        assert connection.getresponse().status == 401
        connection.close()
        file.write_text("short\n")
        daemon.reload("tokens not read again; the former ones stay")
        file.unlink()
        daemon.reload("cannot read tokens-file")
        assert [status(token) for token in (APP, BATCH, new)] == [401, 200, 200]
        assert "short" not in daemon.log_so_far()


def test_the_admin_token_is_read_again(tmp_path):
    file = tmp_path / "admin"
    file.write_text(ADMIN + "\n")
    with Daemon(admin_token_file=file) as daemon:
        def status(token: str) -> int:
            return daemon.request("POST", "/v2/repository/index", **bearer(token)).status

        assert (status(ADMIN), status(APP)) == (200, 401)
        file.write_text(APP + "\n")
        daemon.reload("network loaded")
        assert (status(ADMIN), status(APP)) == (401, 200)
        assert daemon.get("/categories").status == 200


@pytest.mark.parametrize("text, error", [
    ("", "has no token, so that nobody could ask"),
    ("# nobody yet\n\n", "has no token"),
    (f"{APP}\nsecret-short\n", ":2 has 12 characters; give 16 to 1024"),
    (f"{APP} two names\n", ":1: what follows the token is no name"),
    (f"{APP} {'n' * 33}\n", ":1: what follows the token is no name"),
    (f"{APP} näme\n", ":1: what follows the token is no name"),
    (f"{APP} a\n{BATCH}\n{APP} b\n", ":3 has the token of line 1 again"),
    ("secret-sécret-secret\n", ":1 holds a character that cannot be sent"),
    (f"{APP}\0\n", "is no text"),
    (f"{APP}\n{ADMIN}\n", "has the admin token in line 2"),
], ids=range(10))
def test_bad_files(tmp_path, text, error):
    file = tmp_path / "tokens"
    file.write_text(text)
    result = subprocess.run([BINARY, "serve", "--listen", "127.0.0.1:0", "--tokens-file", file, "--admin-token", ADMIN],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 2 and not result.stdout
    assert str(file) in result.stderr and error in result.stderr, result.stderr
    assert not any(secret in result.stderr for secret in (APP, BATCH, ADMIN, "secret"))


def test_files_that_are_not_there_and_settings_that_say_nothing(file):
    for flags, status, error in ((["--tokens-file", "/nowhere"], 1, "cannot read tokens-file /nowhere: No such file"),
                                 (["--open-metrics", "yes"], 2, "open-metrics is yes without a tokens-file"),
                                 (["--tokens-file", file, "--open-metrics", "maybe"], 2, "give no or yes")):
        result = subprocess.run([BINARY, "serve", "--listen", "127.0.0.1:0", *flags], capture_output=True, text=True, timeout=60)
        assert result.returncode == status and error in result.stderr, result.stderr

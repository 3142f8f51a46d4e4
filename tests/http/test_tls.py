"""TLS: who connects sees the certificate, also after another one has taken its place, and all that holds for plain
connections holds for these: deadlines, dropped requests, stopping."""

from __future__ import annotations

import functools
import http.client
import os
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from busy import Busy
from certificates import Authority, SecureDaemon, openssl, subject_of
from daemon import BINARY, Daemon, drain, read_answer, status_of
from pictures import jpeg, scene

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LATE = 20  # seconds, where much less is usual


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority) -> tuple[Path, Path]:
    return authority.sign("usual")


@pytest.fixture(scope="module")
def daemon(authority, pair):
    with SecureDaemon(authority, *pair) as running:
        yield running


def ask(connection: ssl.SSLSocket) -> int:
    """Sends GET, reads all of the answer, which may come in several records, and gives its status."""
    connection.sendall(GET)
    answer = b""
    while not answer.endswith(b'{"status":"ok"}') and (piece := connection.recv(65536)):
        answer += piece
    return status_of(answer)


def serve(*flags: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, "serve", "--listen", "127.0.0.1:0", *map(str, flags)], capture_output=True, text=True, timeout=60)


# ---- requests ----

def test_requests(daemon, picture):
    assert daemon.first_line.rstrip().split()[-1].startswith("https://127.0.0.1:")
    head = daemon.request("HEAD", "/categories")
    assert head.status == 200 and head.body == b"" and int(head.headers["content-length"]) > 1000
    with Daemon() as plain:
        scores = [[row["score"] for row in one.classify(picture, "?top=200").json["predictions"]] for one in (daemon, plain)]
    assert scores[0] == scores[1] and len(scores[0]) == 200


def test_a_large_body_on_a_connection_that_goes_on(daemon):
    photo = jpeg(scene(6000, 4500), quality=95)
    assert len(photo) > 1 << 18  # many records
    connection = daemon.connect()
    for _ in range(2):
        connection.request("POST", "/classify?categories=orange", photo)
        assert read_answer(connection).status == 200
    connection.close()


def test_pieces_that_are_smaller_than_a_record(daemon):
    """Each byte is a record of TLS of its own; and two requests are in one."""
    with daemon.open() as connection:
        for at in range(len(GET)):
            connection.sendall(GET[at:at + 1])
        connection.sendall(GET + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert drain(connection).count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize("version, cipher", [(ssl.TLSVersion.TLSv1_2, "ECDHE"), (ssl.TLSVersion.TLSv1_3, "TLS_")])
def test_versions(daemon, authority, version, cipher):
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.minimum_version = context.maximum_version = version
    with daemon.open(context) as connection:
        assert connection.cipher()[0].startswith(cipher)
        assert ask(connection) == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_older_versions_and_weak_ciphers_are_refused(daemon, authority):
    def context() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(authority.certificate))

    old, no_secrecy, no_authentication = context(), context(), context()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    for weak, ciphers in ((no_secrecy, "AES128-GCM-SHA256"), (no_authentication, "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA")):
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers(ciphers)
    for refused in (old, no_secrecy, no_authentication):
        with pytest.raises((ssl.SSLError, ConnectionError), match="EOF|closed|reset|ALERT"):  # the daemon's doing, after the hello
            daemon.open(refused)


def test_rsa_and_a_chain(authority, tmp_path):
    """The client trusts the root alone, and is shown what lies between."""
    between = Authority(tmp_path)
    between.certificate, between.key = authority.sign("between", more="basicConstraints=critical,CA:TRUE\n")
    certificate, key = between.sign("leaf", "rsa")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(certificate.read_bytes() + between.certificate.read_bytes())
    with SecureDaemon(authority, chain, key) as daemon:
        assert daemon.get("/healthz").status == 200
    with SecureDaemon(authority, certificate, key) as daemon:
        with pytest.raises(ssl.SSLCertVerificationError):
            daemon.get("/healthz")


def test_plain_requests_are_none_here(daemon):
    with socket.create_connection((daemon.host, daemon.port), timeout=LATE) as connection:
        connection.sendall(GET)
        assert b"HTTP" not in drain(connection)


def test_probe(daemon, pair):
    def probe(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run([BINARY, "probe", *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **environment})

    here = f"127.0.0.1:{daemon.port}"
    assert probe(f"https://{here}").returncode == 0
    assert probe(f"https://localhost:{daemon.port}/healthz").returncode == 0
    assert probe(ESPALIER_LISTEN=here, ESPALIER_TLS_CERTIFICATE=str(pair[0]), ESPALIER_TLS_KEY=str(pair[1])).returncode == 0
    for wrong in (probe(f"http://{here}"), probe(ESPALIER_LISTEN=here), probe(f"https://{here}/nothing")):
        assert wrong.returncode == 1 and wrong.stderr.startswith("espalier probe: http")
    with Daemon() as plain:
        result = probe(f"https://127.0.0.1:{plain.port}")
        assert result.returncode == 1 and "no TLS: " in result.stderr
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = probe(f"https://127.0.0.1:{silent.getsockname()[1]}", "--timeout-ms", "300")
        assert result.returncode == 1 and "no TLS: timed out" in result.stderr


# ---- another certificate ----

@pytest.fixture
def movable(authority, tmp_path):
    """A daemon, and a function that puts another certificate into the place of its own."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"

    def put(name: str) -> None:
        for new, old in zip(authority.sign(name), (certificate, key)):
            shutil.copy(new, old)

    put("first")
    with SecureDaemon(authority, certificate, key) as running:
        yield running, put


def test_reload(movable):
    daemon, put = movable
    with daemon.open() as before:
        assert subject_of(before) == "first"
        put("second")
        with daemon.open() as between:
            assert subject_of(between) == "first"
        daemon.reload("subject=\"CN=second\"")
        assert 86400 < daemon.metric("espalier_certificate_until_seconds") - time.time() < 3 * 86400
        with daemon.open() as after:
            assert subject_of(after) == "second"
            for connection in (before, after, before):
                assert ask(connection) == 200


def test_reload_while_many_connect(movable, picture):
    """Handshakes, and requests on connections that live on, all through many reloads: none fails."""
    daemon, put = movable
    over, failures, subjects = threading.Event(), [], set()

    def connect() -> None:
        while not over.is_set():
            with daemon.open() as connection:
                subjects.add(subject_of(connection))
                if ask(connection) != 200:
                    failures.append("no answer")

    def stay() -> None:
        connection = daemon.connect()
        connection.connect()
        socket_then = connection.sock
        while not over.is_set():
            connection.request("POST", "/classify?categories=orange", picture)
            if read_answer(connection).status != 200 or connection.sock is not socket_then:
                failures.append("the connection was lost")
        connection.close()

    def guarded(work) -> None:
        try:
            work()
        except (OSError, http.client.HTTPException) as problem:
            failures.append(repr(problem))

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (connect, connect, stay, stay)]
    for thread in threads:
        thread.start()
    try:
        for number in range(10):
            put(f"number{number}")
            daemon.reload(f"CN=number{number}")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures
    with daemon.open() as connection:
        assert subject_of(connection) == "number9"


def test_a_broken_certificate_is_not_taken(movable, authority, tmp_path):
    daemon, put = movable
    secret = (tmp_path / "key.pem").read_text().splitlines()[1]
    shutil.copy(authority.sign("other")[1], tmp_path / "key.pem")
    daemon.reload("certificate not read again; the former one stays")
    with daemon.open() as connection:
        assert subject_of(connection) == "first"
    (tmp_path / "certificate.pem").write_text("")
    daemon.reload("holds no certificate")
    put("second")
    daemon.reload("CN=second")
    with daemon.open() as connection:
        assert subject_of(connection) == "second"
    assert "is not the key of the first certificate" in daemon.log_so_far() and secret not in daemon.log_so_far()


def test_an_expired_certificate_is_said(authority):
    certificate, key = authority.sign("old", days=-1)
    with SecureDaemon(authority, certificate, key) as daemon:
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            daemon.open()
    assert "warn  the certificate has expired subject=\"CN=old\"" in daemon.log


def test_bad_files(pair, tmp_path):
    certificate, key = pair
    other = tmp_path / "other.key"
    locked = tmp_path / "locked.key"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other)
    openssl("pkey", "-in", key, "-aes128", "-passout", "pass:secret", "-out", locked)
    secret = key.read_text().splitlines()[1]
    for flags, status, error in (
            (["--tls-certificate", certificate], 2, "tls-certificate is given without tls-key"),
            (["--tls-key", key], 2, "tls-key is given without tls-certificate"),
            (["--tls-certificate", "/nowhere", "--tls-key", key], 1, "cannot read tls-certificate /nowhere: No such file"),
            (["--tls-certificate", certificate, "--tls-key", "/nowhere"], 1, "cannot read tls-key /nowhere: No such file"),
            (["--tls-certificate", certificate, "--tls-key", other], 2, f"tls-key {other} is not the key of the first certificate"),
            (["--tls-certificate", certificate, "--tls-key", locked], 2, "wants a password"),
            (["--tls-certificate", certificate, "--tls-key", certificate], 2, "holds no private key that can be read"),
            (["--tls-certificate", key, "--tls-key", key], 2, "holds no certificate that can be read"),
            (["--tls-certificate", BINARY, "--tls-key", key], 2, "holds no certificate that can be read")):
        result = serve(*flags)
        assert (result.returncode, result.stdout) == (status, "") and error in result.stderr, result.stderr
        assert secret not in result.stderr


# ---- what holds for plain connections ----

@pytest.fixture(scope="module")
def impatient(authority, pair):
    with SecureDaemon(authority, *pair, instances=1, idle_timeout=300, header_timeout_ms=600, body_timeout_ms=800) as running:
        yield running


def closed(connection: socket.socket) -> bool:
    """Whether the daemon closes, long before the idle timeout could have done it."""
    connection.settimeout(LATE)
    try:
        return connection.recv(65536) == b""
    except (ConnectionResetError, ssl.SSLError):
        return True
    except (TimeoutError, socket.timeout):
        return False


def test_a_handshake_has_the_time_of_a_header(impatient):
    with socket.create_connection((impatient.host, impatient.port)) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert closed(connection)
    assert impatient.metric("espalier_timeouts_total") >= 1


def test_deadlines_of_header_and_body(impatient):
    for text in (GET[:-2], b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nxx"):
        with impatient.open() as connection:
            connection.sendall(text)
            assert closed(connection)


def test_who_has_shaken_hands_may_take_his_time(impatient):
    """As may who has connected without TLS, and who has had an answer: only the idle timeout is for them."""
    with impatient.open() as connection:
        for _ in range(2):
            time.sleep(2.5)
            assert not select.select([connection], [], [], 0)[0] or connection.pending() == 0
            assert ask(connection) == 200


def test_a_request_is_dropped_when_its_client_goes(authority, pair, picture):
    with Busy(functools.partial(SecureDaemon, authority, *pair)) as busy:
        busy.occupy(2)
        busy.daemon.wait_for_metric("espalier_instances_busy", 1)
        connection = busy.daemon.open()
        connection.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(picture), picture))
        end = time.monotonic() + LATE
        while busy.daemon.metric("espalier_body_bytes") == 0:
            assert time.monotonic() < end
        connection.close()
        busy.daemon.wait_for_metric("espalier_cancelled_total", 1)


def test_stopping(authority, pair):
    """Requests under way are answered; who has only shaken hands, or has had his answer, is not waited for."""
    with Busy(functools.partial(SecureDaemon, authority, *pair), drain_timeout_ms=120000, header_timeout_ms=120000,
              idle_timeout=300) as busy:
        silent, served = busy.daemon.open(), busy.daemon.open()
        assert ask(served) == 200
        busy.occupy(2)
        busy.daemon.wait_for_metric("espalier_instances_busy", 1)
        busy.daemon.process.send_signal(signal.SIGTERM)
        for thread in busy.threads:
            thread.join()
        assert [answer.status for answer in busy.answers] == [200] * 2
        assert busy.daemon.process.wait(60) == 0
        for connection in (silent, served):
            assert closed(connection)
            connection.close()


def test_who_breaks_off_in_the_handshake(daemon):
    """At each byte of a handshake, by a reset or in order; the next client finds all as it was."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    text = outgoing.read()
    for at in range(0, len(text) + 1, 16):
        for linger in (True, False):
            connection = socket.create_connection((daemon.host, daemon.port))
            if linger:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(text[:at])
            connection.close()
    end = time.monotonic() + LATE
    while daemon.metric("espalier_connections") > 1:
        assert time.monotonic() < end
    assert daemon.get("/healthz").status == 200

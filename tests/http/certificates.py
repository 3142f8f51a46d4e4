"""Certificates for tests, made by openssl, and a daemon that is asked with TLS."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

from daemon import Daemon


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


class Authority:
    """Signs certificates; whoever trusts `certificate` trusts them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.certificate, self.key = folder, folder / "authority.pem", folder / "authority.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key, "-out",
                self.certificate, "-days", 2, "-subj", "/CN=Authority of the tests")

    def sign(self, name: str, key_type: str = "ec", days: int = 2, more: str = "") -> tuple[Path, Path]:
        """A certificate of 127.0.0.1 with `name` as its subject, and its key. `more` are lines of further extensions."""
        certificate, key, request = (self.folder / f"{name}.{ending}" for ending in ("pem", "key", "csr"))
        extensions = self.folder / "extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n" + more)
        kind = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}[key_type]
        openssl("req", "-newkey", *kind, "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", certificate)
        return certificate, key


class SecureDaemon(Daemon):
    """A daemon with a certificate of an authority, whose clients trust that authority alone."""

    def __init__(self, authority: Authority, certificate: Path, key: Path, **flags: Any) -> None:
        super().__init__(tls_certificate=certificate, tls_key=key, **flags)
        self.context = ssl.create_default_context(cafile=str(authority.certificate))

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)

    def open(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """A connection on which nothing has been asked yet."""
        plain = socket.create_connection((self.host, self.port), timeout=60)
        return (context or self.context).wrap_socket(plain, server_hostname=self.host)

    def raw(self, text: bytes, timeout: float = 20) -> bytes:
        raise NotImplementedError("use open()")


def subject_of(connection: ssl.SSLSocket) -> str:
    return dict(pair[0] for pair in connection.getpeercert()["subject"])["commonName"]

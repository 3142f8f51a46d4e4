"""Requests, which are built once and sent often, and as much of an answer as the drivers have to understand."""

from __future__ import annotations

import re
from dataclasses import dataclass

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)
RETRY_AFTER_MS = re.compile(rb'"retry_after_ms": *(\d+)')


@dataclass(frozen=True, slots=True)
class Request:
    data: bytes
    keeps: bool  # the connection, for the next one
    expect: bytes = b""  # has to stand in the body of a 200
    wants_body: bool = False  # the record gets it


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    closes: bool
    retry_after: int | None  # seconds, of the header
    retry_after_ms: int | None  # of the body


def build(
    method: str, path: str, body: bytes = b"", keeps: bool = True, expect: bytes = b"", wants_body: bool = False, **headers: str
) -> Request:
    """A request as it goes over the wire; Content_Type="image/jpeg" is a header."""
    named = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body or method == "POST":
        named["Content-Length"] = str(len(body))
    if not keeps:
        named["Connection"] = "close"
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return Request(("\r\n".join(lines) + "\r\n\r\n").encode() + body, keeps, expect, wants_body)


def parse(data: bytes) -> tuple[Answer, int] | None:
    """The answer at the beginning of these bytes and how many are its own; None as long as it is not complete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end]
    length = LENGTH.search(head)
    total = end + 4 + (int(length[1]) if length else 0)
    if len(data) < total:
        return None
    status, body = int(head[9:12]), data[end + 4 : total]
    after = after_ms = None
    if status != 200:
        after, after_ms = RETRY_AFTER.search(head), RETRY_AFTER_MS.search(body)
    answer = Answer(status, body, bool(CLOSE.search(head)), after and int(after[1]), after_ms and int(after_ms[1]))
    return answer, total

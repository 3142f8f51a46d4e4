"""What is asked of the daemon, with a picture of the network's own size, so that decoding costs next to nothing."""

from __future__ import annotations

import io
import itertools
import json
import random
import urllib.parse
from collections.abc import Iterator
from typing import Any

from PIL import Image

from .arrivals import Ask
from .messages import Request, build
from .server import Failure, Server

MIXES = ("whole", "one", "random")
SIDE = 64  # pixels
WHITELISTS = 64  # different random ones
NODES_MOST = 8  # in each
ONE = "tabby"


def asker(server: Server, mix: str, seed: int = 1, keeps: bool = True, body: bytes | None = None) -> Ask:
    """A function that gives the next request, with `body` in place of `picture()`. Each of them was asked once, alone: every
    later answer has to hold the same predictions, digit by digit."""
    requests = [_request(server, query, keeps, body or picture()) for query in _queries(server, mix, seed)]
    random.Random(seed).shuffle(requests)
    return itertools.cycle(requests).__next__


def picture() -> bytes:
    gradient = Image.linear_gradient("L").resize((SIDE, SIDE))
    image = Image.merge("RGB", (gradient, gradient.rotate(90), gradient.rotate(180)))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def _queries(server: Server, mix: str, seed: int) -> list[str]:
    if mix == "whole":
        return [""]
    if mix == "one":
        return [f"?categories={ONE}"]
    chance, paths = random.Random(seed), list(_paths(server.json("/categories")["tree"]))[1:]
    lists = [chance.sample(paths, chance.randint(1, NODES_MOST)) for _ in range(WHITELISTS)]
    return ["?" + urllib.parse.urlencode({"categories": ",".join(nodes)}) for nodes in lists]


def _paths(node: dict[str, Any]) -> Iterator[str]:
    yield node["path"]
    for child in node.get("children", []):
        yield from _paths(child)


def _request(server: Server, query: str, keeps: bool, body: bytes) -> Request:
    path = "/classify" + query
    status, said = server.ask("POST", path, body, {"Content-Type": "image/jpeg"})
    if status != 200:
        raise Failure(f"POST {path} answers {status}: {said.decode(errors='replace')}")
    return build("POST", path, body, keeps, _predictions(said), Content_Type="image/jpeg")


def _predictions(said: bytes) -> bytes:
    """The bytes of the answer from its predictions up to its costs, which no two answers have in common."""
    begin, end = said.find(b'"predictions"'), said.find(b'"cost"')
    if begin < 0 or end < begin or not json.loads(said)["predictions"]:
        raise Failure(f"an answer without predictions: {said.decode(errors='replace')}")
    return said[begin:end]

"""A row of the service's table: the services stand on one CPU, wrk on another, and asks them in turns."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import turns
from .contenders import PEERS, Bench, OnnxRuntime, node_environment
from .engine_rows import choose
from .espalier import Kernels
from .processes import Failure, Service, run
from .rows import EngineRow, ServiceRow
from .settings import Settings

NODE = "Node (fastify, sharp, ONNX Runtime)"
ANSWER_SECONDS = 60
TRIAL_SECONDS = 1
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy the environment names

# Of a score, where both see the same pixels. A larger picture is made smaller by each in its own way: there the first
# answer has to be the same.
PIXEL_TOLERANCE = 0.01

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class ServiceResult:
    row: ServiceRow
    form: str  # of the Node service's network
    differences: dict[str, float]  # largest, of a score to the Node service's
    turns: dict[int, turns.Turns]  # by the number of connections


def measure(bench: Bench, row: ServiceRow, kernels: Sequence[Kernels], settings: Settings) -> ServiceResult:
    form = _fastest_form(bench, row, kernels[0])
    with ExitStack() as started:
        urls = {NODE: started.enter_context(_node(bench, row, form)).url + "/classify"}
        for one in kernels:
            urls[one.title] = started.enter_context(_espalier(bench, one)).url + _path(row)
        differences = _check_all(urls, bench.pictures.files(row.picture), row, kernels)
        found = {
            connections: turns.take(list(urls), settings.service_rounds, _load(bench, urls, row, connections, settings))
            for connections in row.connections
        }
    return ServiceResult(row, form, differences, found)


def _fastest_form(bench: Bench, row: ServiceRow, kernels: Kernels) -> str:
    with OnnxRuntime(bench, EngineRow(row.name, row.title, row.categories)) as peer:
        reference = bench.espalier.scores(kernels, row.categories, bench.pictures.small)
        return choose(peer, reference).way["form"]


def _node(bench: Bench, row: ServiceRow, form: str) -> Service:
    network = bench.exports.cutout(row.categories, 1, form)
    command = ["node", PEERS / "node_service.js", network, network.with_suffix(".json")]
    return Service(command, bench.cores[:1], bench.work / "logs" / "node_service.log", **node_environment(bench.work))


def _espalier(bench: Bench, kernels: Kernels) -> Service:
    return Service(bench.espalier.serve_command(kernels), bench.cores[:1], bench.work / "logs" / f"espalier-{kernels.name}.log")


def _path(row: ServiceRow) -> str:
    query = urllib.parse.urlencode({"categories": ",".join(row.categories)}) if row.categories else ""
    return "/classify" + ("?" + query if query else "")


def _check_all(
    urls: Mapping[str, str], pictures: Sequence[Path], row: ServiceRow, kernels: Sequence[Kernels]
) -> dict[str, float]:
    expected = [_classify(urls[NODE], picture) for picture in pictures]
    differences = {}
    for one in kernels:
        found = [_classify(urls[one.title], picture) for picture in pictures]
        differences[one.title] = max(_difference(*pair) for pair in zip(found, expected))
        tolerance = max(PIXEL_TOLERANCE, one.tolerance)
        if row.picture == "small" and differences[one.title] > tolerance:
            raise Failure(f"{one.title} is {differences[one.title]:.3g} from the Node service's scores, more than {tolerance:g}.")
    return differences


def _difference(ours: Answer, theirs: Answer) -> float:
    """The largest, of the scores of the categories that both name. The first has to be the same."""
    mine, others = ({found["category"]: found["score"] for found in answer["predictions"]} for answer in (ours, theirs))
    if next(iter(mine)) != next(iter(others)) or len(mine) != len(others):
        raise Failure(f"The services disagree: espalier says {list(mine)}, the Node service {list(others)}.")
    return max(abs(mine[name] - others[name]) for name in mine if name in others)


def _classify(url: str, picture: Path) -> Answer:
    request = urllib.request.Request(url, picture.read_bytes(), {"Content-Type": "image/jpeg"})
    try:
        with DIRECTLY.open(request, timeout=ANSWER_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as fault:
        raise Failure(f"{url} answers {fault.code}: {fault.read().decode(errors='replace')}") from fault


def _load(
    bench: Bench, urls: Mapping[str, str], row: ServiceRow, connections: int, settings: Settings
) -> Callable[[str], dict[str, float]]:
    """A function that loads one of the services; all of them have been loaded once, which is not counted."""
    picture = bench.pictures.files(row.picture)[0]
    for url in urls.values():
        _wrk(url, picture, connections, TRIAL_SECONDS, bench.cores[1])
    return lambda title: _wrk(urls[title], picture, connections, settings.service_seconds, bench.cores[1])


def _wrk(url: str, picture: Path, connections: int, seconds: int, core: int) -> dict[str, float]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", PEERS / "post.lua", url, "--", picture]
    said = run(command, [core])
    match = re.search(r"^RESULT (.*)$", said, re.MULTILINE)
    result = json.loads(match[1]) if match else {}
    if not result or result["errors"] or not result["requests"]:
        raise Failure(f"wrk was not answered well by {url}:\n{said}")
    rate = result["requests"] / result["seconds"]
    return {"rate": rate, "p50_ms": result["p50_ms"], "p99_ms": result["p99_ms"]}

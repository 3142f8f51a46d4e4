"""Two pools behind HAProxy, as in deploy/haproxy/haproxy.cfg: one with the whole network, one whose replica holds only a
cutout. Who asks for no more than the cutout has is routed there, gets the same digits, and is served by the other pool where
the small one is gone. Prints what a replica of each kind takes and does, for deploy/README.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from balancers import HAProxy
from load.mixes import picture
from places import ask, free_ports, wait_until
from replicas import BINARY, Process, Replica
from traffic import Traffic

REQUESTS = 1500  # in each run
CATEGORIES = "cat"  # of the small pool in the configuration

pytestmark = pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is not installed")


@pytest.fixture
def pools(tmp_path: Path) -> Iterator[dict[str, Replica]]:
    subprocess.run([BINARY, "cutout", "--categories", CATEGORIES, "-o", tmp_path / "cats"], check=True, stdout=subprocess.DEVNULL)
    whole_port, cats_port = free_ports(2)
    made: dict[str, Replica] = {
        "whole": Process(whole_port, tmp_path / "whole.log"), "cats": Process(cats_port, tmp_path / "cats.log", MODEL=str(tmp_path / "cats")),
    }  # fmt: skip
    try:
        for replica in made.values():
            replica.start()
        yield made
    finally:
        for replica in made.values():
            replica.end()


@pytest.fixture
def balancer(tmp_path: Path, pools: dict[str, Replica]) -> Iterator[HAProxy]:
    gone = free_ports(2)  # the two other replicas of the configuration
    with HAProxy(tmp_path, {8081: pools["whole"].port, 8082: gone[0], 8083: gone[1], 8091: pools["cats"].port}) as running:
        running.wait_for("cats", "cats1", status="UP")
        yield running


def classify(port: int, query: str) -> list[dict[str, object]]:
    status, said = ask(port, f"/classify?{query}", "POST", picture(), Content_Type="image/jpeg")
    assert status == 200, said
    return json.loads(said)["predictions"]


@pytest.mark.parametrize(
    "query, pool",
    [("categories=cat", "cats"), ("categories=tabby,lion", "cats"), ("categories=animal%2Fcat%2Ftabby%2Ccougar", "cats"),
     ("categories=animal/cat/tabby,animal/cat", "cats"), ("categories=cat,dog", "whole"), ("categories=tabbycat", None),
     ("categories=animal", "whole"), ("", "whole"), ("categories=cat&attention=dog:0", "whole"),
     ("categories=cat&search=beam:1", "whole")],
)  # fmt: skip
def test_who_is_served_by_whom(pools, balancer, query, pool):
    before = {name: replica.answered() for name, replica in pools.items()}
    status, said = ask(balancer.port, f"/classify?{query}", "POST", picture(), Content_Type="image/jpeg")
    expected = ask(pools["whole"].port, f"/classify?{query}", "POST", picture(), Content_Type="image/jpeg")
    assert status == expected[0] == (200 if pool else 422)
    if pool:
        assert json.loads(said)["predictions"] == json.loads(expected[1])["predictions"]  # the same digits
        def served():
            return {name: replica.answered() - before[name] for name, replica in pools.items()}

        wait_until(lambda: sum(served().values()) == 2, "both requests to be counted")  # which is after their answers
        assert served() == {"cats": int(pool == "cats"), "whole": 1 + int(pool == "whole")}


def test_the_names_are_the_cutouts(pools):
    """The configuration's list is what the replica of the small pool has."""
    tree = json.loads(ask(pools["cats"].port, "/categories")[1])["tree"]
    held = set(re.findall(r'"path": "(?:[a-z0-9_]+/)*(\w+)"', json.dumps(tree)))
    listed = set(re.search(r"\(cat/\)\?\(([\w|]+)\)", HAProxy.source.read_text())[1].split("|"))
    assert listed == held - {"animal", "trunk"}


def test_without_the_small_pool(pools, balancer):
    """Its death fails nobody."""
    with Traffic(balancer.port, "one") as traffic:
        traffic.reach(REQUESTS // 4)
        pools["cats"].kill()
        balancer.wait_for("cats", "cats1", status="DOWN")
        before = traffic.over
        traffic.reach(before + REQUESTS // 4)
    assert traffic.failed == []
    assert pools["whole"].answered() > REQUESTS // 4


def memory(replica: Replica) -> float:
    """Resident, in MB."""
    return int(re.search(rb"process_resident_memory_bytes (\d+)", ask(replica.port, "/metrics")[1])[1]) / 1e6


def test_what_it_gains(pools, balancer):
    """Each kind of replica alone, then both pools, asked for one category; figures, and nothing fails."""
    print()
    for name, port in {"whole": pools["whole"].port, "cutout": pools["cats"].port, "two pools": balancer.port}.items():
        with Traffic(port, "one") as traffic:
            traffic.reach(REQUESTS)
        assert traffic.failed == []
        print(f"one category, {name}: {traffic}")
    print(f"memory: whole {memory(pools['whole']):.1f} MB, cutout {memory(pools['cats']):.1f} MB")
    assert memory(pools["cats"]) < memory(pools["whole"])

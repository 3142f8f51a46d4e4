"""Two pools behind HAProxy, as in deploy/haproxy/haproxy.cfg: one with the whole network, one whose replica holds only a
cutout. Who asks for no more than the cutout has is routed there, gets the same digits, and is served by the other pool where
the small one is gone. Prints what a replica of each kind takes and does, for deploy/README.md."""

from __future__ import annotations

import base64
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


Sent = tuple[str, bytes]  # a body and its type before it
RAW: Sent = ("image/jpeg", picture())
NAMES = {"whole": "tiny-imagenet-200", "cats": "tiny-imagenet-200-cutout"}  # of the networks, in an answer


def form(**fields: str) -> Sent:
    """The picture and these fields, as curl -F sends them."""
    parts = [f'--line\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    image = b'--line\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n' + picture() + b"\r\n"
    return "multipart/form-data; boundary=line", b"".join([*parts, image, b"--line--\r\n"])


def document(kind: str = "application/json", **options: object) -> Sent:
    return kind, json.dumps({"image": base64.b64encode(picture()).decode(), **options}).encode()


@pytest.mark.parametrize(
    "query, sent, pool",
    [("categories=cat", RAW, "cats"), ("categories=tabby,lion", RAW, "cats"), ("categories=animal%2Fcat%2Ftabby%2Ccougar", RAW, "cats"),
     ("categories=animal/cat/tabby,animal/cat", RAW, "cats"), ("top=2&categories=cat&groups=true&timeout_ms=9000", RAW, "cats"),
     ("categories=cat,dog", RAW, "whole"), ("categories=tabbycat", RAW, None), ("categories=animal", RAW, "whole"), ("", RAW, "whole"),
     # Options that may name what the small pool has not, wherever they stand.
     ("categories=cat&attention=dog:0", RAW, "whole"), ("attention=dog:0&categories=cat", RAW, "whole"),
     ("categories=cat&%61ttention=dog:0", RAW, "whole"), ("categories=cat&se%61rch=beam:1", RAW, "whole"), ("%63ategories=cat", RAW, "whole"),
     ("categories=cat&search=beam:1", RAW, "whole"), ("categories=cat&model=tiny-imagenet-200", RAW, "whole"),
     ("categories=cat", form(attention="dog:0"), "whole"), ("categories=cat", form(model="tiny-imagenet-200"), "whole"),
     ("categories=cat", form(search="beam:1"), "whole"), ("categories=cat", form(options='{"attention": {"dog": 0}}'), "whole"),
     ("categories=cat", document(attention={"dog": 0}), "whole"), ("categories=cat", document(model="tiny-imagenet-200"), "whole"),
     ("categories=cat", document("Application/JSON; charset=utf-8", search={"beam": 1}), "whole"),
     ("", document(categories=["cat"]), "whole")],
)  # fmt: skip
def test_who_is_served_by_whom(pools, balancer, query, sent, pool):
    kind, body = sent
    before = {name: replica.answered() for name, replica in pools.items()}
    status, said = ask(balancer.port, f"/classify?{query}", "POST", body, Content_Type=kind)
    expected = ask(pools["whole"].port, f"/classify?{query}", "POST", body, Content_Type=kind)
    assert status == expected[0] == (200 if pool else 422), said
    if pool:
        answer, wanted = json.loads(said), json.loads(expected[1])
        assert [answer.get(part) for part in ("predictions", "groups")] == [wanted.get(part) for part in ("predictions", "groups")]  # the same digits
        assert answer["model"]["name"] == NAMES[pool]

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


def test_one_drained_stands_in_for_nobody(balancer):
    """Those that repeat the small pool's requests are the replicas of the whole network: an operator drains each once."""
    balancer.drain(1)
    assert [row["status"].split()[0] for row in balancer.figures("cats") if row["svname"] == "replica1"] == ["DRAIN"]


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

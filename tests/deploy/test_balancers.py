"""Three replicas behind a balancer under load, HAProxy and nginx: one is drained and replaced, one is killed, then all are
replaced in turn. No request of the client may fail. The replicas are containers where the machine can have them, otherwise the
program of the build, run bare."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from balancers import Balancer, HAProxy, Nginx
from containers import Containers
from load.mixes import picture
from places import ask, free_ports, wait_until
from replicas import Container, Process, Replica
from standins import Deaf, Silent
from traffic import Traffic

RELOADS = 10
REQUESTS = int(os.environ.get("ESPALIER_TEST_REQUESTS", "20000"))
PORTS = (8081, 8082, 8083)  # of the replicas in the configurations; 8091 is the small pool's

pytestmark = pytest.mark.skipif(not (shutil.which("haproxy") and shutil.which("nginx")), reason="haproxy and nginx are not installed")


@contextmanager
def started(made: list[Replica]) -> Iterator[list[Replica]]:
    with ExitStack() as ends:
        for replica in made:
            ends.callback(replica.end)
            replica.start()
        yield made


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[list[Replica]]:
    with started([Process(port, tmp_path / f"replica{number}.log") for number, port in enumerate(free_ports(3), 1)]) as replicas:
        yield replicas


@pytest.fixture
def contained(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[Replica]]:
    """Where there can be no containers, the daemons run bare, and everybody is told."""
    why = Containers.missing()
    if why:
        print(f"\n*** NO CONTAINERS: {why}. The balancer is tested with the program of the build, run bare. ***")
        yield request.getfixturevalue("bare")
        return
    containers, image = request.getfixturevalue("containers"), request.getfixturevalue("image")
    made: list[Replica] = [Container(port, tmp_path / f"replica{number}.log", containers, image) for number, port in enumerate(free_ports(3), 1)]
    with started(made) as replicas:
        yield replicas


def replace(replica: Replica) -> None:
    """Until the new one has work."""
    replica.start()
    wait_until(lambda: replica.answered() > 0, "the new replica to be asked")


def ports(replicas: list[Replica]) -> dict[int, int]:
    return dict(zip(PORTS, (replica.port for replica in replicas)))


def check(traffic: Traffic, what: str) -> None:
    print(f"\n{what}: {traffic}")
    assert traffic.failed == []


def live_through_everything(balancer: Balancer, replicas: list[Replica], requests: int) -> Traffic:
    balancer.wait_for_all()
    with Traffic(balancer.port, "one") as traffic:
        traffic.reach(requests // 20)
        # An operator takes one out, so that nobody is served by it, replaces it and lets it in.
        balancer.drain(1)
        wait_until(lambda: replicas[0].answered() == replicas[0].answered(), "its last request to be counted")
        before = replicas[0].answered()
        traffic.reach(traffic.over + requests // 50)
        assert replicas[0].answered() == before
        replicas[0].drain()
        replicas[0].start()
        balancer.admit(1)
        wait_until(lambda: replicas[0].answered() > 0, "the new replica to be asked")
        # One dies in the middle of its requests.
        replicas[1].kill()
        replace(replicas[1])
        # A new version comes: each gets SIGTERM, and the balancer has to notice by itself.
        for replica in replicas:
            replica.drain()
            replace(replica)
        traffic.reach(requests)
    print("\nrepeated, by the same replica or another:", balancer.repeated())
    return traffic


@pytest.mark.parametrize("kind", [HAProxy, Nginx])
def test_no_request_fails(tmp_path, contained, kind):
    """HAProxy asks the replicas how they are; nginx knows of a replica's end by the requests that fail there, and repeats them."""
    with kind(tmp_path, ports(contained)) as balancer:
        run = "containers" if isinstance(contained[0], Container) else "bare daemons"
        check(live_through_everything(balancer, contained, REQUESTS), f"{kind.__name__}, {run}")


@pytest.mark.parametrize("kind", [HAProxy, Nginx])
def test_no_request_fails_while_its_configuration_changes(tmp_path, bare, kind):
    """Clients keep their connections as long as they are let: a request that is on its way when one is closed would be lost."""
    with kind(tmp_path, ports(bare)) as balancer:
        balancer.wait_for_all()
        with Traffic(balancer.port, "one") as traffic:
            for _ in range(RELOADS):
                traffic.reach(traffic.over + REQUESTS // 200)
                balancer.reload()
        check(traffic, f"{kind.__name__}, {RELOADS} reloads")


def test_nothing_internal_is_let_through(tmp_path, bare):
    for kind in (HAProxy, Nginx):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        with kind(folder, ports(bare)) as balancer:
            assert ask(balancer.port, "/metrics")[0] == 404
            assert ask(balancer.port, "/v2/repository/index", "POST")[0] == 404
            assert ask(balancer.port, "/v2/%72epository/index", "POST")[0] == 404
            assert ask(balancer.port, "/healthz")[0] == 200


@pytest.mark.parametrize("kind", [HAProxy, Nginx])
def test_a_request_id_is_taken_over_or_made(tmp_path, bare, kind):
    def known_as(**headers: str) -> str:
        status, said = ask(balancer.port, "/classify?categories=tabby", "POST", picture(), Content_Type="image/jpeg", **headers)
        assert status == 200, said
        return json.loads(said)["request_id"]

    with kind(tmp_path, ports(bare)) as balancer:
        assert known_as(X_Request_Id="order-4711.b_2") == "order-4711.b_2"
        made = [known_as(), known_as(), known_as(X_Request_Id="not an id!"), known_as(X_Request_Id="x" * 129)]
        assert len(set(made)) == len(made) and all(re.fullmatch("[0-9a-f]{32}", one) for one in made)


@pytest.mark.parametrize("kind", [HAProxy, Nginx])
def test_a_deadline_is_not_repeated(tmp_path, kind: type[Balancer]):
    """Who gave no answer in all that time was at work on it: the others would be, too, and three of them for one client."""
    with Silent() as one, Silent() as two, Silent() as three:
        replicas = (one, two, three)
        with kind(tmp_path, dict(zip(PORTS, (replica.port for replica in replicas))), hurried=True) as balancer:
            assert ask(balancer.port, "/classify", "POST", picture(), Content_Type="image/jpeg")[0] == 504
            assert sum(replica.asked for replica in replicas) == 1


def test_nginx_goes_on_where_a_connection_is_not_taken(tmp_path, bare):
    """As of a machine that is gone without a word: no connection is refused there, none comes about. (HAProxy's checks notice.)"""
    with Deaf() as gone, Nginx(tmp_path, dict(zip(PORTS, (gone.port, bare[1].port, bare[2].port)))) as balancer:
        def tried_there() -> bool:
            assert ask(balancer.port, "/classify?categories=tabby", "POST", picture(), Content_Type="image/jpeg")[0] == 200
            return re.search(r"timed out.* while connecting to upstream.*POST /classify", balancer.log.read_text()) is not None

        wait_until(tried_there, "a request to be tried at the one that is gone")


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives up what it may do")
def test_haproxy_does_not_work_as_root(tmp_path, bare):
    """Debian's package has a user and an empty directory for it. The operator's socket is there all the same."""
    with HAProxy(tmp_path, ports(bare)) as balancer:
        worker = Path(f"/proc/{balancer.worker()}")
        assert re.search(r"^Uid:\s+(\d+)", (worker / "status").read_text(), re.M)[1] == str(pwd.getpwnam("haproxy").pw_uid)
        assert os.readlink(worker / "root") == pwd.getpwnam("haproxy").pw_dir
        assert ask(balancer.port, "/readyz")[0] == 200

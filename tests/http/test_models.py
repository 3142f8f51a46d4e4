"""Several networks, and replacing them while the daemon serves."""

import json
import os
import signal
import threading
import time

import pytest

from daemon import Daemon
from models import BUNDLED, SMALL, make_network, replace_file
from pictures import jpeg, orange, scene

TOKEN = "a-token-for-tests-only"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}


def admin(daemon, verb, name, **headers):
    return daemon.request("POST", f"/v2/repository/models/{name}/{verb}", **(headers or ADMIN))


def index(daemon):
    return {row["name"]: row for row in daemon.request("POST", "/v2/repository/index", **ADMIN).json}


@pytest.fixture
def repository(tmp_path):
    """A directory of two networks."""
    make_network(tmp_path / "models" / "small", name="small", version="1")
    make_network(tmp_path / "models" / "tiny", BUNDLED, name="tiny")
    return tmp_path / "models"


# ---- several ----

def test_model_picks_one(repository, picture):
    with Daemon(model=repository, default_model="tiny") as daemon:
        assert "small, tiny" in daemon.first_line
        assert daemon.classify(picture).json["model"]["name"] == "tiny"
        body = json.dumps({"model": "small"})
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        full = {name: daemon.get(f"/categories?model={name}").json["macs_full"] for name in ("small", "tiny")}
        assert full["small"] != full["tiny"]
        assert daemon.get("/categories").json["macs_full"] == full["tiny"]
        for answer in (daemon.request("POST", "/cost?model=small"), daemon.request("POST", "/cost", "model=small", **form),
                       daemon.request("POST", "/cost", body, Content_Type="application/json")):
            assert answer.json["macs_full"] == full["small"], answer.body
        assert daemon.classify(picture, "?model=small").json["model"]["name"] == "small"
        assert daemon.classify(picture, "?model=tiny").json["model"]["name"] == "tiny"


def test_model_may_stand_behind_its_categories(repository, picture):
    """Names are those of the network that is asked, wherever in the request it is named."""
    with Daemon(model=repository, default_model="small") as daemon:
        assert daemon.classify(picture, "?categories=tabby&model=tiny").status == 200
        assert daemon.classify(picture, "?categories=tabby").status == 422
        assert daemon.classify(picture, "?categories=tabby&model=tiny&model=tiny").status == 422
        assert daemon.classify(picture, "?model=tiny").json["cost"]["categories"] == 200


def test_unknown_model(repository, picture):
    with Daemon(model=repository) as daemon:
        for answer in (daemon.classify(picture, "?model=large"), daemon.get("/categories?model=large"),
                       daemon.request("POST", "/cost", '{"model": "large"}', Content_Type="application/json")):
            assert answer.status == 404 and "'large'" in answer.json["detail"] and "small, tiny" in answer.json["detail"]
        answer = daemon.request("POST", "/cost", '{"model": 7}', Content_Type="application/json")
        assert answer.status == 422 and "model" in answer.json["detail"]


def test_networks_are_answered_side_by_side(repository, picture):
    """Requests of two networks that wait together: each gets its own network's scores."""
    with Daemon(model=repository, instances=2) as daemon:
        expected = {name: daemon.classify(picture, f"?model={name}&top=200").json["predictions"] for name in ("small", "tiny")}
        wrong = []

        def work(name):
            for _ in range(25):
                answer = daemon.classify(picture, f"?model={name}&top=200")
                if answer.status != 200 or answer.json["predictions"] != expected[name]:
                    wrong.append((name, answer.body[:300]))

        threads = [threading.Thread(target=work, args=(name,)) for name in ("small", "tiny") * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


@pytest.mark.parametrize("make, said", [
    (lambda path: path.mkdir(), "no model.json"),
    (lambda path: make_network(path / "a", name="b"), "calls itself b, not a"),
    (lambda path: (make_network(path / "a", name="a"), (path / "a" / "model.safetensors").unlink()), "model.safetensors"),
])
def test_a_directory_that_cannot_be_served(tmp_path, make, said):
    make(tmp_path / "models")
    with pytest.raises(RuntimeError, match=said):
        Daemon(model=tmp_path / "models").__enter__()


def test_a_default_model_that_there_is_not(repository):
    with pytest.raises(RuntimeError, match="--default-model is 'large'; there are small, tiny"):
        Daemon(model=repository, default_model="large").__enter__()


# ---- who may manage them ----

ROUTES = ["/v2/repository/index", "/v2/repository/models/small/load", "/v2/repository/models/small/unload"]


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_token_nobody_may(daemon, route):
    for headers in ({}, ADMIN, {"Authorization": "Bearer "}):
        answer = daemon.request("POST", route, **headers)
        assert answer.status == 403 and "--admin-token-file" in answer.json["detail"]


@pytest.mark.parametrize("route", ROUTES)
def test_the_token_is_asked_for(repository, route):
    with Daemon(model=repository, default_model="tiny", admin_token=TOKEN) as daemon:
        for wrong in ("", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Bearer x{TOKEN[1:]}"):
            answer = daemon.request("POST", route, Authorization=wrong)
            assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Bearer")
            assert TOKEN not in answer.body.decode()
        assert daemon.request("POST", route, Authorization=f"bearer  {TOKEN}").status == 200
        assert daemon.request("GET", route, **ADMIN).status == 405


# ---- loading and unloading ----

def test_index(repository):
    with Daemon(model=repository, default_model="tiny", admin_token=TOKEN) as daemon:
        rows = index(daemon)
        assert rows["small"] == {"name": "small", "version": "1", "state": "READY", "default": False}
        assert rows["tiny"]["default"] is True


def test_a_network_comes_and_goes(repository, picture):
    with Daemon(model=repository, default_model="tiny", admin_token=TOKEN) as daemon:
        assert admin(daemon, "load", "another").status == 404
        make_network(repository / "another", name="another")
        answer = admin(daemon, "load", "another")
        assert answer.status == 200 and answer.json["name"] == "another" and answer.json["state"] == "READY"
        assert daemon.classify(picture, "?model=another").status == 200
        assert set(index(daemon)) == {"another", "small", "tiny"}
        assert admin(daemon, "unload", "another").json["state"] == "UNAVAILABLE"
        assert daemon.classify(picture, "?model=another").status == 404
        assert admin(daemon, "unload", "another").status == 404
        assert admin(daemon, "load", "another").status == 200
        answer = admin(daemon, "unload", "tiny")
        assert answer.status == 409 and "default" in answer.json["detail"]


@pytest.mark.parametrize("name", ["..", ".", "%2e%2e%2fsmall", "x" * 65, "x" * 1000])
def test_names_that_lead_astray(repository, name):
    with Daemon(model=repository, admin_token=TOKEN) as daemon:
        assert admin(daemon, "load", name).status == 404


def test_another_version_takes_the_place(repository, picture):
    with Daemon(model=repository, admin_token=TOKEN) as daemon:
        before = daemon.classify(picture, "?model=small&top=200").json
        changed = json.loads((repository / "small" / "model.json").read_text()) | {"version": "2"}
        replace_file(repository / "small" / "model.json", json.dumps(changed).encode())
        assert daemon.classify(picture, "?model=small").json["model"]["version"] == "1"
        assert admin(daemon, "load", "small").status == 200
        after = daemon.classify(picture, "?model=small&top=200").json
        assert after["model"]["version"] == "2" and after["predictions"] == before["predictions"]


def broken_networks(directory):
    """Ways to break a network, with what the refusal has to say."""
    weights = SMALL / "model.safetensors"
    description = (directory / "model.json").read_text()
    yield "model.safetensors", weights.read_bytes()[:-100], "is the file complete?"
    yield "model.safetensors", b"", "safetensors"
    yield "model.json", description[:200].encode(), "model.json"
    yield "model.json", json.dumps(json.loads(description) | {"name": "other"}).encode(), "calls itself other, not small"


def test_a_broken_network_is_refused_and_the_old_one_serves_on(repository, picture):
    directory = repository / "small"
    with Daemon(model=repository, admin_token=TOKEN) as daemon:
        expected = daemon.classify(picture, "?model=small&top=200").json["predictions"]
        for name, content, said in broken_networks(directory):
            good = (directory / name).read_bytes()
            replace_file(directory / name, content)
            answer = admin(daemon, "load", "small")
            assert answer.status == 422 and said in answer.json["detail"], answer.body
            assert daemon.classify(picture, "?model=small&top=200").json["predictions"] == expected
            assert daemon.get("/readyz").status == 200
            replace_file(directory / name, good)
        assert admin(daemon, "load", "small").status == 200


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_sighup_loads_all_anew(repository, picture):
    """Also what is new; what is broken stays as it was."""
    with Daemon(model=repository, default_model="tiny", admin_token=TOKEN) as daemon:
        for name, version in (("small", "7"), ("tiny", "8")):
            path = repository / name / "model.json"
            replace_file(path, json.dumps(json.loads(path.read_text()) | {"version": version}).encode())
        make_network(repository / "another", name="another")
        make_network(repository / "broken", name="not that")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: index(daemon)["tiny"]["version"] == "8")
        rows = index(daemon)
        assert set(rows) == {"another", "small", "tiny"} and rows["small"]["version"] == "7"
        assert daemon.classify(picture).status == 200


def test_many_signals_keep_nobody_waiting(repository):
    """Who asks for all again and again does not push the others back."""
    with Daemon(model=repository, default_model="tiny", admin_token=TOKEN) as daemon:
        over = threading.Event()

        def signals():
            while not over.is_set():
                daemon.process.send_signal(signal.SIGHUP)
                time.sleep(0.001)

        thread = threading.Thread(target=signals)
        thread.start()
        try:
            for _ in range(3):
                loads = daemon.metric("espalier_model_loads_total")
                assert admin(daemon, "load", "small").status == 200
                assert daemon.metric("espalier_model_loads_total") - loads < 8  # one turn of all, in which it came, and the next
        finally:
            over.set()
            thread.join()


def test_the_bundled_network_can_be_loaded_anew(picture):
    with Daemon(admin_token=TOKEN) as daemon:
        before = daemon.classify(picture, "?top=200").json["predictions"]
        assert admin(daemon, "load", "tiny-imagenet-200").status == 200
        assert admin(daemon, "load", "small").status == 404
        assert daemon.classify(picture, "?top=200").json["predictions"] == before


# ---- under load ----

@pytest.mark.parametrize("how", ["route", "signal"])
def test_replacing_under_load_loses_nothing(repository, how):
    """Every answer, before, during and after: 200 and the digits that it always has."""
    pictures = [orange(), jpeg(scene(64, 64)), jpeg(scene(300, 200))]
    with Daemon(model=repository, default_model="tiny", admin_token=TOKEN, instances=2) as daemon:
        requests = [(picture, f"?model={name}&top=200{more}") for picture in pictures
                    for name, more in (("tiny", "&categories=animal"), ("tiny", "&categories=tabby,orange&groups=true"), ("small", ""))]
        expected = [daemon.classify(*request).json["predictions"] for request in requests]
        stop, wrong, answered = threading.Event(), [], []

        def client(turn):
            connection = daemon.connect()
            while not stop.is_set() and not wrong:
                turn += 1
                picture, query = requests[turn % len(requests)]
                connection.request("POST", "/classify" + query, picture, {"Content-Type": "image/jpeg"})
                response = connection.getresponse()
                body = response.read()
                if response.status != 200 or json.loads(body)["predictions"] != expected[turn % len(requests)]:
                    wrong.append((query, response.status, body[:300]))
                answered.append(turn)
            connection.close()

        threads = [threading.Thread(target=client, args=(turn,)) for turn in range(8)]
        for thread in threads:
            thread.start()
        try:
            for number in range(12):
                if how == "route":
                    assert admin(daemon, "load", ("tiny", "small")[number % 2]).status == 200
                    assert admin(daemon, "unload", "small").status == 200 if number == 11 else True
                else:
                    daemon.process.send_signal(signal.SIGHUP)
                    time.sleep(0.1)
                if number == 10:
                    stop.set()  # before the last one, which unloads
                    for thread in threads:
                        thread.join()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not wrong, wrong[0]
        assert len(answered) > 20


def resident(daemon):
    for line in open(f"/proc/{daemon.process.pid}/status", encoding="ascii"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError


def test_the_memory_of_the_old_network_is_given_back(repository, picture):
    if os.environ.get("ESPALIER_BINARY", "").find("san") >= 0:
        pytest.skip("a sanitizer keeps freed memory for a while")
    with Daemon(model=repository, default_model="small", admin_token=TOKEN) as daemon:
        for _ in range(3):  # some warmth
            assert admin(daemon, "load", "tiny").status == 200
            daemon.classify(picture, "?model=tiny")
        loaded = resident(daemon)
        for _ in range(20):
            assert admin(daemon, "load", "tiny").status == 200
            daemon.classify(picture, "?model=tiny")
        assert resident(daemon) < loaded + (8 << 20)
        assert admin(daemon, "unload", "tiny").status == 200
        assert resident(daemon) < loaded - (20 << 20)  # its weights alone are about 30 MB

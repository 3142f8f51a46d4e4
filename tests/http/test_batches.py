"""Requests that run together, and branches that other instances take over: every answer is the one that a request gets
alone, digit for digit."""

import random
import re
import threading
import time

import pytest

from daemon import Daemon
from pictures import jpeg, orange, scene

CLIENTS = 16
PER_CLIENT = 12


@pytest.fixture(scope="module")
def photo():
    """So large that decoding it keeps an instance busy while requests queue up."""
    return jpeg(scene(6000, 4500), quality=90)


@pytest.fixture(scope="module")
def names():
    with Daemon(instances=1) as daemon:
        tree = daemon.get("/categories").json["tree"]

    def paths(node):
        yield node["path"]
        for child in node.get("children", []):
            yield from paths(child)
    return list(paths(tree))[1:]


def pictures():
    return [orange(), jpeg(scene(90, 200)), jpeg(scene(64, 64), quality=40), jpeg(scene(333, 80))]


def random_query(rng, names):
    """A whitelist, and weights that silence no more than a part of it."""
    chosen = rng.sample(names, rng.randint(1, 12)) if rng.random() < 0.8 else []
    weights = {name: rng.choice([0.5, 1.25, 2, 16]) for name in rng.sample(names, rng.randint(0, 4))}
    parts = ["top=200", f"groups={rng.choice(['true', 'false'])}"]
    if rng.random() < 0.3:
        parts.append(f"search=beam:{rng.randint(1, 4)}")
    if chosen:
        parts.append("categories=" + ",".join(chosen))
    if weights:
        parts.append("attention=" + ",".join(f"{name}:{weight}" for name, weight in weights.items()))
    return "?" + "&".join(parts)


def said(answer):
    """What an answer says beside its id and its times and company, as it is written."""
    text = re.sub(rb'"request_id":"[^"]*"|"time_ms":\{[^}]*\}|"batch":\d+', b"", answer.body)
    return answer.status, text


def together(*calls):
    """Calls all of them at a time; their answers in order."""
    answers = [None] * len(calls)

    def work(index):
        answers[index] = calls[index]()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.fixture(scope="module")
def expected(names):
    """Requests with the answers that they get alone, from an instance that nobody helps."""
    rng = random.Random(14)
    requests = [(rng.choice(pictures()), random_query(rng, names)) for _ in range(60)]
    with Daemon(instances=1, batch=1) as daemon:
        answers = [daemon.classify(*request) for request in requests]
    assert all(answer.status == 200 for answer in answers)
    assert all(answer.json["cost"]["batch"] == 1 for answer in answers)
    return [(request, said(answer)) for request, answer in zip(requests, answers)]


@pytest.mark.parametrize("flags", [{"instances": 1, "batch": 64}, {"instances": 2}, {"instances": 4, "batch": 3},
                                   {"instances": 3, "batch": 1}])
def test_many_clients_get_what_they_would_get_alone(expected, flags):
    with Daemon(**flags) as daemon:
        def client(seed):
            rng = random.Random(seed)
            wrong = []
            for _ in range(PER_CLIENT):
                request, answer = rng.choice(expected)
                got = daemon.classify(*request)
                if said(got) != answer or got.json["cost"]["batch"] > flags.get("batch", 8):
                    wrong.append((request[1], got.body))
            return wrong

        assert together(*[lambda seed=seed: client(seed) for seed in range(CLIENTS)]) == [[]] * CLIENTS
        text = daemon.get("/metrics").body.decode()
        runs = re.findall(r'^espalier_runs_total\{images="(\d+)"\} (\d+)$', text, re.MULTILINE)
        assert sum(int(images) * int(count) for images, count in runs) == CLIENTS * PER_CLIENT


def behind_a_photo(daemon, photo, *calls):
    """Calls that queue up while the only instance is busy with a photo: their answers."""
    first = threading.Thread(target=daemon.classify, args=(photo,))
    first.start()
    while first.is_alive() and daemon.metric("espalier_instances_busy") != 1:
        time.sleep(0.002)
    answers = together(*calls)
    first.join()
    return answers


def batches(answers):
    return [answer.json["cost"]["batch"] for answer in answers if answer.status == 200]


def test_requests_that_wait_run_together(expected, photo):
    with Daemon(instances=1) as daemon:
        seen = 0
        for _ in range(50):  # the machine may be so slow that they do not meet
            calls = [lambda request=request: daemon.classify(*request) for request, _ in expected[:10]]
            answers = behind_a_photo(daemon, photo, *calls)
            assert [said(answer) for answer in answers] == [answer for _, answer in expected[:10]]
            seen = max(batches(answers))
            assert 1 <= seen <= 8
            if seen > 1:
                break
        assert seen > 1
        text = daemon.get("/metrics").body.decode()
        assert f'espalier_runs_total{{images="{seen}"}}' in text


def test_bad_requests_take_nothing_from_a_batch(expected, photo):
    """A broken image, broken base64 and a deadline that has passed, among requests that are well."""
    good = expected[:6]
    picture = orange()
    with Daemon(instances=1, batch=64) as daemon:
        seen = 0
        for _ in range(50):
            answers = behind_a_photo(
                daemon, photo,
                lambda: daemon.classify(*good[0][0]),
                lambda: daemon.classify(picture[:len(picture) // 3]),
                lambda: daemon.classify(*good[1][0]),
                lambda: daemon.classify_json({"image": "%%%%"}),
                lambda: daemon.classify(*good[2][0]),
                lambda: daemon.classify(picture, "?timeout_ms=1"),
                *[lambda request=request: daemon.classify(*request) for request, _ in good[3:]])
            well = [answer for index, answer in enumerate(answers) if index not in (1, 3, 5)]
            assert [said(answer) for answer in well] == [answer for _, answer in good]
            assert (answers[1].status, answers[3].status) == (422, 400)
            assert answers[5].status in (200, 504)
            seen = max(batches(answers))
            assert seen <= 7
            if seen > 1 and answers[5].status == 504:
                break
        assert seen > 1


def test_idle_instances_help(expected):
    """One request at a time, until another instance has taken over a branch: the same answers."""
    with Daemon(instances=4) as daemon:
        for _ in range(50):
            for request, answer in expected:
                assert said(daemon.classify(*request)) == answer
            if daemon.metric("espalier_branches_helped_total") > 0:
                break
        assert daemon.metric("espalier_branches_helped_total") > 0


def test_batches_of_one(expected, photo):
    with Daemon(instances=1, batch=1) as daemon:
        answers = behind_a_photo(daemon, photo, *[lambda: daemon.classify(*expected[0][0])] * 6)
        assert batches(answers) == [1] * 6

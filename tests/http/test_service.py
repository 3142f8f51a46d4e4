"""The other routes, the queue, deadlines, and the command line."""

import json
import os
import subprocess
import threading

import pytest

from bundled import TABBY, WHOLE, trunk_cost
from busy import Busy
from daemon import BINARY, ROOT, Daemon
from models import SMALL, leaves, make_network


def test_health(daemon):
    assert daemon.get("/healthz").status == 200
    assert daemon.get("/readyz").status == 200


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/categories", "/openapi.yaml"])
def test_head_is_like_get(daemon, path):
    get, head = daemon.get(path), daemon.request("HEAD", path)
    assert head.status == get.status == 200 and head.body == b""
    assert head.headers["content-type"] == get.headers["content-type"]


def test_options_says_what_is_allowed(daemon):
    answer = daemon.request("OPTIONS", "/classify")
    assert answer.status == 204 and "POST" in answer.headers["allow"]


def nodes_of(node):
    yield node
    for child in node.get("children", []):
        yield from nodes_of(child)


def test_categories(daemon):
    document = daemon.get("/categories").json
    nodes = list(nodes_of(document["tree"]))
    assert len(nodes) == 227
    assert sum("children" not in node for node in nodes) == 200
    by_path = {node["path"]: node for node in nodes}
    path = [by_path[name] for name in ("trunk", "animal", "animal/cat", "animal/cat/tabby")]
    assert (sum(node["macs"] for node in path), sum(node["parameters"] for node in path)) == TABBY
    assert (by_path["trunk"]["macs"], by_path["trunk"]["parameters"]) == trunk_cost()
    assert by_path["animal/cat/tabby"]["label"].startswith("tabby")


def test_ids_of_categories(tmp_path):
    """A branch shows the id that model.json gives it, and none where it has none; a cutout to go keeps it."""
    trunk = json.loads((SMALL / "model.json").read_text())["trunk"]
    for _, leaf in leaves(trunk):
        leaf.pop("id", None)
    path, leaf = leaves(trunk)[0]
    leaf["id"] = "n02123045"
    model = make_network(tmp_path / "model", trunk=trunk)
    cut = run("cutout", "--model", str(model), "--categories", path, "-o", str(tmp_path / "cut"))
    assert cut.returncode == 0, cut.stderr
    for directory in (model, tmp_path / "cut"):
        with Daemon(model=directory) as daemon:
            nodes = list(nodes_of(daemon.get("/categories").json["tree"]))
        assert {node["path"]: node["id"] for node in nodes if "id" in node} == {path: "n02123045"}


def test_page_and_description(daemon):
    page = daemon.get("/")
    assert page.headers["content-type"].startswith("text/html") and b"<html" in page.body
    assert daemon.get("/openapi.yaml").body == (ROOT / "api" / "openapi.yaml").read_bytes()


def test_many_clients_at_once(daemon, picture):
    """Every answer is that of its own request."""
    names = ["tabby", "orange", "lemon", "school_bus", "teapot", "goldfish", "beacon", "barrel"]
    expected = {n: daemon.classify(picture, f"?categories={n}").json["predictions"] for n in names}
    wrong = []

    def work(name):
        for _ in range(25):
            answer = daemon.classify(picture, f"?categories={name}")
            if answer.status != 200 or answer.json["predictions"] != expected[name]:
                wrong.append((name, answer.body))

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_full_queue(picture):
    with Busy(queue_depth=1) as busy:
        busy.occupy(8)
        for thread in busy.threads:
            thread.join()
        codes = sorted(answer.status for answer in busy.answers)
        assert set(codes) == {200, 429}
        refused = next(answer for answer in busy.answers if answer.status == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json["retry_after_ms"] > 0
        assert busy.daemon.metric("espalier_rejected_total") >= 1
        assert busy.daemon.classify(picture).status == 200


def test_deadline_in_the_queue():
    with Busy() as busy:
        busy.occupy(4)
        busy.daemon.wait_for_metric("espalier_instances_busy", 1)
        answer = busy.daemon.classify(busy.photo, "?timeout_ms=1")
        assert answer.status == 504, answer.body


def test_a_slow_model_does_not_block_other_routes():
    with Busy() as busy:
        busy.occupy(6)
        busy.daemon.wait_for_metric("espalier_instances_busy", 1)
        for _ in range(10):
            assert busy.daemon.get("/healthz").status == 200


def run(*arguments, **environment):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **environment})


def test_settings_from_the_environment(picture):
    os.environ["ESPALIER_INSTANCES"] = "3"
    try:
        with Daemon() as daemon:
            assert daemon.metric("espalier_instances") == 3
        with Daemon(instances=2) as daemon:  # a flag beats the environment
            assert daemon.metric("espalier_instances") == 2
    finally:
        del os.environ["ESPALIER_INSTANCES"]


@pytest.mark.parametrize("arguments", [("serve", "--queue-depth", "0"), ("serve", "--queue-depth", "x"), ("serve", "--nonsense"),
                                       ("serve", "--listen", "nowhere"), ("serve", "extra"), ("dance",), (),
                                       ("serve", "--precision", "fp64"), ("inspect", "--precision", "fp64"),
                                       ("classify", "a.jpg", "--precision", "fp64"), ("inspect", "extra"), ("classify",)])
def test_bad_command_lines(arguments):
    result = run(*arguments)
    assert result.returncode == 2 and result.stderr and not result.stdout


def test_help_and_version():
    for arguments in (("--help",), ("serve", "--help"), ("classify", "--help"), ("inspect", "--help"), ("cutout", "--help"), ("--version",)):
        result = run(*arguments)
        assert result.returncode == 0 and result.stdout
    text = run("serve", "--help").stdout
    for name in ("--listen", "--queue-depth", "--instances", "--model", "ESPALIER_QUEUE_DEPTH"):
        assert name in text


def test_bad_setting_in_the_environment():
    result = run("serve", ESPALIER_QUEUE_DEPTH="many")
    assert result.returncode == 2 and "ESPALIER_QUEUE_DEPTH" in result.stderr


def test_precision_in_the_environment():
    result = run("serve", ESPALIER_PRECISION="half")
    assert result.returncode == 2 and "ESPALIER_PRECISION is 'half'; give fp32, bf16 or auto" in result.stderr


def test_kernels_and_precision_of_every_command(picture, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(picture)
    assert "plain, fp32" in run("inspect", "--kernels", "plain", "--precision", "fp32").stdout
    cost = json.loads(run("classify", str(path), "--kernels", "plain", "--categories", "tabby", "--json").stdout)["cost"]
    assert (cost["kernels"], cost["precision"]) == ("plain", "fp32")
    with Daemon(precision="fp32") as daemon:
        assert ", fp32, " in daemon.first_line


def test_port_in_use(daemon):
    result = run("serve", "--listen", f"127.0.0.1:{daemon.port}")
    assert result.returncode == 1 and str(daemon.port) in result.stderr


def test_missing_model():
    result = run("serve", "--model", "/nowhere", "--listen", "127.0.0.1:0")
    assert result.returncode == 1 and "/nowhere" in result.stderr


def test_ipv6():
    try:
        with Daemon(listen="[::1]:0") as daemon:
            assert daemon.get("/healthz").status == 200
    except RuntimeError as problem:
        pytest.skip(f"no IPv6 here: {problem}")


def test_inspect():
    result = run("inspect")
    assert result.returncode == 0
    assert f"{WHOLE.macs / 1e6:.1f} M MACs, {WHOLE.parameters / 1e6:.2f} M parameters" in result.stdout
    assert "animal" in result.stdout
    assert "tabby" in run("inspect", "--leaves").stdout


def test_classify_without_the_daemon(daemon, picture, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(picture)
    result = run("classify", str(path), "--categories", "fruit_or_vegetable,tabby", "--attention", "orange:1.5", "--top", "3", "--json")
    assert result.returncode == 0, result.stderr
    expected = daemon.classify(picture, "?categories=fruit_or_vegetable,tabby&attention=orange:1.5&top=3").json
    answer = json.loads(result.stdout)
    assert answer["predictions"] == expected["predictions"]
    assert answer["cost"]["macs"] == expected["cost"]["macs"]
    text = run("classify", str(path), str(path))
    assert text.returncode == 0 and text.stdout.count("a.jpg") == 2
    broken = tmp_path / "b.jpg"
    broken.write_bytes(picture[:100])
    result = run("classify", str(broken), str(path))
    assert result.returncode == 1 and "b.jpg" in result.stderr and "a.jpg" in result.stdout
    assert run("classify", str(path), "--categories", "tabbi").returncode == 2

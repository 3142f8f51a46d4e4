"""api/openapi.yaml: it is well made, and the daemon keeps to it. Its paths are served, its examples are asked, and they and
the real answers fit its schemas."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import time
from urllib.parse import quote, urlencode

import jsonschema
import pytest
import yaml

from daemon import ROOT, Daemon, multipart
from models import BUNDLED
from pictures import png

LINTER = ROOT / "tests" / "lint" / "openapi"
VERSION = json.loads((BUNDLED / "model.json").read_text())["version"]
TOKEN = "a-token-for-tests-only"
DESCRIPTION = yaml.safe_load((ROOT / "api" / "openapi.yaml").read_text())


def validate(document, schema):
    """References resolve inside the description."""
    jsonschema.validate(document, {**schema, "components": DESCRIPTION["components"]}, jsonschema.Draft202012Validator)


def check(document, name):
    """Validates against a named schema."""
    validate(document, {"$ref": f"#/components/schemas/{name}"})


def resolve(node):
    while "$ref" in node:
        target = DESCRIPTION
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def operations():
    for path, methods in DESCRIPTION["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def parameters(operation, place):
    return [each for each in map(resolve, operation.get("parameters", [])) if each["in"] == place]


def filled(path, operation):
    """The path with the examples of its parameters; the version is that of the bundled network, which has several in its life."""
    for each in parameters(operation, "path"):
        example = VERSION if each["name"] == "version" else each["example"]
        path = path.replace(f"{{{each['name']}}}", quote(example, safe=""))
    return path


def check_answer(answer, operation):
    """Status and media type are described, headers are there, and JSON fits its schema."""
    assert str(answer.status) in operation["responses"], answer.body
    response = resolve(operation["responses"][str(answer.status)])
    kind = answer.headers["content-type"].split(";")[0]
    assert kind in response["content"], f"{answer.status} is not described as {kind}"
    if "json" in kind:
        validate(answer.json, response["content"][kind]["schema"])
    optional = {"Inference-Header-Content-Length"} if kind == "application/json" else set()
    assert {name.lower() for name in set(response.get("headers", {})) - optional} <= set(answer.headers)


@pytest.mark.parametrize("path, method, operation", operations())
def test_what_is_described_is_served(daemon, path, method, operation):
    check_answer(daemon.request(method.upper(), filled(path, operation)), operation)


def written(kind, value):
    """The body that an example stands for, and its type. Where it is bytes, each character of the text is one."""
    if kind == "application/json":
        return json.dumps(value), kind
    texts = {name: each if isinstance(each, str) else json.dumps(each) for name, each in value.items()} if isinstance(value, dict) else {}
    if kind == "application/x-www-form-urlencoded":
        return urlencode(texts), kind
    if kind == "multipart/form-data":
        return multipart(*[(name, text.encode("latin-1"), {}) for name, text in texts.items()])
    return value.encode("latin-1"), kind


def replays():
    """Each request that an example describes: operation, method, path, type of the body, and value and name of the example."""
    for path, method, operation in operations():
        path = filled(path, operation)
        content = resolve(operation.get("requestBody", {})).get("content", {})
        for kind, body in content.items():
            for name, example in body.get("examples", {}).items():
                yield pytest.param(operation, method, path, kind, example["value"], name, id=f"{method} {path}: {kind} {name}")
        for each in parameters(operation, "query"):
            if "example" in each:
                query = f"?{each['name']}={quote(str(each['example']))}"
                yield pytest.param(operation, method, path + query, None, None, None, id=f"{method} {path}{query}")
        if not content:
            yield pytest.param(operation, method, path, None, None, "usual", id=f"{method} {path}")


# What is there only where the network is calibrated; and what depends on the machine, the moment, the network and the picture.
OPTIONAL = {"confidence"}
VARIABLE = {"request_id", "kernels", "category", "label", "branches_run", "branches_entered", "branches_too_dear"}


def compare(said, example):
    """An answer has the members, texts and types of its example, which may show the first elements of a list alone. Digits
    are of the network and of the moment."""
    assert type(said) is type(example)
    if isinstance(example, dict):
        assert set(said) - OPTIONAL == set(example) - OPTIONAL
        for name in (set(said) & set(example)) - VARIABLE:
            compare(said[name], example[name])
    elif isinstance(example, list):
        assert len(said) >= len(example)
        for each, shown in zip(said, example):
            compare(each, shown)
    elif isinstance(example, str):
        assert re.sub(r"[0-9.]+", "0", said) == re.sub(r"[0-9.]+", "0", example)


def compare_with_example(answer, operation, name):
    """With the one of the request's name, where there is one."""
    content = resolve(operation["responses"][str(answer.status)])["content"]
    example = content[answer.headers["content-type"].split(";")[0]].get("examples", {}).get(name)
    if example:
        compare(answer.json, example["value"])


@pytest.fixture(scope="module")
def administered():
    with Daemon(admin_token=TOKEN) as running:
        yield running


@pytest.mark.parametrize("operation, method, path, kind, value, name", replays())
def test_examples_are_asked(administered, picture, operation, method, path, kind, value, name):
    """What is given as an example works, and is answered as described, and as in the answer's example. The default network is the
    example, and stays."""
    body, content_type = written(kind, value) if kind else (None, None)
    headers = {"Content_Type": content_type} if kind else {}
    if operation.get("security"):
        headers["Authorization"] = f"Bearer {TOKEN}"
    if path.startswith("/classify?"):
        body, headers = picture, {"Content_Type": "image/jpeg"}
    if kind == "application/octet-stream":
        headers |= {each["name"]: str(each["example"]) for each in parameters(operation, "header") if "example" in each}
    answer = administered.request(method.upper(), path, body, **headers)
    assert answer.status == (409 if path.endswith("/unload") else 200), answer.body
    check_answer(answer, operation)
    compare_with_example(answer, operation, name)


@pytest.mark.parametrize("path, method, operation", operations())
def test_what_any_request_may_be_told_is_described(administered, path, method, operation):
    """That its length is in doubt, that it takes no body, that its query is too long."""
    def ask(query="", body=None, **headers):
        return administered.request(method.upper(), filled(path, operation) + query, body, Authorization=f"Bearer {TOKEN}", **headers)
    nothing = b"0\r\n\r\n"
    taken = "requestBody" in operation
    for answer, statuses in ((ask(body=nothing, Content_Length="5", Transfer_Encoding="chunked"), {400}),
                             (ask(body=nothing, Transfer_Encoding="chunked"), {200, 400} if taken else {413}),
                             (ask("?" + "&".join(["a=1"] * 100)), {422})):
        assert answer.status in statuses, answer.body
        check_answer(answer, operation)


def test_bodies_that_find_no_room_are_described():
    body = b"{" + b" " * 700_000 + b"}"
    head = b"POST /cost HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with Daemon(queue_bytes=1 << 20) as daemon, socket.create_connection((daemon.host, daemon.port)) as first:
        first.sendall(head + body[:-1])
        end = time.monotonic() + 30
        while daemon.metric("espalier_body_bytes") < len(body) - 1:
            assert time.monotonic() < end
            time.sleep(0.01)
        for path, method, operation in operations():
            if "requestBody" in operation:
                answer = daemon.request(method.upper(), filled(path, operation), body, Content_Type="application/json")
                assert answer.status == 429, answer.body
                check_answer(answer, operation)


@pytest.mark.parametrize("path", DESCRIPTION["paths"])
def test_head_and_options_are_as_the_text_says(daemon, path):
    methods = DESCRIPTION["paths"][path]
    path = filled(path, next(iter(methods.values())))
    answer = daemon.request("OPTIONS", path)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["allow"] == "GET, HEAD, " * ("get" in methods) + "POST, " * ("post" in methods) + "OPTIONS"
    if "get" in methods:
        got, head = daemon.get(path), daemon.request("HEAD", path)
        for each in got, head:
            for name in ("date", "x-request-id", "traceparent", "content-length"):
                each.headers.pop(name)  # of the moment
        assert (head.status, head.headers, head.body) == (got.status, got.headers, b"")


def node_version():
    """(20, 19, 0); None without Node and npm."""
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    text = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in text.strip().lstrip("v").split("."))


def install_linter():
    """Just what package-lock.json says; skips the test where it cannot be had."""
    result = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=LINTER, capture_output=True, text=True,
                            timeout=300)
    if result.returncode:
        pytest.skip(f"api/openapi.yaml IS NOT LINTED: npm could not install Redocly CLI: {result.stderr.strip()[-300:]}")


def test_the_description_is_linted():
    version = node_version()
    if version is None or version < (20, 19):
        pytest.skip(f"api/openapi.yaml IS NOT LINTED: Redocly CLI needs Node 20.19 or later and npm; there is {version or 'none'}")
    if not (LINTER / "node_modules" / ".bin" / "redocly").exists():
        install_linter()
    result = subprocess.run([LINTER / "node_modules" / ".bin" / "redocly", "lint", "--config", LINTER / "redocly.yaml",
                             ROOT / "api" / "openapi.yaml"], capture_output=True, text=True, timeout=300,
                            env=os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"})
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_route_is_described(daemon):
    """The paths of the daemon's own table, and no others."""
    for path, _, operation in operations():
        assert daemon.request("DELETE", filled(path, operation)).status == 405
    table = (ROOT / "server" / "routes.c").read_text()
    served = set(re.findall(r'^ +\{"[A-Z]+", "([^"]+)", handle_', table, re.MULTILINE))
    assert served == set(DESCRIPTION["paths"])


def test_examples_fit_their_schemas():
    seen = 0
    for _, _, operation in operations():
        for response in operation["responses"].values():
            for media in resolve(response).get("content", {}).values():
                for example in media.get("examples", {}).values():
                    check(example["value"], media["schema"]["$ref"].rsplit("/", 1)[1])
                    seen += 1
    assert seen >= 8


def test_answers_fit_their_schemas(daemon, picture):
    check(daemon.classify(picture, "?groups=true&top=200").json, "Classification")
    check(daemon.classify(picture, "?categories=tabby").json, "Classification")
    check(daemon.request("POST", "/cost?categories=cat").json, "Cost")
    searched = daemon.classify(picture, "?search=beam:2&groups=true").json
    check(searched, "Classification")
    check(searched["search"], "Search")
    bounds = daemon.request("POST", "/cost?search=beam:2").json
    check(bounds, "CostBounds")
    check(bounds, "PlannedCost")
    check(daemon.get("/categories").json, "Tree")
    check(daemon.get("/healthz").json, "State")
    check(daemon.get("/readyz").json, "State")
    for answer in (daemon.classify(png()), daemon.classify(picture, "?categories=tabbi"), daemon.get("/nothing"),
                   daemon.classify(b""), daemon.classify(picture[:500])):
        check(answer.json, "Problem")


def test_answers_of_the_repository_fit_their_schemas():
    with Daemon(admin_token=TOKEN) as daemon:
        def ask(path):
            return daemon.request("POST", f"/v2/repository/{path}", Authorization=f"Bearer {TOKEN}").json

        check(ask("index"), "RepositoryIndex")
        check(ask("models/tiny-imagenet-200/load"), "RepositoryResult")
        check(ask("models/tiny-imagenet-200/unload"), "Problem")
        check(ask("models/other/load"), "Problem")
        check(daemon.request("POST", "/v2/repository/index").json, "Problem")


def assert_agrees(schema, value, answer):
    """What the schema allows, the daemon takes, and the other way round."""
    try:
        check(value, schema)
        allowed = True
    except jsonschema.ValidationError:
        allowed = False
    assert (answer.status == 200) == allowed, (value, answer.body)


def test_option_schema_agrees_with_the_daemon(daemon):
    cases = [{"categories": ["cat"]}, {"categories": []}, {"attention": {"cat": 16}}, {"attention": {"cat": 16.5}}, {"top": 0},
             {"top": 1}, {"groups": True}, {"groups": "true"}, {"timeout_ms": 1}, {"colour": 1}, {"attention": {"cat": -0.1}},
             {"search": {"beam": 1}}, {"search": {"beam": 0}}, {"search": {}}, {"search": {"beam": 1, "width": 2}}, {"search": "beam:1"},
             {"budget": {"macs": 10**15}}, {"budget": {"macs": 0}}, {"budget": 10**15}, {"search": {"beam": 2}, "budget": {"macs": 10**15}}]
    cases += [{name: value} for name in ("top", "timeout_ms") for value in (1.0, 1e8, 1.5, 0.0, -1.0, 1e19, 1e300)]
    cases += [{"search": {"beam": 1.0}}, {"search": {"beam": 1.5}}, {"budget": {"macs": 1e15}}, {"budget": {"macs": 1e300}}, {"budget": {"macs": -1e8}}]
    for options in cases:
        assert_agrees("Options", options, daemon.request("POST", "/cost", json.dumps(options), Content_Type="application/json"))


def test_inference_schema_agrees_with_the_daemon(daemon, picture):
    """Whatever stands beside a picture."""
    one = {"name": "jpeg", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(picture).decode()]}
    foreign = {"sequence_id": 7, "sequence_start": True, "sequence_end": True, "priority": 0, "timeout": 9, "headers": {}, "content_type": "np",
               "triton_enable_empty_final_response": False}
    allowed = {"id": "a", "model_name": "tiny-imagenet-200", "model_version": VERSION, "outputs": [], "parameters": {}}
    requests = [{"inputs": [one]} | {name: value} for name in allowed for value in (allowed[name], None, 7)]
    requests += [{"inputs": [one], "colour": value} for value in (1, None)]
    requests += [{"inputs": [one], "parameters": each} for each in (foreign, {"top": 1}, {"timeout": 0}, {"timeout_ms": 0}, {"search": None},
                 {"binary_data_output": None}, {"binary_data_output": 0}, {"search": "beam:1"}, {"search": "beam"}, {"categories": ""},
                 {"timeout_ms": 6e4}, {"timeout_ms": 0.5}, {"timeout_ms": 1e300}, {"search": {"beam": 1}}, {"search": 1}, {"budget": 1e8}, {"categories": 7})]
    requests += [{"inputs": [one], "outputs": [{"name": "scores", "parameters": each}]} for each in
                 (None, {}, foreign, {"binary_data": None}, {"binary_data": 1}, {"classification": 3})]
    requests += [{"inputs": [one | each]} for each in ({"parameters": None}, {"parameters": {}}, {"parameters": foreign}, {"data": None}, {"data": 0},
                 {"parameters": {"binary_data_size": 4}}, {"parameters": {"binary_data_size": None}}, {"parameters": {"size": 4}}, {"parameters": {"size": None}},
                 {"colour": 1}, {"colour": None}, {"shape": []}, {"shape": [-1]}, {"shape": [1.0]}, {"shape": [1.5]}, {"name": "picture"}, {"datatype": None})]
    for request in requests:
        assert_agrees("InferenceRequest", request, daemon.request("POST", "/v2/models/tiny-imagenet-200/infer", json.dumps(request)))

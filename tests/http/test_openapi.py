"""api/openapi.yaml against the daemon: its paths are served, its examples and the real answers fit its schemas."""

import json

import jsonschema
import pytest
import yaml

from daemon import ROOT, Daemon
from pictures import png

DESCRIPTION = yaml.safe_load((ROOT / "api" / "openapi.yaml").read_text())


def check(document, name):
    """Validates against a named schema; references resolve inside the description."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DESCRIPTION["components"]}
    jsonschema.validate(document, schema, jsonschema.Draft202012Validator)


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


@pytest.mark.parametrize("path, method, operation", operations())
def test_what_is_described_is_served(daemon, path, method, operation):
    answer = daemon.request(method.upper(), path.replace("{name}", "tiny-imagenet-200"))
    documented = operation["responses"]
    assert str(answer.status) in documented, answer.body
    content = resolve(documented[str(answer.status)])["content"]
    assert answer.headers["content-type"].split(";")[0] in [media.split(";")[0] for media in content]


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
    token = "a-token-for-tests-only"
    with Daemon(admin_token=token) as daemon:
        def ask(path):
            return daemon.request("POST", f"/v2/repository/{path}", Authorization=f"Bearer {token}").json

        check(ask("index"), "RepositoryIndex")
        check(ask("models/tiny-imagenet-200/load"), "RepositoryResult")
        check(ask("models/tiny-imagenet-200/unload"), "Problem")
        check(ask("models/other/load"), "Problem")
        check(daemon.request("POST", "/v2/repository/index").json, "Problem")


def test_option_schema_agrees_with_the_daemon(daemon):
    """What the schema allows, the daemon takes, and the other way round."""
    cases = [{"categories": ["cat"]}, {"categories": []}, {"attention": {"cat": 16}}, {"attention": {"cat": 16.5}}, {"top": 0},
             {"top": 1}, {"groups": True}, {"groups": "true"}, {"timeout_ms": 1}, {"colour": 1}, {"attention": {"cat": -0.1}},
             {"search": {"beam": 1}}, {"search": {"beam": 0}}, {"search": {}}, {"search": {"beam": 1, "width": 2}}, {"search": "beam:1"},
             {"budget": {"macs": 10**15}}, {"budget": {"macs": 0}}, {"budget": 10**15}, {"search": {"beam": 2}, "budget": {"macs": 10**15}}]
    for options in cases:
        try:
            check(options, "Options")
            allowed = True
        except jsonschema.ValidationError:
            allowed = False
        answer = daemon.request("POST", "/cost", json.dumps(options), Content_Type="application/json")
        assert (answer.status == 200) == allowed, (options, answer.body)

"""Coarse to fine: `search` and `budget`, over HTTP and on the command line."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field

import pytest

from daemon import BINARY, Daemon, multipart
from pictures import jpeg, orange, scene

ALL = 100_000  # more than there are


@dataclass
class Tree:
    """GET /categories, to look things up in."""

    macs_full: int
    nodes: dict[str, dict] = field(default_factory=dict)

    def add(self, node: dict) -> None:
        self.nodes[node["path"]] = node
        for child in node.get("children", []):
            self.add(child)

    def inner(self, path: str) -> bool:
        return "children" in self.nodes[path]

    def family(self, path: str) -> list[str]:
        return [child["path"] for child in self.nodes[path]["children"]]

    def parent(self, path: str) -> str:
        return path.rpartition("/")[0] or "trunk"


@pytest.fixture(scope="module")
def tree(daemon) -> Tree:
    document = daemon.get("/categories").json
    made = Tree(document["macs_full"])
    made.add(document["tree"])
    return made


@pytest.fixture(scope="module")
def whole(daemon) -> dict[str, bytes]:
    """The digits of each category's score in the whole network."""
    return digits(daemon.classify(orange(), f"?top={ALL}"))


def digits(answer) -> dict[str, bytes]:
    return {name.decode(): score for name, score in
            re.findall(rb'"category":"([^"]*)"[^}]*"score":([-0-9.e+]+)', answer.body)}


def said(answer):
    """What an answer says beside its id and its times and company, as it is written."""
    return answer.status, re.sub(rb'"request_id":"[^"]*"|"time_ms":\{[^}]*\}|"batch":\d+', b"", answer.body)


def bounds(daemon, query: str) -> tuple[int, int]:
    answer = daemon.request("POST", f"/cost?{query}")
    assert answer.status == 200, answer.body
    return answer.json["macs_at_least"], answer.json["macs_at_most"]


def check(tree: Tree, answer, whole: dict[str, bytes]) -> dict:
    """Whatever was asked for: what ran hangs together, is what was paid for, and says what the whole network says."""
    assert answer.status == 200, answer.body
    document = answer.json
    search, cost = document["search"], document["cost"]
    ran, entered = search["branches_run"], search["branches_entered"]
    assert ran == [path for path in tree.nodes if path in set(ran)] and all(tree.inner(path) for path in ran)
    assert set(entered) <= set(ran)
    families = [path for top in ["trunk", *entered] for path in tree.family(top)]
    assert set(ran) == {path for path in families if tree.inner(path)}
    predicted = [each["category"] for each in document["predictions"]]
    assert sorted(predicted) == sorted(path for path in families if not tree.inner(path))
    segments = sum(tree.nodes[path]["macs"] for path in ["trunk", *families])
    heads = sum(tree.nodes[path]["head_macs"] for path in ran)
    assert segments <= cost["macs"] <= segments + heads
    assert cost["branches"] == len(families) and cost["categories"] == len(predicted)
    assert digits(answer).items() <= whole.items()
    assert sum(each["probability"] for each in document["predictions"]) == pytest.approx(1)
    return document


@pytest.mark.parametrize("beam", [1, 2, 3, 5])
def test_beam(daemon, picture, tree, whole, beam):
    document = check(tree, daemon.classify(picture, f"?search=beam:{beam}&top={ALL}"), whole)
    assert document["search"]["beam"] == beam and not {"budget_macs", "branches_too_dear"} & set(document["search"])
    levels = [path.count("/") for path in document["search"]["branches_entered"]]
    assert levels and all(levels.count(level) <= beam for level in levels)
    least, most = bounds(daemon, f"search=beam:{beam}")
    assert least <= document["cost"]["macs"] <= most


def test_a_wide_beam_is_no_search(daemon, picture, tree, whole):
    plain = daemon.classify(picture, f"?top={ALL}").json
    document = check(tree, daemon.classify(picture, f"?search=beam:{ALL}&top={ALL}"), whole)
    assert document["predictions"] == plain["predictions"] and document["cost"]["macs"] == plain["cost"]["macs"] == tree.macs_full
    assert document["search"]["branches_run"] == document["search"]["branches_entered"]
    assert bounds(daemon, f"search=beam:{ALL}") == (tree.macs_full, tree.macs_full)


def test_budget_is_never_overspent(daemon, picture, tree, whole):
    least, _ = bounds(daemon, f"budget=macs:{tree.macs_full - 1}")
    best = 0
    for step in range(13):
        budget = least + (tree.macs_full - 1 - least) * step // 12
        document = check(tree, daemon.classify(picture, f"?budget=macs:{budget}&top={ALL}"), whole)
        assert document["cost"]["macs"] <= budget == document["search"]["budget_macs"]
        best = max(best, document["cost"]["categories"])
        search = document["search"]  # something is left to go into, and for the next there was too little
        assert search["branches_too_dear"] and set(search["branches_too_dear"]) <= set(search["branches_run"]) - set(search["branches_entered"])
    assert 1 <= best <= document["cost"]["categories_full"]
    covered = daemon.classify(picture, f"?budget=macs:{tree.macs_full}&top={ALL}").json
    assert covered["cost"]["macs"] == tree.macs_full and covered["cost"]["categories"] == covered["cost"]["categories_full"]
    assert covered["search"]["branches_too_dear"] == []


def test_too_small_a_budget_is_told_the_least(daemon, picture):
    answer = daemon.classify(picture, "?budget=macs:1")
    assert answer.status == 422
    least = int(re.search(r"at least (\d+)", answer.json["detail"])[1])
    assert daemon.classify(picture, f"?budget=macs:{least - 1}").status == 422
    within = daemon.classify(picture, f"?budget=macs:{least}")
    assert within.status == 200 and within.json["cost"]["macs"] <= least
    assert daemon.request("POST", "/cost?budget=macs:1").status == 422


def test_both(daemon, picture, tree, whole):
    _, most = bounds(daemon, "search=beam:2")
    least, _ = bounds(daemon, "search=beam:1")
    budget = (least + most) // 2
    document = check(tree, daemon.classify(picture, f"?search=beam:2&budget=macs:{budget}&top={ALL}"), whole)
    assert (document["search"]["beam"], document["search"]["budget_macs"]) == (2, budget)
    assert document["cost"]["macs"] <= budget


def test_three_forms_give_the_same(daemon, picture):
    query = "?search=beam:2&budget=macs:150000000000&categories=animal,food&attention=food:1.5,cat:0.5&top=3&groups=true"
    options = {"search": {"beam": 2}, "budget": {"macs": 150000000000}, "categories": ["animal", "food"],
               "attention": {"food": 1.5, "cat": 0.5}, "top": 3, "groups": True}
    fields = [(name, value.encode(), {}) for name, value in (part.split("=") for part in query[1:].split("&"))]
    image = ("image", picture, {"filename": "a.jpg", "type": "image/jpeg"})
    form, form_type = multipart(image, *fields)
    form_json, form_json_type = multipart(("options", json.dumps(options).encode(), {}), image)
    expected = daemon.classify(picture, query)
    assert expected.status == 200 and expected.json["search"] and len(expected.json["predictions"]) == 3
    for answer in (daemon.request("POST", "/classify", form, Content_Type=form_type),
                   daemon.request("POST", "/classify", form_json, Content_Type=form_json_type),
                   daemon.classify_json({"image": base64.b64encode(picture).decode(), **options})):
        assert said(answer) == said(expected)


def test_only_what_is_selected_and_not_silenced_is_searched(daemon, picture, tree):
    tops = [path for path in tree.family("trunk") if tree.inner(path)]
    query = f"?categories={','.join(tops[:2])}&attention={tops[0]}:0&search=beam:1&top={ALL}"
    document = daemon.classify(picture, query).json
    assert document["search"]["branches_entered"][0] == tops[1]
    assert all(each["category"].startswith(tops[1] + "/") for each in document["predictions"])


def test_attention_says_where_to_go(daemon, picture, tree):
    tops = [path for path in tree.family("trunk") if tree.inner(path)]
    first = daemon.classify(picture, "?search=beam:1").json["search"]["branches_entered"][0]
    drawn = set()
    for top in tops:
        entered = daemon.classify(picture, f"?search=beam:1&attention={top}:16").json["search"]["branches_entered"]
        drawn.add(entered[0])
    assert first in tops and len(drawn) > 1


def test_groups_are_those_that_ran(daemon, picture):
    document = daemon.classify(picture, "?search=beam:1&groups=true").json
    assert [each["category"] for each in document["groups"]] == document["search"]["branches_run"]
    assert "groups" not in daemon.classify(picture, "?search=beam:1").json


def test_no_search_member_without_a_search(daemon, picture):
    assert "search" not in daemon.classify(picture).json
    assert "macs_at_most" not in daemon.request("POST", "/cost").json


@pytest.mark.parametrize("query, part", [
    ("search=", "beam from 1"), ("search=beam", "beam:2"), ("search=beam:", "beam:2"), ("search=beam:0", "beam:2"),
    ("search=beam:-1", "beam:2"), ("search=beam:1.5", "beam:2"), ("search=beam:two", "beam:2"), ("search=2", "beam:2"),
    ("search=width:2", "beam:2"), ("search=beam:2,beam:3", "beam:2"), ("budget=", "macs:"), ("budget=60000000", "macs:"),
    ("budget=macs:0", "macs:"), ("budget=macs:1e9", "macs:"), ("budget=beam:2", "macs:"),
    ("search=beam:2&search=beam:2", "given twice"), ("budget=macs:1&budget=macs:1", "given twice"), ("beam=2", "there are"),
])
def test_bad_text(daemon, picture, query, part):
    answer = daemon.classify(picture, "?" + query)
    assert answer.status == 422 and part in answer.json["detail"], answer.body


@pytest.mark.parametrize("options", [
    {"search": 2}, {"search": "beam:2"}, {"search": {}}, {"search": {"beam": "2"}}, {"search": {"beam": 2.5}},
    {"search": {"beam": 0}}, {"search": {"beam": 2, "budget": 3}}, {"search": None}, {"search": [2]}, {"budget": 5},
    {"budget": {}}, {"budget": {"macs": -5}}, {"budget": {"macs": "5"}}, {"budget": {"MACs": 5}},
    {"search": {"beam": 0.0}}, {"search": {"beam": -2.0}}, {"budget": {"macs": 0.5}}, {"budget": {"macs": 1e-300}},
])
def test_bad_json(daemon, options):
    answer = daemon.request("POST", "/cost", json.dumps(options), Content_Type="application/json")
    assert answer.status == 422 and '{"' in answer.json["detail"] and "=" not in answer.json["detail"], answer.body


@pytest.mark.parametrize("written", ["2.0", "2e0", "20e-1", "0.2E+1"])
def test_whole_numbers_however_they_are_written(daemon, written):
    """JSON does not tell 2 from 2.0."""
    def cost(beam, macs):
        options = f'{{"search": {{"beam": {beam}}}, "budget": {{"macs": {macs}}}, "top": {beam}, "timeout_ms": {beam}}}'
        return said(daemon.request("POST", "/cost", options.encode(), Content_Type="application/json"))
    assert cost(written, "25e10") == cost("2", "250000000000") and cost(written, "25e10")[0] == 200


def test_large_numbers_however_they_are_written(daemon, picture, tree):
    """Exact for as long as a double is; from there on more than there are, which means all."""
    for written, macs in ((1e15, 10**15), (2.0**53, 2**53), (2.0**62, 2**62), (2.0**63, 2**63 - 1), (1e19, 2**63 - 1), (1e300, 2**63 - 1)):
        options = {"image": base64.b64encode(picture).decode(), "search": {"beam": written}, "budget": {"macs": written}, "top": written}
        answer = daemon.classify_json(options)
        assert answer.status == 200 and answer.json["search"]["budget_macs"] == answer.json["search"]["beam"] == macs, answer.body
        assert answer.json["cost"]["macs"] == tree.macs_full and len(answer.json["predictions"]) == answer.json["cost"]["categories"]


def test_numbers_beyond_all_bounds_mean_all(daemon, picture, tree):
    answer = daemon.classify(picture, "?search=beam:99999999999999999999&budget=macs:99999999999999999999")
    assert answer.status == 200 and answer.json["cost"]["macs"] == tree.macs_full
    assert answer.json["search"]["beam"] > 0 and answer.json["search"]["budget_macs"] > 0


def test_branches_that_ran_are_counted_and_logged(picture):
    with Daemon(log_format="json") as daemon:
        document = daemon.classify(picture, f"?search=beam:1&budget=macs:{10**15}&top={ALL}").json
        text = daemon.get("/metrics").body.decode()
    counted = set(re.findall(r'^espalier_branch_runs_total\{.*branch="([^"]+)"\} 1$', text, re.MULTILINE))
    inner = document["search"]["branches_run"]
    assert counted == {"trunk", *inner, *(each["category"] for each in document["predictions"])}
    assert re.search(rf"^espalier_macs_total {document['cost']['macs']}$", text, re.MULTILINE)
    line = next(line for line in map(json.loads, daemon.log.splitlines()) if line.get("route") == "/classify")
    assert (line["macs"], line["branches"]) == (document["cost"]["macs"], document["cost"]["branches"])
    assert (line["beam"], line["budget_macs"]) == (1, 10**15)


@pytest.mark.parametrize("flags", [{"instances": 1, "batch": 64}, {"instances": 3, "batch": 4}])
def test_different_searches_at_a_time(flags):
    """Each gets what it gets alone, whoever runs with it or helps it."""
    pictures = [orange(), jpeg(scene(90, 200)), jpeg(scene(333, 80))]
    with Daemon(instances=1, batch=1) as daemon:
        _, most = bounds(daemon, "search=beam:2")
        queries = ["?top=200", "?categories=animal&groups=true", "?search=beam:1", "?search=beam:2&groups=true", "?search=beam:4",
                   f"?budget=macs:{most}", f"?budget=macs:{most}&search=beam:3", "?search=beam:1&categories=food,animal&attention=food:2"]
        requests = [(image, query) for image in pictures for query in queries]
        expected = [said(daemon.classify(*request)) for request in requests]
    assert all(status == 200 for status, _ in expected)
    wrong = []

    def client(daemon, first):
        for step in range(len(requests)):
            number = (first + 7 * step) % len(requests)
            if said(daemon.classify(*requests[number])) != expected[number]:
                wrong.append(requests[number][1])

    with Daemon(**flags) as daemon:
        threads = [threading.Thread(target=client, args=(daemon, first)) for first in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


# ---- the command line ----

def classify(picture: bytes, *flags: str) -> subprocess.CompletedProcess:
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(picture)
        file.flush()
        return subprocess.run([BINARY, "classify", file.name, *flags], capture_output=True, text=True)


def test_command_line(daemon, picture):
    served = daemon.classify(picture, "?search=beam:2&top=3").json
    result = classify(picture, "--search", "beam:2", "--top", "3", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["predictions"] == served["predictions"] and document["search"] == served["search"]
    assert document["cost"]["macs"] == served["cost"]["macs"]
    text = classify(picture, "--search", "beam:2").stdout
    assert [line.split()[1] for line in text.splitlines() if line.startswith("  entered")] == served["search"]["branches_entered"]
    _, most = bounds(daemon, "search=beam:2")
    too_dear = daemon.classify(picture, f"?budget=macs:{most}").json["search"]["branches_too_dear"]
    text = classify(picture, "--budget", f"macs:{most}").stdout
    assert [line.split()[2] for line in text.splitlines() if line.startswith("  too dear")] == too_dear != []
    refused = classify(picture, "--budget", "macs:1")
    assert refused.returncode == 2 and "at least" in refused.stderr

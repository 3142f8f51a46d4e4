"""deploy/kubernetes: valid, and in keeping with what espalier does.

The schemas are npm's kubernetes-models, generated from Kubernetes' own description: its validators for values, and its types,
by the TypeScript compiler, for names that there are not. KServe's and the adapter's are in no package: what KServe adds to a
pod's specification is written down here, from its reference."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from load.mixes import picture
from packages import npm_packages
from places import DEPLOY, ask, free_ports, wait_until
from replicas import BINARY, Process

PACKAGES = ("kubernetes-models@5.1.0", "typescript@5.9.3")
KSERVE = """
import type { IPodSpec } from "kubernetes-models/v1";
import type { IObjectMeta } from "@kubernetes-models/apimachinery/apis/meta/v1/ObjectMeta";
interface IPredictor extends Partial<IPodSpec> {
  minReplicas?: number; maxReplicas?: number; scaleTarget?: number; scaleMetric?: "cpu" | "memory" | "concurrency" | "rps";
  containerConcurrency?: number; timeout?: number; canaryTrafficPercent?: number;
}
interface IInferenceService {
  apiVersion: "serving.kserve.io/v1beta1"; kind: "InferenceService"; metadata: IObjectMeta; spec: { predictor: IPredictor };
}
"""

# What memory a replica takes, by deploy/README.md: once, for each instance, for each of the pixels that are allowed, and
# where the largest body is JSON.
NETWORK_BYTES, INSTANCE_BYTES, BYTES_OF_PIXEL, JSON_BODIES = 64_000_000, 5_000_000, 2, 4


def progressive_cmyk(side: int) -> bytes:
    """Of one colour."""
    made = io.BytesIO()
    Image.new("CMYK", (side, side), (10, 80, 160, 0)).save(made, "JPEG", progressive=True, subsampling=0)
    return made.getvalue()


def objects(name: str) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()) if found]


CLUSTER = {found["kind"]: found for found in objects("espalier.yaml")}
KSERVICE = objects("kserve.yaml")[0]
ADAPTER = objects("prometheus-adapter.yaml")[0]
POD = CLUSTER["Deployment"]["spec"]["template"]["spec"]
CONTAINERS = {"Deployment": POD["containers"][0], "KServe": KSERVICE["spec"]["predictor"]["containers"][0]}


@pytest.fixture(scope="session")
def schemas() -> Path:
    """A directory whose node_modules has them."""
    return npm_packages("schemas", *PACKAGES)


def says(command: Sequence[str], place: Path, given: str = "") -> str:
    return subprocess.run(command, cwd=place, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def values(schemas: Path, found: list[dict[str, Any]]) -> str:
    """What the validators object to."""
    return says(["node", str(Path(__file__).with_name("validate.mjs"))], schemas, json.dumps(found))


def names(schemas: Path, found: list[dict[str, Any]]) -> str:
    """What the compiler objects to."""
    lines = [KSERVE]
    for number, one in enumerate(found):
        if one["kind"] != "InferenceService":
            lines.append(f'import type {{ I{one["kind"]} as T{number} }} from "kubernetes-models/{one["apiVersion"]}";')
        kind = "IInferenceService" if one["kind"] == "InferenceService" else f"T{number}"
        lines.append(f"export const o{number}: {kind} = {json.dumps(one)};")
    (schemas / "objects.mts").write_text("\n".join(lines))
    compiler = ["node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "objects.mts"]
    return says(compiler, schemas)


def test_it_is_valid(schemas):
    assert set(CLUSTER) == {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"}
    assert values(schemas, list(CLUSTER.values())) == ""
    assert names(schemas, [*CLUSTER.values(), KSERVICE]) == ""


def test_mistakes_are_seen(schemas):
    """That the schemas bite: a wrong value, and a name that there is not."""
    wrong = json.loads(json.dumps(CLUSTER["Deployment"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["periodSeconds"] = "often"
    assert "livenessProbe/periodSeconds must be integer" in values(schemas, [wrong])
    wrong = json.loads(json.dumps(KSERVICE))
    wrong["spec"]["predictor"]["containers"][0]["readyProbe"] = {}
    assert "readyProbe" in names(schemas, [wrong])


@pytest.mark.parametrize("kind", CONTAINERS)
def test_its_settings_exist(kind):
    known = subprocess.run([BINARY, "serve", "--help=markdown"], capture_output=True, text=True, check=True).stdout
    for variable in CONTAINERS[kind]["env"]:
        assert f"`{variable['name']}`" in known or variable == {"name": "PROTOCOL", "value": "v2"}  # that is for KServe


@pytest.mark.parametrize("kind", CONTAINERS)
def test_its_probes_are_answered(kind, tmp_path):
    container = CONTAINERS[kind]
    probes = {probe["httpGet"]["path"] for name, probe in container.items() if name.endswith("Probe")}
    replica = Process(free_ports(1)[0], tmp_path / "log")
    try:
        replica.start()
        assert {path: ask(replica.port, path)[0] for path in probes} == dict.fromkeys(probes, 200)
    finally:
        replica.end()


def test_kserve_is_told_the_protocol():
    assert {"name": "PROTOCOL", "value": "v2"} in CONTAINERS["KServe"]["env"]


@pytest.mark.parametrize("kind", CONTAINERS)
def test_memory_is_enough(kind):
    """By the sum in deploy/README.md, with the largest pictures in the hands of all instances and a full queue."""
    settings = {one["name"]: one["value"] for one in CONTAINERS[kind]["env"]}
    limits = CONTAINERS[kind]["resources"]["limits"]
    pixels, bodies, body = (int(settings[f"ESPALIER_{name}"]) for name in ("MAX_PIXELS", "QUEUE_BYTES", "MAX_BODY"))
    taken = NETWORK_BYTES + int(limits["cpu"]) * (INSTANCE_BYTES + BYTES_OF_PIXEL * pixels) + bodies + JSON_BODIES * body
    assert limits["memory"].endswith("Mi") and taken < int(limits["memory"][:-2]) << 20


def test_the_largest_picture_takes_what_the_sum_says(tmp_path):
    """The dearest there is: four colours at full size, whose coefficients are kept as the file has them in several scans."""
    side = 2000
    replica = Process(free_ports(1)[0], tmp_path / "log", INSTANCES="1", MAX_PIXELS=str(4 * side * side))
    try:
        replica.start()
        before = replica.peak_bytes()
        assert ask(replica.port, "/classify", "POST", progressive_cmyk(side))[0] == 200
        taken = replica.peak_bytes() - before
    finally:
        replica.end()
    assert taken < BYTES_OF_PIXEL * 4 * side * side + INSTANCE_BYTES
    assert taken > 0.8 * BYTES_OF_PIXEL * 4 * side * side  # else the sum could say less


def test_bodies_of_json_take_what_the_sum_says(tmp_path):
    """Four that fill --queue-bytes together: each is parsed, and its picture decoded from base64."""
    body = json.dumps({"image": base64.b64encode(picture() + bytes(6_000_000)).decode()}).encode()
    replica = Process(free_ports(1)[0], tmp_path / "log", INSTANCES="1", MAX_BODY=str(len(body)), QUEUE_BYTES=str(4 * len(body)))
    try:
        replica.start()
        before = replica.peak_bytes()
        with ThreadPoolExecutor(4) as users:
            answers = users.map(lambda _: ask(replica.port, "/classify", "POST", body, Content_Type="application/json")[0], range(12))
            assert set(answers) <= {200, 429}
        taken = replica.peak_bytes() - before
    finally:
        replica.end()
    assert 2 * len(body) < taken < (4 + JSON_BODIES) * len(body) + INSTANCE_BYTES


def test_grace_and_drain():
    """Endpoints are told before it stops, and nothing is killed that still has time."""
    settings = {one["name"]: one["value"] for one in CONTAINERS["Deployment"]["env"]}
    delay, drain = (int(settings[f"ESPALIER_DRAIN_{name}_MS"]) / 1000 for name in ("DELAY", "TIMEOUT"))
    ready = CONTAINERS["Deployment"]["readinessProbe"]
    assert delay > ready["periodSeconds"] * ready["failureThreshold"]
    assert POD["terminationGracePeriodSeconds"] > delay + drain


def test_selectors_ports_and_metric_agree(tmp_path):
    labels = CLUSTER["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert CLUSTER["Service"]["spec"]["selector"] == labels
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert CLUSTER[kind]["spec"]["selector"]["matchLabels"] == labels
    assert CLUSTER["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    ports = {port["name"] for port in CONTAINERS["Deployment"]["ports"]}
    assert {port["targetPort"] for port in CLUSTER["Service"]["spec"]["ports"]} <= ports
    assert {port["port"] for rule in CLUSTER["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]} <= ports

    scaler = CLUSTER["HorizontalPodAutoscaler"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == CLUSTER["Deployment"]["metadata"]["name"]
    metric = next(one["pods"]["metric"]["name"] for one in scaler["metrics"] if one["type"] == "Pods")
    rule = ADAPTER["rules"]["custom"][0]
    assert rule["name"]["as"] == metric and re.match(rule["name"]["matches"], metric) and rule["seriesQuery"].startswith(metric)
    replica = Process(free_ports(1)[0], tmp_path / "log")
    try:
        replica.start()
        assert f"\n{metric} ".encode() in ask(replica.port, "/metrics")[1]
    finally:
        replica.end()


def test_podman_plays_it(tmp_path, containers, image):
    """One replica of the Deployment as it is, but on the machine's network, with a port of its own, and without the limits of
    cgroups, which a sandbox has not."""
    port = free_ports(1)[0]
    found = json.loads(json.dumps(CLUSTER["Deployment"]))
    found["metadata"]["name"] = f"espalier-test-{port}"
    found["spec"]["replicas"] = 1
    pod = found["spec"]["template"]["spec"]
    pod["hostNetwork"] = True
    container = pod["containers"][0]
    container["image"] = f"{image}:latest"
    container["env"].append({"name": "ESPALIER_LISTEN", "value": f"127.0.0.1:{port}"})
    del container["ports"], container["resources"]
    for probe in (probe for name, probe in container.items() if name.endswith("Probe")):
        probe["httpGet"]["port"] = port
    file = tmp_path / "deployment.yaml"
    file.write_text(yaml.safe_dump(found))
    try:
        containers.play(file)
        wait_until(lambda: ask(port, "/readyz")[0] == 200, "the pod")
    finally:
        containers.podman("pod", "rm", "--force", f"{found['metadata']['name']}-pod-0")

"""The Open Inference Protocol v2: what clients of Triton and KServe send, and what they get.

The requests are written by hand, byte for byte as the protocol and its binary tensor data extension have them. What an
answer has to say is asked of /classify: a score has the same bits here."""

from __future__ import annotations

import base64
import io
import itertools
import json
import random
import re
import signal
import socket
import struct
import subprocess
import tarfile
import threading
import time
from typing import Any

import numpy
import pytest
from PIL import Image

from daemon import ROOT, SHARED, Answer, Daemon, status_of
from models import BUNDLED, calibrated_trunk, make_network
from pictures import jpeg, orange, png, scene
from test_batches import behind_a_photo
from test_openapi import check

MODEL = "tiny-imagenet-200"
VERSION = json.loads((BUNDLED / "model.json").read_text())["version"]
INFER = f"/v2/models/{MODEL}/infer"
IMAGES_MAX = 64


# ---- a client ----

def base64_of(*pictures: bytes) -> list[str]:
    return [base64.b64encode(picture).decode() for picture in pictures]


def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def jpegs(*pictures: bytes) -> dict[str, Any]:
    return tensor("jpeg", "BYTES", [len(pictures)], base64_of(*pictures))


def texts(name: str, *values: str) -> dict[str, Any]:
    return tensor(name, "BYTES", [len(values)], list(values))


def infer(daemon: Daemon, *inputs: dict[str, Any], path: str = INFER, **members: Any) -> Answer:
    return daemon.request("POST", path, json.dumps({"inputs": inputs, **members}), Content_Type="application/json")


def packed(*elements: bytes) -> bytes:
    """Elements of BYTES as binary data."""
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def binary(name: str, datatype: str, shape: list[int], data: bytes) -> tuple[dict[str, Any], bytes]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}, data


def infer_binary(daemon: Daemon, *inputs: tuple[dict[str, Any], bytes], path: str = INFER, **members: Any) -> Answer:
    head = json.dumps({"inputs": [each for each, _ in inputs], **members}).encode()
    return daemon.request("POST", path, head + b"".join(data for _, data in inputs), Content_Type="application/octet-stream",
                          Inference_Header_Content_Length=str(len(head)))


def outputs(answer: Answer) -> dict[str, Any]:
    """The outputs by name: FP32 as a list for each picture, BYTES as texts; whether they came as JSON or as bytes."""
    assert answer.status == 200, answer.body
    length = int(answer.headers.get("inference-header-content-length", len(answer.body)))
    head, rest = json.loads(answer.body[:length]), answer.body[length:]
    check(head, "InferenceAnswer")
    found = {}
    for output in head["outputs"]:
        data, shape = output.get("data"), output["shape"]
        if data is None:
            size = output["parameters"]["binary_data_size"]
            data, rest = unpacked(rest[:size], output["datatype"]), rest[size:]
        assert len(data) == shape[0] * (shape[1] if len(shape) == 2 else 1)
        found[output["name"]] = data if len(shape) == 1 else [data[at:at + shape[1]] for at in range(0, len(data), shape[1])]
    assert not rest
    return found


def unpacked(data: bytes, datatype: str) -> list[Any]:
    if datatype == "FP32":
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    found = []
    while data:
        length = struct.unpack("<I", data[:4])[0]
        found.append(data[4:4 + length].decode())
        data = data[4 + length:]
    return found


def bits(value: float) -> bytes:
    return struct.pack("<f", value)


def classified(daemon: Daemon, picture: bytes, query: str = "", member: str = "score") -> dict[str, float]:
    answer = daemon.classify(picture, query + ("&" if query else "?") + "top=100000")
    assert answer.status == 200, answer.body
    return {each["category"]: each[member] for each in answer.json["predictions"]}


def assert_same_bits(found: dict[str, Any], image: int, expected: dict[str, float]) -> None:
    """That the scores of a picture are those, of just those categories."""
    assert set(found["categories"]) == set(expected)
    for category, score in zip(found["categories"], found["scores"][image]):
        assert bits(score) == bits(expected[category]), category


def refused(answer: Answer, status: int, *words: str) -> None:
    """A problem that is an error of the protocol, too, and says so."""
    assert answer.status == status, answer.body
    check(answer.json, "Problem")
    assert answer.headers["content-type"] == "application/problem+json"
    for word in words:
        assert word in answer.json["error"], answer.json["error"]


@pytest.fixture(scope="module")
def size(daemon) -> tuple[int, int]:
    """Height and width of the network's input."""
    shape = daemon.get("/categories").json["input"]
    return shape["height"], shape["width"]


@pytest.fixture(scope="module")
def normalisation(daemon) -> tuple[list[float], list[float]]:
    text = next(each for each in daemon.get(f"/v2/models/{MODEL}").json["inputs"] if each["datatype"] == "FP32")["parameters"]["description"]
    mean, std = text.split(" mean ")[1].split(" and std ")
    return [float(value) for value in mean.split(", ")], [float(value) for value in std.split(", ")]


def grey(height: int, width: int, value: int) -> bytes:
    """A JPEG whose pixels are known: each has this one value."""
    return jpeg(Image.new("L", (width, height), value), quality=100)


def values_of(pixel: int, size: tuple[int, int], normalisation: tuple[list[float], list[float]]) -> bytes:
    """The normalised input of a grey picture: rounded to FP32 after each step, as the daemon computes."""
    planes = [numpy.full(size, (numpy.float32(pixel) / numpy.float32(255) - numpy.float32(mean)) / numpy.float32(std), "<f4")
              for mean, std in zip(*normalisation)]
    return numpy.stack(planes).tobytes()


# ---- health and metadata ----

def test_server(daemon):
    answer = daemon.get("/v2")
    check(answer.json, "ServerMetadata")
    assert answer.json["name"] == "espalier" and "binary_tensor_data" in answer.json["extensions"]
    assert daemon.get("/v2/health/live").json == {"live": True}
    assert daemon.get("/v2/health/ready").json == {"live": True, "ready": True}


@pytest.mark.parametrize("version", ["", f"/versions/{VERSION}"])
def test_model(daemon, size, version):
    answer = daemon.get(f"/v2/models/{MODEL}{version}")
    check(answer.json, "ModelMetadata")
    height, width = size
    assert (answer.json["name"], answer.json["versions"]) == (MODEL, [VERSION])
    assert [(each["name"], each["datatype"], each["shape"]) for each in answer.json["inputs"]] == [
        ("image", "UINT8", [-1, height, width, 3]), ("image", "FP32", [-1, 3, height, width]), ("jpeg", "BYTES", [-1]),
        ("categories", "BYTES", [-1]), ("attention", "BYTES", [-1])]
    names = ["scores", "probabilities", "categories"] + ["confidences"] * daemon.get("/categories").json["calibrated"]
    assert [each["name"] for each in answer.json["outputs"]] == names
    assert daemon.get(f"/v2/models/{MODEL}{version}/ready").json == {"name": MODEL, "ready": True}


@pytest.mark.parametrize("path", ["other", f"other/versions/{VERSION}", f"{MODEL}/versions/{VERSION}7", f"{MODEL}/versions/{VERSION}.0", "x" * 200])
def test_unknown_models_and_versions(daemon, picture, path):
    for answer in (daemon.get(f"/v2/models/{path}"), daemon.get(f"/v2/models/{path}/ready"),
                   infer(daemon, jpegs(picture), path=f"/v2/models/{path}/infer")):
        refused(answer, 404, "served")


@pytest.mark.parametrize("path", ["/v2/", "/v2/models", "/v2/models/", "/v2/models//ready", f"/v2/models/{MODEL}/", "/v2/health",
                                  f"/v2/models/{MODEL}/versions", f"/v2/models/{MODEL}/versions//infer", f"/v2/models/{MODEL}/infer/x"])
def test_nothing_at_other_paths(daemon, path):
    assert daemon.get(path).status == 404 and daemon.request("POST", path).status == 404


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/health/ready", f"/v2/models/{MODEL}", f"/v2/models/{MODEL}/versions/{VERSION}",
                                  f"/v2/models/{MODEL}/ready", f"/v2/models/{MODEL}/versions/{VERSION}/ready"])
def test_methods_of_what_can_be_read(daemon, path):
    got, head = daemon.get(path), daemon.request("HEAD", path)
    assert (head.status, head.body) == (200, b"") and head.headers["content-length"] == str(len(got.body))
    assert got.headers["cache-control"] == "no-store"
    answer = daemon.request("POST", path)
    refused(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS" == daemon.request("OPTIONS", path).headers["allow"]


@pytest.mark.parametrize("path", [INFER, f"/v2/models/{MODEL}/versions/{VERSION}/infer"])
def test_methods_of_inference(daemon, path):
    for method in ("GET", "PUT"):
        answer = daemon.request(method, path)
        refused(answer, 405)
        assert answer.headers["allow"] == "POST, OPTIONS"
    assert daemon.request("HEAD", path).status == 405


def test_draining(picture):
    """Not ready any more, as for balancers of the other kind."""
    with Daemon(drain_delay_ms=600000) as daemon:
        daemon.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + 30
        while daemon.get("/v2/health/ready").status == 200:
            assert time.monotonic() < end
            time.sleep(0.01)
        answer = daemon.get("/v2/health/ready")
        assert (answer.status, answer.json) == (503, {"live": True, "ready": False})
        answer = daemon.get(f"/v2/models/{MODEL}/ready")
        assert (answer.status, answer.json) == (503, {"name": MODEL, "ready": False})
        assert daemon.get("/v2/health/live").status == 200
        assert infer(daemon, jpegs(picture)).status == 200  # still served
        daemon.expected_exit = 1
        daemon.process.send_signal(signal.SIGTERM)  # at once


# ---- inference: the forms of pictures ----

def test_jpeg_in_json(daemon, picture):
    answer = infer(daemon, jpegs(picture), id="42")
    head = answer.json
    assert (head["model_name"], head["model_version"], head["id"]) == (MODEL, VERSION, "42")
    found = outputs(answer)
    assert_same_bits(found, 0, classified(daemon, picture))
    probabilities = classified(daemon, picture, member="probability")
    for category, probability in zip(found["categories"], found["probabilities"][0]):
        assert probability == pytest.approx(probabilities[category], rel=1e-6)


def test_categories_in_the_order_of_the_tree(daemon, picture):
    def leaves(node):
        return [leaf for child in node["children"] for leaf in leaves(child)] if "children" in node else [node["path"]]
    tree = leaves(daemon.get("/categories").json["tree"])
    assert outputs(infer(daemon, jpegs(picture)))["categories"] == tree
    chosen = outputs(infer(daemon, jpegs(picture), texts("categories", "orange", "cat", "dog")))["categories"]
    assert chosen == [path for path in tree if path in chosen] and len(chosen) > 3


def test_jpeg_in_binary(daemon, picture):
    answer = infer_binary(daemon, binary("jpeg", "BYTES", [1], packed(picture)), parameters={"binary_data_output": True})
    assert answer.headers["content-type"] == "application/octet-stream"
    assert_same_bits(outputs(answer), 0, classified(daemon, picture))
    assert outputs(answer)["categories"] == outputs(infer(daemon, jpegs(picture)))["categories"]


def test_texts_in_the_form_of_batches(daemon, picture):
    """Clients of networks with batches send a column, a picture in each row; the options, as a batch of one."""
    other = grey(30, 40, 96)
    names = ["orange", "lemon", "tabby"]
    expected = outputs(infer(daemon, jpegs(picture, other), texts("categories", *names), texts("attention", "lemon:1.25", "orange:0.9")))
    column, both = base64_of(picture, other), packed(picture, other)
    for nested in (False, True):
        def row(*elements):
            return [list(elements)] if nested else list(elements)
        answer = infer(daemon, tensor("jpeg", "BYTES", [2, 1], [[each] for each in column] if nested else column),
                       tensor("categories", "BYTES", [1, 3], row(*names)), tensor("attention", "BYTES", [1, 2], row("lemon:1.25", "orange:0.9")))
        assert outputs(answer) == expected
    answer = infer_binary(daemon, binary("jpeg", "BYTES", [2, 1], both), binary("categories", "BYTES", [1, 3], packed(b"orange", b"lemon", b"tabby")),
                          binary("attention", "BYTES", [1, 2], packed(b"lemon:1.25", b"orange:0.9")))
    assert outputs(answer) == expected
    assert outputs(infer(daemon, tensor("jpeg", "BYTES", [1, 1], [base64_of(picture)])))["scores"] == outputs(infer(daemon, jpegs(picture)))["scores"]
    for data in ([], [[]]):
        assert infer(daemon, jpegs(picture), tensor("attention", "BYTES", [1, 0], data)).status == 200


def test_pixels_have_the_bits_of_their_jpeg(daemon, size):
    """In all four ways to send them."""
    height, width = size
    expected = classified(daemon, grey(height, width, 96))
    pixels = [96] * (height * width * 3)
    nested = [[[96] * 3] * width] * height
    shape = [1, height, width, 3]
    for answer in (infer(daemon, tensor("image", "UINT8", shape, pixels)), infer(daemon, tensor("image", "UINT8", shape, [nested])),
                   infer_binary(daemon, binary("image", "UINT8", shape, bytes(pixels)))):
        assert_same_bits(outputs(answer), 0, expected)


def test_pixels_keep_their_order(daemon, size, normalisation):
    """A picture with something else in each corner, so that no two of its axes and colours can be mixed up unseen."""
    height, width = size
    image = scene(width, height)
    rgb = image.tobytes()
    assert len(rgb) == height * width * 3
    planes = b"".join(rgb[channel::3] for channel in range(3))
    def ask(data):
        return outputs(infer_binary(daemon, binary("image", "UINT8", [1, height, width, 3], data)))["scores"]
    assert ask(rgb) != ask(planes)
    mean, std = (numpy.array(values, "f4") for values in normalisation)
    values = ((numpy.frombuffer(rgb, "u1").reshape(height, width, 3).astype("f4") / numpy.float32(255)) - mean) / std
    same = binary("image", "FP32", [1, 3, height, width], values.transpose(2, 0, 1).astype("<f4").tobytes())
    assert outputs(infer_binary(daemon, same))["scores"] == ask(rgb)


def test_values_have_the_bits_of_their_pixels(daemon, size, normalisation):
    height, width = size
    data = values_of(96, size, normalisation)
    numbers = list(struct.unpack(f"<{len(data) // 4}f", data))
    expected = classified(daemon, grey(height, width, 96))
    shape = [1, 3, height, width]
    planes = [[numbers[row:row + width] for row in range(at, at + height * width, width)] for at in range(0, len(numbers), height * width)]
    for answer in (infer_binary(daemon, binary("image", "FP32", shape, data)), infer(daemon, tensor("image", "FP32", shape, numbers)),
                   infer(daemon, tensor("image", "FP32", shape, [planes]))):
        assert_same_bits(outputs(answer), 0, expected)


def test_members_in_any_order_and_data_in_both_places(daemon, picture):
    """The data may stand before its datatype; one input's in the JSON, the other's behind it."""
    head = json.dumps({"outputs": [{"name": "scores"}, {"name": "categories"}], "inputs": [
        {"data": ["lemon", "orange"], "shape": [2], "name": "categories", "datatype": "BYTES"},
        {"parameters": {"binary_data_size": len(picture) + 4}, "datatype": "BYTES", "name": "jpeg", "shape": [1]}]}, indent=3).encode()
    answer = daemon.request("POST", INFER, head + packed(picture), Inference_Header_Content_Length=str(len(head)))
    assert_same_bits(outputs(answer), 0, classified(daemon, picture, "?categories=lemon,orange"))


def test_a_chunked_body_of_any_type(daemon, picture):
    body = json.dumps({"inputs": [jpegs(picture)]}).encode()
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
        connection = daemon.connect()
        connection.request("POST", INFER, iter([body[:100], body[100:]]), {"Content-Type": kind})
        assert connection.getresponse().status == 200
        connection.close()


# ---- inference: options ----

def test_options_are_those_of_classify(daemon, picture):
    expected = classified(daemon, picture, "?categories=fruit_or_vegetable,tabby&attention=lemon:1.25,orange:0.9,banana:0")
    inputs = texts("categories", "fruit_or_vegetable", "tabby"), texts("attention", "lemon:1.25", "orange:0.9", "banana:0")
    assert not any(category.endswith("banana") for category in expected)
    for answer in (infer(daemon, jpegs(picture), *inputs), infer(daemon, *inputs, jpegs(picture)),
                   infer(daemon, jpegs(picture), parameters={"categories": "fruit_or_vegetable,tabby", "attention": "lemon:1.25,orange:0.9,banana:0"}),
                   infer_binary(daemon, binary("categories", "BYTES", [2], packed(b"fruit_or_vegetable", b"tabby")),
                                binary("jpeg", "BYTES", [1], packed(picture)),
                                binary("attention", "BYTES", [3], packed(b"lemon:1.25", b"orange:0.9", b"banana:0")))):
        assert_same_bits(outputs(answer), 0, expected)
    assert_same_bits(outputs(infer(daemon, jpegs(picture), texts("attention"))), 0, classified(daemon, picture))


def test_search_and_budget(daemon, picture):
    assert_same_bits(outputs(infer(daemon, jpegs(picture), parameters={"search": "beam:1"})), 0, classified(daemon, picture, "?search=beam:1"))
    enough = daemon.get("/categories").json["macs_full"] * 2
    answer = infer(daemon, jpegs(picture, picture), parameters={"budget": f"macs:{enough}"})  # leaves nothing to choose
    assert_same_bits(outputs(answer), 1, classified(daemon, picture))
    refused(infer(daemon, jpegs(picture, picture), parameters={"search": "beam:1"}), 422, "one picture")


def test_cost_is_that_of_classify(daemon, picture):
    """Flat, as the protocol's parameters are; of all pictures together."""
    cost = daemon.classify(picture, "?categories=cat").json["cost"]
    for count in (1, 3):
        answer = infer(daemon, jpegs(*[picture] * count), texts("categories", "cat"))
        said = answer.json["parameters"]
        assert said["images"] == count and said["macs"] == count * cost["macs"] and said["macs_full"] == count * cost["macs_full"]
        for name in ("macs_excluded", "parameters", "parameters_full", "branches", "categories", "precision", "kernels"):
            assert said[name] == cost[name]
        assert said["request_id"] == answer.headers["x-request-id"]
        assert f"total;dur={said['total_ms']:.4f}" in answer.headers["server-timing"]
        assert not [value for value in said.values() if isinstance(value, (dict, list))]


def test_deadline(picture):
    photo = jpeg(scene(6000, 4500), quality=90)
    with Daemon(instances=1) as daemon:
        for _ in range(50):
            answer, = behind_a_photo(daemon, photo, lambda: infer(daemon, jpegs(picture), parameters={"timeout_ms": 1}))
            if answer.status == 504:
                break
        refused(answer, 504, "1 ms")


# ---- inference: what clients send besides ----

def test_a_member_that_is_null_is_absent(daemon, picture):
    """Clients write all members that there could be, those without a value as null."""
    one = jpegs(picture)
    expected = outputs(infer(daemon, one))
    for members in ({"id": None}, {"parameters": None}, {"outputs": None}, {"model_name": None, "model_version": None}, {"raw_inputs": None},
                    {"parameters": {"categories": None, "timeout_ms": None, "binary_data_output": None, "colour": None}},
                    {"outputs": [{"name": name, "parameters": None} for name in expected]},
                    {"outputs": [{"name": name, "parameters": {"binary_data": None, "classification": None}, "data": None} for name in expected]}):
        answer = infer(daemon, one, **members)
        assert outputs(answer) == expected and "id" not in answer.json
    assert outputs(infer(daemon, one | {"parameters": None})) == expected
    assert outputs(infer(daemon, one | {"parameters": {"binary_data_size": None, "content_type": None}, "contents": None})) == expected
    head, data = binary("jpeg", "BYTES", [1], packed(picture))
    assert outputs(infer_binary(daemon, (head | {"data": None}, data))) == expected


def test_null_stands_for_no_value_that_is_needed(daemon, picture):
    one = jpegs(picture)
    refused(daemon.request("POST", INFER, b'{"inputs": null}'), 400, "inputs")
    refused(infer(daemon, None), 422, "name, datatype and shape")
    refused(infer(daemon, one, outputs=[None]), 422, "object")
    refused(infer(daemon, one, outputs=[{"name": None}]), 422, "object")
    for name in ("name", "datatype", "shape"):
        refused(infer(daemon, one | {name: None}), 422, "name, datatype and shape")
    refused(infer(daemon, one | {"shape": [None]}), 422, "whole")
    refused(infer(daemon, one | {"data": None}), 422, "either data")
    refused(infer(daemon, one | {"data": [None]}), 422, "string")
    refused(daemon.request("POST", INFER, b'{"id": null, "id": "a", "inputs": []}'), 422, "twice")
    refused(daemon.request("POST", INFER, b'{"inputs": [{"data": nil}]}'), 422, "array")


# Of the client libraries of Triton, KServe, MLServer and their like.
FOREIGN = {"sequence_id": 7, "sequence_start": True, "sequence_end": True, "priority": 1, "timeout": 5, "headers": {"a": "b"},
           "content_type": "np", "triton_enable_empty_final_response": False, "triton_anything": {"at": ["all"]}}


@pytest.mark.parametrize("foreign", [{name: value} for name, value in FOREIGN.items()] + [FOREIGN], ids=lambda foreign: ",".join(foreign))
def test_parameters_of_other_servers_are_ignored(daemon, picture, foreign):
    """Wherever a client puts them; what is ours is read beside them."""
    head, data = binary("jpeg", "BYTES", [1], packed(picture))
    head["parameters"].update(foreign)
    answer = infer_binary(daemon, (head, data), parameters=foreign | {"categories": "orange,lemon"},
                          outputs=[{"name": "categories"}, {"name": "scores", "parameters": foreign | {"binary_data": True}}])
    assert "inference-header-content-length" in answer.headers
    assert_same_bits(outputs(answer), 0, classified(daemon, picture, "?categories=orange,lemon"))
    assert infer(daemon, jpegs(picture) | {"parameters": foreign}, texts("categories", "cat") | {"parameters": foreign}).status == 200


def test_other_parameters_are_refused(daemon, picture):
    """A name of ours that is mistyped would be ignored, too. What there is is said."""
    ours = ["categories", "attention", "search", "budget", "timeout_ms", "binary_data_output"]
    for name in ("timeout-ms", "categorys", "top", "groups", "sequence", "Priority", "triton", ""):
        refused(infer(daemon, jpegs(picture), parameters={name: 1}), 422, f"'{name}'", *ours)
        refused(infer(daemon, jpegs(picture) | {"parameters": {name: 1}}), 422, "jpeg", f"'{name}'", "binary_data_size")
        refused(infer(daemon, jpegs(picture), outputs=[{"name": "scores", "parameters": {name: 1}}]), 422, "scores", f"'{name}'", "binary_data")
    refused(infer(daemon, jpegs(picture) | {"parameters": []}), 422, "jpeg", "object")
    refused(infer(daemon, jpegs(picture), outputs=[{"name": "scores", "parameters": 7}]), 422, "scores", "object")
    refused(infer(daemon, jpegs(picture), outputs=[{"name": "scores", "parameters": {"classification": 3}}]), 422, "classification", "/classify", "top")
    refused(infer(daemon, jpegs(picture), outputs=[{"name": "scores", "parameters": {"shared_memory_region": "a"}}]), 422, "shared_memory_region")


# ---- inference: outputs ----

def test_outputs_that_are_asked_for(daemon, picture):
    answer = infer(daemon, jpegs(picture), outputs=[{"name": "categories"}, {"name": "scores"}])
    assert [each["name"] for each in answer.json["outputs"]] == ["categories", "scores"]
    everything = outputs(infer(daemon, jpegs(picture)))
    assert outputs(answer) == {name: everything[name] for name in ("categories", "scores")}
    assert outputs(infer(daemon, jpegs(picture), outputs=[])) == everything


def test_binary_outputs(daemon, picture):
    """Each may come either way, whatever is said of all."""
    def ask(all_binary, scores, probabilities):
        wanted = [{"name": "scores"} | ({} if scores is None else {"parameters": {"binary_data": scores}}),
                  {"name": "probabilities"} | ({} if probabilities is None else {"parameters": {"binary_data": probabilities}}),
                  {"name": "categories"}]
        return infer(daemon, jpegs(picture, picture), texts("categories", "cat"), outputs=wanted, parameters={"binary_data_output": all_binary})
    exact = outputs(ask(True, None, None))
    for arguments in ((False, None, None), (False, True, None), (False, None, True), (True, False, None), (True, None, False), (False, True, True)):
        answer = ask(*arguments)
        any_binary = arguments[0] or True in arguments
        assert ("inference-header-content-length" in answer.headers) == any_binary
        found = outputs(answer)
        assert found["categories"] == exact["categories"]
        for name in ("scores", "probabilities"):
            assert [[bits(value) for value in row] for row in found[name]] == [[bits(value) for value in row] for row in exact[name]]


def test_confidences(tmp_path, picture):
    make_network(tmp_path / "plain", name="plain", trunk=calibrated_trunk(calibrated=False))
    make_network(tmp_path / "calibrated", name="calibrated", trunk=calibrated_trunk())
    with Daemon(model=tmp_path, default_model="calibrated", instances=1) as daemon:
        found = outputs(infer(daemon, jpegs(picture), path="/v2/models/calibrated/infer"))
        expected = classified(daemon, picture, "?model=calibrated", "confidence")
        for category, confidence in zip(found["categories"], found["confidences"][0]):
            assert confidence == pytest.approx(expected[category], rel=1e-6)
        assert "confidences" in [each["name"] for each in daemon.get("/v2/models/calibrated").json["outputs"]]
        assert "confidences" not in outputs(infer(daemon, jpegs(picture), path="/v2/models/plain/infer"))
        refused(infer(daemon, jpegs(picture), path="/v2/models/plain/infer", outputs=[{"name": "confidences"}]), 422, "no calibration")


# ---- inference: several pictures ----

@pytest.fixture(scope="module")
def crowd() -> list[bytes]:
    """Pictures of all sizes, each another one."""
    return [jpeg(scene(40 + 7 * number, 90 - number), quality=60 + number % 40) for number in range(IMAGES_MAX)]


@pytest.mark.parametrize("flags", [{"instances": 1, "batch": 1}, {"instances": 1, "batch": 5}, {"instances": 2, "batch": 64}])
def test_each_picture_gets_what_it_would_get_alone(crowd, flags):
    """In runs of one, in several runs, and all in one."""
    with Daemon(**flags) as daemon:
        expected = [classified(daemon, picture, "?categories=cat,orange,lemon") for picture in crowd]
        runs = daemon.metric("espalier_runs_total")
        answer = infer(daemon, jpegs(*crowd), texts("categories", "cat", "orange", "lemon"))
        found = outputs(answer)
        for number in range(IMAGES_MAX):
            assert_same_bits(found, number, expected[number])
        assert len({tuple(row) for row in found["scores"]}) == IMAGES_MAX
        assert daemon.metric("espalier_runs_total") - runs == -(-IMAGES_MAX // flags["batch"])
        assert answer.json["parameters"]["batch"] == min(flags["batch"], IMAGES_MAX)


def test_several_pictures_as_pixels(daemon, size):
    """One after the other in one array: flat, nested and binary."""
    height, width = size
    levels = [0, 96, 255, 17, 200]
    shape = [len(levels), height, width, 3]
    expected = [classified(daemon, grey(height, width, level)) for level in levels]
    flat = [level for level in levels for _ in range(height * width * 3)]
    nested = [[[[level] * 3] * width] * height for level in levels]
    for answer in (infer(daemon, tensor("image", "UINT8", shape, flat)), infer(daemon, tensor("image", "UINT8", shape, nested)),
                   infer_binary(daemon, binary("image", "UINT8", shape, bytes(flat)))):
        found = outputs(answer)
        for number in range(len(levels)):
            assert_same_bits(found, number, expected[number])


def test_crowds_and_single_requests_together(crowd):
    """Many clients of both kinds: each gets the digits that it gets alone."""
    with Daemon(instances=2, batch=6) as daemon:
        singles = [classified(daemon, picture, "?categories=cat,orange") for picture in crowd[:20]]
        wrong = []

        def client(seed):
            rng = random.Random(seed)
            for _ in range(6):
                chosen = [rng.randrange(20) for _ in range(rng.randint(1, 15))]
                if seed % 2:
                    if classified(daemon, crowd[chosen[0]], "?categories=cat,orange") != singles[chosen[0]]:
                        wrong.append(chosen)
                    continue
                found = outputs(infer(daemon, jpegs(*[crowd[number] for number in chosen]), texts("categories", "cat", "orange")))
                for place, number in enumerate(chosen):
                    assert_same_bits(found, place, singles[number])
            done.append(seed)

        done = []
        threads = [threading.Thread(target=client, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong and len(done) == 8


def test_one_bad_picture(daemon, crowd):
    """Nothing is answered by halves, and it is said which one; whatever run it would have been in."""
    for place in (0, 3, 40, 63):
        pictures = list(crowd)
        pictures[place] = pictures[place][:len(pictures[place]) // 2]
        refused(infer(daemon, jpegs(*pictures), texts("categories", "cat")), 422, f"image {place}:")
    coded = jpegs(*crowd[:3])
    coded["data"][1] = "%%%%"
    refused(infer(daemon, coded), 400, "image 1:", "base64")


def test_bad_ones_take_nothing_from_others(crowd, picture):
    """Crowds with a broken picture in the same batches as requests that are well."""
    broken = crowd[:6] + [crowd[6][:300]] + crowd[7:9]
    photo = jpeg(scene(6000, 4500), quality=90)
    with Daemon(instances=1, batch=8) as daemon:
        expected = classified(daemon, picture, "?categories=orange,tabby")
        names = texts("categories", "orange", "tabby")
        for _ in range(5):
            answers = behind_a_photo(daemon, photo, *[lambda: infer(daemon, jpegs(*broken), names),
                                                      lambda: infer(daemon, jpegs(*[picture] * 3), names)] * 3)
            for number, answer in enumerate(answers):
                if number % 2 == 0:
                    refused(answer, 422, "image 6:")
                else:
                    for place in range(3):
                        assert_same_bits(outputs(answer), place, expected)


def test_pictures_are_counted(crowd):
    with Daemon(instances=1, batch=4, log_format="json") as daemon:
        macs = daemon.request("POST", "/cost?categories=cat").json["macs"]
        assert infer(daemon, jpegs(*crowd[:10]), texts("categories", "cat")).status == 200
        assert daemon.metric("espalier_macs_total") == 10 * macs
        text = daemon.get("/metrics").body.decode()
        assert 'espalier_runs_total{images="4"} 2' in text and 'espalier_runs_total{images="2"} 1' in text
        assert f'espalier_requests_total{{route="/v2/models/{{name}}/infer",code="200"}} 1' in text
        assert 'espalier_stage_duration_seconds_count{stage="decode"} 10' in text
        assert 'espalier_stage_duration_seconds_count{stage="encode"} 1' in text
    line = next(json.loads(line) for line in daemon.log.splitlines() if '"/v2/models/{name}/infer"' in line)
    assert line["macs"] == 10 * macs and line["batch"] == 4 and line["status"] == 200 and line["model"] == MODEL


def test_the_queue_is_bounded_in_macs_of_all_pictures(crowd, picture):
    """What waits is what n pictures cost, so that a crowd finds no room where a single one does."""
    photo = jpeg(scene(6000, 4500), quality=90)
    with Daemon(instances=1) as probe:
        whole = probe.get("/categories").json["macs_full"]
    with Daemon(instances=1, queue_macs=4 * whole) as daemon:
        for _ in range(20):
            statuses = []

            def follow():
                first = threading.Thread(target=lambda: statuses.append(infer(daemon, jpegs(picture)).status))
                first.start()
                end = time.monotonic() + 5
                while first.is_alive() and daemon.metric("espalier_queue_macs") == 0 and time.monotonic() < end:
                    time.sleep(0.001)
                waiting = daemon.metric("espalier_queue_macs")
                crowded = infer(daemon, jpegs(*crowd[:8]))
                first.join()
                return waiting, crowded

            result, = behind_a_photo(daemon, photo, follow)
            if result[0] and result[1].status == 429:
                break
        assert result[0] == whole and statuses == [200]
        refused(result[1], 429)
        assert int(result[1].headers["retry-after"]) >= 1
        assert infer(daemon, jpegs(*crowd[:8])).status == 200  # alone it fits


def test_a_client_that_goes_away(crowd):
    """Its crowd is dropped while it waits, and costs nothing."""
    photo = jpeg(scene(6000, 4500), quality=90)
    body = json.dumps({"inputs": [jpegs(*crowd)]}).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with Daemon(instances=1) as daemon:
        def leave():
            with socket.create_connection((daemon.host, daemon.port)) as connection:
                connection.sendall(head + body)
        for _ in range(20):
            behind_a_photo(daemon, photo, leave)
            end = time.monotonic() + 2
            while time.monotonic() < end and daemon.metric("espalier_cancelled_total") == 0:
                time.sleep(0.01)
            if daemon.metric("espalier_cancelled_total"):
                break
        assert daemon.metric("espalier_cancelled_total") >= 1


# ---- what is refused ----

def test_requests_that_cannot_be_read(daemon, picture):
    def post(body, **headers):
        return daemon.request("POST", INFER, body, **headers)
    refused(post(b""), 400, "empty")
    refused(post(b"{"), 400, "JSON")
    refused(post(b"[]"), 400, "object")
    refused(post(b"\xff\xd8\xff"), 400, "JSON")
    refused(post(b'{"inputs": [}'), 400, "JSON")
    refused(post(b"{}"), 400, "inputs")
    refused(post(b'{"inputs": {}}'), 400, "inputs")
    refused(post(b'{"inputs": []}'), 400, "no picture")
    refused(infer(daemon, texts("categories", "cat")), 400, "no picture")
    refused(post(b'{"inputs": [], "inputs": []}'), 422, "twice")
    refused(post(b'{"id": "' + b"x" * 300000 + b'", "inputs": []}'), 413, "without the data")
    refused(daemon.request("POST", INFER + "?categories=cat", json.dumps({"inputs": [jpegs(picture)]})), 422, "query")


@pytest.mark.parametrize("members, words", [
    ({"id": 7}, ["id"]), ({"colour": 1}, ["colour", "outputs"]), ({"model_name": "other"}, ["model_name"]),
    ({"model_version": 1}, ["model_version"]), ({"parameters": []}, ["parameters"]), ({"parameters": {"top": 3}}, ["top", "binary_data_output"]),
    ({"parameters": {"timeout_ms": 0}}, ["timeout_ms"]), ({"parameters": {"timeout_ms": 1.5}}, ["timeout_ms"]),
    ({"parameters": {"search": "beam:0"}}, ["beam:2"]), ({"parameters": {"attention": "cat:2,cat"}}, ["cat:2.0"]),
    ({"parameters": {"budget": "macs:1"}}, ["budget of 1 MACs"]), ({"parameters": {"binary_data_output": 1}}, ["true or false"]),
    ({"parameters": {"attention": "cat"}}, ["cat:2.0"]), ({"outputs": {}}, ["array"]), ({"outputs": ["scores"]}, ["object"]),
    ({"outputs": [{"name": "logits"}]}, ["logits", "scores"]), ({"outputs": [{"name": "scores"}, {"name": "scores"}]}, ["twice"]),
    ({"outputs": [{"name": "scores", "parameters": {"classification": 3}}]}, ["classification", "top"]),
    ({"outputs": [{"name": "scores", "parameters": {"binary_data": 1}}]}, ["true or false"]),
    ({"outputs": [{"name": "scores", "shape": [1]}]}, ["object"]),
])
def test_members_that_are_wrong(daemon, picture, members, words):
    refused(infer(daemon, jpegs(picture), **members), 422, *words)


@pytest.mark.parametrize("name, value", [
    ("categories", ["cat"]), ("categories", {}), ("categories", 7), ("attention", {"cat": 2.0}), ("attention", ["cat:2.0"]), ("attention", 2),
    ("search", {"beam": 2}), ("search", 2), ("search", True), ("budget", {"macs": 10**8}), ("budget", 10**8), ("budget", 1e8), ("timeout_ms", 1.5),
    ("timeout_ms", -1), ("timeout_ms", True), ("timeout_ms", {"ms": 500}), ("timeout_ms", [500])])
def test_a_parameter_in_another_form_is_shown_this_one(daemon, picture, name, value):
    """Whoever does as the error says does not come to another one about the form."""
    answer = infer(daemon, jpegs(picture), parameters={name: value})
    refused(answer, 422, f"the parameter {name} has to be a {'whole number' if name == 'timeout_ms' else 'string'}")
    shown = json.loads("{" + re.search(rf'as in ("{name}": .+)$', answer.json["error"])[1] + "}")
    again = infer(daemon, jpegs(picture), parameters=shown)
    assert again.status == 200 or "costs at least" in again.json["error"], again.body


@pytest.mark.parametrize("name, value, words", [
    ("search", "2", "a beam from 1, as in beam:2"), ("search", "search=beam:2", "a beam from 1, as in beam:2"),
    ("budget", "100000000", "MACs from 1, as in macs:90000000"), ("attention", "cat", "as in cat:2.0"), ("categories", "cat,", "as in cat,dog")])
def test_a_parameter_that_is_spelled_wrong(daemon, picture, name, value, words):
    """The error shows the text of the parameter, not that of a query, nor an object that would be refused."""
    answer = infer(daemon, jpegs(picture), parameters={name: value})
    refused(answer, 422, words)
    assert "{" not in answer.json["error"] and "=" not in answer.json["error"]


@pytest.mark.parametrize("written", ["60000", "60000.0", "6e4", "600000e-1", "1e300", '"60000"'])
def test_whole_numbers_however_they_are_written(daemon, picture, written):
    """JSON does not tell 1 from 1.0, and some languages write the latter."""
    def post(text, data=b""):
        return daemon.request("POST", INFER, text.encode() + data, Inference_Header_Content_Length=str(len(text)))
    expected = outputs(infer(daemon, jpegs(picture)))
    one = '"name": "jpeg", "datatype": "BYTES", "shape": [1.0]'
    assert outputs(post(f'{{"inputs": [{{{one}, "data": {json.dumps(base64_of(picture))}}}], "parameters": {{"timeout_ms": {written}}}}}')) == expected
    data = packed(picture)
    for size in (f"{len(data)}.0", f"{len(data)}0e-1"):
        assert outputs(post(f'{{"inputs": [{{{one}, "parameters": {{"binary_data_size": {size}}}}}]}}', data)) == expected


def test_members_that_repeat_the_path(daemon, picture):
    assert infer(daemon, jpegs(picture), model_name=MODEL, model_version=VERSION).status == 200


def inputs_that_are_wrong():
    one = base64_of(orange())
    good = jpegs(orange())
    yield {"name": "jpeg"}, "name, datatype and shape"
    yield "jpeg", "name, datatype and shape"
    yield good | {"name": "picture"}, "there is no input 'picture'"
    yield good | {"colour": 1}, "a member"
    yield good | {"shape": []}, "shape"
    yield good | {"shape": 1}, "shape"
    yield good | {"shape": [1.5]}, "whole"
    yield good | {"shape": [-1]}, "whole"
    yield good | {"shape": [1, 1, 1, 1, 1]}, "shape"
    yield good | {"shape": [1, 2]}, "BYTES [n] or [n, 1]"
    yield good | {"shape": [1, 1, 1]}, "BYTES [n] or [n, 1]"
    yield good | {"shape": [2, 1]}, "data has 1 elements"
    yield good | {"shape": [2**62, 1]}, "up to 64"
    yield good | {"shape": [1, 2**62]}, "BYTES [n] or [n, 1]"
    yield good | {"shape": [0, 1], "data": []}, "1 to 64"
    yield good | {"shape": [1, 1], "data": [[one]]}, "string"
    yield good | {"shape": [1, 1], "data": [[]]}, "data has 0 elements"
    yield tensor("jpeg", "BYTES", [2, 1], [one + one]), "data has 1 rows"
    yield tensor("jpeg", "BYTES", [2, 1], [one, []]), "element 1"
    yield tensor("jpeg", "BYTES", [2, 1], [one, one[0]]), "element 1"
    yield tensor("jpeg", "BYTES", [2, 1], [one[0], one]), "element 1"
    yield good | {"shape": [2]}, "data has 1 elements"
    yield good | {"shape": [2**62]}, "up to 64"
    yield good | {"datatype": "FP32"}, "BYTES [n]"
    yield good | {"data": one[0]}, "array"
    yield good | {"data": {}}, "array"
    yield good | {"data": 0}, "array"
    yield good | {"data": [7]}, "string"
    yield good | {"data": [one]}, "string"
    yield good | {"data": [""]}, "empty"
    yield good | {"parameters": {"binary_data_size": 4}}, "either data"
    yield {name: value for name, value in good.items() if name != "data"}, "either data"
    yield good | {"parameters": {"shared_memory_region": "x"}}, "binary_data_size"
    yield tensor("jpeg", "BYTES", [0], []), "1 to 64"
    yield tensor("jpeg", "BYTES", [IMAGES_MAX + 1], one * (IMAGES_MAX + 1)), "up to 64"


@pytest.mark.parametrize("wrong, words", inputs_that_are_wrong())
def test_inputs_that_are_wrong(daemon, wrong, words):
    refused(infer(daemon, wrong), 422, words)


@pytest.mark.parametrize("number", (-1, -(10**11), -(2**63), 0, 1, 2**62))
@pytest.mark.parametrize("name, inputs", ((r"d\u0061ta", "inputs"), ("data", r"in\u0070uts"), (r"dat\u0061", r"inp\u0075ts")))
def test_escaped_names(daemon, picture, name, inputs, number):
    """The data is cut out of the text before it is read, and a number stands in its place: none that a client wrote counts."""
    first = json.dumps(jpegs(picture))
    for before in ("", first + ","):
        body = f'{{"{inputs}": [{before}{{"name": "categories", "datatype": "BYTES", "shape": [1], "{name}": {number}}}]}}'
        refused(daemon.request("POST", INFER, body, Content_Type="application/json"), 422, "escapes")
    assert infer(daemon, jpegs(picture)).status == 200


def test_images_that_are_wrong(daemon, size):
    height, width = size
    count = height * width * 3
    zeros = [0] * count
    for shape in ([height, width, 3], [1, 3, height, width], [1, height, width, 4], [1, height + 1, width, 3], [0, height, width, 3],
                  [IMAGES_MAX + 1, height, width, 3], [2**60, height, width, 3]):
        refused(infer(daemon, tensor("image", "UINT8", shape, zeros)), 422, f"[n, {height}, {width}, 3]", "jpeg")
    good = [1, height, width, 3]
    refused(infer(daemon, tensor("image", "FP32", good, zeros)), 422, f"[n, 3, {height}, {width}]")
    refused(infer(daemon, tensor("image", "INT8", good, zeros)), 422, "UINT8")
    refused(infer(daemon, tensor("image", "UINT8", good, zeros[1:])), 422, f"{count - 1} numbers", str(count))
    refused(infer(daemon, tensor("image", "UINT8", [2] + good[1:], zeros)), 422, f"{count} numbers")
    for wrong, words in ((256, "0 to 255"), (-1, "0 to 255"), (0.5, "0 to 255"), (1e300, "0 to 255"), ("0", "not a number"), (None, "not a number"),
                         (True, "not a number"), ([0], "nested")):
        for place in (0, 100, count - 1):
            refused(infer(daemon, tensor("image", "UINT8", good, zeros[:place] + [wrong] + zeros[place + 1:])), 422, words)
    for wrong in (1e7, -1e30, 1e300):
        refused(infer(daemon, tensor("image", "FP32", [1, 3, height, width], zeros[1:] + [wrong])), 422, "normalised")
    refused(infer(daemon, tensor("image", "UINT8", [2] + good[1:], zeros + zeros[1:] + [300])), 422, "image 1:", "0 to 255")
    refused(infer(daemon, tensor("image", "UINT8", good, [zeros])), 422, "nested")


def test_values_that_are_no_numbers(daemon, size):
    height, width = size
    for wrong in (float("nan"), float("inf"), -float("inf"), 3e38):
        data = struct.pack(f"<{3 * height * width}f", *[0.0] * (3 * height * width - 1), wrong)
        refused(infer_binary(daemon, binary("image", "FP32", [1, 3, height, width], data)), 422, "not a number")


def test_names_that_are_wrong(daemon, picture):
    answer = infer(daemon, jpegs(picture), texts("categories", "tabbi"))
    refused(answer, 422, "tabbi", "tabby")
    assert any("tabby" in path for path in answer.json["suggestions"])
    for shape in ([0], [1, 0]):
        refused(infer(daemon, jpegs(picture), tensor("categories", "BYTES", shape, [])), 422, "leave it out")
    refused(infer(daemon, jpegs(picture), tensor("categories", "BYTES", [1, 2], [["cat"], ["dog"]])), 422, "data has 2 rows")
    for shape in ([2, 1], [2, 2], [1, 1, 2]):  # a row for each picture, as it seems; but all run with the same options
        for name, values in (("categories", ["orange", "lemon"]), ("attention", ["orange:2", "lemon:2"])):
            refused(infer(daemon, jpegs(picture, picture), tensor(name, "BYTES", shape, values)), 422, "BYTES [n] or [1, n]")
    refused(infer(daemon, jpegs(picture), texts("categories", "cat"), texts("categories", "dog")), 422, "twice")
    refused(infer(daemon, jpegs(picture), texts("categories", "cat"), parameters={"categories": "dog"}), 422, "twice")
    refused(infer(daemon, jpegs(picture), texts("attention", "cat:2", "cat:3")), 422, "cat")
    refused(infer(daemon, jpegs(picture), texts("attention", "cat:17")), 422, "16")
    refused(infer(daemon, jpegs(picture), texts("attention", "cat:nan")), 422, "not a number")
    refused(infer(daemon, jpegs(picture), texts("attention", ":2")), 422, "cat:2.0")
    refused(infer(daemon, jpegs(picture), texts("categories", "cat"), texts("attention", "cat:0")), 422)
    refused(infer(daemon, jpegs(picture), tensor("categories", "BYTES", [1], [1])), 422, "string")
    refused(infer(daemon, jpegs(picture), jpegs(picture)), 422, "twice")


def test_pictures_in_both_inputs(daemon, picture, size):
    height, width = size
    image = tensor("image", "UINT8", [1, height, width, 3], [0] * (height * width * 3))
    for pair in ((image, jpegs(picture)), (jpegs(picture), image)):
        refused(infer(daemon, *pair), 422, "both inputs")


def test_other_files(daemon, picture):
    refused(infer_binary(daemon, binary("jpeg", "BYTES", [1], packed(png()))), 415, "PNG")
    refused(infer_binary(daemon, binary("jpeg", "BYTES", [2], packed(picture, b"text"))), 415, "element 1")
    refused(infer(daemon, jpegs(png())), 415, "PNG")


def test_binary_bodies_that_are_wrong(daemon, picture):
    good, data = binary("jpeg", "BYTES", [1], packed(picture))

    def post(head, data, length=None):
        text = json.dumps(head).encode()
        return daemon.request("POST", INFER, text + data, Inference_Header_Content_Length=str(len(text)) if length is None else length)
    head = {"inputs": [good]}
    assert post(head, data).status == 200
    refused(post(head, data[:-1]), 400, "are left of the body")
    refused(post(head, data + b"x"), 400, "belong to no input")
    for length in ("x", "-1", "1e3", "99999999", "9" * 30, "0x10", " 5 5"):
        refused(post(head, data, length), 400, "Inference-Header-Content-Length")
    refused(post(head, data, "0"), 400, "JSON")
    refused(post(head, data, "10"), 400, "JSON")
    refused(daemon.request("POST", INFER, json.dumps(head)), 400, "Inference-Header-Content-Length")
    for size in (-1, -1.0, 1.5, "7", 2**62, 2.0**62, 1e19, 1e300, None):
        answer = post({"inputs": [good | {"parameters": {"binary_data_size": size}}]}, data)
        refused(answer, 400 if isinstance(size, (int, float)) and size >= 2**62 else 422, "binary_data_size")
    for extent in (-1, -1.0, 1.5, 1e300, "1", True):
        refused(post({"inputs": [good | {"shape": [extent]}]}, data), 422, "jpeg")
    refused(post({"inputs": [good | {"shape": [2]}]}, data), 422, "only 1 elements")
    for wrong in (struct.pack("<I", len(picture) + 1) + picture, struct.pack("<I", len(picture) - 1) + picture, struct.pack("<I", 2**32 - 1) + picture):
        refused(post(head, wrong), 422, "bytes")


def test_binary_images_that_are_wrong(daemon, size):
    height, width = size
    pixels = bytes(height * width * 3)
    refused(infer_binary(daemon, binary("image", "UINT8", [1, height, width, 3], pixels[1:])), 422, "binary_data_size", str(len(pixels)))
    refused(infer_binary(daemon, binary("image", "FP32", [1, 3, height, width], pixels)), 422, "binary_data_size", str(4 * len(pixels)))


def test_hostile_json_takes_little(daemon):
    """Megabytes of what a JSON library would make objects of: refused, or read without them."""
    size = 8 << 20
    for body, status in ((b'{"inputs":[' + b"{}," * (size // 3), 413), (b"[" * size, 413), (b'{"a":[' + b"0," * (size // 2), 413),
                         (b'{"inputs":[{"name":"jpeg","datatype":"BYTES","shape":[1],"data":[' + b"0," * (size // 2) + b"0]}]}", 422),
                         (b'{"inputs":[{"name":"image","datatype":"UINT8","shape":[1],"data":[' + b"0," * (size // 2) + b"0]}]}", 422),
                         (b'{"inputs":[{"name":"jpeg","datatype":"BYTES","shape":[1],"data":' + b"[" * size, 400),
                         (b'{"inputs":[{"name":"jpeg","datatype":"BYTES","shape":[1],"data":' + b"[" * size + b"]" * size + b"}]}", 422)):
        answer = daemon.request("POST", INFER, body)
        assert answer.status == status, answer.body[:300]


def test_random_damage(daemon, picture, size):
    """Whatever comes, there is an answer, and never 500."""
    height, width = size
    head, data = binary("jpeg", "BYTES", [2], packed(picture, picture))
    whole = json.dumps({"id": "1", "inputs": [head, texts("categories", "cat"), texts("attention", "cat:2")], "outputs": [{"name": "scores"}],
                        "parameters": {"timeout_ms": 1000, "binary_data_output": True}}).encode()
    image = json.dumps({"inputs": [tensor("image", "UINT8", [1, height, width, 3], [[[[1, 2, 3]] * width] * height])]}).encode()
    rng = random.Random(3)
    statuses = set()
    for turn in range(400):
        body = bytearray(whole if turn % 4 else image)
        for _ in range(rng.randint(1, 5)):
            body[rng.randrange(len(body))] = rng.choice(b'{}[]",:0159e-.\\ \x00\xff')
        length = {"Inference_Header_Content_Length": str(len(body) - (rng.random() < 0.1))} if turn % 4 else {}
        answer = daemon.request("POST", INFER, bytes(body) + (data if turn % 4 else b""), **length)
        statuses.add(answer.status)
        assert answer.status in (200, 400, 404, 413, 415, 422), (bytes(body)[:500], answer.body)
    assert {400, 422} <= statuses


def test_a_raw_request_with_two_lengths_of_json(daemon):
    """The last word is the body's: a header that comes twice is no way around it."""
    body = b'{"inputs":[]}'
    answer = daemon.raw(b"POST " + INFER.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nInference-Header-Content-Length: 13\r\n"
                        b"Inference-Header-Content-Length: 5\r\nContent-Length: 13\r\n\r\n" + body)
    assert status_of(answer) == 400


# ---- the README ----

def commands_of_the_readme() -> list[str]:
    """The blocks of its section that call curl."""
    section = (ROOT / "README.md").read_text().split("### Open Inference Protocol v2\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)
    return [block for block in blocks if "curl" in block]


def test_the_exchanges_of_the_readme(daemon):
    """Both ways give the same two scores."""
    def run(block):
        script = block.replace("http://127.0.0.1:8080", f"http://{daemon.host}:{daemon.port}")
        return subprocess.run(["bash", "-e", "-u", "-o", "pipefail", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60,
                              check=True).stdout
    in_json, in_binary = map(run, commands_of_the_readme())
    answer = json.loads(in_json)
    check(answer, "InferenceAnswer")
    assert answer["id"] == "42"
    scores = [float(text) for text in in_binary.split()]
    assert scores == pytest.approx(answer["outputs"][0]["data"], rel=1e-6) and len(scores) == 2


# ---- photographs, which the project does not have ----

PHOTOGRAPHS = SHARED / "data" / "tiny-imagenet" / "val.tar.gz"


@pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason="the training data is not on this machine")
def test_photographs(daemon, size):
    """Together they get what each gets of /classify; also as the pixels that another decoder sees in them."""
    with tarfile.open(PHOTOGRAPHS) as archive:
        files = (member for member in archive if member.isfile())
        photographs = [archive.extractfile(member).read() for member in itertools.islice(files, IMAGES_MAX)]
    expected = [classified(daemon, each) for each in photographs]
    height, width = size
    decoded = [Image.open(io.BytesIO(each)).convert("RGB") for each in photographs]
    assert {image.size for image in decoded} == {(width, height)}
    for one in (binary("jpeg", "BYTES", [IMAGES_MAX], packed(*photographs)),
                binary("image", "UINT8", [IMAGES_MAX, height, width, 3], b"".join(image.tobytes() for image in decoded))):
        found = outputs(infer_binary(daemon, one))
        for number in range(IMAGES_MAX):
            assert_same_bits(found, number, expected[number])

"""Every error of the contract, with its status, its form, and a daemon that goes on (see conftest.still_serving)."""

import base64
import json

import pytest

from daemon import Daemon, drain, multipart, status_of
from pictures import header_of, orange, png

JPEG = "image/jpeg"


def check_problem(answer, status, *parts):
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status and problem["title"] and problem["detail"]
    assert problem["error"]
    for part in parts:
        assert part in problem["detail"], problem["detail"]
    return problem


@pytest.mark.parametrize("cut", [3, 20, 200, 1000, -2])
def test_truncated_jpeg(daemon, picture, cut):
    check_problem(daemon.classify(picture[:cut]), 422)


def test_png(daemon):
    check_problem(daemon.classify(png(), content_type="image/png"), 415, "PNG")
    check_problem(daemon.classify(png(), content_type="application/x-www-form-urlencoded"), 415, "PNG")
    check_problem(daemon.classify(png()), 415, "PNG")
    check_problem(daemon.classify_json({"image": base64.b64encode(png()).decode()}), 415, "PNG")
    body, kind = multipart(("image", png(), {"filename": "a.png", "type": "image/png"}))
    check_problem(daemon.request("POST", "/classify", body, Content_Type=kind), 415, "PNG")


def test_not_an_image(daemon):
    check_problem(daemon.classify(b"hello", content_type="text/plain"), 415)
    assert daemon.classify(b"hello").status in (415, 422)


@pytest.mark.parametrize("kind", [JPEG, "application/json", "multipart/form-data; boundary=x", "text/plain"])
def test_empty_body(daemon, kind):
    check_problem(daemon.request("POST", "/classify", b"", Content_Type=kind), 400)


@pytest.mark.parametrize("query, part", [
    ("categories=", ""), ("categories=cat,,dog", ""), ("categories=cat,", ""),
    ("categories=zebra_crossing", "zebra_crossing"), ("categories=cat&categories=dog", "categories"),
    ("colour=red", "colour"), ("attention=cat:-1", "cat"), ("attention=cat:nan", "cat"), ("attention=cat:inf", "cat"),
    ("attention=cat:17", "cat"), ("attention=cat", ""), ("attention=cat:", ""), ("attention=:2", ""),
    ("attention=cat:2x", ""), ("attention=cat:2,cat:3", "cat"), ("attention=cat:2,animal/cat:3", "cat"),
    ("attention=nobody:2", "nobody"), ("attention=animal:0&categories=cat", "silenced"), ("attention=trunk:0", "silenced"),
    ("top=0", "top"), ("top=-1", "top"), ("top=five", "top"), ("top=1.5", "top"), ("groups=maybe", "groups"),
    ("timeout_ms=0", "timeout_ms"), ("timeout_ms=x", "timeout_ms"), ("categories=tab%00by", ""),
])
def test_bad_options_in_the_query(daemon, picture, query, part):
    check_problem(daemon.classify(picture, "?" + query), 422, part)


@pytest.mark.parametrize("options", [
    {"categories": []}, {"categories": "cat"}, {"categories": [1]}, {"categories": ["nobody_here"]}, {"categories": None},
    {"attention": {"cat": -1}}, {"attention": {"cat": "nan"}}, {"attention": {"cat": "2"}}, {"attention": [1]},
    {"attention": {"cat": True}}, {"attention": {"cat": 2, "animal/cat": 1}}, {"attention": {"cat": 1e999}},
    {"top": 0}, {"top": "5"}, {"top": 1.5}, {"top": True}, {"groups": "true"}, {"groups": 1}, {"timeout_ms": "1"},
    {"colour": "red"}, {"attention": {"animal": 0}, "categories": ["cat"]},
])
def test_bad_options_in_json(daemon, picture, options):
    text = json.dumps({"image": base64.b64encode(picture).decode(), **options}).replace("Infinity", "17")
    check_problem(daemon.request("POST", "/classify", text, Content_Type="application/json"), 422)


def test_unknown_category_gets_near_names(daemon, picture):
    problem = check_problem(daemon.classify(picture, "?categories=tabbi"), 422, "tabbi")
    assert "animal/cat/tabby" in problem["suggestions"]
    problem = check_problem(daemon.classify(picture, "?attention=animal/cat/tabbi:2"), 422)
    assert "animal/cat/tabby" in problem["suggestions"]


def test_unknown_model(daemon, picture):
    check_problem(daemon.classify(picture, "?model=resnet"), 404, "resnet")


def test_an_option_stands_in_one_place(daemon, picture):
    document = {"image": base64.b64encode(picture).decode(), "top": 3}
    check_problem(daemon.classify_json(document, "?top=3"), 422, "top")
    body, kind = multipart(("image", picture, {"filename": "a"}), ("top", b"2", {}), ("top", b"2", {}))
    check_problem(daemon.request("POST", "/classify", body, Content_Type=kind), 422, "top")
    body, kind = multipart(("image", picture, {"filename": "a"}), ("top", b"2", {}), ("options", b'{"top": 2}', {}))
    check_problem(daemon.request("POST", "/classify", body, Content_Type=kind), 422, "top")
    body, kind = multipart(("image", picture, {"filename": "a"}), ("image", picture, {"filename": "b"}))
    check_problem(daemon.request("POST", "/classify", body, Content_Type=kind), 422, "image")
    body, kind = multipart(("image", picture, {"filename": "a"}), ("colour", b"red", {}))
    check_problem(daemon.request("POST", "/classify", body, Content_Type=kind), 422, "colour")
    twice = '{"image": "%s", "top": 1, "top": 1}' % base64.b64encode(picture).decode()
    check_problem(daemon.request("POST", "/classify", twice, Content_Type="application/json"), 422, "top")


@pytest.mark.parametrize("text", ["", "{", "nope", '{"image": NaN}', '{"image": "x"} trailing', "\xff\xfe"])
def test_malformed_json(daemon, text):
    check_problem(daemon.request("POST", "/classify", text.encode("latin-1"), Content_Type="application/json"), 400)


@pytest.mark.parametrize("document", [{}, {"top": 1}, {"image": ""}, {"image": "!!!!"}, {"image": "QUJD\n"}, {"image": "QUJ"}])
def test_missing_or_malformed_image(daemon, document):
    check_problem(daemon.classify_json(document), 400)


def test_json_that_is_no_object(daemon):
    assert daemon.request("POST", "/classify", "[1]", Content_Type="application/json").status in (400, 422)
    assert daemon.request("POST", "/classify", '{"image": 7}', Content_Type="application/json").status in (400, 422)


def test_malformed_multipart(daemon, picture):
    body, kind = multipart(("image", picture, {"filename": "a"}))
    check_problem(daemon.request("POST", "/classify", body[:-60], Content_Type=kind), 400)
    check_problem(daemon.request("POST", "/classify", body, Content_Type="multipart/form-data"), 400)
    body, kind = multipart(("top", b"1", {}))
    check_problem(daemon.request("POST", "/classify", body, Content_Type=kind), 400, "image")


@pytest.mark.parametrize("field", ["image", "top", "categories", "groups"])
def test_form_in_two_pieces(daemon, picture, field):
    """Wherever a read ends, a form means the same: the first bytes of a part often arrive alone."""
    import socket
    import time
    parts = [("image", picture, {"filename": "a.jpg"}), ("top", b"2", {}), ("categories", b"cat,orange", {}), ("groups", b"true", {})]
    body, kind = multipart(*parts)
    begin = body.index(b'name="%s"' % field.encode())
    begin = body.index(b"\r\n\r\n", begin) + 4
    for cut in range(begin - 5, begin + 9):
        head = f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        with socket.create_connection((daemon.host, daemon.port), timeout=20) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(head.encode() + body[:cut])
            time.sleep(0.03)
            connection.sendall(body[cut:])
            received = drain(connection)
        assert status_of(received) == 200, (cut - begin, received[-300:])
        assert received.count(b'"score"') == 2 + 4  # two predictions; animal, cat, food and fruit_or_vegetable


def test_header_of_200_megapixels(daemon):
    check_problem(daemon.classify(header_of(20000, 10000)), 413)


def test_paths_and_methods(daemon):
    check_problem(daemon.get("/nothing"), 404)
    check_problem(daemon.get("/classify/"), 404)
    for path, allowed in (("/classify", "POST"), ("/cost", "POST")):
        answer = daemon.get(path)
        check_problem(answer, 405)
        assert allowed in answer.headers["allow"]
    answer = daemon.request("DELETE", "/healthz")
    check_problem(answer, 405)
    assert "GET" in answer.headers["allow"] and "HEAD" in answer.headers["allow"]
    assert daemon.request("BREW", "/healthz").status in (405, 501)


def test_compressed_bodies_are_refused(daemon, picture):
    answer = daemon.request("POST", "/classify", picture, Content_Type=JPEG, Content_Encoding="gzip")
    check_problem(answer, 415)


def test_declared_length_over_the_limit(picture):
    with Daemon(max_body=4096) as daemon:
        head = f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 5000000\r\n\r\n"
        assert status_of(daemon.raw(head.encode())) == 413
        small = b"x" * 5000
        assert daemon.classify(small).status == 413
        assert daemon.get("/healthz").status == 200


def test_chunked_body_over_the_limit():
    with Daemon(max_body=4096) as daemon:
        chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert status_of(daemon.raw(head + 3 * chunk + b"0\r\n\r\n")) in (0, 413)
        assert daemon.get("/healthz").status == 200


FRAMINGS = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "unknown coding": b"Transfer-Encoding: gzip\r\n",
    "coding before chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "space before the colon": b"Content-Length : 38\r\n",
    "tab before the colon": b"Transfer-Encoding\t: chunked\r\n",
    "space in a coding's name": b"Transfer-Encoding : chunked\r\n",
    "folded coding": b"Transfer-Encoding:\r\n chunked\r\n",
    "folded length": b"Content-Length:\r\n 38\r\n",
    "length is no number": b"Content-Length: abc\r\n",
    "negative length": b"Content-Length: -5\r\n",
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_ambiguous_framing(daemon, name):
    """Refused, and the connection closed: nothing behind may be taken for a request."""
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n" + FRAMINGS[name] + b"\r\n"
    received = daemon.raw(head + b"0\r\n\r\n" + smuggled, timeout=10)
    assert status_of(received) in (400, 0), received[:200]
    assert b"HTTP/1.1 200" not in received, received


def test_half_a_request_then_goodbye(daemon):
    daemon_bytes = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\nhalf"
    import socket
    for _ in range(20):
        with socket.create_connection((daemon.host, daemon.port)) as connection:
            connection.sendall(daemon_bytes)


def test_no_answer_holds_an_earlier_picture(daemon, picture):
    """A broken picture behind a good one is refused, not answered with the good one's scores."""
    for cut in range(300, len(picture), 331):
        assert daemon.classify(picture).status == 200
        assert daemon.classify(picture[:cut]).status == 422


def test_random_damage(daemon, picture):
    import random
    chance = random.Random(4)
    for _ in range(150):
        damaged = bytearray(picture)
        for _ in range(chance.randint(1, 12)):
            damaged[chance.randrange(2, len(damaged))] = chance.randrange(256)
        assert daemon.classify(bytes(damaged)).status in (200, 413, 422)


def test_responses_to_pipelined_requests_stay_in_order(daemon, picture):
    import socket
    one = b"POST /classify?categories=%s HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n%s\r\n"
    names = [b"tabby", b"orange", b"lemon"]
    with socket.create_connection((daemon.host, daemon.port), timeout=30) as connection:
        for i, name in enumerate(names):
            last = b"Connection: close\r\n" if i == 2 else b""
            connection.sendall(one % (name, len(picture), last) + picture)
        received = drain(connection)
    places = [received.find(b"/" + name + b'"') for name in names]
    assert -1 not in places and places == sorted(places)

"""POST /classify: its three forms, its options, its answer."""

import base64
import io
import json
import re

import pytest
from PIL import Image

from bundled import TABBY, VERSION, WHOLE
from daemon import multipart
from pictures import jpeg, oriented, scene


def category_score(answer, name):
    return next(p["score"] for p in answer.json["predictions"] if p["category"].endswith(name))


def raw_score(answer, name):
    """The digits as they stand in the text."""
    return re.search(rb'"category":"[^"]*' + name.encode() + rb'"[^}]*"score":([-0-9.e]+)', answer.body)[1]


def test_answer_has_the_form_of_the_contract(daemon, picture):
    answer = daemon.classify(picture)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    document = answer.json
    assert set(document) == {"request_id", "model", "predictions", "cost"}
    assert document["model"] == {"name": "tiny-imagenet-200", "version": VERSION}
    assert len(document["predictions"]) == 5
    confidence = {"confidence"} if daemon.get("/categories").json["calibrated"] else set()
    for prediction in document["predictions"]:
        assert set(prediction) == {"category", "label", "probability", "score"} | confidence
    scores = [p["score"] for p in document["predictions"]]
    assert scores == sorted(scores, reverse=True)
    cost = document["cost"]
    assert set(cost) == {"macs", "macs_full", "macs_excluded", "parameters", "parameters_full", "parameters_excluded",
                         "branches", "branches_full", "categories", "categories_full", "precision", "kernels", "batch",
                         "time_ms"}
    assert cost["macs"] == cost["macs_full"] == WHOLE.macs and cost["macs_excluded"] == 0
    assert cost["parameters"] == cost["parameters_full"] == WHOLE.parameters
    assert (cost["branches"], cost["categories"], cost["batch"]) == (226, 200, 1)
    times = cost["time_ms"]
    assert set(times) == {"queue", "decode", "preprocess", "trunk", "branches", "total"}
    assert all(value >= 0 for value in times.values()) and times["total"] > times["trunk"]


def test_one_category_costs_what_its_layers_do(daemon, picture):
    whole = daemon.classify(picture, "?top=200")
    one = daemon.classify(picture, "?categories=tabby")
    cost = one.json["cost"]
    assert (cost["macs"], cost["parameters"]) == TABBY
    assert (cost["macs_excluded"], cost["parameters_excluded"]) == tuple(
        round(1 - part / whole, 4) for part, whole in zip(TABBY, WHOLE))
    assert cost["categories"] == 1 and cost["branches"] == 3
    assert len(one.json["predictions"]) == 1
    assert one.json["predictions"][0]["probability"] == 1
    assert raw_score(one, "tabby") == raw_score(whole, "tabby")


def test_three_forms_give_the_same(daemon, picture):
    expected = daemon.classify(picture, "?categories=fruit_or_vegetable,tabby&attention=orange:1.5,food:0.8&top=3&groups=true")
    options = {"categories": ["fruit_or_vegetable", "tabby"], "attention": {"orange": 1.5, "food": 0.8}, "top": 3, "groups": True}
    fields = [("categories", b"fruit_or_vegetable,tabby", {}), ("attention", b"orange:1.5,food:0.8", {}),
              ("top", b"3", {}), ("groups", b"true", {})]
    body, kind = multipart(("image", picture, {"filename": "a.jpg", "type": "image/jpeg"}), *fields)
    form = daemon.request("POST", "/classify", body, Content_Type=kind)
    body, kind = multipart(("options", json.dumps(options).encode(), {}), ("image", picture, {"filename": "a.jpg"}))
    form_json = daemon.request("POST", "/classify", body, Content_Type=kind)
    document = daemon.classify_json({"image": base64.b64encode(picture).decode(), **options})
    curl = daemon.classify(picture, "?categories=fruit_or_vegetable,tabby&attention=orange:1.5,food:0.8&top=3&groups=true",
                           "application/x-www-form-urlencoded")
    for answer in (expected, form, form_json, document, curl):
        assert answer.status == 200, answer.body
        assert answer.json["predictions"] == expected.json["predictions"]
        assert answer.json["groups"] == expected.json["groups"]
        assert answer.json["cost"]["macs"] == expected.json["cost"]["macs"]
    assert len(expected.json["predictions"]) == 3


def test_options_in_the_query_of_other_forms(daemon, picture):
    answer = daemon.classify_json({"image": base64.b64encode(picture).decode()}, "?categories=cat&top=2")
    assert answer.status == 200 and len(answer.json["predictions"]) == 2
    body, kind = multipart(("image", picture, {"filename": "a.jpg"}))
    answer = daemon.request("POST", "/classify?categories=cat", body, Content_Type=kind)
    assert answer.status == 200 and answer.json["cost"]["categories"] == 5


def test_percent_encoding_in_the_query(daemon, picture):
    answer = daemon.classify(picture, "?categories=animal%2Fcat%2Ctabby&attention=tabby%3A1.5")
    assert answer.status == 200 and answer.json["cost"]["categories"] == 5


def test_attention_raises_a_category(daemon, picture):
    scores = [category_score(daemon.classify(picture, f"?categories=orange&attention=orange:{w}"), "orange")
              for w in (0.5, 1, 1.25, 2, 16)]
    assert scores == sorted(scores) and scores[0] < scores[-1]


def test_attention_of_one_changes_nothing(daemon, picture):
    plain = daemon.classify(picture, "?top=200")
    neutral = daemon.classify(picture, "?top=200&attention=cat:1,trunk:1.0,tabby:1")
    assert neutral.json["predictions"] == plain.json["predictions"]


def test_zero_silences(daemon, picture):
    answer = daemon.classify(picture, "?categories=cat&attention=tabby:0&top=10")
    names = [p["category"] for p in answer.json["predictions"]]
    assert len(names) == 4 and "animal/cat/tabby" not in names
    assert answer.json["cost"]["branches"] == 6


def test_attention_outside_of_the_selection_has_no_effect(daemon, picture):
    plain = daemon.classify(picture, "?categories=tabby")
    other = daemon.classify(picture, "?categories=tabby&attention=food:0,dog:3")
    assert other.status == 200 and other.json["predictions"] == plain.json["predictions"]


def test_groups(daemon, picture):
    answer = daemon.classify(picture, "?categories=tabby&groups=true")
    assert [g["category"] for g in answer.json["groups"]] == ["animal", "animal/cat"]
    assert answer.json["cost"]["macs"] == TABBY.macs + 96 + 64
    assert "groups" not in daemon.classify(picture, "?categories=tabby&groups=false").json


@pytest.mark.parametrize("top, expected", [("1", 1), ("200", 200), ("100000", 200)])
def test_top(daemon, picture, top, expected):
    assert len(daemon.classify(picture, f"?top={top}").json["predictions"]) == expected


def test_model_by_name(daemon, picture):
    assert daemon.classify(picture, "?model=tiny-imagenet-200&top=1").status == 200


def test_probabilities_add_up_to_one(daemon, picture):
    answer = daemon.classify(picture, "?categories=animal&top=200")
    assert abs(sum(p["probability"] for p in answer.json["predictions"]) - 1) < 1e-6


def test_scores_have_nine_significant_digits(daemon, picture):
    digits = raw_score(daemon.classify(picture), "").lstrip(b"-").replace(b".", b"").lstrip(b"0")
    assert 6 <= len(digits) <= 9


def test_server_timing_mirrors_the_times(daemon, picture):
    answer = daemon.classify(picture)
    header = dict(re.findall(r"(\w+);dur=([0-9.]+)", answer.headers["server-timing"]))
    assert {k: float(v) for k, v in header.items()} == pytest.approx(answer.json["cost"]["time_ms"], abs=1e-3)


def test_request_id_is_taken_over_or_made(daemon, picture):
    given = daemon.request("POST", "/classify?top=1", picture, Content_Type="image/jpeg", X_Request_Id="abc-1.2_Z")
    assert given.headers["x-request-id"] == given.json["request_id"] == "abc-1.2_Z"
    made = daemon.classify(picture)
    assert made.headers["x-request-id"] == made.json["request_id"] != daemon.classify(picture).json["request_id"]
    dirty = daemon.request("POST", "/classify?top=1", picture, Content_Type="image/jpeg", X_Request_Id='a"b<c>')
    assert re.fullmatch(r"[A-Za-z0-9._-]+", dirty.headers["x-request-id"])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(daemon, orientation):
    def answer(picture):
        return {p["category"]: p["score"] for p in daemon.classify(picture, "?top=200").json["predictions"]}

    def distance(one, other):
        return max(abs(score - other[category]) for category, score in one.items())

    upright = answer(jpeg(scene(), quality=98, subsampling=0))
    turned = distance(answer(oriented(scene(), orientation)), upright)
    assert turned < 0.25
    if orientation != 1:  # and without the turn it is another picture; to a network that knows mirrored ones, a little
        plain = Image.open(io.BytesIO(oriented(scene(), orientation)))
        assert distance(answer(jpeg(plain, quality=98, subsampling=0, exif=b"")), upright) > 2 * turned + 0.1


def test_kinds_of_jpeg(daemon):
    image = scene()
    expected = {p["category"]: p["score"] for p in daemon.classify(jpeg(image, quality=98, subsampling=0), "?top=200").json["predictions"]}
    kinds = {"progressive": jpeg(image, quality=98, subsampling=0, progressive=True),
             "cmyk": jpeg(image.convert("CMYK"), quality=98), "subsampled": jpeg(image, quality=98)}
    for name, data in kinds.items():
        scores = daemon.classify(data, "?top=200").json["predictions"]
        assert max(abs(p["score"] - expected[p["category"]]) for p in scores) < 0.5, name
    grey = daemon.classify(jpeg(image.convert("L"), quality=98), "?top=200")
    as_colour = daemon.classify(jpeg(image.convert("L").convert("RGB"), quality=98), "?top=200")
    other = {p["category"]: p["score"] for p in as_colour.json["predictions"]}
    assert max(abs(p["score"] - other[p["category"]]) for p in grey.json["predictions"]) < 0.25


def test_a_large_photo(daemon):
    photo = jpeg(scene(4000, 3000), quality=80)
    small = daemon.classify(jpeg(scene(4000, 3000).resize((400, 300), Image.Resampling.LANCZOS), quality=98), "?top=200")
    large = daemon.classify(photo, "?top=200")
    expected = {p["category"]: p["score"] for p in small.json["predictions"]}
    assert max(abs(p["score"] - expected[p["category"]]) for p in large.json["predictions"]) < 1


def test_cost_without_an_image(daemon, picture):
    run = daemon.classify(picture, "?categories=cat,orange&attention=tabby:0&groups=true").json["cost"]
    for answer in (daemon.request("POST", "/cost?categories=cat,orange&attention=tabby:0&groups=true"),
                   daemon.request("POST", "/cost", json.dumps({"categories": ["cat", "orange"], "attention": {"tabby": 0},
                                                               "groups": True}), Content_Type="application/json")):
        assert answer.status == 200, answer.body
        cost = answer.json
        assert "time_ms" not in cost
        for key in ("macs", "macs_full", "macs_excluded", "parameters", "parameters_full", "branches", "categories"):
            assert cost[key] == run[key]
    assert daemon.request("POST", "/cost?categories=nonsense").status == 422


def test_keep_alive(daemon, picture):
    connection = daemon.connect()
    for _ in range(5):
        connection.request("POST", "/classify?top=1", picture, {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        assert response.status == 200
        response.read()
    connection.close()


def test_chunked_body(daemon, picture):
    connection = daemon.connect()
    connection.request("POST", "/classify?top=1", iter([picture[:100], picture[100:]]), {"Content-Type": "image/jpeg"},
                       encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()

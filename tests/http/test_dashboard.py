"""The dashboard and the alerts: every query against a real Prometheus that has scraped a real daemon."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time

import pytest

import exposition
from daemon import ROOT, Daemon
from pictures import jpeg, png, scene

sys.path.insert(0, str(ROOT / "deploy" / "grafana"))

import dashboard as grafana  # noqa: E402
from prometheus import Prometheus  # noqa: E402

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
SCRAPES = 6  # rates need two; the rest is a margin for a busy machine
DASHBOARD = grafana.load()
PANELS = grafana.panels(DASHBOARD)

needs_prometheus = pytest.mark.skipif(not Prometheus.is_installed(), reason="no Prometheus here: install Debian's package prometheus")
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here: install Debian's package prometheus")


def send_all_kinds(daemon, picture, slow):
    """Some of every kind, the slow ones at once: the queue has one place."""
    threads = [threading.Thread(target=daemon.classify, args=(slow,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    daemon.classify(slow, "?timeout_ms=1")
    for thread in threads:
        thread.join()
    for path in "/healthz", "/readyz", "/categories", "/nothing":
        daemon.get(path)
    for query in "", "?categories=tabby", "?categories=cat,orange", "?categories=tabbi":
        daemon.classify(picture, query)
    daemon.classify(png(), content_type="image/png")
    daemon.raw(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n")
    daemon.raw(b"POST /cost HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")


def scrapes(prometheus):
    series = prometheus.query("count_over_time(up[1m])", time.time())
    return series[0][1][0][1] if series else 0


@pytest.fixture(scope="module")
def scraped(picture):
    """A Prometheus that has scraped a daemon while it had all kinds of traffic, and the time that it has seen."""
    slow = jpeg(scene(2400, 1800), quality=90)
    with Daemon(instances=1, batch=2, queue_depth=1, kernels="plain", max_body=1 << 20) as daemon:
        with Prometheus(f"{daemon.host}:{daemon.port}") as prometheus:
            start = time.time()
            while scrapes(prometheus) < SCRAPES:
                assert time.time() < start + 60, "Prometheus does not scrape"
                send_all_kinds(daemon, picture, slow)
            yield prometheus, grafana.Window(start, time.time(), 1, 1)


@needs_prometheus
def test_the_traffic_was_of_all_kinds(scraped):
    prometheus, window = scraped
    codes = {labels["code"] for labels, _ in prometheus.query("espalier_requests_total", window.end)}
    assert codes >= {"200", "400", "404", "413", "415", "422", "429"}


@needs_prometheus
@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_shows_something(scraped, panel):
    prometheus, window = scraped
    for target in panel["targets"]:
        series = grafana.run(prometheus, DASHBOARD, target, window)
        assert any(values for _, (_, values) in series), f"{target['expr']} gives {series}"
        names = [name for name, _ in series]
        assert len(set(names)) == len(names), f"two series have one name: {names}"


@needs_prometheus
def test_the_variables_offer_what_there_is(scraped):
    prometheus, _ = scraped
    offered = grafana.variable_values(prometheus, DASHBOARD)
    assert offered["job"] == ["espalier"] and offered["instance"] == [prometheus.target]
    assert {"/classify", "/metrics", "other"} <= set(offered["route"])


@needs_prometheus
def test_it_can_be_drawn(scraped, tmp_path):
    draw = str(ROOT / "deploy" / "grafana" / "draw")
    if subprocess.run(["/usr/bin/python3", "-c", "import matplotlib"], capture_output=True).returncode:
        pytest.skip("no matplotlib here: install Debian's package python3-matplotlib")
    picture = tmp_path / "dashboard.png"
    result = subprocess.run([draw, "--prometheus", scraped[0].url, "--minutes", "1", "--output", str(picture)], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert picture.read_bytes().startswith(b"\x89PNG")


@needs_prometheus
def test_every_alert_can_be_evaluated(scraped):
    prometheus, window = scraped
    end = time.monotonic() + 30
    while "unknown" in [rule["health"] for rule in prometheus.get("rules")["groups"][0]["rules"]]:
        assert time.monotonic() < end, "the rules were never evaluated"
        time.sleep(0.2)
    rules = prometheus.get("rules")["groups"][0]["rules"]
    assert {rule["name"] for rule in rules} == set(FIRES)
    assert [rule for rule in rules if rule["health"] != "ok"] == []


def series(name, values, **labels):
    """A series of the daemon, with its values minute by minute in promtool's notation."""
    pairs = ",".join(f'{label}="{value}"' for label, value in {"job": "espalier", "instance": "a", **labels}.items())
    return {"series": f"{name}{{{pairs}}}", "values": values}


def ended(values, code="200", route="/classify"):
    return series("espalier_requests_total", values, route=route, code=code)


def took(values, le):
    return series("espalier_request_duration_seconds_bucket", values, route="/classify", code="200", le=le)


FIRES = {
    "EspalierDown": [series("up", "0x60")],
    "EspalierNotReady": [series("espalier_ready", "0x60")],
    "EspalierQueueSaturated": [series("espalier_queue_depth", "1x60"), series("espalier_queue_capacity", "256x60"),
                               series("espalier_queue_macs", "90x60"), series("espalier_queue_macs_capacity", "100x60")],
    "EspalierRefusing": [series("espalier_rejected_total", "0+10x60", reason="queue_macs"),
                         series("espalier_rejected_total", "0x60", reason="too_large"), ended("0+90x60")],
    "EspalierErrors": [ended("0+5x60", code="none"), ended("0+95x60")],
    "EspalierSlow": [took("0+90x60", "1"), took("0+100x60", "2.5"), took("0+100x60", "+Inf")],
    "EspalierModelRefused": [series("espalier_model_loads_total", "0+1x60", result="refused")],
    "EspalierCertificateEnds": [series("espalier_certificate_until_seconds", f"{6 * 86400}x60")],  # it is 1970
    "EspalierOutOfFiles": [series("process_open_fds", "95x60"), series("process_max_fds", "100x60")],
}
ALL_IS_WELL = [
    series("up", "1x60"), series("espalier_ready", "1x60"),
    series("espalier_queue_depth", "100x60"), series("espalier_queue_capacity", "256x60"),
    series("espalier_queue_macs", "0x60"), series("espalier_queue_macs_capacity", "100x60"),
    series("espalier_rejected_total", "0x60", reason="queue_full"), series("espalier_rejected_total", "0+50x60", reason="too_large"),
    ended("0+90x60"), ended("0+9x60", code="422"), ended("0+9x60", code="503", route="/readyz"),
    took("0+90x60", "1"), took("0+90x60", "+Inf"),
    series("espalier_model_loads_total", "3x60", result="refused"),
    series("espalier_certificate_until_seconds", f"{30 * 86400}x60"),
    series("process_open_fds", "20x60"), series("process_max_fds", "1024x60")]


def case(input_series, alert, count):
    """After half an hour of these series so many alerts fire that are called so."""
    expression = f'count(ALERTS{{alertname=~"{alert}",alertstate="firing"}}) or vector(0)'
    return {"interval": "1m", "input_series": input_series, "promql_expr_test": [
        {"expr": expression, "eval_time": "30m", "exp_samples": [{"labels": "{}", "value": count}]}]}


@needs_promtool
def test_alerts_fire_when_they_should(tmp_path):
    assert subprocess.run(["promtool", "check", "rules", str(ALERTS)], capture_output=True).returncode == 0
    assert all(f"- alert: {name}\n" in ALERTS.read_text() for name in FIRES) and ALERTS.read_text().count("- alert:") == len(FIRES)
    cases = [case(trouble, name, 1) for name, trouble in FIRES.items()] + [case(ALL_IS_WELL, ".*", 0)]
    path = tmp_path / "tests.yml"
    path.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": cases}))
    result = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_dashboard_is_complete(daemon, picture):
    """Each family of the daemon's own has its place, and each panel has what a person needs to read it."""
    daemon.classify(picture)
    ours = {name for name in exposition.read(daemon.get("/metrics").body.decode()) if name.startswith("espalier_")}
    text = json.dumps(PANELS)
    assert not [name for name in ours - {"espalier_predictions_total"} if name not in text]
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])

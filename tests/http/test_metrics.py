"""What the daemon counts, and how it says so."""

import shutil
import subprocess
import threading
import time

import pytest

import exposition
from bundled import TABBY, VERSION, WHOLE
from daemon import BINARY, Daemon
from pictures import png

FAMILIES = """
    espalier_batch_size espalier_body_bytes espalier_body_bytes_capacity espalier_branch_runs_total
    espalier_branches_helped_total espalier_build_info espalier_cancelled_total espalier_connections
    espalier_connections_evicted_total espalier_connections_total espalier_instances espalier_instances_busy
    espalier_log_lines_dropped_total espalier_macs_full_total espalier_macs_total espalier_model_info
    espalier_model_loads_total espalier_predictions_total espalier_queue_capacity espalier_queue_depth espalier_queue_macs
    espalier_queue_macs_capacity espalier_ready espalier_rejected_total espalier_request_duration_seconds
    espalier_requests_total espalier_runs_total espalier_stage_duration_seconds espalier_timeouts_total
    process_cpu_seconds_total process_max_fds process_open_fds process_resident_memory_bytes process_start_time_seconds
    process_threads process_virtual_memory_bytes""".split()
STAGES = {"queue", "decode", "preprocess", "trunk", "branches", "encode"}


def scrape(daemon):
    answer = daemon.get("/metrics")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return exposition.read(answer.body.decode())


def scrape_until(daemon, fits, seconds=30):
    """A request is counted when it is over for the daemon, which is a little later than for its client."""
    end = time.monotonic() + seconds
    while not fits(families := scrape(daemon)):
        assert time.monotonic() < end, "this never came to be counted"
        time.sleep(0.01)
    return families


def requests(families, **labels):
    return families["espalier_requests_total"].value(**labels)


def test_every_family_is_there(daemon, picture):
    assert daemon.classify(picture).status == 200
    families = scrape_until(daemon, lambda now: requests(now, route="/classify", code="200"))
    assert sorted(families) == sorted(FAMILIES)
    assert families["espalier_stage_duration_seconds"].labels("stage") == STAGES
    assert families["espalier_rejected_total"].labels("reason") == {
        "queue_full", "queue_macs", "queue_bytes", "deadline", "draining", "too_large", "media_type", "framing"}
    for name, family in families.items():
        if family.kind == "histogram":
            exposition.check_histogram(family)


def test_promtool_has_nothing_to_say(daemon, picture):
    if not shutil.which("promtool"):
        pytest.skip("no promtool here: install Debian's package prometheus")
    daemon.classify(picture)
    result = subprocess.run(["promtool", "check", "metrics"], input=daemon.get("/metrics").body, capture_output=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_requests_are_counted_and_timed(picture):
    begin = time.monotonic()
    with Daemon() as daemon:
        for _ in range(7):
            assert daemon.classify(picture, "?categories=tabby").status == 200
        assert daemon.classify(picture, "?categories=tabbi").status == 422
        families = scrape_until(daemon, lambda now: requests(now, route="/classify") == 8)
    elapsed = time.monotonic() - begin
    duration, stage = families["espalier_request_duration_seconds"], families["espalier_stage_duration_seconds"]
    assert requests(families, route="/classify", code="200") == 7
    assert requests(families, route="/classify", code="422") == 1
    assert duration.value("_count", route="/classify", code="200") == 7
    assert duration.value("_bucket", route="/classify", code="200", le="+Inf") == 7
    assert 0 < stage.value("_sum") < duration.value("_sum", route="/classify", code="200") < elapsed
    assert all(stage.value("_count", stage=name) == 7 for name in STAGES)
    assert families["espalier_macs_total"].value() == 7 * TABBY.macs
    assert families["espalier_macs_full_total"].value() == 7 * WHOLE.macs
    assert families["espalier_predictions_total"].value() == families["espalier_runs_total"].value(images="1") == 7
    assert 0 < families["process_cpu_seconds_total"].value()


def test_branches_that_ran_are_counted(daemon, picture):
    before = scrape(daemon)["espalier_branch_runs_total"]
    assert len(before.samples) == 227 and before.labels("model") == {"tiny-imagenet-200"}
    assert daemon.classify(picture, "?categories=tabby").status == 200
    after = scrape(daemon)["espalier_branch_runs_total"]
    grown = {dict(labels)["branch"]: value - before.samples[suffix, labels] for (suffix, labels), value in after.samples.items()}
    assert {branch: by for branch, by in grown.items() if by} == dict.fromkeys(
        ["trunk", "animal", "animal/cat", "animal/cat/tabby"], 1)
    assert daemon.classify(picture).status == 200
    whole = scrape(daemon)["espalier_branch_runs_total"]
    assert all(value == after.samples[place] + 1 for place, value in whole.samples.items())


def test_refusals_by_reason(picture):
    with Daemon(max_body=4096) as daemon:
        assert daemon.classify(bytes(5000)).status == 413
        assert daemon.classify(png()[:2000], content_type="image/png").status == 415
        assert b" 400 " in daemon.raw(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
        refused = scrape_until(daemon, lambda now: requests(now) >= 3)["espalier_rejected_total"]
        assert refused.value() == 3
        assert all(refused.value(reason=reason) == 1 for reason in ("too_large", "media_type", "framing"))


def test_what_serves(daemon):
    families = scrape(daemon)
    (_, labels), = families["espalier_model_info"].samples
    model, first_line = dict(labels), daemon.first_line
    assert model["model"] == "tiny-imagenet-200" and model["version"] == VERSION and model["default"] == "true"
    assert f"({model['kernels']}, {model['precision']}, " in first_line
    said = subprocess.run([BINARY, "--version"], capture_output=True, text=True).stdout
    assert all(version in said for version in families["espalier_build_info"].labels("version"))
    assert families["espalier_ready"].value() == 1


def test_the_process(daemon):
    families = scrape(daemon)
    assert abs(families["process_start_time_seconds"].value() - time.time()) < 600
    assert families["process_open_fds"].value() < families["process_max_fds"].value()
    assert 1e7 < families["process_resident_memory_bytes"].value() <= families["process_virtual_memory_bytes"].value()
    with open(f"/proc/{daemon.process.pid}/status") as status:
        threads = int(next(line for line in status if line.startswith("Threads:")).split()[1])
    assert families["process_threads"].value() == threads
    start = families["process_start_time_seconds"].value()
    assert all(scrape(daemon)["process_start_time_seconds"].value() == start for _ in range(20))


def test_counts_under_load(daemon, picture):
    """While many are counted, every scrape is in order, and no counter ever falls."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            daemon.classify(picture, "?categories=cat")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        last = scrape(daemon)
        for _ in range(30):
            now = scrape(daemon)
            exposition.check_histogram(now["espalier_request_duration_seconds"])
            exposition.check_histogram(now["espalier_stage_duration_seconds"])
            for name, family in last.items():
                if family.kind != "gauge":
                    assert all(now[name].samples[place] >= value for place, value in family.samples.items()), name
            last = now
    finally:
        stop.set()
        for thread in threads:
            thread.join()

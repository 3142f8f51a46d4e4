#!/usr/bin/env python3
"""Keeps the layout: which folder may include what, third-party headers at the edge, a library that never prints or exits.

    python3 tests/lint/layout.py SOURCE_DIRECTORY LIBESPALIER.A

Prints one line for each breach and ends with 1 where there is any."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

# What the files of a folder may include of the project, by the beginning of the name.
MAY_INCLUDE = {
    "include/espalier": ("espalier/",),
    "core": ("espalier/", "core/"),
    "server": ("espalier/", "server/"),
    "tests": ("espalier/", "core/", "server/", "tests/"),
}

# Third-party headers and the only files (or folders) that know them.
EDGES = {
    "cblas.h": ("core/kernels/openblas.c",),
    "turbojpeg.h": ("core/image/decoder.c",),
    "microhttpd.h": ("server/http/",),
    "gnutls/abstract.h": ("server/http/tls.c",),
    "gnutls/crypto.h": ("server/tokens.c",),
    "gnutls/gnutls.h": ("server/http/tls.c", "server/probe/tls.c", "server/tokens.c"),
    "gnutls/x509.h": ("server/http/tls.c",),
    "jansson.h": ("core/export/", "core/strict_json.", "core/layer_spec.", "core/tree_spec.c", "core/safetensors.c", "server/answer.c",
                  "server/bench/json.c", "server/handlers/repository.c", "server/handlers/v2.c", "server/json_body.c", "server/json_whole.c", "server/options_json.c", "server/problem.c",
                  "server/v2/answer.c", "server/v2/metadata.c", "server/v2/parameters.c", "server/v2/request.c", "server/v2/tensor.c"),
    "archive.h": ("server/evaluate/pictures.c",),
    "archive_entry.h": ("server/evaluate/pictures.c",),
    "check.h": ("tests/",),
}

# What a library has no business with.
FORBIDDEN = {"exit", "_exit", "abort", "printf", "puts", "putchar", "fprintf", "vprintf", "perror", "stdout", "stderr",
             "__printf_chk", "__fprintf_chk", "signal", "sigaction", "fork", "system"}

TOP_LEVEL = {"meson.build", "meson_options.txt", "server", "core", "include", "api", "deploy", "tests", "README.md", "LICENSE"}


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+["<]([^">]+)[">]', path.read_text(), re.MULTILINE)


def check_includes(root: Path, path: Path) -> list[str]:
    name = path.relative_to(root).as_posix()
    allowed = next((a for folder, a in MAY_INCLUDE.items() if name.startswith(folder + "/")), ())
    breaches = []
    for header in includes(path):
        ours = (root / header).exists() or (root / "include" / header).exists()
        if ours and not header.startswith(allowed):
            breaches.append(f"{name} includes {header}; it may include {', '.join(allowed)}")
        if "/" not in header and not ours and (path.parent / header).exists():
            breaches.append(f"{name} includes {header}; write the path from the root of the project")
        edge = EDGES.get(header)
        if edge and not name.startswith(edge) and not name.startswith("tests/"):
            breaches.append(f"{name} includes {header}, which only {', '.join(edge)} may know")
    return breaches


def check_header_alone(root: Path, path: Path) -> list[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".c") as source:
        source.write(f'#include "{path.relative_to(root / "include")}"\n')
        source.flush()
        result = subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only",
                                 f"-I{root}/include", source.name], capture_output=True, text=True)
    return [f"{path.name} does not compile alone: {result.stderr}"] if result.returncode else []


def check_symbols(library: Path) -> list[str]:
    breaches = []
    lines = subprocess.run(["nm", "--quiet", str(library)], capture_output=True, text=True, check=True).stdout.splitlines()
    for line in lines:
        fields = line.split()
        if len(fields) == 3 and fields[1] in "TDBRC" and not fields[2].startswith("esp_"):
            breaches.append(f"the library exports {fields[2]}, which does not begin with esp_")
        if len(fields) == 2 and fields[0] == "U" and fields[1].split("@")[0] in FORBIDDEN:
            breaches.append(f"the library uses {fields[1]}: it may not print, exit or abort")
    return breaches


def check_top_level(root: Path) -> list[str]:
    listed = subprocess.run(["git", "-C", str(root), "ls-files"], capture_output=True, text=True)
    names = {line.split("/")[0] for line in listed.stdout.splitlines()}
    return [f"{name} has no place at the top level" for name in sorted(names - TOP_LEVEL) if not name.startswith(".")]


def main() -> int:
    root, library = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    sources = [p for folder in ("include", "core", "server", "tests") for p in sorted((root / folder).rglob("*.[ch]"))]
    breaches = check_top_level(root) + check_symbols(library)
    for path in sources:
        breaches += check_includes(root, path)
    for path in sorted((root / "include" / "espalier").glob("*.h")):
        breaches += check_header_alone(root, path)
    print("\n".join(breaches) if breaches else f"{len(sources)} files keep the layout")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())

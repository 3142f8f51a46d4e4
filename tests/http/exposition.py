"""Reads Prometheus' text format strictly: what a scraper might pass over is an error here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

Labels = frozenset  # of (name, value)

SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\+Inf|[-+0-9.e]+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


@dataclass
class Family:
    kind: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)  # by suffix and labels

    def value(self, suffix: str = "", **labels: str) -> float:
        """The sum of the samples that have these labels, and perhaps others."""
        return sum(value for (end, have), value in self.samples.items() if end == suffix and labels.items() <= dict(have).items())

    def labels(self, name: str) -> set[str]:
        return {dict(have)[name] for _, have in self.samples if name in dict(have)}


def read_labels(text: str) -> Labels:
    pairs, at = [], 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"no label at {text[at:]!r}"
        pairs.append((match[1], re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[2])))
        at = match.end()
    assert len(dict(pairs)) == len(pairs), f"a label twice in {text!r}"
    return frozenset(pairs)


def read(text: str) -> dict[str, Family]:
    """All families. Fails where a family is not in one piece below its HELP and TYPE, or a series is there twice."""
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    lines = iter(text.splitlines())
    name = ""
    for line in lines:
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in families, f"{name} begins twice"
            kind = re.fullmatch(rf"# TYPE {name} (counter|gauge|histogram)", next(lines))
            assert kind, f"no TYPE after {line!r}"
            families[name] = Family(kind[1])
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample and sample[1].startswith(name), f"{line!r} below the head of {name}"
        family, suffix, labels = families[name], sample[1][len(name):], read_labels(sample[2] or "")
        assert suffix in SUFFIXES[family.kind], line
        assert (suffix, labels) not in family.samples, f"twice: {line!r}"
        family.samples[suffix, labels] = float(sample[3])
    return families


def check_histogram(family: Family) -> None:
    """Each series has ascending buckets, the last of which is the count, and a sum that the buckets allow."""
    series: dict[Labels, list[tuple[float, float]]] = {}
    for (suffix, labels), value in family.samples.items():
        if suffix == "_bucket":
            bound = float(dict(labels)["le"])
            series.setdefault(frozenset(pair for pair in labels if pair[0] != "le"), []).append((bound, value))
    assert {labels for suffix, labels in family.samples if suffix == "_count"} == set(series)
    for labels, buckets in series.items():
        bounds, counts = zip(*buckets)
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf"), labels
        assert list(counts) == sorted(counts), labels
        assert counts[-1] == family.samples["_count", labels], labels
        least = sum((count - below) * bound for count, below, bound in zip(counts, (0, *counts), (0, *bounds)))
        assert family.samples["_sum", labels] >= least * (1 - 1e-9), labels

"""The labelled sets of secrets, and how a finder of secrets is measured on them. Shared with `bench.secret_accuracy`.

A finder is called with the bytes of a text and the path it is said to have, and says on which lines it found something.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

Finder = Callable[[Sequence[tuple[str, bytes]]], list[set[int]]]
"""For every (path, content): the 1-based lines with a finding."""

UUID_CATEGORIES = ("UUID", "Firebase Domain", "AWS S3 Bucket")


@dataclass(frozen=True, slots=True)
class Record:
    """A labelled piece of a real repository, or one sample: `lines` are those that count, within `content`."""

    path: str
    content: bytes
    lines: frozenset[int]
    true: bool
    group: str
    category: str = ""


@dataclass(frozen=True, slots=True)
class Sets:
    creddata: list[Record]
    samples: list[Record]  # group: "kingfisher" or "gitleaks"
    leaky: list[tuple[str, bytes, int]]  # path, content, how many lines are a risk


def rows_of(archive: Path) -> dict[str, list[dict[str, Any]]]:
    """The records of every file of the archive, as they lie there."""
    files = {}
    unpacked = zstandard.ZstdDecompressor().stream_reader(archive.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        for entry in tar:
            if entry.isfile() and (content := tar.extractfile(entry)):
                files[entry.name.removeprefix("./")] = content.read().decode("utf-8").splitlines()
    return {name: [json.loads(line) for line in lines] for name, lines in files.items() if name.endswith(".jsonl")}


def load(archive: Path) -> Sets:
    rows = rows_of(archive)
    creddata = [
        _creddata(row)
        for name, all_ in sorted(rows.items())
        if name.startswith("creddata/")
        for row in all_
        if row["truth"] != "X"
    ]
    samples = []
    for name, group in (("kingfisher/examples.jsonl", "kingfisher"), ("gitleaks/rule-samples.jsonl", "gitleaks")):
        for row in rows[name]:
            for true, texts in ((True, row["positives"]), (False, row["negatives"])):
                for number, text in enumerate(texts):
                    content = text.encode("utf-8", "surrogatepass")
                    lines = frozenset(range(1, content.count(b"\n") + 2))
                    samples.append(
                        Record(f"sample/{row['rule']}.{number}.txt", content, lines, true, group, row["rule"])
                    )
    return Sets(creddata, samples, [_leaky(row) for row in rows["leaky-repo/files.jsonl"]])


def _creddata(row: dict[str, Any]) -> Record:
    before, lines, after = row["before"], row["lines"], row["after"]
    content = "\n".join([*before, *lines, *after]) + "\n"
    first = len(before) + 1
    counted = frozenset(range(first, first + len(lines)))
    path = f"{row['scope']}/{row['file']}{row['ext']}"
    return Record(
        path, content.encode("utf-8", "surrogatepass"), counted, row["truth"] == "T", row["repo"], row["category"]
    )


def _leaky(row: dict[str, Any]) -> tuple[str, bytes, int]:
    import base64

    content = row["text"].encode() if "text" in row else base64.b64decode(row["b64"])
    return row["path"], content, row["risk_lines"]


@dataclass(frozen=True, slots=True)
class Score:
    found_true: int
    true: int
    found_false: int
    false: int

    @property
    def precision(self) -> float:
        return self.found_true / max(1, self.found_true + self.found_false)

    @property
    def recall(self) -> float:
        return self.found_true / max(1, self.true)


def score(records: Sequence[Record], finder: Finder) -> Score:
    lines = finder([(one.path, one.content) for one in records])
    found = [bool(hit & one.lines) for one, hit in zip(records, lines, strict=True)]
    return Score(
        sum(f and r.true for f, r in zip(found, records, strict=True)),
        sum(r.true for r in records),
        sum(f and not r.true for f, r in zip(found, records, strict=True)),
        sum(not r.true for r in records),
    )


def risk_lines(files: Sequence[tuple[str, bytes, int]], finder: Finder) -> int:
    """How many of the risk lines are found: lines with a finding, at most as many a file as it has risks."""
    lines = finder([(path, content) for path, content, _ in files])
    return sum(min(len(hit), risks) for hit, (_, _, risks) in zip(lines, files, strict=True))

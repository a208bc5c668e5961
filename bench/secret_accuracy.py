"""Which secrets are found: our engine beside other programs, on the same labelled sets, in the same run.

A program that is not installed is reported as not run. They are looked for on PATH and in the folders of
WARDSHIP_BENCH_PEERS (joined with ":"). The sets are those of `tests/accuracy/secret_sets.py`; every text becomes a
file, every program scans the same folder without asking any provider. Ours is measured on CredData with weights that
were trained without the repository at hand; CredSweeper's model was trained by the makers of CredData on it.
"""

from __future__ import annotations

import json
import lzma
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.harness import ROOT
from tests.accuracy.secret_sets import Finder, Score, Sets, load, risk_lines, score
from wardship.secrets import Engine, load_engine, scorer

ARCHIVE = ROOT.parent / "shared" / "data" / "secrets" / "secrets.tar.zst"
HELD_OUT = ROOT / "tests" / "accuracy" / "secret_weights.json.xz"
Found = Iterable[tuple[str, int, int]]
"""(path, first line, last line) of every finding."""


def _gitleaks(tool: str, folder: Path, report: Path) -> Found:
    _quietly(tool, "dir", folder, "--report-format", "json", "--report-path", report, "--no-banner", "--exit-code", "0")
    return [(one["File"], one["StartLine"], one["EndLine"]) for one in json.loads(report.read_text())]


def _betterleaks(tool: str, folder: Path, report: Path) -> Found:
    _quietly(tool, folder, "--output", report, "--exit-code", "0")
    places = [one["location"] for one in json.loads(report.read_text())["findings"]]
    return [(one["path"], one["start_line"], one["end_line"]) for one in places]


def _kingfisher(tool: str, folder: Path, report: Path) -> Found:
    options = (
        "--format",
        "json",
        "--no-validate",
        "--confidence",
        "low",
        "--no-update-check",
        "--no-dedup",
        "--output",
    )
    _quietly(tool, "scan", folder, *options, report)
    text = report.read_text()
    found = json.JSONDecoder().raw_decode(text[text.index("{") :])[0]["findings"]
    places = [one["finding"] for one in found]
    return [(one["path"], one["line"], one["line"] + one["snippet"].count("\n")) for one in places]


def _detect_secrets(tool: str, folder: Path, _report: Path) -> Found:
    told = _quietly(tool, "scan", "--all-files", folder)
    results = json.loads(told)["results"]
    return [(path, one["line_number"], one["line_number"]) for path, all_ in results.items() for one in all_]


def _credsweeper(tool: str, folder: Path, report: Path) -> Found:
    _quietly(tool, "--path", folder, "--severity", "info", "--save-json", report)
    lines = [line for one in json.loads(report.read_text()) for line in one["line_data_list"]]
    return [(line["path"], line["line_num"], line["line_num"]) for line in lines]


PEERS: dict[str, tuple[str, Callable[[str, Path, Path], Found]]] = {
    "gitleaks": ("gitleaks", _gitleaks),
    "betterleaks": ("betterleaks", _betterleaks),
    "kingfisher, low confidence": ("kingfisher", _kingfisher),
    "detect-secrets": ("detect-secrets", _detect_secrets),
    "CredSweeper, with info": ("credsweeper", _credsweeper),
}


def _quietly(tool: str, *words: object) -> str:
    """Runs `tool` beside the folder that it scans, as some report nothing of absolute paths."""
    command = [tool, *(word.name if isinstance(word, Path) else str(word) for word in words)]
    beside = next(word.parent for word in words if isinstance(word, Path))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900, cwd=beside)
    if done.returncode not in (0, 1, 200, 205):  # kingfisher ends with 200 or 205 when it found something
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-300:]}")
    return done.stdout


def _which(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("WARDSHIP_BENCH_PEERS", ""), os.environ["PATH"]]))


def _peer(tool: str, read: Callable[[str, Path, Path], Found]) -> Finder:
    def find(texts: Sequence[tuple[str, bytes]]) -> list[set[int]]:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "scanned"
            names = []
            for number, (path, content) in enumerate(texts):
                name = folder / f"{number:05}" / path
                name.parent.mkdir(parents=True)
                name.write_bytes(content)
                names.append(f"{number:05}")
            lines: dict[str, set[int]] = {name: set() for name in names}
            for path, first, last in read(tool, folder, Path(place) / "report.json"):
                number = path.rpartition("scanned/")[2].partition("/")[0]
                if number:
                    lines[number].update(range(first, last + 1))
            return [lines[name] for name in names]

    return find


def _ours(engine: Engine) -> Finder:
    def lines(path: str, content: bytes) -> set[int]:
        ends = [(hit.line, hit.line + hit.value.reveal().count("\n")) for hit in engine.scan(content, path=path)]
        return {line for first, last in ends for line in range(first, last + 1)}

    return lambda texts: [lines(path, content) for path, content in texts]


def _held_out(sets: Sets, **settings: Any) -> Score:
    trigrams = json.loads(scorer.WEIGHTS.read_bytes())["trigrams"]
    total = [0, 0, 0, 0]
    with tempfile.TemporaryDirectory() as folder:
        for name, weights in json.loads(lzma.decompress(HELD_OUT.read_bytes())).items():
            path = Path(folder) / name
            path.write_text(json.dumps({**weights, "trigrams": trigrams}))
            part = score(
                [one for one in sets.creddata if one.group == name], _ours(load_engine(weights=path, **settings))
            )
            figures = (part.found_true, part.true, part.found_false, part.false)
            total = [one + two for one, two in zip(total, figures, strict=True)]
    return Score(*total)


def _row(label: str, sets: Sets, finder: Finder, creddata: Score, began: float) -> None:
    samples = {
        group: score([one for one in sets.samples if one.group == group], finder)
        for group in ("kingfisher", "gitleaks")
    }
    kingfisher, gitleaks = samples["kingfisher"], samples["gitleaks"]
    print(
        f"{label:34}{creddata.precision:7.3f} /{creddata.recall:6.3f}{risk_lines(sets.leaky, finder):10}"
        f"{kingfisher.found_true:12}{gitleaks.found_true:10}{gitleaks.found_false + kingfisher.found_false:10}"
        f"{time.monotonic() - began:9.0f} s",
        flush=True,
    )


def run() -> None:
    if not ARCHIVE.exists():
        print("not run: ../shared/data/secrets is not there")
        return
    sets = load(ARCHIVE)
    count = {group: [one for one in sets.samples if one.group == group] for group in ("kingfisher", "gitleaks")}
    none = sum(not one.true for one in sets.samples)
    true = {group: sum(one.true for one in all_) for group, all_ in count.items()}
    print(
        f"CredData: {sum(one.true for one in sets.creddata)} true, {sum(not one.true for one in sets.creddata)} false"
    )
    print(
        f"{'':34}CredData P / R   leaky/{sum(n for *_, n in sets.leaky)}  kingfisher/{true['kingfisher']}"
        f" gitleaks/{true['gitleaks']} none/{none}"
    )
    for label, settings in (
        ("wardship, with notices", {"notices": True}),
        ("wardship, as it comes", {}),
        ("wardship, all confidences, notices", {"notices": True, "least": 0.25}),
    ):
        began = time.monotonic()
        _row(label, sets, _ours(load_engine(**settings)), _held_out(sets, **settings), began)
    for label, (name, read) in PEERS.items():
        tool = _which(name)
        if tool is None:
            print(f"{label:34}not run: {name} is not installed")
            continue
        began = time.monotonic()
        finder = _peer(tool, read)
        try:
            _row(label, sets, finder, score(sets.creddata, finder), began)
        except (RuntimeError, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as failed:
            print(f"{label:34}not run: {type(failed).__name__}: {str(failed)[:120]}")

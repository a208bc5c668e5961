"""The hook on a commit of 50 files with nothing to find: CPU and wall seconds, process start included.

Limit: 1 s wall. Beside it, in turns, what git itself needs to list and read the same contents (the floor), and the
scanners whose command lines WARDSHIP_BENCH_GITLEAKS and WARDSHIP_BENCH_KINGFISHER name ("not run" otherwise).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.harness import ROOT, Cost, median, process, table

FILES = 50
LIMIT_S = 1.0
_LIST = "git diff --cached --raw -z --no-abbrev | tr '\\0' '\\n' | awk '/^:/ {print $4}'"
_FLOOR = f"{_LIST} | git cat-file --batch >/dev/null"


def _staged(folder: Path) -> int:
    """A repository with 50 files of our own source staged, 30 of them changed, 20 new; returns their bytes."""
    sources = sorted((path for path in (ROOT / "wardship").rglob("*.py") if path.stat().st_size > 2_000), key=str)[
        :FILES
    ]

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)

    git("init", "-q")
    git("config", "user.email", "bench@example.org")
    git("config", "user.name", "bench")
    (folder / "README").write_text("bench\n")
    for number, path in enumerate(sources[:30]):
        shutil.copy(path, folder / f"{number:02d}_{path.name}")
    git("add", "-A")
    git("commit", "-qm", "before")
    total = 0
    for number, path in enumerate(sources):
        file = folder / f"{number:02d}_{path.name}"
        file.write_text(path.read_text() + "\nchanged = True\n")
        total += file.stat().st_size
    git("add", "-A")
    return total


def _in(folder: Path, command: list[str], allowed: tuple[int, ...] = ()) -> Callable[[], Cost]:
    return lambda: process(command, cwd=folder, allowed=allowed)


def run() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = _staged(folder)
        print(f"{FILES} staged files, {size / 1024:.0f} KB")
        ours = [sys.executable, "-P", "-m", "wardship", "hook", "run", "--stage", "pre-commit"]
        wanted = {
            "wardship hook run": ours,
            "git lists and reads (floor)": ["sh", "-c", _FLOOR],
            "empty interpreter": [sys.executable, "-c", "pass"],
        }
        peers = {
            "gitleaks": ("WARDSHIP_BENCH_GITLEAKS", ["git", "--staged", "--no-banner", "--redact", "."]),
            "kingfisher": (
                "WARDSHIP_BENCH_KINGFISHER",
                ["scan", ".", "--redact", "--no-validate", "--no-update-check"],
            ),
        }
        rows: list[list[object]] = []
        for label, command in wanted.items():
            rows.append(_row(label, median(_in(folder, command), 7)))
        for label, (variable, words) in peers.items():
            binary = os.environ.get(variable)
            if not binary or not shutil.which(binary):
                rows.append([label, f"not run: {variable} is not set", "", ""])
                continue
            try:
                rows.append(_row(label, median(_in(folder, [binary, *words], allowed=(1, 200)), 3)))
            except RuntimeError as error:
                rows.append([label, f"not run: {str(error).splitlines()[-1][:60]}", "", ""])
        table(["", "CPU s", "wall s", "MB"], rows)
        wall = median(_in(folder, ours), 7).wall_s
        print(f"limit {LIMIT_S:.1f} s wall: {'kept' if wall < LIMIT_S else 'BROKEN'} ({wall:.2f} s)")


def _row(label: str, cost: Cost) -> list[object]:
    return [label, f"{cost.cpu_s:.3f}", f"{cost.wall_s:.3f}", f"{cost.peak_mb:.0f}"]

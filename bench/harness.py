"""Measures child processes: CPU seconds (user + system, children included), wall seconds, peak resident memory."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process cost. `peak_mb` is the resident high-water mark of the process itself."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    output: str


def process(command: Sequence[str], *, env: dict[str, str] | None = None, cwd: Path | None = None) -> Cost:
    """Runs `command` to its end and says what it cost. Raises RuntimeError with its last lines when it fails."""
    with tempfile.TemporaryFile("w+") as out:
        began = time.perf_counter()
        child = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, cwd=cwd
        )
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        output = out.read()
    if child.returncode:
        tail = "\n".join(output.splitlines()[-5:])
        raise RuntimeError(f"{command[0]} ended with {child.returncode}:\n{tail}")
    return Cost(cpu_s=used.ru_utime + used.ru_stime, wall_s=wall, peak_mb=used.ru_maxrss / 1024, output=output.strip())


def python(module_or_code: str, *args: str, env: dict[str, str] | None = None) -> Cost:
    """Runs Python code (or `-m MODULE` when it is a dotted name) in a fresh interpreter."""
    form = (
        ["-m", module_or_code] if module_or_code.replace(".", "").replace("_", "").isalnum() else ["-c", module_or_code]
    )
    return process([sys.executable, *form, *args], env=env)


def median(measure: Callable[[], Cost], times: int = 5) -> Cost:
    """The run with the median CPU time of `times` runs."""
    runs = sorted((measure() for _ in range(times)), key=lambda cost: cost.cpu_s)
    return runs[len(runs) // 2]


def ratio(ours: Callable[[], Cost], theirs: Callable[[], Cost], pairs: int = 5) -> tuple[float, float, float]:
    """(median, least, most) of theirs/ours CPU over interleaved pairs: above 1 we are cheaper."""
    ratios = []
    for _ in range(pairs):
        mine, other = ours(), theirs()
        ratios.append(other.cpu_s / mine.cpu_s)
    return statistics.median(ratios), min(ratios), max(ratios)


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The growth exponent: least squares of log(cost) on log(size). 1.0 is linear."""
    x = [math.log(size) for size in sizes]
    y = [math.log(cost) for cost in costs]
    mx, my = statistics.fmean(x), statistics.fmean(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)

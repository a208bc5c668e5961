"""Measures child processes: CPU seconds (user + system, children included), wall seconds, peak resident memory.

Also the arithmetic that every benchmark shares: ratios within one run, growth exponents, digests of results.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LARGE = "WARDSHIP_BENCH_LARGE"

# The kernel counts the memory of whoever starts a process into that process's peak. So a small one starts it.
_LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - began
told = [os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, wall, used.ru_maxrss]
with open(sys.argv[1], "w") as out:
    json.dump(told, out)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process cost. `peak_mb` is the resident high-water mark of the process itself."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    output: str

    @property
    def figures(self) -> dict[str, Any]:
        """What the process measured of itself: the JSON object in its last line."""
        return dict(json.loads(self.output.splitlines()[-1]))


def large() -> bool:
    """Whether the larger sizes are asked for: `python -m bench --large`, or WARDSHIP_BENCH_LARGE=1."""
    return os.environ.get(LARGE, "") not in ("", "0")


def process(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    allowed: Sequence[int] = (),
) -> Cost:
    """Runs `command` to its end and says what it cost.

    Raises RuntimeError with its last lines when it ends with anything but 0 and the codes in `allowed`.
    """
    with tempfile.TemporaryDirectory() as folder:
        told, printed = Path(folder) / "told", Path(folder) / "printed"
        with printed.open("wb") as out:
            launch = [sys.executable, "-IS", "-c", _LAUNCHER, str(told), *command]
            subprocess.run(
                launch, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, cwd=cwd, check=True
            )
        output = printed.read_text(errors="replace")
        code, cpu_s, wall_s, peak_kb = json.loads(told.read_text())
    if code not in (0, *allowed):
        tail = "\n".join(output.splitlines()[-5:])
        raise RuntimeError(f"{command[0]} ended with {code}:\n{tail}")
    return Cost(cpu_s=cpu_s, wall_s=wall_s, peak_mb=peak_kb / 1024, output=output.strip())


def python(module_or_code: str, *args: str, env: Mapping[str, str] | None = None, allowed: Sequence[int] = ()) -> Cost:
    """Runs Python code (or `-m MODULE` when it is a dotted name) in a fresh interpreter, in the project's folder."""
    form = (
        ["-m", module_or_code] if module_or_code.replace(".", "").replace("_", "").isalnum() else ["-c", module_or_code]
    )
    return process([sys.executable, *form, *args], env=env, cwd=ROOT, allowed=allowed)


def keeping_bytecode(folder: Path) -> dict[str, str]:
    """The environment in which Python keeps compiled modules below `folder`, as an installed program has them. Without
    it, where PYTHONDONTWRITEBYTECODE is set, compiling is half of what a short command costs."""
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def server(name: str) -> str | None:
    """The URL that tests/servers/NAME.sh prints; None, with the reason printed, where it does not start."""
    script = ROOT / "tests" / "servers" / f"{name}.sh"
    done = subprocess.run(["bash", str(script), "start"], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        print(f"{name}: not run: {reason}")
        return None
    return done.stdout.strip().splitlines()[-1]


def median(measure: Callable[[], Cost], times: int = 5) -> Cost:
    """The run with the median CPU time of `times` runs."""
    runs = sorted((measure() for _ in range(times)), key=lambda cost: cost.cpu_s)
    return runs[len(runs) // 2]


def ratio(
    ours: Callable[[], Cost],
    theirs: Callable[[], Cost],
    pairs: int = 5,
    *,
    answer: Callable[[Cost], object] | None = None,
) -> tuple[float, float, float]:
    """(median, least, most) of theirs/ours CPU over interleaved pairs: above 1 we are cheaper.

    `answer` picks out of a run what both sides must agree on. Raises ValueError where they do not: then there is
    nothing to compare.
    """
    ratios = []
    for _ in range(pairs):
        mine, other = ours(), theirs()
        if answer is not None and answer(mine) != answer(other):
            raise ValueError(f"the two sides disagree: {answer(mine)} and {answer(other)}")
        ratios.append(other.cpu_s / mine.cpu_s)
    return statistics.median(ratios), min(ratios), max(ratios)


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The growth exponent: least squares of log(cost) on log(size). 1.0 is linear."""
    x = [math.log(size) for size in sizes]
    y = [math.log(cost) for cost in costs]
    mx, my = statistics.fmean(x), statistics.fmean(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)


def digest(rows: Iterable[object]) -> str:
    """Count and hash of `rows`, whatever their order: what two ways to one result must agree on."""
    count = total = 0
    for row in rows:
        count += 1
        total += int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=16).digest())
    return f"{count}:{total % 2**128:032x}"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints rows under a header, the first column to the left; floats with two digits."""
    texts = [[f"{cell:,.2f}" if isinstance(cell, float) else _word(cell) for cell in row] for row in rows]
    widths = [max(len(line[n]) for line in [list(header), *texts]) for n in range(len(header))]
    for line in [list(header), *texts]:
        first, *rest = (
            cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join([first, *rest]))


def _word(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)

"""The arithmetic of the benchmarks, what is measured of a process, and that the page about them tells of real ones."""

from __future__ import annotations

import importlib
import re
import sys

import pytest

from bench import __main__ as benchmarks
from bench import harness
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"


def test_the_exponent_is_that_of_the_power_law() -> None:
    sizes = [1_000, 3_000, 10_000]
    assert harness.exponent(sizes, [7.0 * size for size in sizes]) == pytest.approx(1.0)
    assert harness.exponent(sizes, [0.2 * size**1.5 for size in sizes]) == pytest.approx(1.5)
    assert harness.exponent(sizes, [4.0, 4.0, 4.0]) == pytest.approx(0.0)


def test_the_exponent_is_the_best_line_through_all_points_not_the_ends() -> None:
    # log2: (0, 0), (1, 2), (2, 1): the slope of least squares is 0.5
    assert harness.exponent([1, 2, 4], [1, 4, 2]) == pytest.approx(0.5)


def cost(cpu_s: float, output: str = "") -> harness.Cost:
    return harness.Cost(cpu_s=cpu_s, wall_s=0.0, peak_mb=0.0, output=output)


def test_a_ratio_is_taken_pair_by_pair_and_interleaved() -> None:
    order: list[str] = []
    mine, others = iter([1.0, 2.0, 4.0]), iter([10.0, 4.0, 12.0])

    def ours() -> harness.Cost:
        order.append("ours")
        return cost(next(mine))

    def theirs() -> harness.Cost:
        order.append("theirs")
        return cost(next(others))

    assert harness.ratio(ours, theirs, 3) == (3.0, 2.0, 10.0)
    assert order == ["ours", "theirs"] * 3


def test_no_ratio_where_the_two_sides_disagree() -> None:
    with pytest.raises(ValueError, match="disagree"):
        harness.ratio(lambda: cost(1, "a"), lambda: cost(1, "b"), 1, answer=lambda run: run.output)


def test_a_digest_knows_no_order_but_every_row() -> None:
    rows = [("a", 1), ("b", 2), ("b", 2)]
    assert harness.digest(rows) == harness.digest(reversed(rows))
    assert harness.digest(rows) != harness.digest(rows[:2])
    assert harness.digest(rows) != harness.digest([("a", 1), ("a", 1), ("b", 2)])


def test_a_process_is_measured_and_not_who_starts_it() -> None:
    ballast = bytearray(200_000_000)
    ballast[::4_096] = b"x" * len(ballast[::4_096])
    idle = harness.python("pass;")
    busy = harness.python("data = b'x' * 60_000_000; print(sum(range(10_000_000)))")
    assert idle.peak_mb < 60 < busy.peak_mb < 200
    assert busy.cpu_s > idle.cpu_s > 0
    assert busy.wall_s >= busy.cpu_s * 0.5
    assert busy.output == "49999995000000"


def test_a_process_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="ended with 3:\nnot today"):
        harness.process([sys.executable, "-c", "print('not today'); raise SystemExit(3)"])
    assert harness.python("raise SystemExit(3)", allowed=[3]).output == ""


def test_every_benchmark_can_be_run_and_is_told_of() -> None:
    page = PAGE.read_text(encoding="utf-8")
    told = set(re.findall(r"^## `(\w+)`", page, flags=re.MULTILINE))
    assert told == set(benchmarks.names())
    for name in told:
        assert callable(importlib.import_module(f"bench.{name}").run)
    named = set(re.findall(r"python -m bench((?: (?:--)?[a-z_]+)*)", page))
    words = {word for command in named for word in command.split()} - {"--large"}
    assert words <= set(benchmarks.names())

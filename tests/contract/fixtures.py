"""The `contract` fixture: a simulator held against the vendors' descriptions, for the tests of connectors.

    def test_discovers(contract, clock):
        held = contract("graph", "graph-beta", undescribed=["login.microsoftonline.com"])
        connector = entra.connect(connection(wire=held.wire(simulator)))
        held.expect("GET /v1.0/applications", ...)

At the end of the test everything that was asked, answered or read wrongly fails it. Without ../shared (a user's clone)
the simulator is used as it is, and pytest's summary says what was not checked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.check import Contract
from tests.contract.description import Description

CONTRACTS = Path(__file__).resolve().parents[3] / "shared" / "contracts"
_UNCHECKED = "contract not checked"
_CALLED = "contract operations"


@cache
def description(name: str) -> Description:
    """The description `name` of ../shared/contracts; loaded once."""
    return Description(CONTRACTS / f"{name}.json")


class Unchecked:
    """What `contract` gives where the descriptions are absent: the same interface, no checks."""

    violations: Sequence[str] = ()

    def expect(self, *operations: str) -> None:
        """Nothing to compare with."""

    def check(self) -> None:
        """Nothing was checked; the summary says so."""

    def wire(self, simulator: Any) -> Any:
        return simulator

    def transport(self, inner: httpx.BaseTransport) -> httpx.BaseTransport:
        return inner

    @contextlib.contextmanager
    def serve(self, simulator: Any) -> Iterator[str]:
        with simulator.serve() as url:
            yield url


@pytest.fixture
def contract(request: pytest.FixtureRequest) -> Iterator[Callable[..., Contract | Unchecked]]:
    """Gives contract(*names, undescribed=()) -> Contract; every one made is checked when the test ends."""
    made: list[Contract] = []

    def make(*names: str, undescribed: Sequence[str] = ()) -> Contract | Unchecked:
        if not CONTRACTS.is_dir():
            request.node.user_properties.append((_UNCHECKED, ", ".join(names)))
            return Unchecked()
        made.append(Contract([description(name) for name in names], undescribed=undescribed))
        return made[-1]

    yield make
    for each in made:
        request.node.user_properties.append((_CALLED, [list(key) for key in each.called]))
        each.check()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was held against which description, and what was not."""
    unchecked: dict[str, int] = {}
    called: dict[str, set[str]] = {}
    for reports in list(terminalreporter.stats.values()):
        for report in reports:
            if getattr(report, "when", "") != "teardown":
                continue
            for name, value in report.user_properties:
                if name == _UNCHECKED:
                    unchecked[value] = unchecked.get(value, 0) + 1
                elif name == _CALLED:
                    for file, operation in value:
                        called.setdefault(file, set()).add(operation)
    for file, operations in sorted(called.items()):
        terminalreporter.write_line(f"contract {file}: {len(operations)} operations called and held to it")
    for names, tests in sorted(unchecked.items()):
        terminalreporter.write_line(
            f"contract not checked: {tests} tests of {names}, for ../shared/contracts is not present"
        )

"""Every connector of the registry against the suite of `wardship.sdk.testing`, on its own simulated system.

`wardship/sim/NAME.py` is how a connector takes part:

    def simulated(clock) -> Connection        a connection to a freshly made small organisation, `wire` set
    def acting_target(connection) -> str      native id whose credentials may be made and deleted; absent: no acting

A connector whose evidence is the real product may do without; then its own tests read and change the real product.
"""

from __future__ import annotations

import importlib
import importlib.util
import os

import pytest

from wardship.sdk.connector import Evidence
from wardship.sdk.registry import connector_module, connector_names
from wardship.sdk.testing import NotTried, Suite

CHECKS = [name for name in vars(Suite) if not name.startswith("_") and name != "checks"]
SIZE = int(os.environ.get("WARDSHIP_FUZZ", "200"))


def suite(name: str, size: int = SIZE) -> Suite:
    module = connector_module(name)
    if importlib.util.find_spec(f"wardship.sim.{name}") is None:
        if module.MANIFEST.evidence is not Evidence.REAL_PRODUCT:
            pytest.fail(f"connector {name!r} has no simulated system: wardship/sim/{name}.py is missing")
        return Suite(module, simulated=None)
    sim = importlib.import_module(f"wardship.sim.{name}")
    return Suite(module, simulated=sim.simulated, acting_target=getattr(sim, "acting_target", None), size=size)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", connector_names())
def test_connector(name: str, check: str) -> None:
    try:
        getattr(suite(name), check)()
    except NotTried as reason:
        pytest.skip(f"{name}: {reason}")


@pytest.mark.chaos
@pytest.mark.parametrize("name", connector_names())
def test_parse_survives_ten_thousand_bent_items(name: str) -> None:
    try:
        suite(name, size=10_000).parse_raises_data_errors_only()
    except NotTried as reason:
        pytest.skip(f"{name}: {reason}")


def test_the_list_of_checks_is_the_suites_own() -> None:
    made = suite(connector_names()[0]) if connector_names() else None
    assert made is None or {check.__name__ for check in made.checks()} == set(CHECKS)

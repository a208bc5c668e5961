"""The suite for connectors passes a good one, and bites on each mistake that it exists for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.sdk import sample
from wardship.model.errors import ConnectorError
from wardship.model.scan import RawPage, Scope
from wardship.sdk.connector import Capability, Connection, Permission, SetupGuide
from wardship.sdk.testing import NotTried, Suite, Unfit


def suite(module: Any = sample, **more: Any) -> Suite:
    return Suite(module, simulated=sample.simulated, acting_target=sample.acting_target, size=150, **more)


@pytest.mark.parametrize("check", [check.__name__ for check in suite().checks()])
def test_a_good_connector_passes(check: str) -> None:
    getattr(suite(), check)()


def variant(**names: Any) -> ModuleType:
    """The sample with some names replaced."""
    module = ModuleType("tests.sdk.sample")
    module.__dict__.update({**vars(sample), **names})
    return module


class FirstPageOnly(sample.SampleConnector):
    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        page = next(super().fetch(scope, token))
        yield dataclasses.replace(page, next_token=None)


class Swallows(sample.SampleConnector):
    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        try:
            yield from super().fetch(scope, token)
        except ConnectorError:
            return


class BeginsAgain(sample.SampleConnector):
    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        yield from super().fetch(scope, None)


class ParsesBlindly(sample.SampleConnector):
    def parse(self, scope: Scope, item: Any) -> Iterator[Any]:
        yield from super().parse(scope, {"id": item["id"], "name": item["name"].strip()})


class Counts(sample.SampleConnector):
    reads = 0

    def parse(self, scope: Scope, item: Any) -> Iterator[Any]:
        Counts.reads += 1
        for record in super().parse(scope, item):
            yield dataclasses.replace(record, name=f"{Counts.reads}")


class Denies(sample.SampleConnector):
    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        return False


class SetupForgets(sample.SampleConnector):
    def setup(self, capability: Capability) -> SetupGuide:
        return SetupGuide(capability=capability, terraform="x", cli="x", portal=["x"], remove="x")


class SaysNothing(sample.SampleConnector):
    def check(self) -> Any:
        return []


@pytest.mark.parametrize(
    ("connector", "check", "says"),
    [
        (FirstPageOnly, "smaller_pages_give_the_same", "lose records"),
        (Swallows, "lasting_faults_are_never_completeness", "calls fewer records complete"),
        (BeginsAgain, "reading_goes_on_from_every_page", "are not the whole"),
        (ParsesBlindly, "parse_raises_data_errors_only", "parse raised"),
        (Counts, "discovery_is_repeatable", "different records"),
        (Denies, "point_reads_tell_what_exists", "denies"),
        (SetupForgets, "setup_needs_no_credential_and_names_each_permission", "forgets robots.read"),
        (SaysNothing, "check_answers_for_each_permission", "says nothing of robots.read"),
    ],
)
def test_a_bad_connector_is_caught(connector: type, check: str, says: str) -> None:
    with pytest.raises(Unfit, match=says):
        getattr(suite(variant(connect=connector)), check)()


def test_a_connector_that_retries_nothing_is_caught() -> None:
    class GivesUp(sample.SampleConnector):
        def __init__(self, connection: Connection) -> None:
            from wardship.sdk.http import Budget, Http

            super().__init__(connection)
            self._http = Http.of(
                connection, sample.URL, stats=self.stats, auth=self._http.auth, budget=Budget(attempts=1)
            )

    with pytest.raises(Unfit, match=r"one 'throttle' at call 1"):
        suite(variant(connect=GivesUp)).passing_faults_lose_nothing()


class KeepsTheValue(sample.SampleActor):
    def create(self, target: str, op_id: str, deliver: Callable[[Any, str], None]) -> str:
        def keep(value: Any, credential: str) -> None:
            self.kept = value.reveal()
            deliver(value, credential)

        return super().create(target, op_id, keep)


class DisablesNothing(sample.SampleActor):
    def disable(self, target: str, credential_id: str) -> None:
        """Forgets to."""


@pytest.mark.parametrize(
    ("actor", "says"), [(KeepsTheValue, "kept the value"), (DisablesNothing, "after disable it is not so")]
)
def test_a_bad_actor_is_caught(actor: type, says: str) -> None:
    with pytest.raises(Unfit, match=says):
        suite(variant(act=actor)).acting_twice_changes_nothing_more()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"blind_spots": ()},
        {"permissions": {}},
        {"permissions": {Capability.DISCOVER: (Permission(name="x", why=""),)}},
        {"imports": ("a file",)},
    ],
)
def test_an_incomplete_manifest_is_caught(change: dict[str, Any]) -> None:
    with pytest.raises(Unfit):
        suite(variant(MANIFEST=dataclasses.replace(sample.MANIFEST, **change))).manifest_is_complete()


def test_what_cannot_be_tried_says_so() -> None:
    with pytest.raises(NotTried, match="acting_target"):
        Suite(sample, simulated=sample.simulated).acting_twice_changes_nothing_more()

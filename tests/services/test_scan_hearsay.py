"""What another tool exported of a system, before and after that system itself was read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from wardship.model.errors import ConfigError
from wardship.sdk.connector import Connection
from wardship.services import scan
from wardship.sim.aws import MEMBER, small_world
from wardship.sim.aws.world import AwsWorld
from wardship.store import tables
from wardship.store.workspace import Workspace

HOUR = timedelta(hours=1)
ARN = f"arn:aws:iam::{MEMBER}:user/etl"


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ws(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Workspace]:
    monkeypatch.setenv("TEST_STATE", database_url)
    reference = "env:TEST_STATE" if database_url.startswith("postgresql") else None
    with Workspace.create(tmp_path / "ws", reference, clock=clock) as made:
        yield made


@pytest.fixture
def world(clock: Clock) -> AwsWorld:
    return small_world(clock)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph of cartography's in which the user has an old name."""
    path = tmp_path / "graph.json"
    node = {"type": "node", "id": "0", "labels": ["AWSUser"], "properties": {"arn": ARN, "name": "before"}}
    path.write_text(json.dumps(node) + "\n", encoding="utf-8")
    return path


def live(ws: Workspace, world: AwsWorld, clock: Clock) -> None:
    connection = world.connection(regions="eu-west-1", member_role="wardship")
    assert scan.read(ws, connection, "test", judge=False).error is None
    clock.now += HOUR


def imported(ws: Workspace, graph: Path, clock: Clock, *, as_of: datetime | None = None, force: bool = False) -> None:
    ours = Connection(name="file", connector="file", clock=clock)
    assert scan.read_files(ws, ours, [graph], "test", as_of=as_of, force=force).error is None
    clock.now += HOUR


def user(ws: Workspace) -> tuple[str, str, str]:
    """(name, presence, connector of the scope that it belongs to)."""
    table = tables.CURRENT["identity"]
    with ws.db.read() as conn:
        row = conn.execute(sa.select(table).where(table.c.native_id == ARN)).one()
    return row.name, row.presence, row.scope_key.partition("|")[0]


def test_what_is_read_live_takes_over_what_was_imported_before(
    ws: Workspace, world: AwsWorld, graph: Path, clock: Clock
) -> None:
    imported(ws, graph, clock)
    assert user(ws) == ("before", "present", "file")
    live(ws, world, clock)
    assert user(ws) == ("etl", "present", "aws")


def test_an_import_after_a_live_reading_needs_its_date_or_a_word(
    ws: Workspace, world: AwsWorld, graph: Path, clock: Clock
) -> None:
    live(ws, world, clock)
    with pytest.raises(ConfigError, match="do not tell their date") as refused:
        imported(ws, graph, clock)
    assert "--as-of" in refused.value.advice
    with pytest.raises(ConfigError, match="after the files were exported"):
        imported(ws, graph, clock, as_of=NOW - HOUR)
    imported(ws, graph, clock, as_of=clock.now)
    imported(ws, graph, clock, force=True)
    assert user(ws) == ("etl", "present", "aws"), "hearsay changes nothing of what is read live"


def test_an_import_keeps_and_brings_back_nothing_that_is_gone(
    ws: Workspace, world: AwsWorld, graph: Path, clock: Clock
) -> None:
    live(ws, world, clock)
    imported(ws, graph, clock, force=True)
    world.account(MEMBER, "workloads").remove_user("etl")
    live(ws, world, clock)
    live(ws, world, clock)
    assert user(ws) == ("etl", "gone", "aws")
    imported(ws, graph, clock, force=True)
    assert user(ws) == ("etl", "gone", "aws")


def test_a_file_of_another_system_is_taken_without_a_question(
    ws: Workspace, world: AwsWorld, graph: Path, clock: Clock
) -> None:
    graph.write_text(graph.read_text("utf-8").replace(MEMBER, "999900001111"), encoding="utf-8")
    live(ws, world, clock)
    imported(ws, graph, clock)

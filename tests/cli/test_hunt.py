"""lookup, hunt."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import lake
from tests.cli.conftest import Command
from wardship.services import usage
from wardship.store.workspace import Workspace

TODAY = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli-hunt") / "ws"
    with Workspace.create(path, clock=lambda: TODAY) as ws:
        row = {"time": TODAY.strftime("%Y-%m-%dT00:00:00"), "credential_id": "AKIA-made-up", "mutating": True}
        lake.publish(ws.db, ws.activity, [{**row, "uid": str(number), "actor_id": f"R{number}"} for number in range(3)])
        usage.refresh(ws)
    return path


def test_a_key_is_looked_up_for_a_person_and_for_a_playbook(run: Command, folder: Path) -> None:
    shown = run("lookup", "AKIA-made-up", "-w", folder)
    assert shown.code == 0
    assert "not evaluated yet" in shown.out
    (told,) = json.loads(run("lookup", "AKIA-made-up", "-w", folder, "-o", "json").out)
    assert (told["asked"], told["identity"], told["use"]["events"]) == ("AKIA-made-up", None, 3)
    assert run("lookup", "nobody-at-all", "-w", folder).code == 2


def test_hunts_are_listed_without_a_workspace(run: Command, tmp_path: Path) -> None:
    rows = json.loads(run("hunt", "list", "-w", tmp_path / "none", "-o", "json").out)
    assert len(rows) >= 8
    assert not any(row["own"] for row in rows)


def test_a_hunt_says_how_to_read_its_bounded_answer(run: Command, folder: Path) -> None:
    ran = run("hunt", "run", "acts_and_is_not_in_the_inventory", "--most", "2", "-w", folder, "-o", "json")
    assert ran.code == 0
    assert len(json.loads(ran.out)) == 2
    assert "How to read it:" in ran.err
    assert "more than 2 rows" in ran.err
    sql = run("hunt", "run", "acts_and_is_not_in_the_inventory", "--sql", "-w", folder)
    assert sql.out.startswith("SELECT")
    assert run("hunt", "run", "nothing", "-w", folder).code == 2

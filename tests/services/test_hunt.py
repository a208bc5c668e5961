"""Every hunt answers over a lake, bounded, about one identity if asked so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import NOW
from tests.lake import publish
from tests.services.detecting import workspace
from wardship.model.errors import ConfigError
from wardship.model.policy import Policy
from wardship.sdk.hunt import CLASSES, hunt_messages, load_hunts
from wardship.services import hunt as service
from wardship.services import usage
from wardship.store.db import Database

SINCE = NOW.replace(month=11, day=1)


def test_there_is_a_pack_for_each_class_of_identity() -> None:
    assert {one.identity_class for one in load_hunts()} == set(CLASSES)
    assert all(message.strip() for _place, message in hunt_messages())
    titles = [one.title for one in load_hunts()]
    assert len(titles) == len(set(titles))
    assert all(title.endswith("?") for title in titles), "a hunt is a question"


@pytest.mark.parametrize("hunt", load_hunts(), ids=lambda one: one.id)
def test_a_hunt_answers_over_an_empty_lake(hunt: service.Hunt, database: Database, tmp_path: Path) -> None:
    answer = service.run(workspace(tmp_path, database), hunt, since=SINCE, policy=Policy())
    assert (list(answer.rows), answer.more) == ([], False)
    assert all(one.label[:1].isupper() for one in answer.columns), "a person reads the heads of a table"


def test_rows_are_bounded_and_begin_with_what_is_to_be_read_first(database: Database, tmp_path: Path) -> None:
    ws = workspace(tmp_path, database)
    publish(
        ws.db,
        ws.activity,
        [
            {"time": "2026-11-20T03:00:00", "uid": f"{n}", "actor_id": f"R{n % 5}", "mutating": n % 5 == 3}
            for n in range(40)
        ]
        + [{"time": "2026-10-20T03:00:00", "uid": "old", "actor_id": "OLD"}],
    )
    usage.refresh(ws)
    one = service.find(service.catalogue(ws)[0], "acts_and_is_not_in_the_inventory")
    answer = service.run(ws, one, since=SINCE, policy=Policy(), most=3)
    assert answer.more
    assert len(answer.rows) == 3
    assert (answer.rows[0]["actor_id"], answer.rows[0]["changes"]) == ("R3", 8)
    everything = service.run(ws, one, since=SINCE, policy=Policy())
    assert {row["actor_id"] for row in everything.rows} == {f"R{n}" for n in range(5)}
    assert list(service.run(ws, one, since=SINCE, policy=Policy(), identity_uid="id_x").rows) == []


def test_own_hunts_are_read_from_the_workspace_and_checked(database: Database, tmp_path: Path) -> None:
    ws = workspace(tmp_path, database)
    (ws.path / "hunts").mkdir()
    own = ws.path / "hunts" / "my_question.yaml"
    text = (
        "id: my_question\ntitle: Who read?\nidentity_class: any\nhow_to_read: Each row is one.\n"
        "next_steps: [Ask.]\nlimits: [Little.]\nquery: SELECT NULL AS identity_uid, a.uid FROM activity AS a\n"
    )
    own.write_text(text)
    assert "my_question" in {row["id"] for row in service.rows(service.catalogue(ws)[0]) if row["own"]}
    own.write_text(text.replace("FROM activity AS a", "FROM read_csv('/etc/passwd') AS a"))
    found, (problem,) = service.catalogue(ws)
    assert (len(found), "my_question.yaml, line 7, query" in problem) == (len(load_hunts()), True)
    own.write_text(text.replace("NULL AS identity_uid, ", ""))
    assert "identity_uid" in service.catalogue(ws)[1][0]
    with pytest.raises(ConfigError, match="no hunt is called"):
        service.find([], "nothing")

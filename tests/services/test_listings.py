"""Lists on both databases: the demo in PostgreSQL says what it says in SQLite; a split shows in the inventory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conftest import NOW, _new_postgresql
from wardship.app import App, demo_connections
from wardship.cli.main import main
from wardship.services import audit, evaluate, explain, inventory, listings, scan


@pytest.fixture(scope="module")
def in_postgresql(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The demo with its state in PostgreSQL, named by a reference only."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("WARDSHIP_TEST_STATE", stack.enter_context(_new_postgresql(postgres_url, "template0")))
        folder = tmp_path_factory.mktemp("postgresql") / "ws"
        app = stack.enter_context(App.create(folder, database_url="env:WARDSHIP_TEST_STATE", clock=lambda: NOW))
        for connection in demo_connections(app, "s"):
            assert scan.read(app.workspace, connection, app.actor, judge=False).error is None
        evaluate.again(app.workspace, actor=app.actor)
        yield app


def told(app: App) -> list[tuple[str, str, str]]:
    """Secrets have an id of their own in each workspace: it comes from the workspace's key."""
    with app.facts() as facts:
        return [
            (row["severity"], row["rule"], "" if row["subject_family"] in ("secret", "exposure") else row["uid"])
            for row in listings.findings(app.db, facts)
        ]


def test_postgresql_says_what_sqlite_says(demo: App, in_postgresql: App) -> None:
    assert Counter(told(in_postgresql)) == Counter(told(demo))
    since = NOW - timedelta(days=1)
    changes = [
        Counter((r["family"], r["change"]) for r in listings.changes(a.db, since)) for a in (demo, in_postgresql)
    ]
    assert changes[0] == changes[1]
    assert audit.verify(in_postgresql.workspace).problems == []
    with in_postgresql.facts() as facts:
        rule_of = {rule.id: rule for rule in evaluate.workspace_rules(in_postgresql.workspace)}.get
        for row in listings.varied(listings.findings(in_postgresql.db, facts), of_each_rule=1, limit=3):
            assert explain.explain(in_postgresql.db, facts, row["uid"], rule_of=rule_of, now=NOW).sections


def test_the_commands_work_on_postgresql(
    in_postgresql: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--workspace", str(in_postgresql.workspace.path), "--quiet"]
    assert main(["findings", "--output", "json", *place]) == 0
    assert json.loads(capsys.readouterr().out)
    for thing in listings.EXPORTS:
        assert main(["export", thing, "--out", str(tmp_path / f"{thing}.csv"), *place]) == 0
    assert main(["changes", "--since", "2026-01-01", *place]) == 0
    assert main(["audit", "verify", *place]) == 0


def test_a_split_shows_two_identities_and_a_rejoin_one_again(own_demo: App) -> None:
    """An Entra application and its service principal, joined by the ids they declare."""
    with own_demo.facts() as facts:
        joined = facts.one(
            "SELECT identity_uid AS uid, min(p.uid) AS one, max(p.uid) AS other FROM identity_part AS p"
            " WHERE p.authority LIKE 'entra:%' GROUP BY 1 HAVING count(*) = 2 ORDER BY 1"
        )

    def judged() -> tuple[int, set[str]]:
        evaluate.evaluate(own_demo.workspace, actor="test", scan_seq=99)
        with own_demo.facts() as facts:
            every = {row["uid"] for row in inventory.everything(own_demo.db, facts, inventory.Filter(every=True))}
        return len(every), every & {joined["one"], joined["other"]}

    before = judged()
    assert before[1] == {joined["uid"]}
    inventory.split(own_demo.db, "cli:ana", joined["one"], joined["other"], "two things that share a client id")
    assert judged() == (before[0] + 1, {joined["one"], joined["other"]})
    inventory.rejoin(own_demo.db, "cli:ana", joined["one"], joined["other"], "split by mistake")
    assert judged() == before
    actions = [entry.action for entry in audit.entries(own_demo.workspace)]
    assert {"identity.split", "identity.rejoin"} <= set(actions)

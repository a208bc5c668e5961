"""One secret on its way from the code to the vault: listed, told, linked by a person, asked about at our systems."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from tests.store.seed import put
from wardship.app import App
from wardship.model.errors import ConfigError, TransitionRefused, Unavailable
from wardship.model.secret import Secret
from wardship.sdk import registry
from wardship.sdk.connector import Connection
from wardship.services import evaluate, leaks
from wardship.services.story import Story
from wardship.store import tables

REPO = "git:github.com/acme/shop"
PRINT = "0123456789abcdef" * 2
SECRET = "se_" + PRINT[:20]
VALUE = "hvs." + "C4nary" * 4


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with App.create(tmp_path / "ws", clock=lambda: NOW) as app:
        with app.db.bookkeep() as conn:
            put(conn, "system", "repo", authority=REPO, kind="git_repository", name="acme/shop")
            put(
                conn,
                "exposure",
                "deploy/.env",
                authority=REPO,
                fingerprint=PRINT,
                name="VAULT_TOKEN",
                detector="vault.token",
                place="dotenv",
                line=3,
                introduced_by="eva@acme.example",
                introduced_at=NOW - timedelta(days=400),
            )
            put(conn, "credential", "secret/shop/token", authority="vault:v1", type="stored_secret", name="token")
        evaluate.again(app.workspace, actor="tester")
        yield app


def lines(told: Story) -> dict[str, str]:
    return {section.id: "\n".join(section.lines) for section in told.sections}


def test_the_list_has_what_is_not_finished(app: App) -> None:
    with app.facts() as facts:
        (row,) = leaks.listed(facts)
        assert (row["uid"], row["stage"], row["validity"], row["head_exposures"]) == (SECRET, "found", "unknown", 1)
        assert list(leaks.listed(facts, stage="vaulted")) == []
        assert list(leaks.listed(facts, least_confidence=0.95)) == []
        assert leaks.progress(facts) == {"found": 1, "vaulted": 0, "moved": 0, "removed": 0, "purged": 0}


def test_a_secret_is_found_by_any_of_its_names(app: App) -> None:
    with app.facts() as facts:
        exposure = facts.one("SELECT uid FROM exposure")["uid"]
        for name in (SECRET, exposure, "VAULT_TOKEN"):
            assert leaks.find(facts, name)["uid"] == SECRET
        with pytest.raises(ConfigError, match="no secret is called"):
            leaks.find(facts, "nothing")


def test_its_story_tells_places_steps_and_what_is_not_known(app: App) -> None:
    with app.facts() as facts:
        told = leaks.story(facts, SECRET)
    said = lines(told)
    assert "deploy/.env:3" in said["places"]
    assert "eva@acme.example" in said["places"]
    assert "unknown" in said["opens"]
    assert "1 validated: no" in said["leak"]
    assert "2 rotated, the old value is dead: unknown" in said["leak"]
    assert "wardship secrets check" in said["next"]
    assert "what runs with" in said["consumers"]
    assert all(section.lines for section in told.sections)


def test_a_check_is_advised_only_where_a_system_can_be_asked(app: App) -> None:
    """Nobody can be asked about a password of unknown origin: to advise it would lead into a refusal."""
    with app.db.bookkeep() as conn:
        put(conn, "exposure", "x.py", authority=REPO, fingerprint="f" * 32, name="PW", detector="generic.password")
    evaluate.again(app.workspace, actor="tester")
    with app.facts() as facts:
        assert "wardship secrets check" not in lines(leaks.story(facts, "PW"))["next"]


def test_a_person_links_the_entry_that_replaces_it_and_can_take_it_back(app: App) -> None:
    with app.facts() as facts:
        leaks.link(app.db, facts, "ana", SECRET, credential="secret/shop/token", reason="release 4.2")
        with pytest.raises(ConfigError, match="names 0 entries"):
            leaks.link(app.db, facts, "ana", SECRET, credential="nothing", reason="x")
    evaluate.again(app.workspace, actor="ana")
    with app.facts() as facts:
        assert leaks.find(facts, SECRET)["stage"] == "vaulted"
        leaks.unlink(app.db, facts, "ana", SECRET)
        with pytest.raises(TransitionRefused, match="nothing is linked"):
            leaks.unlink(app.db, facts, "ana", SECRET)
    evaluate.again(app.workspace, actor="ana")
    with app.facts() as facts:
        assert leaks.find(facts, SECRET)["stage"] == "found"
    assert [action for action, _ in audited(app)] == ["secret.linked", "secret.unlinked"]


def audited(app: App) -> list[tuple[str, Mapping[str, Any]]]:
    with app.db.read() as conn:
        bodies = [
            json.loads(body) for body in conn.scalars(sa.select(tables.audit.c.body).order_by(tables.audit.c.seq))
        ]
    return [(body["action"], body["details"]) for body in bodies if body["action"].startswith("secret.")]


# ------------------------------------------------------------------ does it still work?


class Asked:
    """Two connectors that remember what they were asked."""

    def __init__(self, active: bool | None = True, *, silent: bool = False) -> None:
        self.calls: list[tuple[str, str | None]] = []
        vault, git = ModuleType("vault"), ModuleType("git")

        def still_active(_connection: Connection, detector: str, value: Secret, public_id: str | None) -> bool | None:
            if silent:
                raise Unavailable("no answer")
            assert value.reveal() == VALUE
            self.calls.append((detector, public_id))
            return active

        vault.still_active = still_active  # type: ignore[attr-defined]  # a module made up for the test
        vault.ACTIVE_CALL = "auth/token/lookup-self"  # type: ignore[attr-defined]  # as above
        git.read_value = (  # type: ignore[attr-defined]  # as above
            lambda _connection, exposure: Secret(VALUE) if exposure["line"] == 3 else None
        )
        self.modules = {"vault": vault, "git": git}


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[[Asked], list[Connection]]:
    def install(asked: Asked) -> list[Connection]:
        monkeypatch.setattr(registry, "connector_module", lambda name, _allowed=(): asked.modules[name])
        return [Connection(name=f"our-{name}", connector=name, clock=lambda: NOW) for name in asked.modules]

    return install


@pytest.mark.parametrize(("active", "validity"), [(True, "active"), (False, "inactive"), (None, "unknown")])
def test_one_call_at_our_own_system_tells_and_is_on_record(
    app: App, plug: Callable[[Asked], list[Connection]], active: bool | None, validity: str
) -> None:
    asked = Asked(active)
    connections = plug(asked)
    with app.facts() as facts:
        asking = leaks.plan_check(facts, SECRET, connections)
    assert (asking.connections, asking.sources, asking.call) == (("our-vault",), ("our-git",), "auth/token/lookup-self")
    assert asked.calls == [], "planning calls nothing"
    assert leaks.check(app.db, "ana", asking, connections).active is active
    assert asked.calls == [("vault.token", None)]
    assert [row[1:] for row in leaks.checks(app.db, SECRET)] == [("auth/token/lookup-self", validity, "ana")]
    assert [action for action, _ in audited(app)] == ["secret.check_started", "secret.checked"]
    assert VALUE not in json.dumps(audited(app))
    evaluate.again(app.workspace, actor="ana")
    with app.facts() as facts:
        assert leaks.find(facts, SECRET)["validity"] == validity


def test_other_peoples_systems_are_not_asked(app: App, plug: Callable[[Asked], list[Connection]]) -> None:
    connections = plug(Asked())
    with app.facts() as facts, pytest.raises(ConfigError, match="no connection of yours can be asked"):
        leaks.plan_check(facts, SECRET, [one for one in connections if one.connector == "git"])
    with app.facts() as facts, pytest.raises(ConfigError, match="can read git:"):
        leaks.plan_check(facts, SECRET, [one for one in connections if one.connector == "vault"])


def test_with_two_vaults_it_is_dead_only_if_both_refuse_it(
    app: App, plug: Callable[[Asked], list[Connection]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked()
    first = plug(asked)
    second = dataclasses.replace(first[0], name="other-vault")
    answers = {"our-vault": False, "other-vault": True}
    asked.modules["vault"].still_active = lambda connection, *_rest: answers[connection.name]  # type: ignore[attr-defined]  # made up
    with app.facts() as facts:
        asking = leaks.plan_check(facts, SECRET, [*first, second])
    assert leaks.check(app.db, "ana", asking, [*first, second]).active is True
    answers["other-vault"] = False
    assert leaks.check(app.db, "ana", asking, [*first, second]).active is False


def test_no_answer_is_unknown_and_not_dead(app: App, plug: Callable[[Asked], list[Connection]]) -> None:
    connections = plug(Asked(silent=True))
    with app.facts() as facts:
        asking = leaks.plan_check(facts, SECRET, connections)
    answer = leaks.check(app.db, "ana", asking, connections)
    assert (answer.active, answer.reason) == (None, "no answer")
    moved = dataclasses.replace(asking, exposure={**asking.exposure, "line": 4})
    assert leaks.check(app.db, "ana", moved, connections).reason == "the value is not at its place any more"
    assert {row[2] for row in leaks.checks(app.db, SECRET)} == {"unknown"}

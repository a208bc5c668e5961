"""From a key id to everything that decides what to do with it, in one answer."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.conftest import NOW
from tests.lake import publish
from wardship.app import App
from wardship.model.errors import ConfigError
from wardship.services import lookup, usage
from wardship.services.formats import Format, Listing, write_text


def test_a_leaked_key_leads_to_its_owner_its_use_and_where_it_leaked(own_demo: App, tmp_path: Path) -> None:
    with own_demo.facts() as facts:
        key = facts.one(
            "SELECT c.public_id, c.identity_uid, c.authority, p.native_id FROM exposure AS x"
            " JOIN credential AS c ON c.uid = x.credential_uid"
            " JOIN identity_part AS p ON p.identity_uid = c.identity_uid AND p.authority = c.authority"
            " WHERE c.type = 'access_key' AND x.presence <> 'gone' ORDER BY c.uid LIMIT 1"
        )
        ws = own_demo.workspace
        row = {
            "time": NOW.replace(tzinfo=None).isoformat(),
            "actor_authority": key["authority"],
            "actor_id": key["native_id"],
            "credential_id": key["public_id"],
            "src_network": "192.0.2.0/24",
            "user_agent": "aws-cli/2.1",
        }
        publish(ws.db, ws.activity, [row])
        waiting = lookup.look_up(ws, facts, key["public_id"], NOW).story
        assert "Events that were imported and not counted yet: 1" in next(
            section.lines for section in waiting.sections if section.id == "use"
        )
        usage.refresh(ws)
        begun = time.process_time()
        answer = lookup.look_up(ws, facts, key["public_id"], NOW)
        assert time.process_time() - begun < 1.0
    told = answer.row
    assert told["identity"]["uid"] == key["identity_uid"]
    assert told["credential"]["public_id"] == key["public_id"]
    assert told["last_used_at"] == NOW
    assert told["use"]["events"] == 1
    assert told["usual"]["network"][0]["value"].startswith("192.0.2.0/24")
    assert told["exposures"]
    assert told["counts"]["findings"] >= len(told["findings"]) > 0
    assert told["reach"] == "not_evaluated_yet"
    with (tmp_path / "answer.json").open("w") as out:
        write_text(Listing(name="lookup", columns=lookup.COLUMNS, rows=[told]), Format.JSON, out)
    (read,) = json.loads((tmp_path / "answer.json").read_text())
    assert read["identity"]["uid"] == key["identity_uid"]
    text = "\n".join(line for section in answer.story.sections for line in section.lines)
    day = NOW.date().isoformat()
    assert f"last used {NOW:%Y-%m-%d %H:%M} UTC (days ago: 0)" in text
    assert f"192.0.2.0/24 (1 times, {day} to {day})" in text
    assert "not evaluated yet" in text


def test_an_identity_is_found_by_name_and_its_unknowns_are_said(demo: App) -> None:
    with demo.facts() as facts:
        name = facts.one(
            "SELECT name FROM identity WHERE owner_name IS NULL AND standing = 'own' AND name IN"
            " (SELECT name FROM identity_part GROUP BY name HAVING count(*) = 1) ORDER BY uid LIMIT 1"
        )["name"]
        answer = lookup.look_up(demo.workspace, facts, name, NOW)
    assert answer.row["credential"] is None
    assert answer.row["owner"]["name"] is None
    assert "unknown" in answer.story.summary
    assert answer.story.title == name
    (whose,) = (section.lines for section in answer.story.sections if section.id == "who")
    assert whose[1] in {"no owner", "unresolved", "rejected"}


def test_what_nothing_is_called_is_told(demo: App) -> None:
    with demo.facts() as facts, pytest.raises(ConfigError, match="neither the inventory nor the logs") as told:
        lookup.look_up(demo.workspace, facts, "AKIA-nobody", NOW)
    assert "telemetry coverage" in told.value.advice
    with demo.facts() as facts, pytest.raises(ConfigError, match="the name is empty"):
        lookup.look_up(demo.workspace, facts, " ", NOW)

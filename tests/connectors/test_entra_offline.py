"""Saved answers of Microsoft Graph: recognised by content, and read as the live system is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NOW
from wardship.connectors import entra
from wardship.model.access import Grant
from wardship.model.errors import ConfigError, DataError
from wardship.model.identity import Identity, Standing
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import Connection
from wardship.sim.entra import EntraTenant
from wardship.sim.entra_small import populate_small

Clock = Callable[[], datetime]


def connection(clock: Clock, **settings: str) -> Connection:
    return Connection(name="files", connector="entra", settings=settings, clock=clock)


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name[:1] != "_"} for row in rows]


@pytest.fixture
def export(tmp_path: Path) -> tuple[EntraTenant, list[Path]]:
    """What somebody saved of the small tenant, in files with names that say nothing."""
    sim = EntraTenant(clock=SimClock(NOW), audit_days=600)
    ids = populate_small(sim)
    sim.consent(ids["saas"], "Sites.Read.All", by=ids["left"], at=NOW - timedelta(days=500))
    collections = [
        sim.apps.visible(), sim.sps.visible(), sim.grants.visible(), sim.users.visible(), sim.audits.visible(),
        sim.role_assignments.visible(), sim.role_definitions.visible(), sim.assignments[ids["app_sp"]],
        list(sim.sign_ins.values()), list(sim.key_uses.values()), [sim.organization],
    ]  # fmt: skip
    paths = []
    for number, rows in enumerate(collections):
        path = tmp_path / f"{number}.json"
        body: Any = shown(rows) if number % 2 else {"value": shown(rows)}
        path.write_bytes(json.dumps(body).encode("utf-16" if number == 3 else "utf-8-sig" if number == 4 else "utf-8"))
        paths.append(path)
    return sim, paths


def test_files_give_what_the_tenant_gives(export: tuple[EntraTenant, list[Path]], clock: Clock) -> None:
    sim, paths = export
    files = entra.import_files(paths, connection(clock))
    found = [r for s in files.scopes() for p in files.fetch(s, None) for i in p.items for r in files.parse(s, i)]
    live = entra.connect(sim.connection())
    scanned = [r for s in live.scopes() for p in live.fetch(s, None) for i in p.items for r in live.parse(s, i)]
    assert {i.uid for i in found if isinstance(i, Identity)} <= {i.uid for i in scanned if isinstance(i, Identity)}
    imported = {g.uid: g for g in found if isinstance(g, Grant)}
    read = {g.uid: g for g in scanned if isinstance(g, Grant)}
    assert imported.keys() <= read.keys()
    old = next(g for g in imported.values() if g.permission == "Sites.Read.All")
    assert old.granted_by == "jon.aguirre@acme-iberica.example"  # from an archive of the audit log
    assert {i.standing for i in found if isinstance(i, Identity)} >= {Standing.OWN, Standing.FOREIGN}


def test_an_import_never_completes_a_scope(export: tuple[EntraTenant, list[Path]], clock: Clock) -> None:
    files = entra.import_files(export[1], connection(clock))
    for scope in files.scopes():
        assert [problem.reason for page in files.fetch(scope, None) for problem in page.problems] == ["not_visible"]


def test_files_that_do_not_name_their_tenant_need_the_setting(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "apps.json"
    path.write_text(json.dumps([{"id": "a", "appId": "b", "signInAudience": "AzureADMyOrg"}]))
    with pytest.raises(ConfigError, match="which tenant"):
        entra.import_files([path], connection(clock))
    files = entra.import_files([path], connection(clock, tenant_id="7b1f3c52-0a4d-4e0e-9a55-2f6f3b1c8d10"))
    [scope] = files.scopes()
    assert scope.kind == "entra.application"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"value": [{"id": "a"', "no JSON at line 1"),
        (b"\xff\xfe\x00", "neither UTF-8 nor UTF-16"),
        (b"\x80\x81", "neither UTF-8"),
        (b"[" * 1000 + b"]" * 1000, "deeper"),
        (b"7", "neither a list"),
        (b'{"value": 7}', "neither a list"),
        (b'[{"what": 1}]', "not recognised"),
        (b"[]", "not recognised"),
        (b"", "no JSON"),
    ],
)
def test_a_file_that_is_no_answer_of_graph_is_refused_in_one_sentence(
    content: bytes, message: str, tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as refused:
        entra.import_files([path], connection(clock))
    assert "x.json" in refused.value.message
    assert refused.value.advice


def test_unreadable_items_of_a_good_file_are_quarantined_one_by_one(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "x.json"
    rows: list[Any] = [{"id": f"a{n}", "appId": "b", "signInAudience": "x"} for n in range(5)]
    path.write_text(json.dumps([*rows, None, "text", {"id": 7}, {"passwordCredentials": 3}]))
    files = entra.import_files([path], connection(clock, tenant_id="7b1f3c52-0a4d-4e0e-9a55-2f6f3b1c8d10"))
    [scope] = files.scopes()
    good, bad = 0, 0
    for page in files.fetch(scope, None):
        for item in page.items:
            try:
                good += len(list(files.parse(scope, item))) > 0
            except DataError:
                bad += 1
    assert (good, bad) == (5, 4)

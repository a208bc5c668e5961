"""The demo organisation, read by the real connectors: every rule fires, its stories are told, its twin is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from wardship.app import App
from wardship.model.finding import Severity
from wardship.sdk.rule import load_rules
from wardship.services import findings, scan
from wardship.sim import organisation
from wardship.sim.plan import CLEAN, LIVED_IN, Habits
from wardship.store import tables

SIZE = "s"


def _read(folder: Path, habits: Habits) -> App:
    app = App.create(folder, clock=lambda: NOW)
    for connection in organisation.connections(SIZE, app.clock, app.workspace.tmp, habits=habits):
        outcome = scan.read(app.workspace, connection, app.actor)
        assert outcome.error is None, outcome
    return app


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with _read(tmp_path_factory.mktemp("lived-in") / "ws", LIVED_IN) as app:
        yield app


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with _read(tmp_path_factory.mktemp("clean") / "ws", CLEAN) as app:
        yield app


def _findings(app: App) -> list[findings.FindingRow]:
    rows: list[findings.FindingRow] = []
    while page := findings.page(app.db, after=rows[-1].place if rows else None, limit=1_000):
        rows += page
    return rows


def _of(app: App, name: str) -> set[str]:
    """Rules that fire on the identity of that name, or on what it holds."""
    with app.facts() as facts:
        uids = {row["uid"] for row in facts.rows("SELECT uid FROM identity WHERE name = ?", [name])}
    assert uids, f"{name} is not in the inventory"
    return {row.rule for row in _findings(app) if row.identity_uid in uids}


def test_every_rule_fires_in_the_demo(lived_in: App) -> None:
    fired = {row.rule for row in _findings(lived_in)}
    assert fired == {rule.id for rule in load_rules()}


def test_the_clean_twin_has_no_finding_of_severity_high_or_above(clean: App) -> None:
    loud = [row for row in _findings(clean) if row.severity in (Severity.CRITICAL, Severity.HIGH)]
    assert loud == []


def test_the_clean_twin_is_not_clean_because_nothing_was_read(clean: App, lived_in: App) -> None:
    for app in (clean, lived_in):
        with app.facts() as facts:
            assert facts.one("SELECT count(*) AS n FROM identity")["n"] > 250
            assert facts.one("SELECT sum(static_credentials) AS n FROM identity")["n"] > 50


def test_the_departed_supplier_is_told_end_to_end(lived_in: App) -> None:
    assert _of(lived_in, "AcmeIntegrator SaaS") >= {
        "supplier_gone_access_remains",
        "tenant_wide_consent",
        "owner_missing",
        "credential_overdue_rotation",
    }


def test_the_old_key_of_the_nightly_job_is_found(lived_in: App) -> None:
    assert "credential_overdue_rotation" in _of(lived_in, "svc-nightly-export")


def test_the_release_of_a_leaver_is_found(lived_in: App) -> None:
    assert "owner_left" in _of(lived_in, "release-pipeline")


def test_a_production_role_that_development_repositories_may_assume_is_found(lived_in: App) -> None:
    assert "federation_subject_too_wide" in _of(lived_in, "deploy-production")


def test_what_looks_terrible_and_is_fine_gives_no_finding(lived_in: App) -> None:
    assert _of(lived_in, "org-inventory-reader") == set()


def test_what_could_not_be_read_is_said_with_the_permission_it_needs(lived_in: App) -> None:
    with lived_in.facts() as facts:
        unread = list(facts.rows("SELECT * FROM coverage WHERE status <> 'complete'"))
    assert [(row["kind"], row["missing_permission"]) for row in unread] == [
        ("secretsmanager.secret", "secretsmanager:ListSecrets")
    ]


def test_reading_the_same_organisation_again_changes_nothing(tmp_path: Path) -> None:
    with _read(tmp_path / "ws", CLEAN) as app:
        before = {table.name: _count(app, table) for table in tables.VERSION.values()}
        for connection in organisation.connections(SIZE, app.clock, app.workspace.tmp, habits=CLEAN):
            scan.read(app.workspace, connection, app.actor)
        assert {table.name: _count(app, table) for table in tables.VERSION.values()} == before


def _count(app: App, table: sa.Table) -> int:
    with app.db.read() as conn:
        return conn.scalar(sa.select(sa.func.count()).select_from(table)) or 0

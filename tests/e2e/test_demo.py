"""The demo organisation, read by the real connectors: every rule fires, its stories are told, its twin is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from wardship.app import App, demo_connections, demo_hook_runs
from wardship.model.finding import Severity
from wardship.sdk.rule import load_rules
from wardship.services import evaluate, findings, leaks, scan
from wardship.services.guard import report
from wardship.store import tables

SIZE = "s"


def _read(folder: Path, *, clean: bool = False) -> App:
    app = App.create(folder, clock=lambda: NOW)
    connections = demo_connections(app, SIZE, clean=clean)
    report.collect(app.workspace, [demo_hook_runs(app)], app.actor)
    for connection in connections:
        outcome = scan.read(app.workspace, connection, app.actor, judge=False)
        assert outcome.error is None, outcome
    evaluate.again(app.workspace, actor=app.actor)
    return app


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with _read(tmp_path_factory.mktemp("lived-in") / "ws") as app:
        yield app


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with _read(tmp_path_factory.mktemp("clean") / "ws", clean=True) as app:
        yield app


def _findings(app: App) -> list[findings.FindingRow]:
    rows: list[findings.FindingRow] = []
    while page := findings.page(app.db, after=rows[-1].place if rows else None, limit=1_000):
        rows += page
    return rows


def _of(app: App, name: str) -> set[str]:
    """Rules that fire on the identity of that name, or on what it holds."""
    with app.facts() as facts:
        uids = {row["uid"] for row in facts.rows("SELECT uid FROM identity WHERE name LIKE ?", [name])}
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


def test_a_key_in_the_history_of_a_script_is_the_key_that_a_job_uses_every_night(lived_in: App) -> None:
    assert _of(lived_in, "svc-nightly-export") >= {"credential_overdue_rotation", "secret_only_in_history"}
    with lived_in.facts() as facts:
        (row,) = facts.rows(
            "SELECT * FROM exposure WHERE identity_name = 'svc-nightly-export' AND detector LIKE '%secret%'"
        )
    assert (row["location"], row["in_head"], row["joined_by"], row["validity"]) == (
        "jobs/export.sh",
        False,
        "public_id",
        "active",
    )


def test_the_release_runs_with_what_a_leaver_made(lived_in: App) -> None:
    assert "owner_left" in _of(lived_in, "release-pipeline")
    assert _of(lived_in, "%/release") >= {"owner_left", "credential_without_expiry"}


def test_one_password_in_two_environments_and_in_the_vault_is_one_secret(lived_in: App) -> None:
    with lived_in.facts() as facts:
        one = leaks.find(facts, "DB_PASSWORD")
    assert (one["head_exposures"], one["vault_copies"], one["environment_names"]) == (2, 1, "production,staging")
    assert one["stage"] == "vaulted"
    rules = {row.rule for row in _findings(lived_in) if row.subject_uid == one["uid"]}
    assert rules >= {"secret_across_environments", "vaulted_secret_still_in_code"}


def test_a_private_key_in_code_opens_the_deploy_key_that_may_write(lived_in: App) -> None:
    assert _of(lived_in, "acme/claims-legacy deploy from jenkins") >= {"deploy_key_can_write", "secret_live_in_code"}


def test_a_pipeline_of_development_that_becomes_production_is_named_as_consumer(lived_in: App) -> None:
    with lived_in.facts() as facts:
        consumers = {
            row["consumer"]
            for row in facts.rows(
                "SELECT d.consumer FROM dependency AS d JOIN identity AS i ON i.uid = d.identity_uid"
                " WHERE i.name = 'deploy-production'"
            )
        }
    assert "acme/sandbox-experiments .github/workflows/deploy.yml" in consumers
    assert "consumer_in_other_environment" in _of(lived_in, "deploy-production")


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
    with _read(tmp_path / "ws", clean=True) as app:
        before = {table.name: _count(app, table) for table in tables.VERSION.values()}
        for connection in demo_connections(app, SIZE, clean=True):
            scan.read(app.workspace, connection, app.actor, judge=False)
        evaluate.again(app.workspace, actor=app.actor)
        assert {table.name: _count(app, table) for table in tables.VERSION.values()} == before


def _count(app: App, table: sa.Table) -> int:
    with app.db.read() as conn:
        return conn.scalar(sa.select(sa.func.count()).select_from(table)) or 0

"""The demo organisation, read by the real connectors: every rule fires, its stories are told, its twin is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from wardship.app import App, demo_connections, demo_hook_runs, demo_logs
from wardship.model.finding import Severity
from wardship.sdk.rule import load_rules
from wardship.services import (
    alerts,
    demo,
    evaluate,
    findings,
    headline,
    leaks,
    overview,
    scan,
    telemetry_refresh,
    use,
)
from wardship.services.guard import report
from wardship.store import tables

SIZE = "s"


def _read(folder: Path, *, clean: bool = False) -> App:
    app = App.create(folder, clock=lambda: NOW)
    connections = demo_connections(app, SIZE, clean=clean)
    report.collect(app.workspace, [demo_hook_runs(app)], app.actor)
    old, new = demo.load_logs(app.workspace, demo_logs(app), actor=app.actor, tell=lambda _log: None)
    assert old > 30_000
    assert new > 100
    for connection in connections:
        outcome = scan.read(app.workspace, connection, app.actor, judge=False)
        assert outcome.error is None, outcome
    evaluate.again(app.workspace, actor=app.actor)
    telemetry_refresh.refresh(app.workspace, actor=app.actor)
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


# ------------------------------------------------------------------ what the audit logs tell


def _alerts(app: App) -> dict[str, dict[str, object]]:
    """The open alerts by the name of who did it."""
    with app.facts() as facts:
        return {row["subject"]: dict(row) for row in alerts.rows(app.workspace, facts)}


def test_every_story_of_the_logs_is_an_alert(lived_in: App) -> None:
    raised = _alerts(lived_in)
    strongest = {name: row["detections"] for name, row in raised.items()}
    assert "leaked_credential_used" in str(strongest["svc-nightly-export"])
    assert "use_after_inactivity" in str(strongest["svc-archive-restore"])
    assert "ended_credential_tried" in str(strongest["quotes-publisher"])
    assert "new_network" in str(strongest["AcmeIntegrator SaaS"])
    assert raised["svc-nightly-export"]["severity"] == "critical"
    assert len(raised) <= 6, "an alert that means nothing"


def test_the_provisioning_storm_that_looks_terrible_counts_for_less(lived_in: App) -> None:
    with lived_in.facts() as facts:
        signals = [row for row in alerts.signals(lived_in.workspace, facts) if row["subject"] == "deploy-production"]
    assert signals
    assert all("provisioner:Terraform" in str(row["reasons"]) for row in signals)
    storm = _alerts(lived_in).get("deploy-production")
    assert storm is None or storm["severity"] in ("low", "medium")


def test_the_clean_twin_raises_no_alert(clean: App) -> None:
    assert _alerts(clean) == {}


def test_three_systems_that_share_an_account_are_its_consumers(lived_in: App) -> None:
    with lived_in.facts() as facts:
        rows = facts.rows(
            "SELECT DISTINCT d.consumer FROM dependency AS d JOIN identity AS i ON i.uid = d.identity_uid"
            " WHERE i.name = 'svc-mainframe-bridge' AND d.source LIKE 'log:%'"
        )
        assert {row["consumer"] for row in rows} == {
            "Boto3, from 192.0.2.0/24",
            "aws-sdk-java, from 198.51.100.0/24",
            "aws-sdk-go-v2, from 198.51.100.0/24",
        }


def test_the_overview_says_of_every_identity_whether_its_use_is_known(lived_in: App) -> None:
    with lived_in.facts() as facts:
        numbers = headline.compute(lived_in.db, facts, NOW)
        page = overview.gather(lived_in.workspace, facts)
    told = {figure.label: figure for figure in page.figures}["Identities without use"]
    assert (told.numerator, told.denominator) == (numbers.use_verdicts["unused"], numbers.identities)
    assert numbers.use_verdicts["used"] + told.numerator + told.unknown == numbers.identities
    assert page.alert_severities == numbers.alerts
    assert len(page.alerts) == sum(numbers.alerts.values())


def test_nothing_is_called_unused_that_a_log_shows_in_use(lived_in: App) -> None:
    with lived_in.facts() as facts:
        unused = {row["identity_uid"] for row in use.verdicts(facts, verdict="unused", family="identity")}
        seen = facts.rows("SELECT identity_uid FROM used_permission WHERE last_used_at > ? - INTERVAL 90 DAY", [NOW])
        assert unused
        assert not unused & {row["identity_uid"] for row in seen}
        assert list(use.unmatched(facts)) == []

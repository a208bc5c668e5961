"""The catalogue as a whole: every rule's examples on every engine we run, and its query in every dialect we claim."""

from __future__ import annotations

import itertools
import os
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from wardship.model.facts import FACTS
from wardship.model.policy import Policy
from wardship.sdk.fact_query import DIALECTS
from wardship.sdk.rule import (
    BUILT_IN,
    EXAMPLE_AS_OF,
    Rule,
    example_rows,
    frameworks,
    load_rules,
    rule_messages,
)
from wardship.services.rule_examples import ask, run_examples
from wardship.store.clickhouse import ClickHouseEngine
from wardship.store.engine import DuckDbEngine, PostgresEngine, SparkEngine
from wardship.store.facts import write_rows

RULES = load_rules()
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


@each_rule
def test_examples_on_duckdb(rule: Rule, tmp_path: Path) -> None:
    assert run_examples(rule, tmp_path, DuckDbEngine) == []


@each_rule
def test_examples_on_postgresql(rule: Rule, tmp_path: Path, postgres_url: str) -> None:
    assert run_examples(rule, tmp_path, partial(PostgresEngine, url=postgres_url)) == []


@pytest.fixture
def seen_by_spark(tmp_path: Path) -> Path:
    """A folder that the workers of the cluster may read."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    return tmp_path


@pytest.mark.servers
@each_rule
def test_examples_on_clickhouse(rule: Rule, tmp_path: Path) -> None:
    assert run_examples(rule, tmp_path, ClickHouseEngine) == []


@pytest.mark.servers
@each_rule
def test_examples_on_spark(rule: Rule, seen_by_spark: Path, spark_url: str) -> None:
    assert run_examples(rule, seen_by_spark, partial(SparkEngine, url=spark_url)) == []


@each_rule
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_query_is_carried_to_every_dialect(rule: Rule, dialect: str) -> None:
    sql = rule.compiled.sql(dialect)
    read = sqlglot.parse_one(sql, read=dialect)
    assert {select.alias_or_name for select in read.selects} == set(rule.compiled.columns)
    assert {table.name for table in read.find_all(sqlglot.exp.Table)} >= rule.compiled.tables


@each_rule
def test_a_rule_cites_owasp_and_iso_and_says_what_it_cannot_see(rule: Rule) -> None:
    assert any(control.startswith("iso27001:") for control in rule.controls)
    assert rule.owasp_nhi
    assert rule.limits
    assert any(not step.reversible for step in rule.remediation) or all(step.reversible for step in rule.remediation)
    assert len(rule.fires) >= 2, "a rule shows more than one way to be right"
    assert len(rule.passes) >= 2, "a rule shows what it must not report"


@each_rule
def test_what_is_gone_or_the_provider_s_is_never_reported(rule: Rule, tmp_path: Path) -> None:
    for number, example in enumerate(rule.fires):
        for column, value in (("presence", "gone"), ("standing", "provider_managed")):
            if column == "standing" and rule.id == "supplier_gone_access_remains":
                continue  # the provider is a supplier with a contract like any other
            if column == "standing" and rule.id == "console_password_without_mfa":
                continue  # a provider gives no identity of its own a console password
            rows = example_rows(example)
            known = {name for table in rule.compiled.tables for name in FACTS[table]}
            if not {column, f"identity_{column}"} & known:
                continue  # of a secret value or of a repository the facts know no standing
            for row in itertools.chain.from_iterable(rows.values()):
                for name in (column, f"identity_{column}"):
                    if name in row:
                        row[name] = value
            snapshot = write_rows(tmp_path / f"{number}-{column}", rows, as_of=EXAMPLE_AS_OF)
            with DuckDbEngine(snapshot) as engine:
                assert ask(rule, engine) == [], (example.why, column)


def test_rules_cite_every_framework_there_is() -> None:
    assert set(frameworks()) == {"owasp-nhi", "iso27001", "ens", "nis2", "nis2-cir", "dora-rts", "pci-dss", "nist-csf"}
    cited = {control.partition(":")[0] for rule in RULES for control in rule.controls}
    assert cited == set(frameworks()) - {"owasp-nhi"}


def test_the_catalogue_covers_the_whole_top_ten_without_saying_anything_twice() -> None:
    assert len(RULES) >= 32
    for number in range(1, 11):
        citing = [rule.id for rule in RULES if f"NHI{number}:2025" in rule.owasp_nhi]
        assert len(citing) >= 2, f"NHI{number}: {citing}"
    for text in ("title", "sentence", "rationale", "query"):
        said = [getattr(rule, text).strip().casefold() for rule in RULES]
        assert len(said) == len(set(said)), text


def test_no_threshold_is_written_in_a_query() -> None:
    """A number in a query is nothing, one, or the hundred of a percentage; every other is the policy's."""
    for rule in RULES:
        numbers = {
            one.name
            for one in sqlglot.parse_one(rule.query, read="duckdb").find_all(sqlglot.exp.Literal)
            if not one.is_string
        }
        assert numbers <= {"0", "1", "100"}, rule.id


def test_the_corrected_citations_hold() -> None:
    """ENS mp.info.4 is time stamps, not keys; NIS2 21(2)(i) is not MFA: neither may come back."""
    known = frameworks()
    assert "mp.info.4" not in known["ens"].controls
    assert "Management of access rights" in known["ens"].controls["op.acc.4"]
    assert "access control" in known["nis2"].controls["21.2.i"]
    assert "Multi-factor" in known["nis2"].controls["21.2.j"]
    for rule in RULES:
        if "nis2:21.2.j" in rule.controls:
            assert "mfa" in rule.id


def test_every_text_is_given_to_the_catalogue_of_messages() -> None:
    messages = {message for _place, message in rule_messages()}
    for rule in RULES:
        assert {rule.title, rule.sentence, rule.rationale, *rule.limits, *rule.would_change} <= messages
        assert {step.text for step in (*rule.remediation, *rule.verification, *rule.rollback)} <= messages
    assert "Secret leakage" in messages


def test_the_catalogue_loads_quickly_enough_to_be_read_at_every_start() -> None:
    import time

    start = time.process_time()
    load_rules(BUILT_IN)
    assert time.process_time() - start < 5, "fifty files; two seconds are slow, five are broken"


# ---------------------------------------------------------------- laws

_MANY = int(os.environ.get("WARDSHIP_EXAMPLES", "15"))


@given(data=st.data())
@settings(max_examples=_MANY, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_rows_decides_nothing(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    rule = data.draw(st.sampled_from(RULES))
    example = data.draw(st.sampled_from(rule.fires))
    rows = example_rows(example)
    shuffled = {table: data.draw(st.permutations(given_rows)) for table, given_rows in rows.items()}
    answers = []
    for these in (rows, shuffled):
        with DuckDbEngine(write_rows(tmp_path_factory.mktemp("rows"), these, as_of=EXAMPLE_AS_OF)) as engine:
            answers.append(sorted(map(repr, ask(rule, engine))))
    assert answers[0] == answers[1]


_GRANT = st.fixed_dictionaries(
    {
        "tier": st.sampled_from(["control_plane", "write", "sensitive_read", "read", "unknown"]),
        "tenant_wide": st.sampled_from([True, False, None]),
        "permission": st.sampled_from(["Mail.Read", "s3:*"]),
    }
)


@given(grants=st.lists(_GRANT, max_size=4), extra=_GRANT)
@settings(max_examples=_MANY, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_more_grants_never_take_a_consent_finding_away(
    grants: list[dict[str, Any]], extra: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rule = next(rule for rule in RULES if rule.id == "tenant_wide_consent")
    found = []
    for held in (grants, [*grants, extra]):
        rows: dict[str, list[dict[str, Any]]] = {
            "identity": [{"uid": "id_a", "standing": "foreign", "presence": "present"}],
            "grant_fact": [
                {"uid": f"gr_{number}", "identity_uid": "id_a", "effect": "allow", "presence": "present", **grant}
                for number, grant in enumerate(held)
            ],
        }
        with DuckDbEngine(write_rows(tmp_path_factory.mktemp("rows"), rows, as_of=EXAMPLE_AS_OF)) as engine:
            found.append({row["subject_uid"] for row in ask(rule, engine)})
    assert found[0] <= found[1]


@given(days=st.integers(0, 1_000), more=st.integers(0, 400))
@settings(max_examples=_MANY, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_older_key_is_never_less_overdue(days: int, more: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rule = next(rule for rule in RULES if rule.id == "credential_overdue_rotation")
    as_of = EXAMPLE_AS_OF.replace(tzinfo=None)
    rows: dict[str, list[dict[str, Any]]] = {
        "credential": [
            {"uid": uid, "type": "access_key", "presence": "present", "created_at": as_of - timedelta(days=age)}
            for uid, age in (("younger", days), ("older", days + more))
        ]
    }
    with DuckDbEngine(write_rows(tmp_path_factory.mktemp("rows"), rows, as_of=EXAMPLE_AS_OF)) as engine:
        found = {row["subject_uid"]: row for row in ask(rule, engine)}
    if "younger" in found:
        assert found["older"]["age_days"] >= found["younger"]["age_days"]
    assert ("older" in found) == (days + more > Policy().max_age_undeclared_days)


# ---------------------------------------------------------------- all engines agree on one larger set of facts


def _estate() -> dict[str, list[dict[str, Any]]]:
    """Every example of every rule in one set of facts, apart from each other by a prefix on every uid."""
    together: dict[str, list[dict[str, Any]]] = {table: [] for table in FACTS}
    number = 0
    for rule in RULES:
        for example in (*rule.fires, *rule.passes):
            number += 1
            for table, rows in example_rows(example).items():
                for row in rows:
                    for name in ("uid", "identity_uid", "secret_uid", "credential_uid"):
                        if row.get(name):
                            row[name] = f"{number}-{row[name]}"
                    for name in ("authority", "repository"):
                        if row.get(name):
                            row[name] = f"{row[name]}#{number}"
                    together[table].append(row)
    return together


def _answers(engine: Any) -> dict[str, list[str]]:
    return {rule.id: sorted(map(repr, ask(rule, engine))) for rule in RULES}


@pytest.fixture
def estate(seen_by_spark: Path) -> Any:
    return write_rows(seen_by_spark / "estate", _estate(), as_of=EXAMPLE_AS_OF)


def test_postgresql_agrees_with_duckdb_on_every_row(estate: Any, postgres_url: str) -> None:
    with DuckDbEngine(estate) as duckdb, PostgresEngine(estate, postgres_url) as postgres:
        expected = _answers(duckdb)
        assert _answers(postgres) == expected
    assert all(expected.values())


@pytest.mark.servers
def test_clickhouse_agrees_with_duckdb_on_every_row(estate: Any) -> None:
    with DuckDbEngine(estate) as duckdb, ClickHouseEngine(estate) as clickhouse:
        assert _answers(clickhouse) == _answers(duckdb)


@pytest.mark.servers
def test_spark_agrees_with_duckdb_on_every_row(estate: Any, spark_url: str) -> None:
    with DuckDbEngine(estate) as duckdb, SparkEngine(estate, spark_url) as spark:
        assert _answers(spark) == _answers(duckdb)


def test_postgresql_is_left_without_a_trace(estate: Any, postgres_url: str) -> None:
    with PostgresEngine(estate, postgres_url):
        pass
    engine = sa.create_engine(sa.make_url(postgres_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as conn:
        left = conn.scalar(
            sa.text("select count(*) from pg_class where relname = 'grant_fact' and relpersistence = 't'")
        )
    engine.dispose()
    assert left == 0


def test_the_pages_and_schemas_say_what_the_rules_say() -> None:
    """Mended by `python scripts/rule_docs.py`."""
    import runpy

    made = runpy.run_path(str(ROOT / "scripts" / "rule_docs.py"))["pages"]()
    for name, text in made.items():
        assert (ROOT / "docs" / name).read_text("utf-8") == text, name
    assert {path.name for path in (ROOT / "docs" / "rules").glob("*.md")} == {
        name.removeprefix("rules/") for name in made if name.startswith("rules/")
    }

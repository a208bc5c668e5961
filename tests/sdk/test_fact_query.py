"""The wall in front of the engines: what is not listed does not pass, and what passes means one thing everywhere."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardship.model.errors import ConfigError
from wardship.sdk.fact_query import DIALECTS, Language, compile_query

REFUSED = [
    ("", "one SELECT"),
    ("SELECT uid FROM identity; SELECT 1", "one SELECT"),
    ("COPY (SELECT 1) TO 'x'", "one SELECT"),
    ("ATTACH 'x'", "one SELECT"),
    ("PRAGMA database_list", "one SELECT"),
    ("INSERT INTO identity VALUES (1)", "one SELECT"),
    ("DROP TABLE identity", "one SELECT"),
    ("SELECT uid FROM identity UNION SELECT uid FROM identity", "one SELECT"),
    ("SELECT uid INTO x FROM identity", "Into is not allowed"),
    ("SELECT * FROM read_csv('x')", "no fact table"),
    ("SELECT uid FROM read_parquet('x')", "no fact table"),
    ("SELECT uid FROM 'x.csv'", "no fact table is called 'x.csv'"),
    ("SELECT uid FROM identities", "no fact table is called 'identities'"),
    ("SELECT uid FROM main.identity", "names a schema"),
    ("SELECT uid FROM information_schema.tables", "names a schema"),
    ("SELECT (SELECT content FROM read_text('/etc/passwd')) AS x FROM identity", "no fact table"),
    ("WITH identity AS (SELECT uid FROM credential) SELECT uid FROM identity", "hides a fact table"),
    (
        (
            'SELECT count(*) AS n FROM "/tmp/x.csv" AS a WHERE EXISTS'
            ' (WITH "/tmp/x.csv" AS (SELECT uid FROM identity) SELECT p.uid FROM "/tmp/x.csv" AS p)'
        ),
        "no fact table is called '/tmp/x.csv'",
    ),
    (
        (
            "SELECT i.uid, (SELECT count(*) FROM pg_shadow) AS n FROM identity AS i JOIN"
            " (WITH pg_shadow AS (SELECT uid FROM identity) SELECT uid FROM pg_shadow) AS q ON q.uid = i.uid"
        ),
        "no fact table is called 'pg_shadow'",
    ),
    (
        "WITH a AS (SELECT b.uid FROM b), b AS (SELECT uid FROM identity) SELECT a.uid FROM a",
        "no fact table is called 'b'",
    ),
    ("WITH RECURSIVE a AS (SELECT uid FROM identity) SELECT uid FROM a", "RECURSIVE"),
    ("SELECT nope FROM identity", "'nope' is no column"),
    ("SELECT i.nope FROM identity AS i", "'nope' is no column"),
    ("SELECT i FROM identity AS i", "'i' is no column"),
    ("SELECT getenv('HOME') AS x FROM identity", "function getenv is not allowed"),
    ("SELECT random() AS x FROM identity", "rand is not allowed"),
    ("SELECT current_timestamp AS x FROM identity", "current_timestamp is not allowed"),
    ("SELECT now() AS x FROM identity", "is not allowed"),
    ("SELECT COLUMNS(*) FROM identity", "columns is not allowed"),
    ("SELECT unnest([1]) AS x FROM identity", "is not allowed"),
    ("SELECT count(*) OVER () AS n FROM identity", "Window is not allowed"),
    ("SELECT uid FROM identity, LATERAL (SELECT 1)", "Lateral is not allowed"),
    ("SELECT uid FROM identity TABLESAMPLE 10%", "stands plain"),
    ("SELECT uid FROM identity LIMIT 1", "no order and no limit"),
    ("SELECT uid FROM identity ORDER BY uid", "no order and no limit"),
    ("SELECT DISTINCT ON (uid) uid, name FROM identity", "DISTINCT ON"),
    ("SELECT uid FROM identity NATURAL JOIN credential", "NATURAL join"),
    ("SELECT uid FROM identity WHERE uid = :nope", "no parameter is called :nope"),
    ("SELECT uid FROM identity WHERE uid = ?", "no parameter"),
    ("SELECT uid FROM identity WHERE uid = $1", "no parameter"),
    ("SELECT uid FROM identity WHERE enabled IS FALSE", "IS takes NULL only"),
    ("SELECT date_diff('month', created_at, :as_of) AS x FROM identity", "days only"),
    ("SELECT CAST(uid AS JSON) AS x FROM identity", "no cast to JSON"),
    ("SELECT 1 + 1 FROM identity", "has no name"),
    ("SELECT uid, uid FROM identity", "two columns 'uid'"),
    ("SELECT uid FROM identity WHERE", "not readable as SQL at 'WHERE'"),
    ("SELECT 'abc FROM identity", "not readable as SQL"),
    ("SELECT uid FROM identity JOIN credential ON TRUE", "not clear which table the column 'uid' is of"),
    ("SELECT x.uid FROM identity AS i", "not clear which table the column 'uid' is of"),
    ("SELECT i.type AS t FROM identity AS i JOIN credential AS c ON TRUE", "not clear which table the column 'type'"),
    ("SELECT i.uid AS u FROM identity AS i, identity AS i", "do not fit together"),
    ("SELECT " + "(" * 400 + "1" + ")" * 400 + " AS x FROM identity", "nested too deeply"),
    ("SELECT '" + "x" * 20_000 + "' AS x FROM identity", "20000 characters"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[text[:40] for text, _ in REFUSED])
def test_refused_with_a_reason_and_a_next_step(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match="(?i)" + message.replace("(", r"\(").replace("?", r"\?")) as caught:
        compile_query(text)
    assert caught.value.advice


def test_a_misspelt_column_is_told_with_its_line_and_what_was_meant() -> None:
    with pytest.raises(ConfigError) as caught:
        compile_query("SELECT c.uid AS subject_uid\nFROM credential AS c\nWHERE c.last_usd_at < :as_of")
    assert caught.value.message == "'last_usd_at' is no column of the tables that are named (query line 3)"
    assert caught.value.advice.startswith("did you mean last_used_at")
    assert len(caught.value.advice) < 200, "not a list of everything"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT UID AS subject_uid FROM identity AS i WHERE I.Name = 'x'",
        "SELECT i.* FROM identity AS i",
        "SELECT * FROM identity",
        "WITH a(x, y) AS (SELECT uid, name FROM identity) SELECT x FROM a WHERE y = 'b'",
        "SELECT b.age FROM (SELECT date_diff('day', created_at, :as_of) AS age FROM credential) AS b",
    ],
)
def test_a_column_may_be_of_a_table_a_part_query_or_a_list_of_names(text: str) -> None:
    assert compile_query(text).columns


def test_what_a_query_names_is_known() -> None:
    query = compile_query(
        "SELECT c.uid AS subject_uid, date_diff('day', c.created_at, :as_of) AS age, c.last_used_at"
        " FROM credential AS c JOIN identity AS i ON i.uid = c.identity_uid WHERE c.enabled AND :new_days > 1"
    )
    assert query.columns == ("subject_uid", "age", "last_used_at")
    assert query.tables == {"credential", "identity"}
    assert query.parameters == {"as_of", "new_days"}
    assert query.moving == {"age", "last_used_at"}
    assert query.arguments({"as_of": 1, "new_days": 2, "other": 3}) == {"as_of": 1, "new_days": 2}
    assert query.unfiltered_arguments({"as_of": 1, "new_days": 2}) == {"as_of": 1}
    assert "WHERE" not in query.unfiltered()


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        ("duckdb", "CAST($as_of AS TIMESTAMP)"),
        ("postgres", "CAST(%(as_of)s AS TIMESTAMP)"),
        ("spark", "CAST(:as_of AS TIMESTAMP_NTZ)"),
        ("clickhouse", "{as_of: DateTime64(6)}"),
        ("trino", "CAST(:as_of AS TIMESTAMP)"),
        ("snowflake", "CAST(:as_of AS TIMESTAMPNTZ)"),
        ("bigquery", "@as_of"),
    ],
)
def test_parameters_are_named_in_the_dialect_s_own_way(dialect: str, said: str) -> None:
    assert said in compile_query("SELECT uid FROM identity WHERE created_at < :as_of").sql(dialect)


def test_days_are_counted_the_same_way_everywhere() -> None:
    query = compile_query("SELECT date_diff('day', created_at, :as_of) AS d FROM identity")
    for dialect in DIALECTS:
        assert query.sql(dialect).upper().count("DATE)") >= 2, "both ends are cut to their day"


def test_comments_do_not_reach_an_engine() -> None:
    query = compile_query("SELECT /* ; DROP */ uid FROM identity -- x")
    assert all("DROP" not in query.sql(dialect) for dialect in DIALECTS)


@given(st.text(max_size=200) | st.text("SELECT uidFROMidentity()';-*,.:$ \n", max_size=120))
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_query_or_a_clear_refusal(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert compile_query(text).columns


EVENTS = Language(tables={"happened": {"who": "VARCHAR", "at": "TIMESTAMP", "ok": "BOOLEAN"}}, sequences=True)


def test_a_language_has_its_own_tables_and_more_of_sql() -> None:
    text = (
        "SELECT h.who, count(*) FILTER (WHERE NOT h.ok) AS failed,"
        " date_diff('minute', min(h.at), max(h.at)) AS minutes FROM happened AS h GROUP BY h.who"
    )
    found = compile_query(text, language=EVENTS)
    assert (found.tables, found.columns) == ({"happened"}, ("who", "failed", "minutes"))
    with pytest.raises(ConfigError):
        compile_query(text)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT i.uid FROM identity AS i", "no fact table is called 'identity'"),
        ("SELECT h.who FROM happened AS h WHERE regexp_matches(h.who, h.who)", "a pattern is written out"),
        ("SELECT h.who FROM happened AS h ORDER BY h.who", "no order"),
        ("SELECT h.who FROM happened AS h WHERE date_diff('year', h.at, h.at) > 1", "date_diff"),
        ("SELECT read_text(h.who) AS t FROM happened AS h", "not allowed"),
    ],
)
def test_a_wider_language_is_still_an_allow_list(query: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        compile_query(query, language=EVENTS)

"""The state is a sum: however events are split and in whatever order they come, it says the same. And what it says."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.activities import activity_table, write_activities
from wardship.analysis import baseline
from wardship.model.baseline import APPENDED, BASELINE, MERGED, PEER_ACTION, SCORE, STATE
from wardship.store.engine import DuckDbEngine, in_dialect

DIALECTS = ("spark", "clickhouse", "trino", "snowflake", "bigquery")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)  # a Sunday
Rows = Sequence[Mapping[str, Any]]


def at(days_ago: float, hour: float = 0.0) -> str:
    """ISO text of `hour` o'clock, so many days before the day of NOON."""
    midnight = NOON.replace(hour=0) - timedelta(days=days_ago)
    return (midnight + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%S.%f")


class World:
    """A state made of activities, and what is asked of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._db = duckdb.connect()
        self._made = 0

    def state(self, rows: Rows) -> None:
        self._events("activity", rows)
        for table in STATE:
            self._db.execute(f"CREATE OR REPLACE TABLE {table} AS {baseline.merge(table, baseline.delta(table))}")

    def baseline(self, as_of: datetime = NOON) -> dict[str, dict[str, Any]]:
        self._db.execute(f"CREATE OR REPLACE TABLE actor_baseline AS {baseline.actor_baseline(as_of)}")
        self._db.execute(f"CREATE OR REPLACE TABLE peer_action AS {baseline.peer_action(as_of)}")
        return {row["actor_id"]: row for row in self.ask("SELECT * FROM actor_baseline")}

    def score(self, rows: Rows) -> dict[str, dict[str, Any]]:
        self._events("event", rows)
        return {row["actor_id"]: row for row in self.ask(baseline.score())}

    def ask(self, sql: str) -> list[dict[str, Any]]:
        found = self._db.execute(sql)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _events(self, name: str, rows: Rows) -> None:
        self._made += 1
        path = write_activities(self._folder / f"{name}{self._made}.parquet", rows)
        self._db.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet('{path}')")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# ------------------------------------------------------------------ what is counted


def test_events_are_counted_by_who_what_and_from_where(world: World) -> None:
    world.state(
        [
            {"time": at(1, 9), "src_network": "203.0.113.0/24", "src_asn": 64500, "src_country": "ES"},
            {"time": at(1, 10), "src_network": "203.0.113.0/24", "src_asn": 64500, "src_country": "ES",
             "outcome": "failure", "mutating": True, "interactive": True, "class_uid": 6005},
        ]
    )  # fmt: skip
    (day,) = world.ask("SELECT * FROM actor_day")
    assert (day["events"], day["failures"], day["mutating"], day["interactive"]) == (2, 1, 1, 1)
    assert (day["first_at"].hour, day["last_at"].hour, day["used_at"].hour) == (9, 10, 9)
    (network,) = world.ask("SELECT * FROM actor_network")
    assert (network["src_network"], network["src_asn"], network["events"]) == ("203.0.113.0/24", 64500, 2)
    (log,) = world.ask(
        "SELECT sum(events) AS events, sum(reads) AS reads, sum(data_events) AS data_events FROM log_day"
    )
    assert (log["events"], log["reads"], log["data_events"]) == (2, 1, 1)
    assert [row["hour_of_week"] for row in world.ask("SELECT * FROM actor_hour ORDER BY ALL")] == [129, 130]


def test_an_actor_without_an_id_is_counted_by_name_and_nobody_only_in_the_log(world: World) -> None:
    nameless = {"actor_authority": None, "actor_id": None, "actor_kind": "unknown"}
    world.state([{"time": at(1), **nameless, "actor_name": "deploy"}, {"time": at(1), **nameless}])
    (day,) = world.ask("SELECT * FROM actor_day")
    assert (day["authority"], day["actor_id"], day["events"]) == ("aws.cloudtrail:111111111111", "deploy", 1)
    assert world.ask("SELECT events FROM log_day") == [{"events": 2}]


def test_a_sign_in_by_hand_is_a_use_of_the_application_too(world: World) -> None:
    tenant = {"source": "entra.signin", "account": "t", "detail": '{"app_id": "a-1"}', "mutating": None}
    signed = {"actor_authority": "entra:t", "actor_id": "u-1", "actor_kind": "user", "resource_type": "application"}
    own = {"actor_authority": "entra:t:appid", "actor_id": "a-2", "actor_kind": "application", "mutating": False}
    world.state([{"time": at(1), **tenant, **signed}, {"time": at(1), **tenant, **own}])
    (used,) = world.ask("SELECT * FROM client_use")
    assert (used["authority"], used["actor_id"], used["events"]) == ("entra:t:appid", "a-1", 1)
    assert {row["part"] for row in world.ask("SELECT part FROM log_day")} == {"interactiveUser", "servicePrincipal"}


def test_a_temporary_key_is_not_remembered_and_a_lasting_one_is(world: World) -> None:
    world.state(
        [{"time": at(1), "credential_id": "ASIA" + "X" * 16}, {"time": at(1), "credential_id": "AKIA" + "X" * 16}]
    )
    found = world.ask("SELECT credential_id, events FROM actor_action ORDER BY ALL")
    assert [row["credential_id"] for row in found] == ["AKIA" + "X" * 16, None]


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        ("Boto3/1.28.17 md/Botocore#1.31.17 ua/2.0 os/linux#6.1", "Boto3"),
        ("aws-cli/2.13.0 Python/3.11.4 Linux/5.15", "aws-cli"),
        ("[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12]", "S3Console"),
        ("APN/1.0 HashiCorp/1.0 Terraform/1.5.7 (+https://www.terraform.io)", "Terraform"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36", "Chrome"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/120.0 Safari/537.36 Edg/120.0", "Edge"),
        ("Mozilla/5.0 (Windows NT; es-ES) WindowsPowerShell/5.1.19041", "PowerShell"),
        ("kubectl/v1.28.2 (linux/amd64) kubernetes/89a4ea3", "kubectl"),
        ("cloudformation.amazonaws.com", "cloudformation.amazonaws.com"),
        ("", ""),
        (None, None),
    ],
)
def test_a_user_agent_has_a_family(world: World, agent: str | None, family: str | None) -> None:
    (row,) = world._db.execute(f"SELECT {baseline.agent_of('$1')}", [agent]).fetchall()
    assert row[0] == family


@pytest.mark.parametrize(
    ("resource", "container"),
    [
        ("arn:aws:s3:::reports/2026/11/a.csv", "arn:aws:s3:::reports"),
        (
            "arn:aws:dynamodb:eu-west-1:111111111111:table/orders",
            "arn:aws:dynamodb:eu-west-1:111111111111:table/orders",
        ),
        (
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v/secrets/x",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v",
        ),
        ("/subscriptions/s", "/subscriptions/s"),
        ("projects/_/buckets/b/objects/k", "projects/_/buckets/b"),
        ("acme/payments/settings", "acme/payments"),
        ("secret", "secret"),
    ],
)
def test_a_resource_has_a_container(world: World, resource: str, container: str) -> None:
    (row,) = world._db.execute(f"SELECT {baseline.resource_of('$1')}", [resource]).fetchall()
    assert row[0] == container


@pytest.mark.parametrize(
    ("session", "form"),
    [
        ("botocore-session-1699999999", "botocore-session-#"),
        ("3fa85f64-5717-4562-b3fc-2c963f66afa6", "#-#-#-#-#"),
        ("i-0abc123def4567890", "i-#"),
        ("GitHubActions", "GitHubActions"),
        ("deploy-prod", "deploy-prod"),
    ],
)
def test_sessions_of_one_kind_have_one_form(world: World, session: str, form: str) -> None:
    (row,) = world._db.execute(f"SELECT {baseline.session_of('$1')}", [session]).fetchall()
    assert row[0] == form


# ------------------------------------------------------------------ the laws of merging

_EVENT = st.fixed_dictionaries(
    {
        "time": st.builds(at, st.integers(0, 200), st.integers(0, 23)),
        "actor_id": st.sampled_from(["AIDA1", "AIDA2", None]),
        "operation": st.sampled_from([f"Operation{n}" for n in range(40)]),
        "credential_id": st.sampled_from([None, "AKIA1", "ASIA7"]),
        "src_network": st.sampled_from([None, "198.51.100.0/24", "203.0.113.0/24"]),
        "user_agent": st.sampled_from([None, "aws-cli/2.1", "aws-cli/2.2", "Boto3/1.0"]),
        "session": st.sampled_from([None, "job-1", "job-22", "x"]),
        "resource_id": st.one_of(st.none(), st.sampled_from([f"bucket{n % 3}/folder{n}/key" for n in range(9)])),
        "outcome": st.sampled_from(["success", "failure", "unknown"]),
        "mutating": st.sampled_from([True, False, None]),
    }
).map(lambda row: {**row, "actor_authority": row["actor_id"] and "aws:111111111111", "actor_name": "somebody"})


def _laws(folder: Path, events: Rows, parts: int, seed: int) -> None:
    """Splits the events at random, merges the deltas in random order, and compares with one delta of all."""
    chance = random.Random(seed)
    path = write_activities(folder / "all.parquet", [{**row, "batch": chance.randrange(parts)} for row in events])
    with duckdb.connect() as db:
        db.execute(f"CREATE VIEW activity AS SELECT * FROM read_parquet('{path}')")
        for table in STATE:
            names = []
            for part in range(parts):
                db.execute(f"CREATE TEMP TABLE p{part} AS {baseline.delta(table, where=f'batch = {part}')}")
                names.append(f"p{part}")
            while len(names) > 1:
                chance.shuffle(names)
                two, names = names[:2], names[2:]
                merged = f"m{len(names)}_{two[0]}"
                rows = " UNION ALL ".join(f"SELECT * FROM {one}" for one in two)
                db.execute(f"CREATE TEMP TABLE {merged} AS {baseline.merge(table, rows, most=3)}")
                names.append(merged)
            (last,) = names
            once = baseline.merge(table, f"SELECT * FROM {last}", most=3)
            whole = baseline.merge(table, baseline.delta(table), most=3)
            assert db.execute(f"{once} ORDER BY ALL").fetchall() == db.execute(f"{whole} ORDER BY ALL").fetchall(), (
                table
            )
            for one in db.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                db.execute(f"DROP TABLE {one[0]}")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_EVENT, min_size=1, max_size=60), st.integers(1, 5), st.integers(0, 2**32))
def test_any_split_in_any_order_gives_the_same_state(tmp_path: Path, events: Rows, parts: int, seed: int) -> None:
    _laws(tmp_path, events, parts, seed)


@pytest.mark.chaos
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_EVENT, min_size=1, max_size=200), st.integers(1, 9), st.integers(0, 2**32))
def test_any_split_in_any_order_gives_the_same_state_at_length(
    tmp_path: Path, events: Rows, parts: int, seed: int
) -> None:
    _laws(tmp_path, events, parts, seed)


def test_an_actor_with_too_many_keys_keeps_the_same_ones_with_exact_sums(world: World) -> None:
    world.state([{"time": at(n % 30), "src_network": f"10.{n % 50}.0.0/24"} for n in range(400)])
    kept = world.ask(baseline.merge("actor_network", "SELECT * FROM actor_network", most=10))
    assert len(kept) == 10
    assert {row["events"] for row in kept} == {8}
    again = world.ask(baseline.merge("actor_network", "SELECT * FROM actor_network ORDER BY src_network DESC", most=10))
    assert sorted(row["src_network"] for row in again) == sorted(row["src_network"] for row in kept)


def test_every_column_is_a_key_or_merged(world: World) -> None:
    for table, columns in STATE.items():
        assert set(baseline.keys(table)) | (set(columns) & set(MERGED)) == set(columns)
        assert "events" in columns
    assert set(STATE) > APPENDED


# ------------------------------------------------------------------ other engines


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("table", STATE)
def test_deltas_and_merges_are_valid_in_every_dialect(dialect: str, table: str) -> None:
    for sql in (baseline.delta(table), baseline.merge(table, f"SELECT * FROM {table}")):
        carried = in_dialect(sql, dialect)
        assert sqlglot.parse_one(carried, read=dialect).named_selects == list(STATE[table])
        assert "'g'" not in carried  # a flag to us, a position or an error to them
        assert "isodow" not in carried.lower()  # days of the week have other numbers everywhere


def test_clickhouse_gives_the_same_state(tmp_path: Path) -> None:
    pytest.importorskip("chdb")
    from wardship.store.clickhouse import ClickHouseEngine

    chance = random.Random(3)
    rows = [
        {
            "time": at(chance.randrange(200), chance.random() * 24),
            "actor_id": f"AIDA{chance.randrange(4)}",
            "credential_id": chance.choice([None, "AKIA1", "ASIA2"]),
            "user_agent": chance.choice(
                [None, "aws-cli/2.1 Python/3", "[S3Console/0.4, x]", "Mozilla/5.0 Firefox/121"]
            ),
            "session": chance.choice([None, "job-12", "i-0abc12"]),
            "resource_id": chance.choice([None, "arn:aws:s3:::b/k/l", "a/b/c", "/subscriptions/s/x/y"]),
            "src_network": chance.choice([None, "10.0.0.0/24"]),
            "outcome": chance.choice(["success", "failure"]),
        }
        for _ in range(300)
    ]
    table = activity_table(write_activities(tmp_path / "a.parquet", rows))
    with DuckDbEngine([table]) as ours, ClickHouseEngine([table]) as theirs:
        for name in STATE:
            sql = baseline.delta(name)
            there = sorted(map(repr, theirs.query(in_dialect(sql, "clickhouse"), {})))
            assert there == sorted(map(repr, ours.query(sql, {}))), name


# ------------------------------------------------------------------ what is usual


def working(actor: str = "AIDA1", *, weeks: int = 12, **more: Any) -> list[dict[str, Any]]:
    """Ten events each working day between 9 and 17 o'clock, one of fifty a failure."""
    made = []
    for day in range(1, weeks * 7 + 1):
        if (NOON - timedelta(days=day)).isoweekday() > 5:
            continue
        made += [
            {"time": at(day, 9 + n * 0.8), "actor_id": actor, "actor_kind": "role", "operation": f"Op{n % 5}",
             "src_network": "198.51.100.0/24", "src_asn": 64500, "src_country": "ES", "user_agent": "Boto3/1.2",
             "outcome": "failure" if n == 0 and day % 5 == 0 else "success", **more}
            for n in range(10)
        ]  # fmt: skip
    return made


def test_the_baseline_of_an_office_worker(world: World) -> None:
    world.state(working())
    one = world.baseline()["AIDA1"]
    assert set(one) == set(BASELINE)
    assert (one["active_days"], one["mature"], one["rhythm"]) == (60, True, "weekdays")
    assert (one["median_events"], one["mad_events"], one["longest_gap_days"]) == (10, 0, 3)
    assert (one["services"], one["actions"], one["networks"], one["asns"], one["agents"]) == (1, 5, 1, 1, 1)
    assert one["failure_rate"] == pytest.approx(0.02, abs=0.005)
    hours = one["hours"]
    assert len(hours) == 168
    assert all(hours[24 * day + hour] != "0" for day in range(5) for hour in range(9, 17))
    assert all(hours[24 * day + hour] == "0" for day in range(5) for hour in (*range(7), *range(19, 24)))
    assert set(hours[120:]) == {"0"}
    assert (one["off_hours_share"], one["weekend_share"], one["capped"]) == (0, 0, False)


@pytest.mark.parametrize(("every", "rhythm"), [(1, "daily"), (7, "weekly"), (30, "monthly"), (3, "bursty")])
def test_the_rhythm(world: World, every: int, rhythm: str) -> None:
    world.state([{"time": at(day, 3)} for day in range(1, 399, every)])
    one = world.baseline()["AIDA1"]
    assert (one["mature"], one["rhythm"], one["usual_gap_days"]) == (True, rhythm, every)


def test_a_weekly_job_is_unusual_on_any_other_day(world: World) -> None:
    world.state([{"time": at(day, 3)} for day in range(3, 150, 7)])  # Thursdays
    hours = world.baseline()["AIDA1"]["hours"]
    assert [place for place, level in enumerate(hours) if level != "0"] == [3 * 24 + hour for hour in (2, 3, 4)]


def test_a_young_actor_is_given_the_hours_of_its_other_days(world: World) -> None:
    world.state([{"time": at(day, 3)} for day in range(4, 7)])  # Monday to Wednesday of its first week
    hours = world.baseline()["AIDA1"]["hours"]
    assert hours[4 * 24 + 3] != "0"  # Friday at three


def test_what_happened_from_the_day_on_is_not_in_it(world: World) -> None:
    world.state([*working(), {"time": at(0, 1), "operation": "New", "src_network": "192.0.2.0/24"}])
    one = world.baseline()["AIDA1"]
    assert (one["actions"], one["networks"], one["last_at"].date() < NOON.date()) == (5, 1, True)
    later = world.baseline(NOON + timedelta(days=1))["AIDA1"]
    assert (later["actions"], later["networks"]) == (6, 2)


def test_a_cold_start_is_said(world: World) -> None:
    world.state([{"time": at(day, 3)} for day in range(1, 14)])
    one = world.baseline()["AIDA1"]
    assert (one["active_days"], one["mature"], one["rhythm"]) == (13, False, None)


def test_a_dormant_actor_keeps_its_picture(world: World) -> None:
    world.state([{"time": at(day, 3)} for day in range(200, 260)])
    one = world.baseline()["AIDA1"]
    assert (one["mature"], one["median_events"], one["hours"][3]) == (True, 1, "9")


def test_peers_are_of_one_kind_and_do_the_same(world: World) -> None:
    many = [row for n in range(4) for row in working(f"PEER{n}")]
    other = working("OTHER", service="ec2.amazonaws.com")
    young = [{**row, "actor_id": "YOUNG"} for row in working(weeks=1)]
    world.state([*many, *other, *young])
    found = world.baseline()
    assert {found[f"PEER{n}"]["peers"] for n in range(4)} == {found["YOUNG"]["peers"]}
    assert found["PEER0"]["peer_actors"] == 5
    assert found["OTHER"]["peers"] is None
    usual = world.ask("SELECT * FROM peer_action")
    assert set(usual[0]) == set(PEER_ACTION)
    assert {row["operation"]: row["share"] for row in usual} == {f"Op{n}": 1.0 for n in range(5)}


# ------------------------------------------------------------------ what is not


def test_a_day_like_any_other_is_unremarkable(world: World) -> None:
    usual = working()
    newest = max(row["time"][:10] for row in usual)
    world.state([row for row in usual if row["time"][:10] < newest])
    world.baseline(datetime.fromisoformat(newest).replace(tzinfo=UTC))
    (one,) = world.score([row for row in usual if row["time"][:10] == newest]).values()
    assert set(one) == set(SCORE)
    assert (one["mature"], one["usual_events"], one["off_hours_events"], one["idle_days"]) == (True, 10, 0, 1)
    assert (one["volume_z"], one["new_actions"]) == (0, 0)
    assert [one[name] for name in ("new_services", "new_networks", "new_asns", "new_countries", "new_agents")] == [
        0
    ] * 5


_STRANGE = [
    {"time": at(0, 3 + n / 60), "actor_kind": "role", "service": "iam.amazonaws.com", "operation": "CreateAccessKey",
     "src_network": "192.0.2.0/24", "src_asn": 65000, "src_country": "KP", "user_agent": "curl/8", "outcome": "failure"}
    for n in range(100)
]  # fmt: skip


@pytest.mark.parametrize("merged", [False, True], ids=["before it is merged", "after"])
def test_a_strange_day_stands_out(world: World, merged: bool) -> None:
    world.state([*working(), *(_STRANGE if merged else [])])
    world.baseline()
    (one,) = world.score(_STRANGE).values()
    assert one["volume_z"] > 20
    assert one["failure_z"] > 20
    assert one["off_hours_events"] == 100 or merged  # hours have no date: what is merged has become a habit
    names = ("new_services", "new_actions", "new_networks", "new_asns", "new_countries", "new_agents")
    assert {one[name] for name in names} == {1}
    assert one["new_actions_unlike_peers"] is None  # it has none


def test_a_young_actor_is_never_called_unusual(world: World) -> None:
    world.state(working(weeks=1))
    world.baseline()
    (one,) = world.score(_STRANGE).values()
    assert one["mature"] is False
    assert {one[name] for name in ("volume_z", "failure_z", "off_hours_events", "new_networks", "new_actions")} == {
        None
    }


def test_an_actor_never_seen_is_told_without_a_judgement(world: World) -> None:
    world.state(working())
    world.baseline()
    (one,) = world.score([{**_STRANGE[0], "actor_id": "AIDA9"}]).values()
    assert (one["mature"], one["idle_days"], one["events"], one["volume_z"]) == (False, None, 1, None)


def test_what_peers_do_is_less_surprising(world: World) -> None:
    many = [row for n in range(4) for row in working(f"PEER{n}")]
    world.state([*many, *(row for row in working("SHY") if row["operation"] != "Op4")])
    world.baseline()
    found = world.score([{**_STRANGE[0], "actor_id": "SHY", "service": "s3.amazonaws.com", "operation": "Op4"}])["SHY"]
    assert (found["new_actions"], found["new_actions_unlike_peers"]) == (1, 0)


def test_month_ends_and_the_season_of_last_year_are_expected(world: World) -> None:
    turn = [day for day in range(1, 90) if (NOON - timedelta(days=day)).day <= 2]
    busy = [{"time": at(day, 3 + n / 60)} for day in turn for n in range(50)]
    world.state([*({"time": at(day, 3)} for day in range(1, 90)), *busy, *({"time": at(365, 3)} for _ in range(30))])
    found = world.baseline()["AIDA1"]
    assert (found["month_end_events"], found["year_ago_events"]) == (26.0, 30)
    (one,) = world.score([{"time": at(0, 3)}]).values()
    assert one["usual_events"] == 30  # as a year ago


def test_idle_days_are_counted_to_the_last_use(world: World) -> None:
    world.state([{"time": at(day, 3)} for day in range(40, 90)])
    world.baseline()
    found = world.score([{"time": at(0, 3)}])["AIDA1"]
    assert found["idle_days"] == 40

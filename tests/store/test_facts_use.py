"""Used, unused, unobserved, insufficient: what audit logs let the facts say, and what they do not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import NOW
from tests.store.seed import put, use
from tests.store.test_facts import facts
from tests.store.test_facts_secrets import Statements
from wardship.model.baseline import MOST_ACTIONS, STATE
from wardship.store import tables, telemetry_tables
from wardship.store.db import Database
from wardship.store.engine import Table
from wardship.store.facts import Logs, Period, write_snapshot

ACCOUNT = "111111111111"
AWS = f"aws:{ACCOUNT}"
TODAY = NOW.date()
OLD = NOW - timedelta(days=400)
KEY = "AKIA" + "2" * 16
UNIQUE = "AIDA" + "3" * 17
PARTS = {
    "aws.cloudtrail": ("management-reads", "management-writes"),
    "entra.signin": ("interactiveUser", "nonInteractiveUser", "servicePrincipal"),
    "github.audit": ("api", "git", "web"),
    "graph.activity": ("reads", "writes"),
}


class Estate:
    """An account with one user and its key, and logs to be filled."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.conn = Statements(database)
        self._database, self._folder = database, folder
        self._state: dict[str, list[dict[str, Any]]] = {}
        self.periods: list[Period] = []
        self.environments: dict[str, str] = {}
        put(self.conn, "system", AWS, authority=AWS, kind="aws_account")
        self.user = self.identity("arn:user/ci", UNIQUE)
        self.key = put(
            self.conn, "credential", "k1", authority=AWS, holder_uid=self.user, public_id=KEY, type="access_key",
            created_at=OLD,
        )  # fmt: skip

    def identity(self, native_id: str, unique: str, **columns: Any) -> str:
        aliases = json.dumps([[AWS, unique]])
        return put(self.conn, "identity", native_id, authority=AWS, aliases=aliases, created_at=OLD, **columns)

    def log(
        self,
        days: Iterable[date],
        *,
        reads: int = 5,
        data_events: int = 0,
        source: str = "aws.cloudtrail",
        account: str = ACCOUNT,
        parts: Sequence[str] | None = None,
        told: bool = True,
    ) -> None:
        """Somebody's events of each part on these days, so that the log is known to have been on. `told`: whoever
        imported CloudTrail's files says that they are of all regions."""
        if parts is None:
            parts = PARTS.get(source, ("reads", "writes") if reads else ("writes",))
        for day in days:
            at = f"{day}T12:00:00"
            self._state.setdefault("log_day", []).extend(
                {"source": source, "account": account, "region": "eu-west-1", "part": part, "day": str(day),
                 "events": 9, "reads": reads, "data_events": data_events, "first_at": at, "last_at": at}
                for part in parts
            )  # fmt: skip
            if told and source == "aws.cloudtrail":
                start = datetime(day.year, day.month, day.day, tzinfo=UTC)
                for part in parts:
                    window(self, start, start + timedelta(days=1), stream=part, authority=f"aws:{account}")

    def did(
        self, actor: str = UNIQUE, *, on: date, key: str | None = KEY, failed: bool = False, **columns: Any
    ) -> None:
        at = f"{on}T12:00:00"
        row = {
            "authority": AWS, "actor_id": actor, "source": "aws.cloudtrail", "credential_id": key,
            "service": "s3.amazonaws.com", "operation": "GetObject", "events": 20, "failures": 20 if failed else 0,
            "first_at": at, "last_at": at, "used_at": None if failed else at, **columns,
        }  # fmt: skip
        self._state.setdefault("actor_action", []).append(row)
        self._state.setdefault("actor_day", []).append(
            {**row, "day": str(on), "actor_kind": "user", "actor_name": "ci", "mutating": 0, "interactive": 0}
        )

    def signed_in_to(self, app_id: str, *, on: date) -> None:
        at = f"{on}T12:00:00"
        self._state.setdefault("client_use", []).append(
            {"authority": "entra:t:appid", "actor_id": app_id, "source": "entra.signin", "events": 1, "failures": 0,
             "first_at": at, "last_at": at, "used_at": at}
        )  # fmt: skip

    def forget_last_action(self) -> None:
        """As the state does with what is more than it keeps of an actor: the day still tells of it."""
        self._state["actor_action"].pop()

    def forget(self) -> None:
        """No log was read."""
        self._state.clear()

    def consumed(self, agent: str, network: str, days: int) -> None:
        self._state.setdefault("actor_consumer", []).append(
            {"authority": AWS, "actor_id": UNIQUE, "source": "aws.cloudtrail", "credential_id": KEY,
             "src_network": network, "agent": agent, "events": 10 * days, "failures": 0,
             "first_at": f"{TODAY - timedelta(days=days)}T01:00:00", "last_at": f"{TODAY}T01:00:00",
             "used_at": f"{TODAY}T01:00:00"}
        )  # fmt: skip

    def data_events(self, account: str = ACCOUNT) -> None:
        """Somebody's data events, and the word that there are those of every service."""
        self.log([TODAY - timedelta(days=3)], data_events=1, account=account, parts=["data"], told=False)
        window(self, NOW - timedelta(days=400), NOW, stream="data", authority=f"aws:{account}")

    def read(self, table: str, hole_days: int = 3) -> list[dict[str, Any]]:
        state = [self._table(name, rows) for name, rows in self._state.items()]
        logs = Logs(
            state=state, periods=self.periods, environments=self.environments, inactive_days=90, hole_days=hole_days
        )
        snapshot = write_snapshot(self._database, self._folder / "facts", as_of=NOW, scan_seq=1, logs=logs)
        return facts(snapshot, table)

    def verdict(self, uid: str, hole_days: int = 3) -> tuple[str, str]:
        (row,) = [row for row in self.read("use_verdict", hole_days) if row["subject_uid"] == uid]
        return row["verdict"], row["reason"]

    def missing(self, uid: str) -> str | None:
        (row,) = [row for row in self.read("use_verdict") if row["subject_uid"] == uid]
        return str(row["missing"]) if row["missing"] is not None else None

    def _table(self, name: str, rows: list[dict[str, Any]]) -> Table:
        return Table(name=name, columns=STATE[name], files=[write_state(self._folder / f"{name}.parquet", name, rows)])


def write_state(path: Path, name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
    lines = path.with_suffix(".jsonl")
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = ", ".join(f"'{column}': '{kind}'" for column, kind in STATE[name].items())
    with duckdb.connect() as db:
        db.execute(
            f"COPY (SELECT * FROM read_json(?, format='newline_delimited', columns={{{columns}}}))"
            " TO ? (FORMAT parquet)",
            [str(lines), str(path)],
        )
    return path


def days(first: int, last: int) -> list[date]:
    """From `first` to `last` days ago."""
    return [TODAY - timedelta(days=ago) for ago in range(first, last - 1, -1)]


@pytest.fixture
def estate(database: Database, tmp_path: Path) -> Estate:
    return Estate(database, tmp_path)


def test_without_any_log_nothing_is_said(estate: Estate) -> None:
    assert estate.verdict(estate.user) == ("unobserved", "no_log")
    assert estate.verdict(estate.key) == ("unobserved", "no_log")


def test_a_use_in_time_is_a_use_of_the_identity_and_of_its_key(estate: Estate) -> None:
    estate.log(days(10, 1))
    estate.did(on=TODAY - timedelta(days=5))
    assert estate.verdict(estate.user) == ("used", "used_in_time")
    assert estate.verdict(estate.key) == ("used", "used_in_time")
    (permission,) = [row for row in estate.read("used_permission") if row["identity_uid"] == estate.user]
    assert (permission["service"], permission["operation"], permission["events"]) == (
        "s3.amazonaws.com",
        "GetObject",
        20,
    )
    assert permission["credential_uid"] == estate.key


def test_a_refused_attempt_is_no_use(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.data_events()
    estate.did(on=TODAY - timedelta(days=5), failed=True)
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")
    (permission,) = [row for row in estate.read("used_permission") if row["identity_uid"] == estate.user]
    assert (permission["last_used_at"], permission["failures"]) == (None, 20)


def test_unused_needs_the_whole_time_watched(estate: Estate) -> None:
    estate.data_events()
    estate.log(days(60, 1))
    assert estate.verdict(estate.user) == ("insufficient", "log_has_holes")
    estate.log(days(120, 61))
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")
    assert estate.verdict(estate.key) == ("unused", "not_used_in_time")


def test_holes_beyond_what_the_policy_forgives_leave_it_open(estate: Estate) -> None:
    estate.data_events()
    estate.log([day for day in days(120, 1) if day not in days(50, 46)])
    assert estate.verdict(estate.user, hole_days=5) == ("unused", "not_used_in_time")
    assert estate.verdict(estate.user, hole_days=4) == ("insufficient", "log_has_holes")


def test_a_complete_reading_covers_quiet_days(estate: Estate) -> None:
    estate.data_events()
    estate.log([TODAY - timedelta(days=ago) for ago in (120, 90, 60, 30)], told=False)
    assert estate.verdict(estate.user)[0] == "insufficient"
    window(estate, NOW - timedelta(days=130), NOW)
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")


def test_a_complete_reading_says_nothing_of_what_does_not_show_itself_any_more(estate: Estate) -> None:
    """Reads were logged until two months ago: that nothing else came since does not say that they still are."""
    estate.data_events()
    estate.log(days(130, 1), told=False, parts=["management-writes"])
    estate.log(days(130, 60), told=False, parts=["management-reads"])
    window(estate, NOW - timedelta(days=130), NOW)
    assert estate.verdict(estate.user) == ("insufficient", "log_has_holes")
    assert estate.missing(estate.user) == "aws.cloudtrail:management-reads"


def test_a_log_without_data_events_cannot_say_unused(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.did("AIDA-OTHER", on=TODAY - timedelta(days=3), key=None, operation="ListUsers")
    assert estate.verdict(estate.user) == ("insufficient", "data_events_off")


def test_a_log_without_reads_cannot_say_unused(estate: Estate) -> None:
    estate.log(days(120, 1), reads=0, source="aws.custom")
    assert estate.verdict(estate.user) == ("insufficient", "reads_not_logged")
    estate.log(days(1, 1), reads=1, source="aws.custom")
    assert estate.verdict(estate.user) == ("insufficient", "part_not_read")  # switched on yesterday
    assert estate.missing(estate.user) == "aws.custom:reads, aws.custom:writes"


def test_a_log_of_one_bucket_is_no_log_of_its_account(estate: Estate) -> None:
    estate.log(days(120, 1), source="aws.s3access")
    assert estate.verdict(estate.user) == ("insufficient", "part_not_told")
    for part in ("reads", "writes"):
        window(estate, NOW - timedelta(days=120), NOW, stream=part, source="aws.s3access")
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")


def test_files_of_people_s_sign_ins_do_not_cover_applications(estate: Estate) -> None:
    """A sign-in of a person is no read, one of an application is; a reading of all categories covers quiet days too."""
    put(estate.conn, "system", "entra:t", authority="entra:t", kind="entra_tenant")
    app = put(estate.conn, "identity", "sp", authority="entra:t", kind="oauth_app", created_at=OLD)
    managed = put(estate.conn, "identity", "mi", authority="entra:t", kind="managed_identity", created_at=OLD)
    people = ["interactiveUser", "nonInteractiveUser"]
    estate.log(days(120, 1), source="entra.signin", account="t", reads=0, parts=people)
    assert estate.verdict(app) == ("insufficient", "reads_not_logged")
    assert estate.missing(app) == "entra.signin:servicePrincipal"
    assert estate.missing(managed) == "entra.signin:managedIdentity"
    estate.log(days(120, 60), source="entra.signin", account="t", parts=["servicePrincipal"])
    assert estate.verdict(app) == ("insufficient", "log_has_holes")
    window(estate, NOW - timedelta(days=70), NOW, stream="servicePrincipal", authority="entra:t", source="entra.signin")
    assert estate.verdict(app) == ("unused", "not_used_in_time")
    assert estate.verdict(managed) == ("insufficient", "part_not_read")
    window(estate, NOW - timedelta(days=99), NOW, stream="managedIdentity", authority="entra:t", source="entra.signin")
    assert estate.verdict(managed) == ("unused", "not_used_in_time")


def test_an_application_that_people_sign_in_to_is_used(estate: Estate) -> None:
    put(estate.conn, "system", "entra:t", authority="entra:t", kind="entra_tenant")
    aliases = json.dumps([["entra:t:appid", "a-1"]])
    app = put(estate.conn, "identity", "sp", authority="entra:t", kind="oauth_app", created_at=OLD, aliases=aliases)
    estate.log(days(120, 1), source="entra.signin", account="t")
    assert estate.verdict(app) == ("unused", "not_used_in_time")
    estate.signed_in_to("a-1", on=TODAY - timedelta(days=5))
    assert estate.verdict(app) == ("used", "used_in_time")


def test_files_of_applications_alone_do_not_cover_clients_of_absent_users(estate: Estate) -> None:
    """A client that refreshes its user's token is in another category than its own sign-ins."""
    put(estate.conn, "system", "entra:t", authority="entra:t", kind="entra_tenant")
    app = put(estate.conn, "identity", "sp", authority="entra:t", kind="oauth_app", created_at=OLD)
    estate.log(days(120, 1), source="entra.signin", account="t", parts=["servicePrincipal"])
    assert estate.verdict(app) == ("insufficient", "part_not_read")
    assert estate.missing(app) == "entra.signin:interactiveUser, entra.signin:nonInteractiveUser"
    (row,) = estate.read("log_coverage")
    assert (row["parts"], row["missing_parts"]) == (
        "servicePrincipal",
        "interactiveUser, managedIdentity, nonInteractiveUser",
    )


def test_one_region_s_files_do_not_cover_an_account(estate: Estate) -> None:
    """No event tells which regions there are: whoever imports them must."""
    estate.data_events()
    estate.log(days(120, 1), told=False)
    assert estate.verdict(estate.user) == ("insufficient", "part_not_told")
    assert estate.missing(estate.user) == "aws.cloudtrail:management-reads, aws.cloudtrail:management-writes"
    window(estate, NOW - timedelta(days=120), NOW)
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")


def test_lookups_in_named_regions_do_not_cover_an_account_and_a_trail_s_folders_do(estate: Estate) -> None:
    estate.data_events()
    estate.log(days(120, 1), told=False)
    for region in ("eu-west-1", "us-east-1"):
        window(estate, NOW - timedelta(days=120), NOW, stream=region)
    assert estate.verdict(estate.user) == ("insufficient", "part_not_told")
    window(estate, NOW - timedelta(days=120), NOW, stream=f"{ACCOUNT}/eu-west-1")
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")


def test_data_events_of_one_service_say_nothing_of_another_s(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.log(days(120, 1), parts=["data"], data_events=1, told=False)
    assert estate.verdict(estate.user) == ("insufficient", "part_not_told")
    assert estate.missing(estate.user) == "aws.cloudtrail:data"


def test_the_first_and_the_last_day_of_files_may_be_half_days(estate: Estate) -> None:
    put(estate.conn, "system", "github:acme", authority="github:acme", kind="github_organisation")
    robot = put(estate.conn, "identity", "robot", authority="github:acme", created_at=OLD)
    estate.log(days(90, 1), source="github.audit", account="acme")
    assert estate.verdict(robot, hole_days=0) == ("insufficient", "log_has_holes")
    estate.log(days(91, 91), source="github.audit", account="acme")
    assert estate.verdict(robot, hole_days=0) == ("unused", "not_used_in_time")


def test_a_rule_of_the_log_that_no_event_tells_needs_somebody_s_word(estate: Estate) -> None:
    """An audit policy of Kubernetes leaves out verbs, resources and accounts."""
    put(estate.conn, "system", "kubernetes:prod", authority="kubernetes:prod", kind="kubernetes_cluster")
    account = put(estate.conn, "identity", "sa", authority="kubernetes:prod", created_at=OLD)
    estate.log(days(120, 1), source="kubernetes.audit", account="prod")
    assert estate.verdict(account) == ("insufficient", "part_not_told")
    for part in ("reads", "writes"):
        window(
            estate, NOW - timedelta(days=120), NOW, stream=part, authority="kubernetes:prod", source="kubernetes.audit"
        )
    assert estate.verdict(account) == ("unused", "not_used_in_time")


def test_a_role_at_work_in_another_account_covers_nothing_of_its_own(estate: Estate) -> None:
    """Its events lie in the other account's log, the data events too; of its own account nothing was read."""
    far = "222222222222"
    put(estate.conn, "system", f"aws:{far}", authority=f"aws:{far}", kind="aws_account")
    estate.log(days(120, 1), account=far)
    estate.data_events(account=far)
    for day in days(120, 1):
        estate.did("AROA-TRAVELLER", on=day, key=None)
    assert [row["authority"] for row in estate.read("log_coverage")] == [f"aws:{far}"]
    assert estate.verdict(estate.user) == ("unobserved", "no_log")
    estate.log(days(120, 1))
    assert estate.verdict(estate.user) == ("insufficient", "data_events_off")


def test_an_actor_of_more_actions_than_are_kept_was_used_when_it_was(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.data_events()
    for number in range(MOST_ACTIONS):
        estate.did(on=TODAY - timedelta(days=110), operation=f"Op{number}", key=None)
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")
    assert estate.verdict(estate.key) == ("unused", "not_used_in_time")
    estate.did(on=TODAY - timedelta(days=5))
    estate.forget_last_action()
    assert estate.verdict(estate.user) == ("used", "used_in_time")
    assert estate.verdict(estate.key) == ("insufficient", "credential_not_named")


def test_a_log_of_one_product_cannot_say_unused(estate: Estate) -> None:
    put(estate.conn, "system", "entra:t", authority="entra:t", kind="entra_tenant")
    app = put(estate.conn, "identity", "sp", authority="entra:t", kind="oauth_app", created_at=OLD)
    estate.log(days(120, 1), source="graph.activity", account="t")
    assert estate.verdict(app) == ("insufficient", "reads_not_logged")
    estate.log(days(120, 1), source="entra.signin", account="t")
    assert estate.verdict(app) == ("unused", "not_used_in_time")


def test_a_young_identity_is_not_unused(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.data_events()
    young = put(
        estate.conn, "identity", "arn:user/new", authority=AWS, aliases="[]", created_at=NOW - timedelta(days=20)
    )
    assert estate.verdict(young) == ("insufficient", "too_new")


def test_a_business_period_must_have_been_seen(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.data_events()
    closing = estate.identity("arn:user/closing", "AIDA-CLOSING", business_process="Closing")
    estate.periods = [
        Period(
            name="year_end", process="closing", start_on=TODAY - timedelta(days=340), end_on=TODAY - timedelta(days=320)
        )
    ]
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")
    assert estate.verdict(closing) == ("insufficient", "period_not_seen")
    estate.log(days(345, 121))
    assert estate.verdict(closing) == ("unused", "not_used_in_time")


def test_a_key_is_not_unused_while_its_holder_s_events_name_no_key(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.data_events()
    estate.did(on=TODAY - timedelta(days=5), key=None)
    assert estate.verdict(estate.user) == ("used", "used_in_time")
    assert estate.verdict(estate.key) == ("insufficient", "credential_not_named")


def test_a_key_is_not_unused_while_the_log_names_one_in_another_way(estate: Estate) -> None:
    """A log that tells the hash of a token and an inventory that knows its number mean perhaps the same one."""
    estate.log(days(120, 1))
    estate.data_events()
    estate.did(on=TODAY - timedelta(days=5), key="AKIA" + "7" * 16)
    assert estate.verdict(estate.key) == ("unused", "not_used_in_time")  # another key: ids of one kind
    estate.did(on=TODAY - timedelta(days=5), key="hash-of-a-token")
    assert estate.verdict(estate.key) == ("insufficient", "credential_not_named")


def test_what_the_provider_says_is_not_weakened_by_an_old_log(estate: Estate) -> None:
    """A log that ends long ago says nothing about the time after it."""
    estate.log(days(300, 250))
    estate.did(on=TODAY - timedelta(days=260))
    use(estate.conn, estate.key, state="used", last_used_at=NOW - timedelta(days=200), read_at=NOW)
    assert estate.verdict(estate.key) == ("unused", "not_used_in_time")


def test_a_refused_log_is_named(estate: Estate) -> None:
    window(estate, NOW - timedelta(days=30), NOW, complete=False, problem="needs Entra ID P1")
    (row,) = estate.read("log_coverage")
    assert (row["covered_days"], row["problem"]) == (0, "needs Entra ID P1")
    assert estate.verdict(estate.user) == ("unobserved", "log_refused")


def test_who_is_in_the_logs_and_not_in_the_inventory(estate: Estate) -> None:
    estate.log(days(10, 1))
    estate.did("AIDA-GHOST", on=TODAY - timedelta(days=2))
    estate.did("AIDA-GUESS", on=TODAY - timedelta(days=2), failed=True)
    (row,) = estate.read("unmatched_actor")
    assert (row["actor_id"], row["events"], row["active_days"]) == ("AIDA-GHOST", 20, 1)


def test_an_id_that_two_identities_claim_names_neither(estate: Estate) -> None:
    estate.log(days(10, 1))
    estate.identity("arn:user/twin", UNIQUE)
    estate.did(on=TODAY - timedelta(days=2), key=None)
    assert estate.verdict(estate.user)[0] != "used"


def test_whom_an_unclear_id_may_name_is_not_called_unused(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.data_events()
    twin = estate.identity("arn:user/twin", UNIQUE)
    estate.did(on=TODAY - timedelta(days=20), key=None, used_at=f"{TODAY - timedelta(days=20)}T12:00:00")
    assert estate.verdict(estate.user) == ("insufficient", "id_not_exact")
    assert estate.verdict(twin) == ("insufficient", "id_not_exact")
    assert estate.verdict(estate.key) == ("insufficient", "credential_not_named")


def test_an_unclear_use_before_the_needed_time_changes_nothing(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.data_events()
    estate.identity("arn:user/twin", UNIQUE)
    estate.did(on=TODAY - timedelta(days=100), key=None)
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")


def test_whose_name_a_log_uses_without_an_id_is_not_called_unused(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.data_events()
    other = estate.identity("arn:user/other", "AIDA-QUIET", name="other")
    estate.did("Deploy-Bot", on=TODAY - timedelta(days=5), key=None, authority=f"aws.cloudtrail:{ACCOUNT}")
    bot = estate.identity("arn:user/bot", "AIDA-BOT", name="deploy-bot")
    assert estate.verdict(bot) == ("insufficient", "id_not_exact")
    assert estate.verdict(other) == ("unused", "not_used_in_time")


def test_a_key_id_that_two_credentials_have_leaves_both_open(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.data_events()
    again = put(
        estate.conn, "credential", "k1-again", authority=AWS, holder_uid=estate.user, public_id=KEY, type="access_key",
        created_at=OLD,
    )  # fmt: skip
    estate.did(on=TODAY - timedelta(days=5))
    assert estate.verdict(estate.key) == ("insufficient", "id_not_exact")
    assert estate.verdict(again) == ("insufficient", "id_not_exact")


@pytest.mark.parametrize(
    "copy", [{"type": "stored_secret"}, {"type": "access_key", "presence": "gone"}], ids=["in a vault", "gone"]
)
def test_a_copy_of_a_key_does_not_take_its_use(estate: Estate, copy: dict[str, str]) -> None:
    estate.log(days(120, 1))
    put(estate.conn, "credential", "copy", authority=AWS, holder_uid=estate.user, public_id=KEY, created_at=OLD, **copy)
    estate.did(on=TODAY - timedelta(days=5))
    assert estate.verdict(estate.key) == ("used", "used_in_time")


def test_a_key_used_long_ago_is_not_unused_while_later_events_name_no_key(estate: Estate) -> None:
    estate.log(days(300, 1))
    estate.data_events()
    estate.did(on=TODAY - timedelta(days=200))
    assert estate.verdict(estate.key) == ("unused", "not_used_in_time")
    estate.did(on=TODAY - timedelta(days=5), key=None)
    assert estate.verdict(estate.key) == ("insufficient", "credential_not_named")


def test_a_refused_stream_is_not_covered_by_another(estate: Estate) -> None:
    estate.data_events()
    estate.log(days(120, 1), told=False)
    window(estate, NOW - timedelta(days=130), NOW, stream=f"{ACCOUNT}/eu-west-1")
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")
    east = f"{ACCOUNT}/us-east-1"
    window(estate, NOW - timedelta(days=30), NOW, stream=east, complete=False, problem="no permission")
    assert estate.verdict(estate.user) == ("insufficient", "log_refused")
    (row,) = estate.read("log_coverage")
    assert row["problem"] == "no permission"
    window(estate, NOW - timedelta(days=130), NOW, stream=east)
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")
    (row,) = estate.read("log_coverage")
    assert row["problem"] is None


def test_days_declared_complete_end_the_doubt_of_a_refused_stream(estate: Estate) -> None:
    estate.data_events()
    estate.log(days(120, 1), told=False)
    window(estate, NOW - timedelta(days=130), NOW, stream="eu-west-1")
    window(estate, NOW - timedelta(days=130), NOW, stream="us-east-1", complete=False, problem="no permission")
    window(estate, NOW - timedelta(days=130), NOW)
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")


def test_files_of_a_log_that_is_refused_live_count_as_files_do(estate: Estate) -> None:
    estate.data_events()
    estate.log(days(120, 1))
    window(estate, NOW - timedelta(days=90), NOW, stream="eu-west-1", complete=False, problem="no permission")
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")


def test_a_quiet_day_is_covered_when_every_stream_was_read(estate: Estate) -> None:
    estate.data_events()
    estate.log([TODAY - timedelta(days=ago) for ago in (120, 90, 60, 30)], told=False)
    window(estate, NOW - timedelta(days=130), NOW, stream=f"{ACCOUNT}/eu-west-1")
    window(estate, NOW - timedelta(days=20), NOW, stream=f"{ACCOUNT}/us-east-1")
    assert estate.verdict(estate.user) == ("insufficient", "log_has_holes")
    window(estate, NOW - timedelta(days=130), NOW - timedelta(days=20), stream=f"{ACCOUNT}/us-east-1")
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")


def test_short_readings_one_after_the_other_cover_whole_days(estate: Estate) -> None:
    estate.data_events()
    estate.log([TODAY - timedelta(days=ago) for ago in (120, 90, 60, 30)], told=False)
    for hours in range(0, 24 * 100, 7):
        end = NOW - timedelta(hours=hours)
        window(estate, end - timedelta(hours=7), end, stream=f"{ACCOUNT}/eu-west-1")
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")


def test_what_is_still_to_come_is_not_complete(estate: Estate) -> None:
    window(estate, NOW - timedelta(days=10), NOW + timedelta(days=9_000))
    (row,) = estate.read("log_coverage")
    assert (row["covered_days"], row["last_on"]) == (9, TODAY - timedelta(days=1))


def test_an_identity_in_two_systems_is_unused_when_both_were_watched(estate: Estate) -> None:
    other = "aws:222222222222"
    put(estate.conn, "system", other, authority=other, kind="aws_account")
    part = put(estate.conn, "identity", "arn:user/part", authority=other, rank=1, created_at=OLD)
    estate.conn.execute(tables.resolution.insert().values(uid=part, identity_uid=estate.user, evidence="the same"))
    estate.data_events()
    estate.log(days(120, 1))
    assert estate.verdict(estate.user) == ("insufficient", "no_log")
    estate.log(days(120, 1), account="222222222222")
    assert estate.verdict(estate.user) == ("insufficient", "data_events_off")
    estate.data_events(account="222222222222")
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")


def test_consumers_of_a_key_are_dependencies(estate: Estate) -> None:
    estate.log(days(10, 1))
    estate.consumed("aws-cli", "192.0.2.0/24", days=8)
    estate.consumed("boto3", "198.51.100.0/24", days=3)
    estate.consumed("curl", "203.0.113.0/24", days=0)
    rows = [row for row in estate.read("dependency") if row["credential_uid"] == estate.key]
    assert {row["consumer"] for row in rows} == {"aws-cli, from 192.0.2.0/24", "boto3, from 198.51.100.0/24"}
    assert {(row["identity_uid"], row["source"], row["confidence"]) for row in rows} == {
        (estate.user, "log:aws.cloudtrail", "confirmed")
    }


def test_the_same_state_gives_the_same_snapshot(estate: Estate) -> None:
    estate.log(days(120, 1))
    estate.did(on=TODAY - timedelta(days=2))
    assert estate.read("use_verdict") == estate.read("use_verdict")


def window(
    estate: Estate,
    start: datetime,
    end: datetime,
    *,
    complete: bool = True,
    problem: str | None = None,
    stream: str = "",
    authority: str = AWS,
    source: str = "aws.cloudtrail",
) -> None:
    table = telemetry_tables.telemetry_window
    estate.conn.execute(
        table.insert().values(
            source=source, authority=authority, stream=stream, start_at=start, end_at=end, complete=complete,
            problem=problem, said_by="sync", recorded_at=NOW,
        )
    )  # fmt: skip


def test_a_network_of_another_environment_makes_its_consumer_one_of_it(estate: Estate) -> None:
    estate.log(days(10, 1))
    estate.consumed("aws-cli", "test cluster", days=8)
    estate.consumed("boto3", "198.51.100.0/24", days=3)
    estate.environments = {"test cluster": "test"}
    rows = {row["consumer"]: row["environment"] for row in estate.read("dependency") if row["credential_uid"]}
    assert rows == {"aws-cli, from test cluster": "test", "boto3, from 198.51.100.0/24": None}


def test_a_provider_that_began_to_watch_lately_does_not_make_an_old_key_unused(estate: Estate) -> None:
    use(estate.conn, estate.key, state="never", since=NOW - timedelta(days=10), read_at=NOW)
    assert estate.verdict(estate.key) == ("insufficient", "watched_too_short")
    (row,) = [row for row in estate.read("use_verdict") if row["subject_uid"] == estate.key]
    assert row["known_since"].date() == TODAY - timedelta(days=10)


def test_a_provider_that_does_not_say_since_when_it_watches_does_not_make_a_key_unused(estate: Estate) -> None:
    use(estate.conn, estate.key, state="never", read_at=NOW)
    assert estate.verdict(estate.key) == ("insufficient", "watched_too_short")


def test_a_use_before_the_newest_scan_first_saw_it_is_no_youth(estate: Estate) -> None:
    """A provider without a date of creation: the last use says that it was there already."""
    sp = put(estate.conn, "identity", "sp", authority=AWS, first_seen_at=NOW - timedelta(days=5))
    use(estate.conn, sp, state="used", last_used_at=NOW - timedelta(days=200), read_at=NOW)
    assert estate.verdict(sp) == ("unused", "not_used_in_time")


def test_what_was_made_again_under_its_old_name_is_young(estate: Estate) -> None:
    again = put(estate.conn, "identity", "arn:user/again", authority=AWS, created_at=NOW - timedelta(days=20))
    use(estate.conn, again, state="used", last_used_at=NOW - timedelta(days=200), read_at=NOW)
    assert estate.verdict(again) == ("insufficient", "too_new")


def test_a_key_rotated_in_between_leaves_it_open_unless_a_log_watched_its_holder(estate: Estate) -> None:
    """Nobody told of the use of the key that is gone; a log would have shown it."""
    new = put(
        estate.conn, "credential", "k2", authority=AWS, holder_uid=estate.user, public_id="AKIA" + "4" * 16,
        type="access_key", created_at=NOW - timedelta(days=10),
    )  # fmt: skip
    use(estate.conn, estate.key, state="never", since=OLD, read_at=NOW)
    use(estate.conn, new, state="never", since=NOW - timedelta(days=10), read_at=NOW)
    assert estate.verdict(estate.user) == ("insufficient", "watched_too_short")
    estate.log(days(120, 1))
    estate.data_events()
    assert estate.verdict(estate.user) == ("unused", "not_used_in_time")
    assert estate.verdict(new) == ("insufficient", "too_new")

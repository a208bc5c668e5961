"""The log of a real Samba domain controller, in which what matters of an account was done once, and read.

A service account is made, given a password, rights and tickets, misused, and put away; a clerk tries what a clerk may
not. Their names are new in each run, for the domain controller stays.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.telemetry.tiny import rows
from tests.servers.samba import ADDRESS, ADMIN, BASE, Samba, unicode_password
from wardship.config import Settings
from wardship.ingest.telemetry.importer import import_paths
from wardship.ingest.telemetry.records import NoRecord, Raw, Records
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.sdk.connector import DriftLog
from wardship.sources import windows_security
from wardship.store.db import Database
from wardship.store.workspace import Workspace

pytestmark = pytest.mark.servers

USERS = f"CN=Users,{BASE}"
FIRST, SECOND, THIRD = (f"{word}-Passw0rd-{uuid.uuid4().hex[:8]}" for word in ("First", "Second", "Third"))
WRONG = f"wrong-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """Who took part, what the log says of it, and what we read there."""

    service: str
    clerk: str
    machine: str
    stranger: str  # no account at all
    sids: dict[str, str]
    log: Path  # a copy of the whole
    began: datetime
    ended: datetime
    lines: list[Raw]  # the log since then, as ingest reads it
    found: list[Activity]
    drift: DriftLog

    @property
    def records(self) -> list[dict[str, Any]]:
        """The audit records among the lines, as Samba wrote them."""
        texts = (line["message"].strip() for line in self.lines if not isinstance(line, NoRecord))
        return [json.loads(text) for text in texts if text.startswith("{")]

    def all(self, operation: str, **where: object) -> list[Activity]:
        """The activities of this operation of which this is true; `where` names fields, or fields of `detail`."""
        return [
            one
            for one in self.found
            if one.operation == operation
            and all(value == one.detail.get(name, getattr(one, name, None)) for name, value in where.items())
        ]

    def one(self, operation: str, **where: object) -> Activity:
        (found,) = self.all(operation, **where)
        return found


def user(name: str) -> str:
    return f"CN={name},{USERS}"


def add(dn: str, kind: str, account: str, flags: int, *more: str) -> str:
    fixed = (f"objectClass: {kind}", f"sAMAccountName: {account}", f"userAccountControl: {flags}")
    return "\n".join((f"dn: {dn}", "changetype: add", *fixed, *more)) + "\n\n"


def modify(dn: str, *changes: str) -> str:
    """Each change is "add|replace|delete NAME: VALUE"."""
    texts = (f"{change.split()[0]}: {change.split()[1].strip(':')}\n{change.partition(' ')[2]}" for change in changes)
    return f"dn: {dn}\nchangetype: modify\n" + "\n-\n".join(texts) + "\n\n"


def password(how: str, text: str) -> str:
    return f"{how} unicodePwd:: {unicode_password(text)}"


@pytest.fixture(scope="module")
def played(samba: Samba, tmp_path_factory: pytest.TempPathFactory) -> Played:
    mark = uuid.uuid4().hex[:6]
    service, clerk, machine, stranger = f"svc-{mark}", f"clerk-{mark}", f"app-{mark}", f"nobody-{mark}"
    admins = user("Domain Admins")
    began, before = datetime.now(UTC), samba.log.stat().st_size

    assert samba.change(
        add(user(service), "user", service, 514)
        + modify(user(service), password("replace", FIRST))
        + modify(user(service), "replace userAccountControl: 512")
        + modify(user(service), f"add servicePrincipalName: HTTP/{mark}", f"add msDS-AllowedToDelegateTo: cifs/{mark}")
        + modify(admins, f"add member: {user(service)}")
        + add(user(clerk), "user", clerk, 512, f"unicodePwd:: {unicode_password(FIRST)}")
        + add(user(machine), "computer", f"{machine}$", 4096)
        + modify(user(machine), f"replace userAccountControl: {4096 | 0x80000}")  # trusted for delegation
    )
    sids = {name: samba.sid(name) for name in (service, clerk, f"{machine}$", ADMIN[0])}
    assert samba.bind(service, FIRST)
    assert not samba.bind(service, WRONG)
    assert not samba.bind(stranger, WRONG)
    assert samba.ntlm(service, FIRST)
    assert samba.kinit(service, FIRST)
    assert samba.ticket(service, FIRST, f"HTTP/{mark}")
    assert not samba.kinit(service, WRONG)
    assert not samba.kinit(stranger, WRONG)
    changed = modify(user(service), password("delete", FIRST), password("add", SECOND))
    assert samba.change(changed, by=(service, FIRST))
    assert samba.kpasswd(service, SECOND, THIRD)
    assert not samba.kpasswd(service, THIRD, "short")
    assert not samba.change(modify(admins, f"add member: {user(clerk)}"), by=(clerk, FIRST))
    assert not samba.change(modify(user(service), password("replace", FIRST)), by=(clerk, FIRST))
    assert not any(samba.bind(clerk, WRONG) for _ in range(4))
    assert not samba.bind(clerk, FIRST), "four wrong passwords lock an account"
    assert samba.change(
        modify(user(clerk), "replace lockoutTime: 0")
        + modify(admins, f"delete member: {user(service)}")
        + modify(user(service), "replace userAccountControl: 514")
        + f"dn: {user(clerk)}\nchangetype: delete\n\n"
        + f"dn: {user(machine)}\nchangetype: modrdn\nnewrdn: CN=renamed-{mark}\ndeleteoldrdn: 1\n\n"
    )
    assert not samba.bind(service, THIRD), "a disabled account"

    folder = tmp_path_factory.mktemp("samba")
    log, new = folder / "log.samba", folder / "new"
    shutil.copy(samba.log, log)
    new.write_bytes(log.read_bytes()[before:])
    lines = list(Records(new, new.name, windows_security.MANIFEST.records))
    drift = DriftLog()
    return Played(
        service=service,
        clerk=clerk,
        machine=machine,
        stranger=stranger,
        sids=sids,
        log=log,
        began=began,
        ended=datetime.now(UTC),
        lines=lines,
        found=[one for line in lines if not isinstance(line, NoRecord) for one in windows_security.parse(line, drift)],
        drift=drift,
    )


def test_every_line_of_the_log_is_claimed_or_known_as_text_and_none_is_refused(played: Played) -> None:
    assert not [line for line in played.lines if isinstance(line, NoRecord)]
    assert len(played.records) > 60
    assert all(windows_security.claims(record) for record in played.records)
    assert not played.drift.counts
    locked = [line for line in played.lines if not isinstance(line, NoRecord) and "Locked out user" in line["message"]]
    assert len(locked) == 1, "Samba says other things between its records"
    assert list(windows_security.parse(locked[0], DriftLog())) == []


def test_each_number_that_samba_gives_is_an_activity_at_its_time(played: Played) -> None:
    """Held against the records themselves; what Samba does not number is looked at in the other tests."""
    given: Counter[tuple[str, datetime]] = Counter()
    for record in played.records:
        told = record[record["type"]]
        if "eventId" in told and told.get("user") != told.get("group", "-"):  # "a new account is a member of itself"
            given[str(told["eventId"]), datetime.fromisoformat(record["timestamp"])] += 1
    read = Counter((one.operation, one.time) for one in played.found)
    assert given
    assert given <= read
    assert all(played.began <= one.time <= played.ended for one in played.found)


def test_logons_tell_who_by_sid_how_and_from_where(played: Played) -> None:
    sid = played.sids[played.service]
    for package, service in (
        ("simple bind/TLS", "LDAP"),
        ("NTLMSSP", "LDAP"),
        ("ENC-TS Pre-authentication", "Kerberos KDC"),
    ):
        found = played.all("4624", actor_id=sid, package=package)
        assert found, package
        for one in found:
            assert (one.actor_authority, one.actor_name) == ("ad:sid", f"CORP\\{played.service}")
            assert (one.outcome, one.src_ip, one.resource_name) == (Outcome.SUCCESS, ADDRESS, service)
            assert (one.class_uid, one.mutating, one.interactive) == (ActivityClass.AUTHENTICATION, False, False)


def test_refused_logons_tell_why_and_who_as_far_as_samba_knows(played: Played) -> None:
    failed = {"outcome": Outcome.FAILURE, "src_ip": ADDRESS}
    wrong = "NT_STATUS_WRONG_PASSWORD"
    by_name = {"actor_authority": "ad:name:corp", "actor_id": played.service, **failed}
    played.one("4625", outcome_code=wrong, package="simple bind/TLS", **by_name)
    played.one("4625", outcome_code="NT_STATUS_ACCOUNT_DISABLED", **by_name)
    played.one("4625", outcome_code=wrong, service_name="Kerberos KDC", actor_id=played.sids[played.service], **failed)
    nobody = {"actor_authority": "ad:name:corp.example.test", "actor_id": played.stranger, **failed}
    assert len(played.all("4625", outcome_code="NT_STATUS_NO_SUCH_USER", **nobody)) == 2, "by LDAP and by Kerberos"
    clerk = {"actor_id": played.clerk, **failed}
    assert len(played.all("4625", outcome_code=wrong, **clerk)) == 4
    played.one("4625", outcome_code="NT_STATUS_ACCOUNT_LOCKED_OUT", **clerk)


def test_accounts_are_created_locked_unlocked_disabled_and_deleted(played: Played) -> None:
    service, clerk, machine = (user(name) for name in (played.service, played.clerk, played.machine))
    for number, dn, action in (
        ("4720", service, "account-created"),
        ("4720", clerk, "account-created"),
        ("4741", machine, "computer-created"),
        ("4767", clerk, "account-unlocked"),
        ("4725", service, "account-disabled"),
        ("5141", clerk, "directory-object-deleted"),
    ):
        one = played.one(number, resource_id=dn)
        assert (one.actor_authority, one.actor_id) == ("ad:sid", played.sids[ADMIN[0]])
        assert (one.detail["action"], one.outcome, one.src_ip) == (action, Outcome.SUCCESS, ADDRESS)
        assert one.mutating
    locked = played.one("4740", resource_id=clerk)
    assert (locked.actor_kind, locked.actor_id, locked.src_ip) == (ActorKind.MACHINE, None, None)


def test_a_password_is_changed_by_its_owner_and_reset_by_another(played: Played) -> None:
    service, sid = user(played.service), played.sids[played.service]
    reset = played.one("4724", resource_id=service, outcome=Outcome.SUCCESS)
    assert (reset.actor_id, reset.src_ip, reset.class_uid) == (
        played.sids[ADMIN[0]],
        ADDRESS,
        ActivityClass.ACCOUNT_CHANGE,
    )
    refused = played.one("4724", resource_id=service, outcome=Outcome.FAILURE)
    assert (refused.actor_id, refused.outcome_code) == (played.sids[played.clerk], "insufficient access rights")
    by_ldap, by_kerberos, too_short = played.all("4723", resource_id=service)
    assert {one.actor_id for one in (by_ldap, by_kerberos, too_short)} == {sid}
    assert (by_ldap.outcome, by_ldap.src_ip) == (Outcome.SUCCESS, ADDRESS)
    assert (by_kerberos.outcome, by_kerberos.src_ip) == (Outcome.SUCCESS, None), "Samba does not say from where"
    assert (too_short.outcome, too_short.outcome_code) == (Outcome.FAILURE, "Constraint violation")


def test_memberships_are_told_once(played: Played) -> None:
    admins, member = user("Domain Admins"), user(played.service)
    for number in ("4728", "4729"):
        (one,) = played.all(number, member=member)
        assert (one.resource_type, one.resource_id, one.actor_id) == ("group", admins, played.sids[ADMIN[0]])
        assert (one.outcome, one.class_uid) == (Outcome.SUCCESS, ActivityClass.GROUP_MANAGEMENT)
    tried = played.one("5136", resource_id=admins, outcome=Outcome.FAILURE)
    assert (tried.actor_id, tried.detail["changed"]) == (played.sids[played.clerk], ["member"])
    assert f"<SID={played.sids[played.clerk]}>" in tried.detail["values"][0]


def test_what_an_account_may_be_delegated_is_told_with_its_value(played: Played) -> None:
    mark = played.service.removeprefix("svc-")
    values = [f"servicePrincipalName=HTTP/{mark}", f"msDS-AllowedToDelegateTo=cifs/{mark}"]
    assert played.one("5136", resource_id=user(played.service), values=values).outcome is Outcome.SUCCESS
    trusted = played.one("5136", resource_id=user(played.machine))
    assert trusted.detail["values"] == [f"userAccountControl={4096 | 0x80000}"]


def test_the_books_of_the_directory_are_no_changes(played: Played) -> None:
    assert any('"lastLogonTimestamp"' in json.dumps(record) for record in played.records)
    told = {name.lower() for one in played.found if one.operation == "5136" for name in one.detail.get("changed", ())}
    assert told == {
        "useraccountcontrol",
        "serviceprincipalname",
        "msds-allowedtodelegateto",
        "member",
        "unicodepwd",
        "cleartextpassword",
    }


def test_what_samba_does_not_log_is_declared_as_a_blind_spot(played: Played) -> None:
    """A ticket was given and a machine renamed, both unseen. Where a newer Samba logs them, this asks for a reader."""
    mark = played.service.removeprefix("svc-")
    kerberos = [record for record in played.records if "Kerberos KDC" in json.dumps(record)]
    assert kerberos
    assert not [record for record in kerberos if f"HTTP/{mark}" in json.dumps(record)]
    assert not [record for record in played.records if f"renamed-{mark}" in json.dumps(record)]
    assert "windows.security.samba" in {spot.id for spot in windows_security.MANIFEST.blind_spots}


def test_no_password_is_in_what_is_read(played: Played) -> None:
    told = repr(played.found)
    for secret in (FIRST, SECOND, THIRD, WRONG, ADMIN[1]):
        assert secret not in told
        assert unicode_password(secret) not in told


def test_the_whole_log_is_imported_as_what_it_is_without_a_record_refused(
    played: Played, tmp_path: Path, sqlite_template: Path
) -> None:
    folder = tmp_path / "ws"
    (folder / "tmp").mkdir(parents=True)
    shutil.copy(sqlite_template, folder / "state.db")
    db = Database(f"sqlite:///{folder}/state.db", clock=lambda: datetime.now(UTC))
    ws = Workspace(folder, Settings(), db)
    done = import_paths(ws, [played.log], actor="test")
    assert (dict(done.sources), done.complete, done.duplicates) == ({"windows.security": 1}, True, 0)
    assert not done.drift
    assert done.skipped + done.events == len(played.log.read_text("utf-8").splitlines())
    published = Counter(rows(ws, "operation, actor_authority, actor_id, src_ip, outcome, time"))
    db.close()
    assert published >= Counter(
        (one.operation, one.actor_authority, one.actor_id, one.src_ip, one.outcome.value, one.time.replace(tzinfo=None))
        for one in played.found
    )

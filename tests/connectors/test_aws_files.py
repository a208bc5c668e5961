"""AWS's exports from files: good ones, broken ones, hostile ones."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wardship.connectors.aws import import_files
from wardship.connectors.aws.files import MAX_OBJECT_CHARS, AwsFiles, read_details
from wardship.model.access import Credential, Grant, Usage, UseState
from wardship.model.errors import DataError
from wardship.model.identity import Identity, IdentityKind
from wardship.sdk.connector import Connection, Record

ACCOUNT = "111122223333"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"


def user(name: str = "ana", **more: Any) -> dict[str, Any]:
    return {
        "Path": "/",
        "UserName": name,
        "UserId": f"AIDA{name}",
        "Arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
        "CreateDate": "2024-01-01T00:00:00+00:00",
        "GroupList": [],
        "AttachedManagedPolicies": [{"PolicyArn": ADMIN, "PolicyName": "AdministratorAccess"}],
        **more,
    }


def details(*users: Any) -> dict[str, Any]:
    document = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    version = {"Document": document, "IsDefaultVersion": True, "VersionId": "v1"}
    return {
        "UserDetailList": list(users),
        "GroupDetailList": [],
        "RoleDetailList": [],
        "Policies": [{"Arn": ADMIN, "PolicyName": "AdministratorAccess", "PolicyVersionList": [version]}],
        "IsTruncated": False,
    }


REPORT = """user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,\
password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,\
access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,\
access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,\
cert_1_last_rotated,cert_2_active,cert_2_last_rotated
<root_account>,arn:aws:iam::111122223333:root,2020-01-01T00:00:00+00:00,not_supported,2026-01-02T00:00:00+00:00,\
not_supported,not_supported,true,false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A
ana,arn:aws:iam::111122223333:user/ana,2024-01-01T00:00:00+00:00,true,no_information,2024-01-01T00:00:00+00:00,N/A,\
false,true,2024-02-01T00:00:00+00:00,N/A,N/A,N/A,false,2024-03-01T00:00:00+00:00,2024-04-01T00:00:00+00:00,us-east-1,s3,\
true,2024-05-01T00:00:00+00:00,false,N/A
"""


@pytest.fixture
def load(tmp_path: Path, clock: Callable[[], datetime]) -> Callable[..., AwsFiles]:
    def make(*contents: bytes | str | dict[str, Any]) -> AwsFiles:
        paths = []
        for number, content in enumerate(contents):
            path = tmp_path / f"export-{number}"
            text = json.dumps(content) if isinstance(content, dict) else content
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            paths.append(path)
        found = import_files(paths, Connection(name="f", connector="aws", clock=clock))
        assert isinstance(found, AwsFiles)
        return found

    return make


def read(files: AwsFiles) -> tuple[list[Record], int]:
    """(records, quarantined items)"""
    records: list[Record] = []
    bad = 0
    for scope in files.scopes():
        for page in files.fetch(scope, None):
            for item in page.items:
                try:
                    records.extend(list(files.parse(scope, item)))
                except DataError:
                    bad += 1
    return records, bad


def test_details_and_report_together_know_more_than_either(load: Callable[..., AwsFiles]) -> None:
    records, bad = read(load(details(user()), REPORT))
    assert bad == 0
    ana = next(one for one in records if isinstance(one, Identity) and one.name == "ana")
    assert ana.kind is IdentityKind.ACCESS_KEY_HOLDER
    assert [one.permission for one in records if isinstance(one, Grant)] == ["*"]
    credentials = {one.native_id.rpartition("/")[2]: one for one in records if isinstance(one, Credential)}
    assert set(credentials) == {"password", "access_key_1", "access_key_2", "cert_1"}
    use = {one.subject[2].rpartition(":")[2]: one for one in records if isinstance(one, Usage)}
    assert (use["user/ana/access_key_1"].state, use["user/ana/access_key_1"].since) == (
        UseState.NEVER,
        datetime(2024, 2, 1, tzinfo=UTC),
    )
    assert use["user/ana/access_key_2"].detail == "s3, us-east-1"
    assert use["user/ana/password"].state is UseState.UNKNOWN
    assert use["root"].state is UseState.USED


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_windows_writes(load: Callable[..., AwsFiles], encoding: str) -> None:
    assert len(read(load(json.dumps(details(user())).encode(encoding)))[0]) == 2
    assert read(load(REPORT.replace("\n", "\r\n").encode(encoding)))[0]


@pytest.mark.parametrize(
    "bad",
    [
        b"", b"   ", b"\xff\xfe\x00", b"\x80abc", "é".encode("latin-1"), b"{", b"[]", b"[1,2]", b"{}", b'{"a": 1}',
        b'{"UserDetailList": ', b'{"UserDetailList": [', b'{"UserDetailList": [{"Arn": "x"}', b'{"UserDetailList": {}}',
        b'{"UserDetailList": 7}', b'{"UserDetailList": [1 2]}', b'{"UserDetailList": [}', b'{"UserDetailList" []}',
        b'{1: []}', b'{"UserDetailList": [{"Arn": "arn:aws:iam::1:user/x\\"}', b"user,arn\nana,x\n", b"PK\x03\x04 zip",
        b'{"UserDetailList": []}', b'{"UserDetailList": [{"Arn": nope}]}',
        b'{"UserDetailList": [' + b"[" * 100_000, b'{"x": ' + b'{"x":' * 1000,
        b'{"UserDetailList": [' + b"9" * 10_000 + b"]}",
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_its_name(load: Callable[..., AwsFiles], bad: bytes) -> None:
    with pytest.raises(DataError) as caught:
        load(bad)
    assert len(caught.value.message) < 300


def test_every_cut_of_a_file_is_noticed(load: Callable[..., AwsFiles]) -> None:
    whole = json.dumps(details(user(), user("ben")))
    for end in range(0, len(whole) - 1, 7):
        with pytest.raises(DataError):
            load(whole[:end])


def test_a_value_larger_than_any_user_is_refused_before_it_is_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json"
    with path.open("wb") as file:
        file.write(b'{"UserDetailList": ["')
        for _ in range(2 * MAX_OBJECT_CHARS >> 20):
            file.write(b"A" * (1 << 20))
    with pytest.raises(DataError, match="million characters"):
        list(read_details(path))


def test_pieces_of_every_size_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = user('q"\\\\\u00e9}{][,:', Tags=[{"Key": "a\\", "Value": '\n"}'}])
    path = tmp_path / "details.json"
    path.write_text(json.dumps(details(odd, user()), indent=3), encoding="utf-8")
    expected = json.loads(path.read_text(encoding="utf-8"))["UserDetailList"]
    for size in (1, 2, 3, 7, 64):
        monkeypatch.setattr("wardship.connectors.aws.files._CHUNK", size)
        assert [item for name, item in read_details(path) if name == "UserDetailList"] == expected


def test_reading_goes_on_from_a_token(load: Callable[..., AwsFiles]) -> None:
    files = load(details(*(user(f"u{n}") for n in range(1203))))
    scope = next(one for one in files.scopes() if one.kind == "iam.user")
    pages = list(files.fetch(scope, None))
    assert [len(page.items) for page in pages] == [500, 500, 203]
    rest = list(files.fetch(scope, pages[0].next_token))
    assert [item for page in rest for item in page.items] == [item for page in pages[1:] for item in page.items]


HOSTILE = (
    "=cmd()",
    "\x00",
    "\u202e",
    "'; drop table",
    "../../etc",
    "<script>",
    "A" * 5000,
    "\ud800",
    "\u2028",
    "{{7*7}}",
)


def test_a_condition_that_no_encoding_takes_still_tells_its_trust(load: Callable[..., AwsFiles]) -> None:
    """Half a character (JSON may escape one) in what a role demands: the trust is told, with an id that stays."""
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/issuer.example"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {"issuer.example:sub": "\ud800"}},
    }
    role = {
        "RoleName": "ci",
        "Arn": f"arn:aws:iam::{ACCOUNT}:role/ci",
        "AssumeRolePolicyDocument": {"Statement": trust},
    }
    ids = []
    for _again in range(2):
        records, bad = read(load({**details(user()), "RoleDetailList": [role]}))
        ids += [one.native_id for one in records if isinstance(one, Credential) and "/trust/" in one.native_id]
        assert bad == 0
    assert len(ids) == 2
    assert ids[0] == ids[1]


def test_hostile_names_pass_as_data(load: Callable[..., AwsFiles]) -> None:
    records, bad = read(load(details(*(user(name) for name in HOSTILE))))
    names = {one.name for one in records if isinstance(one, Identity)}
    assert bad + len(names) == len(HOSTILE)
    assert bad == 1, "only the name that no id can hold"


def test_ten_thousand_malformed_objects_are_quarantined_one_by_one(load: Callable[..., AwsFiles]) -> None:
    chance = random.Random(7)
    odd: list[Any] = [None, 1, "x", [], {}, True, 1e308, "2026-99-99", [{}], {"a": {}}, -1, ""]
    bent = []
    for number in range(10_000):
        one = user(f"u{number}", Tags=[], UserPolicyList=[], PermissionsBoundary={})
        for field in chance.sample(sorted(one), chance.randint(1, 3)):
            one[field] = chance.choice(odd)
        bent.append(one if chance.random() < 0.9 else chance.choice(odd))
    records, bad = read(load(details(*bent, user("good"))))
    identities = {one.native_id for one in records if isinstance(one, Identity)}
    assert f"arn:aws:iam::{ACCOUNT}:user/good" in identities
    assert bad > 1000
    assert bad + len([one for one in records if isinstance(one, Identity)]) == 10_001


def test_ten_thousand_malformed_rows_of_a_report(load: Callable[..., AwsFiles]) -> None:
    chance = random.Random(8)
    header, _root, good = REPORT.splitlines()
    out = io.StringIO()
    writer = csv.writer(out)
    for _ in range(10_000):
        cells = good.split(",")
        for _change in range(chance.randint(1, 3)):
            cells[chance.randrange(len(cells))] = chance.choice(
                ["", "x", "true", "2026-01-01", "N/A", "\n", '"', "é" * 99]
            )
        writer.writerow(
            cells[: chance.choice([len(cells), len(cells), len(cells) - 1])] + ["y"] * chance.choice([0, 0, 1])
        )
    records, bad = read(load(f"{header}\n{good}\n{out.getvalue()}"))
    assert bad > 1000
    assert any(isinstance(one, Credential) for one in records)

"""CloudTrail read live against two emulators that others wrote: ministack for LookupEvents, and its S3 for files."""

from __future__ import annotations

import gzip
import io
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ReadTimeoutError

from bench.cloudtrail_files import records
from wardship.app import App
from wardship.model.errors import ConfigError, MissingScope, NotVisible, Unavailable
from wardship.model.scan import RawPage
from wardship.sdk.connector import Connection, DriftLog
from wardship.sdk.source import Stream
from wardship.services import telemetry_sync
from wardship.sources import aws_cloudtrail
from wardship.sources._aws_live import AwsTrail
from wardship.store import telemetry

ACCOUNT, OTHER, ORGANISATION = "111122223333", "444455556666", "o-acme123456"
REGION = "eu-west-1"
Clock = Callable[[], datetime]


def client(url: str, service: str, region: str = "us-east-1") -> Any:
    session = botocore.session.Session()
    session.set_credentials("test", "test")
    return session.create_client(service, region_name=region, endpoint_url=url)


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def connection(url: str, **settings: str) -> Connection:
    return Connection(
        name="prod",
        connector="aws",
        settings={"endpoint_url": url, "regions": "us-east-1", **settings},
        clock=lambda: datetime.now(UTC) + timedelta(minutes=1),
    )


def put(s3: Any, bucket: str, folder: str, number: int, events: list[dict[str, Any]], *, body: bytes = b"") -> str:
    day = events[0]["eventTime"][:10].replace("-", "/")
    key = f"{folder}/CloudTrail/{REGION}/{day}/{number}_CloudTrail_{REGION}.json.gz"
    s3.put_object(Bucket=bucket, Key=key, Body=body or gzip.compress(json.dumps({"Records": events}).encode()))
    return key


@pytest.fixture
def bucket(ministack_url: str, login: None) -> str:
    name = f"trail-{uuid.uuid4().hex[:12]}"
    client(ministack_url, "s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def events() -> list[dict[str, Any]]:
    """Made-up events of the last hour."""
    now = datetime.now(UTC).replace(microsecond=0)
    return [
        {**one, "eventTime": (now - timedelta(seconds=60 - n)).strftime("%Y-%m-%dT%H:%M:%SZ")}
        for n, one in enumerate(records(60, 5))
    ]


def test_the_files_of_a_trail_are_read_for_every_account_and_region(
    ministack_url: str, bucket: str, events: list[dict[str, Any]], tmp_path: Path
) -> None:
    s3 = client(ministack_url, "s3")
    put(s3, bucket, f"logs/AWSLogs/{ACCOUNT}", 1, events[:20])
    put(s3, bucket, f"logs/AWSLogs/{ORGANISATION}/{OTHER}", 2, events[20:50])
    put(s3, bucket, f"logs/AWSLogs/{ORGANISATION}/{OTHER}", 3, events[50:])
    broken = put(s3, bucket, f"logs/AWSLogs/{ACCOUNT}", 4, events[:1], body=b"not gzip")
    opened = connection(ministack_url, trail_bucket=f"{bucket}/logs/")
    with App.create(tmp_path / "ws") as app:
        outcomes = {one.stream: one for one in telemetry_sync.sync(app.workspace, [opened], "test")}
        assert set(outcomes) == {f"{ACCOUNT}/{REGION}", f"{OTHER}/{REGION}"}
        assert outcomes[f"{OTHER}/{REGION}"].problem is None
        assert outcomes[f"{OTHER}/{REGION}"].events == 40
        one = outcomes[f"{ACCOUNT}/{REGION}"]
        assert (one.events, broken in (one.problem or "")) == (20, True), "a broken file is named, the others are read"
        assert sum(file.rows for file in telemetry.live_files(app.db)) == 60
        again = list(telemetry_sync.sync(app.workspace, [opened], "test"))
        assert sum(one.events for one in again) == 0, "what was read again is not doubled"
        windows = telemetry.windows(app.db, source="aws.cloudtrail")
        assert {(one.authority, one.complete) for one in windows} == {
            (f"aws:{ACCOUNT}", False),
            (f"aws:{OTHER}", True),
        }


def test_what_happened_at_the_account_is_looked_up(ministack_url: str, login: None, tmp_path: Path) -> None:
    name = f"robot-{uuid.uuid4().hex[:10]}"
    iam = client(ministack_url, "iam")
    iam.create_user(UserName=name)
    iam.create_access_key(UserName=name)
    with App.create(tmp_path / "ws") as app:
        outcomes = list(telemetry_sync.sync(app.workspace, [connection(ministack_url)], "test"))
        assert [one.stream for one in outcomes] == ["us-east-1"]
        assert outcomes[0].problem is None
        assert outcomes[0].events >= 2
        assert outcomes[0].quarantined == 0


def test_lookup_pages_are_fifty_and_never_older_than_the_vendor_keeps() -> None:
    until = datetime(2026, 6, 1, tzinfo=UTC)
    calls = Calls([{"Events": [{"CloudTrailEvent": "{}"}] * 50, "NextToken": "n"}, {"Events": []}])
    log = AwsTrail(connection(""), calls)
    stream = next(log.streams())
    assert stream.whole_days == 90
    pages = list(log.fetch(stream, until - timedelta(days=400), until))
    assert [len(page.items) for page in pages] == [50, 0]
    assert [one["StartTime"] for one in calls.asked] == [until - timedelta(days=90)] * 2
    assert [one.get("NextToken") for one in calls.asked] == [None, "n"]
    assert calls.waited == [0.5], "two requests a second"


def test_a_bucket_that_is_refused_names_the_permission() -> None:
    log = AwsTrail(connection("", trail_bucket="acme-trail"), Calls([MissingScope("no", scope="s3:ListBucket")]))
    with pytest.raises(MissingScope) as told:
        list(log.streams())
    assert told.value.scope == "s3:ListBucket"


def test_a_bucket_without_a_trail_or_that_is_not_there_is_no_empty_log(ministack_url: str, bucket: str) -> None:
    for name in (bucket, f"{bucket}/other", f"no-{bucket}"):
        with pytest.raises(NotVisible) as told:
            list(aws_cloudtrail.live(connection(ministack_url, trail_bucket=name)).streams())
        assert "trail_bucket" in told.value.advice


KEY = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/06/01/a.json.gz"
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def pages_of(*answers: Any) -> tuple[list[RawPage], Calls]:
    """What is read of a bucket with one file, when asking for the file gives these answers."""
    listed = [{"Prefix": f"AWSLogs/{ACCOUNT}/"}], [{"Key": KEY, "LastModified": AT}]
    calls = Calls([{"CommonPrefixes": listed[0]}, {}, {"Contents": listed[1]}, *answers])
    log = AwsTrail(connection("", trail_bucket="acme-trail"), calls)
    stream = Stream(name=f"{ACCOUNT}/{REGION}", authority=f"aws:{ACCOUNT}")
    return list(log.fetch(stream, AT - timedelta(hours=1), AT)), calls


def test_a_file_that_breaks_off_is_asked_for_again() -> None:
    whole = {"Body": io.BytesIO(gzip.compress(b'{"Records":[{}]}'))}
    ([page], calls) = pages_of({"Body": Broken()}, {"Body": Broken()}, whole)
    assert (list(page.items), calls.waited) == ([{}], [1.0, 2.0])
    with pytest.raises(Unavailable):
        pages_of(*[{"Body": Broken()}] * 3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"Body": io.BytesIO(b"not gzip")}, "not gzip"),
        ({"Body": io.BytesIO(gzip.compress(b"{}" * 500)[:-9])}, "cut off"),
        ({"Body": io.BytesIO(gzip.compress(b"[]"))}, "no records"),
        ({"ContentLength": 2**40}, "telemetry import"),
        (NotVisible("archived"), "archived"),
        (MissingScope("s3:GetObject is not allowed", scope="s3:GetObject"), "not allowed"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(answer: Any, reason: str) -> None:
    ([page], _calls) = pages_of(answer)
    [problem] = page.problems
    assert problem.detail.startswith(f"{KEY}: ")
    assert reason in problem.detail
    assert (problem.subject, list(page.items)) == (KEY, [])


@pytest.mark.parametrize("name", ["A_B", "https://x/y", "a"])
def test_a_bucket_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        aws_cloudtrail.live(connection("", trail_bucket=name))


class Broken:
    """An answer that breaks off."""

    def read(self) -> bytes:
        raise ReadTimeoutError(endpoint_url="")


class Calls:
    """Answers in their order, and keeps what was asked."""

    default_region = REGION

    def __init__(self, answers: list[Any]) -> None:
        self.answers, self.asked, self.waited = answers, list[dict[str, Any]](), list[float]()

    def call(self, service: str, operation: str, params: Any = None, *, region: str = "") -> Any:
        if operation == "GetCallerIdentity":
            return {"Account": ACCOUNT}
        self.asked.append(dict(params))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)


def test_what_lookup_gives_is_what_parse_takes() -> None:
    [event] = records(1, 3)
    [activity] = aws_cloudtrail.parse({"CloudTrailEvent": json.dumps(event)}, DriftLog())
    assert activity.uid == event["eventID"]

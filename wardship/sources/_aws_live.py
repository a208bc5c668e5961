"""CloudTrail read live: the files of a trail in its bucket, or LookupEvents where no bucket is named.

The bucket has everything that the trail logs, of every account and region that it covers, for as long as the customer
keeps it. LookupEvents has management events of one account, 90 days, 50 a page and two pages a second a region. The
calls are those of the connector `aws`, with its credentials, retries and errors.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from wardship.model.errors import ConfigError, DataError, NotVisible, SkippableError, Unavailable
from wardship.model.scan import Problem, RawPage
from wardship.sdk import registry
from wardship.sdk.connector import CallStats, Connection
from wardship.sdk.i18n import _
from wardship.sdk.source import Stream

GLOBAL_REGION = "us-east-1"
"""Where CloudTrail records the calls of services without regions, such as IAM."""

LOOKUP_DAYS = 90
_LOOKUP_PAGE = 50
_LOOKUP_PAUSE_S = 0.5  # two requests a second for each account and region (API reference, read 2026-11)
_FILE_TRIES = 3
_MAX_FILE_BYTES = 256 * 1024 * 1024  # unpacked; CloudTrail begins a new file far below that
_ACCOUNT = re.compile(r"\d{12}")
_BUCKET = re.compile(r"(?:s3://)?([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)


class Calls(Protocol):
    """What the connector `aws` gives: AWS's calls, as the connection may make them."""

    @property
    def default_region(self) -> str: ...

    def call(
        self, service: str, operation: str, params: Mapping[str, Any] | None = None, *, region: str = ""
    ) -> Mapping[str, Any]: ...

    def wait(self, seconds: float) -> None: ...


class AwsTrail:
    """`LiveLog` of CloudTrail (see wardship.sdk.source). Raises ConfigError for settings that cannot be used.

    `calls` None: the connector's, opened when they are first needed.
    """

    def __init__(self, connection: Connection, calls: Calls | None = None) -> None:
        self.stats = CallStats()
        self._connection = connection
        self._calls = calls
        self._known: Mapping[str, str] | None = None
        named = connection.settings.get("trail_bucket", "")
        found = _BUCKET.fullmatch(named)
        if named and not found:
            raise ConfigError(
                _("trail_bucket %(name)r is no name of a bucket") % {"name": named[:80]},
                advice=_("give BUCKET or BUCKET/PREFIX, as the trail has it"),
            )
        self._bucket = found[1] if found else ""
        self._prefix = f"{found[2].strip('/')}/" if found and (found[2] or "").strip("/") else ""

    def _api(self) -> Calls:
        if self._calls is None:
            opened: Calls = registry.connector_module("aws").calls(self._connection, self.stats)
            self._calls = opened
        return self._calls

    def streams(self) -> Iterator[Stream]:
        """The regions: of every account that has files in the bucket, or those named in the connection and the one of
        global services. Raises NotVisible where no trail has written into the bucket: that is no empty log."""
        if self._bucket:
            yield from self._written()
            return
        account = str(self._api().call("sts", "GetCallerIdentity")["Account"])
        named = [one.strip() for one in self._connection.settings.get("regions", "").split(",") if one.strip()]
        for region in dict.fromkeys([*(named or [self._api().default_region]), GLOBAL_REGION]):
            yield Stream(name=region, authority=f"aws:{account}", whole_days=LOOKUP_DAYS)

    def fetch(self, stream: Stream, since: datetime, until: datetime) -> Iterator[RawPage]:
        if self._bucket:
            account, _slash, region = stream.name.partition("/")
            return self._files(account, region, since, until)
        return self._lookup(stream.name, since, until)

    # ------------------------------------------------------------ LookupEvents

    def _lookup(self, region: str, since: datetime, until: datetime) -> Iterator[RawPage]:
        """Events come newest first."""
        params: dict[str, Any] = {
            "StartTime": max(since, until - timedelta(days=LOOKUP_DAYS)),
            "EndTime": until,
            "MaxResults": _LOOKUP_PAGE,
        }
        while True:
            answer = self._api().call("cloudtrail", "LookupEvents", params, region=region)
            token = answer.get("NextToken")
            events = answer.get("Events")
            texts = [one.get("CloudTrailEvent") for one in (events if isinstance(events, list) else [])]
            yield RawPage(items=[{"CloudTrailEvent": text} for text in texts], next_token=token)
            if not token:
                return
            params["NextToken"] = token
            self._api().wait(_LOOKUP_PAUSE_S)

    # ------------------------------------------------------------ the bucket

    def _written(self) -> Sequence[Stream]:
        advice = _("set trail_bucket to BUCKET or BUCKET/PREFIX, as the trail has it")
        try:
            found = [
                Stream(name=f"{account}/{region}", authority=f"aws:{account}")
                for account, folder in self._accounts().items()
                for region in self._folders(f"{folder}CloudTrail/")
            ]
        except NotVisible as refused:
            refused.advice = advice
            raise
        if not found:
            place = f"{self._bucket}/{self._prefix}AWSLogs/"
            raise NotVisible(_("no trail's files lie under %(place)s") % {"place": place}, system="aws", advice=advice)
        return found

    def _accounts(self) -> Mapping[str, str]:
        """Account -> its folder; those of an organisation's trail stand one level deeper."""
        if self._known is None:
            root = f"{self._prefix}AWSLogs/"
            found: dict[str, str] = {}
            for name in self._folders(root):
                deeper = [] if _ACCOUNT.fullmatch(name) else self._folders(f"{root}{name}/")
                found |= {inner: f"{root}{name}/{inner}/" for inner in deeper if _ACCOUNT.fullmatch(inner)}
                if not deeper and _ACCOUNT.fullmatch(name):
                    found.setdefault(name, f"{root}{name}/")
            self._known = found
        return self._known

    def _folders(self, prefix: str) -> list[str]:
        found: list[str] = []
        for answer in self._listed({"Prefix": prefix, "Delimiter": "/"}):
            found += [str(one["Prefix"])[len(prefix) : -1] for one in answer.get("CommonPrefixes", ())]
        return sorted(found)

    def _listed(self, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        asked = {"Bucket": self._bucket, **params}
        while True:
            answer = self._api().call("s3", "ListObjectsV2", asked)
            yield answer
            if not answer.get("NextContinuationToken"):
                return
            asked["ContinuationToken"] = answer["NextContinuationToken"]

    def _files(self, account: str, region: str, since: datetime, until: datetime) -> Iterator[RawPage]:
        """A page a file. A file written before `since` holds nothing newer; one of the day before may come late."""
        folder = self._accounts()[account]
        for day in _days(since - timedelta(days=1), until):
            prefix = f"{folder}CloudTrail/{region}/{day:%Y/%m/%d}/"
            for answer in self._listed({"Prefix": prefix}):
                for one in answer.get("Contents", ()):
                    if str(one["Key"]).endswith(".json.gz") and one["LastModified"] >= since:
                        yield self._file(str(one["Key"]))

    def _file(self, key: str) -> RawPage:
        """The records of one file; one that cannot be read is a problem of its page, and the others go on."""
        try:
            return RawPage(items=_records(self._object(key)))
        except SkippableError as refused:
            problem = Problem.of(refused, key)
        except DataError as error:
            problem = Problem(reason="unreadable", detail=error.message, subject=key)
        detail = _("%(key)s: %(reason)s") % {"key": key, "reason": problem.detail}
        return RawPage(items=(), problems=[replace(problem, detail=detail)])

    def _object(self, key: str) -> bytes:
        """The file as it lies there. Raises DataError for one that is too large."""
        tries = 1
        while True:
            answer = self._api().call("s3", "GetObject", {"Bucket": self._bucket, "Key": key})
            if answer.get("ContentLength", 0) > _MAX_FILE_BYTES:
                raise _too_large()
            try:
                return _body(answer)
            except Unavailable:  # it broke off: of thousands of files a few do
                if tries == _FILE_TRIES:
                    raise
            self._api().wait(float(tries))
            tries += 1


def _days(first: datetime, last: datetime) -> Iterator[date]:
    day = first.astimezone(UTC).date()
    while day <= last.astimezone(UTC).date():
        yield day
        day += timedelta(days=1)


def _body(answer: Mapping[str, Any]) -> bytes:
    from botocore.exceptions import BotoCoreError, HTTPClientError

    try:
        data: bytes = answer["Body"].read()
    except (BotoCoreError, HTTPClientError) as error:
        raise Unavailable(
            _("no answer to %(operation)s: %(name)s") % {"operation": "GetObject", "name": type(error).__name__},
            system="aws",
            operation="s3.GetObject",
        ) from None
    return data


def _records(packed: bytes) -> Sequence[Any]:
    """The list under "Records". Raises DataError for what is no file of CloudTrail."""
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        data = unpacking.decompress(packed, _MAX_FILE_BYTES)
        if not unpacking.eof:
            raise _too_large() if unpacking.unconsumed_tail else DataError(_("the file is cut off"))
        read = json.loads(data)
    except (zlib.error, ValueError, RecursionError):
        raise DataError(_("the file is not gzip with JSON in it")) from None
    records = read.get("Records") if isinstance(read, dict) else None
    if not isinstance(records, list):
        raise DataError(_("the file holds no records of CloudTrail"))
    return records


def _too_large() -> DataError:
    return DataError(
        _("the file is larger than %(limit)s MB: copy it and `wardship telemetry import` it")
        % {"limit": _MAX_FILE_BYTES // 2**20}
    )

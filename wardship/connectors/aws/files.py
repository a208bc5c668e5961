"""Reads AWS's own exports offline: account authorization details (JSON) and credential reports (CSV).

The files are streamed, one object at a time; a file is read twice, because AWS writes the policies after the users
that hold them. Whatever is wrong with a file as a whole is a DataError that names it; one wrong object in it is
quarantined by the caller like one of the live system.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardship.connectors.aws import report
from wardship.connectors.aws.iam import Known
from wardship.connectors.aws.manifest import MANIFEST
from wardship.connectors.aws.read import records, remember_group, remember_policy
from wardship.model.errors import DataError
from wardship.model.scan import RawPage, Scope
from wardship.sdk.connector import Connection, DriftLog, Record
from wardship.sdk.i18n import _

PAGE = 500
MAX_FILE_BYTES = 4 << 30
MAX_OBJECT_CHARS = 16 << 20  # one user with its policies is some kilobytes; a gigabyte is no user
MAX_DEPTH = 64
_CHUNK = 1 << 16
_IN_TEXT = re.compile(r'["\\]')
_IN_VALUE = re.compile(r'["{}\[\]]')
_AT_TOP = re.compile(r'["{}\[\],:\s]')

_LISTS = {
    "UserDetailList": "iam.user",
    "GroupDetailList": "iam.group",
    "RoleDetailList": "iam.role",
    "Policies": "iam.policy",
}
_ORDER = ("iam.credential_report", "iam.policy", "iam.group", "iam.user", "iam.role")


@dataclass(slots=True)
class _Source:
    """The files of one account."""

    known: Known
    details: list[Path] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)


class AwsFiles:
    """`FileImport` of AWS (see wardship.sdk.connector)."""

    manifest = MANIFEST

    def __init__(self, paths: Sequence[Path], connection: Connection) -> None:
        self.drift = DriftLog()
        self._connection = connection
        self._sources: dict[str, _Source] = {}
        for path in paths:
            self._look_into(path)

    def scopes(self) -> Iterable[Scope]:
        for account, source in sorted(self._sources.items()):
            for kind in _ORDER:
                if source.reports if kind == "iam.credential_report" else source.details:
                    yield Scope(connector="aws", authority=f"aws:{account}", kind=kind)

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        """Pages of 500; the token is the number of objects already read."""
        done = int(token) if token and token.isdecimal() else 0
        page: list[Any] = []
        for number, item in enumerate(self._items(scope), start=1):
            if number <= done:
                continue
            if len(page) == PAGE:
                yield RawPage(items=page, next_token=str(number - 1))
                page = []
            page.append(item)
        yield RawPage(items=page)

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        return records(scope, item, self._source(scope.authority).known)

    def _items(self, scope: Scope) -> Iterator[Any]:
        source = self._source(scope.authority)
        if scope.kind == "iam.credential_report":
            for path in source.reports:
                yield from _report_rows(path)
            return
        for path in source.details:
            yield from (item for name, item in read_details(path) if _LISTS[name] == scope.kind)

    def _source(self, authority: str) -> _Source:
        """What the files say of the account; without files (a replay) nothing is known beside the object itself."""
        account = authority.removeprefix("aws:")
        if account not in self._sources:
            known = Known(account=account, drift=self.drift, as_of=self._connection.clock())
            self._sources[account] = _Source(known=known)
        return self._sources[account]

    def _look_into(self, path: Path) -> None:
        """The first reading: which account the file is of, and its policies and groups."""
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(_("%(name)s is larger than %(n)d GiB") % {"name": path.name, "n": MAX_FILE_BYTES >> 30})
        if _starts_like_json(path):
            kept: list[tuple[str, Any]] = []
            account = None
            for name, item in read_details(path):
                account = account or _account_of(item)
                if _LISTS[name] in ("iam.policy", "iam.group"):
                    kept.append((name, item))
            source = self._of_account(account, path)
            for name, item in kept:
                (remember_policy if _LISTS[name] == "iam.policy" else remember_group)(source.known, item)
            source.details.append(path)
            return
        rows = _report_rows(path)
        account = next((found for found in map(_row_account, rows) if found), None)
        source = self._of_account(account, path)
        source.known.report = {**(source.known.report or {}), **{row["arn"]: row for row in rows if row.get("arn")}}
        source.reports.append(path)

    def _of_account(self, account: str | None, path: Path) -> _Source:
        if account is None:
            raise DataError(
                _("%(name)s names no account: no ARN of a user, group, role or policy of it was found")
                % {"name": path.name}
            )
        return self._source(f"aws:{account}")


def _account_of(item: Any) -> str | None:
    arn = item.get("Arn") if isinstance(item, dict) else None
    parts = arn.split(":") if isinstance(arn, str) else []
    return parts[4] if len(parts) >= 6 and parts[4].isdecimal() else None


def _row_account(row: dict[str, str]) -> str | None:
    return _account_of({"Arn": row.get("arn")})


def _report_rows(path: Path) -> list[dict[str, str]]:
    return report.rows("".join(_text(path)))


# ------------------------------------------------------------------ text and JSON, piece by piece


def _starts_like_json(path: Path) -> bool:
    for piece in _text(path):
        if piece.strip():
            return piece.lstrip()[0] in "{["
    raise DataError(_("%(name)s is empty") % {"name": path.name})


def _text(path: Path) -> Iterator[str]:
    """The file's text in pieces: UTF-8 or UTF-16, told by its byte order mark. Raises DataError for other bytes."""
    with path.open("rb") as file:
        start = file.read(3)
        file.seek(0)
        utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = "utf-16" if utf16 else "utf-8-sig"
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            while chunk := file.read(_CHUNK):
                yield decoder.decode(chunk)
            yield decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise DataError(
                _("%(name)s is neither UTF-8 nor UTF-16 with a byte order mark") % {"name": path.name}
            ) from error


def read_details(path: Path) -> Iterator[tuple[str, Any]]:
    """(list name, object) for everything in an authorization-details file, in its order, one object in memory.

    Raises DataError when the file is cut short, is no such export, or hides something oversized or too deep.
    """
    stream = _Json(path)
    stream.expect("{")
    seen = False
    while not stream.take("}"):
        name = stream.value()
        if not isinstance(name, str):
            raise stream.broken(_("a name that is no text"))
        stream.expect(":")
        if name in _LISTS:
            seen = True
            yield from ((name, item) for item in stream.array())
        else:
            stream.value()
        if not stream.take(","):
            stream.expect("}")
            break
    if not seen:
        raise DataError(
            _("%(name)s is JSON, but no account authorization details: none of %(names)s")
            % {"name": path.name, "names": ", ".join(_LISTS)}
        )


class _Json:
    """Takes JSON values from a file one after another; only the value at hand is in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pieces = _text(path)
        self._buffer = ""
        self._at = 0

    def broken(self, what: str) -> DataError:
        return DataError(
            _("%(name)s cannot be read as account authorization details: %(what)s")
            % {"name": self._path.name, "what": what}
        )

    def _more(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0
        if len(self._buffer) > MAX_OBJECT_CHARS + 2 * _CHUNK:
            raise self.broken(_("one value has more than %(n)d million characters") % {"n": MAX_OBJECT_CHARS >> 20})
        return True

    def _next(self) -> str:
        """The next character that is no space; "" at the end of the file."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at].isspace():
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def take(self, character: str) -> bool:
        if self._next() != character:
            return False
        self._at += 1
        return True

    def expect(self, character: str) -> None:
        if not self.take(character):
            if not self._next():
                raise self.broken(_("it is cut short"))
            raise self.broken(_("it ends early or %(character)r is missing") % {"character": character})

    def array(self) -> Iterator[Any]:
        self.expect("[")
        if self.take("]"):
            return
        while True:
            yield self.value()
            if self.take("]"):
                return
            self.expect(",")

    def value(self) -> Any:
        """The next value whole. The end is looked for by brackets first, so that a long value is parsed once."""
        self._next()
        end = self._end()
        try:
            found = json.loads(self._buffer[self._at : end])
        except (ValueError, RecursionError) as error:
            raise self.broken(type(error).__name__) from error
        self._at = end
        return found

    def _end(self) -> int:
        """Where the value at hand ends in the buffer; reads on as far as needed."""
        depth, at, text = 0, self._at, False
        while True:
            wanted = _IN_TEXT if text else _IN_VALUE if depth else _AT_TOP
            found = wanted.search(self._buffer, at)
            if found is None or (found[0] == "\\" and found.end() == len(self._buffer)):
                at = (len(self._buffer) if found is None else found.start()) - self._at
                if not self._more():
                    raise self.broken(_("it is cut short"))
                at += self._at
                continue
            at, character = found.end(), found[0]
            if character == "\\":
                at += 1  # what it escapes
            elif character == '"':
                text = not text
                if not text and depth == 0:
                    return at
            elif character in "{[":
                depth += 1
                if depth > MAX_DEPTH:
                    raise self.broken(_("nested deeper than %(max_depth)s") % {"max_depth": MAX_DEPTH})
            elif depth == 0:  # a bare word or number ends before what follows it
                return found.start()
            else:
                depth -= 1
                if depth == 0:
                    return at

"""What is known of a repository from earlier scans, in one file that anybody may delete: it holds no secret.

`scanned` are (blob, path) pairs, because the path decides what a text means. `found` is what they gave, redacted.
`change` are the commits that put such a blob at a path or took it away. Everything is written for one `version` of
engine, format and key; under another, the file begins anew. With the present references, the content is a function of
the repository alone, whatever was scanned when: what no reference reaches any more is dropped.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 2
_TABLES = """\
create table meta (key text primary key, value text not null) without rowid;
create table scanned (key blob primary key) without rowid;
create table found (blob text not null, path blob not null, kind text not null, body text not null);
create index found_of on found (path, blob);
create table change (
    path blob not null, commit_id text not null, at integer, author text not null, new text, old text not null,
    primary key (path, commit_id)
) without rowid;
"""
_TODO = "create temp table todo (key blob primary key, blob text, path blob, copies integer) without rowid"


@dataclass(frozen=True, slots=True)
class Change:
    """One path in one commit. `new` None: it is no file any more; `old`: in the parents, where they have it."""

    path: bytes
    commit: str
    at: int | None  # seconds since 1970, as the author says
    author: str
    new: str | None
    old: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that a blob gave under a path."""

    path: bytes
    blob: str
    kind: str  # "hit", "certificate", "ci", "skipped", "cut" (there were more hits)
    body: dict[str, Any]


def key_of(blob: str, path: bytes) -> bytes:
    """The name of a pair."""
    return hashlib.blake2b(blob.encode("ascii") + b"\0" + path, digest_size=16).digest()


class State:
    """The open file. One process at a time; what was committed survives a kill."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = off")  # a lost file costs a scan, not data
            self._db.execute("select value from meta limit 1")
        except sqlite3.OperationalError:
            self._create()
        except sqlite3.DatabaseError:  # damaged, or no database: it is a cache
            self._db.close()
            for old in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
                old.unlink(missing_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._create()
        self._db.execute(_TODO)
        self._retrying = False  # what is read now may have been found "skipped" before

    def close(self) -> None:
        self._db.close()

    def _create(self) -> None:
        self._db.executescript(f"drop table if exists meta; {_TABLES}")

    def open_for(self, version: str) -> None:
        """Empties everything that another version wrote."""
        if self._get("version") != version:
            for table in ("meta", "scanned", "found", "change"):
                self._db.execute(f"delete from {table}")  # noqa: S608 - names of ours
            self._set("version", version)

    # -------------------------------------------------------------- what is read already

    def tips(self, settings: str) -> list[str]:
        """The commits whose history was listed completely under these settings.

        Under other settings the whole history is listed again, and what was skipped is asked for again.
        """
        known = self._get("tips")
        said = json.loads(known) if known else {}
        if said.get("settings") == settings:
            return [str(commit) for commit in said["commits"]]
        self._db.execute("begin")
        self._db.execute("delete from meta where key = 'tips'")
        self._db.execute("delete from found where kind = 'skipped'")
        self._db.execute("commit")
        return []

    def set_tips(self, commits: Sequence[str], settings: str) -> None:
        self._set("tips", json.dumps({"commits": sorted(set(commits)), "settings": settings}))

    def plan(self, pairs: Iterable[tuple[str, bytes]], copies: dict[str, int]) -> int:
        """Takes down the pairs that are not scanned yet; how many these are."""
        self._db.execute("delete from todo")
        self._db.execute("begin")
        rows = ((key_of(blob, path), blob, path, copies.get(blob, 1)) for blob, path in pairs)
        self._db.executemany("insert or ignore into todo values (?, ?, ?, ?)", rows)
        self._db.execute("delete from todo where key in (select key from scanned)")
        self._db.execute("commit")
        return int(self._db.execute("select count(*) from todo").fetchone()[0])

    def planned(self) -> Iterator[tuple[str, bytes, int]]:
        """(blob, path, copies) by path: versions of a file together, as git packs them."""
        yield from self._db.execute("select blob, path, copies from todo order by path, blob")

    def again(self) -> list[tuple[str, bytes]]:
        """Pairs that could not be read, to be tried once more."""
        query = (
            "select distinct blob, path from found where kind = 'skipped' and body ->> 'reason' in ('died', 'missing')"
        )
        found = [(blob, path) for blob, path in self._db.execute(query)]
        self._retrying = bool(found)
        return found

    def record(
        self, done: Iterable[tuple[str, bytes]], found: Iterable[tuple[str, bytes, str, dict[str, Any]]]
    ) -> None:
        """One batch, in one transaction. What was skipped stays unscanned and is found as "skipped"."""
        self._db.execute("begin")
        told = list(found)
        skipped = {(blob, path) for blob, path, kind, _body in told if kind == "skipped"}
        pairs = [pair for pair in done if pair not in skipped]
        self._db.executemany("insert or ignore into scanned values (?)", ((key_of(*pair),) for pair in pairs))
        if self._retrying:
            self._db.executemany("delete from found where blob = ? and path = ? and kind = 'skipped'", pairs)
        self._db.executemany(
            "insert into found values (?, ?, ?, ?)",
            ((blob, path, kind, json.dumps(body, sort_keys=True)) for blob, path, kind, body in told),
        )
        self._db.execute("commit")

    def leave_out(self, pairs: Iterable[tuple[str, bytes]], reason: str) -> None:
        """Takes down pairs that are not read: every report tells them, until other settings ask for them again."""
        self.record((), ((blob, path, "skipped", {"reason": reason}) for blob, path in pairs))

    # -------------------------------------------------------------- where it stands in the history

    def notable(self) -> frozenset[str]:
        """The blobs of which anything is known that the history must explain."""
        return frozenset(blob for (blob,) in self._db.execute("select distinct blob from found where kind <> 'ci'"))

    def note(self, changes: Iterable[Change]) -> None:
        self._db.execute("begin")
        rows = ((c.path, c.commit, c.at, c.author, c.new, " ".join(c.old)) for c in changes)
        self._db.executemany("insert or replace into change values (?, ?, ?, ?, ?, ?)", rows)
        self._db.execute("commit")

    def commits(self) -> set[str]:
        return {commit for (commit,) in self._db.execute("select distinct commit_id from change")}

    def drop(self, commits: Iterable[str]) -> None:
        """Forgets changes of commits that no reference reaches."""
        self._db.execute("create temp table lost (commit_id text primary key) without rowid")
        self._db.executemany("insert or ignore into lost values (?)", ((commit,) for commit in commits))
        self._db.execute("delete from change where commit_id in (select commit_id from lost)")
        self._db.execute("drop table lost")

    def found_paths(self) -> Iterator[bytes]:
        """Every path with something found, in order."""
        for (path,) in self._db.execute("select distinct path from found order by path"):
            yield path

    def paths(self) -> Iterator[tuple[bytes, list[Change], list[Found]]]:
        """Every path with something found, in order, with its changes and with what its blobs gave."""
        for path in self.found_paths():
            changes = [
                Change(path, commit, at, author, new, tuple(old.split()))
                for commit, at, author, new, old in self._db.execute(
                    "select commit_id, at, author, new, old from change where path = ?", (path,)
                )
            ]
            found = [
                Found(path, blob, kind, json.loads(body))
                for blob, kind, body in self._db.execute(
                    "select distinct blob, kind, body from found where path = ? order by blob, kind, body", (path,)
                )
            ]
            yield path, changes, found

    def _get(self, key: str) -> str | None:
        row = self._db.execute("select value from meta where key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _set(self, key: str, value: str) -> None:
        self._db.execute("insert or replace into meta values (?, ?)", (key, value))

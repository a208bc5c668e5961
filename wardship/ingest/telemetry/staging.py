"""One batch in DuckDB: parsed rows are stamped, what is there already is dropped, the rest becomes Parquet by day.

What makes two events one: the same source, the same `uid`, on the same UTC day; the one that was published first
stays. A log without ids of its own gets them here: SHA-256 of the record's canonical JSON, a colon, and how many equal
records stood before it in the same input. So a line that stands twice in a file is two events, and the same file, or
the same line of a longer copy of it, is imported once.

Memory is bounded by `memory_mb`; what does not fit is spilled into the import's own folder. Rows come as lines of JSON
and are loaded in bulk.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Self

import duckdb
import orjson

from wardship.ingest.telemetry.addresses import Addresses
from wardship.model.activity import ACTIVITY, EARLIEST, FIELDS
from wardship.model.errors import Error, Unavailable
from wardship.sdk.i18n import _
from wardship.sdk.redact import MASK, MAX_CHARS, mask_told
from wardship.store.disk import sync
from wardship.store.engine import literal
from wardship.store.telemetry import LiveFile, NewFile, new_path

_USUAL_LINE, _LARGEST_LINE = 16 * 1024 * 1024, 64 * 1024 * 1024
_ROWS_AT_ONCE = 1_000_000  # of published events, among which duplicates are looked for
_MAX_PLACES = 1_000_000  # addresses that are remembered between batches
_GIVEN = ("src_network", "src_asn", "src_country")  # a made-up event may bring them; a source never does
PARSED = FIELDS + _GIVEN
_STAGED = {**{name: ACTIVITY[name] for name in PARSED}, "input": "BIGINT", "position": "BIGINT", "part": "INTEGER"}
_PASTED = (
    r"\b(?:gh[opusr]_|github_pat_|glpat-|xox[abeprs]-|xapp-|sk-(?:ant|proj|svcacct|admin)-|[sr]k_(?:live|test)_|whsec_"
    r"|AIza|ya29\.|GOCSPX-|hv[sbr]\.|npm_|pypi-|shpat_|dckr_pat_|ATATT3|dop_v1_|eyJ[A-Za-z0-9_-]{8,}\.)"
    r"[A-Za-z0-9_.~+/=-]{16,}"
)
"""Tokens that no id or name is taken for (RE2): a part of what `wardship.sdk.redact` knows."""
_SPOKEN = (
    "actor_id", "actor_name", "session", "on_behalf_of", "credential_id", "operation", "resource_id", "resource_name",
    "outcome_code", "detail",
)  # fmt: skip
BAD = {
    "input": "BIGINT",
    "position": "BIGINT",
    "occurrence": "BIGINT",  # how many equal records stood before it in the input
    "reason": "VARCHAR",
    "content": "VARCHAR",  # SHA-256 of the record as it was
    "record": "VARCHAR",  # redacted
}
"""Columns of a file of records that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a batch holds of one input."""

    events: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Consecutive lines of a file of raw records: those of input `input` from its record `position` on."""

    first_line: int
    lines: int
    input: int
    position: int


class Staging(contextlib.AbstractContextManager["Staging"]):
    """The staged rows of one import, batch after batch. `folder` is for its temporary files, `lake` has the events."""

    def __init__(self, folder: Path, lake: Path, *, memory_mb: int, addresses: Addresses) -> None:
        self.folder = folder
        self._lake = lake
        self._addresses = addresses
        self._db = duckdb.connect(config=configured(folder, memory_mb))
        typed = ", ".join(f'"{name}" {kind}' for name, kind in _STAGED.items())
        self._db.execute(f"CREATE TABLE staged ({typed}, content VARCHAR)")
        self._db.execute(f"CREATE TABLE bad ({', '.join(f'{name} {kind}' for name, kind in BAD.items())})")
        self._db.execute("CREATE TABLE place (text VARCHAR, ip VARCHAR, network VARCHAR, asn INTEGER, country VARCHAR)")
        self._db.execute("CREATE TABLE counted (input BIGINT, content VARCHAR, n BIGINT)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    # ------------------------------------------------------------ rows in

    def load_parsed(self, rows: Path) -> None:
        """Lines {"a": columns of PARSED, "i": input, "p": position, "k": part, "c": content or null}; times UTC."""
        inner = ", ".join(f'"{name}" {ACTIVITY[name]}' for name in PARSED)
        outer = {"a": f"STRUCT({inner})", "i": "BIGINT", "p": "BIGINT", "k": "INTEGER", "c": "VARCHAR"}
        columns = ", ".join(f'a."{name}"' for name in PARSED)
        self._insert(f"INSERT INTO staged SELECT {columns}, i, p, k, c FROM lines", rows, outer)  # noqa: S608 - our names

    def load_projected(
        self, lines: Path, raw: Mapping[str, str], projection: str, segments: Sequence[Segment], latest: datetime
    ) -> list[tuple[int, int]]:
        """Lines of raw JSON through a source's PROJECTION. Returns (input, position) of the records that it leaves to
        `parse`."""
        db = self._db
        columns = ", ".join(f'projected."{name}"' for name in FIELDS)
        nothing = ", ".join("NULL" for _ in _GIVEN)
        listed = ", ".join(f"({one.first_line}, {one.lines}, {one.input}, {one.position})" for one in segments)
        before = self._one("SELECT coalesce(max(rowid), -1) + 1 FROM staged")
        # Every line has a row in `place_of`, for a hash join: an ASOF join to the segments would sort all the columns.
        made = self._insert(
            f"""
            INSERT INTO staged
            WITH raw AS NOT MATERIALIZED (SELECT *, row_number() OVER () - 1 AS position FROM lines),
            place_of AS (
                SELECT unnest(range(first_line, first_line + lines)) AS line, input, position - first_line AS shift
                FROM (VALUES {listed}) AS segment(first_line, lines, input, position)
            )
            SELECT {columns}, {nothing}, place_of.input, projected.position + place_of.shift,
                CASE WHEN projected.readable AND projected.uid IS NOT NULL AND projected.operation <> ''
                    AND projected.service IS NOT NULL AND projected.time >= TIMESTAMP '{EARLIEST:%Y-%m-%d}'
                    AND projected.time <= TIMESTAMP '{latest.astimezone(UTC):%Y-%m-%d %H:%M:%S}'
                    AND (projected.actor_id IS NULL) = (projected.actor_authority IS NULL) THEN 0 ELSE -1 END,
                NULL
            FROM ({projection}) AS projected LEFT JOIN place_of ON place_of.line = projected.position
            """,  # noqa: S608 - our own source's text
            lines,
            raw,
        )
        with _said():
            if made != segments[-1].first_line + segments[-1].lines:  # it lost rows: nothing of it can be believed
                db.execute("DELETE FROM staged WHERE rowid >= ?", [before])
                return [(one.input, one.position + line) for one in segments for line in range(one.lines)]
            waiting = db.execute("SELECT input, position FROM staged WHERE part = -1").fetchall()
            if waiting:
                db.execute("DELETE FROM staged WHERE part = -1")
        return sorted(waiting)

    def load_bad(self, rows: Path) -> None:
        """Lines with the columns of BAD."""
        self._insert("INSERT INTO bad SELECT * FROM lines", rows, BAD)

    def _insert(self, statement: str, rows: Path, columns: Mapping[str, str]) -> int:
        """Runs an INSERT over the view `lines`: those of JSON in `rows`. Returns the number of rows.

        DuckDB's buffers are twice as large as the longest line that it is told of, one a thread: so it is told of
        lines of many megabytes only when it has met one.
        """
        with _said():
            try:
                return self._insert_of(statement, _lines(rows, columns, _USUAL_LINE))
            except duckdb.InvalidInputException:
                return self._insert_of(statement, _lines(rows, columns, _LARGEST_LINE))

    def _insert_of(self, statement: str, lines: str) -> int:
        self._db.execute(f"CREATE OR REPLACE TEMP VIEW lines AS SELECT * FROM {lines}")  # noqa: S608 - our names
        return self._one(statement)

    def clear(self) -> None:
        for table in ("staged", "bad"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our names

    # ------------------------------------------------------------ stamping

    def number(self, starts: Mapping[int, int]) -> None:
        """Gives ids to the rows without one. `starts`: input -> first record of this batch that is not yet published;
        rows before it are only counted, and dropped."""
        with _said():
            if self._one("SELECT count(*) FROM staged WHERE uid IS NULL") or self._one("SELECT count(*) FROM bad"):
                self._number()
            for name, start in starts.items():
                if start:
                    self._db.execute("DELETE FROM staged WHERE input = ? AND position < ?", [name, start])
                    self._db.execute("DELETE FROM bad WHERE input = ? AND position < ?", [name, start])

    def _number(self) -> None:
        self._db.execute(
            """
            CREATE OR REPLACE TEMP TABLE numbered AS
            SELECT each.input, each.position, each.content,
                   CAST(coalesce(before.n, 0) AS BIGINT)
                   + row_number() OVER (PARTITION BY each.input, each.content ORDER BY each.position) - 1 AS occurrence
            FROM (SELECT DISTINCT input, position, content FROM staged WHERE uid IS NULL
                  UNION ALL SELECT input, position, content FROM bad WHERE content IS NOT NULL) AS each
            LEFT JOIN (SELECT input, content, sum(n) AS n FROM counted GROUP BY ALL) AS before USING (input, content)
            """
        )
        self._db.execute(
            """
            UPDATE staged SET uid = numbered.content || ':' || numbered.occurrence
                                    || CASE WHEN staged.part > 0 THEN '#' || staged.part ELSE '' END
            FROM numbered
            WHERE staged.uid IS NULL AND staged.input = numbered.input AND staged.position = numbered.position
            """
        )
        self._db.execute(
            "UPDATE bad SET occurrence = numbered.occurrence FROM numbered"
            " WHERE bad.input = numbered.input AND bad.position = numbered.position"
        )
        self._db.execute("INSERT INTO counted SELECT input, content, count(*) FROM numbered GROUP BY ALL")

    def stamp_addresses(self) -> None:
        """Says of every row where its address is; the addresses that were not seen yet are looked up."""
        with _said():
            if (self._one("SELECT count(*) FROM place") or 0) > _MAX_PLACES:
                self._db.execute("DELETE FROM place")
            rows = self.folder / "places.jsonl"
            found = self._db.cursor().execute(
                "SELECT DISTINCT src_ip FROM staged WHERE src_ip IS NOT NULL AND src_ip NOT IN (SELECT text FROM place)"
            )
            with rows.open("wb") as out:
                while texts := found.fetchmany(10_000):
                    for (text,) in texts:
                        out.write(orjson.dumps(self._place(text)) + b"\n")
            columns = {"text": "VARCHAR", "ip": "VARCHAR", "network": "VARCHAR", "asn": "INTEGER", "country": "VARCHAR"}
            if rows.stat().st_size:
                self._insert("INSERT INTO place SELECT * FROM lines", rows, columns)
            self._db.execute(
                """
                UPDATE staged SET src_ip = place.ip,
                    src_network = coalesce(staged.src_network, place.network),
                    src_asn = coalesce(staged.src_asn, place.asn),
                    src_country = coalesce(staged.src_country, place.country)
                FROM place WHERE place.text = staged.src_ip
                """
            )

    def _place(self, text: str) -> dict[str, Any]:
        place = self._addresses.place(text)
        if place is None:
            return {"text": text}
        return {"text": text, "ip": place.ip, "network": place.network, "asn": place.asn, "country": place.country}

    # ------------------------------------------------------------ secrets

    def mask_secrets(self) -> None:
        """Takes out what somebody pasted where it does not belong: of user agents, in which programs write what they
        like, what is said to be a secret; of other texts what has the form of a vendor's token."""
        with _said():
            rows = self.folder / "agents.jsonl"
            found = self._db.cursor().execute("SELECT DISTINCT user_agent FROM staged WHERE user_agent IS NOT NULL")
            with rows.open("wb") as out:
                while texts := found.fetchmany(10_000):
                    masked = ((text, _masked(text)) for (text,) in texts)
                    out.writelines(orjson.dumps({"text": a, "masked": b}) + b"\n" for a, b in masked if a != b)
            if rows.stat().st_size:
                columns = {"text": "VARCHAR", "masked": "VARCHAR"}
                self._insert("CREATE OR REPLACE TEMP TABLE agent AS SELECT * FROM lines", rows, columns)
                self._db.execute("UPDATE staged SET user_agent = masked FROM agent WHERE user_agent = agent.text")
            for name in _SPOKEN:  # most say the same again and again: looking at each word once costs a third
                holds = f"regexp_matches({name}, '{_PASTED}')"
                asked = f"SELECT count(*) FROM (SELECT DISTINCT {name} FROM staged) WHERE {holds}"  # noqa: S608 - our names
                if self._one(asked):
                    changed = f"regexp_replace({name}, '{_PASTED}', '{MASK}', 'g')"
                    self._db.execute(f"UPDATE staged SET {name} = {changed} WHERE {holds}")  # noqa: S608 - our names

    # ------------------------------------------------------------ duplicates

    def drop_repeated(self) -> None:
        """Drops what stands twice in the batch; the first in the order of reading stays."""
        with _said():
            rows, different = self._row("SELECT count(*), count(DISTINCT (uid, time::DATE)) FROM staged")
            if rows == different:
                return
            self._db.execute(
                """
                DELETE FROM staged WHERE rowid IN (
                    SELECT row FROM (
                        SELECT rowid AS row, row_number() OVER (PARTITION BY uid, time::DATE ORDER BY rowid) AS n
                        FROM staged
                    ) WHERE n > 1
                )
                """
            )

    def drop_published(self, live: Sequence[LiveFile]) -> None:
        """Drops what one of these files, of the days that the batch has, holds."""
        for some in _groups(live):
            files = ", ".join(literal(str(self._lake / one.path)) for one in some)
            with _said():
                self._db.execute(
                    "DELETE FROM staged WHERE (uid, time::DATE) IN"  # noqa: S608 - our names
                    f" (SELECT (uid, time::DATE) FROM read_parquet([{files}]))"
                )

    def drop_part(self, name: int, position: int) -> None:
        """Drops the rows of an input from record `position` on: it is read again in another way."""
        self._db.execute("DELETE FROM staged WHERE input = ? AND position >= ?", [name, position])

    def drop_inputs(self, inputs: Sequence[int]) -> None:
        """Drops what came from these inputs: somebody else published it."""
        for table in ("staged", "bad", "counted"):
            self._db.execute(f"DELETE FROM {table} WHERE list_contains(?, input)", [list(inputs)])  # noqa: S608 - our names

    # ------------------------------------------------------------ what is staged

    def days(self) -> list[date]:
        return [
            day for (day,) in self._db.execute("SELECT DISTINCT time::DATE AS day FROM staged ORDER BY day").fetchall()
        ]

    def tally(self) -> dict[int, Tally]:
        found = self._db.execute("SELECT input, count(*), min(time), max(time) FROM staged GROUP BY input").fetchall()
        return {
            name: Tally(events=events, first_at=first.replace(tzinfo=UTC), last_at=last.replace(tzinfo=UTC))
            for name, events, first, last in found
        }

    # ------------------------------------------------------------ files out

    def write_days(self, source: str, batch: int) -> Iterator[NewFile]:
        """Writes the staged rows as a sorted, synced Parquet file for each day; yields each when it stands there."""
        columns = ", ".join(_stamped(source, batch).get(name, name) for name in ACTIVITY)
        with _said():
            days = self._db.execute(
                "SELECT time::DATE AS day, count(*), min(time), max(time) FROM staged GROUP BY day ORDER BY day"
            ).fetchall()
        for day, rows, first, last in days:
            path = new_path(source, day)
            chosen = (
                f"SELECT {columns} FROM staged WHERE {_of_day(day)}"  # noqa: S608 - our names
                " ORDER BY actor_authority, actor_id, time, uid"
            )
            written = write_parquet(self._db, chosen, self._lake / path)
            if written != rows:
                raise AssertionError(f"{written} of {rows} events of {day} were written")
            yield describe(self._lake, path, source=source, day=day, rows=rows, first=first, last=last, batches=[batch])

    def write_bad(self, source: str) -> tuple[str, int] | None:
        """Writes the unreadable records as a file; (path, records), or None when there are none."""
        records = self._one("SELECT count(*) FROM bad")
        if not records:
            return None
        path = new_path(source, None)
        write_parquet(self._db, "SELECT * FROM bad ORDER BY input, position", self._lake / path)
        return path, records

    def _one(self, query: str) -> int:
        return int(self._row(query)[0])

    def _row(self, query: str, parameters: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
        found = self._db.execute(query, parameters).fetchone()
        assert found is not None  # noqa: S101 - an aggregate has one row; narrows for the type checker
        return found


def configured(folder: Path, memory_mb: int) -> dict[str, str | bool | int | float | list[str]]:
    """DuckDB's settings for work in a folder of ours: it spills there what does not fit, and loads no extensions."""
    return {
        "memory_limit": f"{memory_mb}MB",
        "threads": str(min(4, os.cpu_count() or 2)),
        "temp_directory": str(folder / "spill"),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }


def write_parquet(db: duckdb.DuckDBPyConnection, rows: str, path: Path) -> int:
    """Writes the rows of a SELECT to `path`: it stands there whole and synced, or not at all. Returns their number."""
    new = [one for one in (path.parent, *path.parent.parents) if not one.exists()]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.part")
    try:
        with _said():
            done = db.execute(f"COPY ({rows}) TO {literal(str(part))} (FORMAT parquet, COMPRESSION zstd)").fetchone()
        assert done is not None  # noqa: S101 - COPY has one row; narrows for the type checker
        try:
            sync(part)
            part.replace(path)
            for one in (path.parent, *(folder.parent for folder in new)):  # and the names of new folders
                sync(one)
        except OSError as error:
            raise no_room(error.strerror or "") from None
    finally:
        part.unlink(missing_ok=True)
    return int(done[0])


def read_bad(path: Path) -> Iterator[dict[str, Any]]:
    """The records that `Staging.write_bad` wrote, with the columns of BAD."""
    with duckdb.connect() as db, _said():
        wanted = f"SELECT {', '.join(BAD)} FROM read_parquet(?) ORDER BY input, position"  # noqa: S608 - our names
        found = db.execute(wanted, [str(path)])
        while rows := found.fetchmany(1_000):
            for row in rows:
                yield dict(zip(BAD, row, strict=True))


def describe(
    lake: Path, path: str, *, source: str, day: date, rows: int, first: datetime, last: datetime, batches: Sequence[int]
) -> NewFile:
    """What the manifest keeps of a file of `rows` events from `first` to `last` (UTC) that stands in the lake."""
    with (lake / path).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return NewFile(
        path=path,
        source=source,
        day=day,
        rows=rows,
        size_bytes=(lake / path).stat().st_size,
        digest=digest,
        first_at=first.replace(tzinfo=UTC),
        last_at=last.replace(tzinfo=UTC),
        batches=batches,
    )


@functools.lru_cache(maxsize=20_000)
def _masked(agent: str) -> str:
    return mask_told(agent[:MAX_CHARS])


def no_room(reason: str) -> Unavailable:
    return Unavailable(
        _("events could not be written: %(reason)s") % {"reason": reason},
        system="lake",
        advice=_("make room on the disk of the workspace and run this again: nothing is half published"),
    )


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """DuckDB's refusals as ours, without its advice and without data."""
    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise no_room(str(error).splitlines()[0][:300]) from None
    except duckdb.Error as error:
        raise Error(
            _("events could not be staged (%(kind)s)") % {"kind": type(error).__name__},
            advice=_("run again with WARDSHIP_DEBUG=1 to see where"),
        ) from error


def _stamped(source: str, batch: int) -> dict[str, str]:
    """The columns of ACTIVITY that are not those of staged."""
    return {"source": f"'{source}' AS source", "batch": f"CAST({batch} AS BIGINT) AS batch"}


def _groups(live: Sequence[LiveFile]) -> Iterator[list[LiveFile]]:
    """The files in groups of moderate size, those of a small day with those of others."""
    some: list[LiveFile] = []
    for one in live:
        if some and sum(each.rows for each in some) + one.rows > _ROWS_AT_ONCE:
            yield some
            some = []
        some.append(one)
    if some:
        yield some


def _of_day(day: date) -> str:
    return f"time >= TIMESTAMP '{day}' AND time < TIMESTAMP '{day}' + INTERVAL 1 DAY"


def _lines(path: Path, columns: Mapping[str, str], longest: int) -> str:
    typed = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
    return (
        f"read_json({literal(str(path))}, format = 'newline_delimited', ignore_errors = true, columns = {{{typed}}},"
        f" maximum_object_size = {longest})"
    )

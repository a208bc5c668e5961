"""The import of CloudTrail files: from `.json.gz` as a trail writes them to Parquet, and to published events.

Two of ours: `columns` is the raw path alone (unpack, split, DuckDB's line reader, 16 columns as zstd Parquet) and
`import` is the whole product (normalised, addresses stamped, duplicates dropped, sorted by day, published). Peers in
the same run, with the same 16 columns and rows: DuckDB's own reader on the files as they are, and Spark local[2], whose
processor time is spent in a Java process and not compared. Floor: unpacking with isal and parsing with simdjson,
nothing made of it. All files lie in the page cache. A median of three for the sizes, five pairs for DuckDB.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from bench import cloudtrail_files, harness

SIZES, LARGE_SIZES = (30_000, 100_000, 300_000), (300_000, 1_000_000, 3_000_000)
PAIRS = 5
SEED = 20_261_122
SPOOL_BYTES = 64 * 1024 * 1024  # as wardship.ingest.telemetry.batch, which would load the whole product

COLUMNS = {
    **{
        name: name
        for name in (
            "eventID", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent",
            "errorCode", "readOnly", "eventType", "recipientAccountId",
        )
    },
    **{f"user_{name}": f"userIdentity.{name}" for name in ("type", "principalId", "arn", "accountId", "accessKeyId")},
}  # fmt: skip
"""The 16 columns: name -> where it stands in a record. All are text."""

_TYPES = {name: "VARCHAR" for name in COLUMNS if not name.startswith("user_")} | {
    "userIdentity": "STRUCT(" + ", ".join(f"{name[5:]} VARCHAR" for name in COLUMNS if name.startswith("user_")) + ")"
}
_STRUCT = ", ".join(f"{name}: '{kind}'" for name, kind in _TYPES.items())


def run() -> None:
    sizes = LARGE_SIZES if harness.large() else SIZES
    with tempfile.TemporaryDirectory(prefix="wardship-bench-") as made:
        folders = {size: Path(made) / f"in-{size}" for size in sizes}
        for size, folder in folders.items():
            cloudtrail_files.write(folder, size, SEED)
            _read_all(folder)
        for name in ("floor", "columns", "import", "duckdb"):
            _child(name, folders[sizes[0]], Path(made))  # makes the bytecode
        _tell_sizes(folders, Path(made))
        _tell_duckdb(folders[sizes[2]], Path(made))
        _tell_spark(folders[sizes[1]], Path(made))


def _tell_sizes(folders: dict[int, Path], made: Path) -> None:
    rows: list[list[object]] = []
    costs: dict[str, list[harness.Cost]] = {"floor": [], "columns": [], "import": []}
    for size, folder in folders.items():
        packed, unpacked = _size_mb(folder), _unpacked_mb(folder, size)
        print(f"{size:,} events: {packed:.0f} MB packed, {unpacked:.0f} MB of JSON, {unpacked * 1e6 / size:.0f} B each")
        for name, found in costs.items():
            found.append(harness.median(partial(_child, name, folder, made), 3))
        if _ids_of(costs["columns"][-1], "eventID") != _ids_of(costs["import"][-1], "uid"):
            raise ValueError("the import and the files do not hold the same events")
        for name, found in costs.items():
            cost = found[-1]
            rows.append(
                [name, size, cost.cpu_s, round(size / cost.cpu_s), cost.cpu_s / costs["floor"][-1].cpu_s, cost.wall_s,
                 round(size / cost.wall_s), round(cost.peak_mb)]
            )  # fmt: skip
    harness.table(
        ["", "events", "CPU s", "events/CPU s", "x floor", "wall s", "events/s", "peak MB"],
        sorted(rows, key=lambda row: list(costs).index(str(row[0]))),
    )
    for name, found in costs.items():
        slope = harness.exponent(list(folders), [cost.cpu_s for cost in found])
        marginal = (found[-1].cpu_s - found[0].cpu_s) / (costs["floor"][-1].cpu_s - costs["floor"][0].cpu_s)
        print(f"{name}: exponent {slope:.2f}, each further event {marginal:.2f} x the floor")


def _tell_duckdb(folder: Path, made: Path) -> None:
    """Interleaved pairs; a ratio counts only where both sides give the same rows."""
    found = harness.ratio(
        lambda: _child("columns", folder, made), lambda: _child("duckdb", folder, made), PAIRS, answer=_rows_of
    )
    print(f"DuckDB's reader of the files as they are: {found[0]:.1f} x our CPU ({found[1]:.1f} to {found[2]:.1f})")


def _tell_spark(folder: Path, made: Path) -> None:
    """Three pairs: one run takes a minute. Only the wall time can be compared."""
    try:
        import pyspark  # noqa: F401 - only whether it is there
    except ImportError:
        print("Spark local[2]: not run: pyspark is not installed")
        return
    walls = []
    for _ in range(3):
        mine, other = _child("columns", folder, made), _child("spark", folder, made)
        if _rows_of(mine) != _rows_of(other):
            raise ValueError("Spark gives other rows")
        walls.append((other.wall_s / mine.wall_s, other.wall_s))
    walls.sort()
    print(
        f"Spark local[2]: {walls[1][0]:.1f} x our wall time ({walls[0][0]:.1f} to {walls[-1][0]:.1f}),"
        f" {walls[1][1]:.1f} s, of which starting it is a part"
    )


def _child(name: str, folder: Path, made: Path) -> harness.Cost:
    """One run. Bytecode is kept between runs, as an installed program has it."""
    out = tempfile.mkdtemp(dir=made)
    env = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(made / "bytecode")}
    return harness.python("bench.telemetry_ingest", name, str(folder), out, env=env)


def _rows_of(cost: harness.Cost) -> str:
    """Count and order-free hash of the 16 columns that a run wrote."""
    return _ids_of(cost, *COLUMNS)


def _ids_of(cost: harness.Cost, *names: str) -> str:
    chosen = ", ".join(f'"{name}"' for name in names)
    with duckdb.connect() as db:
        row = db.execute(
            f"SELECT count(*), sum(hash({chosen})::HUGEINT) FROM read_parquet('{cost.figures['out']}/**/*.parquet')"
        ).fetchone()
    return repr(row)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.json.gz"))


def _read_all(folder: Path) -> None:
    for path in _files(folder):
        path.read_bytes()


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in _files(folder)) / 1e6


def _unpacked_mb(folder: Path, events: int) -> float:
    """By the first file: they are alike."""
    first = _files(folder)[0]
    return len(gzip.decompress(first.read_bytes())) * events / min(events, cloudtrail_files.PER_FILE) / 1e6


# ------------------------------------------------------------------ what the children do


def floor(folder: Path, _out: Path) -> None:
    """Every file unpacked and parsed, and nothing made of it."""
    import simdjson
    from isal import isal_zlib

    parser = simdjson.Parser()
    for path in _files(folder):
        engine: Any = isal_zlib.decompressobj(wbits=31)
        with path.open("rb") as stream:  # in pieces: they stay in the processor's cache, which halves the cost
            pieces = [engine.decompress(piece) for piece in iter(lambda: stream.read(16 * 1024), b"")]
        document = parser.parse(b"".join(pieces))
        del document  # the parser may not be used again while its result lives


def columns(folder: Path, out: Path) -> None:
    """The 16 columns by the product's own way to read files."""
    from wardship.ingest.telemetry.blocks import Block, blocks

    lines = out / "raw.jsonl"
    chosen = ", ".join(f'{place} AS "{name}"' for name, place in COLUMNS.items())
    with duckdb.connect() as db:

        def flush(number: int) -> None:
            db.execute(
                f"COPY (SELECT {chosen} FROM read_json('{lines}', format='newline_delimited', ignore_errors=true,"
                f" columns={{{_STRUCT}}})) TO '{out}/{number}.parquet' (FORMAT parquet, COMPRESSION zstd)"
            )

        number = size = 0
        spool = lines.open("wb")
        for path in _files(folder):
            for block in blocks(path, path.name, ("Records",)):
                assert isinstance(block, Block)
                spool.write(block.lines)
                spool.write(b"\n")
                size += len(block.lines)
            if size >= SPOOL_BYTES:
                spool.truncate()
                flush(number)
                number, size = number + 1, 0
                spool.seek(0)
        spool.truncate()
        spool.close()
        flush(number)
    lines.unlink()


def whole_import(folder: Path, out: Path) -> None:
    """The product: a new workspace, the files imported as `wardship telemetry import` does."""
    from wardship.ingest.telemetry.importer import import_paths
    from wardship.store.workspace import Workspace

    with Workspace.create(out / "ws", None, clock=lambda: datetime(2026, 11, 22, tzinfo=UTC)) as ws:
        told = import_paths(ws, [folder], "aws.cloudtrail", actor="bench")
    if not told.complete or told.duplicates:
        raise SystemExit(f"not everything was read: {told}")


def duckdb_reader(folder: Path, out: Path) -> None:
    """DuckDB's reader on the files as they are: one document a file, its list unnested."""
    chosen = ", ".join(f'one.{place} AS "{name}"' for name, place in COLUMNS.items())
    record = "STRUCT(" + ", ".join(f'"{name}" {kind}' for name, kind in _TYPES.items()) + ")"
    with duckdb.connect() as db:
        db.execute(
            f"COPY (SELECT {chosen} FROM (SELECT unnest(Records) AS one FROM read_json('{folder}/**/*.json.gz',"
            f" format='unstructured', maximum_object_size=200000000, columns={{Records: '{record}[]'}})))"
            f" TO '{out}/0.parquet' (FORMAT parquet, COMPRESSION zstd)"
        )


def spark(folder: Path, out: Path) -> None:
    """Spark in one process with two threads."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f
    from pyspark.sql.types import ArrayType, StringType, StructField, StructType

    def struct(names: Sequence[str], *more: StructField) -> StructType:
        return StructType([*(StructField(name, StringType()) for name in names), *more])

    user = struct([name[5:] for name in COLUMNS if name.startswith("user_")])
    record = struct([name for name in COLUMNS if not name.startswith("user_")], StructField("userIdentity", user))
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.log.level", "ERROR")
        .config("spark.driver.memory", "2g")
        .getOrCreate()
    )
    documents = session.read.schema(StructType([StructField("Records", ArrayType(record))])).option(
        "recursiveFileLookup", "true"
    )
    events = documents.json(str(folder), multiLine=True).select(f.explode("Records").alias("one"))
    chosen = [f.col(f"one.{place}").alias(name) for name, place in COLUMNS.items()]
    events.select(*chosen).write.mode("overwrite").parquet(str(out / "rows"))
    session.stop()


_CHILDREN: dict[str, Callable[[Path, Path], None]] = {
    "floor": floor,
    "columns": columns,
    "import": whole_import,
    "duckdb": duckdb_reader,
    "spark": spark,
}

if __name__ == "__main__":
    _name, _folder, _out = sys.argv[1:4]
    _began = time.process_time()
    _CHILDREN[_name](Path(_folder), Path(_out))
    print(json.dumps({"out": _out, "cpu_s": time.process_time() - _began, "pid": os.getpid()}))

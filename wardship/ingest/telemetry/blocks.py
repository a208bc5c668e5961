"""The raw records of one file as lines of JSON, for a source's PROJECTION.

A compact document of records is split at memory speed (`split`); everything else, JSON lines too, is read record by
record and written as lines: a line may hold a list of records, or be none. The records and their order are those of
`Records`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardship.ingest.telemetry import split
from wardship.ingest.telemetry.canonical import dump
from wardship.ingest.telemetry.plain import Broken, text_pieces
from wardship.ingest.telemetry.records import NoRecord, Records

_WHOLE_BYTES = 64 * 1024 * 1024
_BLOCK_BYTES = 4 * 1024 * 1024
_STARTS = (b"{", b"[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """`count` records as lines, without the last line end. `split`: made by `split`, whose word it is to be checked."""

    lines: bytes | bytearray
    count: int
    split: bool = False


def blocks(
    path: Path, name: str, keys: Sequence[str], *, watch: Callable[[int], None] | None = None
) -> Iterator[Block | NoRecord]:
    """The file's records. Raises Broken as `Records` does, and tells `watch` as they do."""
    document = _whole(path)
    if document is not None and split.split(document, keys):
        if document:
            yield Block(lines=document, count=document.count(b"\n") + 1, split=True)
        return
    yield from _written(Records(path, name, keys, watch=watch))


def _whole(path: Path) -> bytearray | None:
    """The text, if it seems to be one JSON document of moderate size on one line, and is not broken.

    Only its first piece is looked at: `split` tells a line end further on.
    """
    read = bytearray()
    try:
        for piece in text_pieces(path):
            if not read and (not piece.lstrip().startswith(_STARTS) or b"\n" in piece.rstrip(b"\n")):
                return None
            read += piece
            if len(read) > _WHOLE_BYTES:
                return None
    except Broken:
        return None
    return read


def _written(records: Records) -> Iterator[Block | NoRecord]:
    lines: list[bytes] = []
    size = 0
    try:
        for record in records:
            if isinstance(record, NoRecord):
                if lines:
                    yield Block(lines=b"\n".join(lines), count=len(lines))
                    lines, size = [], 0
                yield record
                continue
            lines.append(dump(record))
            size += len(lines[-1])
            if size >= _BLOCK_BYTES:
                yield Block(lines=b"\n".join(lines), count=len(lines))
                lines, size = [], 0
    except Broken:
        if lines:
            yield Block(lines=b"\n".join(lines), count=len(lines))
        raise
    if lines:
        yield Block(lines=b"\n".join(lines), count=len(lines))

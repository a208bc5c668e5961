"""Files of any of the known forms, as raw records: JSON objects, rows of CSV, XML events, lines of text, Parquet rows.

The form is told by what stands in the file; the name decides only what the content leaves open (CSV). A record that
is none is given as `NoRecord` and the reading goes on; where it cannot go on, `plain.Broken` is raised. Memory is
bounded by MAX_RECORD_BYTES, not by the file: a document of gigabytes is read record by record.

- JSON: objects one a line; a list; an object with its list under one of `keys`; objects behind each other; one object.
- XML: the children of the document's element, or every `Event`. An element without attributes and children is its
  text; else an object: attributes and children by name (without namespace), a repeated name is a list, text "#text".
- CSV: a row is an object by its header; without one (PostgreSQL's csvlog) it is {"row": [cells]}. Text: a line is
  {"message": line}.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

import orjson

from wardship.ingest.telemetry.plain import Broken, refuse_bomb, text_pieces
from wardship.model.errors import DataError
from wardship.sdk.i18n import N_

MAX_RECORD_BYTES = 8 * 1024 * 1024
_WHOLE_BYTES = 16 * 1024 * 1024  # a document up to this size is read at once, which is quicker
_HEAD_BYTES = 1024 * 1024
_KEPT_CHARS = 4_000  # of what is no record
_BETWEEN_WORDS = " \t\r\n\"'"
_MAX_XML_DEPTH = 60
_PARQUET = b"PAR1"
_PARQUET_RATIO = 2_500  # of the rows as JSON: there every row names its columns, and says which are empty
_CSV_SUFFIXES = (".csv", ".tsv")
_XML_START = re.compile(rb"<(?:\?xml|!--|[A-Za-z_])")
_XML_DECLARATION = re.compile(r"^\s*(?:<\?xml[^>]{0,200}\?>\s*)?")
_SAMBA_LOG = re.compile(rb'\A {2}\{"timestamp": "|^\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?, ', re.MULTILINE)
_JSON_LIST = re.compile(rb"\[\s*(?:[{\[\]]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRecord:
    """What stands where a record should be: its beginning, and why it is none."""

    text: str
    reason: str


Raw = dict[str, Any] | NoRecord


class Records:
    """The raw records of one file, in its order; to be iterated once. `text_bytes`: how much text was read so far.

    `name` is the file's, for its suffix; `keys` are those under which a JSON object may hold the list of records.
    `watch` is told how many bytes of the file were read (of Parquet nothing).
    """

    def __init__(
        self, path: Path, name: str, keys: Sequence[str] = (), *, watch: Callable[[int], None] | None = None
    ) -> None:
        self.text_bytes = 0
        self._watch = watch
        self._path = path
        self._name = name.lower().removesuffix(".gz").removesuffix(".zst")
        self._keys = keys

    def __iter__(self) -> Iterator[Raw]:
        try:
            with self._path.open("rb") as stream:
                parquet = stream.read(4) == _PARQUET
        except OSError as error:  # logs are moved away while we read others
            raise Broken(f"it cannot be read: {error.strerror}") from None
        return self._parquet() if parquet else self._text()

    def _text(self) -> Iterator[Raw]:
        head = _Head(self._counted(text_pieces(self._path, self._watch)))
        start = head.bytes.lstrip()
        if self._name.endswith(_CSV_SUFFIXES):
            yield from _csv(head.pieces())
        elif _is_samba_log(head.bytes):
            yield from _text(head.pieces())
        elif start.startswith(b"{") or _JSON_LIST.match(start) or _are_objects(head.bytes):
            yield from self._json(head)
        elif _XML_START.match(start):
            yield from _xml(head.pieces())
        else:
            yield from _text(head.pieces())

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.text_bytes += len(piece)
            yield piece

    def _json(self, head: _Head) -> Iterator[Raw]:
        first = head.bytes.lstrip().partition(b"\n")[0]
        lines = len(first) < len(head.bytes.strip()) or len(head.bytes) < _HEAD_BYTES  # else the text is one line
        if lines and is_object(first):
            yield from self._json_lines(head)
            return
        if whole := head.whole(_WHOLE_BYTES):
            try:
                value = orjson.loads(whole)
            except orjson.JSONDecodeError:
                pass  # objects behind each other, or damaged: record by record
            else:
                yield from unfold(value, self._keys)
                return
        if _are_objects(head.bytes):
            yield from self._json_lines(head)
        else:
            yield from _document(_Text(head.pieces()), self._keys)

    def _json_lines(self, head: _Head) -> Iterator[Raw]:
        for line in _lines(head.pieces()):
            if isinstance(line, NoRecord):
                yield line
            elif line.strip():
                yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[Raw]:
        try:
            value = loads(line)
        except DataError as error:
            yield no_record(line, error.message)
        else:
            yield from unfold(value, self._keys)

    def _parquet(self) -> Iterator[Raw]:
        """Rows as JSON, as DuckDB writes it."""
        import duckdb

        config: dict[str, str | bool | int | float | list[str]] = {"threads": "2", "memory_limit": "1GB"}
        with duckdb.connect(config=config) as db, self._path.open("rb") as stream:
            try:
                # By its descriptor: in a name, DuckDB would take stars and brackets for a pattern.
                found = db.execute(
                    "SELECT CAST(to_json(row) AS VARCHAR) FROM read_parquet(?) AS row", [f"/dev/fd/{stream.fileno()}"]
                )
                size = self._path.stat().st_size
                while rows := found.fetchmany(1_000):
                    refuse_bomb(self.text_bytes, size, _PARQUET_RATIO)
                    for (text,) in rows:
                        self.text_bytes += len(text)
                        yield from unfold(loads(text.encode("utf-8", "replace")), ())
            except duckdb.Error as error:
                raise Broken(f"damaged Parquet ({type(error).__name__})") from None


class _Head:
    """Looks at the beginning of a text without losing it. What breaks early is raised when it is reached."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._broken: Broken | None = None
        self.bytes = b""
        self._ended = False
        self._fill(_HEAD_BYTES)

    def _fill(self, size: int) -> None:
        read = [self.bytes]
        length = len(self.bytes)
        try:
            while length < size and not self._ended:
                piece = next(self._pieces, None)
                if piece is None:
                    self._ended = True
                else:
                    read.append(piece)
                    length += len(piece)
        except Broken as error:
            self._broken, self._ended = error, True
        self.bytes = b"".join(read)

    def whole(self, size: int) -> bytes | None:
        """All of it when it is no longer than `size`; None: it is, or it is broken."""
        self._fill(size + 1)
        return self.bytes if self._ended and self._broken is None and len(self.bytes) <= size else None

    def pieces(self) -> Iterator[bytes]:
        if self.bytes:
            yield self.bytes
        self.bytes = b""
        if self._broken is not None:
            raise self._broken
        if not self._ended:
            yield from self._pieces


def loads(data: bytes) -> Any:
    """A JSON value. Raises DataError for what is none, or is nested deeper than any log."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass  # the standard library takes what orjson is too strict for: half a surrogate pair, NaN, not UTF-8
    try:
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        raise DataError("not JSON") from None


def is_object(line: bytes) -> bool:
    try:
        return isinstance(loads(line), dict)
    except DataError:
        return False


def _is_samba_log(head: bytes) -> bool:
    """Whether it is text between whose lines JSON stands, indented: most lines may be JSON, the first one too."""
    head = head[: 64 * 1024]
    if head.lstrip().startswith(b"<") or not (head.startswith((b"  {", b"[")) or b"\n[" in head):
        return False  # nearly all files, and quicker than the pattern
    return _SAMBA_LOG.search(head) is not None


def _are_objects(head: bytes) -> bool:
    """Whether most lines behind the first are objects: the first may be the rest of a line that was cut."""
    lines = [line for line in head[: 256 * 1024].split(b"\n")[1:21] if line.strip()]
    return sum(map(is_object, lines)) * 2 > len(lines)


def unfold(value: Any, keys: Sequence[str]) -> Iterator[Raw]:
    """The records of a JSON value: of a list its items, of an object its list under one of `keys`, else itself."""
    if isinstance(value, dict):
        for key in keys:
            if isinstance(value.get(key), list):
                for item in value[key]:
                    yield as_raw(item)
                return
        yield value
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict) and any(isinstance(item.get(key), list) for key in keys):
                yield from unfold(item, keys)
            else:
                yield as_raw(item)
    else:
        yield as_raw(value)


def as_raw(value: Any) -> Raw:
    """The value as a raw record, when it is an object."""
    if isinstance(value, dict):
        return value
    return NoRecord(text=_kept(json.dumps(value, default=str)), reason="not an object")


def no_record(data: bytes, reason: str, *, torn: bool = False) -> NoRecord:
    """`torn`: it was cut off within a word."""
    return NoRecord(text=_kept(data[: 4 * _KEPT_CHARS].decode("utf-8", "replace"), torn=torn), reason=reason)


def _kept(text: str, *, torn: bool = False) -> str:
    """The beginning of what is no record. It ends where a word does: of half a secret nobody would know what it is."""
    if len(text) <= _KEPT_CHARS and not torn:
        return text
    text = text[:_KEPT_CHARS]
    return text[: max(map(text.rfind, _BETWEEN_WORDS)) + 1]


# ---------------------------------------------------------------- lines


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes | NoRecord]:
    """Lines without their ends. One longer than MAX_RECORD_BYTES is no record."""
    rest = b""
    too_long = False
    for piece in _until_broken(pieces):
        if isinstance(piece, Broken):
            if rest and not too_long:
                yield no_record(rest, "cut off where the file is damaged", torn=True)
            raise piece
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        for line in lines:
            if too_long:
                too_long = False
                continue
            yield line if len(line) <= MAX_RECORD_BYTES else no_record(line, _too_long())
        if len(rest) > MAX_RECORD_BYTES and not too_long:
            yield no_record(rest, _too_long())
            too_long = True
        if too_long:
            rest = b""
    if rest and not too_long:
        yield rest


def _until_broken(pieces: Iterator[bytes]) -> Iterator[bytes | Broken]:
    try:
        yield from pieces
    except Broken as error:
        yield error


def _too_long() -> str:
    return f"longer than {MAX_RECORD_BYTES // 1024 // 1024} MB"


def _text(pieces: Iterator[bytes]) -> Iterator[Raw]:
    for line in _lines(pieces):
        if isinstance(line, NoRecord):
            yield line
        elif line.strip():
            yield {"message": line.rstrip(b"\r").decode("utf-8", "replace")}


def _csv(pieces: Iterator[bytes]) -> Iterator[Raw]:
    csv.field_size_limit(MAX_RECORD_BYTES)
    lines = (
        # A too long line keeps its place: the row that it belongs to is refused below
        line.text + "\n" if isinstance(line, NoRecord) else line.decode("utf-8", "replace").rstrip("\r") + "\n"
        for line in _lines(pieces)
    )
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        return
    delimiter = max(",;\t|", key=first.count)
    rows = csv.reader(itertools.chain([first], lines), delimiter=delimiter)
    try:
        header = next(rows)
        if header[0][:1].isdigit() and header.count("") > 1:  # a log, not a table: its first row is a record too
            yield from ({"row": row} for row in itertools.chain([header], rows) if row)
            return
        for row in rows:
            if not row:
                continue
            if len(row) > len(header):
                yield NoRecord(
                    text=_kept(delimiter.join(row)), reason=f"{len(row)} fields where the header has {len(header)}"
                )
            else:
                yield dict(zip(header, row, strict=False))
    except csv.Error as error:
        raise Broken(f"not CSV near line {rows.line_num}: {error}") from None


# ---------------------------------------------------------------- JSON documents


class _Text:
    """A JSON text that is read value by value; it holds no more than the value at hand."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._json = json.JSONDecoder(strict=False)
        self._text = ""
        self._at = 0
        self._ended = False
        self._broken: Broken | None = None

    def more(self, size: int) -> bool:
        """Reads on until `size` characters lie ahead; False: there is nothing more."""
        read = [self._text[self._at :]]
        ahead = before = len(read[0])
        while ahead < size and not self._ended:
            try:
                piece = next(self._pieces, None)
            except Broken as error:
                self._broken, piece = error, None
            self._ended = piece is None
            decoded = self._decoder.decode(piece or b"", final=self._ended)
            read.append(decoded)
            ahead += len(decoded)
        self._text, self._at = "".join(read), 0
        return ahead > before

    def peek(self, skip: str = " \t\r\n,") -> str | None:
        """The next character that is not in `skip`; None at the end. Raises Broken where the file is damaged."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in skip:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self.more(_HEAD_BYTES):
                if self._broken is not None:
                    raise self._broken
                return None

    def take(self) -> None:
        self._at += 1

    def value(self) -> Any:
        """The value that begins here. Raises Broken when it is none, or longer than MAX_RECORD_BYTES."""
        ahead = _HEAD_BYTES
        while True:
            try:
                value, self._at = self._json.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if self._ended or isinstance(error, RecursionError):
                    raise self._broken or Broken("not JSON from here on, or nested too deeply") from None
                if ahead > MAX_RECORD_BYTES:
                    raise Broken(f"not JSON from here on, or a value {_too_long()}") from None
                ahead *= 2
                self.more(ahead)
            else:
                return value


def _document(text: _Text, keys: Sequence[str]) -> Iterator[Raw]:
    while (char := text.peek()) is not None:
        if char == "[":
            yield from _items(text, keys)
        elif char == "{":
            yield from _object(text, keys)
        else:
            yield from unfold(text.value(), keys)


def _items(text: _Text, keys: Sequence[str]) -> Iterator[Raw]:
    text.take()
    while (char := text.peek()) != "]":
        if char is None:
            raise Broken(N_("the list of records ends in the middle"))
        yield from unfold(text.value(), keys)
    text.take()


def _object(text: _Text, keys: Sequence[str]) -> Iterator[Raw]:
    """An object that may be larger than memory: the items of its list, or itself when it is a small one."""
    try:
        yield from unfold(text.value(), keys)
    except Broken:
        pass  # it is damaged, or larger than a record may be
    else:
        return
    listed = False
    text.take()
    while (char := text.peek()) != "}":
        if char is None:
            raise Broken(N_("the object ends in the middle"))
        name = text.value()
        if text.peek() != ":":
            raise Broken(N_("not JSON from here on"))
        text.take()
        if name in keys and text.peek() == "[":
            listed = True
            yield from _items(text, keys)
        else:
            text.value()
    if not listed:
        raise Broken(f"an object {_too_long()}")
    text.take()


# ---------------------------------------------------------------- XML


def _xml(pieces: Iterator[bytes]) -> Iterator[Raw]:
    """Expat over one made-up root, so that events without a common element are read too. Entities are refused."""
    reader = _XmlReader()
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    first = True
    for piece in _until_broken(pieces):
        if isinstance(piece, Broken):
            yield from reader.taken()
            raise piece
        text = decoder.decode(piece)
        if first and text:
            text, first = _XML_DECLARATION.sub("", text, count=1), False
        problem = reader.feed(text)
        yield from reader.taken()
        if problem:
            raise Broken(problem)
    problem = reader.feed("</all>", last=True)
    yield from reader.taken()
    if problem:
        raise Broken(problem)


class _XmlReader:
    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._open: list[tuple[str, dict[str, Any], list[str]]] = []
        self._level = 0  # of the element that is one record; 0: not in one
        self._depth = 0
        self._size = 0
        self._done: list[Raw] = []
        self.feed("<all>")

    def feed(self, text: str, *, last: bool = False) -> str | None:
        """Parses on; the reason when that is impossible."""
        try:
            self._parser.Parse(text.encode("utf-8", "replace"), last)
        except expat.ExpatError as error:
            return f"not XML near line {error.lineno}: {expat.ErrorString(error.code)}"
        except DataError as error:
            return error.message
        return None

    def taken(self) -> list[Raw]:
        done, self._done = self._done, []
        return done

    def _refuse(self, *_: object) -> None:
        raise DataError("XML with a document type or entities")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(" ")[2]
        self._depth += 1
        if self._depth > _MAX_XML_DEPTH:
            raise DataError("XML nested too deeply")
        if not self._level and (self._depth == 3 or (self._depth == 2 and name == "Event")):
            self._level, self._size = self._depth, 0
        if self._level:
            self._open.append((name, {key.rpartition(" ")[2]: value for key, value in attributes.items()}, []))
            self._grow(sum(map(len, attributes.values())) + len(name))

    def _characters(self, text: str) -> None:
        if self._open:
            self._open[-1][2].append(text)
            self._grow(len(text))

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_RECORD_BYTES:
            raise DataError(f"an event {_too_long()}")

    def _end(self, _tag: str) -> None:
        if self._open:
            name, found, texts = self._open.pop()
            text = "".join(texts).strip()
            value: Any = found or text or None
            if found and text:
                found["#text"] = text
            if self._depth == self._level:
                self._level = 0
                self._done.append(value if isinstance(value, dict) else {"#text": value})
            else:
                self._put(self._open[-1][1], name, value)
        self._depth -= 1

    @staticmethod
    def _put(parent: dict[str, Any], name: str, value: Any) -> None:
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list):
            parent[name].append(value)
        else:
            parent[name] = [parent[name], value]

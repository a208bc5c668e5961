"""The bytes of a log as UTF-8 text, whatever it was packed and spelt in: gzip, zstandard, UTF-16, a byte order mark.

What can be read before the place where a file is damaged is given; then `Broken` says why it ends. A file that grows
out of all proportion when it is unpacked is refused there too.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from wardship.model.errors import ConfigError, DataError
from wardship.sdk.i18n import N_, _

MAX_RATIO = 250  # logs shrink to a tenth or a fiftieth
_RATIO_FREE_BYTES = 64 * 1024 * 1024  # below it nobody cares
_PIECE = 16 * 1024  # of packed bytes: what is lost before a damaged place is less
_PLAIN_PIECE = 1024 * 1024
_GZIP_BITS = 31  # a window of 2^15 bytes, with gzip's header
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class Broken(DataError):
    """The file cannot be read from here on; what came before is good. The message is for whoever repairs it."""


def text_pieces(path: Path, watch: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """The file's text in pieces of UTF-8 (what is no UTF-8 stays as it is), without a byte order mark. `watch` is told
    after each how many bytes of the file, packed as they are, were read.

    Raises Broken, after the last good piece; ConfigError where a package for its packing is missing.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(4)
            stream.seek(0)
            for piece in _recoded(_unpacked(stream, head)):
                if watch is not None:
                    watch(stream.tell())
                yield piece
    except OSError as error:
        raise Broken(f"it cannot be read: {error.strerror}") from None


def _unpacked(stream: IO[bytes], head: bytes) -> Iterator[bytes]:
    if head.startswith(_GZIP):
        return _no_bomb(stream, _gunzip(stream))
    if head == _ZSTD:
        return _no_bomb(stream, _unzstd(stream))
    return iter(lambda: stream.read(_PLAIN_PIECE), b"")


def _gunzip(stream: IO[bytes]) -> Iterator[bytes]:
    from isal import isal_zlib

    damaged = cast("type[Exception]", isal_zlib.error)
    engine = isal_zlib.decompressobj(wbits=_GZIP_BITS)
    while piece := stream.read(_PIECE):
        while piece:
            if engine.eof:  # one gzip file behind another is a gzip file; so are zeros behind it
                piece = piece.lstrip(b"\0")
                if not piece:
                    break
                engine = isal_zlib.decompressobj(wbits=_GZIP_BITS)
            try:
                unpacked = engine.decompress(piece)
            except damaged:
                raise Broken(f"damaged gzip data near byte {stream.tell()}") from None
            if unpacked:
                yield unpacked
            piece = engine.unused_data if engine.eof else b""
    if not engine.eof:
        raise Broken(N_("the gzip data ends in the middle"))


def _unzstd(stream: IO[bytes]) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError:
        raise ConfigError(
            _("reading zstandard files needs a package that is not installed"), advice=_("pip install 'wardship[zstd]'")
        ) from None
    reader = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(stream, read_across_frames=True)
    while True:
        try:
            unpacked = reader.read(_PLAIN_PIECE)
        except zstandard.ZstdError:
            raise Broken(f"damaged zstandard data near byte {stream.tell()}") from None
        if not unpacked:
            return
        yield unpacked


def _no_bomb(stream: IO[bytes], pieces: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        refuse_bomb(size, stream.tell())
        yield piece


def refuse_bomb(size: int, packed: int, most: int = MAX_RATIO) -> None:
    """Raises Broken where `packed` bytes became `size` bytes, more than `most` times as many."""
    if size > _RATIO_FREE_BYTES and size > most * max(packed, 1):
        raise Broken(f"it unpacks to more than {most} times its size")


def _recoded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(pieces, b"")
    while len(first) < 3 and (more := next(pieces, b"")):
        first += more
    mark, encoding = next((one for one in _BOMS if first.startswith(one[0])), (b"", "utf-8"))
    first = first[len(mark) :]
    if encoding == "utf-8":
        if first:
            yield first
        yield from pieces
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    yield decoder.decode(first).encode("utf-8", "replace")
    for piece in pieces:
        yield decoder.decode(piece).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")

"""Bounds on what a system may send: bytes on the wire, bytes after unpacking, time, depth and numbers of JSON."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx

from wardship.model.errors import UnexpectedResponse
from wardship.sdk.i18n import _

# Possessive, and the end of the text closes an open string: one pass whatever is sent.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_CHUNK = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Largest answer, unpacked, in bytes; deepest JSON."""

    max_bytes: int = 64 * 1024 * 1024
    max_depth: int = 64


DEFAULT_LIMITS = Limits()


class BoundedTransport(httpx.BaseTransport):
    """Counts every byte of an answer while it arrives and unpacks gzip in bounded steps.

    Raises UnexpectedResponse over the limit, `httpx.ReadTimeout` when the request's extension `wardship_deadline`
    (monotonic seconds) passes: a server that drips one byte a second is not waited for.
    """

    def __init__(self, inner: httpx.BaseTransport, limits: Limits, *, monotonic: Callable[[], float]) -> None:
        self._inner, self._limits, self._monotonic = inner, limits, monotonic

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if response.is_stream_consumed:  # made in this process, whole and unpacked: nothing to count while it arrives
            if len(response.content) > self._limits.max_bytes:
                raise _too_large(self._limits)
            return response
        encoding = response.headers.pop("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", "x-gzip", ""):
            response.close()
            raise UnexpectedResponse(
                _("content encoding %(encoding)r was not asked for") % {"encoding": encoding[:20]}, operation="read"
            )
        if not isinstance(response.stream, httpx.SyncByteStream):
            raise UnexpectedResponse(_("an asynchronous answer"), operation="read")
        deadline = request.extensions.get("wardship_deadline", math.inf)
        response.stream = _BoundedStream(
            response.stream, self._limits, unpack="gzip" in encoding, expired=lambda: self._monotonic() > deadline
        )
        return response

    def close(self) -> None:
        self._inner.close()


class _BoundedStream(httpx.SyncByteStream):
    def __init__(
        self, inner: httpx.SyncByteStream, limits: Limits, *, unpack: bool, expired: Callable[[], bool]
    ) -> None:
        self._inner, self._limits, self._unpack, self._expired = inner, limits, unpack, expired

    def __iter__(self) -> Iterator[bytes]:
        total = 0
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if self._unpack else None
        for chunk in self._inner:
            if self._expired():
                raise httpx.ReadTimeout("the answer took too long")
            for piece in _unpacked(unpacker, chunk) if unpacker else (chunk,):
                total += len(piece)
                if total > self._limits.max_bytes:
                    raise _too_large(self._limits)
                yield piece
        if unpacker is not None and not unpacker.eof:
            raise httpx.ReadError("the packed answer was cut off")

    def close(self) -> None:
        self._inner.close()


def _unpacked(unpacker: Any, chunk: bytes) -> Iterator[bytes]:
    """`chunk` unpacked in steps of at most 64 KiB: a bomb is noticed before it fills the memory."""
    try:
        while chunk:
            yield unpacker.decompress(chunk, _CHUNK)
            chunk = unpacker.unconsumed_tail
    except zlib.error:
        raise UnexpectedResponse(_("the packed answer cannot be unpacked"), operation="read") from None


def _too_large(limits: Limits) -> UnexpectedResponse:
    return UnexpectedResponse(
        _("an answer over %(max_bytes)s bytes") % {"max_bytes": limits.max_bytes}, operation="read"
    )


def strict_json(response: httpx.Response, limits: Limits, *, system: str) -> Any:
    """`response.json()`, or UnexpectedResponse for what is not JSON, too deep, not finite or numerically absurd."""
    content = response.content
    if json_depth(content, limits.max_depth) > limits.max_depth:
        raise UnexpectedResponse(
            _("JSON deeper than %(max_depth)s") % {"max_depth": limits.max_depth}, system=system, operation="read"
        )
    try:
        return response.json(parse_constant=_not_finite, parse_float=_finite)
    except RecursionError:
        problem = _("JSON deeper than can be read")
    except UnicodeDecodeError:
        problem = _("not UTF-8")
    except ValueError:  # JSONDecodeError, our two checks, and Python's own limit on the digits of an integer
        problem = _("not JSON")
    raise UnexpectedResponse(
        _("the answer is %(problem)s (%(n)d bytes, %(type)s)")
        % {"problem": problem, "n": len(content), "type": response.headers.get("content-type", _("no type"))[:40]},
        system=system,
        operation="read",
    )


def json_depth(content: bytes, most: int) -> int:
    """How deep brackets nest in `content`, counted up to `most` + 1. Peels the innermost pairs off, all at C speed.

    Whether a bracket's kind matches is the parser's business, so one kind stands for both.
    """
    if content.count(b"[") + content.count(b"{") <= most:
        return 0  # cannot be deeper than it has brackets
    brackets = _STRING.sub(b"", content).translate(None, _NOT_BRACKETS).translate(_ONE_KIND)
    depth = 0
    while brackets and depth <= most:
        peeled = brackets.replace(b"[]", b"")
        if len(peeled) == len(brackets):
            break  # unbalanced: the parser will say so
        brackets = peeled
        depth += 1
    return depth


def _not_finite(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number beyond all bounds")
    return value

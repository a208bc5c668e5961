"""Turns a JSON document that lists its records into one line a record, at the speed of memory.

DuckDB reads newline-delimited JSON thirty times faster than a document of many megabytes, and CloudTrail writes such
documents: `{"Records":[{...},{...}]}`, compact, each record beginning with the same key. Between two records stands
`},{"eventVersion":`; `split` puts a line end in the place of that comma and changes nothing else.

Why it cannot go wrong unseen. The separator holds unescaped quotes, so it never lies inside a string; it stands between
two objects of some list. If that list is not the one of records, or a record begins with another key, or something
follows the list, then at least one line is not a JSON object: brackets are left open, or a comma is left over. So
whoever reads the lines and meets one that is not JSON reads the document again with `exact`. A document that has line
ends of its own is told here, by counting them: each pass over the text is a tenth of what reading it costs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson

from wardship.model.errors import DataError

_FIRST_KEY = re.compile(rb'\{("[A-Za-z_][A-Za-z0-9_.-]{0,63}":)')


def split(document: bytearray, keys: Sequence[str]) -> bool:
    """Makes `document` its records as lines without a last line end; empty where it lists none.

    `keys`: under which its list may stand (SourceManifest.records); a list at the top is taken too. False: it is not
    compact, or its records do not all begin with the same key: take `exact`; what is in `document` then is of no use.
    """
    if not _strip(document, keys):
        return False
    if not document:
        return True
    first = _FIRST_KEY.match(document)
    if first is None:
        return False
    key = bytes(first[1])
    separator, step, count = b"},{" + key, 3 + len(key), 1
    at = document.find(separator)
    while at >= 0:
        document[at + 1] = 0x0A
        count += 1
        at = document.find(separator, at + step)
    return document.count(b"\n") == count - 1


def _strip(document: bytearray, keys: Sequence[str]) -> bool:
    """Leaves what stands between the brackets of the list of records; at either end that costs no copy."""
    end = len(document)
    while end and document[end - 1] in b" \t\r\n":
        end -= 1
    del document[end:]
    if document.startswith(b"[") and document.endswith(b"]"):
        del document[:1], document[-1:]
        return True
    for key in keys:
        head = b'{"%s":[' % key.encode()
        if document.startswith(head) and document.endswith(b"]}", len(head)):
            del document[: len(head)], document[-2:]
            return True
    return False


def exact(document: bytes, keys: Sequence[str]) -> bytes:
    """The same lines by reading the whole document, however it is written; one object alone is one line.

    Raises DataError for what is no JSON, or a text or a number alone.
    """
    read = _loads(document)
    if isinstance(read, dict):
        listed = next((read[key] for key in keys if isinstance(read.get(key), list)), None)
        read = [read] if listed is None else listed
    if not isinstance(read, list):
        raise DataError("the document holds no records")
    return b"\n".join(_dumps(one) for one in read)


def _loads(document: bytes) -> Any:
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError:
        pass  # the standard library takes what orjson is too strict for: half a surrogate pair, NaN
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        raise DataError("not a JSON document") from None


def _dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # half a surrogate pair, or an integer of more than 64 bits
        return json.dumps(value, separators=(",", ":")).encode("ascii")

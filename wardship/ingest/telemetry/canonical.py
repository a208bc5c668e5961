"""Whatever a log holds as JSON in UTF-8, and the digest of it that makes two records equal."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from wardship.model.activity import Activity


def content_of(record: Any) -> str:
    """SHA-256 of the record's canonical JSON (sorted names, UTF-8, no spaces); of a text, of the text itself."""
    data = record.encode("utf-8", "replace") if isinstance(record, str) else dump(record, orjson.OPT_SORT_KEYS)
    return hashlib.sha256(data).hexdigest()


def dump(value: Any, option: int = 0) -> bytes:
    """`value` as JSON in UTF-8. What JSON or UTF-8 cannot hold (half surrogates, integers beyond 64 bits, texts of
    megabytes, whatever is nested deeper than any log) is made harmless."""
    try:
        return orjson.dumps(value, option=option | orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(_harmless(value, 0), option=option | orjson.OPT_NON_STR_KEYS)


def _harmless(value: Any, depth: int) -> Any:
    if isinstance(value, Activity):
        value = {name: getattr(value, name) for name in Activity.__dataclass_fields__}
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() < 64 else str(value) if value.bit_length() < 1_000 else "..."
    if isinstance(value, Mapping):
        if depth > 50:
            return "..."
        return {_harmless(str(name), 0): _harmless(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(inner, depth + 1) for inner in value] if depth <= 50 else "..."
    return value if isinstance(value, float | datetime) else str(value)

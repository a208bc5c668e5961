"""Events that lie flattened in an Azure Log Analytics table, put back into the shape that their vendor gave them.

A custom table (`..._CL`) has one column a field: the path joined with "_", and a suffix for the type: `actor_id_s`,
`securityContext_isProxy_b`, `published_t`. Lists and deep objects are JSON text. A name alone does not tell where a
path was joined ("ip_address" is one name of Slack's, "actor_id" two of Okta's), so the source says which columns are
which fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_COLUMN = re.compile(r"(.+)_([sdbtg])(?: \[UTC\])?")
_NOTHING = {"", "null", "NULL", "N/A"}


def is_flattened(record: Mapping[str, Any], *columns: str) -> bool:
    """Whether the record has one of these columns, named without their suffix: `is_flattened(r, "eventType")`."""
    return any(f"{column}_{suffix}" in record for column in columns for suffix in "sdbtg")


def columns_of(paths: Iterable[str]) -> dict[str, str]:
    """What `unflatten` needs for fields whose columns are named as Log Analytics does: column -> dotted path."""
    return {path.replace(".", "_").replace("@", "_"): path for path in paths}


def unflatten(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The object that the columns came from. `columns`: name without suffix -> dotted path; others keep their names."""
    whole: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    cells: dict[str, Any] = {}
    for name, value in record.items():
        found = _COLUMN.fullmatch(name) if isinstance(name, str) else None
        if found and found[1] in columns:
            cells[found[1]] = _value(value, found[2])
        else:
            rest[name] = value
    for column, path in columns.items():
        if cells.get(column) is not None:
            _put(whole, path.split("."), cells[column])
    return {**{name: value for name, value in rest.items() if name not in whole}, **whole}


def _put(whole: dict[str, Any], names: list[str], value: Any) -> None:
    for name in names[:-1]:
        inner = whole.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # the parent itself was a column, as JSON text: it has the field already
        whole = inner
    whole.setdefault(names[-1], value)


def _value(value: Any, suffix: str) -> Any:
    """A cell as the vendor had it. What is empty was not there."""
    if not isinstance(value, str):
        return value
    given = value.strip()
    if given in _NOTHING:
        return None
    if suffix == "b":
        return {"true": True, "false": False}.get(given.lower())
    if suffix == "d":
        return _number(given)
    if given[0] in "[{":
        return _json(given)
    return given


def _number(given: str) -> Any:
    try:
        read = float(given)
    except ValueError:
        return given
    return int(read) if read.is_integer() and abs(read) < 2**63 else read


def _json(given: str) -> Any:
    """JSON text read; text that only looks like it stays text."""
    try:
        return json.loads(given)
    except (ValueError, RecursionError):
        return given

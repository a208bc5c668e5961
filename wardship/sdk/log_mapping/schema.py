"""The JSON Schema of a mapping of a log, for editors; made from the tables that the loader checks by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wardship.sdk.log_mapping.instants import NUMBERS
from wardship.sdk.log_mapping.load import COLUMNS, EXPRESSION, OPENINGS, OURS, TOP, VERSION

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
_TEXTS: Mapping[str, Any] = {"type": "array", "items": {"type": ["string", "integer", "boolean"]}}
_SEVERAL: Mapping[str, Any] = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}


def log_mapping_schema() -> dict[str, Any]:
    """The schema, as JSON."""
    fields = {name: _column(name) for name in COLUMNS} | {
        "detail": {"type": "object", "additionalProperties": {"$ref": "#/$defs/expression"}}
    }
    parts: dict[str, Any] = {
        "wardship_log": {"const": VERSION},
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$"},
        "title": _TEXT,
        "connector": _TEXT,
        **dict.fromkeys(("files", "records", "links", "limits", "empty"), _TEXTS),
        "dates": {"$ref": "#/$defs/dates"},
        "time_zone": _TEXT,
        "read": {"type": "array", "items": {"anyOf": [_opening(kind, more) for kind, more in OPENINGS.items()]}},
        "match": {"$ref": "#/$defs/conditions"},
        "skip": {"type": "array", "items": {"$ref": "#/$defs/conditions"}},
        "authority": {"anyOf": [_TEXT, {"$ref": "#/$defs/expression"}]},
        "fields": _closed(fields),
        "events": {
            "type": "array",
            "items": _closed({**fields, "when": {"$ref": "#/$defs/conditions"}}, required=["when"]),
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Wardship mapping of a log",
        **_closed({name: parts[name] for name in TOP}, required=["wardship_log", "name", "match", "authority"]),
        "$defs": {
            "dates": {**_SEVERAL, "description": "a form such as dd/mon/yyyy:hh:mm:ss zone, or " + ", ".join(NUMBERS)},
            "condition": _closed(
                {"field": _SEVERAL, "in": _TEXTS, "not_in": _TEXTS, "empty": {"type": "boolean"}}, required=["field"]
            ),
            "conditions": {
                "anyOf": [
                    {"$ref": "#/$defs/condition"},
                    {"type": "array", "items": {"$ref": "#/$defs/condition"}},
                ]
            },
            "expression": {
                "anyOf": [_TEXT, {"type": ["boolean", "integer"]}, _expression({"type": ["string", "boolean"]})]
            },
        },
    }


def _column(name: str) -> dict[str, Any]:
    words = OURS.get(name)
    if words is None:
        return {"$ref": "#/$defs/expression"}
    return _expression({"enum": [str(word) for word in words]})


def _expression(word: Mapping[str, Any]) -> dict[str, Any]:
    """`word`: what a constant or a table of values may give."""
    shapes: dict[str, Any] = {
        "field": _TEXT,
        "first": {"type": "array", "items": _TEXT, "minItems": 1},
        "value": word,
        "template": _SEVERAL,
        "part": _SEVERAL,
        "values": {"type": "object", "additionalProperties": word},
        "empty": _TEXTS,
        "dates": {"$ref": "#/$defs/dates"},
        "time_zone": _TEXT,
        **{flag: {"type": "boolean"} for flag in ("lower", "arrival", "plain")},
    }
    return _closed({name: shapes[name] for name in EXPRESSION})


def _opening(kind: str, more: Sequence[str]) -> dict[str, Any]:
    shapes: Mapping[str, Any] = {
        "under": _TEXT,
        "patterns": {"type": "array", "items": _TEXT, "minItems": 1},
        "names": _TEXTS,
        "between": {"type": "string", "minLength": 1},
        "equals": {"type": "string", "minLength": 1},
    }
    return _closed({kind: _SEVERAL, **{name: shapes[name] for name in more}}, required=[kind])


def _closed(properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties), **more}

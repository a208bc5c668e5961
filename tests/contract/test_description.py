"""The strict reading of the descriptions: all load, and closing objects refuses few of the vendors' own examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.contract.description import Operation
from tests.contract.fixtures import description

# Of the vendors' own JSON examples of answers; it may only rise. What fails are examples that break their own schema.
VALID_EXAMPLES_FLOOR = 0.90


def examples(operation: Operation) -> Iterator[tuple[int, Any]]:
    for status, raw in operation.raw.get("responses", {}).items():
        if not status.isdecimal():
            continue
        for kind, media in (operation.description.deref(raw).get("content") or {}).items():
            if "json" not in kind:
                continue
            given = [media["example"]] if "example" in media else []
            given += [operation.description.deref(each).get("value") for each in media.get("examples", {}).values()]
            yield from ((int(status), _unwrapped(value)) for value in given if value is not None)


def _unwrapped(value: Any) -> Any:
    """Some vendors write their examples as JSON text."""
    return json.loads(value) if isinstance(value, str) and value.startswith(("{", "[")) and _is_json(value) else value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_closing_the_objects_refuses_hardly_any_example_of_the_vendors_own(shared: Path) -> None:
    good, bad, operations = 0, [], 0
    for path in sorted((shared / "contracts").glob("*.json")):
        of = description(path.stem)
        for operation in of.operations:
            operations += 1
            for status, value in examples(operation):
                schema = operation.response_schema(status)
                wrong = [] if schema is None else operation.errors(("answer", status), schema, value)
                good += not wrong
                if wrong:
                    bad.append(f"{of.name} {operation} {status}: {wrong[0]}")
    print(f"{operations} operations; {good} of {good + len(bad)} examples fit\n" + "\n".join(bad))
    assert operations == 917
    assert good >= VALID_EXAMPLES_FLOOR * (good + len(bad))


def test_every_operation_is_found_by_its_own_path(shared: Path) -> None:
    lost = []
    for path in sorted((shared / "contracts").glob("*.json")):
        of = description(path.stem)
        for operation in of.operations:
            concrete = operation.path
            for name in operation.names:
                concrete = concrete.replace("{" + name + "}", "x1")
            found, _ = of.find(operation.method, of.base + concrete)
            if found is None or (found is not operation and found.pattern.pattern != operation.pattern.pattern):
                lost.append(f"{of.name} {operation}: found {found}")
    assert lost == []


def test_a_part_of_allof_stays_open_and_the_whole_is_closed(shared: Path) -> None:
    of = description("github")
    schema = {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}},
            {"type": "object", "properties": {"b": {"type": "string"}}},
        ]
    }
    validator = of.validator(schema, closed=True, writing=False)
    assert validator.is_valid({"a": 1, "b": "x"})
    assert not validator.is_valid({"a": 1, "c": "x"})


def test_alternatives_that_fit_decide_what_may_be_read(shared: Path) -> None:
    of = description("github")
    user = {"type": "object", "required": ["login"], "properties": {"login": {"type": "string"}}}
    team = {"type": "object", "required": ["slug"], "properties": {"slug": {"type": "string"}}}
    assert set(of.fields([{"oneOf": [user, team]}], {"login": "a"}) or {}) == {"login"}
    assert set(of.fields([{"oneOf": [user, team]}], {}) or {}) == {"login", "slug"}  # none fits: all may
    assert of.fields([{"type": "object", "additionalProperties": True}], {}) is None

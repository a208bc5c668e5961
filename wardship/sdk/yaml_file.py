"""YAML from people we do not know, read safely, with the line of every value for the error messages.

Plain data only: no tags, no anchors (an alias bomb needs one), no key twice, bounded in size and depth.
Used by rules and by the policy file; what the values mean is theirs to check.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wardship.model.errors import ConfigError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlFile:
    """The data of one file. `lines` gives the line (from 1) of a place: ("fires", 0, "why") -> 41."""

    name: str
    data: Any
    lines: Mapping[tuple[str | int, ...], int]

    def line(self, place: Sequence[str | int]) -> int:
        """The line of `place`, or of the nearest thing around it."""
        known = tuple(place)
        while known and known not in self.lines:
            known = known[:-1]
        return self.lines.get(known, 1)

    def error(self, place: Sequence[str | int], message: str, advice: str = "") -> ConfigError:
        """A ConfigError that says where: file, line and field."""
        where = ".".join(str(part) for part in place) or "file"
        return ConfigError(f"{self.name}, line {self.line(place)}, {where}: {message}", advice=advice)


def read_yaml_file(path: Path) -> YamlFile:
    """Reads one file. Raises ConfigError naming file and line."""
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{path.name}: larger than {MAX_BYTES} bytes", advice="split it")
    try:
        return read_yaml(path.read_text(encoding="utf-8"), path.name)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name}: byte {error.start} is not UTF-8", advice="save the file as UTF-8") from None


def read_yaml(text: str, name: str) -> YamlFile:
    """Reads YAML text. Raises ConfigError naming `name` and the line."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ConfigError(f"{name}: larger than {MAX_BYTES} bytes", advice="split it")
    try:
        _refuse_dangers(text, name)
        root = yaml.compose(text, Loader=_Loader)
        lines: dict[tuple[str | int, ...], int] = {}
        data = None if root is None else _build(root, (), lines, name)
    except (yaml.YAMLError, ValueError, UnicodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{name}{line}: not readable as YAML: {problem}", advice="check the indentation") from None
    return YamlFile(name=name, data=data, lines=lines)


def _refuse_dangers(text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError(f"{name}, line {line}: anchors and aliases are not allowed", advice="write it out")
        if getattr(event, "tag", None):
            raise ConfigError(f"{name}, line {line}: tags are not allowed", advice="write plain values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError(f"{name}, line {line}: nested deeper than {MAX_DEPTH}", advice="flatten it")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _build(node: Any, place: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], name: str) -> Any:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*place, index), lines, name) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{name}, line {line}: a key must be a word", advice="quote it")
            if key in found:
                raise ConfigError(f"{name}, line {line}: {key[:80]!r} is there twice", advice="remove one of them")
            found[key] = _build(value_node, (*place, key), lines, name)
            lines[*place, key] = line
        return found
    return yaml.SafeLoader("").construct_object(node)

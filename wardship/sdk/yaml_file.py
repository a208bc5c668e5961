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
from wardship.sdk.i18n import _

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
        return ConfigError(
            _("%(file)s, line %(line)d, %(where)s: %(what)s")
            % {"file": self.name, "line": self.line(place), "where": where, "what": message},
            advice=advice,
        )


def read_yaml_file(path: Path) -> YamlFile:
    """Reads one file. Raises ConfigError naming file and line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _too_large(path.name)
        return read_yaml(path.read_text(encoding="utf-8"), path.name)
    except OSError as error:
        raise ConfigError(
            _("%(path)s cannot be read: %(reason)s") % {"path": path, "reason": error.strerror},
            advice=_("correct the path, or the rights of the file"),
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            _("%(file)s: byte %(n)d is not UTF-8") % {"file": path.name, "n": error.start},
            advice=_("save the file as UTF-8"),
        ) from None


def read_yaml(text: str, name: str) -> YamlFile:
    """Reads YAML text. Raises ConfigError naming `name` and the line."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _too_large(name)
    try:
        _refuse_dangers(text, name)
        root = yaml.compose(text, Loader=_Loader)
        lines: dict[tuple[str | int, ...], int] = {}
        data = None if root is None else _build(root, (), lines, name)
    except (yaml.YAMLError, ValueError, UnicodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        message = _("not readable as YAML: %(problem)s") % {"problem": problem}
        raise _at(name, mark.line + 1 if mark else 1, message, _("check the indentation")) from None
    return YamlFile(name=name, data=data, lines=lines)


def _too_large(name: str) -> ConfigError:
    return ConfigError(_("%(file)s: larger than %(n)d bytes") % {"file": name, "n": MAX_BYTES}, advice=_("split it"))


def _at(name: str, line: int, message: str, advice: str) -> ConfigError:
    return ConfigError(
        _("%(file)s, line %(line)d: %(what)s") % {"file": name, "line": line, "what": message}, advice=advice
    )


def _refuse_dangers(text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _at(name, line, _("anchors and aliases are not allowed"), _("write it out"))
        if getattr(event, "tag", None):
            raise _at(name, line, _("tags are not allowed"), _("write plain values"))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _at(name, line, _("nested deeper than %(n)d") % {"n": MAX_DEPTH}, _("flatten it"))
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
                raise _at(name, line, _("a key must be a word"), _("quote it"))
            if key in found:
                raise _at(name, line, _("%(key)s is there twice") % {"key": repr(key[:80])}, _("remove one of them"))
            found[key] = _build(value_node, (*place, key), lines, name)
            lines[*place, key] = line
        return found
    return yaml.SafeLoader("").construct_object(node)

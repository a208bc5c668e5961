"""A mapping file: in YAML, what the columns of somebody else's file mean (docs/mapping.md, ADR 0023).

Everything is checked when it is loaded, and every error says file, line, field and the next step. The same tables make
the JSON Schema that editors use.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardship.connectors.file.dates import NAMED_FORMS, DateForm, date_form, time_zone
from wardship.connectors.file.formats.row import Format, SourceOptions
from wardship.connectors.file.formats.sql import check_query
from wardship.connectors.file.sections import SECTIONS, Section
from wardship.connectors.file.sections import Field as FieldForm
from wardship.connectors.file.values import Expression, fold, looks_secret
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _
from wardship.sdk.yaml_file import YamlFile, read_yaml_file

VERSION = 1
SHIPPED = Path(__file__).parents[2] / "data" / "mappings"
Place = tuple[str | int, ...]
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TOP = ("wardship_mapping", "title", "name", "source", "system", "complete", "as_of", *SECTIONS)
_SOURCE = (
    "format", "encoding", "delimiter", "quote", "header", "columns", "sheet", "records", "query", "timeout_s", "dates",
    "time_zone", "empty",
)  # fmt: skip
_SYSTEM = ("authority", "kind", "name", "environment", "parent")
_EXPRESSION = (
    "column", "first", "value", "template", "values", "split", "lower", "trim", "empty", "never", "dates", "time_zone",
    "authority", "plain",
)  # fmt: skip
_CONDITION = ("column", "in", "not_in", "empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Whether a row has this kind of record. `words` folded; `empty` instead of them asks for an empty cell or not."""

    column: str
    words: frozenset[str] = frozenset()
    negated: bool = False
    empty: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One kind of record that each row may give."""

    section: str
    fields: Mapping[str, Expression]
    attributes: Mapping[str, Expression] = field(default_factory=dict)
    aliases: tuple[Expression, ...] = ()
    when: tuple[Condition, ...] = ()

    def expressions(self) -> Iterator[tuple[str, Expression]]:
        """Every expression with the field that it is for."""
        yield from self.fields.items()
        yield from ((f"attributes.{name}", one) for name, one in self.attributes.items())
        yield from (("aliases", one) for one in self.aliases)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMapping:
    """A loaded mapping. `complete`: a file is all that the system has, so that absence counts."""

    name: str
    title: str
    source: SourceOptions
    authority: str
    kind: str
    system_name: str | None = None
    environment: str | None = None
    parent: str | None = None
    complete: bool = False
    as_of_name: DateForm | None = None  # the date that a file's name holds
    as_of_column: Expression | None = None  # the column that holds it, read in the first row
    entries: tuple[Entry, ...]

    @property
    def secret_columns(self) -> frozenset[str]:
        """Columns of which only a fingerprint is kept."""
        return frozenset(
            name for entry in self.entries if "secret" in entry.fields for name in entry.fields["secret"].names
        )

    @property
    def columns(self) -> frozenset[str]:
        """Every column that is read as text."""
        named = {
            name
            for entry in self.entries
            for which, expression in entry.expressions()
            if which != "secret"
            for name in expression.names
        }
        return frozenset(named | {condition.column for entry in self.entries for condition in entry.when})


def shipped() -> list[Path]:
    """The mappings that come with Wardship."""
    return sorted(SHIPPED.glob("*.yaml"))


def find_mapping(name: str) -> Path:
    """The mapping file called so: a path, or the name of a shipped one. Raises ConfigError."""
    path = Path(name)
    if path.is_file():
        return path
    for own in shipped():
        if own.stem == name:
            return own
    raise ConfigError(
        _("there is no mapping %(name)s") % {"name": name},
        advice=_("make one with `wardship mapping new FILE`, or see `wardship mapping list`"),
    )


def load_mapping(path: Path) -> FileMapping:
    """Reads and checks a mapping. Raises ConfigError that names file, line and field."""
    return _Loader(read_yaml_file(path)).mapping()


class _Loader:
    """Checks one file from top to bottom; every method takes the place it looks at, for the error."""

    def __init__(self, told: YamlFile) -> None:
        self._told = told
        self._forms: tuple[DateForm, ...] = ()
        self._zone = None if told.data is None else time_zone("UTC")
        self._empty: frozenset[str] = frozenset()

    def mapping(self) -> FileMapping:
        data = self._told.data
        if not isinstance(data, dict):
            raise self._told.error((), _("a mapping begins with wardship_mapping: 1"), _("see docs/mapping.md"))
        self._known((), data, _TOP)
        if data.get("wardship_mapping") != VERSION:
            raise self._told.error(
                ("wardship_mapping",), _("this version reads mappings of version 1"), _("write wardship_mapping: 1")
            )
        name = self._text(("name",), data.get("name"))
        if not _NAME.fullmatch(name):
            raise self._told.error(
                ("name",), _("no name for a mapping"), _("use small letters, digits, dots and hyphens, at most 63")
            )
        source = self._source(data.get("source"))
        system = self._system(data.get("system"))
        entries = tuple(entry for section in SECTIONS for entry in self._entries(section, data.get(section)))
        if not entries:
            raise self._told.error(
                (),
                _("it makes nothing of a row"),
                _("add at least one of: %(names)s") % {"names": ", ".join(SECTIONS)},
            )
        as_of_name, as_of_column = self._as_of(data.get("as_of"))
        return FileMapping(
            name=name,
            title=self._optional(("title",), data.get("title")) or name,
            source=source,
            authority=system["authority"],
            kind=system.get("kind", "file_source"),
            system_name=system.get("name"),
            environment=system.get("environment"),
            parent=system.get("parent"),
            complete=self._flag(("complete",), data.get("complete", False)),
            as_of_name=as_of_name,
            as_of_column=as_of_column,
            entries=entries,
        )

    # -------------------------------------------------------------- source and system

    def _source(self, data: Any) -> SourceOptions:
        place: Place = ("source",)
        data = self._map(place, data)
        self._known(place, data, _SOURCE)
        form = self._one_of((*place, "format"), data.get("format"), [one.value for one in Format])
        self._forms = self._dates((*place, "dates"), data.get("dates"))
        self._zone = self._time_zone((*place, "time_zone"), data.get("time_zone", "UTC"))
        self._empty = self._folded((*place, "empty"), data.get("empty", []))
        options = SourceOptions(
            format=Format(form),
            encoding=self._encoding((*place, "encoding"), data.get("encoding")),
            delimiter=self._character((*place, "delimiter"), data.get("delimiter")),
            quote=self._character((*place, "quote"), data.get("quote")) or '"',
            header=self._number((*place, "header"), data.get("header", 1), 1, 1000),
            columns=tuple(self._texts((*place, "columns"), data.get("columns", []))),
            sheet=self._optional((*place, "sheet"), data.get("sheet")),
            records=tuple(
                key for key in (self._optional((*place, "records"), data.get("records")) or "").split(".") if key
            ),
            query=self._optional((*place, "query"), data.get("query")),
            timeout_s=self._number((*place, "timeout_s"), data.get("timeout_s", 60), 1, 3600),
        )
        if options.format in (Format.SQLITE, Format.POSTGRESQL):
            wrong = check_query(options.query or "", "sqlite" if options.format is Format.SQLITE else "postgres")
            if wrong:
                raise self._told.error((*place, "query"), wrong, _("write one SELECT that names the columns"))
        elif options.query is not None:
            raise self._told.error((*place, "query"), _("only for the formats sqlite and postgresql"), _("take it out"))
        return options

    def _system(self, data: Any) -> dict[str, str]:
        place: Place = ("system",)
        data = self._map(place, data)
        self._known(place, data, _SYSTEM)
        system = {key: self._text((*place, key), value) for key, value in data.items()}
        authority = system.get("authority", "")
        if ":" not in authority.strip(":"):
            raise self._told.error(
                (*place, "authority"),
                _("the authority is who issued the ids, as kind:name"),
                _('for example "cmdb:legacy" or "gateway:api.acme.example"'),
            )
        return system

    def _as_of(self, data: Any) -> tuple[DateForm | None, Expression | None]:
        if data is None:
            return None, None
        place: Place = ("as_of",)
        data = self._map(place, data)
        self._known(place, data, ("file_name", "column", "dates", "time_zone"))
        if "file_name" in data:
            form = date_form(self._text((*place, "file_name"), data["file_name"]))
            if form is None or form.pattern is None:
                raise self._told.error(
                    (*place, "file_name"), _("no form of a date"), _('for example "yyyy-mm-dd" or "yyyymmdd"')
                )
            return form, None
        return None, self._expression(place, data, FieldForm("instant"))

    # -------------------------------------------------------------- entries

    def _entries(self, section: str, data: Any) -> Iterator[Entry]:
        if data is None:
            return
        if not isinstance(data, list):
            raise self._told.error((section,), _("a list is expected"), _("begin each entry with a hyphen"))
        for number, one in enumerate(data):
            yield self._entry(section, SECTIONS[section], (section, number), one)

    def _entry(self, section: str, shape: Section, place: Place, data: Any) -> Entry:
        data = self._map(place, data)
        more = (*(["attributes"] if shape.attributes else []), *(["aliases"] if shape.aliases else []))
        self._known(place, data, (*shape.fields, "when", *more))
        for group in shape.needs:
            if not any(name in data for name in group):
                raise self._told.error(
                    place, _("%(names)s is missing") % {"names": " / ".join(group)}, _("say which column holds it")
                )
        fields = {
            name: self._expression((*place, name), data[name], form)
            for name, form in shape.fields.items()
            if name in data
        }
        attributes = {
            name: self._expression((*place, "attributes", name), one, FieldForm("free"))
            for name, one in self._map((*place, "attributes"), data.get("attributes", {})).items()
        }
        aliases = data.get("aliases", [])
        if not isinstance(aliases, list):
            raise self._told.error((*place, "aliases"), _("a list is expected"), _("begin each entry with a hyphen"))
        return Entry(
            section=section,
            fields=fields,
            attributes=attributes,
            aliases=tuple(
                self._expression((*place, "aliases", number), one, FieldForm("reference"))
                for number, one in enumerate(aliases)
            ),
            when=tuple(self._conditions((*place, "when"), data.get("when", []))),
        )

    def _conditions(self, place: Place, data: Any) -> Iterator[Condition]:
        several = isinstance(data, list)
        for number, one in enumerate(data if several else [data]):
            at = (*place, number) if several else place
            told = self._map(at, one)
            self._known(at, told, _CONDITION)
            asked = [key for key in ("in", "not_in", "empty") if key in told]
            if len(asked) != 1:
                raise self._told.error(at, _("one of in, not_in and empty is expected"), _("see docs/mapping.md"))
            column = self._text((*at, "column"), told.get("column"))
            if asked == ["empty"]:
                yield Condition(column=column, empty=self._flag((*at, "empty"), told["empty"]))
            else:
                words = self._folded((*at, asked[0]), told[asked[0]])
                yield Condition(column=column, words=words, negated=asked == ["not_in"])

    def _expression(self, place: Place, data: Any, form: FieldForm) -> Expression:
        if isinstance(data, str):
            data = {"column": data}
        elif isinstance(data, bool | int | float):
            data = {"value": data}
        data = self._map(place, data)
        self._known(place, data, ("column", *_EXPRESSION) if place != ("as_of",) else ("column", "dates", "time_zone"))
        sources = [key for key in ("column", "first", "value", "template") if key in data]
        if len(sources) != 1:
            raise self._told.error(
                place, _("one of column, first, value and template is expected"), _("see docs/mapping.md")
            )
        columns = (
            (self._text((*place, "column"), data["column"]),)
            if "column" in data
            else tuple(self._texts((*place, "first"), data.get("first", [])))
        )
        expression = Expression(
            columns=columns,
            constant=self._scalar((*place, "value"), data["value"]) if "value" in data else None,
            template=self._text((*place, "template"), data["template"]) if "template" in data else None,
            table=self._table((*place, "values"), data["values"]) if "values" in data else None,
            split=self._text((*place, "split"), data["split"]) if "split" in data else None,
            lower=self._flag((*place, "lower"), data.get("lower", False)),
            trim=self._flag((*place, "trim"), data.get("trim", True)),
            empty=self._empty | self._folded((*place, "empty"), data.get("empty", [])),
            never=self._folded((*place, "never"), data.get("never", [])),
            dates=self._dates((*place, "dates"), data["dates"]) if "dates" in data else self._forms,
            zone=self._time_zone((*place, "time_zone"), data["time_zone"]) if "time_zone" in data else self._zone,
            authority=self._text((*place, "authority"), data["authority"]) if "authority" in data else None,
        )
        self._fits(place, data, expression, form)
        return expression

    def _fits(self, place: Place, data: Mapping[str, Any], expression: Expression, form: FieldForm) -> None:
        """Raises for what can only be a mistake: words that are none, secrets read as text."""
        if form.words is not None:
            allowed = [str(word) for word in form.words]
            results = [expression.constant] if expression.constant is not None else []
            results += list((expression.table or {}).values())
            for result in results:
                if fold(result).replace(" ", "_") not in allowed:
                    raise self._told.error(
                        place,
                        _("%(value)s is none of its words") % {"value": repr(result[:80])},
                        _("its words: %(names)s") % {"names": ", ".join(allowed)},
                    )
        if form.form == "secret":
            if not expression.columns:
                raise self._told.error(place, _("a secret is in a column, never in a mapping"), _("name the column"))
            return
        if not self._flag((*place, "plain"), data.get("plain", False)):
            for name in expression.names:
                if looks_secret(name):
                    raise self._told.error(
                        place,
                        _("column %(name)s looks like a secret") % {"name": repr(name[:80])},
                        _("map it as `secret` of a credential; if it holds none, add plain: true"),
                    )

    # -------------------------------------------------------------- small values

    def _known(self, place: Place, data: Mapping[str, Any], names: Sequence[str]) -> None:
        for name in data:
            if name not in names:
                raise self._told.error(
                    (*place, name), _("no such field"), _("fields: %(names)s") % {"names": ", ".join(names)}
                )

    def _map(self, place: Place, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise self._told.error(place, _("a mapping of fields is expected"), _("see docs/mapping.md"))
        return data

    def _text(self, place: Place, data: Any) -> str:
        if not isinstance(data, str) or not data or len(data) > 10_000:
            raise self._told.error(place, _("a text is expected"), _("put it in quotation marks"))
        return data

    def _optional(self, place: Place, data: Any) -> str | None:
        return None if data is None else self._text(place, data)

    def _scalar(self, place: Place, data: Any) -> str:
        if isinstance(data, bool):
            return "true" if data else "false"
        return str(data) if isinstance(data, int | float) else self._text(place, data)

    def _texts(self, place: Place, data: Any) -> list[str]:
        if not isinstance(data, list):
            raise self._told.error(place, _("a list is expected"), _("write it as [one, two]"))
        return [self._text((*place, number), one) for number, one in enumerate(data)]

    def _folded(self, place: Place, data: Any) -> frozenset[str]:
        if not isinstance(data, list):
            raise self._told.error(place, _("a list is expected"), _("write it as [one, two]"))
        return frozenset(
            "" if one in (None, "") else fold(self._scalar((*place, number), one)) for number, one in enumerate(data)
        )

    def _flag(self, place: Place, data: Any) -> bool:
        if not isinstance(data, bool):
            raise self._told.error(place, _("true or false is expected"), _("write true or false"))
        return data

    def _number(self, place: Place, data: Any, least: int, most: int) -> int:
        if not isinstance(data, int) or isinstance(data, bool) or not least <= data <= most:
            raise self._told.error(
                place,
                _("a number is expected"),
                _("give a number from %(least)d to %(most)d") % {"least": least, "most": most},
            )
        return data

    def _one_of(self, place: Place, data: Any, names: Sequence[str]) -> str:
        if data not in names:
            raise self._told.error(
                place,
                _("%(value)s does not fit") % {"value": repr(data)[:80]},
                _("one of: %(names)s") % {"names": ", ".join(names)},
            )
        return str(data)

    def _character(self, place: Place, data: Any) -> str | None:
        if data is None:
            return None
        if not isinstance(data, str) or len(data) != 1 or data in "\r\n":
            raise self._told.error(place, _("one character is expected"), _('for example ";"'))
        return data

    def _encoding(self, place: Place, data: Any) -> str | None:
        if data in (None, "auto"):
            return None
        try:
            codecs.lookup(self._text(place, data)).incrementaldecoder(errors="strict")
            "".encode(data).decode(data)  # one from text to text is none
        except (LookupError, TypeError, ValueError, AttributeError):
            raise self._told.error(
                place, _("no such encoding"), _("for example utf-8, utf-16, cp1252 or latin-1")
            ) from None
        return str(data)

    def _dates(self, place: Place, data: Any) -> tuple[DateForm, ...]:
        if data is None:
            return ()
        forms = []
        for number, text in enumerate(self._texts(place, [data] if isinstance(data, str) else data)):
            form = date_form(text)
            if form is None:
                raise self._told.error(
                    (*place, number) if isinstance(data, list) else place,
                    _("%(value)s is no form of a date") % {"value": repr(text[:80])},
                    _('for example "dd/mm/yyyy" or "dd/mm/yyyy hh:mm:ss"; or one of: %(names)s')
                    % {"names": ", ".join(NAMED_FORMS)},
                )
            forms.append(form)
        return tuple(forms)

    def _time_zone(self, place: Place, data: Any) -> Any:
        zone = time_zone(self._text(place, data))
        if zone is None:
            raise self._told.error(
                place, _("this machine knows no such time zone"), _('for example "Europe/Madrid" or "UTC"')
            )
        return zone

    def _table(self, place: Place, data: Any) -> dict[str, str]:
        return {fold(name): self._scalar((*place, name), one) for name, one in self._map(place, data).items()}


# ------------------------------------------------------------------ the schema


def mapping_schema() -> dict[str, Any]:
    """JSON Schema of a mapping file."""
    text = {"type": "string", "minLength": 1}
    texts = {"type": "array", "items": text}
    dates = {"oneOf": [text, texts]}
    scalar = {"type": ["string", "number", "boolean"]}
    words = {"type": "array", "items": {"type": ["string", "number", "boolean", "null"]}}
    flag = {"type": "boolean"}
    condition = _closed(
        {"column": text, "in": words, "not_in": words, "empty": flag},
        required=["column"],
        oneOf=[{"required": [name]} for name in ("in", "not_in", "empty")],
    )
    expression = _closed(
        {
            "column": text, "first": texts, "value": scalar, "template": text,
            "values": {"type": "object", "additionalProperties": scalar}, "split": text, "lower": flag, "trim": flag,
            "empty": words, "never": words, "dates": dates, "time_zone": text, "authority": text, "plain": flag,
        },
        oneOf=[{"required": [name]} for name in ("column", "first", "value", "template")],
    )  # fmt: skip
    one_character = {"type": "string", "minLength": 1, "maxLength": 1}
    source = _closed(
        {
            "format": {"enum": [one.value for one in Format]}, "encoding": text, "delimiter": one_character,
            "quote": one_character, "header": _up_to(1000), "columns": texts, "sheet": text, "records": text,
            "query": text, "timeout_s": _up_to(3600), "dates": dates, "time_zone": text, "empty": words,
        },
        required=["format"],
    )  # fmt: skip
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Wardship mapping of a file",
        **_closed(
            {
                "wardship_mapping": {"const": VERSION},
                "name": {"type": "string", "pattern": f"^{_NAME.pattern}$"},
                "title": text,
                "source": source,
                "system": _closed(dict.fromkeys(_SYSTEM, text), required=["authority"]),
                "complete": flag,
                "as_of": _closed({"file_name": text, "column": text, "dates": dates, "time_zone": text})
                | {"type": ["object", "null"]},
                **{
                    name: {"type": ["array", "null"], "items": _entry_schema(shape)} for name, shape in SECTIONS.items()
                },
            },
            required=["wardship_mapping", "name", "source", "system"],
        ),
        "$defs": {
            "expression": {"oneOf": [scalar, expression]},
            "when": {"oneOf": [condition, {"type": "array", "items": condition}]},
        },
    }


def _entry_schema(shape: Section) -> dict[str, Any]:
    expression = {"$ref": "#/$defs/expression"}
    properties: dict[str, Any] = {name: dict(expression) for name in shape.fields}
    for name, form in shape.fields.items():
        if form.words is not None:
            properties[name]["description"] = "one of: " + ", ".join(str(word) for word in form.words)
    properties["when"] = {"$ref": "#/$defs/when"}
    if shape.attributes:
        properties["attributes"] = {"type": "object", "additionalProperties": expression}
    if shape.aliases:
        properties["aliases"] = {"type": "array", "items": expression}
    return _closed(properties, allOf=[{"anyOf": [{"required": [name]} for name in group]} for group in shape.needs])


def _up_to(most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": most}


def _closed(properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties), **more}

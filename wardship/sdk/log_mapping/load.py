"""Reads a mapping of a log, checks all of it, and says file, line, field and next step of every error."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wardship.model.access import CredentialType
from wardship.model.activity import ActorKind, Outcome
from wardship.sdk.connector import BlindSpot, Evidence
from wardship.sdk.i18n import _
from wardship.sdk.log_mapping.expressions import Condition, Expression, Fields, Words
from wardship.sdk.log_mapping.instants import Form, form_of
from wardship.sdk.log_mapping.lines import LinePattern
from wardship.sdk.log_mapping.log import CLASSES, FLAGS, TEXTS, MappedLog, Opening, line_patterns
from wardship.sdk.log_mapping.paths import FieldPath, field_path
from wardship.sdk.redact import is_secret_name
from wardship.sdk.source import SourceManifest
from wardship.sdk.yaml_file import YamlFile, read_yaml_file

VERSION = 1
Place = tuple[str | int, ...]
TOP = (
    "wardship_log", "name", "title", "connector", "files", "records", "links", "limits", "dates", "time_zone", "empty",
    "read", "match", "skip", "authority", "fields", "events",
)  # fmt: skip
OURS: Mapping[str, Sequence[str]] = {  # columns whose words are ours
    "class": tuple(CLASSES),
    "actor_kind": tuple(ActorKind),
    "outcome": tuple(Outcome),
    "credential_type": tuple(CredentialType),
}
COLUMNS = ("time", *TEXTS, *FLAGS, *OURS, "actor_authority")
EXPRESSION = (
    "field", "first", "value", "template", "part", "values", "lower", "empty", "dates", "time_zone", "arrival", "plain",
)  # fmt: skip
OPENINGS: Mapping[str, Sequence[str]] = {  # each with the keys it may have
    "json": ("under",),
    "lift": (),
    "line": ("patterns", "under"),
    "words": ("names", "under"),
    "csv": ("names", "between", "under"),
    "pairs": ("between", "equals", "under"),
    "cef": (),
    "leef": (),
}
_NAME = frozenset(string.ascii_lowercase + string.digits + "._-")


def load_log(path: Path) -> MappedLog:
    """The declared log of the file. Raises ConfigError that names file, line and field."""
    return _Loader(read_yaml_file(path)).log()


class _Loader:
    """Checks one file from top to bottom; every method takes the place it looks at, for the error."""

    def __init__(self, told: YamlFile) -> None:
        self._told = told
        self._forms: tuple[Form, ...] = ()
        self._zone: tzinfo | None = None
        self._empty: frozenset[str] = frozenset()

    def log(self) -> MappedLog:
        data = self._told.data
        if not isinstance(data, dict):
            raise self._told.error((), _("a mapping of a log begins with wardship_log: 1"), _see())
        self._known((), data, TOP)
        if data.get("wardship_log") != VERSION:
            raise self._told.error(
                ("wardship_log",), _("this version reads mappings of version 1"), _("write wardship_log: 1")
            )
        name = self._text(("name",), data.get("name"))
        if not set(name) <= _NAME or not name[0].isalnum() or len(name) > 63:
            raise self._told.error(
                ("name",), _("no name for a mapping"), _("use small letters, digits, dots and hyphens, at most 63")
            )
        self._forms = self._dates(("dates",), data.get("dates", []))
        self._zone = self._time_zone(("time_zone",), data["time_zone"]) if "time_zone" in data else None
        self._empty = self._folded(("empty",), data.get("empty", []))
        common = self._fields(("fields",), data.get("fields", {}))
        events = tuple(self._events(data.get("events", []), common))
        for place, one in [((), common)] if not events else [(("events", n), e) for n, e in enumerate(events)]:
            self._complete(place, one)
        match = tuple(self._conditions(("match",), data.get("match", [])))
        if not match:
            raise self._told.error(
                ("match",), _("nothing says how a record is recognised"), _("name a field that only this log has")
            )
        return MappedLog(
            MANIFEST=self._manifest(name, data),
            openings=tuple(self._openings(data.get("read", []))),
            match=match,
            skip=tuple(self._skips(data.get("skip", []))),
            common=common,
            events=(*events, *([common] if self._is_complete(common) else [])),
            authority=self._authority(data.get("authority")),
        )

    # -------------------------------------------------------------- the parts of a file

    def _manifest(self, name: str, data: Mapping[str, Any]) -> SourceManifest:
        limits = self._texts(("limits",), data.get("limits", []))
        return SourceManifest(
            name=name,
            title=self._text(("title",), data.get("title", name)),
            forms=tuple(self._texts(("files",), data.get("files", []))),
            records=tuple(self._texts(("records",), data.get("records", []))),
            connector=self._text(("connector",), data["connector"]) if "connector" in data else None,
            blind_spots=tuple(BlindSpot(id=f"{name}.{n}", text=text) for n, text in enumerate(limits, 1)),
            evidence=Evidence.DOCUMENTATION,
            links=tuple(self._texts(("links",), data.get("links", []))),
        )

    def _authority(self, data: Any) -> Expression:
        one = self._expression(("authority",), {"template": data} if isinstance(data, str) else data, "authority")
        start = one.templates[0][0] if one.templates else one.constant
        if not isinstance(start, str) or not start.partition(":")[0].strip() or ":" not in start:
            raise self._told.error(
                ("authority",),
                _("the authority is who issued the ids, as kind:name"),
                _('for example "zoom:{payload.account_id}", or "nginx:?" where only the importer knows'),
            )
        return one

    def _openings(self, data: Any) -> Iterator[Opening]:
        for number, one in enumerate(self._list(("read",), data)):
            place: Place = ("read", number)
            told = self._map(place, one)
            kinds = [key for key in told if key in OPENINGS]
            if len(kinds) != 1:
                raise self._told.error(
                    place, _("one of %(names)s is expected") % {"names": ", ".join(OPENINGS)}, _see()
                )
            kind = kinds[0]
            self._known(place, told, (kind, *OPENINGS[kind]))
            paths = self._paths((*place, kind), told[kind])
            under = self._text((*place, "under"), told["under"]) if "under" in told else None
            opening = Opening(kind=kind, paths=paths, under=under or (kind if kind in ("cef", "leef") else None))
            yield self._detailed(place, told, opening)

    def _detailed(self, place: Place, told: Mapping[str, Any], opening: Opening) -> Opening:
        """The opening with what its kind needs besides."""
        patterns: tuple[LinePattern, ...] = ()
        if opening.kind == "line":
            patterns = self._patterns((*place, "patterns"), told.get("patterns", []))
        names = tuple(self._texts((*place, "names"), told.get("names", [])))
        between = told.get("between", {"pairs": " ", "csv": ","}.get(opening.kind, ""))
        if (opening.kind in ("words", "csv") and not names) or (opening.kind == "line" and not patterns):
            raise self._told.error(place, _("nothing is named"), _see())
        if opening.kind in ("pairs", "csv") and not (isinstance(between, str) and between):
            raise self._told.error((*place, "between"), _("a text is expected"), _see())
        return Opening(
            kind=opening.kind,
            paths=opening.paths,
            under=opening.under,
            patterns=patterns,
            names=names,
            between=between,
            equals=self._text((*place, "equals"), told.get("equals", "=")),
        )

    def _events(self, data: Any, common: Fields) -> Iterator[Fields]:
        for number, one in enumerate(self._list(("events",), data)):
            told = self._map(("events", number), one)
            if not told.get("when"):
                raise self._told.error(
                    ("events", number), _("%(names)s is missing") % {"names": "when"}, _("say which records these are")
                )
            yield self._fields(("events", number), told).over(common)

    def _skips(self, data: Any) -> Iterator[tuple[Condition, ...]]:
        """Each of the list is enough; of a list in the list all must hold."""
        for number, one in enumerate(data if isinstance(data, list) else [data]):
            yield tuple(self._conditions(("skip", number) if isinstance(data, list) else ("skip",), one))

    def _fields(self, place: Place, data: Any) -> Fields:
        told = self._map(place, data)
        self._known(place, told, (*COLUMNS, "detail", *(("when",) if place != ("fields",) else ())))
        detail = self._map((*place, "detail"), told.get("detail", {}))
        return Fields(
            columns={name: self._expression((*place, name), told[name], name) for name in COLUMNS if name in told},
            detail={
                name: self._expression((*place, "detail", name), one, f"detail.{name}") for name, one in detail.items()
            },
            when=tuple(self._conditions((*place, "when"), told.get("when", []))),
        )

    @staticmethod
    def _is_complete(fields: Fields) -> bool:
        return {"time", "operation"} <= set(fields.columns)

    def _complete(self, place: Place, fields: Fields) -> None:
        for name in ("time", "operation"):
            if name not in fields.columns:
                raise self._told.error(
                    place or ("fields",), _("%(names)s is missing") % {"names": name}, _("say which field holds it")
                )

    def _conditions(self, place: Place, data: Any) -> Iterator[Condition]:
        several = isinstance(data, list)
        for number, one in enumerate(data if several else [data]):
            at = (*place, number) if several else place
            told = self._map(at, one)
            self._known(at, told, ("field", "in", "not_in", "empty"))
            asked = [key for key in ("in", "not_in", "empty") if key in told]
            if len(asked) != 1:
                raise self._told.error(at, _("one of in, not_in and empty is expected"), _see())
            paths = self._paths((*at, "field"), told.get("field"))
            if asked == ["empty"]:
                yield Condition(paths=paths, empty=self._flag((*at, "empty"), told["empty"]))
            else:
                listed = self._texts((*at, asked[0]), told[asked[0]])
                words = self._words((*at, asked[0]), dict.fromkeys(listed, True))
                yield Condition(paths=paths, words=words, negated=asked == ["not_in"])

    # -------------------------------------------------------------- one value

    def _expression(self, place: Place, data: Any, name: str) -> Expression:
        if isinstance(data, str):
            data = {"field": data}
        elif isinstance(data, bool | int):
            data = {"value": data}
        told = self._map(place, data)
        self._known(place, told, EXPRESSION)
        given = [key for key in ("field", "first", "value", "template") if key in told]
        if len(given) != 1 and given != ["first", "template"]:
            raise self._told.error(place, _("one of field, first, value and template is expected"), _see())
        expression = Expression(
            name=name,
            paths=self._paths((*place, given[0]), told[given[0]]) if given[0] in ("field", "first") else (),
            constant=self._constant((*place, "value"), told["value"]) if "value" in told else None,
            templates=self._templates((*place, "template"), told["template"]) if "template" in told else (),
            parts=self._patterns((*place, "part"), told["part"]) if "part" in told else (),
            words=self._words((*place, "values"), told["values"]) if "values" in told else None,
            lower=self._flag((*place, "lower"), told.get("lower", False)),
            empty=self._empty | self._folded((*place, "empty"), told.get("empty", [])),
            forms=self._dates((*place, "dates"), told["dates"]) if "dates" in told else self._forms,
            zone=self._time_zone((*place, "time_zone"), told["time_zone"]) if "time_zone" in told else self._zone,
            arrival=self._flag((*place, "arrival"), told.get("arrival", False)),
        )
        if any("value" not in one.names for one in expression.parts):
            raise self._told.error(
                (*place, "part"), _("a part names what is kept: {value}"), _('for example "{value}:{_}"')
            )
        self._no_secret(place, expression, allowed=self._flag((*place, "plain"), told.get("plain", False)))
        self._our_words(place, expression)
        return expression

    def _no_secret(self, place: Place, expression: Expression, *, allowed: bool) -> None:
        for path in expression.every_path():
            if is_secret_name(path.last_key) and not allowed:
                raise self._told.error(
                    place,
                    _("%(name)s is named like a secret, and a log keeps none") % {"name": path.text},
                    _("take it out; if it holds no secret, write plain: true beside it"),
                )

    def _our_words(self, place: Place, expression: Expression) -> None:
        """A column whose words are ours needs a constant or a table of them."""
        allowed = OURS.get(expression.name)
        if allowed is None:
            return
        if expression.words is None and expression.constant is None:
            raise self._told.error(
                place,
                _("a constant or a table of values is expected"),
                _("the words are: %(names)s") % _listed(allowed),
            )
        for one in expression.words.meanings() if expression.words else [expression.constant]:
            if one not in allowed:
                raise self._told.error(
                    place,
                    _("%(word)r is no word for it") % {"word": one},
                    _("the words are: %(names)s") % _listed(allowed),
                )

    def _templates(self, place: Place, data: Any) -> tuple[tuple[str | FieldPath, ...], ...]:
        return tuple(self._template(place, one) for one in (data if isinstance(data, list) else [data]))

    def _template(self, place: Place, data: Any) -> tuple[str | FieldPath, ...]:
        pieces: list[str | FieldPath] = []
        rest = self._text(place, data)
        while rest:
            before, opened, after = rest.partition("{")
            if before:
                pieces.append(before)
            inside, closed, rest = after.partition("}") if opened else ("", "", "")
            if opened:
                if not closed:
                    raise self._told.error(place, _("a brace is not closed"), _see())
                pieces.append(self._path(place, inside))
        return tuple(pieces)

    def _paths(self, place: Place, data: Any) -> tuple[FieldPath, ...]:
        listed = data if isinstance(data, list) else [data]
        if not listed:
            raise self._told.error(place, _("a list is expected"), _see())
        return tuple(self._path(place, one) for one in listed)

    def _path(self, place: Place, data: Any) -> FieldPath:
        found = field_path(self._text(place, data))
        if found is None:
            raise self._told.error(
                place,
                _("no path of a field: %(text)s") % {"text": str(data)[:80]},
                _('for example actor.email or ["a.b"].c'),
            )
        return found

    def _patterns(self, place: Place, data: Any) -> tuple[LinePattern, ...]:
        found = line_patterns(self._texts(place, data if isinstance(data, list) else [data]))
        if found is None:
            raise self._told.error(
                place, _("no pattern of a line"), _("name parts as {name}, each once, with text between them")
            )
        return found

    def _words(self, place: Place, data: Any) -> Words:
        exact: dict[str, str | bool] = {}
        alike: list[tuple[str, str | bool]] = []
        for key, value in self._map(place, data).items():
            meaning = self._constant((*place, key), value)
            text = str(key).lower() if isinstance(key, bool) else str(key)
            if "*" in text.strip("*"):
                raise self._told.error(
                    (*place, key), _("a star stands at the beginning or the end"), _("write two lines")
                )
            if "*" in text:
                alike.append((text.casefold(), meaning))
            else:
                exact[text.casefold()] = meaning
        return Words(exact, tuple(alike))

    # -------------------------------------------------------------- scalars

    def _known(self, place: Place, data: Mapping[Any, Any], allowed: Sequence[str]) -> None:
        for key in data:
            if key not in allowed:
                raise self._told.error(
                    (*place, key),
                    _("%(name)r is not known here") % {"name": key},
                    _("known: %(names)s") % {"names": ", ".join(allowed)},
                )

    def _map(self, place: Place, data: Any) -> dict[Any, Any]:
        if not isinstance(data, dict):
            raise self._told.error(place, _("names with values are expected"), _see())
        return data

    def _list(self, place: Place, data: Any) -> list[Any]:
        if not isinstance(data, list):
            raise self._told.error(place, _("a list is expected"), _("begin each entry with a hyphen"))
        return data

    def _text(self, place: Place, data: Any) -> str:
        if not isinstance(data, str) or not data.strip():
            raise self._told.error(place, _("a text is expected"), _see())
        return data

    def _texts(self, place: Place, data: Any) -> list[str]:
        return [
            str(one).lower()
            if isinstance(one, bool)
            else str(one)
            if isinstance(one, int)
            else self._text((*place, number), one)
            for number, one in enumerate(self._list(place, data))
        ]

    def _constant(self, place: Place, data: Any) -> str | bool:
        if isinstance(data, bool):
            return data
        if isinstance(data, int):
            return str(data)
        return self._text(place, data)

    def _folded(self, place: Place, data: Any) -> frozenset[str]:
        return frozenset(text.casefold() for text in self._texts(place, data))

    def _flag(self, place: Place, data: Any) -> bool:
        if not isinstance(data, bool):
            raise self._told.error(place, _("true or false is expected"), _see())
        return data

    def _dates(self, place: Place, data: Any) -> tuple[Form, ...]:
        forms = []
        for text in self._texts(place, data if isinstance(data, list) else [data]):
            form = form_of(text)
            if form is None:
                raise self._told.error(
                    place,
                    _("no form of a time: %(text)s") % {"text": text[:40]},
                    _('for example "dd/mon/yyyy:hh:mm:ss zone", or epoch, epoch_ms, epoch_us'),
                )
            forms.append(form)
        return tuple(forms)

    def _time_zone(self, place: Place, data: Any) -> tzinfo:
        try:
            return ZoneInfo(self._text(place, data))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise self._told.error(place, _("no time zone of that name"), _('for example "Europe/Madrid"')) from None


def _listed(words: Sequence[str]) -> dict[str, str]:
    return {"names": ", ".join(str(word) for word in words)}


def _see() -> str:
    return _("see docs/log-mapping.md")

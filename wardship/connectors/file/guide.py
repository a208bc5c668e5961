"""Looks at a file that nobody described and proposes a mapping for it, by the names and values of its columns.

A proposal is a YAML text with remarks, for a person to correct. What may be a secret is never shown: a column that is
named like one, or whose values look like some, has *** for its samples.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wardship.connectors.file.dates import date_form, instant_of
from wardship.connectors.file.formats import (
    TABULAR,
    Format,
    Row,
    SourceOptions,
    guess_format,
    is_row,
    open_rows,
)
from wardship.connectors.file.values import bare, fold, looks_secret
from wardship.model.errors import ConfigError, DataError, NotVisible
from wardship.sdk.i18n import _
from wardship.sdk.redact import MASK, redact_text

LOOK_ROWS = 500
_TITLE_LINES = 10  # at most, above a header
SAMPLES = 3
_MAX_SAMPLE_CHARS = 40
_MAX_WORDS = 12  # a column with no more different values is a list of words
_JSON_BYTES = 8 * 1024 * 1024
_LIST_KEYS = (
    "value",
    "items",
    "data",
    "results",
    "records",
    "resources",
    "users",
    "accounts",
    "apps",
    "keys",
    "robots",
)

# Names of columns in English and Spanish, without accents, most telling first.
NAMES: Mapping[str, tuple[str, ...]] = {
    "identities.id": (
        "id", "identificador", "dn", "samaccountname", "uid", "login", "username", "user name", "account", "user",
        "usuario", "cuenta", "cuenta de servicio", "service account", "account id", "user id", "client id", "app id",
        "application id", "robot id", "robot", "key id", "codigo", "code",
    ),
    "identities.name": (
        "name", "display name", "displayname", "nombre", "cn", "app name", "application", "aplicacion", "title",
        "account name", "key name", "robot name", "nombre de la cuenta",
    ),
    "identities.purpose": ("purpose", "proposito", "finalidad", "description", "descripcion", "comment", "uso"),
    "identities.subtype": ("type", "tipo", "kind", "clase", "account type", "tipo de cuenta", "category", "categoria"),
    "identities.enabled": (
        "enabled", "active", "status", "state", "estado", "activo", "activa", "habilitado", "habilitada", "situacion",
    ),
    "identities.created_at": (
        "created at", "created", "creation date", "created on", "create date", "whencreated", "fecha de alta", "alta",
        "fecha alta", "fecha de creacion", "creado", "fecha creacion", "createtimestamp",
    ),
    "identities.environment": ("environment", "env", "entorno", "ambiente"),
    "identities.criticality": ("criticality", "criticidad", "criticidad del sistema"),
    "identities.business_process": ("business process", "proceso de negocio", "process", "proceso"),
    "identities.supplier": ("supplier", "vendor", "proveedor", "publisher", "editor", "third party", "tercero"),
    "owners.claim": (
        "owner", "owner email", "propietario", "responsable", "owned by", "managedby", "manager", "contact", "contacto",
        "responsable tecnico", "technical owner", "titular", "dueno", "email", "correo", "correo del responsable",
    ),
    "usage.last_used_at": (
        "last login", "last used", "last used at", "last seen", "last logon", "last access", "last activity",
        "last run", "lastlogontimestamp", "ultimo acceso", "ultimo uso", "ultima conexion", "ultimo login",
        "fecha ultimo acceso", "ultima ejecucion",
    ),
    "grants.permission": (
        "permissions", "permission", "scopes", "scope", "roles", "role", "perfiles", "perfil", "permisos", "permiso",
        "memberof", "groups", "grupos", "privileges", "rol",
    ),
    "credentials.expires_at": (
        "expires at", "expires", "expiry", "expiration", "expiry date", "expiration date", "valid until", "caducidad",
        "fecha de caducidad", "fecha caducidad", "vence", "vencimiento",
    ),
    "credentials.last_rotated_at": (
        "last rotated", "last rotated at", "rotated at", "password last set", "pwdlastset", "pwdchangedtime",
        "last rotation", "ultima rotacion", "ultimo cambio", "cambio de contrasena", "fecha cambio contrasena",
    ),
    "credentials.secret": ("api key", "secret", "token", "key", "password", "clave", "clave api", "contrasena"),
    "dependencies.consumer": ("consumer", "used by", "consumidor", "usado por", "consumer application", "used in"),
}  # fmt: skip
# What a list is of, by words of the file's name; a word may go on ("robots").
_KINDS = (
    ("robot", "robot"), ("app", "oauth_app"), ("key", "api_client"), ("clave", "api_client"),
    ("proveedor", "supplier_account"), ("supplier", "supplier_account"), ("vendor", "supplier_account"),
)  # fmt: skip
_FORMS = (
    "dd/mm/yyyy", "dd/mm/yyyy hh:mm", "dd/mm/yyyy hh:mm:ss", "mm/dd/yyyy", "mm/dd/yyyy hh:mm", "mm/dd/yyyy hh:mm:ss",
    "dd-mm-yyyy", "dd-mm-yyyy hh:mm:ss", "dd.mm.yyyy", "dd.mm.yyyy hh:mm:ss", "yyyy/mm/dd", "yyyy/mm/dd hh:mm:ss",
    "yyyymmdd",
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_NAMED_FORMS = {
    name: re.compile(pattern, re.ASCII)
    for name, pattern in (
        ("iso", r"\d{4}-\d\d-\d\d.*"), ("generalized", r"\d{14}(?:\.\d+)?Z"),
        ("filetime", r"0|1\d{17}|9223372036854775807"), ("epoch_ms", r"1\d{12}"), ("epoch", r"1\d{9}"),
    )
}  # fmt: skip
_EMPTY = frozenset(("-", "--", "n/a", "null", "none", "#n/a", "?"))
_FLAGS = frozenset(("true", "false", "yes", "no", "si", "sí", "0", "1"))
_NEVER = frozenset(("never", "nunca", "not used", "sin uso"))
_YES = frozenset("a alta active activo activa enabled habilitado on ok vigente running".split())
_NO = frozenset(
    "b baja i inactive inactivo inactiva disabled deshabilitado off bloqueado locked revoked expired".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSeen:
    """One column of the looked-at rows. `type`: text, words, number, flag, date, empty. Samples hold no secret."""

    name: str
    type: str
    filled: int
    samples: tuple[str, ...]
    words: tuple[str, ...] = ()  # all different values, where they are few and no secrets
    date: str | None = None  # the form of its dates
    separator: str | None = None  # what its cells are split by
    never: str | None = None  # its word for "not once"
    secret: bool = False
    empties: tuple[str, ...] = ()  # its words for nothing: "-", "n/a"
    distinct: bool = False  # every row has another value


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a person says, or the proposals. `columns`: of each field the column that holds it."""

    name: str
    authority: str
    system_name: str
    environment: str | None = None
    kind: str = "unknown"
    complete: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What was seen in a file, and what is proposed."""

    path: Path
    options: SourceOptions
    rows: int
    columns: tuple[ColumnSeen, ...]
    proposed: Answers

    def text(self, answers: Answers) -> str:
        """The mapping file."""
        return "\n".join(_written(self, answers)) + "\n"


def look(path: Path) -> Draft:
    """Reads the first rows of a file. Raises ConfigError for one of an unknown kind, NotVisible for a broken one."""
    form = guess_format(path)
    if form is None or form in (Format.SQLITE, Format.POSTGRESQL):
        raise ConfigError(
            _("%(path)s: not a kind of file that can be looked at") % {"path": path.name},
            advice=_("csv, tsv, json, jsonl, yaml, xlsx or ldif; for a database see docs/mapping.md"),
        )
    options = SourceOptions(format=form)
    if form is Format.JSON:
        options = replace(options, records=_records_of(path))
    if form in TABULAR:
        options = _below_titles(path, options)
    first = list(itertools.islice(open_rows(path, options), LOOK_ROWS))
    problems = [problem for row in first if (problem := row.problem or _no_text(row)) is not None]
    if len(problems) * 2 > len(first):
        raise ConfigError(
            _("%(path)s: most of its first rows cannot be read (%(reason)s)")
            % {"path": path.name, "reason": problems[0]},
            advice=_("look at it in an editor: it must be text, or a workbook; save the list again as CSV or XLSX"),
        )
    rows = [row for row in first if row.problem is None]
    if not rows:
        raise ConfigError(
            _("%(path)s: no rows to look at") % {"path": path.name},
            advice=_("check that it has a header and rows below it"),
        )
    if form in TABULAR and is_row(rows[0].cells):
        raise ConfigError(
            _("%(path)s: its first line seems to be a row, not the names of columns") % {"path": path.name},
            advice=_("put a line with names above it, or write the mapping yourself and name its columns there"),
        )
    cells: dict[str, list[str]] = {}
    for row in rows:
        for name, value in _flat(row.cells):
            cells.setdefault(name, []).append(value)
    columns = tuple(_seen(name, values, len(rows)) for name, values in itertools.islice(cells.items(), 300))
    return Draft(path=path, options=options, rows=len(rows), columns=columns, proposed=_proposed(path, columns))


def _below_titles(path: Path, options: SourceOptions) -> SourceOptions:
    """With the header's line where a title or two stand above it, as a person's spreadsheet has them.

    A title names one column and leaves the others without a name; a header names most of its columns. So does a row:
    whether it is one is for the caller to see.
    """
    named, most = _names(path, options)
    if named > 1 and named * 2 > most:
        return options
    for line in range(2, _TITLE_LINES + 2):
        tried = replace(options, header=line)
        below, all_of_them = _names(path, tried)
        if below >= max(3, named + 1) and below * 2 > all_of_them:
            return tried
    return options


def _names(path: Path, options: SourceOptions) -> tuple[int, int]:
    """How many columns have a name of their own, and how many there are; (0, 0) without a readable row below them."""
    first = next((row for row in itertools.islice(open_rows(path, options), 5) if row.problem is None), None)
    if first is None:
        return 0, 0
    given = sum(name != f"column {place}" for place, name in enumerate(first.cells, start=1))
    return given, len(first.cells)


def _no_text(row: Row) -> str | None:
    """What shows that the row is of a picture, an archive or the like; None: nothing does."""
    texts = itertools.chain(row.cells, (value for value in row.cells.values() if isinstance(value, str)))
    return "control characters: no text" if any(map(_CONTROL.search, texts)) else None


def _flat(cells: Mapping[str, object], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    for name, value in cells.items():
        if isinstance(value, Mapping):
            if depth < 3:
                yield from _flat(value, f"{prefix}{name}.", depth + 1)
        elif isinstance(value, list):
            if value and not any(isinstance(one, Mapping | list) for one in value):
                yield f"{prefix}{name}", ",".join(str(one) for one in value[:20])
        else:
            text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            yield f"{prefix}{name}", text


def _records_of(path: Path) -> tuple[str, ...]:
    """The keys that lead to the first list of objects."""
    try:
        small = path.stat().st_size <= _JSON_BYTES
        tree: Any = json.loads(path.read_bytes()) if small else None
    except (OSError, ValueError, RecursionError):
        return ()
    if tree is None:
        for key in _LIST_KEYS:
            try:
                next(open_rows(path, SourceOptions(format=Format.JSON, records=(key,))), None)
            except NotVisible:
                continue
            return (key,)
        return ()
    todo: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    while todo:
        keys, value = todo.pop(0)
        if isinstance(value, list) and any(isinstance(one, dict) for one in value):
            return keys
        if isinstance(value, dict) and len(keys) < 3:
            todo += [((*keys, name), inner) for name, inner in list(value.items())[:100] if "." not in name]
    return ()


# ------------------------------------------------------------------ one column


def _seen(name: str, values: Sequence[str], rows: int) -> ColumnSeen:
    stated = [value.strip() for value in values if value.strip()]
    filled = [value for value in stated if fold(value) not in _EMPTY]
    distinct = list(dict.fromkeys(filled))
    never = next((value for value in distinct if fold(value) in _NEVER), None)
    named = looks_secret(name) or _named(name) in NAMES["credentials.secret"]
    date = _date_of([value for value in distinct[:200] if value != never], every=named)
    is_flag = bool(filled) and {fold(value) for value in distinct} <= _FLAGS
    about = date is not None or is_flag  # "password last set", "password expires": about a secret, not one
    secret = not about and (named or _look_secret(distinct))
    samples = tuple(MASK if secret else _shown(value) for value in distinct[:SAMPLES])
    few = len(distinct) <= _MAX_WORDS and all(len(value) <= 30 for value in distinct) and MASK not in "".join(samples)
    words = tuple(distinct) if few and not secret and len(distinct) < max(len(filled), 2) else ()
    kind = "text"
    if not filled:
        kind = "empty"
    elif date:
        kind = "date"
    elif is_flag:
        kind = "flag"
    elif all(re.fullmatch(r"-?\d{1,20}(?:[.,]\d{1,10})?", value, re.ASCII) for value in distinct[:200]):
        kind = "number"
    elif words:
        kind = "words"
    separator = next(
        (sign for sign in (";", "|", ",") if sum(sign in value for value in filled) > len(filled) // 10), None
    )
    return ColumnSeen(
        name=name, type=kind, filled=len(filled), samples=samples, words=words, date=date, separator=separator,
        never=never, secret=secret, empties=tuple(sorted({fold(value) for value in stated} & _EMPTY)),
        distinct=len(distinct) == rows,
    )  # fmt: skip


def _shown(value: str) -> str:
    masked = redact_text(value)
    return MASK if MASK in masked else masked[:_MAX_SAMPLE_CHARS]


def _look_secret(values: Sequence[str]) -> bool:
    """Whether most values look as if nobody had chosen them as names, or are masked by the redaction."""
    some = values[:50]
    odd = [value for value in some if MASK in redact_text(value) or _is_mixed(value)]
    return len(odd) * 2 > len(some)


def _is_mixed(value: str) -> bool:
    kinds = (str.isupper, str.islower, str.isdigit)
    return len(value) >= 12 and " " not in value and all(any(map(kind, value)) for kind in kinds)


def _date_of(values: Sequence[str], *, every: bool) -> str | None:
    """The form of the values: of all where `every`, else of three in four, since a list has its 31/02/2020.

    Day first where both orders fit as many, since that cannot be told apart.
    """
    fitting = {form: sum(_fits(form, value) for value in values) for form in (*_NAMED_FORMS, *_FORMS)}
    best = max(fitting, key=fitting.__getitem__)
    least = len(values) if every else len(values) * 3 / 4
    return best if fitting[best] >= max(least, 1) and any(len(value) > 1 for value in values) else None


def _fits(name: str, value: str) -> bool:
    form = date_form(name)
    pattern = _NAMED_FORMS.get(name) or (form and form.pattern)
    if form is None or not pattern or not pattern.fullmatch(value):
        return False
    try:
        return instant_of(value, (form,), None) is not None or name == "filetime"  # its 0 is no instant
    except ValueError:
        return False


# ------------------------------------------------------------------ the proposal


def _named(name: str) -> str:
    """The last part of a name as plain words: "owner.emailAddress" -> "email address"."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", bare(name).rpartition(".")[2])
    return " ".join(re.sub(r"[^a-z0-9]+", " ", apart.casefold()).split())


def _proposed(path: Path, columns: Sequence[ColumnSeen]) -> Answers:
    named = {column.name: (_named(column.name), _named(column.name.replace(".", " "))) for column in columns}
    taken: dict[str, str] = {}
    for where, names in NAMES.items():
        for name in names:
            joined = name.replace(" ", "")
            found = next(
                (
                    column.name
                    for column in columns
                    if column.name not in taken.values()
                    and (name in named[column.name] or joined in named[column.name])
                    and (where == "credentials.secret") is column.secret
                    and (column.date is not None or not where.endswith("_at") or column.type == "empty")
                ),
                None,
            )
            if found is not None:
                taken[where] = found
                break
    if "identities.id" not in taken:
        free = [one for one in columns if not one.secret and one.name not in taken.values() and one.type != "date"]
        first = next((one for one in free if one.distinct), None)
        chosen = first.name if first else taken.pop("identities.name", free[0].name if free else None)
        if chosen is None:
            raise ConfigError(
                _("%(path)s: no column can be the id") % {"path": path.name},
                advice=_("write the mapping by hand: docs/mapping.md"),
            )
        taken = {"identities.id": chosen, **taken}
    stem = re.sub(r"[^a-z0-9]+", "-", bare(path.stem).casefold()).strip("-")[:40] or "file"
    kind = next((kind for word, kind in _KINDS if re.search(rf"(?:^|-){word}", stem)), "unknown")
    return Answers(name=stem, authority=f"file:{stem}", system_name=path.stem[:80], kind=kind, columns=taken)


# ------------------------------------------------------------------ the text


def _written(draft: Draft, answers: Answers) -> Iterator[str]:
    seen = {column.name: column for column in draft.columns}
    by_field = {where: seen[name] for where, name in answers.columns.items() if name in seen}
    if "identities.id" not in by_field:
        raise DataError(_("the id needs a column"), advice=_("name a column of the file"))
    yield f"# Proposed from {draft.rows} rows of {_remark(draft.path.name)}. Try it:"
    yield f"#   wardship mapping check {answers.name}.yaml {_remark(draft.path.name)}"
    yield "wardship_mapping: 1"
    yield f"name: {_quoted(answers.name)}"
    yield "source:"
    yield f"  format: {draft.options.format.value}"
    if draft.options.header > 1:
        yield f"  header: {draft.options.header}  # the line that names the columns; what stands above it is skipped"
    if draft.options.records:
        yield f"  records: {_quoted('.'.join(draft.options.records))}"
    forms = sorted({column.date for column in by_field.values() if column.date and column.date != "iso"})
    written = [form for form in forms if form in _FORMS]
    if written:
        yield f"  dates: [{', '.join(map(_quoted, written))}]  # day or month first? A wrong order is not noticed."
        yield '  time_zone: "UTC"  # of dates without one, for example "Europe/Madrid"'
    empties = sorted({word for column in by_field.values() for word in column.empties})
    if empties:
        yield f"  empty: [{', '.join(map(_quoted, empties))}]  # cells that mean nothing"
    yield "system:"
    yield f"  authority: {_quoted(answers.authority)}  # who issued the ids"
    yield f"  name: {_quoted(answers.system_name)}"
    if answers.environment:
        yield f"  environment: {_quoted(answers.environment)}"
    yield f"complete: {'true' if answers.complete else 'false'}  # true: what the file leaves out is gone"
    yield "identities:"
    yield f"  - id: {_quoted(by_field['identities.id'].name)}"
    yield f"    kind: {{value: {answers.kind}}}"
    for where, column in by_field.items():
        section, _dot, name = where.partition(".")
        if section == "identities" and name != "id":
            yield from _field(name, column)
    yield from _others(by_field)
    rest = [column for column in draft.columns if column.name not in answers.columns.values()]
    if rest:
        yield "# Not mapped, and so never kept:"
        yield from (f"#   {_remark(column.name)}: {column.type}" for column in rest)


def _others(by_field: Mapping[str, ColumnSeen]) -> Iterator[str]:
    identity = _quoted(by_field["identities.id"].name)
    for section, needed in (("owners", "claim"), ("usage", "last_used_at"), ("grants", "permission")):
        column = by_field.get(f"{section}.{needed}")
        if column is not None:
            yield f"{section}:"
            yield f"  - identity: {identity}"
            yield from _field(needed, column)
    consumer = by_field.get("dependencies.consumer")
    if consumer is not None:
        yield "dependencies:"
        yield from _field("consumer", consumer, first=True)
        yield f"    identity: {identity}"
    own = {where.partition(".")[2]: column for where, column in by_field.items() if where.startswith("credentials.")}
    if own:
        yield "credentials:"
        yield f"  - identity: {identity}"
        yield f"    id: {identity}"
        yield "    type: {value: unknown}  # password, api_key, token, ..."
        for name, column in own.items():
            if name == "secret":
                yield "    # Only a keyed fingerprint of this column is kept, never its value."
            yield from _field(name, column)


def _field(name: str, column: ColumnSeen, *, first: bool = False) -> Iterator[str]:
    begin = "  - " if first else "    "
    parts = [f"column: {_quoted(column.name)}"]
    if name in ("permission", "consumer") and column.separator:
        parts.append(f"split: {_quoted(column.separator)}")
    if name.endswith("_at") and column.date and column.date not in (*_FORMS, "iso"):
        parts.append(f"dates: {column.date}")
    if name != "secret" and looks_secret(column.name):
        parts.append("plain: true")
    if name == "last_used_at" and column.never:
        parts.append(f"never: [{_quoted(column.never)}]")
    if name == "enabled" and column.type == "words":
        yield f"{begin}enabled:"
        yield f"      column: {_quoted(column.name)}"
        yield "      values:  # what is not named here is unknown"
        for word in column.words:
            sure = fold(word) in _YES or fold(word) in _NO
            says = "true" if fold(word) in _YES else "false"
            yield f"        {_quoted(word)}: {says}" if sure else f"        # {_remark(_quoted(word))}: true or false?"
        if not any(fold(word) in _YES | _NO for word in column.words):
            yield '        "yes": true'
        return
    yield f"{begin}{name}: {_quoted(column.name) if len(parts) == 1 else '{' + ', '.join(parts) + '}'}"


def _quoted(text: str) -> str:
    """As YAML reads it back, whatever is in it."""
    inner = "".join(char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in text)
    return f'"{inner}"'


def _remark(text: str) -> str:
    """In one line, without control characters."""
    return "".join(char if char.isprintable() else " " for char in text)[:120]

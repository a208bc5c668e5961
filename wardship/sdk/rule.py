"""The format of a finding rule, one for ours and the users': a YAML file named as the bad state that it finds.

A rule is a question to the facts (`query`) plus everything a person needs to act on the answer, plus examples that
must fire and must not. `load_rules` reads a folder; nothing is taken on trust: each error names file, line and field.

The result of `query` has `subject_uid` (what is bad: one finding each), may have `identity_uid` (whose it is),
`severity` and `confidence` (where they depend on the row; else the rule's own), and every other column is a fact that
is kept with the finding and can be named in `sentence` and `command` as %(column)s.

`docs/schema/rule.schema.json` is made from this file.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import tomllib
import urllib.parse
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, ValidationError, model_validator

from wardship.model.errors import ConfigError
from wardship.model.facts import FACTS
from wardship.model.finding import Confidence, Severity
from wardship.sdk import titles
from wardship.sdk.fact_query import FactQuery, compile_query, nearest
from wardship.sdk.i18n import N_, _
from wardship.sdk.yaml_file import YamlFile, read_yaml_file

RULE_ID = r"^[a-z][a-z0-9_]{2,63}$"
BUILT_IN = titles.RULES
RESERVED_COLUMNS = frozenset({"subject_uid", "identity_uid", "severity", "confidence"})
EXAMPLE_AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
"""The instant at which every example of every rule is judged."""
EXAMPLE_DEFAULTS: Mapping[str, Any] = {
    "presence": "present",
    "standing": "own",
    "identity_standing": "own",
    "use_state": "unknown",
    "owner_state": "none",
    "effect": "allow",
    "attributes": "{}",
}
"""What a column of an example row holds when the example does not say; other columns are NULL. `uid` is made up."""

_TOP_TEN = "owasp-nhi"
_WRONG: Mapping[str, str] = {  # what pydantic calls it: what a person reads
    "missing": N_("is missing"),
    "extra_forbidden": N_("no such field"),
    "enum": N_("must be one of %(expected)s"),
    "literal_error": N_("must be one of %(expected)s"),
    "string_type": N_("must be a text"),
    "string_too_short": N_("must be a text that says something"),
    "string_too_long": N_("must not have more than %(max_length)d characters"),
    "string_pattern_mismatch": N_("must have the form %(pattern)s"),
    "int_type": N_("must be a whole number"),
    "greater_than_equal": N_("must be at least %(ge)d"),
    "bool_type": N_("must be true or false"),
    "list_type": N_("must be a list"),
    "too_short": N_("must not be empty"),
    "dict_type": N_("must be a mapping"),
    "model_type": N_("must be a mapping"),
}
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
Text = Annotated[str, StringConstraints(min_length=1, max_length=2_000, strip_whitespace=True)]
_Model = TypeVar("_Model", bound=BaseModel)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Way(StrEnum):
    """How a step is done."""

    CLI = "cli"
    PORTAL = "portal"
    TERRAFORM = "terraform"
    DECIDE = "decide"  # a person thinks, asks or agrees


class Step(Strict):
    """One step of a person."""

    text: Text
    """What to do, as one or two sentences to the person who does it."""
    way: Annotated[Way, Field(strict=False)] = Way.DECIDE
    """How: on the command line, in the portal, in Terraform, or by thinking, asking and agreeing."""
    connector: str | None = None
    """The connector of the system it is done on ("aws", "entra", "github"); without it, the same on every system."""
    command: str | None = None
    """A command line, a Terraform block or a portal URL; %(column)s is filled in and quoted."""
    reversible: bool
    """Whether there is a way back from this step."""


class Example(Strict):
    """Rows of fact tables, and what the rule must say of them. All examples are judged as of 2026-06-01."""

    why: Text
    """What this example shows, in one sentence."""
    facts: dict[str, list[dict[str, Any]]]
    """The rows, by fact table; a column that is not given is unknown, or has the default of docs/writing-rules.md."""
    expect: list[dict[str, Any]] | None = None
    """Parts of the rows of the answer, in any order; without it, `fires` expects one row. Never beside `passes`."""


class Asking(Strict):
    """What a rule, a detection and a hunt have in common: a query that is checked when the file is loaded."""

    _query: FactQuery = PrivateAttr()
    _file: Path | None = PrivateAttr(default=None)

    def _checked(self) -> FactQuery:
        """The query, checked against the tables and parameters that such a file may ask. Raises ConfigError."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _compile(self) -> Self:
        self._query = self._checked()
        return self

    @property
    def compiled(self) -> FactQuery:
        """The checked query."""
        return self._query

    @property
    def file(self) -> Path | None:
        """The file it was loaded from."""
        return self._file


class Rule(Asking):
    """One rule. Every text is an English message id."""

    id: Annotated[str, StringConstraints(pattern=RULE_ID)]
    """Its name for ever: small letters, digits and _. The file is called <id>.yaml."""
    version: Annotated[int, Field(ge=1)]
    """Counts up when the rule comes to mean something else."""
    title: Text
    """The bad state, as a short sentence; it heads every finding."""
    subject: Literal["identity", "credential", "grant", "system", "exposure", "secret"]
    """What is bad: one finding for each. The uid of a system is its authority."""
    severity: Annotated[Severity, Field(strict=False)]
    """The severity of a finding where the query gives none."""
    confidence: Annotated[Confidence, Field(strict=False)] = Confidence.CONFIRMED
    """`confirmed`: the facts prove it. `likely`: inferred. `tentative`: an essential fact is missing."""
    owasp_nhi: Annotated[list[str], Field(min_length=1)]
    """Entries of the OWASP Non-Human Identities Top 10."""
    controls: list[str]
    """Controls that it is evidence for, as framework:number; the frameworks are in wardship/rules/frameworks."""
    sentence: Text
    """The finding in one sentence; %(column)s stands for a column of the query's result."""
    rationale: Text
    """Why it matters, for somebody who has to decide."""
    remediation: Annotated[list[Step], Field(min_length=1)]
    """What to do, in order."""
    verification: Annotated[list[Step], Field(min_length=1)]
    """How to see that it was done."""
    rollback: Annotated[list[Step], Field(min_length=1)]
    """How to undo it."""
    would_change: Annotated[list[Text], Field(min_length=1)]
    """What would change the verdict."""
    limits: Annotated[list[Text], Field(min_length=1)]
    """What the rule cannot see."""
    query: str
    """One SELECT in DuckDB's dialect over the fact tables. It gives subject_uid, may give identity_uid, severity and
    confidence; each other column is kept with the finding. Thresholds are written :name, as in docs/policy.md."""
    essential: list[str] = []
    """Columns of the result: when one of them becomes unknown, the finding waits instead of closing."""
    fires: Annotated[list[Example], Field(min_length=1)]
    """Examples in which the rule must find something."""
    passes: Annotated[list[Example], Field(min_length=1)]
    """Examples in which it must stay silent: above all what looks bad and is fine, and what is not known."""

    def _checked(self) -> FactQuery:
        return compile_query(self.query)

    @property
    def digest(self) -> str:
        """Version and content together, "2-1f0c9a3b": a rule that was edited in place is another rule."""
        judged = [self.query, self.severity, self.confidence, self.subject, self.sentence]
        return f"{self.version}-{hashlib.sha256(json.dumps(judged).encode()).hexdigest()[:8]}"

    def messages(self) -> Iterator[str]:
        """Every text that is shown, for the message catalogue."""
        yield from (self.title, self.sentence, self.rationale, *self.would_change, *self.limits)
        yield from (step.text for step in (*self.remediation, *self.verification, *self.rollback))

    def steps(self, steps: Sequence[Step], connector: str | None) -> list[Step]:
        """Those of `steps` that apply to `connector`; all of them when it is None."""
        return [step for step in steps if connector is None or step.connector in (None, connector)]


class Framework(Strict):
    """A catalogue of controls. `controls` maps the standard's own number to a short title in our words."""

    id: str
    title: Text
    source: Text
    controls: dict[str, Text]


def load_rules(folder: Path = BUILT_IN, *, only: Sequence[str] = ()) -> list[Rule]:
    """The rules of a folder, by id. `only` keeps those ids. Raises ConfigError for the first bad file or unknown id."""
    if not folder.is_dir():
        raise ConfigError(
            _("no folder %(folder)s") % {"folder": folder}, advice=_("give the folder that holds the rule files")
        )
    rules = [load_rule(path) for path in sorted(folder.glob("*.yaml"))]
    if missing := set(only) - {rule.id for rule in rules}:
        raise ConfigError(
            _("no rule is called %(missing)r") % {"missing": min(missing)}, advice=_("`wardship rules` lists them")
        )
    return [rule for rule in rules if not only or rule.id in only]


def load_rule(path: Path) -> Rule:
    """One rule. Raises ConfigError that names file, line, field and what to do."""
    told = read_yaml_file(path)
    rule = validated(told, Rule, _("see docs/schema/rule.schema.json"))
    check_name(rule.id, told, path)
    _check(rule, told)
    rule._file = path
    return rule


def load_own(folder: Path, load: Callable[[Path], _Model], taken: Collection[str]) -> tuple[list[_Model], list[str]]:
    """The files of a folder of the workspace's own beside ours, and what is wrong with those that are left out: one
    cannot be read, or has an id of `taken`. No folder is an empty one."""
    found, problems = [], []
    for path in sorted(folder.glob("*.yaml")):
        if path.stem in taken:
            said = _("%(file)s is left out: one of ours has this id already; give it its own")
            problems.append(said % {"file": f"{folder.name}/{path.name}"})
            continue
        try:
            found.append(load(path))
        except ConfigError as error:
            problems.append(_("%(what)s; the file is left out") % {"what": error.message})
    return found, problems


def validated(told: YamlFile, model: type[_Model], advice: str) -> _Model:
    """The content of a file as `model`, whose query is checked too. Raises ConfigError naming file, line and field."""
    if not isinstance(told.data, dict):
        raise told.error((), _("a rule is a mapping of fields"), advice)
    try:
        return model.model_validate(told.data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = [part for part in first["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
        bounds = {name: str(value).replace(" or ", ", ") if name == "expected" else value
                  for name, value in first.get("ctx", {}).items()}  # fmt: skip
        message = _(_WRONG.get(first["type"], N_("is not what this field takes"))) % bounds
        raise told.error(place, message, advice) from None
    except ConfigError as error:
        raise told.error(("query",), error.message, error.advice) from None


def check_name(name: str, told: YamlFile, path: Path) -> None:
    """Refuses an id that is not the file's name."""
    if name != path.stem:
        raise told.error(
            ("id",),
            _("%(id)r is not the file's name") % {"id": name},
            _("name the file %(id)s.yaml") % {"id": name},
        )


def _check(rule: Rule, told: YamlFile) -> None:
    known = frameworks()
    for name in ("owasp_nhi", "controls"):
        for index, control in enumerate(getattr(rule, name)):
            framework, _colon, number = control.partition(":")
            if name == "owasp_nhi":
                framework, number = _TOP_TEN, control
            if framework not in known:
                raise told.error(
                    (name, index),
                    _("no framework %(framework)r") % {"framework": framework},
                    _("known: %(names)s") % {"names": ", ".join(sorted(known))},
                )
            if number not in known[framework].controls:
                raise told.error(
                    (name, index),
                    _("%(framework)s has no control %(number)r here") % {"framework": framework, "number": number},
                    _("known: %(names)s") % {"names": ", ".join(known[framework].controls)},
                )
    columns = rule.compiled.columns
    if "subject_uid" not in columns:
        raise told.error(("query",), _("the result has no subject_uid"), _("select the uid AS subject_uid"))
    for index, column in enumerate(rule.essential):
        if column not in columns:
            raise told.error(
                ("essential", index),
                _("the result has no column %(column)r") % {"column": column},
                _("columns: %(names)s") % {"names": ", ".join(columns)},
            )
    texts = [("sentence", rule.sentence)]
    texts += [
        (name, step.command)
        for name in ("remediation", "verification", "rollback")
        for step in getattr(rule, name)
        if step.command
    ]
    for name, text in texts:
        check_placeholders(text, columns, told, name)
    check_examples(told, FACTS, fires=rule.fires, passes=rule.passes)


def check_placeholders(text: str, columns: Sequence[str], told: YamlFile, field: str) -> None:
    """Refuses a text of `field` that names a column which the result has not."""
    for column in _PLACEHOLDER.findall(text):
        if column not in columns:
            raise told.error(
                (field,),
                _("the result has no column %(column)r") % {"column": column},
                _("columns: %(names)s") % {"names": ", ".join(columns)},
            )


def check_examples(
    told: YamlFile, tables: Mapping[str, Mapping[str, str]], *, fires: Sequence[Example], passes: Sequence[Example]
) -> None:
    """Refuses examples with rows of tables or columns that are not in `tables`, and what passes and expects."""
    for kind, examples in (("fires", fires), ("passes", passes)):
        for index, example in enumerate(examples):
            for table, rows in example.facts.items():
                if table not in tables:
                    raise told.error(
                        (kind, index, "facts", table),
                        _("no such fact table"),
                        _("tables: %(names)s") % {"names": ", ".join(tables)},
                    )
                for number, row in enumerate(rows):
                    if unknown := sorted(set(row) - set(tables[table])):
                        raise told.error(
                            (kind, index, "facts", table, number),
                            _("%(table)s has no column %(unknown)r") % {"table": table, "unknown": unknown[0]},
                            nearest(unknown[0], tables[table]),
                        )
            if kind == "passes" and example.expect:
                raise told.error(
                    (kind, index, "expect"), _("an example that passes expects nothing"), _("move it to fires")
                )


@cache
def frameworks(folder: Path = BUILT_IN / "frameworks") -> Mapping[str, Framework]:
    """The frameworks that rules may cite, by id. Raises ConfigError for a bad file."""
    found = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            found[path.stem] = Framework.model_validate({"id": path.stem, **tomllib.loads(path.read_text("utf-8"))})
        except (tomllib.TOMLDecodeError, ValidationError) as error:
            raise ConfigError(
                _("%(path)s: %(what)s") % {"path": path.name, "what": str(error).splitlines()[0]},
                advice=_("see rules/frameworks"),
            ) from None
    return found


def rule_messages(folder: Path = BUILT_IN) -> Iterator[tuple[str, str]]:
    """(place, message) of every text of the rules and frameworks that is shown, for the message catalogue."""
    for rule in load_rules(folder):
        yield from ((f"rules/{rule.id}.yaml", message) for message in rule.messages())
    for framework in frameworks().values():
        for title in (framework.title, *framework.controls.values()):
            yield f"rules/frameworks/{framework.id}.toml", title


def example_rows(example: Example) -> dict[str, list[dict[str, Any]]]:
    """The rows of an example, complete: every column of every fact table, defaults filled in."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for table, columns in FACTS.items():
        rows[table] = []
        for number, given in enumerate(example.facts.get(table, ())):
            defaults = {"uid": f"{table}_{number}", **EXAMPLE_DEFAULTS}
            rows[table].append({column: example_value(given.get(column, defaults.get(column))) for column in columns})
    return rows


def example_value(value: Any) -> Any:
    """A YAML value as the tables hold it: naive UTC instants, JSON text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    return value


def fill(text: str, facts: Mapping[str, Any], *, unknown: str) -> str:
    """`text` with each %(column)s replaced by that fact; None reads as `unknown`."""
    return _PLACEHOLDER.sub(lambda match: _shown(facts.get(match[1]), unknown), text)


def fill_command(step: Step, facts: Mapping[str, Any]) -> str | None:
    """The step's command for one finding. Facts come from outside: each is quoted for where it goes, and a value that
    is unknown or holds control characters is left as <column> for a person to fill in."""
    if step.command is None:
        return None

    def one(match: re.Match[str]) -> str:
        value = facts.get(match[1])
        text = _shown(value, "")
        if value is None or not text.isprintable():
            return f"<{match[1]}>"
        if step.way is Way.TERRAFORM:
            return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
        return urllib.parse.quote(text, safe="") if step.way is Way.PORTAL else shlex.quote(text)

    return _PLACEHOLDER.sub(one, step.command)


def _shown(value: Any, unknown: str) -> str:
    if value is None:
        return unknown
    if isinstance(value, datetime):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def rule_schema() -> dict[str, Any]:
    """JSON Schema of a rule file, complete enough for an editor to propose controls, fact tables and their columns."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Wardship finding rule",
        **{key: value for key, value in Rule.model_json_schema().items() if key != "title"},
    }
    known = frameworks()
    numbers = [f"{name}:{number}" for name in sorted(known) if name != _TOP_TEN for number in known[name].controls]
    schema["properties"]["controls"]["items"]["enum"] = numbers
    schema["properties"]["owasp_nhi"]["items"]["enum"] = list(known[_TOP_TEN].controls)
    facts = schema["$defs"]["Example"]["properties"]["facts"]
    schema["$defs"]["Example"]["properties"]["facts"] = {
        "description": facts["description"],
        "type": "object",
        "additionalProperties": False,
        "properties": {
            table: {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {name: {"type": _json_types(name, kind)} for name, kind in columns.items()},
                },
            }
            for table, columns in FACTS.items()
        },
    }
    return schema


def _json_types(name: str, kind: str) -> list[str]:
    """What an example may give for a column of this type. A date in YAML is a string to an editor."""
    if name in ("attributes", "condition"):
        return ["string", "object", "null"]
    return [{"INTEGER": "integer", "DOUBLE": "number", "BOOLEAN": "boolean"}.get(kind, "string"), "null"]

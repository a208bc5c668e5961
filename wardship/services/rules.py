"""The catalogue of rules as a person reads it; a new rule, and the test of rules."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wardship.model.errors import ConfigError
from wardship.model.finding import Severity
from wardship.model.policy import Policy
from wardship.sdk.display import visible
from wardship.sdk.i18n import N_, _, format_number
from wardship.sdk.rule import BUILT_IN, EXAMPLE_AS_OF, RULE_ID, Rule, Step, fill, frameworks, rule_schema
from wardship.sdk.words import word
from wardship.services import explain, rule_examples, rule_skeleton
from wardship.services.formats import Column, Row
from wardship.store.engine import DuckDbEngine, PostgresEngine, SparkEngine

_SQL = {"postgresql": "postgres"}  # what fact_query calls the dialect of an engine, where that is another word
SCHEMA_FILE = ".schema.json"
_SHOWN = 5

COLUMNS = (
    Column(name="rule", label=N_("Rule")),
    Column(name="severity", label=N_("Severity")),
    Column(name="title", label=N_("Title")),
    Column(name="owasp_nhi", label=N_("OWASP NHI")),
    Column(name="controls", label=N_("Controls"), screen=False),
    Column(name="version", label=N_("Version"), type="integer", screen=False),
    Column(name="subject", label=N_("Subject"), screen=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What the test of one rule found; no problem: it holds."""

    rule: str
    problems: list[str]


def rows(rules: Sequence[Rule]) -> Iterator[Row]:
    """The rules, worst first."""
    for rule in sorted(rules, key=lambda rule: (rule.severity.order, rule.id)):
        yield {
            "rule": rule.id,
            "severity": rule.severity.value,
            "title": _(rule.title),
            "owasp_nhi": ", ".join(rule.owasp_nhi),
            "controls": ", ".join(rule.controls),
            "version": rule.version,
            "subject": rule.subject,
        }


def page(rules: Sequence[Rule], rule_id: str) -> str:
    """One rule as text. Raises ConfigError for an unknown one."""
    rule = _of_id(rules, rule_id)
    lines = [
        _(rule.title),
        "",
        f"{_('Rule')}: {rule.id} ({_('version')} {rule.digest})",
        f"{_('Severity')}: {word('severity', rule.severity.value)}",
        "",
        _("Why it matters"),
        f"  {_(rule.rationale)}",
        "",
        _("What it cannot see"),
        *(f"  - {_(text)}" for text in rule.limits),
        "",
        _("What would change the verdict"),
        *(f"  - {_(text)}" for text in rule.would_change),
        "",
        _("What to do"),
        *_steps(rule.remediation),
        "",
        _("How to verify it"),
        *_steps(rule.verification),
        "",
        _("How to undo it"),
        *_steps(rule.rollback),
        "",
        _("Controls"),
        *(f"  - {control}" for control in _controls(rule)),
        "",
        _("Question to the facts"),
        *(f"  {line}" for line in rule.query.strip().splitlines()),
    ]
    return "\n".join(lines)


def _controls(rule: Rule) -> Iterator[str]:
    """Controls with their titles: "ISO/IEC 27001 A.5.17: Authentication information"."""
    known = frameworks()
    cited = [("owasp-nhi", number) for number in rule.owasp_nhi]
    cited += [(framework, number) for framework, _sign, number in (one.partition(":") for one in rule.controls)]
    for framework, number in cited:
        yield f"{_(known[framework].title)} {number}: {_(known[framework].controls[number])}"


def _steps(todo: Sequence[Step]) -> Iterator[str]:
    """Numbered steps, each saying whether there is a way back; the commands with their placeholders."""
    for number, step in enumerate(todo, 1):
        back = _("reversible") if step.reversible else _("NOT reversible")
        where = f"{step.connector}, " if step.connector else ""
        yield f"  {number}. {_(step.text)} ({where}{explain.way(step.way.value)}; {back})"
        if step.command:
            yield from (f"       {line}" for line in step.command.strip().splitlines())


def engine(name: str, url: str | None = None) -> rule_examples.OpenEngine:
    """The engine of that name for tests of rules. `url` names the server of those that need one.

    Raises ConfigError for an engine that needs a URL and has none.
    """
    if name == "duckdb":
        return DuckDbEngine
    if not url:
        raise ConfigError(
            _("the engine %(name)s runs on a server of yours") % {"name": name},
            advice=_("say where: --url env:NAME, a file:/path, or a URL without a password"),
        )
    return partial(PostgresEngine if name == "postgresql" else SparkEngine, url=url)


def test(places: Sequence[Path], open_engine: rule_examples.OpenEngine) -> Iterator[Tested]:
    """Loads each rule file, and those of each folder, and runs their examples. A bad file is a problem in the answer,
    no exception. Raises ConfigError where there is no rule, or one of ours is named again."""
    for place in places:
        files = sorted(place.glob("*.yaml")) if place.is_dir() else [place]
        if not files:
            raise ConfigError(
                _("there is no rule in %(path)s") % {"path": place}, advice=_("a rule is a file that ends in .yaml")
            )
        for file in files:
            problems = rule_examples.problems_of(file, open_engine)
            if file.parent.resolve() != BUILT_IN and (BUILT_IN / file.name).exists():
                problems.append(_("one of ours has this id; give it another"))
            yield Tested(rule=file.stem, problems=problems)


def explanation(
    rules: Sequence[Rule],
    rule_id: str,
    *,
    dialect: str = "duckdb",
    policy: Policy | None = None,
    found: Sequence[Row] | None = None,
) -> str:
    """What one rule asks, of which facts, with which thresholds, how its examples read, and what it finds now.

    `policy` None: the built-in one. `found`: its open findings; None: there is no workspace to look at. Raises
    ConfigError for an unknown rule.
    """
    rule = _of_id(rules, rule_id)
    asked = rule.compiled
    sentence = fill(_(rule.sentence), {name: f"<{name}>" for name in asked.columns}, unknown="?")
    lines = [
        _(rule.title),
        "",
        f"{_('Rule')}: {rule.id} ({_('version')} {rule.digest})",
        f"{_('What it says')}: {sentence}",
        "",
        _("Facts it reads"),
        *(f"  {table}: {', '.join(sorted(names))}" for table, names in asked.uses.items()),
        "",
        _("Thresholds"),
        *(_thresholds(rule, policy or Policy()) or [f"  {_('none')}"]),
        "",
        _("Question to the facts (%(dialect)s)") % {"dialect": dialect},
        *(
            f"  {line}"
            for line in (
                rule.query.strip() if dialect == "duckdb" else asked.readable(_SQL.get(dialect, dialect))
            ).splitlines()
        ),
        "",
        _("It fires, for example"),
        *(f"  - {example.why}" for example in rule.fires),
        "",
        _("It stays silent, for example"),
        *(f"  - {example.why}" for example in rule.passes),
        "",
        _("Controls"),
        *(f"  - {control}" for control in _controls(rule)),
        "",
        _("What it finds now"),
        *(f"  {line}" for line in _found(found)),
        "",
        _("What to do about it: wardship rules show %(rule)s") % {"rule": rule.id},
    ]
    return "\n".join(lines)


def _thresholds(rule: Rule, policy: Policy) -> list[str]:
    """Each threshold that the rule names, its value, and whether the workspace chose it."""
    values, usual = policy.parameters(EXAMPLE_AS_OF), Policy().parameters(EXAMPLE_AS_OF)
    lines = []
    for name in sorted(rule.compiled.parameters - {"as_of"}):
        origin = (
            _("as built in")
            if values[name] == usual[name]
            else _("from the policy file; built in: %(n)s") % {"n": usual[name]}
        )
        lines.append(f"  {name} = {values[name]} ({origin})")
    return lines


def _found(rows: Sequence[Row] | None) -> Iterator[str]:
    if rows is None:
        yield _("there is no workspace to look at")
        return
    counts = Counter(row["severity"] for row in rows)
    if not counts:
        yield _("no open finding; that says nothing about what could not be read")
        return
    yield ", ".join(
        f"{format_number(counts[severity.value])} {word('severity', severity.value)}"
        for severity in Severity
        if counts[severity.value]
    )
    for row in rows[:_SHOWN]:
        yield f"- {visible(row['subject'])} ({visible(row['system'])})  [{row['uid']}]"
    if len(rows) > _SHOWN:
        yield _("and %(n)d more: wardship findings --rule %(rule)s") % {
            "n": len(rows) - _SHOWN,
            "rule": rows[0]["rule"],
        }


def new(folder: Path, rule_id: str, subject: str) -> Path:
    """Writes the beginning of a rule about a `subject` into `folder`, and the schema for editors beside it.

    The new rule finds nothing until its query is written, so it may lie in a workspace in the meantime; its test fails
    until then. Raises ConfigError for an id that is no id, that is one of ours, or whose file is there.
    """
    if not re.fullmatch(RULE_ID, rule_id):
        raise ConfigError(
            _("%(name)r is no id of a rule") % {"name": rule_id[:64]},
            advice=_("use small letters, digits and _, and begin with a letter: key_in_wrong_account"),
        )
    file = folder / f"{rule_id}.yaml"
    if file.exists() or (BUILT_IN / file.name).exists():
        raise ConfigError(
            _("a rule %(name)s is there already") % {"name": rule_id},
            advice=_("choose another id; `wardship rules list` shows those in use"),
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCHEMA_FILE).write_text(json.dumps(rule_schema(), indent=1) + "\n", encoding="utf-8")
    with file.open("x", encoding="utf-8") as made:
        made.write(rule_skeleton.skeleton(rule_id, subject))
    return file


def _of_id(rules: Sequence[Rule], rule_id: str) -> Rule:
    rule = next((one for one in rules if one.id == rule_id), None)
    if rule is None:
        raise ConfigError(
            _("no rule is called %(name)r") % {"name": rule_id[:64]}, advice=_("see them with `wardship rules list`")
        )
    return rule

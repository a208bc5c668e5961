"""The catalogue of rules as a person reads it, and the test of a folder of rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import N_, _
from wardship.sdk.rule import Rule, Step, frameworks
from wardship.sdk.words import word
from wardship.services import explain, rule_examples
from wardship.services.formats import Column, Row

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
    rule = next((one for one in rules if one.id == rule_id), None)
    if rule is None:
        raise ConfigError(
            _("no rule is called %(name)r") % {"name": rule_id[:64]}, advice=_("see them with `wardship rules list`")
        )
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


def test(folder: Path) -> list[Tested]:
    """Loads the rules of a folder and runs their examples. A bad file is a problem in the answer, no exception."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ConfigError(
            _("there is no rule in %(path)s") % {"path": folder}, advice=_("a rule is a file that ends in .yaml")
        )
    return [Tested(rule=file.stem, problems=rule_examples.problems_of(file)) for file in files]

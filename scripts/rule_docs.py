"""Writes docs/rules/ (one page a rule, and the index), docs/policy.md, and the schemas of rule and policy files.

Run it after a rule has changed; a test fails while the pages say something else.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from wardship.model import policy
from wardship.sdk.policy_file import policy_schema
from wardship.sdk.rule import Rule, Step, frameworks, load_rules, rule_schema

DOCS = Path(__file__).resolve().parents[1] / "docs"


def pages() -> dict[str, str]:
    """Path below docs -> text of every page and schema that is made."""
    rules = load_rules()
    made = {f"rules/{rule.id}.md": "\n".join(_page(rule)) + "\n" for rule in rules}
    made["rules/index.md"] = "\n".join(_index(rules)) + "\n"
    made["policy.md"] = "\n".join(_policy()) + "\n"
    for name, schema in (("rule", rule_schema()), ("policy", policy_schema())):
        made[f"schema/{name}.schema.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return made


def _policy() -> Iterator[str]:
    yield "# Policy"
    yield ""
    yield "The thresholds of a workspace. Made from `wardship/model/policy.py` by `scripts/rule_docs.py`."
    yield "To change some, write them into a YAML file ([schema](schema/policy.schema.json)) and name it as `policy` in"
    yield "`workspace.yaml`; what the file does not name keeps its default. A rule uses a threshold by its name, as in"
    yield "`:inactive_days`; of a threshold with several numbers each is one, as in `:max_age_critical_days`."
    yield ""
    yield "| threshold | default | what it is |"
    yield "|---|---|---|"
    default = policy.Policy()
    for name, meaning in _thresholds():
        usual = getattr(default, name)
        told = ", ".join(f"{key} {value}" for key, value in usual.items()) if isinstance(usual, dict) else usual
        yield f"| `{name}` | {told} | {meaning} |"


def _thresholds() -> Iterator[tuple[str, str]]:
    """Each threshold with the text that stands below it in the source."""
    made = ast.parse(inspect.getsource(policy.Policy)).body[0]
    assert isinstance(made, ast.ClassDef)  # noqa: S101 - its source is a class
    for field, text in itertools.pairwise(made.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            if not (isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)):
                raise TypeError(f"{field.target.id} is not explained")
            yield field.target.id, str(text.value.value)


def _index(rules: Sequence[Rule]) -> Iterator[str]:
    yield "# Finding rules"
    yield ""
    yield "Made from `wardship/rules/*.yaml` by `scripts/rule_docs.py`. Your own rules have the same format"
    yield "([schema](../schema/rule.schema.json)) and live in the `rules` folder of the workspace."
    yield ""
    yield "| rule | severity | OWASP NHI | finds |"
    yield "|---|---|---|---|"
    for rule in sorted(rules, key=lambda rule: (rule.severity.order, rule.id)):
        yield f"| [{rule.id}]({rule.id}.md) | {rule.severity} | {', '.join(rule.owasp_nhi)} | {rule.title} |"


def _page(rule: Rule) -> Iterator[str]:
    known = frameworks()
    yield f"# {rule.id}"
    yield ""
    yield f"**{rule.title}.** Severity {rule.severity}, version {rule.version}, about one {rule.subject}."
    yield ""
    yield rule.rationale
    for title, steps in (
        ("What to do", rule.remediation),
        ("How to verify it", rule.verification),
        ("How to undo it", rule.rollback),
    ):
        yield from ("", f"## {title}", "")
        for number, step in enumerate(steps, 1):
            yield from _step(number, step)
    for title, texts in (("What would change the verdict", rule.would_change), ("What it cannot see", rule.limits)):
        yield from ("", f"## {title}", "")
        yield from (f"- {text}" for text in texts)
    yield from ("", "## Controls", "")
    yield from (f"- {known['owasp-nhi'].title}: {one}, {known['owasp-nhi'].controls[one]}" for one in rule.owasp_nhi)
    for framework, number in (control.split(":", 1) for control in rule.controls):
        yield f"- {known[framework].title}: {number}, {known[framework].controls[number]}"
    yield from ("", "## Question to the facts", "", "```sql", rule.query.strip(), "```")
    yield from ("", "## Examples", "")
    yield from (f"- Fires: {example.why}" for example in rule.fires)
    yield from (f"- Passes: {example.why}" for example in rule.passes)


def _step(number: int, step: Step) -> Iterator[str]:
    where = f" ({step.connector})" if step.connector else ""
    back = "" if step.reversible else " **There is no way back.**"
    yield f"{number}. {step.text}{where}{back}"
    if step.command:
        yield from ("", "    ```", *(f"    {line}" for line in step.command.strip().splitlines()), "    ```", "")


def main() -> None:
    """Writes every page; pages of rules that are gone are removed."""
    made = pages()
    for path in (DOCS / "rules").glob("*.md"):
        if f"rules/{path.name}" not in made:
            path.unlink()
    for name, text in made.items():
        (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

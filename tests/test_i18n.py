"""English and Spanish are complete: no text without a translation, no placeholder lost, no bare text in a command."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from wardship.model.errors import ConfigError
from wardship.sdk import i18n
from wardship.sdk.words import _WORDS

ROOT = Path(__file__).resolve().parents[1]
_TEXT_KEYWORDS = {"help", "metavar", "empty", "advice", "label"}
_TEXT_CALLS = {"say", "note", "echo", "ConfigError"}


def messages() -> object:
    spec = importlib.util.spec_from_file_location("messages", ROOT / "scripts" / "messages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_text_is_translated_with_its_placeholders() -> None:
    assert messages().problems() == []  # type: ignore[attr-defined]  # the module above


def test_a_missing_translation_and_a_lost_placeholder_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = messages()
    folder = tmp_path / "es" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    whole = tool.po_file("es").read_text(encoding="utf-8")  # type: ignore[attr-defined]  # as above
    broken = whole.replace('msgstr "%(n)d tareas hechas"', 'msgstr "tareas hechas"').replace('msgstr "sí"', 'msgstr ""')
    assert broken != whole
    (folder / "wardship.po").write_text(broken, encoding="utf-8")
    monkeypatch.setattr(tool, "LOCALE", tmp_path)
    wrong = tool.problems()  # type: ignore[attr-defined]  # as above
    assert any("placeholders differ" in line and "jobs done" in line for line in wrong)
    assert any("not translated: 'yes'" in line for line in wrong)


@pytest.mark.parametrize("path", sorted((ROOT / "wardship" / "cli").glob("*.py")), ids=lambda path: path.name)
def test_no_command_shows_a_bare_text(path: Path) -> None:
    """A heuristic: literal words given to help=, empty=, advice= or to say(), note(), echo() outside `_()`/`N_()`."""
    bare = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [word.value for word in node.keywords if word.arg in _TEXT_KEYWORDS]
        given += node.args[:1] if name in _TEXT_CALLS else []
        bare += [
            (value.lineno, value.value)
            for value in given
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and " " in value.value.strip()
        ]
    assert bare == []


_RECORD_READERS = {
    # A DataError of these is about one record. It becomes the reason that the quarantine keeps for it, ASCII and the
    # same in every language, so that equal reasons stay equal whoever scans.
    "connectors/aws/fields.py",
    "connectors/aws/policy.py",
    "connectors/aws/read.py",
    "connectors/aws/report.py",
    "connectors/aws/services.py",
    "connectors/conversations/reader.py",
    "connectors/entra/parse.py",
    "connectors/entra/session.py",
    "connectors/file/exports/_items.py",
    "connectors/file/exports/bloodhound.py",
    "connectors/file/exports/cartography.py",
    "connectors/file/exports/gam.py",
    "connectors/file/exports/prowler.py",
    "connectors/file/exports/roadrecon.py",
    "connectors/file/exports/trivy.py",
    "connectors/file/mapped.py",
    "connectors/file/records.py",
    "connectors/file/values.py",
    "connectors/git/report.py",
    "connectors/github/parse.py",
    "connectors/github/pipeline.py",
    "connectors/postgresql.py",
    "connectors/suppliers.py",
    "connectors/vault/certificates.py",
    "connectors/vault/fields.py",
    "connectors/vault/parse.py",
    "connectors/vault/policy.py",
    "ingest/quarantine.py",
    "ingest/record.py",
    "sdk/fields.py",
    "secrets/finding.py",
    "services/guard/report.py",
}
_RECORD_FOLDERS = ("ingest/telemetry/", "sdk/log_mapping/", "sources/")  # as above, of the records of audit logs
_RECORD_ERRORS = ("DataError", "Broken")  # Broken: the reason that is kept for a log that ends in the middle
_NOT_SHOWN = ("model/", "sim/")  # the model translates nothing; what a simulator refuses, only its author reads


def _error_classes(trees: dict[str, ast.Module]) -> set[str]:
    """The errors of the model and every class made from one of them."""
    known = {node.name for node in trees["model/errors.py"].body if isinstance(node, ast.ClassDef)}
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while more := {one.name for one in classes if any(getattr(base, "id", "") in known for base in one.bases)} - known:
        known |= more
    return known


def _bare_errors(name: str, tree: ast.Module, errors: set[str]) -> list[str]:
    """Where an error is made with a literal message or advice: "file:line"."""
    bare = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in errors:
            continue
        of_records = name in _RECORD_READERS or name.startswith(_RECORD_FOLDERS)
        if of_records and node.func.id in _RECORD_ERRORS:
            continue
        given = [*node.args[:1], *(word.value for word in node.keywords if word.arg in ("message", "advice"))]
        bare += [f"{name}:{value.lineno}" for value in given if _is_bare(value)]
    return bare


def _is_bare(value: ast.expr) -> bool:
    match value:
        case ast.Constant(value=str() as text):
            return bool(text)
        case ast.JoinedStr():
            return True
        case ast.BinOp():  # a text put together or filled in; `_(...) % {...}` has a call on its left
            return _is_bare(value.left) or (isinstance(value.op, ast.Add) and _is_bare(value.right))
        case ast.IfExp():
            return _is_bare(value.body) or _is_bare(value.orelse)
        case ast.BoolOp():
            return any(_is_bare(one) for one in value.values)
    return False


def test_no_error_is_raised_with_a_bare_text() -> None:
    package = ROOT / "wardship"
    trees = {
        str(path.relative_to(package)): ast.parse(path.read_text(encoding="utf-8")) for path in package.rglob("*.py")
    }
    errors = _error_classes(trees)
    assert {"ConfigError", "Gone", "AddressRefused"} <= errors
    shown = {name: tree for name, tree in trees.items() if not name.startswith(_NOT_SHOWN)}
    assert [line for name, tree in sorted(shown.items()) for line in _bare_errors(name, tree, errors)] == []


@pytest.mark.parametrize(
    "source",
    [
        'raise ConfigError("no such file")',
        'raise ConfigError(f"no file {path}")',
        'raise ConfigError("no file " + path)',
        'raise ConfigError("no file %s" % path)',
        'raise ConfigError(_("no file"), advice="look again" if path else "")',
        'return DataError("not a snapshot")',
    ],
)
def test_a_bare_text_in_an_error_is_found(source: str) -> None:
    errors = {"ConfigError", "DataError"}
    assert _bare_errors("store/facts.py", ast.parse(source), errors) == ["store/facts.py:1"]
    marked = 'raise ConfigError(_("no file %(name)s") % {"name": name}, advice=_("look again"))'
    assert _bare_errors("store/facts.py", ast.parse(marked), errors) == []


def test_errors_are_told_in_spanish(tmp_path: Path) -> None:
    from wardship.sdk.fact_query import compile_query
    from wardship.sdk.policy_file import load_policy
    from wardship.sdk.registry import connector_module

    policy = tmp_path / "policy.yaml"
    policy.write_text("inactive_days: 99999\n", encoding="utf-8")
    i18n.use_language("es")
    try:
        with pytest.raises(ConfigError, match="política inactive_days: 99999 está fuera de rango") as threshold:
            load_policy(policy)
        with pytest.raises(ConfigError, match="ningún conector se llama 'nadie'") as connector:
            connector_module("nadie")
        with pytest.raises(ConfigError, match=r"ninguna tabla de hechos .* \(línea 1 de la consulta\)"):
            compile_query("SELECT x.a AS a FROM x")
    finally:
        i18n.use_language(None)
    assert threshold.value.advice == "dé un número de 0 a 36500"
    assert connector.value.advice.startswith("conectores conocidos: aws")


def test_every_word_of_the_model_has_a_form_to_show() -> None:
    from wardship.model.access import CredentialType, Tier
    from wardship.model.finding import Confidence, FindingState, Severity
    from wardship.model.identity import IdentityKind, Presence, Standing
    from wardship.model.scan import ScopeStatus

    for column, words in (
        ("kind", IdentityKind),
        ("type", CredentialType),
        ("tier", Tier),
        ("severity", Severity),
        ("confidence", Confidence),
        ("state", FindingState),
        ("presence", Presence),
        ("standing", Standing),
        ("status", ScopeStatus),
    ):
        assert {str(word) for word in words} - {"unknown"} <= set(_WORDS[column]), column


def test_the_chosen_language_wins_over_the_workspace_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDSHIP_LANGUAGE", "es")
    assert i18n.language() == "es"
    i18n.prefer_language("en")
    assert i18n.language() == "en"
    i18n.use_language("es")
    assert i18n.language() == "es"
    i18n.use_language(None)
    i18n.prefer_language(None)
    monkeypatch.setenv("WARDSHIP_LANGUAGE", "de")
    assert i18n.language() == "en"


def test_a_share_of_nothing_is_not_zero_percent() -> None:
    i18n.use_language("en")
    try:
        assert i18n.format_share(0, 0) == "none to count"
        assert i18n.format_share(999, 1000) == "999 of 1,000 (99%)"
    finally:
        i18n.use_language(None)

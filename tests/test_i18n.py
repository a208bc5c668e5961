"""English and Spanish are complete: no text without a translation, no placeholder lost, no bare text in a command."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

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

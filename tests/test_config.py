"""Settings: strict, explained, overridden by the environment, and without any secret in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from wardship.config import Settings, load_settings, resolve_secret, setting_names, settings_schema
from wardship.model.errors import ConfigError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "workspace.yaml"
    path.write_text(text)
    return path


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "# nothing\n"))
    assert settings == Settings()
    assert (settings.database_url, settings.plugins, settings.audit.checkpoint_copy) == (None, (), None)


def test_the_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "language: es\nplugins: [acme]\naudit: {checkpoint_copy: /mnt/a}\nworker: {lease_s: 60}\n")
    settings = load_settings(path)
    assert (settings.language, settings.plugins, settings.worker.lease_s) == ("es", ("acme",), 60)
    monkeypatch.setenv("WARDSHIP_AUDIT__CHECKPOINT_COPY", "/mnt/b")
    monkeypatch.setenv("WARDSHIP_LANGUAGE", "en")
    monkeypatch.setenv("WARDSHIP_WORKSPACE", "/somewhere")  # no setting: not an error
    settings = load_settings(path)
    assert (settings.language, settings.audit.checkpoint_copy) == ("en", Path("/mnt/b"))


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        ("langage: es", "no setting langage", "did you mean language"),
        ("audit: {checkpoint_cpy: x}", r"no setting audit\.checkpoint_cpy", r"audit.checkpoint_copy"),
        ("language: fr", "setting language", "settings.md"),
        ("worker: {lease_s: 1}", r"setting worker\.lease_s", "settings.md"),
        ("- a\n- b", "not a mapping", "name: value"),
        ("a: [1", "not valid YAML", "settings.md"),
        ("a: &x 1\nb: *x", r"not valid YAML \(line 2\)", "aliases"),
        ("a: 2026-13-45", "not valid YAML", "settings.md"),
        ("database_url: postgresql://u:hunter2@h/d", "holds a password", "settings.md"),
        ("http: {allow_hosts: [hunter2]}", "no setting http", "settings are"),
        ("database_url: 'postgresql://h/d?sslmode=require&password=hunter2'", "holds a password", "settings.md"),
        ("telemetry: {engine: spark, url: 'sc://host:15002/;use_ssl=true;token=hunter2'}", "a password", "settings.md"),
        ("database_url: [hunter2]", "setting database_url", "settings.md"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do_and_its_value_is_not_shown(
    text: str, message: str, advice: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_settings(written(tmp_path, text))
    assert advice in caught.value.advice
    assert "hunter2" not in str(caught.value) + caught.value.advice
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_file_that_is_missing_too_large_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="too large"):
        load_settings(written(tmp_path, "#" * 1_000_001))
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"language: \xff")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_settings(path)
    with pytest.raises(ConfigError):
        load_settings(written(tmp_path, "a: " + "[" * 100_000))


def test_the_published_schema_is_that_of_the_settings() -> None:
    published = json.loads((ROOT / "docs" / "schema" / "settings.schema.json").read_text())
    assert published == settings_schema(), "write it again: see docs/settings.md"


def test_every_setting_is_documented() -> None:
    schema = settings_schema()
    for model in (schema, *schema["$defs"].values()):
        for name, field in model["properties"].items():
            assert field.get("description") or "$ref" in field, name  # a group is described by its class
    page = (ROOT / "docs" / "settings.md").read_text()
    for name in setting_names():
        assert f"`{name}`" in page


def test_every_setting_is_read_by_something() -> None:
    """One that nobody reads protects nobody, and its user believes that it does."""
    code = "\n".join(file.read_text("utf-8") for file in (ROOT / "wardship").rglob("*.py") if file.name != "config.py")
    assert [name for name in Settings.model_fields if not re.search(rf"settings\.{name}\b", code)] == []


def test_a_secret_is_found_by_its_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_SECRET", "hunter2")
    assert resolve_secret("env:THE_SECRET").reveal() == "hunter2"
    assert resolve_secret("env:X", {"X": "y"}).reveal() == "y"
    path = tmp_path / "secret"
    path.write_bytes(b"hunter2 \r\n")
    path.chmod(0o600)
    assert resolve_secret(f"file:{path}").reveal() == "hunter2 "
    assert "hunter2" not in repr(resolve_secret(f"file:{path}"))


def test_a_literal_or_unreadable_secret_is_refused_without_repeating_it(tmp_path: Path) -> None:
    for text in ("hunter2", "vault:hunter2", "env:", "file:", "env:hunter2 x"):
        with pytest.raises(ConfigError) as caught:
            resolve_secret(text, {})
        assert "hunter2" not in str(caught.value) + caught.value.advice
    with pytest.raises(ConfigError, match="NOT_SET is not set"):
        resolve_secret("env:NOT_SET", {})
    path = tmp_path / "secret"
    path.write_text("hunter2")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        resolve_secret(f"file:{path}")
    path.chmod(0o600)
    for bad in (b"", b"\n", b"\xff\xfe"):
        path.write_bytes(bad)
        with pytest.raises(ConfigError, match="empty or not text"):
            resolve_secret(f"file:{path}")
    with pytest.raises(ConfigError, match="cannot be read"):
        resolve_secret(f"file:{tmp_path}/none")

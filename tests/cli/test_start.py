"""init and demo."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Command


def test_init_makes_a_workspace_once(run: Command) -> None:
    assert run("init", "-w", "w").code == 0
    again = run("init", "-w", "w")
    assert again.code == 2
    assert "already" in again.err


def test_the_demo_ends_with_what_was_seen_and_where_to_look(run: Command, tmp_path: Path) -> None:
    ran = run("demo", "--size", "s", "-w", tmp_path / "acme", "--language", "es")
    assert ran.code == 0
    for word in ("Cobertura", "Propiedad", "Hallazgos", "No se pudo leer", "Resumen", "Siguiente"):
        assert word in ran.out
    page = (tmp_path / "acme" / "exports" / "overview.html").read_text(encoding="utf-8")
    assert '<html lang="es">' in page
    assert "AcmeIntegrator SaaS" in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")

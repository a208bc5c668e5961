"""findings and explain: the AcmeIntegrator story from beginning to end, in both languages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

STORY = {
    "en": (
        "contract ended",
        "no owner",
        "reads the mail of the person who signs in",
        "changes every site that the person who signs in may change",
        "changes every file that the person who signs in may change",
        "tenant-wide",
        "days old",
        "What breaks if it is taken away",
        "How to undo it",
        "NOT reversible",
        "not evaluated yet",
        "blind spot:",
    ),
    "es": (
        "cuyo contrato terminó",
        "sin propietario",
        "lee el correo de la persona que inicia sesión",
        "cambia todos los sitios que pueda cambiar la persona que inicia sesión",
        "cambia todos los archivos que pueda cambiar la persona que inicia sesión",
        "días de antigüedad",
        "Qué se rompe si se quita",
        "Cómo deshacerlo",
        "NO reversible",
        "aún sin evaluar",
        "punto ciego:",
    ),
}


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_story_of_the_departed_supplier_reads_to_its_end(run: Command, demo: Path, language: str) -> None:
    ran = run("explain", "AcmeIntegrator SaaS", "-w", demo, "--language", language)
    assert ran.code == 0
    told = " ".join(ran.out.split())
    for part in STORY[language]:
        assert part in told, part
    for permission in ("Mail.Read", "Sites.ReadWrite.All", "Files.ReadWrite.All"):
        assert permission in told


def test_a_finding_is_explained_with_everything_that_is_asked(run: Command, demo: Path) -> None:
    worst = json.loads(run("findings", "-w", demo, "-o", "json").out)[0]
    rows = json.loads(run("explain", worst["uid"], "-w", demo, "-o", "json").out)
    sections = list(dict.fromkeys(row["section"] for row in rows))
    assert sections == [
        "what", "why", "facts", "confidence", "reach", "owner", "consumers", "verdicts", "breaks",
        "steps", "verify", "undo", "controls", "limits", "history",
    ]  # fmt: skip
    facts = " ".join(row["text"] for row in rows if row["section"] == "facts")
    assert worst["snapshot_id"] in facts


def test_every_finding_of_the_demo_can_be_explained(run: Command, demo: Path) -> None:
    found = json.loads(run("findings", "-w", demo, "-o", "json").out)
    one_of_each = {row["rule"]: row["uid"] for row in found}
    assert len(one_of_each) >= 8
    for uid in one_of_each.values():
        ran = run("explain", uid, "-w", demo, "--language", "es")
        assert ran.code == 0
        assert "%(" not in ran.out


def test_fail_on_leaves_with_code_1(run: Command, demo: Path) -> None:
    assert run("findings", "-w", demo, "--fail-on", "critical").code == 1
    assert run("findings", "-w", demo).code == 0


def test_an_unknown_finding_names_the_next_step(run: Command, demo: Path) -> None:
    ran = run("explain", "fi_nonsense", "-w", demo)
    assert ran.code == 2
    assert "wardship findings" in ran.err


def test_severity_means_that_or_worse(run: Command, demo: Path) -> None:
    found = json.loads(run("findings", "-w", demo, "--severity", "high", "-o", "json").out)
    assert {row["severity"] for row in found} == {"critical", "high"}

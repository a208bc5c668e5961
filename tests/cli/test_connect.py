"""connect: references only, clear refusals, and a guide that needs no credential."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Command

SECRET = "s3cr3t-value-that-must-not-appear"


@pytest.fixture(autouse=True)
def _workspace(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDSHIP_WORKSPACE", "w")
    assert run("init").code == 0


def test_a_connection_is_kept_listed_and_removed(run: Command) -> None:
    assert run("connect", "add", "aws", "prod").code == 0
    assert [row["name"] for row in json.loads(run("connect", "list", "-o", "json").out)] == ["prod"]
    assert run("connect", "add", "aws", "prod").code == 2
    assert run("connect", "remove", "prod").code == 0
    assert json.loads(run("connect", "list", "-o", "json").out) == []
    assert run("connect", "remove", "prod").code == 2


def test_a_literal_secret_is_refused_and_not_repeated(run: Command) -> None:
    words = ("tenant_id=0b7d4c1e-8f42-4f0e-9c7b-2f6a1d3e5b70", "client_id=0b7d4c1e-8f42-4f0e-9c7b-2f6a1d3e5b71")
    ran = run("connect", "add", "entra", "acme", *words, f"client_secret={SECRET}")
    assert ran.code == 2
    assert SECRET not in ran.err + ran.out
    assert "env:NAME" in ran.err
    assert SECRET not in run("audit", "log", "-o", "json").out
    assert run("connect", "add", "entra", "acme", *words, "client_secret=env:ENTRA_SECRET").code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("aws", "prod", "nonsense=1"), "no setting"),
        (("aws", "prod", f"=={SECRET}"), "NAME=VALUE"),
        (("nonsense", "prod"), "no connector"),
        (("aws", "Prod!"), "no name"),
    ],
)
def test_what_is_wrong_is_said(run: Command, words: tuple[str, ...], told: str) -> None:
    ran = run("connect", "add", *words)
    assert ran.code == 2
    assert told in ran.err
    assert SECRET not in ran.err


@pytest.mark.parametrize("connector", ["aws", "entra"])
def test_setup_prints_three_ways_and_the_way_back(run: Command, connector: str) -> None:
    ran = run("connect", "setup", connector)
    assert ran.code == 0
    for title in ("Terraform", "Command line", "Portal", "How to remove it again"):
        assert title in ran.out
    assert run("connect", "setup", connector, "--as", "terraform").out in ran.out


def test_a_connection_without_its_secret_says_which_is_missing(run: Command) -> None:
    words = ("tenant_id=0b7d4c1e-8f42-4f0e-9c7b-2f6a1d3e5b70", "client_id=0b7d4c1e-8f42-4f0e-9c7b-2f6a1d3e5b71")
    assert run("connect", "add", "entra", "acme", *words, "client_secret=env:NOT_SET_ANYWHERE").code == 0
    ran = run("scan", "acme")
    assert ran.code in (2, 3)
    assert "NOT_SET_ANYWHERE" in ran.out + ran.err

"""inventory, identity, changes, export, coverage."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command


def rows(ran: object) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(ran.out)  # type: ignore[attr-defined]  # a Ran
    return found


def test_pages_join_to_the_whole_list(run: Command, demo: Path) -> None:
    whole = [row["uid"] for row in rows(run("export", "identities", "-w", demo, "-o", "json"))]
    got: list[object] = []
    after: list[str] = []
    while True:
        ran = run("inventory", "-w", demo, "-o", "json", "--limit", "100", *after)
        got += [row["uid"] for row in rows(ran)]
        if "--after" not in ran.err:
            break
        after = ["--after", ran.err.split("--after ")[1].split(";")[0]]
    assert got == whole
    assert len(set(got)) == len(got)


def test_filters_narrow_and_never_invent(run: Command, demo: Path) -> None:
    every = {row["uid"]: row for row in rows(run("export", "identities", "-w", demo, "-o", "json"))}
    apps = rows(run("inventory", "-w", demo, "-o", "json", "--kind", "oauth_app", "--limit", "1000"))
    assert {row["uid"] for row in apps} == {uid for uid, row in every.items() if row["kind"] == "oauth_app"}
    named = rows(run("inventory", "-w", demo, "-o", "json", "--text", "acmeINTEGRATOR"))
    assert [row["name"] for row in named] == ["AcmeIntegrator SaaS"]
    aws = rows(run("inventory", "-w", demo, "-o", "json", "--system", "aws", "--limit", "1000"))
    assert aws
    assert all(str(row["authority"]).startswith("aws:") for row in aws)


def test_a_bad_place_is_a_clear_error(run: Command, demo: Path) -> None:
    ran = run("inventory", "-w", demo, "--after", "nonsense!")
    assert ran.code == 2
    assert "--after" in ran.err


def test_an_identity_is_found_by_name_id_and_part_of_its_name(run: Command, demo: Path) -> None:
    uid = rows(run("inventory", "-w", demo, "-o", "json", "--text", "AcmeIntegrator"))[0]["uid"]
    shown = {run("identity", "show", word, "-w", demo).out for word in (uid, "AcmeIntegrator SaaS", "acmeintegrator")}
    assert len(shown) == 1


def test_an_unknown_identity_says_how_to_search(run: Command, demo: Path) -> None:
    ran = run("identity", "show", "nobody-at-all", "-w", demo)
    assert ran.code == 2
    assert "wardship inventory --text" in ran.err


def test_an_export_is_in_the_audit_log(run: Command, demo: Path, tmp_path: Path) -> None:
    assert run("export", "grants", "-w", demo, "--out", tmp_path / "g.csv").code == 0
    newest = rows(run("audit", "log", "-w", demo, "-o", "json", "--limit", "3"))
    assert any(entry["action"] == "list.exported" and entry["subject"] == "list:grants" for entry in newest)


def test_filters_of_other_things_are_refused(run: Command, demo: Path) -> None:
    assert run("export", "grants", "-w", demo, "--kind", "robot").code == 2


def test_what_could_not_be_read_names_the_permission(run: Command, demo: Path) -> None:
    unread = rows(run("coverage", "-w", demo, "--unread", "-o", "json"))
    assert [row["missing_permission"] for row in unread] == ["secretsmanager:ListSecrets"]


def test_only_a_held_scope_can_be_accepted(run: Command, demo: Path) -> None:
    ran = run("coverage", "accept", "aws|x||y", "--reason", "because", "-w", demo)
    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_a_wrong_day_is_wrong_usage(run: Command, demo: Path) -> None:
    assert run("changes", "--since", "yesterday-ish", "-w", demo).code == 2


def test_splitting_what_is_not_joined_is_refused(run: Command, demo: Path) -> None:
    assert run("identity", "split", "id_a", "id_b", "--reason", "x", "-w", demo).code in (2, 3)

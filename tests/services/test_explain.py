"""The story of an identity and of a finding: everything a person needs before acting, and what is not known."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import NOW
from wardship.app import App
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import use_language
from wardship.services import explain, listings, rule_folders
from wardship.services.reading import Facts
from wardship.services.story import Story
from wardship.store.facts import write_rows


def story(app: App, wanted: str) -> Story:
    with app.facts() as facts:
        rule_of = partial(rule_folders.rule_of, app.workspace)
        return explain.explain(app.db, facts, wanted, rule_of=rule_of, now=app.clock())


def lines(told: Story) -> dict[str, str]:
    return {section.id: "\n".join(section.lines) for section in told.sections}


def test_the_departed_supplier_is_told_whole(demo: App) -> None:
    told = story(demo, "AcmeIntegrator SaaS")
    said = lines(told)
    assert told.title == "AcmeIntegrator SaaS"
    assert "contract ended" in said["owner"]
    assert "tenant-wide" in said["reach"]
    assert "fi_" in said["flagged"]
    assert said["steps"]
    assert said["undo"]
    assert "unknown" in said["consumers"], "nobody has looked: that is not the same as nobody uses it"
    assert "secretsmanager:ListSecrets" not in said["coverage"], "another system's gap is not this one's"
    assert all(section.lines for section in told.sections), "an empty section would read like 'none'"


def test_every_open_finding_of_the_demo_can_be_explained_in_both_languages(demo: App) -> None:
    with demo.facts() as facts:
        rows = listings.varied(listings.findings(demo.db, facts), of_each_rule=1, limit=100)
    assert rows
    for row in rows:
        told = story(demo, row["uid"])
        assert row["subject"] in told.title
        assert {"what", "why", "facts", "confidence", "steps", "verify", "undo", "limits", "history"} <= set(
            lines(told)
        )
        use_language("es")
        spanish = story(demo, row["uid"])
        use_language("en")
        assert spanish.summary != told.summary
        assert [one.id for one in spanish.sections] == [one.id for one in told.sections]


def test_an_identity_without_findings_is_not_called_safe(demo: App) -> None:
    said = lines(story(demo, "org-inventory-reader"))
    assert "says nothing about what could not be read" in said["flagged"]
    assert "blind spot: " in said["coverage"]


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ({"reads": True, "data_events": None}, "none that came back in aws.cloudtrail from 2026-08-01"),
        ({"reads": False, "data_events": None}, "unknown; aws.cloudtrail from 2026-08-01"),
        ({"reads": True, "data_events": False}, "unknown; aws.cloudtrail from 2026-08-01"),
        ({"reads": True, "missing_parts": "data"}, "unknown; aws.cloudtrail from 2026-08-01"),
    ],
)
def test_no_other_consumer_is_said_only_of_a_log_that_holds_every_use(
    demo: App, tmp_path: Path, left_out: dict[str, bool | str | None], said: str
) -> None:
    log = {
        "authority": "aws:1", "source": "aws.cloudtrail", "first_on": date(2026, 8, 1), "last_on": date(2026, 11, 20),
        "covered_days": 110, "hole_days": 2, "longest_hole_days": 1, **left_out,
    }  # fmt: skip
    one = {
        "uid": "id_a", "authority": "aws:1", "native_id": "a", "kind": "service_account", "standing": "own",
        "presence": "present", "use_state": "unknown", "owner_state": "none", "parts": 1,
    }  # fmt: skip
    part = {"uid": "id_a", "identity_uid": "id_a", "authority": "aws:1", "native_id": "a", "presence": "present"}
    rows = {"identity": [one], "identity_part": [part], "log_coverage": [log]}
    with Facts(write_rows(tmp_path / "facts", rows, as_of=NOW)) as facts:
        told = explain.identity(demo.db, facts, "id_a", rule_of={}.get, now=NOW)
    assert f"other consumers: {said}" in lines(told)["consumers"]


@pytest.mark.parametrize("wanted", ["fi_nope", "nobody-at-all", ""])
def test_what_is_not_there_is_a_clear_refusal(demo: App, wanted: str) -> None:
    with pytest.raises(ConfigError):
        story(demo, wanted)


def test_rows_say_the_same_as_the_sections(demo: App) -> None:
    told = story(demo, "release-pipeline")
    assert [row["text"] for row in told.rows()] == [line for one in told.sections for line in one.lines]

"""The story of an identity and of a finding: everything a person needs before acting, and what is not known."""

from __future__ import annotations

import pytest

from wardship.app import App
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import use_language
from wardship.services import evaluate, explain, listings
from wardship.services.story import Story


def story(app: App, wanted: str) -> Story:
    with app.facts() as facts:
        rules = evaluate.workspace_rules(app.workspace)
        return explain.explain(app.db, facts, wanted, rules=rules, now=app.clock())


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


@pytest.mark.parametrize("wanted", ["fi_nope", "nobody-at-all", ""])
def test_what_is_not_there_is_a_clear_refusal(demo: App, wanted: str) -> None:
    with pytest.raises(ConfigError):
        story(demo, wanted)


def test_rows_say_the_same_as_the_sections(demo: App) -> None:
    told = story(demo, "release-pipeline")
    assert [row["text"] for row in told.rows()] == [line for one in told.sections for line in one.lines]

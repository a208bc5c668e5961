"""What the workflows of the simulated organisation use, and as whom they may present themselves."""

from __future__ import annotations

import pytest

from tests.connectors.github_reading import ORG, of, organisation, read, scan, small
from wardship.model.exposure import Dependency
from wardship.model.identity import Identity, IdentityKind
from wardship.sim.github import READER
from wardship.sim.github_small import CLIENT, ROLE, TENANT


def test_a_workflow_depends_on_exactly_the_secret_that_github_hands_it() -> None:
    found = scan(small().connection())
    targets = {d.target: d for d in of(Dependency, found)}
    assert set(targets) == {
        ("credential", ORG, "actions-secret:acme/NPM_TOKEN"),
        ("credential", ORG, "actions-secret:acme/shop/environments/production/DB_PASSWORD"),
        ("identity", "aws:123456789012", ROLE),
        ("identity", f"entra:{TENANT}:appid", CLIENT),
    }  # SHARED_TOKEN is not shared with this repository
    npm = targets["credential", ORG, "actions-secret:acme/NPM_TOKEN"]
    assert (npm.consumer, npm.consumer_kind) == ("acme/shop .github/workflows/deploy.yml", "workflow")
    assert npm.attributes["jobs"] == ["build", "deploy"]
    assert targets["identity", "aws:123456789012", ROLE].environment == "production"


def test_a_workflow_that_may_ask_for_a_token_is_an_identity_with_its_subjects() -> None:
    [workflow] = of(Identity, scan(small().connection()), kind=IdentityKind.CI_PIPELINE)
    assert workflow.attributes["subjects"] == [
        "repo:acme/shop:environment:production",
        "repo:acme/shop:ref:refs/heads/main",
    ]
    assert workflow.attributes["default_token_permissions"] == "read"
    acme = small()
    acme.set_subject_template("acme/shop", ["repository_id", "job_workflow_ref"])
    [workflow] = of(Identity, scan(acme.connection()), kind=IdentityKind.CI_PIPELINE)
    assert workflow.attributes["subjects"] == []  # its form says what they are made of, not what they are
    assert workflow.attributes["subject_template"] == ["repository_id", "job_workflow_ref"]


def workflow_of(environment: str | None) -> str:
    line = f"    environment: {environment}\n" if environment else ""
    return (
        f"on: push\njobs:\n  one:\n{line}    runs-on: x\n    steps:\n"
        "      - run: x\n        env:\n          A: ${{ secrets.KEY }}\n"
    )


@pytest.mark.parametrize(
    ("levels", "environment", "place"),
    [
        ("organisation", None, "acme/KEY"),
        ("organisation repository", None, "acme/shop/KEY"),
        ("organisation repository environment", None, "acme/shop/KEY"),
        ("organisation repository environment", "Production", "acme/shop/environments/production/KEY"),
        ("organisation environment", "staging", "acme/KEY"),
        ("environment", "staging", None),  # GitHub hands it nothing
        ("organisation", "${{ inputs.where }}", "acme/KEY"),  # no environment has it: it can only be this one
        ("organisation environment", "${{ inputs.where }}", None),  # the run decides
        ("", None, None),
    ],
)
def test_precedence(levels: str, environment: str | None, place: str | None) -> None:
    acme = organisation()
    shop = acme.add_repository("shop")
    acme.add_environment(shop, "production")
    acme.add_environment(shop, "staging")
    for level in levels.split():
        acme.add_secret(
            "KEY",
            repository=None if level == "organisation" else shop,
            environment="production" if level == "environment" else None,
        )
    acme.add_workflow(shop, "one.yml", workflow_of(environment))
    found = read(acme.connection(), "workflow")  # alone, as after a resumed scan: names are read again
    assert found.complete
    targets = [d.target[2] for d in of(Dependency, found.records)]
    assert targets == ([f"actions-secret:{place}"] if place else [])


def test_a_private_secret_of_the_organisation_does_not_reach_a_public_repository() -> None:
    acme = organisation()
    site = acme.add_repository("site", private=False)
    acme.add_secret("KEY", visibility="private")
    acme.add_workflow(site, "one.yml", workflow_of(None))
    assert of(Dependency, read(acme.connection(), "workflow").records) == []


def test_names_that_could_not_be_read_give_no_dependency_and_a_partial_scope() -> None:
    acme = organisation()
    shop = acme.add_repository("shop")
    acme.add_secret("KEY")
    acme.add_workflow(shop, "one.yml", workflow_of(None))
    part = read(acme.connection(permissions=READER.replace(" secrets:read", "")), "workflow")
    assert of(Dependency, part.records) == []
    assert [(p.reason, p.permission, p.subject) for p in part.problems] == [
        ("missing_permission", "secrets:read", "acme/shop")
    ]

"""What the rules find in a scanned vault: its records speak the words that the rules read, up to the findings."""

from __future__ import annotations

import pytest

from tests.conftest import NOW
from wardship.app import App
from wardship.model.identity import uid_of
from wardship.sdk.clock import SimClock
from wardship.services import evaluate, findings, scan
from wardship.sim.vault import SecretId, VaultServer


@pytest.fixture(scope="module")
def vault() -> VaultServer:
    made = VaultServer(clock=SimClock(NOW))
    made.add_method("github", "jwt", config={"bound_issuer": "https://token.actions.githubusercontent.com"})
    shared = {"role_type": "jwt", "bound_audiences": ["vault"]}
    made.add_role("github", "anybody", **shared)
    made.add_role("github", "repository", **shared, bound_claims={"repository": "acme/shop"})
    made.add_role("github", "wide", **shared, bound_claims_type="glob", bound_claims={"sub": "repo:acme/*"})
    made.add_approle("shop", secret_ids=[SecretId(created=NOW)])
    return made


@pytest.fixture(scope="module")
def found(vault: VaultServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The subjects of every open finding, by rule."""
    told: dict[str, set[str]] = {}
    with App.create(tmp_path_factory.mktemp("vault") / "w", clock=lambda: NOW) as app:
        assert scan.read(app.workspace, vault.connection(), app.actor).error is None
        evaluate.again(app.workspace, actor=app.actor)
        for row in findings.page(app.workspace.db, limit=1_000):
            told.setdefault(row.rule, set()).add(row.subject_uid)
    return told


def credential(vault: VaultServer, native_id: str) -> str:
    return uid_of("credential", f"vault:{vault.cluster}", native_id)


def test_a_login_that_takes_anybody_of_an_issuer_is_found_and_one_repository_is_not(
    vault: VaultServer, found: dict[str, set[str]]
) -> None:
    assert found["federation_without_subject"] == {credential(vault, "auth/github/role/anybody/trust")}


def test_a_login_that_takes_every_repository_of_an_owner_is_found(
    vault: VaultServer, found: dict[str, set[str]]
) -> None:
    assert found["federation_subject_too_wide"] == {credential(vault, "auth/github/role/wide/trust")}


def test_a_secret_id_without_an_end_is_found(vault: VaultServer, found: dict[str, set[str]]) -> None:
    (accessor,) = vault.spaces[""].secret_ids["auth/approle/role/shop"]
    assert credential(vault, f"auth/approle/role/shop/secret-id/{accessor}") in found["credential_without_expiry"]

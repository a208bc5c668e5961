"""What stands in the simulated vault of tests: one of everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wardship.sim.vault import VaultServer


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretId:
    """One secret-id of an AppRole. `expires` None: never. `uses` 0: as often as one likes."""

    created: datetime
    expires: datetime | None = None
    uses: int = 0
    cidrs: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


def populate_small(vault: VaultServer) -> None:
    """One of everything."""
    now = vault.clock()
    vault.add_policy("shop", 'path "secret/data/shop/*" {\n  capabilities = ["read"] # its own\n}')
    vault.add_policy("admin", '{"path": {"sys/policies/acl/*": {"capabilities": ["create", "update", "sudo"]}}}')
    role_id = vault.add_approle(
        "shop",
        policies=["shop"],
        secret_ids=[
            SecretId(created=now - timedelta(days=400), metadata={"owner": "dana@acme.example"}),
            SecretId(created=now - timedelta(days=3), expires=now + timedelta(days=27), cidrs=["10.0.0.0/8"], uses=5),
        ],
    )
    vault.add_group("operators", policies=["admin"])
    entity = vault.add_entity(
        "shop",
        created=now - timedelta(days=400),
        metadata={"owner": "dana@acme.example", "environment": "production"},
        logins={"approle": role_id},
        groups=["operators"],
    )
    vault.add_entity("old-batch", created=now - timedelta(days=900), disabled=True)
    vault.add_token("approle", created=now - timedelta(hours=1), expires=now + timedelta(hours=1), entity=entity)
    vault.add_token(
        "token-ci",
        created=now - timedelta(days=200),
        expires=now + timedelta(days=1),
        period_s=86_400,
        policies=["default", "shop"],
        renewed=now - timedelta(hours=3),
    )
    vault.add_token("root", created=now - timedelta(days=500), policies=["root"])
    issuer = {"bound_issuer": "https://token.actions.githubusercontent.com"}
    vault.add_method("github-actions", "jwt", config=issuer)
    vault.add_role(
        "github-actions",
        "deploy",
        policies=["shop"],
        role_type="jwt",
        bound_subject="",
        bound_audiences=["vault"],
        bound_claims={"repository": "acme/shop"},
        bound_claims_type="string",
    )
    vault.add_role("github-actions", "anybody", role_type="jwt", bound_subject="", bound_audiences=["vault"])
    vault.add_method("kubernetes", "kubernetes", config={"kubernetes_host": "https://k8s.acme.example:6443"})
    vault.add_role(
        "kubernetes",
        "api",
        kind="kubernetes",
        bound_service_account_names=["api"],
        bound_service_account_namespaces=["billing"],
    )
    vault.add_role("userpass", "backup", kind="userpass", policies=["shop"])
    vault.add_database("main", username="vault_root")
    vault.add_database_static_role("report", username="report_ro", rotated=now - timedelta(hours=20))
    vault.add_database_role("read-only")
    vault.issue_certificate("shop.acme.example", begins=now - timedelta(days=300), ends=now + timedelta(days=65))
    vault.issue_certificate(
        "old.acme.example",
        begins=now - timedelta(days=30),
        ends=now + timedelta(days=9),
        revoked=now - timedelta(days=1),
    )
    words = {"owner": "dana@acme.example"}
    vault.add_kv(
        "shop/prod/db",
        {"user": "shop", "password": "a made-up value"},
        versions=3,
        created=now - timedelta(days=300),
        updated=now - timedelta(days=40),
        custom_metadata=words,
    )
    vault.add_kv("shop/prod/api", {"nested": {"key": "another made-up value", "port": 80}}, updated=now)
    vault.add_kv("shop/gone", {"k": "v"}, updated=now - timedelta(days=9), deleted=now - timedelta(days=8))
    vault.add_kv("legacy", {"k": "short"}, updated=now - timedelta(days=900), namespace="team-a")
    vault.add_engine("kv1", "kv")
    vault.add_kv("old/entry", {"token": "a third made-up value"}, updated=now, mount="kv1")

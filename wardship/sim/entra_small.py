"""What stands in the simulated Entra tenants of tests: one of everything, or many of one kind."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wardship.sim.entra import EntraTenant

_GRAPH = "00000003-0000-0000-c000-000000000000"


def populate_small(tenant: EntraTenant) -> Mapping[str, str]:
    """One of everything; returns ids by name."""
    now = tenant.clock()
    maria = tenant.add_user("María Ruiz", f"maria.ruiz@{tenant.domain}")
    left = tenant.add_user("Jon Aguirre", f"jon.aguirre@{tenant.domain}", active=False)
    app = tenant.add_application(
        "invoice-import",
        owners=[maria, left],
        notes=f"imports invoices; ask finance-it@{tenant.domain}",
        serviceManagementReference="CMDB-4711",
        tags=["environment:production", "criticality:high", "process:invoicing"],
        requiredResourceAccess=[
            {"resourceAppId": _GRAPH, "resourceAccess": [{"id": str(uuid.UUID(int=7)), "type": "Role"}]}
        ],
    )
    key = tenant.add_secret(app.id, name="prod", start=now - timedelta(days=500), end=now + timedelta(days=230))
    tenant.used_credential(app.id, key, now - timedelta(days=2))
    tenant.add_certificate(
        app.id, start=now - timedelta(days=30), end=now + timedelta(days=335), thumbprint="AB" * 20, name="CN=invoice"
    )
    tenant.add_federation(
        app.id,
        "main",
        issuer="https://token.actions.githubusercontent.com",
        subject="repo:acme/invoices:ref:refs/heads/main",
    )
    tenant.grant_app_role(app.sp, "Mail.Read User.Read.All", by=maria, at=now - timedelta(days=5))
    tenant.signed_in(app.sp, now - timedelta(days=2))
    tenant.assign_role(app.sp, "Directory Readers")
    tenant.assign_role(maria, "Global Administrator")
    saas = tenant.add_service_principal("Supplier SaaS", home="11111111-2222-4333-8444-555555555555")
    tenant.consent(saas, "openid Mail.Read", by=left, at=now - timedelta(days=3))
    tenant.consent(saas, "Calendars.Read", user=maria)
    tenant.signed_in(saas, now - timedelta(days=20), delegated=True)
    robot = tenant.add_managed_identity(
        "vm-billing",
        arm_id="/subscriptions/5f0c/resourcegroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/billing",
    )
    tenant.add_federation(robot, "aks", issuer="https://oidc.example/1", subject="system:serviceaccount:billing:api")
    blueprint = tenant.add_application("claims-agent-blueprint", blueprint=True)
    agent = tenant.add_agent("claims-agent", blueprint=blueprint.app_id, sponsors=[maria])
    return {"maria": maria, "left": left, "app": app.id, "app_sp": app.sp, "saas": saas, "robot": robot, "agent": agent}


def made_up(count: int, tenant: EntraTenant, owners: Iterable[str] = ()) -> None:
    """`count` plain applications, for measuring."""
    people = list(owners)
    now = tenant.clock()
    for number in range(count):
        app = tenant.add_application(f"app-{number:05d}", owners=people[number % len(people) :][:1] if people else ())
        tenant.add_secret(app.id, start=now - timedelta(days=number % 900), end=now + timedelta(days=number % 400 + 1))

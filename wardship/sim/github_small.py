"""What stands in the simulated organisation of tests: one of everything, or many repositories."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wardship.sim.github import GitHubOrganisation

ROLE = "arn:aws:iam::123456789012:role/deploy-shop"
CLIENT = "0b1c2d3e-1111-4222-8333-444455556666"
TENANT = "7b1f3c52-0a4d-4e0e-9a55-2f6f3b1c8d10"

DEPLOY = f"""\
on:
  push:
    branches: [main]
permissions:
  id-token: write
  contents: read
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: npm publish
        env:
          NPM_TOKEN: ${{{{ secrets.NPM_TOKEN }}}}
          SHARED: ${{{{ secrets.SHARED_TOKEN }}}}
  deploy:
    runs-on: ubuntu-latest
    environment: production
    steps:
      - uses: aws-actions/configure-aws-credentials@v4
        with:
          role-to-assume: {ROLE}
      - uses: azure/login@v2
        with:
          client-id: {CLIENT}
          tenant-id: {TENANT}
      - run: ./deploy
        env:
          DB_PASSWORD: ${{{{ secrets.DB_PASSWORD }}}}
          NPM_TOKEN: ${{{{ secrets.NPM_TOKEN }}}}
"""


def populate_small(acme: GitHubOrganisation) -> None:
    """One of everything."""
    now = acme.clock()
    acme.add_member("mruiz", name="María Ruiz", email="maria.ruiz@acme-iberica.example")
    acme.add_member("octoadmin")
    acme.add_outside_collaborator("contractor")
    shop = acme.add_repository("shop", properties={"environment": "production"})
    site = acme.add_repository("site", private=False)
    acme.add_repository("Old-Tools", archived=True)

    acme.add_installation(
        "acme-bot", {"metadata": "read", "contents": "read", "checks": "write"}, repositories="selected"
    )
    acme.add_installation(
        "build-service",
        {"metadata": "read", "administration": "write", "members": "read"},
        owner="buildco",
        name="Build Service",
        site="https://www.buildco.example/app",
        events=["push"],
    )
    acme.add_installation(
        "abandoned", {"metadata": "read"}, owner="gone-inc", public=False, suspended_at=now - timedelta(days=40)
    )
    acme.add_pat(
        "release",
        "mruiz",
        {"repository": {"contents": "write", "metadata": "read"}, "organization": {"members": "read"}},
        repositories=[shop, site],
        last_used_at=now - timedelta(days=1),
    )
    acme.add_pat("old", "jaguirre", {"repository": {"metadata": "read"}}, expires_at=now - timedelta(days=5))
    acme.request_pat("wants-in", "mruiz", {"repository": {"secrets": "write"}}, reason="migration")
    acme.authorise("mruiz", scopes=["repo", "read:org"], note="laptop", last_used_at=now - timedelta(days=9))
    acme.authorise("mruiz", kind="SSH key", note="laptop", fingerprint="SHA256:" + "A" * 43)
    acme.authorise("contractor", kind="OAuth app token", scopes=["admin:org"], expires_at=now + timedelta(days=5))

    acme.add_deploy_key(shop, "ci", read_only=False, added_by="jaguirre", last_used_at=now - timedelta(days=2))
    acme.add_deploy_key(site, "mirror", added_by="mruiz")
    acme.add_webhook("https://user:word@hooks.partner.example/in/abc?key=def", insecure_ssl=True)
    acme.add_webhook("https://chat.example/T0/B0", repository=shop, secret=False)
    acme.add_runner("build-1", labels=["gpu"])

    acme.add_environment(shop, "production", reviewers=["mruiz"], protected_branches=True)
    acme.add_environment(shop, "staging")
    acme.add_secret("NPM_TOKEN", updated_at=now - timedelta(days=800))
    acme.add_secret("SHARED_TOKEN", visibility="selected", repositories=[site])
    acme.add_secret("DEPENDABOT_NPM", store="dependabot")
    acme.add_secret("DEV_BOX", store="codespaces")
    acme.add_secret("DB_PASSWORD", repository=shop)
    acme.add_secret("DB_PASSWORD", repository=shop, environment="production", updated_at=now - timedelta(days=10))
    acme.add_variable("NODE_VERSION", "22")
    acme.add_variable("REGISTRY_TOKEN", "npm_" + "a1B2c3D4e5F6" * 3)
    acme.add_variable("LOG_LEVEL", "info", repository=shop)
    acme.add_variable("PAYMENT_KEY", "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc", repository=shop, environment="production")
    acme.add_workflow(shop, "deploy.yml", DEPLOY)
    acme.add_workflow(site, "lint.yml", "on: push\njobs:\n  lint:\n    runs-on: ubuntu-latest\n    steps: []\n")
    acme.add_alert(site, "stripe_api_key", "config/keys.js", line=7, validity="active")


def made_up(count: int, acme: GitHubOrganisation) -> None:
    """`count` repositories, each with a key and a secret, for measuring."""
    for number in range(count):
        name = acme.add_repository(f"service-{number:05d}")
        acme.add_deploy_key(name, "deploy")
        acme.add_secret("DEPLOY_TOKEN", repository=name)

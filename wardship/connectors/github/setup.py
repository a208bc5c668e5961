"""How to give Wardship the least it needs in an organisation: a GitHub App that may only read."""

from __future__ import annotations

from urllib.parse import urlencode

from wardship.connectors.github.manifest import MANIFEST
from wardship.sdk.connector import Capability, SetupGuide, nothing_to_grant
from wardship.sdk.i18n import N_

_CAPABILITIES = (Capability.DISCOVER, Capability.USAGE)


def setup_guide(capability: Capability, *, organisation: str, web_url: str) -> SetupGuide:
    """The guide for `capability`. Raises ConfigError for one that does not exist."""
    if capability not in _CAPABILITIES:
        raise nothing_to_grant(capability, _CAPABILITIES)
    names = [permission.name for permission in MANIFEST.permissions[capability]]
    query = {
        "name": f"wardship-{organisation}",
        "public": "false",
        "webhook_active": "false",
        **dict(name.split(":", 1) for name in names),
    }
    settings = f"{web_url}/organizations/{organisation}/settings"
    listing = "\n".join(f"#   {name}" for name in names)
    return SetupGuide(
        capability=capability,
        terraform=f"""\
# Terraform cannot register a GitHub App: do that once with the commands, then keep its repositories here.
# Permissions of the App, all of them to read:
{listing}

data "github_repositories" "all" {{
  query = "org:{organisation}"
}}

resource "github_app_installation_repositories" "wardship" {{
  installation_id       = var.wardship_installation_id
  selected_repositories = data.github_repositories.all.names
}}
""",
        cli=f"""\
# Opens the form with every permission filled in; one click registers the App:
xdg-open '{settings}/apps/new?{urlencode(query)}'

# Generate a private key on its page, install the App on all repositories, then:
chmod 600 wardship.pem
wardship connect add github {organisation} organisation={organisation} app_id=APP_ID \\
  private_key=file:$PWD/wardship.pem
""",
        portal=(
            N_("Organization settings > Developer settings > GitHub Apps > New GitHub App; no webhook, not public."),
            N_("Permissions: exactly those of the commands, each as read-only; no events."),
            N_("Generate a private key and keep the file where Wardship runs, readable by it alone."),
            N_("Install App > the organisation > All repositories: on selected ones the scan stays partial."),
            N_("Copy the App's id into `wardship connect add github`."),
        ),
        remove=(
            f"xdg-open '{settings}/installations'   # Wardship > Configure > Uninstall\n"
            f"xdg-open '{settings}/apps'            # Wardship > Edit > Advanced > Delete GitHub App\n"
            "shred -u wardship.pem\n"
        ),
    )

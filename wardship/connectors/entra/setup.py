"""How to give Wardship the least it needs in a tenant: as Terraform, as commands, as steps in the portal."""

from __future__ import annotations

from wardship.connectors.entra.manifest import MANIFEST
from wardship.sdk.connector import Capability, SetupGuide, nothing_to_grant
from wardship.sdk.i18n import N_

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
_NAMES = {
    Capability.DISCOVER: "wardship-read",
    Capability.USAGE: "wardship-read",
    Capability.ROTATE: "wardship-rotate",
    Capability.DELETE: "wardship-rotate",
}


def setup_guide(capability: Capability) -> SetupGuide:
    """The guide for `capability`. Raises ConfigError for one that does not exist or needs nothing."""
    if capability not in _NAMES:
        raise nothing_to_grant(capability, _NAMES)
    name = _NAMES[capability]
    permissions = [permission.name for permission in MANIFEST.permissions[capability]]
    return SetupGuide(
        capability=capability,
        terraform=_terraform(name, permissions),
        cli=_cli(name, permissions),
        portal=(
            N_("Entra admin center > App registrations > New registration: name it, single tenant, no redirect URI."),
            N_("Certificates & secrets > Certificates: upload the public part of a certificate made for this purpose."),
            N_("API permissions > Add > Microsoft Graph > Application permissions: add exactly those of the commands."),
            N_("Grant admin consent for the tenant, and remove the default delegated User.Read."),
            *(
                (N_("For each application to rotate: Owners > add the service principal of this registration."),)
                if name == "wardship-rotate"
                else ()
            ),
            N_("Copy the directory (tenant) id and the application (client) id into `wardship connect add entra`."),
        ),
        remove=(
            f'APP_ID=$(az ad app list --display-name {name} --query "[0].appId" -o tsv)\n'
            'az ad app delete --id "$APP_ID"   # takes the service principal and its permissions with it\n'
        ),
    )


def _terraform(name: str, permissions: list[str]) -> str:
    label = name.replace("-", "_")
    roles = "\n".join(f'    "{permission}",' for permission in permissions)
    return f"""\
data "azuread_application_published_app_ids" "well_known" {{}}

data "azuread_service_principal" "graph" {{
  client_id = data.azuread_application_published_app_ids.well_known.result["MicrosoftGraph"]
}}

locals {{
  {label}_roles = toset([
{roles}
  ])
}}

resource "azuread_application" "{label}" {{
  display_name     = "{name}"
  sign_in_audience = "AzureADMyOrg"

  required_resource_access {{
    resource_app_id = data.azuread_service_principal.graph.client_id
    dynamic "resource_access" {{
      for_each = local.{label}_roles
      content {{
        id   = data.azuread_service_principal.graph.app_role_ids[resource_access.value]
        type = "Role"
      }}
    }}
  }}
}}

resource "azuread_service_principal" "{label}" {{
  client_id = azuread_application.{label}.client_id
}}

resource "azuread_app_role_assignment" "{label}" {{
  for_each            = local.{label}_roles
  app_role_id         = data.azuread_service_principal.graph.app_role_ids[each.value]
  principal_object_id = azuread_service_principal.{label}.object_id
  resource_object_id  = data.azuread_service_principal.graph.object_id
}}

resource "azuread_application_certificate" "{label}" {{
  application_id = azuread_application.{label}.id
  type           = "AsymmetricX509Cert"
  value          = file("{name}.crt") # public part only; the key stays where Wardship runs
  end_date       = timeadd(timestamp(), "4320h")
}}
"""


def _cli(name: str, permissions: list[str]) -> str:
    roles = " ".join(permissions)
    return f"""\
openssl req -x509 -newkey rsa:3072 -nodes -days 180 -subj "/CN={name}" -keyout {name}.key -out {name}.crt
cat {name}.crt {name}.key > {name}.pem && chmod 600 {name}.pem {name}.key

APP_ID=$(az ad app create --display-name {name} --sign-in-audience AzureADMyOrg --query appId -o tsv)
az ad app credential reset --id "$APP_ID" --cert @{name}.crt --append
az ad sp create --id "$APP_ID"
for ROLE in {roles}; do
  ROLE_ID=$(az ad sp show --id {GRAPH_APP_ID} --query "appRoles[?value=='$ROLE'].id | [0]" -o tsv)
  az ad app permission add --id "$APP_ID" --api {GRAPH_APP_ID} --api-permissions "$ROLE_ID=Role"
done
az ad app permission admin-consent --id "$APP_ID"

wardship connect add entra {name} tenant_id=$(az account show --query tenantId -o tsv) \\
  client_id="$APP_ID" certificate=file:$PWD/{name}.pem
"""

"""How to give Wardship the least it needs in a Vault: as a policy in HCL, as commands, as Terraform, as steps."""

from __future__ import annotations

from wardship.sdk.connector import Capability, SetupGuide, nothing_to_grant
from wardship.sdk.i18n import N_

POLICY = """\
# Wardship reads who may open the vault and what lies in it. It changes nothing and reads no value.
# `+` stands for any mount. A key/value engine of version 1 keeps values at such paths too: where there is one, write
# the names of the other mounts instead of `+`.

# itself, the server, its engines and logins
path "auth/token/lookup-self"   { capabilities = ["read"] }
path "sys/capabilities-self"    { capabilities = ["update"] }
path "sys/mounts"               { capabilities = ["read"] }
path "sys/auth"                 { capabilities = ["read"] }
path "sys/audit"                { capabilities = ["read", "sudo"] }
path "sys/namespaces/*"         { capabilities = ["list"] }

# list, read: policies, roles, users, entities, groups
path "sys/policies/acl/*"       { capabilities = ["list", "read"] }
path "auth/+/role/*"            { capabilities = ["list", "read"] }
path "auth/+/roles/*"           { capabilities = ["list", "read"] }
path "auth/+/users/*"           { capabilities = ["list", "read"] }
path "auth/+/certs/*"           { capabilities = ["list", "read"] }
path "auth/+/config"            { capabilities = ["read"] }
path "identity/entity/id/*"     { capabilities = ["list", "read"] }
path "identity/group/id/*"      { capabilities = ["list", "read"] }

# list, update: secret-ids by their accessor (the look-up is an update to Vault)
path "auth/+/role/+/secret-id"  { capabilities = ["list"] }
path "auth/+/role/+/secret-id-accessor/lookup" { capabilities = ["update"] }

# list, sudo: tokens by their accessor
path "auth/token/accessors/*"   { capabilities = ["list", "sudo"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }

# key/value engines of version 2. One of version 1 has no metadata path; list it by its own name:
#   path "kv1/*" { capabilities = ["list"] }
path "+/metadata/*"             { capabilities = ["list", "read"] }

# databases: the accounts that Vault rotates or makes
path "+/config/*"               { capabilities = ["list", "read"] }
path "+/static-roles/*"         { capabilities = ["list", "read"] }
path "+/roles/*"                { capabilities = ["list", "read"] }

# PKI: what was issued
path "+/certs/*"                { capabilities = ["list"] }
path "+/cert/*"                 { capabilities = ["read"] }
"""

DATA_POLICY = """\
# Only for fingerprints=true: reads the values of the named engine to keep their keyed fingerprints.
path "+/data/*" { capabilities = ["read"] }
"""


def setup_guide(capability: Capability) -> SetupGuide:
    """The guide for `capability`. Raises ConfigError for one that does not exist."""
    if capability is not Capability.DISCOVER:
        raise nothing_to_grant(capability, (Capability.DISCOVER,))
    return SetupGuide(
        capability=capability,
        terraform=_terraform(),
        cli=_cli(),
        portal=(
            N_("Access > Policies > Create: name it wardship-read and paste the policy of the commands."),
            N_("Access > Auth methods: enable AppRole, if it is not there."),
            N_("Make the AppRole wardship with that policy and a token life of 20 minutes, with the commands below."),
            N_("Give Wardship the role id as it is and the secret id as a reference (file: or env:)."),
            N_("With child namespaces: repeat the policy in each, or give the AppRole of the parent a group there."),
        ),
        remove=(
            "vault delete auth/approle/role/wardship\n"
            "vault policy delete wardship-read\n"
            "vault policy delete wardship-fingerprints   # if it was made\n"
        ),
    )


def _cli() -> str:
    return f"""\
# OpenBao: the same with `bao` in place of `vault`
vault policy write wardship-read - <<'HCL'
{POLICY}HCL

vault auth enable approle   # an error if it is there already: go on
vault write auth/approle/role/wardship token_policies=wardship-read token_ttl=20m token_max_ttl=1h \\
  secret_id_ttl=2160h secret_id_num_uses=0
ROLE_ID=$(vault read -field=role_id auth/approle/role/wardship/role-id)
(umask 077; vault write -f -field=secret_id auth/approle/role/wardship/secret-id > wardship.secret-id)

wardship connect add vault main url="$VAULT_ADDR" role_id="$ROLE_ID" secret_id=file:$PWD/wardship.secret-id

# Only if secrets in code are to be matched with their entries (fingerprints=true):
vault policy write wardship-fingerprints - <<'HCL'
{DATA_POLICY}HCL
vault write auth/approle/role/wardship token_policies=wardship-read,wardship-fingerprints
"""


def _terraform() -> str:
    return f"""\
resource "vault_policy" "wardship_read" {{
  name   = "wardship-read"
  policy = <<-HCL
{_indented(POLICY)}  HCL
}}

resource "vault_auth_backend" "approle" {{
  type = "approle"
}}

resource "vault_approle_auth_backend_role" "wardship" {{
  backend        = vault_auth_backend.approle.path
  role_name      = "wardship"
  token_policies = [vault_policy.wardship_read.name]
  token_ttl      = 1200
  token_max_ttl  = 3600
  secret_id_ttl  = 7776000
}}

# The secret id is made by hand (the commands show how): Terraform would keep it in its state.
"""


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())

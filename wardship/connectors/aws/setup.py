"""`connect setup aws`: the least-privilege role for each capability as Terraform, CLI and portal steps.

The statement is made from the manifest, so that what is asked for and what is used cannot part.
"""

from __future__ import annotations

import json
from typing import Any

from wardship.connectors.aws.manifest import MANIFEST
from wardship.model.errors import ConfigError
from wardship.sdk.connector import Capability, SetupGuide
from wardship.sdk.i18n import N_, _

# Keys of users only, and not those of the role or of whoever breaks the glass.
_ACTING_RESOURCE = "arn:aws:iam::*:user/*"
_UNSCOPED = ("cloudtrail:LookupEvents", "iam:GetAccessKeyLastUsed")
_API_KEYS = "arn:aws:apigateway:*::/apikeys"
_ACTING = (Capability.ROTATE, Capability.DISABLE, Capability.DELETE)


def policy(capability: Capability) -> dict[str, Any]:
    """The policy document for a capability. Raises ConfigError where the connector does not have it."""
    permissions = MANIFEST.permissions.get(capability)
    if not permissions:
        raise ConfigError(
            _("the AWS connector needs no permission for %(capability)s") % {"capability": capability.value}
        )
    actions = sorted({permission.name for permission in permissions})
    if capability in _ACTING:
        on_users = [action for action in actions if action not in _UNSCOPED]
        unscoped = [action for action in actions if action in _UNSCOPED]
        parts = [("Keys", on_users, _ACTING_RESOURCE), ("Evidence", unscoped, "*")]
    else:
        anywhere = [action for action in actions if not action.startswith("apigateway:")]
        gateway = [action for action in actions if action.startswith("apigateway:")]
        parts = [("Read", anywhere, "*"), ("ApiKeys", gateway, _API_KEYS)]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": sid, "Effect": "Allow", "Action": listed, "Resource": resource}
            for sid, listed, resource in parts
            if listed
        ],
    }


def guide(capability: Capability) -> SetupGuide:
    """How to make the role, and how to remove it. Raises ConfigError as `policy`."""
    name = f"wardship-{capability.value}"
    document = json.dumps(policy(capability), indent=2)
    return SetupGuide(
        capability=capability,
        terraform=_TERRAFORM % {"name": name, "id": name.replace("-", "_"), "policy": _indented(document)},
        cli=_CLI % {"name": name, "policy": document},
        portal=(
            N_("IAM, Policies, Create policy, JSON: paste the policy shown under CLI, name it as there."),
            N_("IAM, Roles, Create role, AWS account: choose the account Wardship runs in, require an external id."),
            N_("Attach the policy, and nothing else. Give the role the same name as the policy."),
            N_("Set role_arn and external_id of the connection to those of the role."),
            N_("For an organisation: make the same role in every account with a stack set, and set member_role."),
        ),
        remove=_REMOVE % {"name": name},
    )


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


_TERRAFORM = """\
variable "wardship_principal" {
  type        = string
  description = "ARN of the role or user Wardship runs as"
}

variable "wardship_external_id" {
  type      = string
  sensitive = true
}

resource "aws_iam_role" "%(id)s" {
  name = "%(name)s"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = var.wardship_principal }
      Condition = { StringEquals = { "sts:ExternalId" = var.wardship_external_id } }
    }]
  })
}

resource "aws_iam_role_policy" "%(id)s" {
  name   = "%(name)s"
  role   = aws_iam_role.%(id)s.id
  policy = <<-POLICY
  %(policy)s
  POLICY
}
"""

_CLI = """\
# PRINCIPAL: ARN of the role or user Wardship runs as. EXTERNAL_ID: a value you make up, and give to the connection.
cat > trust.json <<END
{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
 "Principal": {"AWS": "$PRINCIPAL"}, "Condition": {"StringEquals": {"sts:ExternalId": "$EXTERNAL_ID"}}}]}
END
cat > policy.json <<'END'
%(policy)s
END
aws iam create-role --role-name %(name)s --assume-role-policy-document file://trust.json
aws iam put-role-policy --role-name %(name)s --policy-name %(name)s --policy-document file://policy.json
"""

_REMOVE = """\
aws iam delete-role-policy --role-name %(name)s --policy-name %(name)s
aws iam delete-role --role-name %(name)s
"""

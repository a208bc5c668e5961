"""`connect check`: which of the manifest's permissions a credential has, without changing anything.

IAM is asked to evaluate them (SimulatePrincipalPolicy). Where that is not allowed, harmless reads are tried; what
could only be learned by changing something stays None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wardship.connectors.aws.session import Api, Gone
from wardship.model.errors import Error, FatalError, MissingScope, RetryableError, SkippableError
from wardship.sdk.connector import Capability, CheckResult, Manifest
from wardship.sdk.i18n import _

# A read that needs the permission and nothing else. What is not here cannot be tried harmlessly or needs an id.
_TRIES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "iam:GetAccountAuthorizationDetails": (
        "iam",
        "GetAccountAuthorizationDetails",
        {"Filter": ["Group"], "MaxItems": 1},
    ),
    "iam:GetAccountSummary": ("iam", "GetAccountSummary", {}),
    "iam:GenerateCredentialReport": ("iam", "GenerateCredentialReport", {}),
    "iam:GetCredentialReport": ("iam", "GetCredentialReport", {}),
    "iam:ListOpenIDConnectProviders": ("iam", "ListOpenIDConnectProviders", {}),
    "iam:ListSAMLProviders": ("iam", "ListSAMLProviders", {}),
    "iam:ListAccessKeys": ("iam", "ListAccessKeys", {"UserName": "wardship-no-such-user"}),
    "iam:GetUser": ("iam", "GetUser", {"UserName": "wardship-no-such-user"}),
    "iam:GetRole": ("iam", "GetRole", {"RoleName": "wardship-no-such-role"}),
    "iam:GetLoginProfile": ("iam", "GetLoginProfile", {"UserName": "wardship-no-such-user"}),
    "organizations:ListAccounts": ("organizations", "ListAccounts", {"MaxResults": 1}),
    "sso:ListInstances": ("sso-admin", "ListInstances", {"MaxResults": 1}),
    "secretsmanager:ListSecrets": ("secretsmanager", "ListSecrets", {"MaxResults": 1}),
    "acm:ListCertificates": ("acm", "ListCertificates", {"MaxItems": 1}),
    "apigateway:GET": ("apigateway", "GetApiKeys", {"limit": 1, "includeValues": False}),
    "rolesanywhere:ListTrustAnchors": ("rolesanywhere", "ListTrustAnchors", {}),
    "cloudtrail:LookupEvents": ("cloudtrail", "LookupEvents", {"MaxResults": 1}),
}


def check(api: Api, caller_arn: str, account: str, manifest: Manifest) -> Sequence[CheckResult]:
    """One line for each permission of each capability. Raises AuthenticationFailed when nothing can be asked."""
    names = sorted({one.name for permissions in manifest.permissions.values() for one in permissions})
    verdicts = _simulated(api, caller_arn, account, names)
    how = _("IAM's own evaluation")
    if verdicts is None:
        how = _("tried")
        verdicts = {name: _tried(api, name) for name in names}
    results = []
    for capability, permissions in manifest.permissions.items():
        for one in permissions:
            allowed = verdicts.get(one.name)
            results.append(_line(capability, one.name, allowed, how))
    return results


def _line(capability: Capability, name: str, allowed: bool | None, how: str) -> CheckResult:
    detail = how if allowed is not None else _("cannot be tried without changing something")
    return CheckResult(permission=name, capability=capability, allowed=allowed, detail=detail)


def _simulated(api: Api, caller_arn: str, account: str, names: Sequence[str]) -> dict[str, bool | None] | None:
    """IAM's verdicts, or None when it may not be asked (or the caller is the root user, whom it does not judge)."""
    source = _principal(caller_arn, account)
    if source is None:
        return None
    try:
        verdicts: dict[str, bool | None] = {}
        params: dict[str, Any] = {"PolicySourceArn": source, "ActionNames": list(names)}
        while True:
            answer = api.call("iam", "SimulatePrincipalPolicy", params)
            for entry in answer.get("EvaluationResults", ()):
                verdicts[str(entry.get("EvalActionName"))] = entry.get("EvalDecision") == "allowed"
            if not answer.get("IsTruncated"):
                return verdicts
            params["Marker"] = answer["Marker"]
    except (SkippableError, RetryableError, FatalError):
        return None


def _principal(caller_arn: str, account: str) -> str | None:
    """The ARN whose policies count: of a session, its role's. The role's path is not in a session's ARN; a role
    with one is not found, and the permissions are tried instead."""
    if caller_arn.endswith(":root"):
        return None
    if ":assumed-role/" in caller_arn:
        partition = caller_arn.split(":")[1]
        return f"arn:{partition}:iam::{account}:role/{caller_arn.split('/')[1]}"
    return caller_arn


def _tried(api: Api, name: str) -> bool | None:
    call = _TRIES.get(name)
    if call is None:
        return None
    service, operation, params = call
    try:
        api.call(service, operation, params)
    except MissingScope:
        return False
    except Gone:
        return True  # we were let in far enough to learn that there is no such thing
    except Error:
        return None
    return True

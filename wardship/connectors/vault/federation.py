"""What a role demands of a foreign token, in the words that other systems' trusts use, so that one rule judges all.

The condition is canonical JSON of {test: {"<issuer>:<claim>": value}}, StringEquals for exact values and StringLike for
globs. A claim that fixes the subject without naming it is written as that subject too (`subject_from` says so): a
GitHub token whose `repository` is acme/app has a subject that begins with repo:acme/app: and no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wardship.connectors.vault.fields import Fields
from wardship.sdk.fields import clean

_SUBJECT_OF_CLAIM = {"repository": "repo:{}:*", "project_path": "project_path:{}:*"}
_MOST_CLAIMS = 50


def issuer_of(kind: str, mount: str, config: Fields | None) -> str:
    """Whose tokens are trusted: the issuer without its scheme; the mount's name where it is not said."""
    names = ("bound_issuer", "oidc_discovery_url", "jwks_url", "issuer", "kubernetes_host")
    said = next((text for name in names if config is not None and (text := config.text(name))), None)
    return (said or mount.removeprefix("auth/").rstrip("/") or kind).removeprefix("https://").rstrip("/")


def protocol_of(kind: str, role_type: str | None) -> str:
    """ "oidc": a token is judged by its claims alone. A person at a browser ("oidc_login") is another matter."""
    if kind in ("jwt", "oidc"):
        return "oidc_login" if role_type == "oidc" or (kind == "oidc" and role_type is None) else "oidc"
    return {"kubernetes": "oidc", "cert": "x509"}.get(kind, kind)


def condition_of(kind: str, role: Fields, issuer: str) -> tuple[str | None, dict[str, Any]]:
    """(canonical JSON of what is demanded, or None where nothing is; further attributes)."""
    tests: dict[str, dict[str, list[str]]] = {}
    more: dict[str, Any] = {}

    def demand(claim: str, values: list[str], *, glob: bool) -> None:
        like = glob and any("*" in value for value in values)
        tests.setdefault("StringLike" if like else "StringEquals", {})[f"{issuer}:{claim}"] = values

    if kind == "kubernetes":
        subjects = _service_accounts(role)
        if subjects:
            demand("sub", subjects, glob=True)
        if selector := role.text("bound_service_account_namespace_selector"):
            more["namespace_selector"] = selector
    elif kind in ("jwt", "oidc"):
        glob = role.text("bound_claims_type") == "glob"
        if audiences := role.texts("bound_audiences"):
            demand("aud", audiences, glob=False)
        claims = _claims(role.raw.get("bound_claims"))
        for claim, values in claims.items():
            demand(claim, values, glob=glob)
        if subject := role.text("bound_subject"):
            demand("sub", [subject], glob=False)
        elif "sub" not in claims:
            fixing = next((claim for claim in _SUBJECT_OF_CLAIM if claim in claims), None)
            if fixing is not None:
                demand("sub", [_SUBJECT_OF_CLAIM[fixing].format(value) for value in claims[fixing]], glob=True)
                more["subject_from"] = fixing
    elif kind == "cert":
        for name in ("allowed_names", "allowed_common_names", "allowed_dns_sans", "allowed_uri_sans"):
            if values := role.texts(name):
                demand(name, values, glob=True)
    elif kind == "aws":
        for name in ("bound_iam_principal_arn", "bound_account_id", "bound_ami_id", "bound_iam_role_arn"):
            if values := role.texts(name):
                demand(name, values, glob=True)
    if not tests:
        return None, more
    one_or_many: Mapping[str, Any] = {
        test: {claim: values[0] if len(values) == 1 else values for claim, values in claims.items()}
        for test, claims in tests.items()
    }
    return clean(json.dumps(one_or_many, sort_keys=True, separators=(",", ":"), ensure_ascii=False)), more


def _service_accounts(role: Fields) -> list[str]:
    names = role.texts("bound_service_account_names") or ["*"]
    spaces = role.texts("bound_service_account_namespaces") or ["*"]
    if names == ["*"] and spaces == ["*"]:
        selected = role.text("bound_service_account_namespace_selector")
        return ["system:serviceaccount:*"] if selected else ["*"]  # any service account of the cluster
    return [f"system:serviceaccount:{space}:{name}" for space in spaces for name in names][:_MOST_CLAIMS]


def _claims(raw: Any) -> dict[str, list[str]]:
    if not isinstance(raw, dict):
        return {}
    found: dict[str, list[str]] = {}
    for claim, value in list(raw.items())[:_MOST_CLAIMS]:
        values = value if isinstance(value, list) else [value]
        words = [clean(str(one)) for one in values if isinstance(one, str | int | float | bool)]
        if words and isinstance(claim, str) and claim:
            found[clean(claim)] = words[:_MOST_CLAIMS]
    return found

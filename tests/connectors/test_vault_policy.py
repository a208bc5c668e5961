"""Policies of Vault: every way to write one, and how much a statement can do."""

from __future__ import annotations

import json
import random

import pytest

from wardship.connectors.vault.certificates import certificate
from wardship.connectors.vault.federation import condition_of, issuer_of, protocol_of
from wardship.connectors.vault.fields import Fields
from wardship.connectors.vault.policy import Statement, reaches_everything, read_policy, tier_of
from wardship.model.access import Tier
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog

ENGINES = {"secret/": "kv2", "old/": "kv1", "db/": "database", "pki/": "pki", "transit/": "transit", "aws/": "aws"}

HCL = """
# a comment with "quotes" and { braces }
path "secret/data/{{identity.entity.name}}/*" {   // another
  capabilities = ["create", "read", "update"]
  allowed_parameters = { "*" = [] }
  min_wrapping_ttl = "1s"
}
/* of several
   lines */
path "secret/+/team/*" { capabilities = ["list",] }
"path" "old/*" { policy = "write" }
path "sys/raw" { capabilities = ["deny"] }
name = "something else"
"""


def test_the_text_is_read_as_people_write_it() -> None:
    found = read_policy(HCL)
    assert [statement.path for statement in found] == [
        "secret/data/{{identity.entity.name}}/*",
        "secret/+/team/*",
        "old/*",
        "sys/raw",
    ]
    assert found[0].capabilities == ("create", "read", "update")
    assert found[0].condition == '{"allowed_parameters":{"*":[]},"min_wrapping_ttl":"1s"}'
    assert found[2].capabilities == ("create", "delete", "list", "read", "update")
    assert [statement.denies for statement in found] == [False, False, False, True]


def test_json_says_the_same_as_hcl() -> None:
    text = json.dumps({"path": {"secret/*": {"capabilities": ["read", "list"]}}})
    assert read_policy(text) == read_policy('path "secret/*" { capabilities = ["list", "read"] }')
    listed = json.dumps({"path": [{"a": {"capabilities": ["read"]}}, {"b": [{"policy": "deny"}]}]})
    assert [(s.path, s.denies) for s in read_policy(listed)] == [("a", False), ("b", True)]


@pytest.mark.parametrize("text", ["", "# nothing", "{}", '{"path": null}', 'name = "x"'])
def test_a_policy_may_say_nothing(text: str) -> None:
    assert read_policy(text) == []


@pytest.mark.parametrize(
    "text",
    [
        'path "a" { capabilities = ["read" }',
        'path "a" {',
        'path { capabilities = ["read"] }',
        'path "a" "b" { capabilities = [] }',
        'path "a { }',
        "{not json",
        '{"path": {"a": "b"}}',
        '{"path": 7}',
        '{"path": {"a": {"capabilities": [{}]}}}',
        "path = " + "[" * 100_000,
        "[" * 100_000,
        '{"path":' * 100_000,
        "@",
        "x" * 1_000_001,
        "x = " + "9" * 5_000,
        '{"path": ' + "9" * 5_000 + "}",
    ],
)
def test_what_cannot_be_read_is_a_data_error(text: str) -> None:
    with pytest.raises(DataError):
        read_policy(text)


def test_no_text_brings_another_error() -> None:
    chance = random.Random(3)
    bends = ('"', "{", "}", "[", "]", "=", "\x00", "\ud800", "", "#", "<<E\n")
    for _turn in range(2_000):
        text = list(HCL)
        for _bend in range(chance.randint(1, 6)):
            at = chance.randrange(len(text))
            text[at : at + chance.randint(0, 4)] = chance.choice(bends)
        try:
            for statement in read_policy("".join(text)):
                tier_of(statement, ENGINES)
        except DataError:
            continue


@pytest.mark.parametrize(
    ("path", "capabilities", "tier"),
    [
        ("*", "read", Tier.CONTROL_PLANE),  # a snapshot is the whole vault
        ("*", "list", Tier.READ),
        ("+/*", "update", Tier.CONTROL_PLANE),
        ("sys/policies/acl/team-*", "update", Tier.CONTROL_PLANE),
        ("sys/policies/acl/*", "list,read", Tier.READ),
        ("sys/pol*", "create", Tier.CONTROL_PLANE),
        ("sys/mounts", "read", Tier.READ),
        ("sys/auth/approle", "create,sudo", Tier.CONTROL_PLANE),
        ("sys/leases/revoke-prefix/*", "update", Tier.WRITE),
        ("sys/capabilities-self", "update", Tier.READ),
        ("sys/wrapping/*", "update", Tier.READ),
        ("sys/audit", "read,sudo", Tier.READ),
        ("sys/something-new", "update", Tier.WRITE),
        ("auth/approle/role/app/secret-id", "update", Tier.CONTROL_PLANE),  # to become that role
        ("auth/approle/login", "update", Tier.READ),
        ("auth/token/create", "update", Tier.WRITE),
        ("auth/token/create/role", "update", Tier.CONTROL_PLANE),
        ("auth/token/accessors/*", "list,sudo", Tier.READ),
        ("auth/token/renew-self", "update", Tier.READ),
        ("auth/*", "read,update", Tier.CONTROL_PLANE),
        ("identity/entity/id/*", "read", Tier.READ),
        ("identity/entity/id/*", "update", Tier.CONTROL_PLANE),
        ("cubbyhole/*", "create,read", Tier.READ),
        ("secret/*", "read", Tier.SENSITIVE_READ),
        ("secret/data/shop/*", "read", Tier.SENSITIVE_READ),
        ("secret/data/shop/*", "update", Tier.WRITE),
        ("secret/metadata/*", "list,read", Tier.READ),
        ("secret/metadata/*", "delete", Tier.WRITE),
        ("+/metadata/*", "list,read", Tier.SENSITIVE_READ),  # of the version 1 engine it reads values
        ("old/metadata/x", "read", Tier.SENSITIVE_READ),
        ("+/data/*", "read", Tier.SENSITIVE_READ),
        ("old/app", "read", Tier.SENSITIVE_READ),
        ("old/app", "list", Tier.READ),
        ("db/creds/read-only", "read", Tier.SENSITIVE_READ),
        ("db/static-roles/*", "read", Tier.READ),
        ("db/roles/x", "update", Tier.CONTROL_PLANE),
        ("pki/issue/web", "update", Tier.WRITE),
        ("pki/sign-verbatim/web", "update", Tier.CONTROL_PLANE),
        ("pki/cert/ca", "read", Tier.READ),
        ("transit/decrypt/key", "update", Tier.SENSITIVE_READ),
        ("transit/encrypt/key", "update", Tier.READ),
        ("aws/creds/admin", "read", Tier.SENSITIVE_READ),
        ("elsewhere/data/x", "read", Tier.SENSITIVE_READ),  # no such mount now
        ("elsewhere/metadata/x", "list", Tier.READ),
        ("secret/data/{{identity.entity.id}}/*", "read", Tier.SENSITIVE_READ),
        ("secret/data/x", "", Tier.UNKNOWN),
    ],
)
def test_the_tier_is_the_worst_that_a_path_gives(path: str, capabilities: str, tier: Tier) -> None:
    statement = Statement(path, tuple(word for word in capabilities.split(",") if word), None)
    assert tier_of(statement, ENGINES) is tier


def test_metadata_of_version_2_engines_alone_is_no_secret() -> None:
    reader = Statement("+/metadata/*", ("list", "read"), None)
    assert tier_of(reader, {"secret/": "kv2", "db/": "database", "aws/": "aws"}) is Tier.READ
    assert tier_of(reader, {}) is Tier.READ, "and where the mounts may not be listed"


def test_only_what_reaches_everything_is_said_to() -> None:
    wide = [
        path
        for path in ("*", "+/*", "+/data/*", "secret/*", "sys/*", "s*")
        if reaches_everything(Statement(path, ("read",), None))
    ]
    assert wide == ["*", "+/*", "+/data/*"]


# ---------------------------------------------------------------- what a role demands


def demanded(kind: str, **role: object) -> tuple[str | None, dict[str, object]]:
    return condition_of(kind, Fields(role, "role", DriftLog()), "issuer.example")


def test_any_service_account_of_a_cluster_is_any_subject() -> None:
    anybody = demanded("kubernetes", bound_service_account_names=["*"], bound_service_account_namespaces=["*"])[0]
    assert anybody == '{"StringLike":{"issuer.example:sub":"*"}}'
    one_space = demanded("kubernetes", bound_service_account_names=["*"], bound_service_account_namespaces=["pay"])[0]
    assert one_space == '{"StringLike":{"issuer.example:sub":"system:serviceaccount:pay:*"}}'


def test_a_role_without_any_demand_has_no_condition() -> None:
    assert demanded("jwt", bound_claims=None, bound_subject="") == (None, {})
    assert demanded("jwt", bound_claims="odd", bound_audiences=7) == (None, {})


def test_a_subject_that_is_named_is_not_guessed() -> None:
    condition, more = demanded("jwt", bound_subject="repo:a/b:ref:x", bound_claims={"repository": "c/d"})
    assert '"issuer.example:sub":"repo:a/b:ref:x"' in str(condition)
    assert more == {}


def test_a_person_at_a_browser_is_no_federation_of_workloads() -> None:
    assert protocol_of("oidc", "oidc") == "oidc_login"
    assert protocol_of("jwt", "jwt") == "oidc"
    assert issuer_of("jwt", "auth/gitlab/", None) == "gitlab"


@pytest.mark.parametrize(
    "pem", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "é", "A" * 200_000]
)
def test_what_is_no_certificate_is_a_data_error(pem: str) -> None:
    with pytest.raises(DataError):
        certificate(pem)

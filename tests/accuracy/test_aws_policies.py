"""How the reading of AWS policies fares on data that others labelled; floors in floors.toml, figures printed.

The lists of `resource exposure` were written with the catalogue at hand: their agreement shows that both mean the
same, not that either is right. The other lists differ on purpose, and `WHY` says where.
"""

from __future__ import annotations

import io
import json
import tarfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard

from wardship.connectors.aws import import_files
from wardship.connectors.aws.policy import facts, read_document, risk_flags
from wardship.model.access import Grant, Tier
from wardship.model.identity import Identity, Standing
from wardship.sdk.connector import Connection

FLOORS = tomllib.loads(Path(__file__).with_name("floors.toml").read_text(encoding="utf-8"))
FLAGS = ("privesc", "credentials_exposure", "data_access", "resource_exposure")
OURS = {
    "privesc": ("escalation", "takeover", "delegation"),
    "credentials_exposure": ("credentials",),
    "data_access": ("data",),
    "resource_exposure": ("exposure",),
}
THEIRS = {
    "privesc": "PrivEsc",
    "credentials_exposure": "CredentialExposure",
    "data_access": "DataAccess",
    "resource_exposure": "ResourceExposure",
}
SCANNER = {
    "privesc": "PrivilegeEscalation",
    "credentials_exposure": "CredentialsExposure",
    "data_access": "DataExfiltration",
    "resource_exposure": "ResourceExposure",
}
# What only the other scanner says, with our reason not to.
EXPLAINED = {
    (
        "SecurityAudit",
        "ResourceExposure",
    ): "it counts quicksight:Describe...Permissions as changing permissions; they look",
}
WHY = {
    "privesc": "ours adds takeover: running code as, or taking the session of, an identity that is there",
    "credentials_exposure": "ours adds GetSecretValue and GetApiKeys; theirs WAF change tokens",
    "data_access": "ours adds kms:Decrypt, logs:FilterLogEvents, snapshots; theirs chat and meeting metadata",
    "resource_exposure": "theirs has internal sso actions that no policy names",
}


def member(archive: Path, name: str) -> bytes:
    with archive.open("rb") as packed:
        plain = zstandard.ZstdDecompressor().stream_reader(packed).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        found = tar.extractfile(next(one for one in tar.getmembers() if one.name.endswith(name)))
        assert found is not None
        return found.read()


@pytest.fixture(scope="module")
def policies(shared: Path) -> list[dict[str, Any]]:
    text = member(shared / "data" / "aws-managed-policies" / "policies.tar.zst", "policies.jsonl")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def catalogue(shared: Path) -> dict[str, Any]:
    text = member(shared / "data" / "iam-catalogs" / "catalogs.tar.zst", "iam-dataset/aws/tags.json")
    return dict(json.loads(text)["iam"])


def test_flags_of_managed_policies(policies: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    counts: dict[str, Counter[tuple[bool, bool]]] = {flag: Counter() for flag in FLAGS}
    for policy in policies:
        found = risk_flags(policy["document"])
        for flag in FLAGS:
            counts[flag][found[flag], policy["labels"][flag]] += 1
    with capsys.disabled():
        print(f"\n{len(policies)} AWS managed policies  both  only ours  only theirs     F1")
        for flag, count in counts.items():
            both, ours, theirs = count[True, True], count[True, False], count[False, True]
            f1 = 2 * both / (2 * both + ours + theirs)
            print(f"  {flag:24}{both:8}{ours:11}{theirs:13}{f1:7.3f}  {WHY[flag]}")
            assert f1 >= FLOORS["aws_managed_policies"][flag], flag


def test_every_policy_of_aws_can_be_read_and_judged(policies: list[dict[str, Any]]) -> None:
    for policy in policies:
        for statement in read_document(policy["document"]):
            assert statement.permission
            assert (statement.tier is Tier.UNKNOWN) == (statement.effect == "deny"), policy["name"]


def test_administrators_are_control_plane_and_read_only_is_not(policies: list[dict[str, Any]]) -> None:
    by_name = {policy["name"]: policy["document"] for policy in policies}
    for name in ("IAMFullAccess", "AWSOrganizationsFullAccess"):
        assert any(one.tier is Tier.CONTROL_PLANE for one in read_document(by_name[name])), name
    for name in ("AWSCloudFormationReadOnlyAccess", "AWSCloudTrail_ReadOnlyAccess", "AWSNetworkFirewallReadOnlyAccess"):
        tiers = {one.tier for one in read_document(by_name[name])}
        assert tiers <= {Tier.READ, Tier.SENSITIVE_READ}, (name, tiers)


def test_lists_of_actions_beside_the_catalogue(catalogue: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\naction lists                ours  theirs   in both")
        for flag, classes in OURS.items():
            ours = frozenset().union(*(facts()[name] for name in classes))
            theirs = {action.lower() for action in catalogue[THEIRS[flag]]}
            share = len(ours & theirs) / len(theirs)
            print(f"  {flag:24}{len(ours):6}{len(theirs):8}{len(ours & theirs):10}  {share:.2f}")
            assert share >= FLOORS["aws_action_lists"][flag], sorted(theirs - ours)


def test_no_listed_action_is_misspelt(policies: list[dict[str, Any]], catalogue: dict[str, Any]) -> None:
    """Each is known to the catalogue, named in a policy of AWS's, or an operation that botocore has."""
    known = {action.lower() for actions in catalogue.values() for action in actions} | set(_operations())
    for policy in policies:
        for one in read_document(policy["document"]):
            known |= {action.lower() for action in one.actions}
    listed = {action for actions in facts().values() for action in actions}
    assert listed - known == set()


def _operations() -> Iterator[str]:
    from botocore.session import get_session

    session = get_session()
    prefixes = {"sso-admin": "sso", "sesv2": "ses"}
    for service in {action.partition(":")[0] for actions in facts().values() for action in actions} | set(prefixes):
        if service in session.get_available_services():
            for operation in session.get_service_model(service).operation_names:
                yield f"{prefixes.get(service, service)}:{operation}".lower()


# ------------------------------------------------------------------ a whole account


@pytest.fixture(scope="module")
def account(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """(the export, the records made of it, what another scanner says)"""
    archive = shared / "data" / "cloudsplaining" / "authz.tar.zst"
    path = tmp_path_factory.mktemp("cloudsplaining") / "details.json"
    path.write_bytes(member(archive, "account-authorization-details.json"))

    def clock() -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    files = import_files([path], Connection(name="x", connector="aws", clock=clock))
    records = []
    for scope in files.scopes():
        for page in files.fetch(scope, None):
            for item in page.items:
                records.extend(files.parse(scope, item))
    return json.loads(path.read_bytes()), records, json.loads(member(archive, "expected-cloudsplaining-0.9.1.json"))


def test_everything_of_the_account_is_there(account: tuple[dict[str, Any], list[Any], dict[str, Any]]) -> None:
    export, records, _ = account
    identities = {
        one.native_id for one in records if isinstance(one, Identity) and one.standing is not Standing.PROVIDER_MANAGED
    }
    expected = {one["Arn"] for name in ("UserDetailList", "RoleDetailList") for one in export[name]}
    assert len(expected & identities) / len(expected) >= FLOORS["cloudsplaining"]["completeness"]
    held = {one.via.split(" > ")[-1] for one in records if isinstance(one, Grant) and one.via}
    groups = {one["GroupName"]: one for one in export["GroupDetailList"]}
    for principal in [*export["UserDetailList"], *export["RoleDetailList"]]:
        holders = [principal, *(groups[name] for name in principal.get("GroupList", ()))]
        for holder in holders:
            for policy in holder["AttachedManagedPolicies"]:
                assert policy["PolicyArn"] in held
            for inline in ("UserPolicyList", "RolePolicyList", "GroupPolicyList"):
                assert {f"inline:{policy['PolicyName']}" for policy in holder.get(inline, ())} <= held
    assert not [one for one in records if isinstance(one, Grant) and one.attributes.get("read") is False]


def test_agreement_with_another_scanner(
    account: tuple[dict[str, Any], list[Any], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the other scanner sees escalation or credentials, so do we; what only we see is printed with its reason."""
    export, _, theirs = account
    documents = {}
    for policy in export["Policies"]:
        document = next(one["Document"] for one in policy["PolicyVersionList"] if one["IsDefaultVersion"])
        documents[policy["PolicyId"]] = document
    seen = Counter[tuple[str, bool, bool]]()
    only_theirs = []
    for kind in ("customer_managed_policies", "aws_managed_policies"):
        for policy_id, finding in theirs[kind].items():
            flags = risk_flags(documents[policy_id])
            for flag, word in SCANNER.items():
                said = bool(finding[word]["findings"] if isinstance(finding[word], dict) else finding[word])
                seen[flag, flags[flag], said] += 1
                if said and not flags[flag]:
                    only_theirs.append((finding["PolicyName"], word))
    with capsys.disabled():
        print("\naccount of cloudsplaining   both  only ours  only theirs")
        for flag in FLAGS:
            print(f"  {flag:24}{seen[flag, True, True]:6}{seen[flag, True, False]:11}{seen[flag, False, True]:13}")
    assert set(only_theirs) == set(EXPLAINED)

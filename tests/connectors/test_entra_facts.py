"""Our tables of Microsoft's names, held against others' catalogues. The floors may only rise."""

from __future__ import annotations

import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.conftest import ROOT
from wardship.connectors.entra import facts
from wardship.connectors.entra.manifest import MANIFEST
from wardship.model.access import Tier
from wardship.model.errors import ConfigError

FLOORS = tomllib.loads((ROOT / "tests" / "accuracy" / "floors.toml").read_text(encoding="utf-8"))
AGREEMENT_FLOOR = FLOORS["graph_permissions"]["control_plane"]  # of what EntraOps calls control plane, we do too
EXTRA_CEILING = 10  # what we call control plane and it does not
ROLES_FLOOR = FLOORS["entra_roles"]["privileged"]  # of the roles that Microsoft marks as privileged


@pytest.fixture(scope="module")
def catalogues(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = shared / "data" / "iam-catalogs" / "catalogs.tar.zst"
    folder = tmp_path_factory.mktemp("catalogues")
    with (
        archive.open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed) as plain,
        tarfile.open(fileobj=plain, mode="r|") as members,
    ):
        members.extractall(folder, filter="data")
    return folder


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text("utf-8-sig"))


@pytest.mark.parametrize(
    ("file", "field"), [("MsGraphAppRoles", "AppRoleDisplayName"), ("MsGraphScopes", "ScopeDisplayName")]
)
def test_tiers_of_permissions_agree_with_entraops(catalogues: Path, file: str, field: str) -> None:
    rows = read(catalogues, f"azure-privileged-iam/Classification_{file}.json")
    theirs = {row[field] for row in rows if row["EAMTierLevelTagValue"] == "0"}
    ours = {row[field] for row in rows if facts.permission_tier(row[field]) is Tier.CONTROL_PLANE}
    assert len(theirs & ours) / len(theirs) >= AGREEMENT_FLOOR, sorted(theirs - ours)
    assert len(ours - theirs) <= EXTRA_CEILING, sorted(ours - theirs)


@pytest.mark.parametrize("file", ["GraphAppRoles", "GraphDelegateRoles"])
def test_every_permission_of_graph_has_a_tier(catalogues: Path, file: str) -> None:
    names = [row["Value"] for row in read(catalogues, f"microsoft-info/{file}.json")]
    assert len(names) > 500
    assert [name for name in names if facts.permission_tier(name) is Tier.UNKNOWN] == []


def test_roles_that_microsoft_marks_as_privileged_are_control_plane(catalogues: Path) -> None:
    rows = read(catalogues, "azure-privileged-iam/Classification_EntraIdDirectoryRoles.json")
    privileged = [row for row in rows if row["isPrivileged"]]

    def tier(row: Any) -> Tier:
        actions = [p["AuthorizedResourceAction"] for p in row["RolePermissions"] if p["AuthorizedResourceAction"]]
        return facts.role_tier(row["RoleId"], actions)

    agreed = [row for row in privileged if tier(row) is Tier.CONTROL_PLANE]
    assert len(agreed) / len(privileged) >= ROLES_FLOOR, {row["RoleName"]: tier(row) for row in privileged}


def test_our_role_ids_carry_the_names_that_microsoft_gives_them(catalogues: Path) -> None:
    rows = read(catalogues, "azure-privileged-iam/Classification_EntraIdDirectoryRoles.json")
    names = {row["RoleId"]: row["RoleName"] for row in rows}
    table = facts._table("roles")
    for part in ("control_plane", "sensitive_read", "read"):
        assert {ident: name for ident, name in table[part].items() if names.get(ident) != name} == {}


def test_microsofts_own_applications_live_in_microsofts_own_tenants(catalogues: Path) -> None:
    apps = read(catalogues, "microsoft-info/MicrosoftApps.json")
    homes = {row["AppOwnerOrganizationId"] for row in apps} - {""}
    assert {home for home in homes if not facts.is_microsoft(home)} == set()
    known = {row["AppId"] for row in apps}
    assert set(facts._table("tenants")["resource"]) <= known


def test_every_permission_that_we_ask_for_exists(catalogues: Path) -> None:
    names = {row["Value"] for row in read(catalogues, "microsoft-info/GraphAppRoles.json")}
    asked = {permission.name for permissions in MANIFEST.permissions.values() for permission in permissions}
    assert asked <= names


@pytest.mark.parametrize(
    ("name", "tier"),
    [
        ("RoleManagement.ReadWrite.Directory", Tier.CONTROL_PLANE),
        ("Application.ReadWrite.All", Tier.CONTROL_PLANE),
        ("AppRoleAssignment.ReadWrite.All", Tier.CONTROL_PLANE),
        ("Mail.ReadWrite", Tier.WRITE),
        ("Mail.Send", Tier.WRITE),
        ("Sites.ReadWrite.All", Tier.WRITE),
        ("Files.ReadWrite.All", Tier.WRITE),
        ("full_access_as_app", Tier.WRITE),
        ("Mail.Read", Tier.SENSITIVE_READ),
        ("Files.Read.All", Tier.SENSITIVE_READ),
        ("User.Read", Tier.READ),
        ("openid", Tier.READ),
        ("Acme.Frobnicate", Tier.UNKNOWN),
        ("", Tier.UNKNOWN),
        ("=cmd", Tier.UNKNOWN),
    ],
)
def test_tiers_of_well_known_permissions(name: str, tier: Tier) -> None:
    assert facts.permission_tier(name) is tier


def test_a_custom_role_is_judged_by_its_actions() -> None:
    assert facts.role_tier("x", ["microsoft.directory/applications/credentials/update"]) is Tier.CONTROL_PLANE
    assert facts.role_tier("x", ["microsoft.directory/users/standard/read"]) is Tier.READ
    assert facts.role_tier("x", ["microsoft.office365.supportTickets/create"]) is Tier.WRITE
    assert facts.role_tier("x", []) is Tier.UNKNOWN
    assert facts.role_tier(None, []) is Tier.UNKNOWN


def test_an_unknown_cloud_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as refused:
        facts.cloud("moon")
    assert "usgov" in refused.value.advice

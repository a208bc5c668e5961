"""The answers of simulated Organizations, Identity Center, CloudTrail and the regional services."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from wardship.sim.aws.iam import Params, of, page, when
from wardship.sim.aws.wire import Caller, Refused, answers
from wardship.sim.aws.world import AwsWorld, Row


def _next(rows: Sequence[Any], token: str | None, name: str, token_name: str = "NextToken") -> Row:  # noqa: S107 - a name
    return {name: list(rows)} | ({token_name: token} if token else {})


# ------------------------------------------------------------------ Organizations


def _organisation(state: Row, caller: Caller) -> Row:
    """Only the management account may ask."""
    found: Row | None = state.get("organisation")
    if found is None:
        raise Refused("AWSOrganizationsNotInUseException", 400)
    if found["management"] != caller.account:
        raise Refused("AccessDeniedException", 400)
    return found


@answers("organizations", "ListAccounts")
def _accounts(world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    organisation = _organisation(state, caller)
    rows = [
        {
            "Id": number,
            "Arn": f"arn:aws:organizations::{organisation['management']}:account/{organisation['id']}/{number}",
            "Email": f"aws+{number}@acme.example",
            "Name": account["name"],
            "Status": account.get("status", "ACTIVE"),
            "JoinedMethod": "CREATED",
            "JoinedTimestamp": when(account["created"]),
        }
        for number, account in state["accounts"].items()
    ]
    shown, token = page(world, rows, params.get("NextToken"), params.get("MaxResults"))
    return _next(shown, token, "Accounts")


# ------------------------------------------------------------------ Identity Center


def _center(state: Row, region: str, instance: str) -> Row:
    found: Row | None = state.get("center")
    if found is None or found["region"] != region or instance not in (found["arn"], found["store"]):
        raise Refused("ResourceNotFoundException", 400)
    return found


def _permission_set(state: Row, region: str, params: Params) -> Row:
    found: Row | None = _center(state, region, params["InstanceArn"])["sets"].get(params["PermissionSetArn"])
    if found is None:
        raise Refused("ResourceNotFoundException", 400)
    return found


@answers("sso-admin", "ListInstances")
def _instances(_world: AwsWorld, state: Row, _caller: Caller, _params: Params, region: str) -> Row:
    found = state.get("center")
    if found is None or found["region"] != region:
        return {"Instances": []}
    row = {"InstanceArn": found["arn"], "IdentityStoreId": found["store"], "OwnerAccountId": found["owner"]}
    return {"Instances": [{**row, "Status": "ACTIVE"}]}


@answers("sso-admin", "ListPermissionSets")
def _sets(world: AwsWorld, state: Row, _caller: Caller, params: Params, region: str) -> Row:
    arns = list(_center(state, region, params["InstanceArn"])["sets"])
    return _next(*page(world, arns, params.get("NextToken"), params.get("MaxResults")), "PermissionSets")


@answers("sso-admin", "DescribePermissionSet")
def _describe_set(_world: AwsWorld, state: Row, _caller: Caller, params: Params, region: str) -> Row:
    row = _permission_set(state, region, params)
    named = {"Name": row["name"], "PermissionSetArn": params["PermissionSetArn"]}
    return {"PermissionSet": {**named, "CreatedDate": when(row["created"]), "SessionDuration": "PT1H"}}


@answers("sso-admin", "ListAccountsForProvisionedPermissionSet")
def _provisioned(world: AwsWorld, state: Row, _caller: Caller, params: Params, region: str) -> Row:
    numbers = list(dict.fromkeys(number for number, _, _ in _permission_set(state, region, params)["assignments"]))
    return _next(*page(world, numbers, params.get("NextToken"), params.get("MaxResults")), "AccountIds")


@answers("sso-admin", "ListAccountAssignments")
def _assignments(world: AwsWorld, state: Row, _caller: Caller, params: Params, region: str) -> Row:
    rows = [
        {"AccountId": number, "PermissionSetArn": params["PermissionSetArn"], "PrincipalType": kind, "PrincipalId": who}
        for number, kind, who in _permission_set(state, region, params)["assignments"]
        if number == params["AccountId"]
    ]
    return _next(*page(world, rows, params.get("NextToken"), params.get("MaxResults")), "AccountAssignments")


@answers("identitystore", "ListUsers")
def _users(world: AwsWorld, state: Row, _caller: Caller, params: Params, region: str) -> Row:
    rows = _center(state, region, params["IdentityStoreId"])["users"]
    return _next(*page(world, rows, params.get("NextToken"), params.get("MaxResults")), "Users")


@answers("identitystore", "ListGroups")
def _groups(world: AwsWorld, state: Row, _caller: Caller, params: Params, region: str) -> Row:
    rows = _center(state, region, params["IdentityStoreId"])["groups"]
    return _next(*page(world, rows, params.get("NextToken"), params.get("MaxResults")), "Groups")


# ------------------------------------------------------------------ CloudTrail


@answers("cloudtrail", "LookupEvents")
def _events(world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    """Newest first, as CloudTrail shows them; those younger than the delay are not there yet."""
    wanted = {one["AttributeKey"]: one["AttributeValue"] for one in params.get("LookupAttributes", ())}
    visible_until = world.clock() - timedelta(seconds=world.trail_delay_s)
    rows = [
        {
            "EventName": event["name"],
            "EventTime": when(event["at"]),
            "EventSource": "iam.amazonaws.com",
            "Username": event["user"],
            "CloudTrailEvent": json.dumps(event["record"]),
        }
        for event in reversed(of(state, caller)["trail"])
        if when(event["at"]) <= visible_until
        and wanted.get("Username", event["user"]) == event["user"]
        and wanted.get("EventName", event["name"]) == event["name"]
    ]
    return _next(*page(world, rows, params.get("NextToken"), params.get("MaxResults")), "Events")


# ------------------------------------------------------------------ regional services


def _rows(state: Row, caller: Caller, region: str, kind: str) -> list[Row]:
    found = of(state, caller)["regional"].get(region, {}).get(kind, ())
    return [{name: _instant(value) for name, value in row.items()} for row in found]


def _instant(value: Any) -> Any:
    return when(value["instant"]) if isinstance(value, Mapping) and set(value) == {"instant"} else value


@answers("secretsmanager", "ListSecrets")
def _secrets(world: AwsWorld, state: Row, caller: Caller, params: Params, region: str) -> Row:
    rows = _rows(state, caller, region, "secrets")
    return _next(*page(world, rows, params.get("NextToken"), params.get("MaxResults")), "SecretList")


@answers("secretsmanager", "DescribeSecret")
def _secret(_world: AwsWorld, state: Row, caller: Caller, params: Params, region: str) -> Row:
    for row in _rows(state, caller, region, "secrets"):
        if params["SecretId"] in (row["ARN"], row["Name"]):
            return {"ARN": row["ARN"], "Name": row["Name"]}
    raise Refused("ResourceNotFoundException", 400)


@answers("acm", "ListCertificates")
def _certificates(world: AwsWorld, state: Row, caller: Caller, params: Params, region: str) -> Row:
    rows = _rows(state, caller, region, "certificates")
    return _next(*page(world, rows, params.get("NextToken"), params.get("MaxItems")), "CertificateSummaryList")


@answers("acm", "DescribeCertificate")
def _certificate(_world: AwsWorld, state: Row, caller: Caller, params: Params, region: str) -> Row:
    for row in _rows(state, caller, region, "certificates"):
        if row["CertificateArn"] == params["CertificateArn"]:
            return {"Certificate": {"CertificateArn": row["CertificateArn"], "Status": row["Status"]}}
    raise Refused("ResourceNotFoundException", 400)


@answers("apigateway", "GetApiKeys")
def _api_keys(world: AwsWorld, state: Row, caller: Caller, params: Params, region: str) -> Row:
    rows = _rows(state, caller, region, "api_keys")
    if params.get("includeValues"):
        rows = [{**row, "value": f"simulated-{row['id']}"} for row in rows]
    return _next(*page(world, rows, params.get("position"), params.get("limit")), "items", "position")


@answers("rolesanywhere", "ListTrustAnchors")
def _anchors(world: AwsWorld, state: Row, caller: Caller, params: Params, region: str) -> Row:
    rows = _rows(state, caller, region, "anchors")
    return _next(*page(world, rows, params.get("nextToken"), params.get("pageSize")), "trustAnchors", "nextToken")


@answers("rolesanywhere", "ListProfiles")
def _profiles(world: AwsWorld, state: Row, caller: Caller, params: Params, region: str) -> Row:
    rows = _rows(state, caller, region, "profiles")
    return _next(*page(world, rows, params.get("nextToken"), params.get("pageSize")), "profiles", "nextToken")

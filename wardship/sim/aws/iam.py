"""The answers of simulated IAM and STS."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from wardship.model.errors import ConfigError
from wardship.sim.aws.wire import Caller, Refused, answers
from wardship.sim.aws.world import AwsWorld, Row, mint, new_id

_REPORT_COLUMNS = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,"
    "mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,"
    "access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,"
    "access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,"
    "cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
).split(",")

Params = Mapping[str, Any]


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def document(value: Any) -> str:
    """A policy document as IAM sends it: JSON in percent encoding."""
    return quote(json.dumps(value))


def page(world: AwsWorld, rows: Sequence[Any], token: Any, size: Any = None) -> tuple[list[Any], str | None]:
    """One page of rows and the token of the next. Raises Refused for a token that this world did not give."""
    start = 0
    if token is not None:
        if not str(token).startswith("page-") or not str(token)[5:].isdecimal():
            raise Refused("ValidationError", 400, "Invalid Marker")
        start = int(str(token)[5:])
    end = start + min(world.page_cap, int(size or world.page_cap))
    bent = world.faults.shaping()
    if bent is not None:  # a lie: an empty list, or half a page that calls itself the last
        return list(rows[start : start + (end - start) // 2]) if bent == "short" else [], None
    return list(rows[start:end]), f"page-{end}" if end < len(rows) else None


def marked(found: str | None) -> Row:
    return {"IsTruncated": found is not None} | ({"Marker": found} if found else {})


def of(state: Row, caller: Caller) -> Row:
    account: Row = state["accounts"][caller.account]
    return account


def _tags(row: Row) -> list[Row]:
    return [{"Key": key, "Value": value} for key, value in row["tags"].items()]


def _managed(state: Row, account: Row, arn: str) -> Row:
    found: Row | None = account["policies"].get(arn) or state["aws_policies"].get(arn)
    if found is None:
        raise Refused("NoSuchEntity", 404)
    return found


def _held(state: Row, account: Row, row: Row, inline: str) -> Row:
    attached = [{"PolicyArn": arn, "PolicyName": _managed(state, account, arn)["name"]} for arn in row["policies"]]
    own = [{"PolicyName": name, "PolicyDocument": document(text)} for name, text in row["inline"].items()]
    return {"AttachedManagedPolicies": attached, inline: own}


def _principal(state: Row, account: Row, name: str, row: Row, word: str) -> Row:
    found = {
        "Path": row["path"],
        f"{word}Name": name,
        f"{word}Id": row["id"],
        "Arn": row["arn"],
        "CreateDate": when(row["created"]),
        **_held(state, account, row, f"{word}PolicyList"),
    }
    if word != "Group":
        found["Tags"] = _tags(row)
    if row["boundary"]:
        kind = {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": row["boundary"]}
        found["PermissionsBoundary"] = kind
    return found


def _user(state: Row, account: Row, name: str, row: Row) -> Row:
    return {**_principal(state, account, name, row, "User"), "GroupList": row["groups"]}


def _role(state: Row, account: Row, name: str, row: Row) -> Row:
    used = row["last_used"]
    profile = row["instance_profile"]
    profiles = [] if profile is None else [_instance_profile(row, profile)]
    return {
        **_principal(state, account, name, row, "Role"),
        "AssumeRolePolicyDocument": document(row["trust"]),
        "InstanceProfileList": profiles,
        "RoleLastUsed": {} if used is None else {"LastUsedDate": when(used[0]), "Region": used[1]},
    }


def _instance_profile(row: Row, name: str) -> Row:
    return {
        "Path": "/",
        "InstanceProfileName": name,
        "InstanceProfileId": row["id"].replace("AROA", "AIPA"),
        "Arn": f"{row['arn'].rpartition(':')[0]}:instance-profile/{name}",
        "CreateDate": when(row["created"]),
        "Roles": [],
    }


def _policy(arn: str, row: Row) -> Row:
    made_at = when(row["created"])
    version = {"Document": document(row["document"]), "VersionId": "v1", "IsDefaultVersion": True}
    return {
        "PolicyName": row["name"],
        "Arn": arn,
        "DefaultVersionId": "v1",
        "CreateDate": made_at,
        "PolicyVersionList": [{**version, "CreateDate": made_at}],
    }


@answers("iam", "GetAccountAuthorizationDetails")
def _details(world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    account = of(state, caller)
    wanted = params.get("Filter") or ["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"]
    rows: list[tuple[str, Row]] = []
    if "User" in wanted:
        rows += [("UserDetailList", _user(state, account, *entry)) for entry in account["users"].items()]
    if "Group" in wanted:
        groups = account["groups"].items()
        rows += [("GroupDetailList", _principal(state, account, name, row, "Group")) for name, row in groups]
    if "Role" in wanted:
        rows += [("RoleDetailList", _role(state, account, *entry)) for entry in account["roles"].items()]
    if "LocalManagedPolicy" in wanted:
        rows += [("Policies", _policy(*entry)) for entry in account["policies"].items()]
    if "AWSManagedPolicy" in wanted:
        rows += [("Policies", _policy(*entry)) for entry in state["aws_policies"].items()]
    shown, token = page(world, rows, params.get("Marker"), params.get("MaxItems"))
    answer: Row = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    for name, row in shown:
        answer[name].append(row)
    return answer | marked(token)


@answers("iam", "GetAccountSummary")
def _summary(_world: AwsWorld, state: Row, caller: Caller, _params: Params, _region: str) -> Row:
    account = of(state, caller)
    lists = {"Users": "users", "Roles": "roles", "Groups": "groups", "Policies": "policies"}
    totals = {word: len(account[name]) for word, name in lists.items()}
    root_keys = _live_keys(state, f"arn:aws:iam::{caller.account}:root")
    root = {"AccountMFAEnabled": int(account["root"]["mfa"]), "AccountAccessKeysPresent": int(bool(root_keys))}
    return {"SummaryMap": {**totals, **root, "Providers": len(account["oidc"]) + len(account["saml"])}}


def _live_keys(state: Row, arn: str) -> dict[str, Row]:
    return {key_id: key for key_id, key in state["keys"].items() if key["arn"] == arn and not key.get("deleted")}


# ------------------------------------------------------------------ credential report


@answers("iam", "GenerateCredentialReport")
def _generate(world: AwsWorld, state: Row, caller: Caller, _params: Params, _region: str) -> Row:
    """The first call starts it, a later one finds it ready; it is kept for four hours."""
    account = of(state, caller)
    kept = account["report"]
    if kept is None or world.clock() - when(kept["at"]) > timedelta(hours=4):
        account["report"] = {"at": world.now(), "text": _report(state, account, caller.account)}
        return {"State": "STARTED"}
    return {"State": "COMPLETE"}


@answers("iam", "GetCredentialReport")
def _get_report(_world: AwsWorld, state: Row, caller: Caller, _params: Params, _region: str) -> Row:
    kept = of(state, caller)["report"]
    if kept is None:
        raise Refused("ReportNotPresent", 410)
    return {"Content": kept["text"].encode(), "ReportFormat": "text/csv", "GeneratedTime": when(kept["at"])}


def _report(state: Row, account: Row, number: str) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, _REPORT_COLUMNS, restval="N/A", lineterminator="\n")
    writer.writeheader()
    root = {"user": "<root_account>", "arn": f"arn:aws:iam::{number}:root", "user_creation_time": account["created"]}
    unsupported = dict.fromkeys(
        ("password_enabled", "password_last_changed", "password_next_rotation"), "not_supported"
    )
    used = account["root"]["last_used"] or "no_information"
    mfa = _word(account["root"]["mfa"])
    # The administrator of the simulation signs with a key of the root user that is no part of the story.
    keys = _live_keys(state, root["arn"])
    keys.pop(state.get("administrator") or "", None)
    writer.writerow({**root, **unsupported, "password_last_used": used, "mfa_active": mfa, **_report_keys(keys)})
    for name, row in account["users"].items():
        cells = {"user": name, "arn": row["arn"], "user_creation_time": row["created"], "mfa_active": _word(row["mfa"])}
        password = row["password"]
        cells["password_enabled"] = _word(password is not None)
        if password is not None:
            cells["password_last_used"] = password["last_used"] or "no_information"
            cells["password_last_changed"] = password["changed"]
        writer.writerow(cells | _report_keys(_live_keys(state, row["arn"])))
    return out.getvalue()


def _report_keys(keys: Mapping[str, Row]) -> dict[str, str]:
    cells = {"cert_1_active": "false", "cert_2_active": "false"}
    in_order = sorted(keys.values(), key=lambda key: str(key["created"]))
    for slot in (1, 2):
        prefix = f"access_key_{slot}"
        key = in_order[slot - 1] if slot <= len(in_order) else None
        cells[f"{prefix}_active"] = _word(key is not None and key["status"] == "Active")
        if key is not None:
            used = key["last_used"] or ["N/A", "N/A", "N/A"]
            cells[f"{prefix}_last_rotated"] = key["created"]
            cells[f"{prefix}_last_used_date"], cells[f"{prefix}_last_used_service"] = used[0], used[1]
            cells[f"{prefix}_last_used_region"] = used[2]
    return cells


def _word(flag: bool) -> str:
    return "true" if flag else "false"


# ------------------------------------------------------------------ access keys


def _named(state: Row, caller: Caller, params: Params) -> Row:
    row: Row | None = of(state, caller)["users"].get(str(params.get("UserName")))
    if row is None:
        raise Refused("NoSuchEntity", 404)
    return row


def _key_of(state: Row, row: Row, params: Params) -> Row:
    key = _live_keys(state, row["arn"]).get(str(params["AccessKeyId"]))
    if key is None:
        raise Refused("NoSuchEntity", 404)
    return key


@answers("iam", "ListAccessKeys")
def _list_keys(world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    row = _named(state, caller, params)
    rows = [
        {
            "UserName": params["UserName"],
            "AccessKeyId": key_id,
            "Status": key["status"],
            "CreateDate": when(key["created"]),
        }
        for key_id, key in _live_keys(state, row["arn"]).items()
    ]
    shown, token = page(world, rows, params.get("Marker"), params.get("MaxItems"))
    return {"AccessKeyMetadata": shown} | marked(token)


@answers("iam", "CreateAccessKey")
def _create_key(world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    row = _named(state, caller, params)
    try:
        key_id = mint(state, row["arn"], world.now())
    except ConfigError:
        raise Refused("LimitExceeded", 409) from None
    told = {"userName": params["UserName"], "accessKeyId": key_id, "status": "Active"}
    _trail(world, state, caller, "CreateAccessKey", asked={"userName": params["UserName"]}, told={"accessKey": told})
    made = {"UserName": params["UserName"], "AccessKeyId": key_id, "Status": "Active"}
    key = state["keys"][key_id]
    return {"AccessKey": {**made, "SecretAccessKey": key["secret"], "CreateDate": when(key["created"])}}


@answers("iam", "UpdateAccessKey")
def _update_key(world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    key = _key_of(state, _named(state, caller, params), params)
    if key["status"] != params["Status"]:
        key["status"] = params["Status"]
        key["history"].append([world.now(), params["Status"]])
    _trail(world, state, caller, "UpdateAccessKey", asked=dict(params))
    return {}


@answers("iam", "DeleteAccessKey")
def _delete_key(world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    key = _key_of(state, _named(state, caller, params), params)
    key["deleted"] = True
    key["history"].append([world.now(), "Deleted"])
    _trail(world, state, caller, "DeleteAccessKey", asked=dict(params))
    return {}


@answers("iam", "GetAccessKeyLastUsed")
def _key_last_used(_world: AwsWorld, state: Row, _caller: Caller, params: Params, _region: str) -> Row:
    key = state["keys"].get(params["AccessKeyId"])
    if key is None or key.get("deleted"):
        raise Refused("AccessDenied", 403)  # IAM does not tell an unknown key from a foreign one
    used = key["last_used"]
    found: Row = {"ServiceName": "N/A", "Region": "N/A"}
    if used is not None:
        found = {"LastUsedDate": when(used[0]), "ServiceName": used[1], "Region": used[2]}
    return {"UserName": key["arn"].rpartition("/")[2] or "root", "AccessKeyLastUsed": found}


# ------------------------------------------------------------------ points and providers


@answers("iam", "GetUser")
def _get_user(_world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    row = _named(state, caller, params)
    found = {"Path": row["path"], "UserName": params["UserName"], "UserId": row["id"], "Arn": row["arn"]}
    return {"User": {**found, "CreateDate": when(row["created"])}}


@answers("iam", "GetRole")
def _get_role(_world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    row = of(state, caller)["roles"].get(params["RoleName"])
    if row is None:
        raise Refused("NoSuchEntity", 404)
    found = {"Path": row["path"], "RoleName": params["RoleName"], "RoleId": row["id"], "Arn": row["arn"]}
    return {"Role": {**found, "CreateDate": when(row["created"]), "AssumeRolePolicyDocument": document(row["trust"])}}


@answers("iam", "GetLoginProfile")
def _get_login(_world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    row = _named(state, caller, params)
    if row["password"] is None:
        raise Refused("NoSuchEntity", 404)
    return {"LoginProfile": {"UserName": params["UserName"], "CreateDate": when(row["password"]["changed"])}}


@answers("iam", "ListOpenIDConnectProviders")
def _oidc(_world: AwsWorld, state: Row, caller: Caller, _params: Params, _region: str) -> Row:
    return {"OpenIDConnectProviderList": [{"Arn": arn} for arn in of(state, caller)["oidc"]]}


@answers("iam", "GetOpenIDConnectProvider")
def _one_oidc(_world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    row = of(state, caller)["oidc"].get(params["OpenIDConnectProviderArn"])
    if row is None:
        raise Refused("NoSuchEntity", 404)
    found = {"Url": row["url"], "ClientIDList": row["audiences"], "ThumbprintList": []}
    return {**found, "CreateDate": when(row["created"])}


@answers("iam", "ListSAMLProviders")
def _saml(_world: AwsWorld, state: Row, caller: Caller, _params: Params, _region: str) -> Row:
    rows = of(state, caller)["saml"].items()
    found = [(arn, when(row["valid_until"]), when(row["created"])) for arn, row in rows]
    return {"SAMLProviderList": [{"Arn": arn, "ValidUntil": end, "CreateDate": at} for arn, end, at in found]}


@answers("iam", "SimulatePrincipalPolicy")
def _simulate(world: AwsWorld, _state: Row, caller: Caller, params: Params, _region: str) -> Row:
    """The simulation's own rule: what is not denied is allowed."""
    denied = {action for action, account in world.denied if account in (None, caller.account)}
    decisions = [(action, "explicitDeny" if action in denied else "allowed") for action in params["ActionNames"]]
    return {"EvaluationResults": [{"EvalActionName": a, "EvalDecision": d} for a, d in decisions], **marked(None)}


# ------------------------------------------------------------------ STS


@answers("sts", "GetCallerIdentity")
def _identity(_world: AwsWorld, _state: Row, caller: Caller, _params: Params, _region: str) -> Row:
    return {"UserId": caller.key_id, "Account": caller.account, "Arn": caller.arn}


@answers("sts", "AssumeRole")
def _assume(world: AwsWorld, state: Row, caller: Caller, params: Params, _region: str) -> Row:
    number, name = params["RoleArn"].split(":")[4], params["RoleArn"].rpartition("/")[2]
    row = state["accounts"].get(number, {"roles": {}})["roles"].get(name)
    if row is None or row["arn"] != params["RoleArn"] or not _lets_in(row["trust"], caller, params):
        raise Refused("AccessDenied", 403)
    row["last_used"] = [world.now(), "us-east-1"]
    key_id = new_id(state, "ASIA")
    session = params["RoleSessionName"]
    ends = (world.clock() + timedelta(hours=1)).isoformat()
    arn = f"arn:aws:sts::{number}:assumed-role/{name}/{session}"
    state["sessions"][key_id] = {"arn": arn, "secret": f"simulated-{key_id}", "session": session, "ends": ends}
    found = {"AccessKeyId": key_id, "SecretAccessKey": f"simulated-{key_id}", "SessionToken": f"token-{key_id}"}
    return {
        "Credentials": {**found, "Expiration": when(ends)},
        "AssumedRoleUser": {"AssumedRoleId": f"{row['id']}:{session}", "Arn": arn},
    }


def _lets_in(trust: Mapping[str, Any], caller: Caller, params: Params) -> bool:
    """Whether the trust policy names the caller, its account or anybody, and its external id is the one given."""
    for statement in trust["Statement"]:
        principal = (
            statement["Principal"] if isinstance(statement["Principal"], str) else statement["Principal"].get("AWS")
        )
        named = [principal] if isinstance(principal, str) else list(principal or ())
        wanted = statement.get("Condition", {}).get("StringEquals", {}).get("sts:ExternalId")
        who = {"*", caller.account, f"arn:aws:iam::{caller.account}:root", caller.arn}
        if statement["Effect"] == "Allow" and who & set(named) and wanted in (None, params.get("ExternalId")):
            return True
    return False


def _trail(world: AwsWorld, state: Row, caller: Caller, name: str, *, asked: Row, told: Row | None = None) -> None:
    """Writes what CloudTrail will show after its delay."""
    who: Row = {"type": "IAMUser", "arn": caller.arn, "accountId": caller.account, "accessKeyId": caller.key_id}
    if caller.session is not None:
        who["type"] = "AssumedRole"
    record = {
        "eventVersion": "1.11",
        "userIdentity": who,
        "eventTime": world.now(),
        "eventSource": "iam.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "requestParameters": asked,
        "responseElements": told,
        "recipientAccountId": caller.account,
    }
    event = {"name": name, "at": world.now(), "user": caller.session or caller.arn.rpartition("/")[2], "record": record}
    of(state, caller)["trail"].append(event)

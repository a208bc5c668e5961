"""AWS CloudTrail: every call to AWS's control plane, and to its data where the customer switched that on.

One raw record is a CloudTrail event: an entry of `Records` in the files of S3, the text in `CloudTrailEvent` of
LookupEvents, `detail` of an EventBridge message, `eventData` of a CloudTrail Lake export, or a SIEM's copy of one.

An actor's id is the unique id of the user or role (AIDA..., AROA...), which the connector `aws` declares as an alias of
its ARN; the root user's is its ARN. Request parameters are never kept whole: a few names and ids go to `detail`, and of
policies and permission lists only whom they let in. `_aws_projection` says the same in SQL, for the bulk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome, small
from wardship.model.errors import DataError
from wardship.model.identity import MAX_ID_CHARS
from wardship.sdk.connector import BlindSpot, Drift, Evidence, Permission
from wardship.sdk.i18n import N_
from wardship.sdk.source import KEPT_BY_ITS_OWNER, LogPart, SourceManifest
from wardship.sources._aws_calls import (
    CLASSES,
    CONSOLE_AGENTS,
    DATA_STORES,
    DETAILS,
    OUTCOME_KEYS,
    RESOURCES,
    S3,
    SETTINGS,
    SHARING,
)
from wardship.sources._aws_let_in import ANYBODY, collected, let_in, text_of, texts_of, within
from wardship.sources._aws_projection import PROJECTION, RAW
from wardship.sources._record import instant, respelled

if TYPE_CHECKING:
    from wardship.sdk.connector import Connection
    from wardship.sdk.source import LiveLog

__all__ = ["MANIFEST", "PROJECTION", "RAW", "claims", "live", "parse"]

MANIFEST = SourceManifest(
    name="aws.cloudtrail",
    title="AWS CloudTrail",
    forms=(
        N_("the files that a trail writes to S3: .json.gz"),
        N_("the answer of aws cloudtrail lookup-events, JSON"),
        N_("events of Amazon EventBridge, JSON or JSON lines"),
        N_("results of a CloudTrail Lake query with eventData or eventJson, JSON lines or CSV"),
        N_("copies of a SIEM that kept AWS's own field names"),
    ),
    records=("Records", "Events"),
    connector="aws",
    permissions=(
        Permission(
            name="cloudtrail:LookupEvents", why=N_("management events of the last 90 days, where no bucket is named")
        ),
        Permission(name="s3:ListBucket", why=N_("lists the files of a trail in its bucket"), optional=True),
        Permission(name="s3:GetObject", why=N_("reads the files of a trail"), optional=True),
        Permission(
            name="kms:Decrypt", why=N_("only where the trail encrypts its files with a key of yours"), optional=True
        ),
    ),
    # "CloudTrail typically delivers logs within an average of about 5 minutes of an API call. This time is not
    # guaranteed" (user guide, read 2026-11); late files of an hour and more are seen.
    delay_hours=2.0,
    retention_days=KEPT_BY_ITS_OWNER,
    logs_reads=None,
    # A trail selects each of them by itself, and data events by service and resource: those of one bucket say nothing
    # of another's.
    parts=(
        LogPart(name="data", events=f"class_uid = {ActivityClass.DATASTORE_ACTIVITY:d}", shown=False),
        LogPart(name="management-reads", events="NOT mutating"),
        LogPart(name="management-writes", events="mutating"),
    ),
    regional=True,
    blind_spots=(
        BlindSpot(
            id="aws.data_events_off",
            text=N_("Reading objects, items and function calls is logged only where data events are switched on."),
        ),
        BlindSpot(
            id="aws.lookup_events",
            text=N_("Without the bucket of a trail only management events of the last 90 days can be read."),
        ),
        BlindSpot(
            id="aws.region_not_read",
            text=N_("Without the bucket of a trail, only the regions named in the connection are read."),
        ),
        BlindSpot(
            id="aws.call_without_identity",
            text=N_("A call of an AWS service for a user shows the service's name in the place of an address."),
        ),
    ),
    evidence=Evidence.EMULATOR,
    links=(
        "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html",
        "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html",
        "https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html",
    ),
)  # fmt: skip

_MAX_LISTED = 20  # entries of a permission list that are kept; there is room for no more in `detail`
_NAMES = {
    name.lower(): name
    for name in """
    eventVersion userIdentity eventTime eventSource eventName awsRegion sourceIPAddress userAgent errorCode errorMessage
    requestParameters responseElements additionalEventData requestID eventID readOnly resources eventType
    managementEvent recipientAccountId sharedEventID vpcEndpointId eventCategory sessionCredentialFromConsole
    insightDetails principalId accountId accessKeyId userName sessionContext sessionIssuer invokedBy
    webIdFederationData federatedProvider sourceIdentity mfaAuthenticated onBehalfOf identityProvider
    """.split()
}
_PRINCIPAL_KINDS = {"AROA": ActorKind.ROLE, "AIDA": ActorKind.USER}
_PERSON_KINDS = {"SAMLUser", "IdentityCenterUser", "Directory"}


def claims(record: dict[str, Any]) -> bool:
    """An AWS event: it has a service of AWS's, an operation, and a region or the format's version."""
    try:
        event = _event(record)
    except DataError:
        return False
    service = event.get("eventSource")
    named = isinstance(service, str) and service.endswith((".amazonaws.com", ".amazonaws.com.cn", ".aws.internal"))
    return (named and "eventName" in event and ("eventVersion" in event or "awsRegion" in event)) or (
        event.get("eventType") == "AwsCloudTrailInsight" and "insightDetails" in event
    )


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One activity a record. Raises DataError for one without a time or an operation, or that is no event."""
    event = _event(record)
    if "insightDetails" in event:
        return (_insight(event),)
    parameters = _object(event, "requestParameters", drift)
    identity = _object(event, "userIdentity", drift)
    operation = text_of(event.get("eventName"))
    if operation is None:
        raise DataError("the event has no eventName")
    service = text_of(event.get("eventSource")) or ""
    actor = _actor(identity, event, drift)
    resource_type, resource_id, resource_name = _resource(event, service, parameters, drift)
    outcome, code = _outcome(event)
    account = text_of(event.get("recipientAccountId")) or text_of(identity.get("accountId"))
    return (
        Activity(
            uid=text_of(event.get("eventID")),
            time=instant(event, "eventTime", "@timestamp"),
            service=service,
            operation=operation,
            class_uid=_class(event, service, operation),
            mutating=_negated(_flag(event.get("readOnly"))),
            interactive=_interactive(event),
            resource_type=resource_type,
            resource_id=resource_id,
            resource_name=resource_name,
            account=account,
            region=text_of(event.get("awsRegion")),
            src_ip=text_of(event.get("sourceIPAddress")),
            user_agent=text_of(event.get("userAgent")),
            outcome=outcome,
            outcome_code=code,
            detail=_detail(event, identity, parameters, account),
            **actor,
        ),
    )


def live(connection: Connection) -> LiveLog:
    """The events of one account: from the bucket of a trail where the connection names one, else by LookupEvents."""
    from wardship.sources._aws_live import AwsTrail

    return AwsTrail(connection)


# ------------------------------------------------------------------ the event in what holds it


def _event(record: Mapping[str, Any]) -> dict[str, Any]:
    """CloudTrail's own object. Raises DataError for a text that should hold one and does not."""
    for name in ("CloudTrailEvent", "eventJson", "eventData"):
        inner = record.get(name)
        if isinstance(inner, str) and inner:
            try:
                inner = json.loads(inner)
            except (ValueError, RecursionError):
                raise DataError(f"{name} is not JSON") from None
        if isinstance(inner, dict):
            return inner
    detail = record.get("detail")
    if isinstance(detail, dict) and "eventName" in detail:
        return detail
    if "eventName" not in record and "eventname" in record:
        record = respelled(record, _NAMES)
    if isinstance(record.get("userIdentity"), str):  # a row of CSV: its cells hold JSON
        return {name: _cell(value) for name, value in record.items()}
    return dict(record)


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return None if value in ("", "null") else value


def _flag(value: Any) -> bool | None:
    return {"true": True, "false": False}.get(text_of(value) or "")


def _negated(value: bool | None) -> bool | None:
    return None if value is None else not value


def _object(parent: Mapping[str, Any], name: str, drift: Drift) -> dict[str, Any]:
    """The object under `name`, or an empty one."""
    value = parent.get(name)
    if isinstance(value, dict):
        return value
    if value is not None:
        drift.unexpected_shape(f"cloudtrail.{name}", type(value).__name__)
    return {}


# ------------------------------------------------------------------ who


def _actor(identity: Mapping[str, Any], event: Mapping[str, Any], drift: Drift) -> dict[str, Any]:
    """The columns of who acted, and with what."""
    kind = text_of(identity.get("type"))
    issuer = within(identity, "sessionContext", "sessionIssuer")
    issuer = issuer if isinstance(issuer, dict) else {}
    principal, _, tail = (text_of(identity.get("principalId")) or "").partition(":")
    arn = text_of(identity.get("arn"))
    account = text_of(identity.get("accountId")) or text_of(event.get("recipientAccountId"))
    name = text_of(identity.get("userName"))
    found: dict[str, Any] = {
        "actor_kind": ActorKind.UNKNOWN,
        "session": None,
        "on_behalf_of": _behalf(identity),
        **_credential(identity, event, kind),
    }
    actor_id: str | None = principal or arn
    if kind == "IAMUser":
        found |= {"actor_kind": ActorKind.USER, "actor_name": name or _last(arn)}
    elif kind == "AssumedRole":
        parts = (arn or "").split("/")
        actor_id = principal or text_of(issuer.get("principalId")) or text_of(issuer.get("arn")) or arn
        found |= {
            "actor_kind": ActorKind.ROLE,
            "actor_name": text_of(issuer.get("userName")) or (parts[1] if len(parts) > 1 else None),
            "session": tail or (parts[2] if len(parts) > 2 else None),
        }
    elif kind == "Root":
        if account is not None:
            actor_id = arn if arn and arn.endswith(":root") else f"arn:aws:iam::{account}:root"
        found |= {"actor_kind": ActorKind.ROOT, "actor_name": "root"}
    elif kind == "FederatedUser":
        # It acts with what its issuer, an IAM user, may do: the user is who answers for it.
        actor_id = text_of(issuer.get("principalId")) or actor_id
        found |= {
            "actor_kind": ActorKind.USER,
            "actor_name": text_of(issuer.get("userName")) or _last(arn),
            "session": tail or _last(arn),
        }
    elif kind == "AWSAccount":
        return found | _of_another_account(principal, tail, account, name)
    elif kind == "AWSService" or (kind is None and identity.get("invokedBy") and not principal):
        actor_id = text_of(identity.get("invokedBy"))
        found |= {"actor_kind": ActorKind.PROVIDER_SERVICE, "actor_name": actor_id}
        actor_id = f"service:{actor_id}" if actor_id else None
    elif kind == "WebIdentityUser":
        actor_id = name or principal or None
        found |= {"actor_kind": ActorKind.WORKLOAD, "actor_name": name}
    elif kind in _PERSON_KINDS:
        store = text_of(within(identity, "onBehalfOf", "identityStoreArn"))
        person = text_of(within(identity, "onBehalfOf", "userId"))
        found |= {"actor_kind": ActorKind.USER, "actor_name": name or person}
        actor_id = person or actor_id or name
        if store and person:
            return found | _known(f"aws-identitystore:{_last(store)}", person)
    elif kind is not None and kind != "Unknown":
        drift.unknown_value("cloudtrail.userIdentity.type", kind)
        found["actor_name"] = name
    else:
        found["actor_name"] = name or _last(arn)
    return found | _known(f"aws:{account}" if account else None, actor_id)


def _of_another_account(principal: str, session: str, account: str | None, name: str | None) -> dict[str, Any]:
    """A caller of an account that is not the bucket's or the role's; nobody at all where a bucket is public."""
    if "ANONYMOUS_PRINCIPAL" in (account, principal) or principal == "Anonymous":
        return {"actor_kind": ActorKind.ANONYMOUS, "actor_name": "anonymous"}
    kind = _PRINCIPAL_KINDS.get(principal[:4], ActorKind.UNKNOWN)
    actor_id = principal or (f"arn:aws:iam::{account}:root" if account else None)
    return {
        "actor_kind": kind,
        "actor_name": name or actor_id,
        "session": session or None,
        **_known(f"aws:{account}" if account else None, actor_id),
    }


def _known(authority: str | None, actor_id: str | None) -> dict[str, Any]:
    if authority is None or actor_id is None or len(actor_id) > MAX_ID_CHARS:
        return {}
    return {"actor_authority": authority, "actor_id": actor_id}


def _last(arn: str | None) -> str | None:
    return (arn or "").rpartition("/")[2] or None


def _behalf(identity: Mapping[str, Any]) -> str | None:
    """For whom: the source identity that a role session carries, else the person of IAM Identity Center, else the
    subject of the token that opened the session."""
    session = identity.get("sessionContext")
    found = text_of(within(session, "sourceIdentity")) or text_of(within(identity, "onBehalfOf", "userId"))
    if found:
        return found
    attributes = within(session, "webIdFederationData", "attributes")
    if isinstance(attributes, dict):
        return next((text_of(value) for name, value in attributes.items() if name.endswith(":sub")), None)
    return None


def _credential(identity: Mapping[str, Any], event: Mapping[str, Any], kind: str | None) -> dict[str, Any]:
    key = text_of(identity.get("accessKeyId"))
    if key:
        of_key = {"AKIA": CredentialType.ACCESS_KEY, "ASIA": CredentialType.TOKEN}.get(key[:4])
        return {"credential_id": key, "credential_type": of_key.value if of_key else None}
    token = text_of(identity.get("credentialId"))
    if token:
        return {"credential_id": token, "credential_type": CredentialType.TOKEN.value}
    if event.get("eventName") == "ConsoleLogin" and kind in ("IAMUser", "Root"):
        return {"credential_type": CredentialType.CONSOLE_PASSWORD.value}
    return {}


def _interactive(event: Mapping[str, Any]) -> bool | None:
    """True where the log shows a browser or the console; it never says that there was none."""
    if _flag(event.get("sessionCredentialFromConsole")) or event.get("eventType") in (
        "AwsConsoleSignIn",
        "AwsConsoleAction",
    ):
        return True
    return True if (text_of(event.get("userAgent")) or "").startswith(CONSOLE_AGENTS) else None


# ------------------------------------------------------------------ what


def _class(event: Mapping[str, Any], service: str, operation: str) -> ActivityClass:
    if service == "signin.amazonaws.com":
        return ActivityClass.AUTHENTICATION
    for of_service, operations, found in CLASSES:
        if service == of_service and operation in operations:
            return found
    if service in DATA_STORES and _flag(event.get("managementEvent")) is False:
        return ActivityClass.DATASTORE_ACTIVITY
    return ActivityClass.API_ACTIVITY


def _outcome(event: Mapping[str, Any]) -> tuple[Outcome, str | None]:
    code = text_of(event.get("errorCode"))
    if code or text_of(event.get("errorMessage")):
        return Outcome.FAILURE, code
    answer = event.get("responseElements")
    if isinstance(answer, dict) and event.get("eventName") in OUTCOME_KEYS:
        said = next((answer[key] for key in OUTCOME_KEYS if key in answer), None)
        if said == "Failure":
            return Outcome.FAILURE, "Failure"
    return Outcome.SUCCESS, None


def _resource(
    event: Mapping[str, Any], service: str, parameters: Mapping[str, Any], drift: Drift
) -> tuple[str | None, str | None, str | None]:
    """(type, id, name) of what was acted upon: the first ARN that CloudTrail lists, else a request parameter."""
    listed = event.get("resources")
    if listed is not None and not isinstance(listed, list):
        drift.unexpected_shape("cloudtrail.resources", type(listed).__name__)
    for one in listed[:3] if isinstance(listed, list) else []:
        if isinstance(one, dict) and (arn := text_of(one.get("ARN")) or text_of(one.get("arn"))):
            return text_of(one.get("type")), arn, None
    bucket = text_of(parameters.get("bucketName"))
    if service == S3 and bucket:
        region = text_of(event.get("awsRegion")) or ""
        partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
        key = text_of(parameters.get("key"))
        if key:
            return "AWS::S3::Object", f"arn:{partition}:s3:::{bucket}/{key}", key
        return "AWS::S3::Bucket", f"arn:{partition}:s3:::{bucket}", bucket
    for name, kind in RESOURCES.get(service, ()):
        if found := text_of(parameters.get(name)):
            return kind, found, found
    return None, None, None


# ------------------------------------------------------------------ what detections ask besides


def _detail(
    event: Mapping[str, Any], identity: Mapping[str, Any], parameters: Mapping[str, Any], account: str | None
) -> dict[str, Any]:
    """Public names and ids, and whom a change let in. Never a whole parameter, never a text of an error."""
    caller = text_of(identity.get("accountId"))
    found: dict[str, Any] = {
        "event_type": _other_than(text_of(event.get("eventType")), "AwsApiCall"),
        "mfa": True if _flag(within(identity, "sessionContext", "attributes", "mfaAuthenticated")) else None,
        "invoked_by": text_of(identity.get("invokedBy")),
        "federated_provider": text_of(within(identity, "sessionContext", "webIdFederationData", "federatedProvider")),
        "vpc_endpoint": text_of(event.get("vpcEndpointId")),
        "caller_account": _other_than(caller, account),
        **{name: text_of(parameters.get(parameter)) for name, parameter in DETAILS},
    }
    return small(found | _by_hand(event, parameters))


def _other_than(value: str | None, usual: str | None) -> str | None:
    return None if value == usual else value


def _by_hand(event: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What the operations in BY_HAND have besides, from lists, policies and answers."""
    operation, answer = event.get("eventName"), event.get("responseElements")
    if operation in OUTCOME_KEYS:
        used = text_of(within(event.get("additionalEventData"), "MFAUsed"))
        said = (
            next((text_of(answer[key]) for key in OUTCOME_KEYS if key in answer), None)
            if isinstance(answer, dict)
            else None
        )
        return {"result": said, **({"mfa": used == "Yes"} if used in ("Yes", "No") else {})}
    if operation == "CreateAccessKey":
        return {"new_key": text_of(within(answer, "accessKey", "accessKeyId"))}
    if operation == "CopyObject":  # under a key that the caller keeps, which S3 does not store
        return {"customer_key": True if parameters.get("x-amz-server-side-encryption-customer-algorithm") else None}
    if operation == "BatchGetSecretValue":
        return {"everything": True if _excludes_only(parameters.get("filters")) else None}
    if operation in SETTINGS:
        return _setting(parameters)
    if operation not in SHARING:
        return {}
    networks = collected(parameters.get("ipPermissions"), ("cidrIp", "cidrIpv6"))
    allowed = let_in(parameters)
    others = {one for one in allowed if not one.endswith((".amazonaws.com", ".amazonaws.com.cn"))}
    return {
        "attribute": text_of(parameters.get("attributeType")) or text_of(parameters.get("attributeName")),
        "shared_with": sorted(others | networks)[:_MAX_LISTED],
        "public": True if (others | networks) & ANYBODY else None,
        "only_services": True if allowed and not others else None,
    }


def _excludes_only(filters: Any) -> bool:
    """Whether filters only say what is left out ("!..."): what they choose is all the rest."""
    listed = filters if isinstance(filters, list) else []
    values = {text for one in listed if isinstance(one, dict) for text in texts_of(one.get("values"))}
    return bool(values) and all(one.startswith("!") for one in values)


def _setting(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a setting came to: `new_value` "off" for a protection that is taken away, whether logging goes on, what
    attribute of a server it is, whether the database is open to all networks."""
    versioning = parameters.get("VersioningConfiguration")
    off = (
        text_of(within(versioning, "Status")) == "Suspended"
        or text_of(within(versioning, "MfaDelete")) == "Disabled"
        or _flag(parameters.get("deletionProtection")) is False
    )
    logging = within(parameters.get("BucketLoggingStatus"), "LoggingEnabled")
    return {
        "new_value": "off" if off else None,
        "logging_stays": True if logging else None,
        "public": True if _flag(parameters.get("publiclyAccessible")) else None,
        "password_changed": True if "masterUserPassword" in parameters else None,
        "attribute": next((name for name in _ATTRIBUTES if name in parameters), text_of(parameters.get("attribute"))),
    }


_ATTRIBUTES = ("userData", "instanceType", "groupSet", "sourceDestCheck", "disableApiTermination", "ebsOptimized")
# ------------------------------------------------------------------ insights


def _insight(event: Mapping[str, Any]) -> Activity:
    """CloudTrail's own remark that calls or errors became unusual. Nobody acts in it."""
    details = event.get("insightDetails")
    return Activity(
        uid=text_of(event.get("eventID")) or text_of(event.get("sharedEventID")),
        time=instant(event, "eventTime", "@timestamp"),
        service=text_of(within(details, "eventSource")) or "cloudtrail.amazonaws.com",
        operation=text_of(within(details, "insightType")) or "Insight",
        account=text_of(event.get("recipientAccountId")),
        region=text_of(event.get("awsRegion")),
        detail=small({"about": text_of(within(details, "eventName")), "state": text_of(within(details, "state"))}),
    )

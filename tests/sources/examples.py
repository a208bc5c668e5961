"""Records of audit logs in the shapes that their vendors document, made up: shared by the tests of the sources."""

from __future__ import annotations

from typing import Any

ROBOT = "deployer@acme-prod.iam.gserviceaccount.com"
KEY_ID = "0a1b2c3d" * 5


def gcp(**payload: Any) -> dict[str, Any]:
    """A LogEntry of admin activity: `payload` goes over the AuditLog."""
    return {
        "insertId": "1a2b3c",
        "logName": "projects/acme-prod/logs/cloudaudit.googleapis.com%2Factivity",
        "timestamp": "2026-03-02T08:15:30.123456789Z",
        "resource": {"type": "project", "labels": {"project_id": "acme-prod"}},
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "serviceName": "cloudresourcemanager.googleapis.com",
            "methodName": "SetIamPolicy",
            "resourceName": "projects/acme-prod",
            "authenticationInfo": {
                "principalEmail": ROBOT,
                "serviceAccountKeyName": f"//iam.googleapis.com/projects/-/serviceAccounts/{ROBOT}/keys/{KEY_ID}",
                "serviceAccountDelegationInfo": [{"firstPartyPrincipal": {"principalEmail": "Ana@acme.example"}}],
            },
            "authorizationInfo": [{"permission": "resourcemanager.projects.setIamPolicy", "granted": True}],
            "requestMetadata": {"callerIp": "203.0.113.9", "callerSuppliedUserAgent": "google-cloud-sdk gcloud/500"},
            "serviceData": {
                "policyDelta": {"bindingDeltas": [{"action": "ADD", "role": "roles/viewer", "member": "allUsers"}]}
            },
            "status": {},
            **payload,
        },
    }


def workspace(application: str, name: str, type_: str = "x", **parameters: Any) -> dict[str, Any]:
    """An activity with one event."""
    return {
        "kind": "admin#reports#activity",
        "id": {
            "time": "2026-03-02T08:15:30.123Z",
            "uniqueQualifier": "-42",
            "applicationName": application,
            "customerId": "C01",
        },
        "actor": {"callerType": "USER", "email": "Ana@acme.example", "profileId": "1001"},
        "ipAddress": "203.0.113.9",
        "events": [
            {
                "type": type_,
                "name": name,
                "parameters": [
                    {"name": key, {bool: "boolValue", list: "multiValue"}.get(type(value), "value"): value}
                    for key, value in parameters.items()
                ],
            }
        ],
    }


def github(action: str = "repo.access", **more: Any) -> dict[str, Any]:
    """An event of an organisation."""
    return {
        "@timestamp": 1772439330123,
        "_document_id": "Ab1",
        "action": action,
        "actor": "mruiz",
        "actor_id": 7,
        "actor_ip": "203.0.113.9",
        "org": "Acme",
        "repo": "Acme/Shop",
        "user_agent": "curl/8",
        **more,
    }


def gitlab(**more: Any) -> dict[str, Any]:
    """An audit event of a project, as the API gives it."""
    return {
        "id": 5,
        "author_id": 18,
        "entity_id": 7,
        "entity_type": "Project",
        "event_name": "project_visibility_level_updated",
        "details": {
            "change": "visibility",
            "from": "Private",
            "to": "Public",
            "author_name": "Marta Ruiz",
            "author_class": "User",
            "target_id": 7,
            "target_type": "Project",
            "target_details": "acme/shop",
            "ip_address": "203.0.113.9",
            "entity_path": "acme/shop",
        },
        "created_at": "2026-03-02T08:15:30.123Z",
        **more,
    }


def okta(kind: str = "user.session.start", **more: Any) -> dict[str, Any]:
    """A LogEvent."""
    return {
        "uuid": "11111111-2222-3333-4444-555555555555",
        "published": "2026-03-02T08:15:30.123Z",
        "eventType": kind,
        "version": "0",
        "severity": "INFO",
        "actor": {"id": "00u1", "type": "User", "alternateId": "ana@acme.example", "displayName": "Ana"},
        "client": {"ipAddress": "203.0.113.9", "userAgent": {"rawUserAgent": "Mozilla/5.0"}},
        "outcome": {"result": "SUCCESS"},
        "authenticationContext": {"externalSessionId": "trs1"},
        "transaction": {"type": "WEB", "id": "t1", "detail": {}},
        "debugContext": {"debugData": {"behaviors": "{New Country=POSITIVE, Velocity=NEGATIVE}"}},
        "target": [{"id": "00T9", "type": "Token", "displayName": "ci", "alternateId": "unknown"}],
        **more,
    }


def slack(action: str = "app_scopes_expanded", **more: Any) -> dict[str, Any]:
    """An entry."""
    return {
        "id": "e-1",
        "date_create": 1772439330,
        "action": action,
        "actor": {"type": "user", "user": {"id": "U1", "name": "ana", "email": "ana@acme.example", "team": "T1"}},
        "entity": {"type": "app", "app": {"id": "A1", "name": "Sync", "is_directory_approved": False}},
        "context": {
            "location": {"type": "workspace", "id": "T1", "name": "Acme", "domain": "acme"},
            "ua": "Mozilla/5.0",
            "ip_address": "203.0.113.9",
            "session_id": 77,
        },
        "details": {"new_scopes": ["chat:write", "users:read"], "previous_scopes": ["chat:write"]},
        **more,
    }


def salesforce(kind: str = "API", **more: Any) -> dict[str, Any]:
    """A row of an event log file."""
    return {
        "EVENT_TYPE": kind,
        "TIMESTAMP": "20260302081530.123",
        "TIMESTAMP_DERIVED": "2026-03-02T08:15:30.123Z",
        "REQUEST_ID": "R1",
        "ORGANIZATION_ID": "00D000000000001",
        "USER_ID": "0055j000000utlP",
        "USER_NAME": "robot@acme.example",
        "CLIENT_IP": "203.0.113.9",
        "METHOD_NAME": "query",
        "ENTITY_NAME": "Account",
        "ROWS_PROCESSED": "2000",
        "CONNECTED_APP_ID": "0H4000000000001",
        **more,
    }


def kubernetes(verb: str = "create", resource: str = "clusterrolebindings", **more: Any) -> dict[str, Any]:
    """The last event of a request."""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "a-1",
        "stage": "ResponseComplete",
        "requestURI": f"/apis/x/{resource}",
        "verb": verb,
        "user": {
            "username": "system:serviceaccount:ci:deployer",
            "uid": "AAAAAAAA-2222-3333-4444-555555555555",
            "groups": ["system:serviceaccounts"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=77777777-2222-3333-4444-555555555555"]},
        },
        "sourceIPs": ["203.0.113.9", "10.0.0.1"],
        "userAgent": "kubectl/v1.32",
        "objectRef": {"resource": resource, "name": "one", "apiVersion": "v1"},
        "responseStatus": {"code": 201},
        "requestReceivedTimestamp": "2026-03-02T08:15:30.123456Z",
        "stageTimestamp": "2026-03-02T08:15:30.200000Z",
        **more,
    }


ALL = {
    "gcp.audit": gcp(),
    "google.workspace": workspace("token", "authorize", "auth", client_id="1-a", scope=["https://x/auth/drive"]),
    "github.audit": github(),
    "gitlab.audit": gitlab(),
    "okta.system_log": okta(),
    "slack.audit": slack(),
    "salesforce.events": salesforce(),
    "kubernetes.audit": kubernetes(),
}

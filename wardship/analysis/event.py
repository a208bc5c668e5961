"""What detections ask, as SQL in DuckDB's dialect: new activities with what is known of who did them, and which
identities set up much at once.

Who runs it, and where tables lie, is the caller's affair (`wardship.services.detect_tables`). The columns are those of
`wardship.sdk.detection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from wardship.analysis import baseline
from wardship.model.activity import ACTIVITY
from wardship.model.baseline import MATURE_DAYS
from wardship.sdk.detection import EVENT

OPERATIONS = """
SELECT DISTINCT service, operation, resource_type FROM activity WHERE {chosen}
UNION SELECT DISTINCT service, operation, NULL FROM actor_action
"""
"""What is done in the chosen activities and was ever done before: to be looked up in the tables of action classes."""

NOBODY = "not named"
"""`actor_id` of an event whose log names no one (a refused caller, a stranger without a credential). The state counts
no such events, so only detections that need no past speak of them: one actor for each account of a log. What is
neither refused nor a change is left out: so clouds log their own work."""

_TOOLS = (  # family of the user agent (as the state keeps it), the tool: facts of ours, 2026-11
    ("Terraform%", "Terraform"),
    ("HashiCorp Terraform%", "Terraform"),
    ("APN", "Terraform"),  # its AWS provider begins "APN/1.0 HashiCorp/1.0 Terraform/..."
    ("OpenTofu%", "OpenTofu"),
    ("cloudformation.amazonaws.com", "CloudFormation"),
    ("aws-cdk%", "CloudFormation"),
    ("Pulumi%", "Pulumi"),
    ("pulumi%", "Pulumi"),
    ("argocd%", "Argo CD"),
    ("Argo CD%", "Argo CD"),
    ("Crossplane%", "Crossplane"),
    ("crossplane%", "Crossplane"),
    ("Ansible%", "Ansible"),
    ("flux%", "Flux"),
    ("helm%", "Helm"),
    ("Okta SCIM%", "Okta"),
    ("Okta-Integrations%", "Okta"),
)
_TOOL_DAYS = 5  # active days; below, an agent's name is only a claim
_TOOL_ACTIONS = 8  # different operations
_TOOL_SHARE = 0.5  # of the actor's events, those with the tool's agent


def chosen(batches: Sequence[int], since: datetime) -> str:
    """The condition of the activities in these batches, not older than `since`."""
    if not batches:
        return "FALSE"
    begin = since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"batch IN ({', '.join(str(int(one)) for one in batches)}) AND time >= TIMESTAMP '{begin}'"


def events(batches: Sequence[int], since: datetime) -> str:
    """SELECT of the table `event` from `activity`, the facts, `own_network` and `action` (the action classes)."""
    acted = ", ".join(f'"{name}"' for name in ACTIVITY if name != "actor_id")
    added = {
        "actor_id": "a.counted_id",
        "authority": "a.counted_authority",
        "ref": "a.input || '#' || a.position",
        "identity_uid": "i.uid",
        "identity_name": "coalesce(i.name, i.native_id)",
        "identity_kind": "i.kind",
        "identity_standing": "i.standing",
        "identity_enabled": "i.enabled",
        "identity_presence": "i.presence",
        "identity_created_at": "i.created_at",
        "criticality": "i.criticality",
        "environment": "i.environment",
        "owner_name": "i.owner_name",
        "supplier_name": "i.supplier_name",
        "credential_uid": "c.uid",
        "credential_presence": "c.presence",
        "credential_enabled": "c.enabled",
        "credential_expires_at": "c.expires_at",
        "leaked": "coalesce(c.leaked, FALSE) OR (a.credential_id IS NOT NULL AND a.credential_id IN"
        " (SELECT public_id FROM exposure WHERE presence <> 'gone' AND public_id IS NOT NULL))",
        "action_class": "m.action_class",
        "privileged": "coalesce(m.privileged, FALSE)",
        "own_network": "CASE WHEN a.src_ip IS NOT NULL THEN a.src_network IN (SELECT name FROM own_network) END",
        "lasting_credential_id": "a.lasting_credential_id",
        "agent": "g.agent",
        "session_form": baseline.session_of("a.session"),
        "resource": baseline.resource_of("a.resource_id"),
        "hour_of_week": "a.hour_of_week",
    }
    columns = ", ".join(f'CAST({added.get(name, f"a.{name}")} AS {kind}) AS "{name}"' for name, kind in EVENT.items())
    return f"""
WITH
acted AS (
    SELECT {acted}, actor_id, {baseline.AUTHORITY} AS counted_authority,
        coalesce({baseline.ACTOR_ID}, '{NOBODY}') AS counted_id,
        {baseline.CREDENTIAL} AS lasting_credential_id, {baseline.HOUR_OF_WEEK} AS hour_of_week
    FROM activity WHERE {chosen(batches, since)}
        AND ({baseline.ACTOR_ID} IS NOT NULL OR outcome = 'failure' OR mutating)
),
agents AS (
    SELECT user_agent, {baseline.agent_of("user_agent")} AS agent
    FROM (SELECT DISTINCT user_agent FROM acted WHERE user_agent IS NOT NULL)
),
alias AS (SELECT authority, native_id, min(identity_uid) AS uid FROM identity_alias GROUP BY authority, native_id),
exposed AS (
    SELECT uid, bool_or(leaked) AS leaked FROM (
        SELECT c.uid, TRUE AS leaked FROM credential AS c JOIN exposure AS x
            ON x.credential_uid = c.uid WHERE x.presence <> 'gone'
        UNION ALL
        SELECT c.uid, TRUE FROM credential AS c JOIN exposure AS x
            ON x.fingerprint = c.fingerprint WHERE x.presence <> 'gone'
    ) GROUP BY uid
),
named AS (
    SELECT public_id AS name, * FROM credential WHERE public_id IS NOT NULL
    UNION ALL
    SELECT native_id AS name, * FROM credential WHERE public_id IS DISTINCT FROM native_id
),
known AS (
    SELECT n.name, n.uid, n.identity_uid, n.presence, n.enabled, n.expires_at, coalesce(e.leaked, FALSE) AS leaked
    FROM named AS n LEFT JOIN exposed AS e ON e.uid = n.uid
    QUALIFY row_number() OVER (PARTITION BY n.name ORDER BY n.presence = 'gone', n.uid) = 1
)
SELECT {columns}
FROM acted AS a
LEFT JOIN agents AS g ON g.user_agent = a.user_agent
LEFT JOIN known AS c ON c.name = a.credential_id
LEFT JOIN alias AS l ON l.authority = a.actor_authority AND l.native_id = a.actor_id
LEFT JOIN identity AS i ON i.uid = coalesce(l.uid, c.identity_uid)
LEFT JOIN action AS m ON m.service IS NOT DISTINCT FROM a.service AND m.operation = a.operation
    AND m.resource_type IS NOT DISTINCT FROM a.resource_type
"""  # noqa: S608 - our own names and numbers


def provisioners() -> str:
    """SELECT of (authority, actor_id, tool) of those that the state shows to be provisioning tools.

    An agent's name is a claim of whoever sends it. It counts for an actor that has worked mostly with that agent: for
    days and on many things, or for as long as a baseline takes. Nobody gets that by naming himself Terraform once.
    """
    named = " ".join(f"WHEN agent LIKE '{pattern}' THEN '{tool}'" for pattern, tool in _TOOLS)
    return f"""
WITH
agents AS (
    SELECT authority, actor_id, CASE {named} END AS tool, events FROM actor_agent
),
shares AS (
    SELECT authority, actor_id, arg_max(tool, events) AS tool,
        sum(CASE WHEN tool IS NOT NULL THEN events ELSE 0 END) AS with_tool, sum(events) AS events
    FROM agents GROUP BY authority, actor_id
),
days AS (SELECT authority, actor_id, count(DISTINCT day) AS days FROM actor_day GROUP BY authority, actor_id),
breadth AS (
    SELECT authority, actor_id, count(DISTINCT service || ' ' || operation) AS actions
    FROM actor_action GROUP BY authority, actor_id
)
SELECT s.authority, s.actor_id, s.tool
FROM shares AS s
JOIN days AS d ON d.authority = s.authority AND d.actor_id = s.actor_id
JOIN breadth AS b ON b.authority = s.authority AND b.actor_id = s.actor_id
WHERE s.tool IS NOT NULL AND s.with_tool >= {_TOOL_SHARE} * s.events
    AND (d.days >= {_TOOL_DAYS} AND b.actions >= {_TOOL_ACTIONS} OR d.days >= {MATURE_DAYS})
"""  # noqa: S608 - our own names and numbers

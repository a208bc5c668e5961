"""The closed vocabularies of the model in a person's language. Data and exports keep the bare words."""

from __future__ import annotations

from collections.abc import Mapping

from wardship.sdk.i18n import N_, _

_KINDS = {
    "directory_account": N_("directory account"),
    "managed_service_account": N_("managed service account"),
    "oauth_app": N_("OAuth app"),
    "api_client": N_("API client"),
    "access_key_holder": N_("access key holder"),
    "personal_access_token": N_("personal access token"),
    "deploy_key": N_("deploy key"),
    "workload_role": N_("workload role"),
    "managed_identity": N_("managed identity"),
    "kubernetes_service_account": N_("Kubernetes service account"),
    "ci_pipeline": N_("CI pipeline"),
    "robot": N_("robot"),
    "database_account": N_("database account"),
    "secrets_manager_client": N_("secrets manager client"),
    "supplier_account": N_("supplier account"),
    "device": N_("device"),
    "ai_agent": N_("AI agent"),
}
_CREDENTIALS = {
    "access_key": N_("access key"),
    "client_secret": N_("client secret"),
    "certificate": N_("certificate"),
    "federation": N_("federation trust"),
    "console_password": N_("console password"),
    "password": N_("password"),
    "api_key": N_("API key"),
    "token": N_("token"),
    "ssh_key": N_("SSH key"),
    "stored_secret": N_("stored secret"),
    "identity_provider": N_("identity provider"),
    "ci_secret": N_("CI secret"),
    "signing_secret": N_("signing secret"),
}
_SEVERITIES = {
    "critical": N_("critical"),
    "high": N_("high"),
    "medium": N_("medium"),
    "low": N_("low"),
    "info": N_("info"),
}
_TIERS = {
    "control_plane": N_("control plane"),
    "write": N_("write"),
    "sensitive_read": N_("sensitive read"),
    "read": N_("read"),
}
_OWNERS = {
    "attested": N_("attested"),
    "suggested": N_("suggested"),
    "lapsed": N_("lapsed"),
    "rejected": N_("rejected"),
    "unresolved": N_("unresolved"),
    "none": N_("no owner"),
}
_STANDINGS = {"own": N_("own"), "provider_managed": N_("provider-managed"), "foreign": N_("foreign")}
_PRESENCES = {"present": N_("present"), "unconfirmed": N_("unconfirmed"), "gone": N_("gone")}
_USES = {"used": N_("used"), "never": N_("never used")}
_SCOPES = {
    "running": N_("running"),
    "complete": N_("complete"),
    "partial": N_("partial"),
    "failed": N_("failed"),
    "skipped": N_("not read"),
    "done": N_("done"),
    "incomplete": N_("incomplete"),
    "not_read": N_("not read"),
}
_STATES = {
    "open": N_("open"),
    "reopened": N_("reopened"),
    "closed": N_("closed"),
    "accepted": N_("accepted"),
}
_CONFIDENCES = {"confirmed": N_("confirmed"), "likely": N_("likely"), "tentative": N_("tentative")}
_CHANGES = {
    "appeared": N_("appeared"),
    "changed": N_("changed"),
    "unconfirmed": N_("unconfirmed"),
    "gone": N_("gone"),
    "returned": N_("returned"),
    "opened": N_("opened"),
    "closed": N_("closed"),
    "reopened": N_("reopened"),
}
_FAMILIES = {
    "system": N_("system"),
    "identity": N_("identity"),
    "credential": N_("credential"),
    "grant": N_("grant"),
    "usage": N_("use"),
    "owner": N_("owner"),
    "person": N_("person"),
    "supplier": N_("supplier"),
    "exposure": N_("exposure"),
    "dependency": N_("dependency"),
    "secret": N_("secret"),
    "finding": N_("finding"),
}
_REASONS = {
    "missing_permission": N_("permission missing"),
    "not_visible": N_("not visible"),
    "throttled": N_("throttled"),
    "deadline": N_("out of time"),
    "unavailable": N_("did not answer"),
    "unexpected": N_("unexpected answer"),
    # of a use verdict
    "used_in_time": N_("used within the time"),
    "not_used_in_time": N_("not used in the whole time watched"),
    "too_new": N_("younger than the time to be watched"),
    "period_not_seen": N_("a business period was not watched"),
    "credential_not_named": N_("its holder's events do not name the credential"),
    "id_not_exact": N_("the log names it by an id or name that is not its alone"),
    "data_events_off": N_("the log holds no data events"),
    "reads_not_logged": N_("the log holds no reads"),
    "part_not_read": N_("a part of the log was not read"),
    "part_not_told": N_("the log cannot tell whether all of it is there, and nobody said so"),
    "log_has_holes": N_("days are missing from the log"),
    "watched_too_short": N_("watched too short a time"),
    "read_too_long_ago": N_("read too long ago"),
    "log_refused": N_("the log could not be read"),
    "no_log": N_("no log of it was read"),
}
_VERDICTS = {
    "used": N_("used"),
    "unused": N_("unused"),
    "unobserved": N_("unobserved"),
    "insufficient": N_("not enough known"),
}
_PERIODS = {"month_end": N_("end of month"), "quarter_end": N_("end of quarter"), "year_end": N_("end of year")}
_RHYTHMS = {
    "daily": N_("every day"),
    "weekdays": N_("on working days"),
    "weekly": N_("every week"),
    "monthly": N_("every month"),
    "bursty": N_("now and then"),
}
_OUTCOMES = {"success": N_("done"), "failure": N_("refused or failed")}
_ASPECTS = {
    "credential": N_("credential"),
    "action": N_("action"),
    "resource": N_("resource"),
    "network": N_("network"),
    "agent": N_("program"),
    "session": N_("session"),
    "actor": N_("actor"),
    "day": N_("day"),
}

_STAGES = {
    "found": N_("found"),
    "vaulted": N_("vaulted"),
    "moved": N_("consumers moved"),
    "removed": N_("removed from the source"),
    "purged": N_("purged"),
}
_VALIDITIES = {"active": N_("works"), "inactive": N_("dead")}
_PLACES = {
    "dotenv": N_("environment file"),
    "container": N_("container environment"),
    "ci_file": N_("CI file"),
    "ci_variable": N_("CI variable"),
    "ci_log": N_("CI log"),
    "config": N_("configuration"),
    "keystore": N_("key store"),
    "code": N_("code"),
    "notes": N_("notes"),
    "chat": N_("chat"),
    "ticket": N_("ticket"),
    "wiki": N_("wiki"),
    "file": N_("file"),
}

# column name -> its words. "unknown" means the same everywhere.
_WORDS: Mapping[str, Mapping[str, str]] = {
    "kind": _KINDS,
    "type": _CREDENTIALS,
    "severity": _SEVERITIES,
    "criticality": _SEVERITIES,
    "tier": _TIERS,
    "worst_tier": _TIERS,
    "owner_state": _OWNERS,
    "state": {**_STATES, **_OWNERS},
    "standing": _STANDINGS,
    "presence": _PRESENCES,
    "use_state": _USES,
    "status": _SCOPES,
    "confidence": _CONFIDENCES,
    "change": _CHANGES,
    "family": _FAMILIES,
    "reason": _REASONS,
    "problem": {"no_log": _REASONS["no_log"]},
    "stage": _STAGES,
    "validity": _VALIDITIES,
    "verdict": _VERDICTS,
    "period": _PERIODS,
    "place": _PLACES,
    "rhythm": _RHYTHMS,
    "outcome": _OUTCOMES,
    "aspect": _ASPECTS,
}


def word(column: str, value: str) -> str:
    """`value` of `column` in the language in force; an unknown value stays as it is."""
    if value == "unknown":
        return _("unknown")
    message = _WORDS.get(column, {}).get(value)
    return _(message) if message else value

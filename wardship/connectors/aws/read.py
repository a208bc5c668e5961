"""Reads AWS accounts: what there is to read, in which order, and the calls for it.

One `Account` remembers what the lists of an account say together (`Known`), because a user's rights stand in three
of them. A list is read once; whoever needs it first reads it, so a scan may go on in a new process at any scope.
Requests in IAM grow with pages of 1,000, not with principals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardship.connectors.aws import iam, report, services
from wardship.connectors.aws.iam import Known
from wardship.connectors.aws.manifest import MANIFEST, settings_of
from wardship.connectors.aws.probe import check
from wardship.connectors.aws.session import SESSION, Api, Gone, signed_in
from wardship.connectors.aws.setup import guide
from wardship.model.errors import (
    ConfigError,
    DataError,
    Error,
    RetryableError,
    SkippableError,
    Unavailable,
    UnexpectedResponse,
)
from wardship.model.scan import Problem, RawPage, Scope
from wardship.sdk.connector import CallStats, Capability, CheckResult, Connection, DriftLog, Record, SetupGuide
from wardship.sdk.i18n import _

PAGE = 1000
REPORT_POLLS = 20
REPORT_POLL_S = 2.0

# Lists of an account in reading order: what a principal's rights stand in comes before the principal.
_ACCOUNT_KINDS = (
    "account",
    "iam.credential_report",
    "iam.policy",
    "iam.group",
    "iam.user",
    "iam.role",
    "iam.oidc_provider",
    "iam.saml_provider",
)
_REGIONAL_KINDS = ("secretsmanager.secret", "acm.certificate", "apigateway.key", "rolesanywhere.anchor")
_CALLER_KINDS = ("organizations.account", "identitystore.group", "identitystore.user", "sso.permission_set")

# GetAccountAuthorizationDetails by kind: its filter, the list in the answer, and the provider's own total.
_DETAILS: Mapping[str, tuple[Sequence[str], str, str | None]] = {
    "iam.policy": (("LocalManagedPolicy", "AWSManagedPolicy"), "Policies", None),
    "iam.group": (("Group",), "GroupDetailList", "Groups"),
    "iam.user": (("User",), "UserDetailList", "Users"),
    "iam.role": (("Role",), "RoleDetailList", "Roles"),
}


_REPORT_LATE = Problem(reason="unavailable", detail="the credential report could not be had: kinds are not known")


@dataclass(frozen=True, slots=True)
class _Listing:
    """A list of a regional service: the operation, the list in its answer, the name of its page token."""

    service: str
    operation: str
    items: str
    token: str
    params: Mapping[str, Any]


_LISTINGS: Mapping[str, _Listing] = {
    "secretsmanager.secret": _Listing(
        "secretsmanager", "ListSecrets", "SecretList", "NextToken", {"MaxResults": 100, "IncludePlannedDeletion": True}
    ),
    "acm.certificate": _Listing("acm", "ListCertificates", "CertificateSummaryList", "NextToken", {"MaxItems": 1000}),
    "apigateway.key": _Listing("apigateway", "GetApiKeys", "items", "position", {"limit": 500, "includeValues": False}),
}
_ANCHORS = _Listing("rolesanywhere", "ListTrustAnchors", "trustAnchors", "nextToken", {})
_PROFILES = _Listing("rolesanywhere", "ListProfiles", "profiles", "nextToken", {})


@dataclass(slots=True)
class Account:
    """One account of the scan: how it is called, and what is known of it so far."""

    known: Known
    api: Api | None = None
    failure: Error | None = None  # why it cannot be called; raised for each of its scopes
    summary: Mapping[str, Any] | None = None
    policies_read: bool = False
    groups_read: bool = False
    roles_read: bool = False
    report_asked: bool = False
    report_late: bool = False  # it could not be had this time: what needs it is not complete


class AwsConnector:
    """`Connector` of AWS (see wardship.sdk.connector)."""

    manifest = MANIFEST

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._settings = settings_of(connection)
        self.stats = CallStats()
        self.drift = DriftLog()
        self._base: Api | None = None
        self._caller_arn = ""
        self._accounts: dict[str, Account] = {}
        self._members: dict[str, Mapping[str, Any]] | None = None
        self._center: tuple[str, Mapping[str, Any] | None] | None = None

    # -------------------------------------------------------------- what there is

    def scopes(self) -> Iterable[Scope]:
        caller = self._caller()
        yield from (self._scope(caller, kind) for kind in _CALLER_KINDS)
        for number in self._read_accounts(caller):
            for kind in _ACCOUNT_KINDS:
                yield self._scope(number, kind)
                if kind == "iam.credential_report" and self._settings.key_ids:
                    yield self._scope(number, "iam.access_key")
            for region in self._settings.regions or (self._api().default_region,):
                yield from (self._scope(number, kind, region) for kind in _REGIONAL_KINDS)

    @staticmethod
    def _scope(number: str, kind: str, region: str = "") -> Scope:
        return Scope(connector="aws", authority=f"aws:{number}", kind=kind, region=region)

    def _api(self) -> Api:
        """The connection's own calls: as `role_arn` where that is set."""
        if self._base is None:
            self._base = signed_in(self._connection, self._settings.role_arn, self.stats)
        return self._base

    def _caller(self) -> str:
        """The number of the account that the credentials belong to."""
        if not self._caller_arn:
            self._caller_arn = str(self._api().call("sts", "GetCallerIdentity")["Arn"])
        return self._caller_arn.split(":")[4]

    def _read_accounts(self, caller: str) -> list[str]:
        if not self._settings.member_role:
            return [caller]
        members = self._organisation()
        if not members:
            raise ConfigError(
                _("member_role is set, but the accounts of the organisation cannot be listed"),
                advice=_("allow organizations:ListAccounts, or leave member_role out to read this account alone"),
            )
        active = (number for number, entry in members.items() if entry.get("Status") == "ACTIVE")
        return [caller, *(number for number in sorted(active) if number != caller)]

    def _account(self, authority: str) -> Account:
        number = authority.removeprefix("aws:")
        if number not in self._accounts:
            known = Known(account=number, drift=self.drift, as_of=self._connection.clock())
            known.organisation = frozenset(self._organisation())
            known.keys_listed = self._settings.key_ids
            account = Account(known=known)
            try:
                account.api = self._api_of(number)
            except SkippableError as error:
                account.failure = error
            self._accounts[number] = account
        return self._accounts[number]

    def _api_of(self, number: str) -> Api:
        if number == self._caller():
            return self._api()
        return self._api().assume(
            f"arn:{self._caller_arn.split(':')[1]}:iam::{number}:role/{self._settings.member_role}", SESSION
        )

    def _call(self, account: Account, service: str, operation: str, **params: Any) -> Mapping[str, Any]:
        if account.api is None:
            raise account.failure or ConfigError(
                _("account %(account)s cannot be called") % {"account": account.known.account}
            )
        return account.api.call(service, operation, params)

    # -------------------------------------------------------------- network

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        kind = scope.kind
        if kind in _CALLER_KINDS:
            yield from self._fetch_of_caller(kind, token)
            return
        account = self._account(scope.authority)
        if kind in _DETAILS:
            yield from self._fetch_details(account, kind, token)
        elif scope.region:
            yield from self._fetch_regional(account, scope, token)
        elif kind == "account":
            entry = self._organisation().get(account.known.account, {})
            yield RawPage(items=[{"Summary": self._summary(account), "Account": entry}])
        elif kind == "iam.credential_report":
            yield RawPage(items=self._report(account))
        elif kind == "iam.access_key":
            yield from self._fetch_keys(account)
        elif kind == "iam.oidc_provider":
            listed = self._call(account, "iam", "ListOpenIDConnectProviders").get("OpenIDConnectProviderList", ())
            yield RawPage(items=[self._oidc_provider(account, entry["Arn"]) for entry in listed])
        elif kind == "iam.saml_provider":
            yield RawPage(items=self._call(account, "iam", "ListSAMLProviders").get("SAMLProviderList", ()))
        else:
            raise ConfigError(_("the AWS connector has no scope %(kind)r") % {"kind": kind})

    def _fetch_details(self, account: Account, kind: str, token: str | None) -> Iterator[RawPage]:
        if kind in ("iam.user", "iam.role"):
            self._ensure(account, "iam.policy", account.policies_read)
        if kind == "iam.user":
            self._ensure(account, "iam.group", account.groups_read)
            self._try_report(account)
        wanted, name, total_name = _DETAILS[kind]
        total = self._total(account, total_name)
        while True:
            paging = {"Marker": token} if token else {}
            answer = self._call(
                account, "iam", "GetAccountAuthorizationDetails", Filter=list(wanted), MaxItems=PAGE, **paging
            )
            items = answer.get(name, ())
            self._remember(account, kind, items)
            token = answer.get("Marker") if answer.get("IsTruncated") else None
            late = kind == "iam.user" and account.report_late
            yield RawPage(items=items, next_token=token, expected_total=total, problems=(_REPORT_LATE,) if late else ())
            if token is None:
                break
        account.policies_read |= kind == "iam.policy"
        account.groups_read |= kind == "iam.group"
        account.roles_read |= kind == "iam.role"

    def _ensure(self, account: Account, kind: str, read: bool) -> None:
        """Reads a list that the next one needs, when the scan went on in the middle."""
        if not read:
            for _page in self._fetch_details(account, kind, None):
                pass

    @staticmethod
    def _remember(account: Account, kind: str, items: Iterable[Any]) -> None:
        for item in items:
            if kind == "iam.policy":
                remember_policy(account.known, item)
            elif kind == "iam.group":
                remember_group(account.known, item)
            elif kind == "iam.role":
                account.known.anchored |= iam.trusts_roles_anywhere(item)

    def _summary(self, account: Account) -> Mapping[str, Any]:
        if account.summary is None:
            account.summary = self._call(account, "iam", "GetAccountSummary").get("SummaryMap", {})
        return account.summary

    def _total(self, account: Account, name: str | None) -> int | None:
        """The provider's own count; None where it gives none or may not be asked."""
        if name is None:
            return None
        try:
            found = self._summary(account).get(name)
        except SkippableError:
            return None
        return found if isinstance(found, int) else None

    def _report(self, account: Account) -> list[dict[str, str]]:
        """The credential report's rows: made anew when the last is older than four hours (AWS's own rule)."""
        account.report_asked = True
        account.report_late = True  # until it is here
        try:
            rows = self._fetch_report(account)
        except SkippableError:
            account.report_late = False  # it will not come: the scope of the report says so
            raise
        account.report_late = False
        account.known.report = {row["arn"]: row for row in rows if row.get("arn")}
        return rows

    def _fetch_report(self, account: Account) -> list[dict[str, str]]:
        for _poll in range(REPORT_POLLS):
            state = self._call(account, "iam", "GenerateCredentialReport").get("State")
            if state == "COMPLETE":
                break
            if state not in ("STARTED", "INPROGRESS"):
                self.drift.unknown_value("iam.GenerateCredentialReport.State", str(state))
            if account.api is not None:
                account.api.wait(REPORT_POLL_S)
        else:
            raise Unavailable(_("the credential report was not ready in time"), system="aws", operation="iam")
        content = self._call(account, "iam", "GetCredentialReport").get("Content", b"")
        try:
            return report.rows(content.decode("utf-8") if isinstance(content, bytes) else str(content))
        except (UnicodeDecodeError, DataError) as error:
            raise Unavailable(_("the credential report that AWS sent cannot be read"), system="aws") from error

    def _try_report(self, account: Account) -> None:
        """The report where it can be read: without it the kind of a user stays unknown."""
        if not account.report_asked:
            try:
                self._report(account)
            except SkippableError:
                account.known.report = None
            except RetryableError:
                account.known.report = None

    def _fetch_keys(self, account: Account) -> Iterator[RawPage]:
        """`key_ids`: one request a user with keys, for the ids that the report does not have."""
        self._try_report(account)
        if account.known.report is None:
            raise Unavailable(_("without the credential report the users with keys are not known"), system="aws")
        items, problems = [], []
        for arn, row in account.known.report.items():
            if report.is_root(row) or not report.slots(row):
                continue
            try:
                listed = self._call(account, "iam", "ListAccessKeys", UserName=row["user"])
            except Gone:
                continue  # deleted since the report was made
            except SkippableError as error:
                problems.append(Problem.of(error, arn))
                continue
            items.append({"Row": row, "AccessKeyMetadata": listed.get("AccessKeyMetadata", ())})
        yield RawPage(items=items, problems=problems)

    def _oidc_provider(self, account: Account, arn: str) -> Mapping[str, Any]:
        answer = self._call(account, "iam", "GetOpenIDConnectProvider", OpenIDConnectProviderArn=arn)
        return {**answer, "Arn": arn}

    # -------------------------------------------------------------- regional services

    def _fetch_regional(self, account: Account, scope: Scope, token: str | None) -> Iterator[RawPage]:
        """At most one call for each page; an empty region costs three calls in all, a fourth where a role trusts
        Roles Anywhere: without such a role an anchor opens nothing."""
        if scope.kind in _LISTINGS:
            yield from self._pages(account, scope, token, _LISTINGS[scope.kind])
        elif account.roles_read and not account.known.anchored:
            yield RawPage(items=())
        else:
            found = self._listed(account, scope, _ANCHORS)
            found += self._listed(account, scope, _PROFILES) if found else []
            yield RawPage(items=found)

    def _listed(self, account: Account, scope: Scope, listing: _Listing) -> list[Any]:
        return [item for page in self._pages(account, scope, None, listing) for item in page.items]

    def _pages(self, account: Account, scope: Scope, token: str | None, listing: _Listing) -> Iterator[RawPage]:
        if account.api is None:
            raise account.failure or ConfigError(
                _("account %(account)s cannot be called") % {"account": account.known.account}
            )
        while True:
            asked = {**listing.params, listing.token: token} if token else listing.params
            answer = account.api.call(listing.service, listing.operation, asked, region=scope.region)
            token = answer.get(listing.token) or None
            yield RawPage(items=answer.get(listing.items, ()), next_token=token)
            if token is None:
                break

    # -------------------------------------------------------------- the caller's account

    def _fetch_of_caller(self, kind: str, token: str | None) -> Iterator[RawPage]:
        if kind == "organizations.account":
            self._members = None
            members = self._list_members()
            read = set(self._read_accounts(self._caller()))
            yield RawPage(items=[entry for number, entry in members.items() if number not in read])
            return
        region, instance = self._identity_center()
        if instance is None:
            yield RawPage(items=())
        elif kind == "sso.permission_set":
            yield from self._fetch_permission_sets(region, str(instance["InstanceArn"]), token)
        else:
            operation, name = ("ListUsers", "Users") if kind == "identitystore.user" else ("ListGroups", "Groups")
            while True:
                params = {"IdentityStoreId": instance["IdentityStoreId"], "MaxResults": 100}
                params |= {"NextToken": token} if token else {}
                answer = self._api().call("identitystore", operation, params, region=region)
                token = answer.get("NextToken") or None
                yield RawPage(items=answer.get(name, ()), next_token=token)
                if token is None:
                    break

    def _organisation(self) -> Mapping[str, Mapping[str, Any]]:
        """The accounts of the organisation by number; empty where they may not be listed."""
        if self._members is None:
            try:
                self._list_members()
            except SkippableError:
                self._members = {}
        return self._members or {}

    def _list_members(self) -> Mapping[str, Mapping[str, Any]]:
        members: dict[str, Mapping[str, Any]] = {}
        token = None
        while True:
            answer = self._api().call("organizations", "ListAccounts", {"NextToken": token} if token else {})
            members |= {str(entry["Id"]): entry for entry in answer.get("Accounts", ())}
            token = answer.get("NextToken")
            if not token:
                self._members = members
                return members

    def _identity_center(self) -> tuple[str, Mapping[str, Any] | None]:
        """(region, instance): an organisation has one instance, in one region."""
        if self._center is None:
            regions = self._settings.regions or (self._api().default_region,)
            found: tuple[str, Mapping[str, Any] | None] = regions[0], None
            for region in regions:
                instances = self._api().call("sso-admin", "ListInstances", {}, region=region).get("Instances", ())
                if instances:
                    found = region, instances[0]
                    break
            self._center = found
        return self._center

    def _fetch_permission_sets(self, region: str, instance: str, token: str | None) -> Iterator[RawPage]:
        while True:
            params = {"InstanceArn": instance, "MaxResults": 100} | ({"NextToken": token} if token else {})
            answer = self._api().call("sso-admin", "ListPermissionSets", params, region=region)
            items = [self._permission_set(region, instance, arn) for arn in answer.get("PermissionSets", ())]
            token = answer.get("NextToken") or None
            yield RawPage(items=items, next_token=token)
            if token is None:
                break

    def _permission_set(self, region: str, instance: str, arn: str) -> Mapping[str, Any]:
        named = {"InstanceArn": instance, "PermissionSetArn": arn}
        answer = self._api().call("sso-admin", "DescribePermissionSet", named, region=region)
        accounts = self._all(region, "ListAccountsForProvisionedPermissionSet", "AccountIds", named)
        assignments = [
            one
            for number in accounts
            for one in self._all(region, "ListAccountAssignments", "AccountAssignments", {**named, "AccountId": number})
        ]
        return {"PermissionSet": answer.get("PermissionSet"), "Assignments": assignments}

    def _all(self, region: str, operation: str, name: str, params: Mapping[str, Any]) -> list[Any]:
        found: list[Any] = []
        token = None
        while True:
            asked = {**params, "MaxResults": 100} | ({"NextToken": token} if token else {})
            answer = self._api().call("sso-admin", operation, asked, region=region)
            found.extend(answer.get(name, ()))
            token = answer.get("NextToken")
            if not token:
                return found

    # -------------------------------------------------------------- no network

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        return records(scope, item, self._account(scope.authority).known)

    # -------------------------------------------------------------- points

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        """Asks for one object by its id. None where AWS offers no such question, or does not answer us."""
        question = _question(family, native_id)
        if question is None:
            return None
        service, operation, params = question
        account = self._account(scope.authority)
        try:
            if account.api is None:
                return None
            account.api.call(service, operation, params, region=scope.region)
        except Gone:
            return False
        except (SkippableError, RetryableError, UnexpectedResponse):
            return None
        return True

    def check(self) -> Sequence[CheckResult]:
        caller = self._caller()
        return check(self._api(), self._caller_arn, caller, self.manifest)

    def setup(self, capability: Capability) -> SetupGuide:
        return guide(capability)


def remember_policy(known: Known, item: Any) -> None:
    """Keeps the document in force of a managed policy; what cannot be read is reported where it is used."""
    if isinstance(item, Mapping) and isinstance(item.get("Arn"), str):
        versions = item.get("PolicyVersionList") or ()
        for version in versions if isinstance(versions, Sequence) else ():
            if isinstance(version, Mapping) and version.get("IsDefaultVersion"):
                known.policies[item["Arn"]] = version.get("Document") or "unreadable"


def remember_group(known: Known, item: Any) -> None:
    """Keeps a group for the users that name it."""
    if isinstance(item, Mapping) and isinstance(item.get("GroupName"), str):
        known.groups[item["GroupName"]] = item


def records(scope: Scope, item: Any, known: Known) -> Iterable[Record]:
    """The records of one raw object: the same for the live system and for an export."""
    kind = scope.kind
    if kind == "iam.user":
        return iam.user(item, known)
    if kind == "iam.role":
        return iam.role(item, known)
    if kind in ("iam.policy", "iam.group"):
        return _holds_nothing(item)
    if kind == "iam.credential_report":
        return report.records(item, known.authority, keys=not known.keys_listed)
    if kind == "iam.access_key":
        return _listed_keys(item, known.authority)
    if kind == "iam.oidc_provider":
        return iam.oidc_provider(item, known)
    if kind == "iam.saml_provider":
        return iam.saml_provider(item, known)
    if kind == "account":
        return services.account(item, known)
    if kind == "organizations.account":
        return services.member(item, known)
    if kind == "identitystore.user":
        return services.person(item, known)
    if kind == "identitystore.group":
        return services.team(item)
    if kind == "sso.permission_set":
        return services.permission_set(item, known)
    if kind == "secretsmanager.secret":
        return services.secret(item, known)
    if kind == "acm.certificate":
        return services.certificate(item, known)
    if kind == "apigateway.key":
        return services.api_key(item, known, scope.region)
    if kind == "rolesanywhere.anchor":
        return services.roles_anywhere(item, known)
    raise DataError(f"no record is made of {kind!r}")


def _holds_nothing(item: Any) -> Iterator[Record]:
    """A policy or group is no identity: what it gives stands in the grants of its users and roles."""
    if not isinstance(item, Mapping) or not isinstance(item.get("Arn"), str):
        raise DataError("a policy or group without an ARN")
    return iter(())


def _listed_keys(item: Any, authority: str) -> Iterator[Record]:
    """The keys of one user with their ids. Their slots are found by the date they were made."""
    if not isinstance(item, Mapping) or not isinstance(item.get("AccessKeyMetadata"), Sequence):
        raise DataError("a list of access keys without AccessKeyMetadata")
    row = report.check(item.get("Row"))
    left = [key for key in item["AccessKeyMetadata"] if isinstance(key, Mapping)]
    for slot in report.slots(row):
        made_at = report.instant(row, f"access_key_{slot}_last_rotated")
        same = [key for key in left if key.get("CreateDate") == made_at]
        found = same[0] if same else None
        if found is not None:
            left.remove(found)
        yield report.key(row, authority, slot, public_id=str(found["AccessKeyId"]) if found else None)


def _question(family: str, native_id: str) -> tuple[str, str, Mapping[str, Any]] | None:
    """The call that answers whether an object exists: (service, operation, parameters)."""
    name = native_id.rpartition("/")[2]
    if family == "identity" and ":user/" in native_id:
        return "iam", "GetUser", {"UserName": name}
    if family == "identity" and ":role/" in native_id:
        return "iam", "GetRole", {"RoleName": name}
    if family != "credential":
        return None
    if native_id.endswith("/password") and ":user/" in native_id:
        return "iam", "GetLoginProfile", {"UserName": native_id.split("/")[-2]}
    if ":oidc-provider/" in native_id and "/trust/" not in native_id:
        return "iam", "GetOpenIDConnectProvider", {"OpenIDConnectProviderArn": native_id}
    if ":secretsmanager:" in native_id:
        return "secretsmanager", "DescribeSecret", {"SecretId": native_id}
    if ":acm:" in native_id:
        return "acm", "DescribeCertificate", {"CertificateArn": native_id}
    return None

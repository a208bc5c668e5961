"""Raw objects of GitHub become records. No network, no clock, no judgement beyond facts.py.

Every value is hostile: an object without a usable id or name raises DataError and is quarantined; an optional field of
the wrong shape counts as drift and is not known. Values of variables, the last letters of tokens and the addresses of
webhooks never get here (`reader` takes them out), and are not read if they do.

Everything but systems and the exposures of a repository has the organisation's authority. People are known by login: it
is what GitHub names them by nearly everywhere (docs/adr/0017).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from wardship.connectors.github import facts, pipeline
from wardship.connectors.github.place import REPOSITORY, Where
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import DataError
from wardship.model.identity import Identity, IdentityKind, Person, Standing, System
from wardship.model.owner import Owner
from wardship.sdk.connector import Drift, Record
from wardship.sdk.environment import environment_of
from wardship.sdk.fields import Fields, known

_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\[\]-]{0,99}")
_SHA256 = re.compile(r"(?:SHA256:)?([A-Za-z0-9+/]{43})=?")

_SIGN_ON_KINDS = {
    "personal access token": (IdentityKind.PERSONAL_ACCESS_TOKEN, "classic_token", CredentialType.TOKEN),
    "SSH key": (IdentityKind.ACCESS_KEY_HOLDER, "user_ssh_key", CredentialType.SSH_KEY),
    "OAuth app token": (IdentityKind.API_CLIENT, "oauth_app_token", CredentialType.TOKEN),
    "GitHub app token": (IdentityKind.API_CLIENT, "github_app_user_token", CredentialType.TOKEN),
}


class Parser:
    """Turns the items of each kind of scope into records of one organisation."""

    def __init__(self, where: Where, drift: Drift) -> None:
        self._where, self._drift = where, drift
        self._kinds: Mapping[str, Callable[[Fields], Iterable[Record]]] = {
            "github.organisation": self._system,
            "github.repository": self._repository,
            "github.app_installation": self._installation,
            "github.personal_access_token": self._token,
            "github.personal_access_token_request": self._token_request,
            "github.sign_on_credential": self._sign_on,
            "github.deploy_key": self._deploy_key,
            "github.organisation_webhook": self._webhook,
            "github.repository_webhook": self._webhook,
            "github.runner": self._runner,
            "github.member": self._member,
            **pipeline.kinds(where),
        }

    def parse(self, kind: str, item: Any) -> list[Record]:
        """The records of one item. Raises DataError."""
        if not isinstance(item, dict):
            raise DataError(f"{kind}: an item that is no object")
        return list(self._kinds[kind](Fields(item, kind.removeprefix("github."), self._drift)))

    # -------------------------------------------------------------- systems

    def _system(self, item: Fields) -> Iterable[Record]:
        plan = item.child("plan")
        yield System(
            authority=self._where.authority,
            kind="github_organisation",
            name=item.text("name") or item.matching("login", _LOGIN),
            attributes=known(
                {
                    "id": item.integer("id"),
                    "two_factor_required": item.flag("two_factor_requirement_enabled"),
                    "default_repository_permission": item.text("default_repository_permission"),
                    "members_can_create_public_repositories": item.flag("members_can_create_public_repositories"),
                    "plan": plan.text("name") if plan else None,
                }
            ),
        )

    def _repository(self, item: Fields) -> Iterable[Record]:
        name = item.matching("full_name", REPOSITORY).lower()
        declared = item.child("custom_properties")
        words = declared.raw if declared else {}
        environment = next((words[k] for k in ("environment", "env") if isinstance(words.get(k), str)), None)
        private = item.flag("private")
        visibility = item.text("visibility") or {True: "private", False: "public", None: None}[private]
        pushed_at = item.instant("pushed_at")
        yield System(
            authority=self._where.of_repository(name),
            kind="github_repository",
            name=name,
            environment=environment_of(environment),
            parent=self._where.authority,
            attributes=known(
                {
                    "id": item.integer("id"),
                    "visibility": visibility,
                    "archived": item.flag("archived"),
                    "disabled": item.flag("disabled"),
                    "fork": item.flag("fork"),
                    "default_branch": item.text("default_branch"),
                    "pushed_at": pushed_at.isoformat() if pushed_at else None,
                    "topics": item.texts("topics") or None,
                }
            ),
        )

    # -------------------------------------------------------------- Apps

    def _installation(self, item: Fields) -> Iterable[Record]:
        given, app = item.child("installation") or item, item.child("app")
        key = (self._where.authority, f"installation/{given.number()}")
        owner = app.child("owner") if app else None
        login = owner.text("login") or owner.text("slug") if owner else None
        standing = self._standing(login)
        selection = given.text("repository_selection")
        if selection not in ("all", "selected"):
            given.unknown("repository_selection", str(selection))
        slug = given.text("app_slug")
        yield Identity(
            authority=key[0],
            native_id=key[1],
            kind=IdentityKind.OAUTH_APP,
            subtype="github_app_installation",
            name=(app.text("name") if app else None) or slug,
            standing=standing,
            enabled=_not_suspended(given),
            created_at=given.instant("created_at"),
            purpose=app.text("description") if app else None,
            supplier=login.lower() if login and standing is Standing.FOREIGN else None,
            # The login under which the App acts in the organisation's audit log (docs/adr/0030).
            aliases=((key[0], f"{slug.lower()}[bot]"),) if slug else (),
            attributes=known(
                {
                    "app_id": given.integer("app_id"),
                    "app_slug": slug,
                    "app_owner": login,
                    "app_site": _host_of(app.text("external_url")) if app else None,
                    "client_id": given.text("client_id"),
                    "events": given.texts("events") or None,
                    "repository_selection": selection,
                }
            ),
        )
        everywhere = {"all": True, "selected": False}.get(selection or "")
        for permission, level in sorted(given.words("permissions").items()):
            yield self._permission(key, given, permission, level, everywhere=everywhere)

    def _standing(self, login: str | None) -> Standing:
        if login is None:
            return Standing.UNKNOWN  # a private App is not shown
        if login.lower() == self._where.organisation:
            return Standing.OWN
        return Standing.PROVIDER_MANAGED if login.lower() == "github" else Standing.FOREIGN

    def _permission(
        self,
        key: tuple[str, str],
        where: Fields,
        permission: str,
        level: str,
        *,
        everywhere: bool | None,
        repository: str | None = None,
        **more: Any,
    ) -> Grant:
        """One permission of an App or a fine-grained token. Those of the organisation reach all of it."""
        if not facts.known_permission(permission, level):
            where.unknown("permissions", f"{permission}:{level}")
        whole = permission.startswith(("organization_", "enterprise_")) or permission == "members"
        scope = {
            True: f"{self._where.organisation}/*",
            False: f"{self._where.organisation}/(selected repositories)",
            None: None,
        }
        return Grant(
            authority=self._where.authority,
            identity=key,
            permission=f"{permission}:{level}",
            resource=self._where.organisation if whole else repository or scope[everywhere],
            tier=facts.permission_tier(permission, level),
            tenant_wide=True if whole else everywhere,
            **more,
        )

    # -------------------------------------------------------------- tokens

    def _token(self, item: Fields) -> Iterable[Record]:
        """A fine-grained token that was let into the organisation, as the item itself or in its field "token"."""
        token = item.child("token") or item
        key = (self._where.authority, f"pat/{token.number('token_id')}")
        expired, expires_at = token.flag("token_expired"), token.instant("token_expires_at")
        yield Identity(
            authority=key[0],
            native_id=key[1],
            kind=IdentityKind.PERSONAL_ACCESS_TOKEN,
            subtype="fine_grained_token",
            name=_of_person(token.child("owner"), token.text("token_name")),
            standing=Standing.OWN,
            enabled=None if expired is None else not expired,
            attributes=known(
                {
                    "grant_id": token.integer("id"),
                    "repository_selection": token.text("repository_selection"),
                    "person": _login_of(token.child("owner")),
                }
            ),
        )
        yield from self._person_hint(key, token.child("owner"), "github.token_owner", 0.9)
        yield Credential(
            authority=self._where.authority,
            native_id=key[1],
            type=CredentialType.TOKEN,
            identity=key,
            name=token.text("token_name"),
            enabled=None if expired is None else not expired,
            expires_at=expires_at,
            no_expiry=_without_end(token, "token_expires_at"),
            revocation="POST /orgs/{org}/personal-access-tokens/{pat_id} action=revoke",
            attributes=known({"grant_id": token.integer("id")}),
        )
        yield self._use(("credential", *key), "github.personal_access_tokens", token, "token_last_used_at")
        yield from self._token_grants(key, item, token)

    def _token_grants(self, key: tuple[str, str], item: Fields, token: Fields) -> Iterable[Record]:
        selection = token.text("repository_selection")
        everywhere = {"all": True, "subset": False, "selected": False, "none": False}.get(selection or "")
        if everywhere is None:
            token.unknown("repository_selection", str(selection))
        give = partial(self._permission, key, token, granted_at=token.instant("access_granted_at"))
        permissions = token.child("permissions")
        if permissions is None:
            return
        for category in ("organization", "other"):
            for permission, level in sorted(permissions.words(category).items()):
                yield give(permission, level, everywhere=True, via=category)
        if selection == "none":
            return
        only: list[str | None] = []
        if "repositories" in item.raw:
            only += sorted(name.lower() for name in item.texts("repositories"))
        for permission, level in sorted(permissions.words("repository").items()):
            for repository in only or [None]:
                yield give(permission, level, everywhere=everywhere, repository=repository, via="repository")

    def _token_request(self, token: Fields) -> Iterable[Record]:
        """Asked for, not given: no grant and no credential, for it opens nothing here yet."""
        key = (self._where.authority, f"pat-request/{token.number()}")
        permissions = token.child("permissions")
        asked = [
            f"{permission}:{level}"
            for category in ("organization", "repository", "other")
            for permission, level in sorted((permissions.words(category) if permissions else {}).items())
        ]
        yield Identity(
            authority=key[0],
            native_id=key[1],
            kind=IdentityKind.PERSONAL_ACCESS_TOKEN,
            subtype="fine_grained_token_request",
            name=_of_person(token.child("owner"), token.text("token_name")),
            standing=Standing.OWN,
            enabled=False,
            created_at=token.instant("created_at"),
            purpose=token.text("reason"),
            attributes=known(
                {
                    "pending": True,
                    "requested": asked,
                    "repository_selection": token.text("repository_selection"),
                    "no_expiry": _without_end(token, "token_expires_at"),
                    "token_id": token.integer("token_id"),
                }
            ),
        )
        yield from self._person_hint(key, token.child("owner"), "github.token_owner", 0.9)

    def _sign_on(self, item: Fields) -> Iterable[Record]:
        """A token or key of a person's that SAML single sign-on lets into the organisation."""
        key = (self._where.authority, f"sign-on/{item.number('credential_id')}")
        raw_type = item.text("credential_type")
        if raw_type not in _SIGN_ON_KINDS:
            item.unknown("credential_type", str(raw_type))
        kind, subtype, credential = _SIGN_ON_KINDS.get(
            raw_type or "", (IdentityKind.UNKNOWN, raw_type, CredentialType.UNKNOWN)
        )
        name = item.text("authorized_credential_note") or item.text("authorized_credential_title")
        login = _login(item.text("login"))
        yield Identity(
            authority=key[0],
            native_id=key[1],
            kind=kind,
            subtype=subtype,
            name=f"{login or '?'}/{name or subtype}",
            standing=Standing.OWN,
            enabled=True,  # one that is listed is let in
            attributes=known({"person": login, "underlying_id": item.integer("authorized_credential_id")}),
        )
        if login:
            yield self._hint(key, login, "github.credential_owner", 0.9)
        ends = "authorized_credential_expires_at"
        yield Credential(
            authority=self._where.authority,
            native_id=key[1],
            type=credential,
            identity=key,
            name=name,
            public_id=_public_fingerprint(item.text("fingerprint")),
            enabled=True,
            expires_at=item.instant(ends),
            # The description says that a token has this field and a key has not; only null in words says "never".
            no_expiry=_without_end(item, ends) if credential is CredentialType.TOKEN else None,
            revocation="DELETE /orgs/{org}/credential-authorizations/{credential_id}",
            attributes=known(
                {
                    "authorised_at": _iso(item, "credential_authorized_at"),
                    "raw_type": raw_type if kind is IdentityKind.UNKNOWN else None,
                }
            ),
        )
        accessed = ("github.credential_authorizations", item, "credential_accessed_at")
        yield self._use(("credential", *key), *accessed, null=UseState.NEVER)
        for scope in dict.fromkeys(item.texts("scopes")):
            tier = facts.scope_tier(scope)
            if tier is None:
                item.unknown("scopes", scope)
            yield Grant(
                authority=self._where.authority,
                identity=key,
                permission=scope,
                resource=None,  # whatever the person reaches
                via="OAuth scope",
                tier=tier or Tier.UNKNOWN,
                granted_at=item.instant("credential_authorized_at"),
            )

    # -------------------------------------------------------------- keys, hooks, runners

    def _deploy_key(self, item: Fields) -> Iterable[Record]:
        repository, found = item.matching("repository", REPOSITORY).lower(), item.need("key")
        key = (self._where.authority, f"deploy-key:{repository}/{found.number()}")
        read_only, enabled = found.flag("read_only"), found.flag("enabled")
        yield Identity(
            authority=key[0],
            native_id=key[1],
            kind=IdentityKind.DEPLOY_KEY,
            subtype="deploy_key",
            name=f"{repository} {found.text('title') or ''}".strip(),
            standing=Standing.OWN,
            enabled=enabled,
            created_at=found.instant("created_at"),
            attributes=known({"repository": repository, "verified": found.flag("verified")}),
        )
        if login := _login(found.text("added_by")):
            yield self._hint(key, login, "github.deploy_key_added_by", 0.6)
        algorithm, fingerprint = _ssh_key(found.raw.get("key"))
        yield Credential(
            authority=self._where.authority,
            native_id=key[1],
            type=CredentialType.SSH_KEY,
            identity=key,
            name=found.text("title"),
            public_id=fingerprint,
            enabled=enabled,
            created_at=found.instant("created_at"),
            no_expiry=True,  # a deploy key holds until it is removed
            revocation="DELETE /repos/{owner}/{repo}/keys/{key_id}",
            attributes=known({"algorithm": algorithm}),
        )
        yield self._use(("credential", *key), "github.deploy_keys", found, "last_used")
        yield Grant(
            authority=self._where.authority,
            identity=key,
            permission={True: "contents:read", False: "contents:write", None: "contents"}[read_only],
            resource=repository,
            via="deploy key",
            tier={True: Tier.SENSITIVE_READ, False: Tier.WRITE, None: Tier.UNKNOWN}[read_only],
            tenant_wide=False,
        )

    def _webhook(self, item: Fields) -> Iterable[Record]:
        hook = item.need("hook")
        place = self._where.place(item)
        key = (self._where.authority, f"webhook:{place}/{hook.number()}")
        has_secret = item.flag("has_secret")
        yield Identity(
            authority=key[0],
            native_id=key[1],
            kind=IdentityKind.API_CLIENT,
            subtype="webhook",
            name=f"{place} → {item.text('host') or '?'}",
            standing=Standing.OWN,
            enabled=hook.flag("active"),
            created_at=hook.instant("created_at"),
            attributes=known(
                {
                    "repository": place if "/" in place else None,
                    "host": item.text("host"),
                    "scheme": item.text("scheme"),
                    "insecure_ssl": item.flag("insecure_ssl"),
                    "content_type": item.text("content_type"),
                    "events": hook.texts("events") or None,
                    "has_secret": has_secret,
                }
            ),
        )
        if has_secret:
            yield Credential(
                authority=self._where.authority,
                native_id=key[1],
                type=CredentialType.SIGNING_SECRET,
                identity=key,
                enabled=hook.flag("active"),
                no_expiry=True,
                revocation="PATCH hooks/{hook_id} config.secret",
            )

    def _runner(self, runner: Fields) -> Iterable[Record]:
        status = runner.text("status")
        yield Identity(
            authority=self._where.authority,
            native_id=f"runner/{runner.number()}",
            kind=IdentityKind.DEVICE,
            subtype="self_hosted_runner",
            name=runner.text("name"),
            standing=Standing.OWN,
            attributes=known(
                {
                    "os": runner.text("os"),
                    "status": status,
                    "ephemeral": runner.flag("ephemeral"),
                    "labels": sorted(name for label in runner.objects("labels") if (name := label.text("name"))),
                    "runner_group": runner.integer("runner_group_id"),
                    "version": runner.text("version"),
                }
            ),
        )

    # -------------------------------------------------------------- people

    def _member(self, item: Fields) -> Iterable[Record]:
        gone, user = item.text("gone"), item.child("user") or item
        login = _login(gone or user.text("login"))
        if login is None:
            raise DataError("member: login is missing")
        ident = None if gone else user.integer("id")
        yield Person(
            authority=self._where.authority,
            native_id=login,
            name=None if gone else user.text("name") or login,
            email=None if gone else user.text("email"),
            active=gone is None,  # GitHub was asked for exactly this login and has no such member
            aliases=((f"{self._where.authority}:user-id", str(ident)),) if ident is not None else (),
            attributes={"membership": "left" if gone else "outside_collaborator" if item.flag("outside") else "member"},
        )

    # -------------------------------------------------------------- shared

    def _person_hint(
        self, key: tuple[str, str], person: Fields | None, source: str, confidence: float
    ) -> Iterable[Record]:
        if login := _login_of(person):
            yield self._hint(key, login, source, confidence)

    def _hint(self, key: tuple[str, str], login: str, source: str, confidence: float) -> Owner:
        return Owner(
            authority=self._where.authority,
            identity=key,
            claim=login,
            source=source,
            person=(self._where.authority, login),
            confidence=confidence,
        )

    def _use(
        self,
        subject: tuple[str, str, str],
        source: str,
        item: Fields,
        name: str,
        *,
        null: UseState = UseState.UNKNOWN,
    ) -> Usage:
        """Last use as GitHub tells it. `null`: what GitHub's description says that null means, which it does only of
        `credential_accessed_at` ("never accessed"). An absent or odd field is not known."""
        at = item.instant(name)
        state = UseState.USED if at else null if item.raw.get(name, "") is None else UseState.UNKNOWN
        return Usage(subject=subject, source=source, state=state, last_used_at=at)


def _login(text: str | None) -> str | None:
    return text.lower() if text and _LOGIN.fullmatch(text) else None


def _login_of(person: Fields | None) -> str | None:
    return _login(person.text("login")) if person else None


def _of_person(person: Fields | None, name: str | None) -> str | None:
    """ "mruiz/release": names of tokens are only told apart by whose they are."""
    login = _login_of(person)
    return f"{login}/{name}" if login and name else name or login


def _iso(item: Fields, name: str) -> str | None:
    at = item.instant(name)
    return at.isoformat() if at else None


def _without_end(item: Fields, name: str) -> bool | None:
    """True: GitHub says in so many words (null) that it never ends. False: it ends. None: it does not say."""
    if item.instant(name) is not None:
        return False
    return True if item.raw.get(name, "") is None else None


def _not_suspended(installation: Fields) -> bool | None:
    """Whether the App may act: GitHub says since when not, or null. None: it does not say."""
    if installation.instant("suspended_at") is not None:
        return False
    return True if installation.raw.get("suspended_at", "") is None else None


def _host_of(url: str | None) -> str | None:
    found = re.match(r"https?://(?:[^/?#@]{0,512}@)?([A-Za-z0-9.-]{1,253})", url or "")
    return found[1].lower() if found else None


def _public_fingerprint(text: str | None) -> str | None:
    """SHA-256 fingerprints as `ssh-keygen -l` prints them; others as they are."""
    found = _SHA256.fullmatch(text or "")
    return f"SHA256:{found[1]}" if found else text


def _ssh_key(line: Any) -> tuple[str | None, str | None]:
    """(algorithm, "SHA256:..." as `ssh-keygen -l` prints it) of a public key; (None, None) for what is none."""
    parts = line.split() if isinstance(line, str) else []
    if len(parts) < 2:
        return None, None
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        return None, None
    size = int.from_bytes(blob[:4], "big")
    if not 0 < size <= 64 or blob[4 : 4 + size] != parts[0].encode("utf-8", "replace"):
        return None, None
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return parts[0], f"SHA256:{digest}"

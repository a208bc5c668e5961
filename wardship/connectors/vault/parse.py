"""Answers of Vault become records. No network, no clock, no judgement beyond `policy`.

Native ids are the API's own paths ("auth/approle/role/deploy", "secret/shop/db"), so that a finding names what an
operator would type. What one answer does not say and another does (policies, groups, mounts) is in `Namespace`, which
the reader fills before the items that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from wardship.connectors.vault.certificates import certificate, thumbprint_of
from wardship.connectors.vault.federation import condition_of, issuer_of, protocol_of
from wardship.connectors.vault.fields import Fields, known
from wardship.connectors.vault.namespace import Namespace
from wardship.connectors.vault.policy import read_policy
from wardship.model.access import Credential, CredentialType, Grant, Usage, UseState
from wardship.model.errors import DataError
from wardship.model.identity import Identity, IdentityKind, Standing, System
from wardship.model.owner import Owner, OwnerRole
from wardship.sdk.connector import Drift, Record
from wardship.sdk.environment import environment_of

_OWNER_WORDS = {
    **dict.fromkeys(
        ("owner", "owner_email", "owned_by", "technical_owner", "contact", "maintainer", "responsible", "team"),
        OwnerRole.TECHNICAL,
    ),
    **dict.fromkeys(("business_owner", "product_owner", "sponsor"), OwnerRole.BUSINESS),
}
_PEOPLE_LOGIN = frozenset(("oidc", "ldap", "github", "okta", "radius", "saml"))  # logins that a person makes
_TOKEN_TYPES = frozenset(("service", "default", "default-service", "batch", "default-batch"))
Key = tuple[str, str]


class Parser:
    """Turns the items of each kind of scope into records of one server and its namespaces."""

    def __init__(self, drift: Drift) -> None:
        self._drift = drift
        self.namespaces: dict[str, Namespace] = {}  # by authority
        self._kinds: Mapping[str, Callable[[Namespace, Fields], Iterable[Record]]] = {
            "vault.server": self._server,
            "vault.namespace": self._nothing,
            "vault.policy": self._policy,
            "vault.entity": self._entity,
            "vault.approle": self._approle,
            "vault.auth_role": self._auth_role,
            "vault.token": self._token,
            "vault.database": self._database,
            "vault.pki": self._pki,
            "vault.kv": self._kv,
        }

    def parse(self, authority: str, kind: str, item: Any) -> list[Record]:
        """The records of one item. Raises DataError."""
        where = self.namespaces.get(authority) or Namespace(authority, "", None, self._drift)
        return list(self._kinds[kind](where, Fields(item, kind.removeprefix("vault."), self._drift)))

    # -------------------------------------------------------------- the server

    def _nothing(self, _ns: Namespace, _item: Fields) -> Iterable[Record]:
        return ()

    def _server(self, ns: Namespace, item: Fields) -> Iterable[Record]:
        seal = item.child("seal")
        audit = item.raw.get("audit")
        name = seal.text("cluster_name") if seal else None
        yield System(
            authority=ns.authority,
            kind="vault",
            name=f"{name or 'vault'}/{ns.path}" if ns.path else name,
            environment=environment_of(ns.path) if ns.path else None,
            parent=ns.parent,
            attributes=known(
                {
                    "product": item.text("product"),
                    "version": seal.text("version") if seal else None,
                    "sealed": seal.flag("sealed") if seal else None,
                    "seal_type": seal.text("type") if seal else None,
                    "storage": seal.text("storage_type") if seal else None,
                    "namespace": ns.path or None,
                    "auth_methods": {path: kind for path, (kind, _accessor) in sorted(ns.methods.items())},
                    "engines": dict(sorted(ns.engines.items())),
                }
            )
            # An empty list says that nothing is audited; absence, that it could not be read.
            | ({"audit_devices": item.texts("audit")} if isinstance(audit, list) else {}),
        )

    def _policy(self, _ns: Namespace, item: Fields) -> Iterable[Record]:
        """What a policy gives is told with those who have it; here it only must be readable."""
        item.key("name")
        text = item.raw.get("policy")
        if not isinstance(text, str):
            raise DataError("policy: no text")
        read_policy(text)
        return ()

    # -------------------------------------------------------------- who may open it

    def _entity(self, ns: Namespace, item: Fields) -> Iterable[Record]:
        entity = item.need("entity")
        native_id = f"identity/entity/id/{entity.key('id')}"
        key = (ns.authority, native_id)
        tags = entity.tags("metadata")
        logins = [
            Fields(alias, "entity.aliases", self._drift)
            for alias in _list(entity.raw.get("aliases"))
            if isinstance(alias, dict)
        ]
        types = sorted({kind for login in logins if (kind := login.text("mount_type"))})
        people = bool(types) and set(types) <= _PEOPLE_LOGIN
        yield Identity(
            authority=ns.authority,
            native_id=native_id,
            kind=IdentityKind.UNKNOWN if people else IdentityKind.SECRETS_MANAGER_CLIENT,
            subtype="entity",
            name=entity.text("name"),
            standing=Standing.OWN,
            enabled=None if (disabled := entity.flag("disabled")) is None else not disabled,
            created_at=entity.instant("creation_time"),
            aliases=tuple(
                dict.fromkeys(
                    _login_alias(ns, accessor, name)
                    for login in logins
                    if (accessor := login.text("mount_accessor")) and (name := login.text("name"))
                )
            ),
            rank=1,  # the role or user that it logs in as says more of it
            attributes=known({"logins": types, "policies": entity.texts("policies"), "tags": tags}),
            **_declared(tags, entity.text("name")),
        )
        yield from self._grants(ns, key, entity.texts("policies"))
        for group in entity.texts("group_ids"):
            name, policies = ns.groups.get(group, (group, []))
            yield from self._grants(ns, key, policies, via=f"group {name} > ")
        yield from _owners(key, tags, "vault.entity_metadata")

    def _approle(self, ns: Namespace, item: Fields) -> Iterable[Record]:
        mount, name, role = item.key("mount"), item.key("name"), item.need("role")
        native_id = f"{mount}role/{name}"
        key = (ns.authority, native_id)
        secret_ids = [Fields(entry, "approle.secret_id", self._drift) for entry in _list(item.raw.get("secret_ids"))]
        role_id, accessor = item.text("role_id"), item.text("accessor")
        policies = role.texts("token_policies") or role.texts("policies")
        ttl = role.seconds("secret_id_ttl")
        yield Identity(
            authority=ns.authority,
            native_id=native_id,
            kind=IdentityKind.SECRETS_MANAGER_CLIENT,
            subtype="approle",
            name=name,
            standing=Standing.OWN,
            enabled=True,
            aliases=(_login_alias(ns, accessor, role_id),) if role_id and accessor else (),
            attributes=known(
                {
                    "role_id": role_id,
                    "secret_required": role.flag("bind_secret_id"),
                    "secret_id_ttl_s": ttl,
                    "secret_id_uses": role.integer("secret_id_num_uses"),
                    "secret_id_cidrs": role.texts("secret_id_bound_cidrs"),
                    "secret_ids": len(secret_ids) if isinstance(item.raw.get("secret_ids"), list) else None,
                    **_token_rules(role, policies),
                }
            ),
            **_declared({}, name),
        )
        yield from self._grants(ns, key, _with_default(role, policies))
        claims: dict[str, str] = {}
        for entry in secret_ids:
            yield self._secret_id(ns, key, entry, role)
            claims |= entry.tags("metadata")
        yield from _owners(key, claims, "vault.secret_id_metadata")

    def _secret_id(self, ns: Namespace, key: Key, entry: Fields, role: Fields) -> Credential:
        accessor = entry.key("secret_id_accessor")
        return Credential(
            authority=ns.authority,
            native_id=f"{key[1]}/secret-id/{accessor}",
            type=CredentialType.CLIENT_SECRET,
            identity=key,
            name=accessor[:8],
            public_id=accessor,
            enabled=True,
            created_at=entry.instant("creation_time"),
            expires_at=entry.instant("expiration_time"),
            no_expiry=entry.without_end("expiration_time"),
            last_rotated_at=entry.instant("creation_time"),
            revocation="secret-id-accessor/destroy",
            attributes=known(
                {
                    "uses_left": entry.integer("secret_id_num_uses"),  # 0: as often as one likes
                    "token_bound_cidrs": entry.texts("token_bound_cidrs"),
                    "tags": entry.tags("metadata"),
                }
            )
            | _bound_cidrs(entry, role),
        )

    def _auth_role(self, ns: Namespace, item: Fields) -> Iterable[Record]:
        mount, kind = item.key("mount"), item.key("type")
        config = item.child("config")
        if item.raw.get("name") is None:
            yield from self._provider(ns, mount, kind, config)
            return
        name, folder, role = item.key("name"), item.key("folder"), item.need("role")
        native_id = f"{mount}{folder}/{name}"
        key = (ns.authority, native_id)
        policies = role.texts("token_policies") or role.texts("policies") or role.texts("allowed_policies")
        accessor = item.text("accessor")
        yield Identity(
            authority=ns.authority,
            native_id=native_id,
            kind=IdentityKind.UNKNOWN
            if kind == "oidc" or role.text("role_type") == "oidc"
            else IdentityKind.SECRETS_MANAGER_CLIENT,
            subtype="token_role" if kind == "token" else kind,
            name=name,
            standing=Standing.OWN,
            enabled=True,
            aliases=(_login_alias(ns, accessor, name),) if kind == "userpass" and accessor else (),
            attributes=known(
                {"role_type": role.text("role_type"), "orphan": role.flag("orphan"), **_token_rules(role, policies)}
            ),
            **_declared({}, name),
        )
        yield from self._grants(ns, key, _with_default(role, policies))
        if kind == "userpass":
            yield Credential(
                authority=ns.authority,
                native_id=f"{native_id}/password",
                type=CredentialType.PASSWORD,
                identity=key,
                name=name,
                enabled=True,
                no_expiry=True,  # userpass has no notion of a password's end
                revocation="delete the user, or set another password",
            )
        elif kind != "token":
            issuer = issuer_of(kind, mount, config)
            condition, more = condition_of(kind, role, issuer)
            pem = role.raw.get("certificate")
            yield Credential(
                authority=ns.authority,
                native_id=f"{native_id}/trust",
                type=CredentialType.FEDERATION,
                identity=key,
                name=issuer,
                public_id=thumbprint_of(pem) if kind == "cert" and isinstance(pem, str) else None,
                enabled=True,
                no_expiry=True,  # a trust holds until the role is changed
                revocation="change or delete the role",
                attributes=known(
                    {
                        "protocol": protocol_of(kind, role.text("role_type")),
                        "provider": f"{mount}config",
                        "audiences": role.texts("bound_audiences") or role.texts("audience"),
                        **more,
                    }
                )
                | {"condition": condition},
            )

    def _provider(self, ns: Namespace, mount: str, kind: str, config: Fields | None) -> Iterable[Record]:
        """The issuer that a login method trusts, once a mount."""
        if config is None:
            return
        yield Credential(
            authority=ns.authority,
            native_id=f"{mount}config",
            type=CredentialType.IDENTITY_PROVIDER,
            name=issuer_of(kind, mount, config),
            enabled=True,
            no_expiry=True,
            revocation="disable the auth method",
            attributes=known(
                {
                    "protocol": "oidc",
                    "method": kind,
                    "discovery_url": config.text("oidc_discovery_url"),
                    "jwks_url": config.text("jwks_url"),
                    "host": config.text("kubernetes_host"),
                }
            ),
        )

    def _token(self, ns: Namespace, item: Fields) -> Iterable[Record]:
        token = item.need("token")
        accessor, entity = token.key("accessor"), token.text("entity_id")
        native_id = f"auth/token/accessor/{accessor}"
        policies = token.texts("policies")
        root = "root" in policies
        kind = token.text("type")
        if kind is not None and kind not in _TOKEN_TYPES:
            self._drift.unknown_value("token.type", kind)
        expires_at, tags = token.instant("expire_time"), token.tags("meta")
        key = (ns.authority, f"identity/entity/id/{entity}" if entity else native_id)
        created_at = token.instant("issue_time") or token.instant("creation_time")
        name = token.text("display_name")
        if not entity:  # made for itself, by nobody whom the server knows: the token is the identity
            yield Identity(
                authority=ns.authority,
                native_id=native_id,
                kind=IdentityKind.SECRETS_MANAGER_CLIENT,
                subtype="root_token" if root else "token",
                name=name or accessor[:8],
                standing=Standing.OWN,
                enabled=True,
                created_at=created_at,
                attributes=known({"made_at": token.text("path"), "tags": tags}),
                **_declared(tags, name),
            )
            yield from self._grants(ns, key, policies)
            yield from _owners(key, tags, "vault.token_metadata")
        ttl = token.integer("ttl")
        yield Credential(
            authority=ns.authority,
            native_id=native_id,
            type=CredentialType.TOKEN,
            identity=key,
            name=name,
            public_id=accessor,
            enabled=True,
            created_at=created_at,
            expires_at=expires_at,
            no_expiry=False if expires_at else (True if ttl == 0 else None),
            revocation="auth/token/revoke-accessor",
            attributes=known(
                {
                    "root": root or None,
                    "orphan": token.flag("orphan"),
                    "period_s": token.seconds("period"),  # renewed within it, such a token lives for ever
                    "renewable": token.flag("renewable"),
                    "max_ttl_s": token.seconds("explicit_max_ttl"),
                    "uses_left": token.integer("num_uses"),
                    "made_at": token.text("path"),
                    "role": token.text("role"),
                    "policies": policies,
                    "bound_cidrs": token.texts("bound_cidrs"),
                    "type": kind,
                }
            ),
        )
        if renewed_at := token.instant("last_renewal") or token.instant("last_renewal_time"):
            yield Usage(
                subject=("credential", ns.authority, native_id),
                source="vault.token_renewal",
                state=UseState.USED,
                last_used_at=renewed_at,
                detail="renewed",
            )

    # -------------------------------------------------------------- what lies in it

    def _database(self, ns: Namespace, item: Fields) -> Iterable[Record]:
        mount, folder, name, found = item.key("mount"), item.key("folder"), item.key("name"), item.need("found")
        native_id = f"{mount}{folder}/{name}"
        key = (ns.authority, native_id)
        last = found.instant("last_vault_rotation")
        period = found.seconds("rotation_period")
        account = found.text("username")
        details = found.child("connection_details")
        if folder == "config" and details is not None:
            account = details.text("username")
        subtype = {"static-roles": "static_role", "roles": "dynamic_role", "config": "connection"}.get(folder)
        if subtype is None:
            raise DataError("database: an unknown folder")
        yield Identity(
            authority=ns.authority,
            native_id=native_id,
            kind=IdentityKind.DATABASE_ACCOUNT,
            subtype=subtype,
            name=account or name,
            standing=Standing.OWN,
            enabled=True,
            attributes=known(
                {
                    "role": name,
                    "connection": found.text("db_name"),
                    "plugin": found.text("plugin_name"),
                    "host": item.text("host"),
                    "allowed_roles": found.texts("allowed_roles"),
                    "default_ttl_s": found.seconds("default_ttl"),
                    "max_ttl_s": found.seconds("max_ttl"),
                    "credential_type": found.text("credential_type"),
                }
            ),
            **_declared({}, f"{mount}{name}"),
        )
        if folder == "roles" or (folder == "config" and account is None):
            return  # Vault makes an account for each use: nothing lasts
        yield Credential(
            authority=ns.authority,
            native_id=f"{native_id}/password",
            type=CredentialType.PASSWORD,
            identity=key,
            name=account,
            enabled=True,
            last_rotated_at=last,
            next_rotation_at=_after(last, period),
            stored_in="vault",
            revocation=f"{mount}rotate-{'root' if folder == 'config' else 'role'}/{name}",
            attributes=known(
                {
                    "rotation_period_s": period,
                    "rotation_schedule": found.text("rotation_schedule"),
                    "rotated_by_vault": True if folder == "static-roles" else None,
                    # Vault does not keep whether the first password of a connection was ever rotated.
                    "root_of_connection": True if folder == "config" else None,
                }
            ),
        )

    def _pki(self, ns: Namespace, item: Fields) -> Iterable[Record]:
        mount, serial = item.key("mount"), item.key("serial")
        facts = certificate(item.key("certificate"))
        revoked_at = item.instant("revocation_time")
        yield Credential(
            authority=ns.authority,
            native_id=f"{mount}cert/{serial}",
            type=CredentialType.CERTIFICATE,
            name=facts.name,
            public_id=facts.thumbprint,
            fingerprint=facts.thumbprint,
            enabled=revoked_at is None if item.integer("revocation_time") is not None else None,
            created_at=facts.begins_at,
            expires_at=facts.ends_at,
            no_expiry=False,
            revocation=f"{mount}revoke",
            attributes=known(
                {
                    "serial": serial,
                    "issuer": facts.issuer,
                    "ca": facts.ca,
                    "names": facts.names,
                    "key": facts.key,
                    "revoked_at": revoked_at.isoformat() if revoked_at else None,
                }
            ),
        )

    def _kv(self, ns: Namespace, item: Fields) -> Iterable[Record]:
        path = item.key("path")
        native_id = f"{item.key('mount')}{path}"
        meta = item.child("metadata")
        tags = meta.tags("custom_metadata") if meta else {}
        newest, current = _current(meta)
        deleted_at = newest.instant("deletion_time") if newest else None
        destroyed = newest.flag("destroyed") if newest else None
        gone = bool(destroyed) or (deleted_at is not None and not _ahead(deleted_at, item))
        attributes = known(
            {
                "engine": f"kv{item.integer('version')}" if item.integer("version") else None,
                "path": path,
                "versions": len(_dict(meta.raw.get("versions"))) if meta else None,
                "current_version": current,
                "max_versions": meta.integer("max_versions") if meta else None,
                "cas_required": meta.flag("cas_required") if meta else None,
                "delete_version_after_s": (meta.seconds("delete_version_after") or None) if meta else None,
                "deleted_at": deleted_at.isoformat() if deleted_at else None,
                "destroyed": destroyed or None,
                "environment": _environment(tags, path),
                "tags": tags,
            }
        )
        shared: dict[str, Any] = {
            "authority": ns.authority,
            "type": CredentialType.STORED_SECRET,
            "enabled": not gone if meta else None,
            "created_at": meta.instant("created_time") if meta else None,
            # `updated_time` moves with the metadata too; the newest version's own date is that of the value.
            "last_rotated_at": (newest.instant("created_time") if newest else None)
            or (meta.instant("updated_time") if meta else None),
            "stored_in": "vault",
            "revocation": "delete the entry",
        }
        keys = [Fields(entry, "kv.keys", self._drift) for entry in _list(item.raw.get("keys"))]
        for entry in keys:
            yield Credential(
                native_id=f"{native_id}#{entry.key('key')}",
                name=entry.text("key"),
                fingerprint=entry.text("fingerprint"),
                attributes={**attributes, "key": entry.text("key")},
                **shared,
            )
        if not keys:
            yield Credential(native_id=native_id, name=path.rpartition("/")[2], attributes=attributes, **shared)

    # -------------------------------------------------------------- shared

    def _grants(self, ns: Namespace, key: Key, policies: Iterable[str], via: str = "") -> Iterable[Record]:
        for name in sorted(set(policies)):
            for given in ns.given(name):
                yield Grant(
                    authority=ns.authority,
                    identity=key,
                    permission=given.permission,
                    resource=given.resource,
                    effect=given.effect,
                    condition=given.condition,
                    via=f"{via}policy {name}",
                    tier=given.tier,
                    tenant_wide=given.wide,
                    attributes=given.attributes,
                )


def _bound_cidrs(secret_id: Fields, role: Fields) -> dict[str, list[str]]:
    """From where a secret-id may be used: its own networks, else those of its role. Empty: from anywhere."""
    told = "cidr_list" in set(secret_id.raw) and "secret_id_bound_cidrs" in set(role.raw)
    bound = list(secret_id.texts("cidr_list") or role.texts("secret_id_bound_cidrs"))
    return {"bound_cidrs": bound} if bound or told else {}


def _login_alias(ns: Namespace, accessor: str, name: str) -> Key:
    """The name that a login method knows somebody by; an entity and the role or user that it logs in as share it."""
    return (ns.authority, f"alias/{accessor}/{name}")


def _with_default(role: Fields, policies: Sequence[str]) -> list[str]:
    return [*policies] if role.flag("token_no_default_policy") else [*policies, "default"]


def _token_rules(role: Fields, policies: Sequence[str]) -> dict[str, Any]:
    """What a token of this role will be like; lengths in seconds, 0 is the server's own."""
    return {
        "policies": list(policies),
        "token_ttl_s": role.seconds("token_ttl"),
        "token_max_ttl_s": role.seconds("token_max_ttl"),
        "token_period_s": role.seconds("token_period"),
        "token_uses": role.integer("token_num_uses"),
        "token_cidrs": role.texts("token_bound_cidrs"),
        "token_type": role.text("token_type"),
    }


def _declared(tags: Mapping[str, str], name: str | None) -> dict[str, Any]:
    """What people wrote of it, in the words that Identity has."""
    low = {key.lower().replace("-", "_"): value for key, value in tags.items()}
    return {
        "environment": _environment(tags, name),
        "purpose": low.get("purpose") or low.get("description"),
        "business_process": low.get("business_process") or low.get("process"),
        "criticality": low.get("criticality"),
    }


def _environment(tags: Mapping[str, str], name: str | None) -> str | None:
    said = next((tags[key] for key in tags if key.lower() in ("environment", "env")), None)
    return environment_of(said) or environment_of(name)


def _owners(key: Key, tags: Mapping[str, str], source: str) -> Iterable[Owner]:
    for word, claim in tags.items():
        role = _OWNER_WORDS.get(word.lower().replace("-", "_"))
        if role is not None and claim.strip():
            yield Owner(
                authority=key[0],
                identity=key,
                claim=claim.strip(),
                source=source,
                role=role,
                confidence=0.6,
                evidence=f"metadata {word}",
            )


def _current(meta: Fields | None) -> tuple[Fields | None, int | None]:
    """The newest version's facts and its number."""
    current = meta.integer("current_version") if meta else None
    versions = meta.child("versions") if meta and current else None
    return (versions.child(str(current)) if versions else None), current


def _ahead(at: datetime, item: Fields) -> bool:
    """Whether `at` is still to come: an entry may carry the date on which it will be deleted."""
    read_at = item.instant("read_at")
    return read_at is not None and at > read_at


def _after(last: datetime | None, period_s: int | None) -> datetime | None:
    try:
        return last + timedelta(seconds=period_s) if last and period_s else None
    except OverflowError:
        return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

"""A simulated Vault: mounts, AppRoles, tokens, entities, databases, certificates and key/value entries of namespaces.

    vault = VaultServer(clock=clock)
    vault.add_policy("shop", 'path "secret/data/shop/*" { capabilities = ["read"] }')
    vault.add_approle("shop", policies=["shop"], secret_ids=[SecretId(created=..., expires=None)])
    vault.add_kv("shop/db", {"password": value}, updated=..., custom_metadata={"owner": "dana@example.org"})
    connection = vault.connection("vault", fingerprints=True)

What a token of a connection may do is a set of words (`RIGHTS`), so that a missing right can be shown. It answers what
the real server answers to the calls of a reader (tests hold both against each other); it has no writing routes but
logins. Values are the caller's; they come out of `data` reads only.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from wardship.model.errors import ConfigError
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection
from wardship.sim.kit import Answer, Simulator, Words
from wardship.sim.vault_routes import TOKEN_HEADER, declare_routes
from wardship.sim.vault_small import SecretId, populate_small

__all__ = ["SecretId", "VaultServer", "simulated"]

HOST = "vault.acme.example"
RIGHTS = (
    "sys",
    "audit",
    "namespaces",
    "policies",
    "identity",
    "auth",
    "secret-ids",
    "tokens",
    "kv",
    "values",
    "engines",
)
NO_VALUES = tuple(right for right in RIGHTS if right != "values")
_NEVER = "0001-01-01T00:00:00Z"  # Go's zero: how Vault writes "no date"
_DENIED = "1 error occurred:\n\t* permission denied\n\n"
_DEFAULT_POLICY = """
path "auth/token/lookup-self" { capabilities = ["read"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }
"""

Answered = dict[str, Any]


@dataclass(slots=True)
class Space:
    """One namespace. `objects`: every readable path with its `data`."""

    name: str
    mounts: dict[str, Answered] = field(default_factory=dict)
    methods: dict[str, Answered] = field(default_factory=dict)
    objects: dict[str, Answered] = field(default_factory=dict)
    values: dict[str, Answered] = field(default_factory=dict)  # "secret/shop/db" -> the entry's newest data
    tokens: dict[str, Answered] = field(default_factory=dict)  # by accessor
    secret_ids: dict[str, dict[str, Answered]] = field(default_factory=dict)  # role path -> accessor -> facts


class _Refusals(Simulator):
    """Refuses as Vault does: 403 for a bad token too, and the words alone tell it from a missing right."""

    def refusal(self, status: int, code: str = "", message: str = "") -> Answer:
        del code  # Vault has sentences only
        if status == 401:
            return Answer(403, {"errors": ["permission denied"]})
        if status == 403:
            return Answer(403, {"errors": [_DENIED]})
        return Answer(status, {"errors": [message] if message and status != 404 else []})


class VaultServer(_Refusals):
    """One server. `product` is "openbao" or "vault"; `audited` False: no audit device is configured."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        host: str = HOST,
        product: str = "openbao",
        version: str = "2.7.2",
        audited: bool = True,
        namespaces: Sequence[str] = (),
    ) -> None:
        words = Words(token_header=TOKEN_HEADER, token_prefix="")
        super().__init__("vault", clock=clock, hosts=(host,), words=words)
        self.cluster = _id("cluster", host)
        self.url = f"https://{host}"
        self.product, self.version, self.audited = product, version, audited
        self.spaces: dict[str, Space] = {}
        for name in ("", *namespaces):
            self.spaces[name] = Space(name)
            self.add_engine("secret", "kv", options={"version": "2"}, namespace=name)
            self.add_method("token", "token", namespace=name)
            self.add_policy("default", _DEFAULT_POLICY, namespace=name)
        declare_routes(self)

    # -------------------------------------------------------------- what stands in it

    def connection(
        self, name: str = "vault", *, rights: Sequence[str] = NO_VALUES, fingerprints: bool = False, **more: Any
    ) -> Connection:
        """A connection with a token of these rights. `fingerprints` adds the right to values and the setting.

        `more` are further fields of `Connection`, such as `fingerprint`.
        """
        token = f"hvs.{_id('token of', name)}"
        self.grant(token, *rights, *(("values",) if fingerprints else ()), client=name)
        settings = {"url": self.url, "token": f"env:{name.upper()}_TOKEN", **more.pop("settings", {})}
        if fingerprints:
            settings["fingerprints"] = "true"
        return Connection(
            name=name,
            connector="vault",
            settings=settings,
            secret=lambda _name: Secret(token),
            clock=self.clock,
            wire=self,
            **more,
        )

    def add_engine(
        self, path: str, kind: str, *, options: Mapping[str, str] | None = None, namespace: str = ""
    ) -> None:
        """Mounts a secret engine of type `kind` ("kv", "database", "pki", ...) at `path`."""
        maker = "bao" if self.product == "openbao" else "vault"
        self._space(namespace).mounts[f"{path}/"] = {
            "type": kind,
            "accessor": f"{kind}_{_id('mount', namespace, path)[:8]}",
            "options": dict(options) if options else None,
            "running_plugin_version": f"v{self.version}+builtin.{maker}",
        }

    def add_method(self, path: str, kind: str, *, config: Mapping[str, Any] | None = None, namespace: str = "") -> str:
        """Mounts a login method; returns its accessor. `config`: what it says of itself (an issuer, a host)."""
        space = self._space(namespace)
        accessor = f"auth_{kind}_{_id('method', namespace, path)[:8]}"
        space.methods[f"{path}/"] = {"type": kind, "accessor": accessor}
        if config is not None:
            space.objects[f"auth/{path}/config"] = dict(config)
        return accessor

    def add_policy(self, name: str, text: str, *, namespace: str = "") -> None:
        self._space(namespace).objects[f"sys/policies/acl/{name}"] = {"name": name, "policy": text}

    def add_approle(
        self,
        name: str,
        *,
        policies: Sequence[str] = (),
        secret_ids: Sequence[SecretId] = (),
        secret_id_ttl_s: int = 0,
        token_ttl_s: int = 0,
        cidrs: Sequence[str] = (),
        secret_required: bool = True,
        mount: str = "approle",
        namespace: str = "",
    ) -> str:
        """A role and its secret-ids; returns its role id. A `secret_id_ttl_s` of 0: they never end."""
        self._need_method(mount, "approle", namespace)
        space, path = self._space(namespace), f"auth/{mount}/role/{name}"
        space.objects[path] = {
            **_token_rules(policies, ttl_s=token_ttl_s),
            "bind_secret_id": secret_required,
            "local_secret_ids": False,
            "secret_id_bound_cidrs": list(cidrs),
            "secret_id_num_uses": 0,
            "secret_id_ttl": secret_id_ttl_s,
        }
        role_id = _id("role", namespace, path)
        space.objects[f"{path}/role-id"] = {"role_id": role_id}
        space.secret_ids[path] = {}
        for number, one in enumerate(secret_ids):
            accessor = _id("secret id", namespace, path, str(number))
            space.secret_ids[path][accessor] = {
                "secret_id_accessor": accessor,
                "creation_time": _text(one.created),
                "expiration_time": _text(one.expires),
                "last_updated_time": _text(one.created),
                "metadata": dict(one.metadata),
                "secret_id_num_uses": one.uses,
                "secret_id_ttl": int((one.expires - one.created).total_seconds()) if one.expires else 0,
                "cidr_list": list(one.cidrs),
                "token_bound_cidrs": [],
            }
        return role_id

    def add_role(
        self,
        method: str,
        name: str,
        *,
        policies: Sequence[str] = (),
        kind: str = "jwt",
        namespace: str = "",
        **facts: Any,
    ) -> None:
        """A role or user of another login method, with its own facts: `bound_claims`, `bound_subject`, ..."""
        self._need_method(method, kind, namespace)
        folder = {"userpass": "users", "cert": "certs", "token": "roles"}.get(kind, "role")
        self._space(namespace).objects[f"auth/{method}/{folder}/{name}"] = {**_token_rules(policies), **facts}

    def add_token(
        self,
        display_name: str,
        *,
        created: datetime,
        expires: datetime | None = None,
        policies: Sequence[str] = ("default",),
        entity: str | None = None,
        period_s: int = 0,
        orphan: bool = True,
        renewed: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        namespace: str = "",
    ) -> str:
        """A token; returns its accessor. `expires` None: never (a root token). `entity`: the id of its holder."""
        accessor = _id("accessor", namespace, display_name, created.isoformat())[:24]
        ttl = int((expires - self.clock()).total_seconds()) if expires else 0
        self._space(namespace).tokens[accessor] = {
            "accessor": accessor,
            "creation_time": int(created.timestamp()),
            "creation_ttl": int((expires - created).total_seconds()) if expires else 0,
            "display_name": display_name,
            "entity_id": entity or "",
            "expire_time": _text(expires) if expires else None,
            "explicit_max_ttl": 0,
            "id": "",
            "issue_time": _text(created),
            "meta": dict(metadata) if metadata else None,
            "num_uses": 0,
            "orphan": orphan,
            "path": "auth/token/create",
            "policies": list(policies),
            "renewable": bool(expires),
            "ttl": max(ttl, 0),
            "type": "service",
            **({"period": period_s} if period_s else {}),
            **({"last_renewal": _text(renewed)} if renewed else {}),
        }
        return accessor

    def add_entity(
        self,
        name: str,
        *,
        created: datetime,
        policies: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
        logins: Mapping[str, str] | None = None,
        groups: Sequence[str] = (),
        disabled: bool = False,
        namespace: str = "",
    ) -> str:
        """An entity; returns its id. `logins`: method path -> the name it has there (an AppRole's role id)."""
        space, entity = self._space(namespace), _id("entity", namespace, name)
        aliases = []
        for path, known_as in (logins or {}).items():
            method = space.methods[f"{path}/"]
            aliases.append(
                {
                    "id": _id("alias", namespace, path, known_as),
                    "name": known_as,
                    "mount_accessor": method["accessor"],
                    "mount_path": f"auth/{path}/",
                    "mount_type": method["type"],
                    "canonical_id": entity,
                }
            )
        group_ids = [_id("group", namespace, group) for group in groups]
        space.objects[f"identity/entity/id/{entity}"] = {
            "id": entity,
            "name": name,
            "aliases": aliases,
            "creation_time": _text(created),
            "last_update_time": _text(created),
            "direct_group_ids": group_ids,
            "inherited_group_ids": [],
            "group_ids": group_ids,
            "disabled": disabled,
            "metadata": dict(metadata) if metadata else None,
            "policies": list(policies),
        }
        return entity

    def add_group(self, name: str, *, policies: Sequence[str], namespace: str = "") -> str:
        """A group whose members have `policies`; returns its id."""
        group = _id("group", namespace, name)
        found = {"id": group, "name": name, "policies": list(policies), "type": "internal"}
        self._space(namespace).objects[f"identity/group/id/{group}"] = found
        return group

    def add_database(
        self,
        connection: str,
        *,
        username: str,
        host: str = "db.acme.example:5432",
        mount: str = "database",
        namespace: str = "",
    ) -> None:
        """A connection of a database engine, with the account it works as."""
        self._need_engine(mount, "database", namespace)
        self._space(namespace).objects[f"{mount}/config/{connection}"] = {
            "allowed_roles": ["*"],
            "connection_details": {
                "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{host}/app",
                "username": username,
            },
            "plugin_name": "postgresql-database-plugin",
        }

    def add_database_static_role(
        self,
        name: str,
        *,
        username: str,
        rotated: datetime,
        period_s: int = 86_400,
        connection: str = "main",
        mount: str = "database",
        namespace: str = "",
    ) -> None:
        """An account whose password Vault rotates every `period_s` seconds, last at `rotated`."""
        self._need_engine(mount, "database", namespace)
        self._space(namespace).objects[f"{mount}/static-roles/{name}"] = {
            "credential_type": "password",
            "db_name": connection,
            "last_vault_rotation": _text(rotated),
            "rotation_period": period_s,
            "rotation_statements": [],
            "username": username,
        }

    def add_database_role(
        self, name: str, *, ttl_s: int = 3600, connection: str = "main", mount: str = "database", namespace: str = ""
    ) -> None:
        """A role that makes an account for each use."""
        self._need_engine(mount, "database", namespace)
        self._space(namespace).objects[f"{mount}/roles/{name}"] = {
            "creation_statements": ["create role \"{{name}}\" password '{{password}}'"],
            "credential_type": "password",
            "db_name": connection,
            "default_ttl": ttl_s,
            "max_ttl": 0,
        }

    def issue_certificate(
        self,
        common_name: str,
        *,
        begins: datetime,
        ends: datetime,
        revoked: datetime | None = None,
        mount: str = "pki",
        namespace: str = "",
    ) -> str:
        """A real certificate, the same every time for the same words; returns its serial as Vault writes it."""
        self._need_engine(mount, "pki", namespace)
        serial, pem = _issued(common_name, begins, ends)
        self._space(namespace).objects[f"{mount}/cert/{serial}"] = {
            "certificate": pem,
            "revocation_time": int(revoked.timestamp()) if revoked else 0,
            "revocation_time_rfc3339": _text(revoked) if revoked else "",
        }
        return serial

    def add_kv(
        self,
        path: str,
        data: Mapping[str, Any],
        *,
        updated: datetime,
        created: datetime | None = None,
        custom_metadata: Mapping[str, str] | None = None,
        versions: int = 1,
        deleted: datetime | None = None,
        mount: str = "secret",
        namespace: str = "",
    ) -> None:
        """An entry. Of `versions` the newest was written at `updated`, the oldest at `created` (None: the same)."""
        space = self._space(namespace)
        first = created or updated
        if f"{mount}/" not in space.mounts:
            raise ConfigError(f"no engine is mounted at {mount}/")
        if not space.mounts[f"{mount}/"]["options"]:
            space.values[f"{mount}/{path}"] = dict(data)
            return
        step = (updated - first) / max(versions - 1, 1)
        written = [first + step * number for number in range(versions - 1)] + [updated]
        space.objects[f"{mount}/metadata/{path}"] = {
            "cas_required": False,
            "created_time": _text(first),
            "updated_time": _text(updated),
            "current_version": versions,
            "oldest_version": 1,
            "max_versions": 0,
            "delete_version_after": "0s",
            "custom_metadata": dict(custom_metadata) if custom_metadata else None,
            "versions": {
                str(number): {
                    "created_time": _text(at),
                    "deletion_time": _text(deleted) if deleted and number == versions else "",
                    "destroyed": False,
                }
                for number, at in enumerate(written, 1)
            },
        }
        if deleted is None:
            space.values[f"{mount}/{path}"] = dict(data)

    def delete_kv(self, path: str, *, mount: str = "secret", namespace: str = "") -> None:
        """Takes an entry away for good, with all its versions."""
        space = self._space(namespace)
        space.values.pop(f"{mount}/{path}", None)
        space.objects.pop(f"{mount}/metadata/{path}", None)

    def _space(self, namespace: str) -> Space:
        if namespace not in self.spaces:
            raise ConfigError(f"no namespace {namespace!r}")
        return self.spaces[namespace]

    def _need_method(self, path: str, kind: str, namespace: str) -> None:
        if f"{path}/" not in self._space(namespace).methods:
            self.add_method(path, kind, namespace=namespace)

    def _need_engine(self, path: str, kind: str, namespace: str) -> None:
        if f"{path}/" not in self._space(namespace).mounts:
            self.add_engine(path, kind, namespace=namespace)


def simulated(clock: Callable[[], datetime]) -> Connection:
    """A connection to a small vault with one of everything, for the suite that every connector must pass."""
    vault = VaultServer(clock=clock, namespaces=("team-a",))
    populate_small(vault)
    connection = vault.connection("vault", fingerprints=True)
    return replace(connection, fingerprint=_made_up_fingerprint)


def _made_up_fingerprint(value: Secret) -> str:
    return hashlib.sha256(b"simulated\0" + value.reveal().encode()).hexdigest()[:32]


def _id(*parts: str) -> str:
    """An id that is the same every time for the same words."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\0".join(parts)))


def _text(at: datetime | None) -> str:
    """RFC 3339 with Go's nanoseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z") if at else _NEVER


def _token_rules(policies: Sequence[str], *, ttl_s: int = 0) -> Answered:
    return {
        "token_bound_cidrs": [],
        "token_explicit_max_ttl": 0,
        "token_max_ttl": 0,
        "token_no_default_policy": False,
        "token_num_uses": 0,
        "token_period": 0,
        "token_policies": list(policies),
        "token_ttl": ttl_s,
        "token_type": "default",
    }


def _issued(common_name: str, begins: datetime, ends: datetime) -> tuple[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.x509.oid import NameOID

    digest = hashlib.sha256(f"{common_name}\0{begins}\0{ends}".encode()).digest()
    key = ed25519.Ed25519PrivateKey.from_private_bytes(digest)  # Ed25519 signs the same way every time
    number = int.from_bytes(digest[:15], "big") | 1 << 118
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Acme Root")])
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(begins.astimezone(UTC).replace(microsecond=0))
        .not_valid_after(ends.astimezone(UTC).replace(microsecond=0))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
        .sign(key, None)
    )
    return number.to_bytes(15, "big").hex(":"), made.public_bytes(serialization.Encoding.PEM).decode()

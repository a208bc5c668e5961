"""PostgreSQL: login roles, what they may do, and rotation by alternating between the two roles of a pair.

A pair is a group role (the target) that owns everything, and login roles that are its members (the slots). One slot is
in use; the other is *retired*: NOLOGIN and VALID UNTIL '-infinity', which can be seen without the rights of a
superuser. The credential id is the role's name. A rotation gives the retired slot a new password; the slot
that was in use is disabled (NOLOGIN) and at last retired.

Passwords reach the server as SCRAM verifiers made here, so that no server log ever holds one. Who made a slot live is
written as a mark behind the role's comment. Sequencing is left to the saga; who may do it, to services.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import (
    AuthenticationFailed,
    ConfigError,
    Conflict,
    DataError,
    MissingScope,
    Unavailable,
    UnexpectedResponse,
)
from wardship.model.identity import Identity, IdentityKind, Standing, System
from wardship.model.owner import Owner
from wardship.model.scan import RawPage, Scope
from wardship.model.secret import Secret
from wardship.sdk.acting import mark_of
from wardship.sdk.connector import (
    BlindSpot,
    CallStats,
    Capability,
    CheckResult,
    Connection,
    Deliver,
    DriftLog,
    Evidence,
    LiveCredential,
    Manifest,
    Permission,
    Record,
    Setting,
    SetupGuide,
)
from wardship.sdk.i18n import N_, _

if TYPE_CHECKING:
    import psycopg

_EXTRA = N_("install the optional part: pip install 'wardship[postgres]'")

MANIFEST = Manifest(
    name="postgresql",
    title="PostgreSQL",
    systems=("postgresql_cluster",),
    permissions={
        Capability.DISCOVER: (
            Permission(name="CONNECT", why=N_("reads the roles, their memberships and comments")),
            Permission(
                name="SELECT ON pg_authid",
                why=N_("tells which roles have a password at all and how it is hashed; the hash itself is never read"),
                optional=True,
            ),
        ),
        Capability.USAGE: (Permission(name="CONNECT", why=N_("sees which roles have a session open now")),),
        Capability.ROTATE: (
            Permission(name="CREATEROLE", why=N_("sets the password of the retired role of a pair")),
            Permission(
                name="ADMIN OPTION on the roles of the pair",
                why=N_("from PostgreSQL 16 CREATEROLE alone does not reach other roles"),
            ),
        ),
        Capability.DISABLE: (Permission(name="CREATEROLE", why=N_("takes LOGIN from a role")),),
        Capability.DELETE: (Permission(name="CREATEROLE", why=N_("empties the password of a role")),),
    },
    settings=(
        Setting(name="host", help=N_("host name or address of the server"), required=True),
        Setting(name="port", help=N_("its port"), default="5432"),
        Setting(name="database", help=N_("database to connect to; roles are the same in all"), default="postgres"),
        Setting(name="user", help=N_("role that Wardship logs in as"), required=True),
        Setting(name="password", help=N_("password of that role, as a reference"), secret=True),
        Setting(name="sslmode", help=N_("as libpq: verify-full, require, disable"), default="verify-full"),
    ),
    blind_spots=(
        BlindSpot(
            id="postgresql.no_password_date", text=N_("PostgreSQL does not keep when a password was last changed.")
        ),
        BlindSpot(
            id="postgresql.no_last_login",
            text=N_("PostgreSQL does not keep the last login of a role: only sessions open now are seen."),
        ),
        BlindSpot(
            id="postgresql.object_grants",
            text=N_("Rights on single tables and schemas are not read; memberships and role attributes are."),
        ),
        BlindSpot(
            id="postgresql.pg_hba",
            text=N_("Who may log in from where (pg_hba.conf) is not read: a role without a password may still log in."),
        ),
    ),
    unavailable={
        "last_rotated_at": N_("not kept by PostgreSQL"),
        "created_at": N_("not kept by PostgreSQL"),
        "last_used_at": N_("not kept by PostgreSQL; sessions open now are seen"),
    },
    evidence=Evidence.REAL_PRODUCT,
    links=(
        "https://www.postgresql.org/docs/current/view-pg-roles.html",
        "https://www.postgresql.org/docs/current/sql-alterrole.html",
        "https://www.postgresql.org/docs/current/predefined-roles.html",
    ),
    extra="postgres",
)

_PAGE = 1000
_CONNECT_TIMEOUT_S = 3
_STATEMENT_TIMEOUT_MS = 2000  # with the connect timeout below the 9 s that the saga allows a call

# What role attributes and predefined roles reach. Source: PostgreSQL 15 documentation, CREATE ROLE and chapter 22.5.
_ATTRIBUTE_TIERS = {
    "rolsuper": ("SUPERUSER", Tier.CONTROL_PLANE),
    "rolcreaterole": ("CREATEROLE", Tier.CONTROL_PLANE),
    "rolcreatedb": ("CREATEDB", Tier.WRITE),
    "rolreplication": ("REPLICATION", Tier.SENSITIVE_READ),
    "rolbypassrls": ("BYPASSRLS", Tier.SENSITIVE_READ),
}
_PREDEFINED_TIERS = {
    "pg_execute_server_program": Tier.CONTROL_PLANE,
    "pg_write_server_files": Tier.CONTROL_PLANE,
    "pg_read_server_files": Tier.CONTROL_PLANE,
    "pg_create_subscription": Tier.WRITE,
    "pg_write_all_data": Tier.WRITE,
    "pg_read_all_data": Tier.SENSITIVE_READ,
    "pg_monitor": Tier.READ,
    "pg_read_all_settings": Tier.READ,
    "pg_read_all_stats": Tier.READ,
    "pg_stat_scan_tables": Tier.READ,
    "pg_signal_backend": Tier.WRITE,
    "pg_checkpoint": Tier.WRITE,
    "pg_database_owner": Tier.WRITE,
}

_EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_MARK = re.compile(r" ?\[wardship-([0-9a-f-]{36}(?:\.\d{1,3})?)\]")

_ROLE_SQL = """
select r.rolname, r.rolcanlogin, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls,
       r.rolconnlimit, shobj_description(r.oid, 'pg_authid') as comment,
       case when isfinite(r.rolvaliduntil) then extract(epoch from r.rolvaliduntil)::float8 end as valid_until,
       coalesce(r.rolvaliduntil = '-infinity', false) as never_valid, {password} as password_kind
from pg_roles r {join}
where r.rolcanlogin and r.rolname > %(after)s order by r.rolname limit %(limit)s
"""
_HASH_KIND = """case when a.rolpassword is null then 'none' when a.rolpassword like 'SCRAM-%%' then 'scram-sha-256'
                    when a.rolpassword like 'md5%%' then 'md5' else 'unknown' end"""
_MEMBER_SQL = """
select m.rolname as member, g.rolname as group_name, b.rolname as grantor, am.admin_option
from pg_auth_members am join pg_roles m on m.oid = am.member join pg_roles g on g.oid = am.roleid
     left join pg_roles b on b.oid = am.grantor
where m.rolcanlogin and (m.rolname, g.rolname) > (%(after)s, %(after_group)s)
order by m.rolname, g.rolname limit %(limit)s
"""
_SLOT_SQL = """
select m.rolname, m.rolcanlogin, shobj_description(m.oid, 'pg_authid') as comment,
       not m.rolcanlogin and coalesce(m.rolvaliduntil = '-infinity', false) as retired
from pg_auth_members am join pg_roles m on m.oid = am.member join pg_roles g on g.oid = am.roleid
where g.rolname = %(target)s order by m.rolname
"""


def connect(connection: Connection) -> PostgresqlConnector:
    """Reads the cluster behind `connection`."""
    return PostgresqlConnector(connection)


def act(connection: Connection) -> PostgresqlActor:
    """Changes the role pairs of the cluster behind `connection`."""
    return PostgresqlActor(connection)


# ---------------------------------------------------------------- reading


class PostgresqlConnector:
    """Discovers login roles (see `sdk.connector.Connector`)."""

    manifest = MANIFEST

    def __init__(self, connection: Connection) -> None:
        self._server = _Server(connection)
        self._clock = connection.clock
        self.stats = CallStats()
        self.drift = DriftLog()

    def scopes(self) -> Iterable[Scope]:
        row = self._ask("select system_identifier::text as id from pg_control_system()")[0]
        authority = f"postgresql:{row['id']}"
        return [
            Scope(connector="postgresql", authority=authority, kind=kind)
            for kind in ("system", "role", "membership", "activity")
        ]

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        if scope.kind == "system":
            yield RawPage(items=self._ask("select current_setting('server_version') as version"))
        elif scope.kind == "activity":
            yield RawPage(items=self._ask("select distinct usename from pg_stat_activity where usename is not null"))
        elif scope.kind == "role":
            yield from self._roles(token)
        else:
            yield from self._members(token)

    def _roles(self, token: str | None) -> Iterator[RawPage]:
        readable = self._ask("select has_table_privilege('pg_authid', 'select') as yes")[0]["yes"]
        query = _ROLE_SQL.format(
            password=_HASH_KIND if readable else "null::text",
            join="join pg_authid a on a.oid = r.oid" if readable else "",
        )
        total = self._ask("select count(*)::int as n from pg_roles where rolcanlogin")[0]["n"]
        while True:
            rows = self._ask(query, {"after": token or "", "limit": _PAGE})
            token = rows[-1]["rolname"] if len(rows) == _PAGE else None
            yield RawPage(items=rows, next_token=token, expected_total=total)
            if token is None:
                return

    def _members(self, token: str | None) -> Iterator[RawPage]:
        while True:
            member, group = json.loads(token) if token else ("", "")
            rows = self._ask(_MEMBER_SQL, {"after": member, "after_group": group, "limit": _PAGE})
            last = rows[-1] if len(rows) == _PAGE else None
            token = None if last is None else json.dumps([last["member"], last["group_name"]])
            yield RawPage(items=rows, next_token=token)
            if token is None:
                return

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        if not isinstance(item, dict):
            raise DataError("a row that is not an object")
        try:
            if scope.kind == "system":
                return [System(authority=scope.authority, kind="postgresql_cluster", name=self._server.name)]
            if scope.kind == "activity":
                return [_seen(scope.authority, item["usename"], self._clock(), "identity")]
            if scope.kind == "membership":
                return [_membership(scope.authority, item)]
            return list(_role(scope.authority, item))
        except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
            raise DataError(f"a {scope.kind} row without a usable {error}") from None

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        if family not in ("identity", "credential") or scope.kind != "role":
            return None
        return bool(self._ask("select 1 as yes from pg_roles where rolname = %(name)s", {"name": native_id}))

    def check(self) -> Sequence[CheckResult]:
        row = self._ask(
            "select rolsuper, rolcreaterole, has_table_privilege('pg_authid', 'select') as authid,"
            " current_setting('server_version_num')::int as version from pg_roles where rolname = current_user"
        )[0]
        can_alter = row["rolsuper"] or row["rolcreaterole"]
        return [
            CheckResult(permission="CONNECT", capability=Capability.DISCOVER, allowed=True),
            CheckResult(
                permission="SELECT ON pg_authid",
                capability=Capability.DISCOVER,
                allowed=row["authid"],
                detail="" if row["authid"] else _("which roles have a password stays unknown"),
            ),
            CheckResult(permission="CREATEROLE", capability=Capability.ROTATE, allowed=can_alter),
            CheckResult(
                permission="ADMIN OPTION on the roles of the pair",
                capability=Capability.ROTATE,
                allowed=True if row["rolsuper"] or (can_alter and row["version"] < 160000) else None,
            ),
        ]

    def setup(self, capability: Capability) -> SetupGuide:
        acting = capability in (Capability.ROTATE, Capability.DISABLE, Capability.DELETE)
        name = "wardship_actor" if acting else "wardship_reader"
        return SetupGuide(
            capability=capability,
            terraform=(
                f'resource "postgresql_role" "{name}" {{\n  name        = "{name}"\n  login       = true\n'
                f"  create_role = {'true' if acting else 'false'}\n  password    = var.{name}_password\n}}\n"
            ),
            cli=(
                f"create role {name} login{' createrole' if acting else ''};\n\\password {name}\n"
                f"grant connect on database postgres to {name};\n"
                + (
                    "-- a pair: one group role that owns everything, two login roles that belong to it\n"
                    "create role app_b nologin valid until '-infinity' in role app;\n"
                    f"-- PostgreSQL 16 and later\ngrant app_a, app_b to {name} with admin option;\n"
                    if acting
                    else ""
                )
            ),
            portal=(
                N_("Managed services: make the role in the provider's console, or with psql as its administrator."),
            ),
            remove=f"revoke connect on database postgres from {name};\ndrop role {name};\n",
        )

    def _ask(self, query: str, values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        self.stats.api_calls += 1
        with self._server.open() as conn:
            return _rows(conn, query, values or {})


def _role(authority: str, item: dict[str, Any]) -> Iterator[Record]:
    name = item["rolname"]
    key = (authority, name)
    until, never = item["valid_until"], item["never_valid"]
    yield Identity(
        authority=authority,
        native_id=name,
        kind=IdentityKind.DATABASE_ACCOUNT,
        subtype="role",
        name=name,
        standing=Standing.OWN,
        enabled=item["rolcanlogin"],
        attributes={"connection_limit": item["rolconnlimit"], "superuser": item["rolsuper"]},
    )
    if item["password_kind"] != "none":  # noqa: S105 - a word of ours, not a password
        yield Credential(
            authority=authority,
            native_id=name,
            type=CredentialType.PASSWORD,
            identity=key,
            name=name,
            enabled=bool(item["rolcanlogin"]) and not never,
            expires_at=None if until is None else datetime.fromtimestamp(until, UTC),
            no_expiry=until is None and not never,
            revocation="ALTER ROLE ... NOLOGIN",
            attributes={} if item["password_kind"] is None else {"hash": item["password_kind"]},
        )
    for column, (permission, tier) in _ATTRIBUTE_TIERS.items():
        if item[column]:
            yield Grant(authority=authority, identity=key, permission=permission, tier=tier)
    for claim in sorted(set(_EMAIL.findall(item["comment"] or ""))):
        yield Owner(
            authority=authority,
            identity=key,
            claim=claim,
            source="postgresql.comment",
            evidence="comment on the role",
        )


def _membership(authority: str, item: dict[str, Any]) -> Grant:
    return Grant(
        authority=authority,
        identity=(authority, item["member"]),
        permission=item["group_name"],
        via=None,
        tier=_PREDEFINED_TIERS.get(item["group_name"], Tier.UNKNOWN),
        granted_by=item["grantor"],
        attributes={"admin_option": item["admin_option"]},
    )


def _seen(authority: str, role: str, at: datetime, family: str) -> Usage:
    return Usage(
        subject=(family, authority, role),
        source="postgresql.pg_stat_activity",
        state=UseState.USED,
        last_used_at=at,
        detail="session open now",
    )


# ---------------------------------------------------------------- acting


class PostgresqlActor:
    """Alternates the login roles of a pair (see `sdk.connector.Actor`). `target` is the group role's name."""

    manifest = MANIFEST
    two_slots = True
    max_credentials = 2
    settle_s = 1.0  # a statement whose sender died may still be running

    def __init__(self, connection: Connection) -> None:
        self._server = _Server(connection)
        self._clock = connection.clock

    def list_live(self, target: str) -> Sequence[LiveCredential]:
        with self._server.open() as conn:
            return [
                LiveCredential(id=slot["rolname"], enabled=slot["rolcanlogin"], created_at=None, op_id=_mark(slot))
                for slot in _slots(conn, target)
                if not slot["retired"]
            ]

    def create(self, target: str, op_id: str, deliver: Deliver) -> str:
        from psycopg import sql

        with self._server.open() as conn:
            # Two workers would choose the same slot: the second waits here and then sees what the first did.
            conn.execute("select pg_advisory_xact_lock(hashtext(%s))", (f"wardship:{target}",))
            slots = _slots(conn, target)
            free = [slot for slot in slots if _mark(slot) == op_id and not slot["retired"]]
            free = free or [slot for slot in slots if slot["retired"]]
            if len(free) != 1:
                raise Conflict(
                    _("group role %(target)s has %(n)d retired roles, one is needed")
                    % {"target": target, "n": len(free)},
                    advice=_("`wardship connect setup postgresql` shows how a pair is made"),
                )
            name = free[0]["rolname"]
            value = secrets.token_urlsafe(32)
            deliver(Secret(value), name)  # first into the store: no password is ever set that nobody holds
            verifier = conn.pgconn.encrypt_password(value.encode(), name.encode(), b"scram-sha-256").decode()
            role = sql.Identifier(name)
            conn.execute(
                sql.SQL("alter role {} login password {} valid until 'infinity'").format(role, sql.Literal(verifier))
            )
            comment = f"{_MARK.sub('', free[0]['comment'] or '')} [{mark_of(op_id)}]".lstrip()
            conn.execute(sql.SQL("comment on role {} is {}").format(role, sql.Literal(comment)))
        return str(name)

    def find_created(self, target: str, op_id: str) -> str | None:
        return next((found.id for found in self.list_live(target) if found.op_id == op_id), None)

    def test(self, target: str, credential_id: str, value: Secret) -> bool:  # noqa: ARG002 - the protocol's signature
        if self._server.can_log_in(credential_id, value):
            return True
        with self._server.open():  # raises Unavailable: then the refusal says nothing about the password
            return False

    def promote(self, target: str, credential_id: str) -> None:
        """PostgreSQL has no notion of the one in use."""

    def disable(self, target: str, credential_id: str) -> None:
        self._alter(target, credential_id, "alter role {} nologin")

    def enable(self, target: str, credential_id: str) -> None:
        with self._server.open() as conn:
            if any(slot["rolname"] == credential_id and slot["retired"] for slot in _slots(conn, target)):
                raise Conflict(_("role %(name)s was retired: it has no password") % {"name": credential_id})
        self._alter(target, credential_id, "alter role {} login")

    def delete(self, target: str, credential_id: str) -> None:
        self._alter(target, credential_id, "alter role {} nologin password null valid until '-infinity'")

    def last_used(self, target: str, credential_id: str) -> Usage:  # noqa: ARG002 - the protocol's signature
        with self._server.open() as conn:
            row = _rows(conn, "select system_identifier::text as id from pg_control_system()", {})[0]
            sessions = _rows(
                conn, "select 1 as yes from pg_stat_activity where usename = %(name)s limit 1", {"name": credential_id}
            )
        authority = f"postgresql:{row['id']}"
        if sessions:
            return _seen(authority, credential_id, self._clock(), "credential")
        return Usage(
            subject=("credential", authority, credential_id),
            source="postgresql.pg_stat_activity",
            state=UseState.UNKNOWN,
            detail="no session open now; PostgreSQL keeps no last login",
        )

    def _alter(self, target: str, name: str, statement: str) -> None:
        """Changes a slot of this target, and no other role. A slot that is gone is left so."""
        from psycopg import sql

        with self._server.open() as conn:
            if any(slot["rolname"] == name for slot in _slots(conn, target)):
                conn.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _slots(conn: psycopg.Connection[Any], target: str) -> list[dict[str, Any]]:
    return _rows(conn, _SLOT_SQL, {"target": target})


def _mark(slot: dict[str, Any]) -> str | None:
    found = _MARK.search(slot["comment"] or "")
    return found.group(1) if found else None


# ---------------------------------------------------------------- the server


class _Server:
    """Opens sessions of one server, one for each piece of work, and says plainly why it cannot."""

    def __init__(self, connection: Connection) -> None:
        try:
            import psycopg
        except ImportError:
            raise ConfigError(_("connector postgresql needs psycopg"), advice=_(_EXTRA)) from None
        self._psycopg = psycopg
        settings = connection.settings
        for needed in ("host", "user"):
            if not settings.get(needed):
                raise ConfigError(
                    _("connection %(name)s lacks %(setting)s") % {"name": connection.name, "setting": needed}
                )
        self._secret = connection.secret
        self._user = settings["user"]
        self._where = {
            "host": settings["host"],
            "port": settings.get("port", "5432"),
            "dbname": settings.get("database", "postgres"),
            "sslmode": settings.get("sslmode", "verify-full"),
            "application_name": "wardship",
            "connect_timeout": str(_CONNECT_TIMEOUT_S),
            "options": f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c timezone=UTC",
        }
        self.name = settings["host"]

    @contextlib.contextmanager
    def open(self) -> Iterator[psycopg.Connection[Any]]:
        """One transaction of the connection's own role, committed at the end."""
        errors = self._psycopg.errors
        try:
            session = self._connect(self._user, self._secret("password"))
        except self._psycopg.OperationalError as error:
            if "authentication" in str(error):
                raise AuthenticationFailed(
                    _("PostgreSQL refused the login of %(user)s") % {"user": self._user}, system="postgresql"
                ) from None
            raise Unavailable(
                _("PostgreSQL at %(host)s does not answer") % {"host": self.name}, system="postgresql"
            ) from None
        try:
            with session:  # commits, or rolls back, and closes
                yield session
        except errors.InsufficientPrivilege as error:
            raise MissingScope(
                _("PostgreSQL does not allow %(user)s to do this") % {"user": self._user},
                scope="CREATEROLE",
                system="postgresql",
                operation=error.sqlstate or "",
            ) from None
        except self._psycopg.OperationalError as error:
            raise Unavailable(
                _("PostgreSQL broke off: SQLSTATE %(code)s") % {"code": error.sqlstate}, system="postgresql"
            ) from None
        except self._psycopg.Error as error:
            raise UnexpectedResponse(
                _("PostgreSQL refused: SQLSTATE %(code)s") % {"code": error.sqlstate}, system="postgresql"
            ) from None

    def can_log_in(self, user: str, password: Secret) -> bool:
        try:
            self._connect(user, password).close()
        except self._psycopg.OperationalError:
            return False
        return True

    def _connect(self, user: str, password: Secret) -> psycopg.Connection[Any]:
        return self._psycopg.connect(
            self._psycopg.conninfo.make_conninfo(**self._where, user=user, password=password.reveal())
        )


def _rows(conn: psycopg.Connection[Any], query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    from psycopg.rows import dict_row

    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), values).fetchall()

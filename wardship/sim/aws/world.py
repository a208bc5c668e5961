"""A simulated AWS: accounts whose state really changes, filled in through Python, asked through botocore.

    world = AwsWorld(clock=clock)
    account = world.account("111122223333", "main")
    admin = account.managed_policy("AdministratorAccess")
    arn = account.user("ci-deploy", tags={"owner": "ana@acme.example"}, policies=[admin])
    key_id = account.key("ci-deploy")
    connection = world.connection(regions="eu-west-1")

A key that is made works after `lag_s`; one that is switched off or deleted is refused after `lag_s`; its last use
follows its real use; the trail shows events after `trail_delay_s`. With a `path` the state is a JSON file that every
call reads and every change replaces in one step, so that a killed process, or another one, goes on with it.
Who may do what is not evaluated: everything is allowed that `deny` does not name. Trust policies are.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from wardship.model.errors import ConfigError
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection
from wardship.sim.faults import Faults

Row = dict[str, Any]
_LONG_AGO = "2006-03-14T00:00:00+00:00"  # what was filled in is settled everywhere
ADMINISTRATOR: Mapping[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One line of the call log."""

    account: str
    action: str
    region: str


class AwsWorld:
    """All simulated accounts, and the wire by which botocore reaches them (`Wire` of wardship.sdk.connector)."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        path: Path | None = None,
        lag_s: float = 0.0,
        trail_delay_s: float = 0.0,
        page_cap: int = 1000,
    ) -> None:
        self.clock = clock
        self.lag_s = lag_s
        self.trail_delay_s = trail_delay_s
        self.page_cap = page_cap
        self.faults = Faults()  # `on` is "POST iam:ListUsers": the action that the call needs
        self.denied: set[tuple[str, str | None]] = set()
        self.calls: list[Asked] = []
        self._path = path
        self._lock = threading.RLock()
        self._state: Row = {"accounts": {}, "keys": {}, "sessions": {}, "serial": 0, "aws_policies": {}}
        if path is not None and not path.exists():
            self._save()

    # -------------------------------------------------------------- state

    @contextmanager
    def reading(self) -> Iterator[Row]:
        """The state as it is now; what is changed in it is lost where the state is a file."""
        with self._lock:
            if self._path is not None:
                self._state = json.loads(self._path.read_text(encoding="utf-8"))
            yield self._state

    @contextmanager
    def changing(self) -> Iterator[Row]:
        """The state, kept when the block ends without an error."""
        with self.reading() as state:
            yield state
            self._save()

    def _save(self) -> None:
        if self._path is None:
            return
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(self._state, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)

    def now(self) -> str:
        """The instant on the world's clock, as the state keeps instants."""
        return self.clock().isoformat()

    def settled(self, at: str) -> bool:
        """Whether what happened at `at` is seen everywhere by now."""
        return self.clock() >= datetime.fromisoformat(at) + timedelta(seconds=self.lag_s)

    # -------------------------------------------------------------- filling in

    def account(self, number: str, name: str = "main") -> AwsAccount:
        """The account of that number; made with its root user when it is new."""
        with self.changing() as state:
            if number not in state["accounts"]:
                state["accounts"][number] = {
                    "name": name,
                    "created": self.now(),
                    "users": {},
                    "roles": {},
                    "groups": {},
                    "policies": {},
                    "oidc": {},
                    "saml": {},
                    "regional": {},
                    "trail": [],
                    "root": {"mfa": True, "last_used": None},
                    "report": None,
                }
        return AwsAccount(self, number)

    def organisation(self, management: str, identifier: str = "o-simulated1") -> None:
        """Makes the accounts of this world an organisation; those made later join it."""
        with self.changing() as state:
            state["organisation"] = {"id": identifier, "management": management}

    def identity_center(self, owner: str, *, region: str = "eu-west-1") -> IdentityCenter:
        """Switches Identity Center on for the organisation."""
        with self.changing() as state:
            state["center"] = {
                "owner": owner,
                "region": region,
                "arn": "arn:aws:sso:::instance/ssoins-7223aaaabbbbcccc",
                "store": "d-9067000000",
                "users": [],
                "groups": [],
                "sets": {},
            }
        return IdentityCenter(self)

    def deny(self, action: str, *, account: str | None = None) -> None:
        """Refuses an action from now on, in one account or everywhere."""
        self.denied.add((action, account))

    def secret_of(self, key_id: str) -> Secret:
        """The secret part of an access key of this world."""
        with self.reading() as state:
            return Secret(state["keys"][key_id]["secret"])

    def keys_of(self, arn: str) -> Mapping[str, str]:
        """The keys that the user `arn` has, by id: "Active" or "Inactive"."""
        with self.reading() as state:
            keys = state["keys"].items()
            return {key_id: key["status"] for key_id, key in keys if key["arn"] == arn and not key.get("deleted")}

    def works(self, key_id: str) -> bool:
        """Whether the key would be let in now; asking is no use of it."""
        with self.reading() as state:
            key = state["keys"].get(key_id)
            return key is not None and self.lets_in(key)

    def lets_in(self, key: Mapping[str, Any]) -> bool:
        """Whether a key's newest change that is seen everywhere left it switched on."""
        seen = [status for at, status in key["history"] if self.settled(at)]
        return bool(seen) and seen[-1] == "Active"

    def connection(self, *, name: str = "aws", key_id: str | None = None, **settings: str) -> Connection:
        """A connection to this world as the key `key_id`; None: as an administrator of the first account."""
        wire: Any = self if key_id is None else _As(self, key_id)
        return Connection(name=name, connector="aws", settings=settings, clock=self.clock, wire=wire)

    def httpx_transport(self) -> Any:
        raise ConfigError("simulated AWS is asked through botocore")

    def prepare_botocore(self, session: Any) -> None:
        """Answers all clients of the session here, as an administrator of the first account."""
        self.answer(session, self._administrator())

    def answer(self, session: Any, key_id: str) -> None:
        """Answers all clients of the session here; they sign with `key_id` until told otherwise."""
        from wardship.sim.aws.wire import hook

        hook(self, session)
        session.set_credentials(key_id, self.secret_of(key_id).reveal())

    def _administrator(self) -> str:
        with self.reading() as state:
            if not state["accounts"]:
                raise ConfigError("a simulated AWS without an account")
            first = next(iter(state["accounts"]))
            found = state.get("administrator")
        if found is None:
            found = AwsAccount(self, first).root_key()
            with self.changing() as state:
                state["administrator"] = found
        return str(found)


@dataclass(frozen=True, slots=True)
class _As:
    """The wire of one key's holder."""

    world: AwsWorld
    key_id: str

    def httpx_transport(self) -> Any:
        return self.world.httpx_transport()

    def prepare_botocore(self, session: Any) -> None:
        self.world.answer(session, self.key_id)


def new_id(state: Row, prefix: str) -> str:
    """The next unique id of this world: AKIA..., AIDA..., 20 characters."""
    state["serial"] += 1
    return f"{prefix}SIM{state['serial']:013d}"


@dataclass(frozen=True, slots=True)
class AwsAccount:
    """Fills in one account. Instants None: now. Each method gives the ARN of what it made."""

    world: AwsWorld
    number: str

    @property
    def authority(self) -> str:
        return f"aws:{self.number}"

    @contextmanager
    def _changing(self) -> Iterator[tuple[Row, Row]]:
        with self.world.changing() as state:
            yield state, state["accounts"][self.number]

    def _at(self, instant: datetime | None) -> str:
        return (instant or self.world.clock()).isoformat()

    def user(
        self,
        name: str,
        *,
        path: str = "/",
        created: datetime | None = None,
        tags: Mapping[str, str] | None = None,
        groups: Sequence[str] = (),
        policies: Sequence[str] = (),
        inline: Mapping[str, Any] | None = None,
        boundary: str | None = None,
    ) -> str:
        arn = f"arn:aws:iam::{self.number}:user{path}{name}"
        with self._changing() as (state, account):
            account["users"][name] = {
                **_principal(
                    arn, path, self._at(created), tags=tags, policies=policies, inline=inline, boundary=boundary
                ),
                "id": new_id(state, "AIDA"),
                "groups": list(groups),
                "password": None,
                "mfa": False,
            }
        return arn

    def password(
        self, user: str, *, changed: datetime | None = None, last_used: datetime | None = None, mfa: bool = False
    ) -> None:
        """Gives a user a console password."""
        with self._changing() as (_state, account):
            used = None if last_used is None else last_used.isoformat()
            account["users"][user]["password"] = {"changed": self._at(changed), "last_used": used}
            account["users"][user]["mfa"] = mfa

    def key(
        self,
        user: str,
        *,
        created: datetime | None = None,
        last_used: datetime | None = None,
        service: str = "s3",
        region: str = "eu-west-1",
        active: bool = True,
    ) -> str:
        """Gives a user an access key and returns its id. Raises ConfigError for a third one."""
        with self._changing() as (state, account):
            key_id = mint(state, account["users"][user]["arn"], self._at(created), seen_since=_LONG_AGO)
            key = state["keys"][key_id]
            if not active:
                key["status"] = "Inactive"
                key["history"].append([_LONG_AGO, "Inactive"])
            if last_used is not None:
                key["last_used"] = [last_used.isoformat(), service, region]
        return key_id

    def secret_of(self, key_id: str) -> str:
        """The secret of an access key, for whoever plants it where it should not be."""
        with self.world.reading() as state:
            return str(state["keys"][key_id]["secret"])

    def root_key(self) -> str:
        """A key of the root user."""
        with self._changing() as (state, account):
            return mint(state, f"arn:aws:iam::{self.number}:root", account["created"], seen_since=_LONG_AGO)

    def role(
        self,
        name: str,
        *,
        trust: Mapping[str, Any],
        path: str = "/",
        created: datetime | None = None,
        last_used: datetime | None = None,
        tags: Mapping[str, str] | None = None,
        policies: Sequence[str] = (),
        inline: Mapping[str, Any] | None = None,
        boundary: str | None = None,
        instance_profile: str | None = None,
    ) -> str:
        arn = f"arn:aws:iam::{self.number}:role{path}{name}"
        with self._changing() as (state, account):
            account["roles"][name] = {
                **_principal(
                    arn, path, self._at(created), tags=tags, policies=policies, inline=inline, boundary=boundary
                ),
                "id": new_id(state, "AROA"),
                "trust": trust,
                "last_used": None if last_used is None else [last_used.isoformat(), "eu-west-1"],
                "instance_profile": instance_profile,
            }
        return arn

    def group(self, name: str, *, policies: Sequence[str] = (), inline: Mapping[str, Any] | None = None) -> str:
        arn = f"arn:aws:iam::{self.number}:group/{name}"
        with self._changing() as (state, account):
            account["groups"][name] = {
                **_principal(arn, "/", self._at(None), policies=policies, inline=inline),
                "id": new_id(state, "AGPA"),
            }
        return arn

    def policy(self, name: str, document: Mapping[str, Any]) -> str:
        arn = f"arn:aws:iam::{self.number}:policy/{name}"
        with self._changing() as (_state, account):
            account["policies"][arn] = {"name": name, "document": document, "created": self._at(None)}
        return arn

    def managed_policy(self, name: str, document: Mapping[str, Any] = ADMINISTRATOR) -> str:
        """One of AWS's own policies."""
        arn = f"arn:aws:iam::aws:policy/{name}"
        with self.world.changing() as state:
            state["aws_policies"][arn] = {"name": name, "document": document, "created": self._at(None)}
        return arn

    def oidc_provider(self, host: str, *, audiences: Sequence[str] = ("sts.amazonaws.com",)) -> str:
        arn = f"arn:aws:iam::{self.number}:oidc-provider/{host}"
        with self._changing() as (_state, account):
            account["oidc"][arn] = {"url": host, "audiences": list(audiences), "created": self._at(None)}
        return arn

    def saml_provider(self, name: str, *, valid_until: datetime) -> str:
        arn = f"arn:aws:iam::{self.number}:saml-provider/{name}"
        with self._changing() as (_state, account):
            account["saml"][arn] = {"valid_until": valid_until.isoformat(), "created": self._at(None)}
        return arn

    def root(self, *, mfa: bool = True, last_used: datetime | None = None) -> None:
        with self._changing() as (_state, account):
            account["root"] = {"mfa": mfa, "last_used": None if last_used is None else last_used.isoformat()}

    def regional(self, region: str, kind: str, entry: Mapping[str, Any]) -> None:
        """Adds what a regional service lists, in the service's own words: kind "secrets", "certificates", "api_keys",
        "anchors" or "profiles". An instant is a datetime."""
        plain = {name: _plain(value) for name, value in entry.items()}
        with self._changing() as (_state, account):
            account["regional"].setdefault(region, {}).setdefault(kind, []).append(plain)

    def secret(self, region: str, name: str, **more: Any) -> str:
        arn = f"arn:aws:secretsmanager:{region}:{self.number}:secret:{name}-a1b2c3"
        self.regional(region, "secrets", {"ARN": arn, "Name": name, "CreatedDate": self.world.clock(), **more})
        return arn

    def certificate(self, region: str, domain: str, *, ends: datetime, **more: Any) -> str:
        arn = f"arn:aws:acm:{region}:{self.number}:certificate/{domain}"
        entry = {"CertificateArn": arn, "DomainName": domain, "Status": "ISSUED", "NotAfter": ends, **more}
        self.regional(region, "certificates", entry)
        return arn

    def api_key(self, region: str, name: str, **more: Any) -> str:
        entry = {"id": f"k{name}"[:10], "name": name, "enabled": True, "createdDate": self.world.clock(), **more}
        self.regional(region, "api_keys", entry)
        return str(entry["id"])

    def trust_anchor(self, region: str, name: str) -> str:
        arn = f"arn:aws:rolesanywhere:{region}:{self.number}:trust-anchor/{name}"
        entry = {"trustAnchorArn": arn, "name": name, "enabled": True, "source": {"sourceType": "CERTIFICATE_BUNDLE"}}
        self.regional(region, "anchors", {**entry, "createdAt": self.world.clock()})
        return arn

    def anchor_profile(self, region: str, name: str, *, roles: Sequence[str]) -> str:
        arn = f"arn:aws:rolesanywhere:{region}:{self.number}:profile/{name}"
        entry = {"profileArn": arn, "name": name, "enabled": True, "roleArns": list(roles)}
        self.regional(region, "profiles", {**entry, "createdAt": self.world.clock()})
        return arn

    def remove_user(self, name: str) -> None:
        """Somebody deletes a user and all its keys."""
        with self._changing() as (state, account):
            arn = account["users"].pop(name)["arn"]
            for key in state["keys"].values():
                if key["arn"] == arn and not key.get("deleted"):
                    key["deleted"] = True
                    key["history"].append([self.world.now(), "Deleted"])


@dataclass(frozen=True, slots=True)
class IdentityCenter:
    """Fills in Identity Center."""

    world: AwsWorld

    def person(self, identifier: str, name: str, email: str, *, enabled: bool = True) -> None:
        status = "ENABLED" if enabled else "DISABLED"
        with self.world.changing() as state:
            entry = {"UserId": identifier, "UserName": email, "DisplayName": name, "UserStatus": status}
            entry["Revision"] = "1"
            entry["UserArn"] = f"arn:aws:identitystore:::user/{identifier}"
            mails = [{"Value": email, "Primary": True}]
            store = state["center"]["store"]
            state["center"]["users"].append({**entry, "Emails": mails, "IdentityStoreId": store})

    def group(self, identifier: str, name: str) -> None:
        with self.world.changing() as state:
            entry = {"GroupId": identifier, "DisplayName": name, "IdentityStoreId": state["center"]["store"]}
            entry["Revision"] = "1"
            entry["GroupArn"] = f"arn:aws:identitystore:::group/{identifier}"
            state["center"]["groups"].append(entry)

    def permission_set(self, name: str, assignments: Sequence[tuple[str, str, str]]) -> str:
        """`assignments`: (account number, "USER" or "GROUP", principal id)."""
        with self.world.changing() as state:
            center = state["center"]
            arn = f"{center['arn'].replace(':instance/', ':permissionSet/')}/ps-{len(center['sets']):016d}"
            center["sets"][arn] = {
                "name": name,
                "created": self.world.now(),
                "assignments": [list(one) for one in assignments],
            }
        return arn


def mint(state: Row, arn: str, created: str, *, seen_since: str | None = None) -> str:
    """A new access key for `arn`; two are the most, inactive ones included. Raises ConfigError.

    `seen_since`: from when on the change spreads; None: since it was created.
    """
    if sum(key["arn"] == arn and not key.get("deleted") for key in state["keys"].values()) >= 2:
        raise ConfigError(f"{arn} has two access keys")
    key_id = _key_id(state, arn.split(":")[4])
    state["keys"][key_id] = {
        "arn": arn,
        "secret": base64.b64encode(os.urandom(30)).decode(),  # 40 characters, as AWS's
        "status": "Active",
        "created": created,
        "history": [[seen_since or created, "Active"]],
        "last_used": None,
    }
    return key_id


def _key_id(state: Row, account: str) -> str:
    """The next id of an access key; as AWS's, it holds the number of its account (bits 7 to 46 of six bytes)."""
    state["serial"] += 1
    packed = (int(account) << 7).to_bytes(6, "big") + int(state["serial"]).to_bytes(4, "big")
    return f"AKIA{base64.b32encode(packed).decode()}"


def _plain(value: Any) -> Any:
    return {"instant": value.isoformat()} if isinstance(value, datetime) else value


def _principal(
    arn: str,
    path: str,
    created: str,
    tags: Mapping[str, str] | None = None,
    *,
    policies: Sequence[str],
    inline: Mapping[str, Any] | None,
    boundary: str | None = None,
) -> Row:
    return {
        "arn": arn,
        "path": path,
        "created": created,
        "tags": dict(tags or {}),
        "policies": list(policies),
        "inline": dict(inline or {}),
        "boundary": boundary,
    }

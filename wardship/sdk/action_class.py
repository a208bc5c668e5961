"""What an operation of a vendor's API means for security: makes a credential, reads a secret, switches a log off.

The meanings are facts of ours, one TOML file a vendor in `wardship/data/action_classes`, each with source and date. A
class says what an operation is for, never that its use is bad: detections judge, by who, how often, and for the first
time. An operation of a vendor whose file does not name it is ORDINARY; of a vendor without file it has no class.

Operations are compared as vendors vary them: without case, without the full stop that Microsoft puts at the end.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _

FOLDER = Path(__file__).resolve().parents[1] / "data" / "action_classes"


class ActionClass(StrEnum):
    """What an operation is for. Where it could be two, the first that fits in this order."""

    CREDENTIAL_CREATION = "credential_creation"  # makes, changes or hands out something one can sign in with
    SECRET_READ = "secret_read"  # noqa: S105 - a class, no secret; gives out a stored secret or password
    CONSENT = "consent"  # lets an application act for people or for itself
    TRUST_CHANGE = "trust_change"  # who from outside is believed: identity providers, roles of other accounts
    PRIVILEGE_CHANGE = "privilege_change"  # changes what somebody may do
    DEFENCE_EVASION = "defence_evasion"  # takes away a log, an alert, a second factor, a protection
    EXFILTRATION = "exfiltration"  # shares with others or copies out: public, foreign accounts, exports, forwarding
    PERSISTENCE = "persistence"  # makes something that stays or runs again: identities, functions, hooks, rules
    EXECUTION = "execution"  # runs code or commands on a system
    LATERAL_MOVEMENT = "lateral_movement"  # takes another identity's session, opens a network way
    IMPACT = "impact"  # destroys, or makes unusable
    DISCOVERY = "discovery"  # lists what there is
    ORDINARY = "ordinary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What one operation means. `privileged`: worth a look by itself; else only in numbers or for the first time."""

    action_class: ActionClass
    privileged: bool


ORDINARY = Meaning(action_class=ActionClass.ORDINARY, privileged=False)

ACTION_CLASS: Mapping[str, str] = {
    "service": "VARCHAR",
    "operation": "VARCHAR",
    "resource_type": "VARCHAR",
    "action_class": "VARCHAR",  # ActionClass
    "privileged": "BOOLEAN",
}
"""Columns of the table that `rows` makes: events are joined to it by its first three (IS NOT DISTINCT FROM)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the tables: an operation (a name or a pattern) of a service, on certain resources or on any."""

    service: str
    operation: str
    written: str  # the operation as the vendor writes it
    resources: Sequence[str] | None
    meaning: Meaning
    vendor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One file: whose operations, from which source, as of when; `services` are all that it speaks of."""

    name: str
    title: str
    source: str
    date: date
    services: Sequence[str]


class ActionClasses:
    """The tables of one folder, asked by operation."""

    def __init__(self, vendors: Sequence[Vendor], entries: Sequence[Entry]) -> None:
        self.vendors, self.entries = vendors, entries
        self._exact: dict[str, list[Entry]] = {}
        patterns = []
        for entry in entries:
            if "*" in entry.operation:
                patterns.append((_pattern(entry.operation), entry))
            else:
                self._exact.setdefault(entry.operation, []).append(entry)
        self._patterns = sorted(patterns, key=lambda one: -len(one[1].operation))
        self._services = [(vendor.name, [_pattern(each.lower()) for each in vendor.services]) for vendor in vendors]
        self._meaning = lru_cache(maxsize=100_000)(self._find)

    def meaning(self, service: str | None, operation: str, resource_type: str | None = None) -> Meaning | None:
        """What `operation` of `service` on a resource of this type means; None for a service that no file covers."""
        return self._meaning((service or "").lower(), _plain(operation), (resource_type or "").lower())

    def rows(self, operations: Iterable[tuple[str | None, str, str | None]]) -> Iterator[dict[str, Any]]:
        """The rows of the table ACTION_CLASS for these (service, operation, resource_type), without the unknown."""
        for service, operation, resource_type in operations:
            found = self.meaning(service, operation, resource_type)
            if found is not None:
                yield {
                    "service": service,
                    "operation": operation,
                    "resource_type": resource_type,
                    "action_class": found.action_class.value,
                    "privileged": found.privileged,
                }

    def _find(self, service: str, operation: str, resource_type: str) -> Meaning | None:
        vendors = {name for name, patterns in self._services if any(one.fullmatch(service) for one in patterns)}
        if not vendors:
            return None
        named = self._exact.get(operation, ())
        fitting = [entry for entry in named if _fits(entry, vendors, service, resource_type)]
        if not fitting:
            fitting = [
                entry
                for pattern, entry in self._patterns
                if pattern.fullmatch(operation) and _fits(entry, vendors, service, resource_type)
            ]
        # The line that says more goes first: a service by name, certain resources; of patterns, the longest.
        best = min(fitting, key=lambda one: (one.service == "*", one.resources is None), default=None)
        return best.meaning if best else ORDINARY


def _fits(entry: Entry, vendors: set[str], service: str, resource_type: str) -> bool:
    if entry.vendor not in vendors or not _pattern(entry.service).fullmatch(service):
        return False
    return entry.resources is None or any(_pattern(one).fullmatch(resource_type) for one in entry.resources)


def _operations(group: Mapping[str, Any], forms: Sequence[str]) -> Iterator[str]:
    """The operations of a group: its names, or where logs write name and resource as one, each pair in every form."""
    for name in group["names"]:
        if not forms:
            yield name
        for resource in group.get("resources", ()) if forms else ():
            for form in forms:
                dotted = form.startswith("io.")
                yield form.format(name=name, resource=resource.replace("/", ".") if dotted else resource)


def _plain(operation: str) -> str:
    return operation.strip().rstrip(".").lower()


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


@cache
def action_classes(folder: Path = FOLDER) -> ActionClasses:
    """The tables of `folder`, read once. Raises ConfigError that names the file and what is wrong in it."""
    vendors: list[Vendor] = []
    entries: list[Entry] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            told = tomllib.loads(path.read_text(encoding="utf-8"))
            vendors.append(
                Vendor(
                    name=path.stem,
                    title=told["title"],
                    source=told["source"],
                    date=told["date"],
                    services=told["services"],
                )
            )
            for group in told["operation"]:
                meaning = Meaning(action_class=ActionClass(group["class"]), privileged=group["privileged"])
                entries += [
                    Entry(
                        service=group.get("service", "*").lower(),
                        operation=_plain(operation),
                        written=operation,
                        resources=None if "forms" in told else group.get("resources"),
                        meaning=meaning,
                        vendor=path.stem,
                    )
                    for operation in _operations(group, told.get("forms", ()))
                ]
        except (tomllib.TOMLDecodeError, KeyError, ValueError) as error:
            raise ConfigError(
                _("%(path)s: %(what)s") % {"path": path.name, "what": str(error).splitlines()[0]},
                advice=_("each group of operations has class, privileged and names"),
            ) from None
    return ActionClasses(vendors, entries)

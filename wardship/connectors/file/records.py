"""One row and one mapping into records. Bad cells raise DataError with the column; the row is then quarantined."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from wardship.connectors.file.mapping import Condition, Entry, FileMapping
from wardship.connectors.file.sections import Effect, PersonKind
from wardship.connectors.file.values import Cells, Expression, Reading, bare, fold, pieces
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import DataError
from wardship.model.exposure import Dependency, DependencyConfidence
from wardship.model.identity import MAX_TEXT_CHARS, Identity, IdentityKind, Person, Standing, Supplier, System
from wardship.model.owner import Owner, OwnerRole
from wardship.sdk.connector import Drift, Record
from wardship.sdk.environment import environment_of
from wardship.sdk.redact import redact_text

_EMAIL = re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;]{1,253}")


def system_of(mapping: FileMapping) -> System:
    return System(
        authority=mapping.authority,
        kind=mapping.kind,
        name=mapping.system_name,
        environment=_environment(mapping.environment),
        parent=mapping.parent,
    )


def records_of(mapping: FileMapping, cells: Cells, prints: Mapping[str, str], drift: Drift) -> list[Record]:
    """Every record that the row gives. `prints`: fingerprints of its secrets, by column.

    Raises DataError for a cell that cannot be read, and for a row that no condition excluded and that gives nothing.
    """
    found: list[Record] = []
    asked = False
    for entry in mapping.entries:
        if all(_holds(condition, cells) for condition in entry.when):
            asked = True
            reading = Reading(cells, drift, f"{mapping.name}.{entry.section}")
            found.extend(_MAKERS[entry.section](_Row(mapping, entry, reading, prints)))
    if asked and not found:
        needed = sorted({name for entry in mapping.entries for name in next(iter(entry.fields.values())).names})
        raise DataError(f"nothing in it: {', '.join(needed)[:200]} empty")
    return found


def _holds(condition: Condition, cells: Cells) -> bool:
    values = [text for text in map(fold, pieces(cells.get(condition.column))) if text]
    if condition.empty is not None:
        return condition.empty is not bool(values)
    return any(text in condition.words for text in values or [""]) is not condition.negated


class _Row:
    """What a maker of records looks at: typed fields of one entry."""

    def __init__(self, mapping: FileMapping, entry: Entry, reading: Reading, prints: Mapping[str, str]) -> None:
        self.mapping, self.entry, self.reading, self._prints = mapping, entry, reading, prints

    def of(self, name: str) -> Expression | None:
        return self.entry.fields.get(name)

    def text(self, name: str) -> str | None:
        return self.reading.text(self.of(name))

    def texts(self, name: str) -> list[str]:
        return self.reading.texts(self.of(name))

    def free(self, name: str) -> str | None:
        return self.reading.free(self.of(name))

    def required(self, name: str) -> str:
        found = self.text(name)
        if found is None:
            expression = self.of(name)
            raise DataError(f"{name} is empty ({expression.label if expression else 'not mapped'})")
        return found

    def reference(self, name: str) -> tuple[str, str] | None:
        """(authority, id) of what the field names."""
        expression = self.of(name)
        found = self.text(name)
        if expression is None or found is None:
            return None
        return expression.issuer(self.reading.cells, self.mapping.authority), found

    def needed(self, name: str) -> tuple[str, str]:
        found = self.reference(name)
        return found if found is not None else (self.mapping.authority, self.required(name))

    def target(self) -> tuple[str, str, str] | None:
        """(family, authority, id) of the identity or the credential."""
        for family in ("credential", "identity"):
            found = self.reference(family)
            if found is not None:
                return (family, *found)
        return None

    def print(self) -> str | None:
        expression = self.of("secret")
        columns = expression.columns if expression else ()
        return next((self._prints[name] for name in columns if name in self._prints), None)

    def attributes(self) -> dict[str, Any]:
        found = {name: self.reading.texts(one) for name, one in self.entry.attributes.items()}
        free = {name: [redact_text(text[:MAX_TEXT_CHARS]) for text in texts] for name, texts in found.items() if texts}
        return {name: texts[0] if len(texts) == 1 else texts for name, texts in free.items()}

    def aliases(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            (one.issuer(self.reading.cells, self.mapping.authority), text)
            for one in self.entry.aliases
            for text in self.reading.texts(one)
        )


def _identities(row: _Row) -> Iterator[Record]:
    kind, raw = row.reading.word(row.of("kind"), IdentityKind)
    standing, _raw = row.reading.word(row.of("standing"), Standing)
    criticality = row.text("criticality")
    yield Identity(
        authority=row.mapping.authority,
        native_id=row.required("id"),
        kind=kind or IdentityKind.UNKNOWN,
        subtype=row.text("subtype") or raw,
        name=row.text("name"),
        standing=standing or Standing.UNKNOWN,
        enabled=row.reading.flag(row.of("enabled")),
        created_at=row.reading.instant(row.of("created_at")),
        environment=_environment(row.text("environment")) or _environment(row.mapping.environment),
        purpose=row.free("purpose"),
        business_process=row.free("business_process"),
        criticality=criticality.lower() if criticality else None,
        supplier=row.text("supplier"),
        aliases=row.aliases(),
        attributes=row.attributes(),
    )


def _credentials(row: _Row) -> Iterator[Record]:
    printed = row.print()
    native_id = row.text("id") or (f"secret:{printed}" if printed and row.of("id") is None else None)
    if native_id is None:
        return  # the row has no credential
    type_, raw = row.reading.word(row.of("type"), CredentialType)
    attributes = row.attributes()
    if type_ is None and raw is not None:
        attributes["raw_type"] = raw
    yield Credential(
        authority=row.mapping.authority,
        native_id=native_id,
        type=type_ or CredentialType.UNKNOWN,
        identity=row.reference("identity"),
        name=row.text("name"),
        public_id=row.text("public_id"),
        fingerprint=printed,
        enabled=row.reading.flag(row.of("enabled")),
        created_at=row.reading.instant(row.of("created_at")),
        expires_at=row.reading.instant(row.of("expires_at")),
        no_expiry=row.reading.flag(row.of("no_expiry")),
        last_rotated_at=row.reading.instant(row.of("last_rotated_at")),
        next_rotation_at=row.reading.instant(row.of("next_rotation_at")),
        stored_in=row.text("stored_in"),
        revocation=row.free("revocation"),
        attributes=attributes,
    )


def _grants(row: _Row) -> Iterator[Record]:
    permissions = row.texts("permission")
    if not permissions:
        return
    identity = row.needed("identity")
    effect, raw_effect = row.reading.word(row.of("effect"), Effect)
    if effect is None and raw_effect is not None:
        raise DataError("effect: neither allow nor deny")
    tier, _raw = row.reading.word(row.of("tier"), Tier)
    first = Grant(
        authority=row.mapping.authority,
        identity=identity,
        permission=permissions[0],
        resource=row.text("resource"),
        effect=str(effect or Effect.ALLOW),
        via=row.text("via"),
        tier=tier or Tier.UNKNOWN,
        tenant_wide=row.reading.flag(row.of("tenant_wide")),
        granted_by=row.text("granted_by"),
        granted_at=row.reading.instant(row.of("granted_at")),
        attributes=row.attributes(),
    )
    yield from (replace(first, permission=permission) for permission in dict.fromkeys(permissions))


def _owners(row: _Row) -> Iterator[Record]:
    claims = row.texts("claim")
    if not claims:
        return
    role, _raw = row.reading.word(row.of("role"), OwnerRole)
    confidence = row.reading.share(row.of("confidence"))
    claim_of = row.of("claim")
    for claim in dict.fromkeys(claims):
        yield Owner(
            authority=row.mapping.authority,
            identity=row.needed("identity"),
            claim=claim,
            source=f"file:{row.mapping.name}",
            role=role or OwnerRole.TECHNICAL,
            person=row.reference("person"),
            confidence=0.5 if confidence is None else confidence,
            evidence=row.free("evidence") or (claim_of.label if claim_of else None),
        )


def _people(row: _Row) -> Iterator[Record]:
    kind, _raw = row.reading.word(row.of("kind"), PersonKind)
    email = row.text("email")
    if email is not None and not _EMAIL.fullmatch(email):
        raise DataError("email: no e-mail address")
    yield Person(
        authority=row.mapping.authority,
        native_id=row.required("id"),
        name=row.text("name"),
        email=email.lower() if email else None,
        kind=str(kind or PersonKind.PERSON),
        active=row.reading.flag(row.of("active")),
        aliases=row.aliases(),
        attributes=row.attributes(),
    )


def _suppliers(row: _Row) -> Iterator[Record]:
    name = row.required("name")
    sponsor = row.text("sponsor")
    if sponsor is not None and not _EMAIL.fullmatch(sponsor):
        raise DataError("sponsor: no e-mail address")
    yield Supplier(
        authority=row.mapping.authority,
        native_id=(row.text("id") or name).casefold(),
        name=name,
        matches=tuple(dict.fromkeys(text.lower().strip(".") for text in row.texts("matches"))),
        sponsor=sponsor.lower() if sponsor else None,
        contract_end_on=row.reading.day(row.of("contract_end_on")),
        attributes=row.attributes(),
    )


def _usage(row: _Row) -> Iterator[Record]:
    target = row.target()
    if target is None:
        return
    used = row.of("last_used_at")
    never = used is not None and used.says_never(row.reading.cells)
    last = None if never else row.reading.instant(used)
    yield Usage(
        subject=target,
        source=f"file:{row.mapping.name}",
        state=UseState.NEVER if never else UseState.USED if last else UseState.UNKNOWN,
        last_used_at=last,
        since=row.reading.instant(row.of("since")),
        detail=row.free("detail"),
    )


def _dependencies(row: _Row) -> Iterator[Record]:
    consumers = row.texts("consumer")
    target = row.target()
    if not consumers or target is None:
        return
    confidence, _raw = row.reading.word(row.of("confidence"), DependencyConfidence)
    for consumer in dict.fromkeys(consumers):
        yield Dependency(
            authority=row.mapping.authority,
            consumer=consumer,
            consumer_kind=row.text("consumer_kind") or "application",
            target=target,
            source=f"file:{row.mapping.name}",
            confidence=confidence or DependencyConfidence.INFERRED,
            environment=_environment(row.text("environment")),
            evidence=row.free("evidence"),
            attributes=row.attributes(),
        )


_MAKERS = {
    "identities": _identities,
    "credentials": _credentials,
    "grants": _grants,
    "owners": _owners,
    "people": _people,
    "suppliers": _suppliers,
    "usage": _usage,
    "dependencies": _dependencies,
}


def _environment(text: str | None) -> str | None:
    """In our words where it has some ("Producción" is production), else as it is written."""
    if text is None:
        return None
    return environment_of(bare(text)) or text.lower()

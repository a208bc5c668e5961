"""What a mapping can make: each kind of record with its fields, what each field is, and which must be there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from wardship.model.access import CredentialType, Tier
from wardship.model.exposure import DependencyConfidence
from wardship.model.identity import IdentityKind, Standing
from wardship.model.owner import OwnerRole


class Effect(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


class PersonKind(StrEnum):
    PERSON = "person"
    TEAM = "team"


@dataclass(frozen=True, slots=True)
class Field:
    """`form`: "text", "free" (what people write), "reference" (an id, perhaps of another authority), "flag",
    "instant", "day", "share", "secret", "word" (one of `words`)."""

    form: str
    words: type[StrEnum] | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """`needs`: of each group at least one field must be mapped. `more`: it may have `attributes` and `aliases`."""

    fields: Mapping[str, Field]
    needs: tuple[tuple[str, ...], ...]
    attributes: bool = False
    aliases: bool = False


_TEXT, _FREE, _FLAG, _INSTANT, _DAY, _SHARE, _SECRET, _REFERENCE = (
    Field(form) for form in ("text", "free", "flag", "instant", "day", "share", "secret", "reference")
)


def _word(words: type[StrEnum]) -> Field:
    return Field("word", words)


SECTIONS: Mapping[str, Section] = {
    "identities": Section(
        {
            "id": _TEXT, "kind": _word(IdentityKind), "subtype": _TEXT, "name": _TEXT, "standing": _word(Standing),
            "enabled": _FLAG, "created_at": _INSTANT, "environment": _TEXT, "purpose": _FREE,
            "business_process": _FREE, "criticality": _TEXT, "supplier": _TEXT,
        },
        (("id",),), attributes=True, aliases=True,
    ),
    "credentials": Section(
        {
            "id": _TEXT, "type": _word(CredentialType), "identity": _REFERENCE, "name": _TEXT, "public_id": _TEXT,
            "secret": _SECRET, "enabled": _FLAG, "created_at": _INSTANT, "expires_at": _INSTANT, "no_expiry": _FLAG,
            "last_rotated_at": _INSTANT, "next_rotation_at": _INSTANT, "stored_in": _TEXT, "revocation": _FREE,
        },
        (("id", "secret"),), attributes=True,
    ),
    "grants": Section(
        {
            "identity": _REFERENCE, "permission": _TEXT, "resource": _TEXT, "effect": _word(Effect), "via": _TEXT,
            "tier": _word(Tier), "tenant_wide": _FLAG, "granted_by": _TEXT, "granted_at": _INSTANT,
        },
        (("identity",), ("permission",)), attributes=True,
    ),
    "owners": Section(
        {
            "identity": _REFERENCE, "claim": _TEXT, "role": _word(OwnerRole), "person": _REFERENCE,
            "confidence": _SHARE, "evidence": _FREE,
        },
        (("identity",), ("claim",)),
    ),
    "people": Section(
        {"id": _TEXT, "name": _TEXT, "email": _TEXT, "kind": _word(PersonKind), "active": _FLAG},
        (("id",),), attributes=True, aliases=True,
    ),
    "suppliers": Section(
        {"id": _TEXT, "name": _TEXT, "matches": _TEXT, "sponsor": _TEXT, "contract_end_on": _DAY},
        (("name",),), attributes=True,
    ),
    "usage": Section(
        {
            "identity": _REFERENCE, "credential": _REFERENCE, "last_used_at": _INSTANT, "since": _INSTANT,
            "detail": _FREE,
        },
        (("identity", "credential"), ("last_used_at",)),
    ),
    "dependencies": Section(
        {
            "consumer": _TEXT, "consumer_kind": _TEXT, "identity": _REFERENCE, "credential": _REFERENCE,
            "confidence": _word(DependencyConfidence), "environment": _TEXT, "evidence": _FREE,
        },
        (("consumer",), ("identity", "credential")), attributes=True,
    ),
}  # fmt: skip

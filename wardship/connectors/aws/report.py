"""The IAM credential report: one CSV row a user (and the root user), with every key and password it has.

Source of the columns' meaning: IAM user guide, "Getting credential reports", read 2026-11. What it cannot say:
the id of an access key (only the slot, 1 or 2), and use before AWS began to record it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wardship.connectors.aws.fields import parse_instant
from wardship.model.access import Credential, CredentialType, Usage, UseState
from wardship.model.errors import DataError
from wardship.model.identity import Identity, IdentityKind, Standing
from wardship.sdk.connector import Record
from wardship.sdk.i18n import _

SOURCE = "aws.credential_report"
KEYS_TRACKED_SINCE = datetime(2015, 4, 22, tzinfo=UTC)
PASSWORDS_TRACKED_SINCE = datetime(2014, 10, 20, tzinfo=UTC)
COLUMNS = ("user", "arn", "user_creation_time", "password_enabled", "access_key_1_active", "access_key_2_active")
# What stands where AWS has no instant to give: no such thing, no record of it, not told for this user.
_NOTHING = ("", "N/A", "not_supported", "no_information", "no information")
_MAX_CELL_CHARS = 4096

Row = Mapping[str, str]


def rows(text: str) -> list[dict[str, str]]:
    """The rows of a report. Raises DataError when it is no credential report; a row of the wrong length stays, with
    the cell `""` telling so, for `parse` to refuse."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(reader, [])
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise DataError(_("this is no credential report: column %(missing)r is missing") % {"missing": missing[0]})
        return [row for row in (_row(header, cells) for cells in reader) if row]
    except csv.Error as error:
        raise DataError(_("the credential report cannot be read as CSV: %(error)s") % {"error": error}) from error


def _row(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    if not cells:
        return {}
    row = dict(zip(header, cells, strict=False))
    if len(cells) != len(header):
        row[""] = f"{len(cells)} cells under {len(header)} columns"
    return row


def check(item: Any) -> Row:
    """`item` as a row. Raises DataError."""
    if not isinstance(item, Mapping) or not all(isinstance(v, str) for v in item.values()):
        raise DataError("a row of the credential report that is no table of texts")
    if "" in item:
        raise DataError(f"a row of the credential report with {item['']}")
    if any(len(value) > _MAX_CELL_CHARS for value in item.values()):
        raise DataError("a row of the credential report with an oversized cell")
    if not item.get("arn") or not item.get("user"):
        raise DataError("a row of the credential report without a user")
    return item


def flag(row: Row, column: str) -> bool | None:
    """true, false, or None where AWS does not tell."""
    return {"true": True, "false": False}.get(row.get(column, "").strip().lower())


def instant(row: Row, column: str) -> datetime | None:
    """The instant of a cell; None for each of AWS's ways to say that there is none. Raises DataError."""
    text = row.get(column, "").strip()
    return None if text in _NOTHING else parse_instant(text, column)


def is_root(row: Row) -> bool:
    return row.get("user") == "<root_account>"


def slots(row: Row) -> tuple[int, ...]:
    """Which of the two access-key slots are taken: an inactive key has a date, an empty slot has none."""
    taken = (n for n in (1, 2) if flag(row, f"access_key_{n}_active") or instant(row, f"access_key_{n}_last_rotated"))
    return tuple(taken)


def kind(row: Row) -> IdentityKind:
    """A user with a key is used by programs; one without is a person's or nobody's account."""
    return IdentityKind.ACCESS_KEY_HOLDER if slots(row) else IdentityKind.DIRECTORY_ACCOUNT


def summary(row: Row) -> dict[str, Any]:
    """What the report adds to a user's identity."""
    return {"console_password": flag(row, "password_enabled"), "mfa_active": flag(row, "mfa_active")}


def records(item: Any, authority: str, *, keys: bool) -> Iterator[Record]:
    """The credentials of one row and their use; for the root row the root identity as well.

    `keys` False: the access keys are recorded from elsewhere (ListAccessKeys), with their ids.
    """
    row = check(item)
    arn = row["arn"]
    if is_root(row):
        yield Identity(
            authority=authority,
            native_id=arn,
            kind=IdentityKind.DIRECTORY_ACCOUNT,
            subtype="root",
            name="root",
            standing=Standing.OWN,
            enabled=True,
            created_at=instant(row, "user_creation_time"),
            attributes=summary(row),
        )
    usages: list[Usage] = []
    for slot in slots(row):
        usages.append(key_usage(row, authority, slot))
        if keys or is_root(row):  # ListAccessKeys does not tell another's root keys
            yield key(row, authority, slot)
    password = _password(row, authority)
    if password:
        yield password
        usages.append(_password_usage(row, authority))
    yield from _certificates(row, authority)
    yield from usages
    yield _identity_usage(authority, arn, usages)


def key(row: Row, authority: str, slot: int, *, public_id: str | None = None) -> Credential:
    """The access key in a slot. The report calls it rotated when it was made: a key's secret never changes."""
    made_at = instant(row, f"access_key_{slot}_last_rotated")
    arn = row["arn"]
    return Credential(
        authority=authority,
        native_id=f"{arn}/access_key_{slot}",
        type=CredentialType.ACCESS_KEY,
        identity=(authority, arn),
        name=f"access key {slot}",
        public_id=public_id,
        enabled=flag(row, f"access_key_{slot}_active"),
        created_at=made_at,
        last_rotated_at=made_at,
        no_expiry=True,
        revocation="deactivate, then delete the key",
        attributes={"slot": slot},
    )


def key_usage(row: Row, authority: str, slot: int) -> Usage:
    """N/A beside an existing key is "never, since it was made or since April 2015": the report's own definition."""
    prefix = f"access_key_{slot}_last_used_"
    subject = ("credential", authority, f"{row['arn']}/access_key_{slot}")
    made_at = instant(row, f"access_key_{slot}_last_rotated")
    since = max(made_at, KEYS_TRACKED_SINCE) if made_at else None
    text = row.get(f"{prefix}date", "").strip()
    used_at = instant(row, f"{prefix}date")
    if used_at:
        where = [row.get(prefix + part, "") for part in ("service", "region")]
        detail = ", ".join(part for part in where if part not in _NOTHING) or None
        return Usage(
            subject=subject, source=SOURCE, state=UseState.USED, last_used_at=used_at, since=since, detail=detail
        )
    state = UseState.NEVER if text == "N/A" and since else UseState.UNKNOWN
    return Usage(subject=subject, source=SOURCE, state=state, since=since)


def _password(row: Row, authority: str) -> Credential | None:
    """The console password. The root user's is not told; its last use shows that there is one."""
    enabled = flag(row, "password_enabled")
    if enabled is False or (enabled is None and not is_root(row)):
        return None
    next_at = instant(row, "password_next_rotation")
    return Credential(
        authority=authority,
        native_id=f"{row['arn']}/password",
        type=CredentialType.CONSOLE_PASSWORD,
        identity=(authority, row["arn"]),
        name="console password",
        enabled=enabled,
        last_rotated_at=instant(row, "password_last_changed"),
        next_rotation_at=next_at,
        no_expiry=None if next_at is None else False,
        revocation="delete the login profile",
        attributes={"mfa_active": flag(row, "mfa_active")},
    )


def _password_usage(row: Row, authority: str) -> Usage:
    """ "no_information" stands for never and for "no record of it" alike: it is UNKNOWN."""
    changed_at = instant(row, "password_last_changed")
    used_at = instant(row, "password_last_used")
    return Usage(
        subject=("credential", authority, f"{row['arn']}/password"),
        source=SOURCE,
        state=UseState.USED if used_at else UseState.UNKNOWN,
        last_used_at=used_at,
        since=max(changed_at, PASSWORDS_TRACKED_SINCE) if changed_at else PASSWORDS_TRACKED_SINCE,
    )


def _certificates(row: Row, authority: str) -> Iterator[Record]:
    for slot in (1, 2):
        made_at = instant(row, f"cert_{slot}_last_rotated")
        active = flag(row, f"cert_{slot}_active")
        if not active and made_at is None:
            continue
        native_id = f"{row['arn']}/cert_{slot}"
        yield Credential(
            authority=authority,
            native_id=native_id,
            type=CredentialType.CERTIFICATE,
            identity=(authority, row["arn"]),
            name=f"signing certificate {slot}",
            enabled=active,
            created_at=made_at,
            last_rotated_at=made_at,
            revocation="delete the signing certificate",
        )
        yield Usage(subject=("credential", authority, native_id), source=SOURCE, state=UseState.UNKNOWN)


def _identity_usage(authority: str, arn: str, usages: Sequence[Usage]) -> Usage:
    """The latest use of any credential; "never" only when each of them was never used, and since the first was made.

    A user without credentials says nothing: what was used may have been deleted.
    """
    subject = ("identity", authority, arn)
    used = [usage for usage in usages if usage.last_used_at]
    if used:
        latest = max(used, key=lambda usage: usage.last_used_at or PASSWORDS_TRACKED_SINCE)
        return Usage(
            subject=subject, source=SOURCE, state=UseState.USED, last_used_at=latest.last_used_at, detail=latest.detail
        )
    if usages and all(usage.state is UseState.NEVER for usage in usages):
        since = [usage.since for usage in usages if usage.since]
        return Usage(subject=subject, source=SOURCE, state=UseState.NEVER, since=min(since))
    return Usage(subject=subject, source=SOURCE, state=UseState.UNKNOWN)

"""trivy's JSON: secrets that it found in images, file systems and repositories.

The form of secrets is that of a report in trivy's own tests (SchemaVersion 2); real reports that were tried held
none. Vulnerabilities and misconfigurations are not the subject here. trivy covers the secret of each finding with
stars, but shows the lines around it as they are, with other secrets in clear: no text of code is taken from a report.
So no fingerprint can be made (a covered value is not the value), and the same place read by Wardship's own scanner
stays an exposure of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wardship.connectors.file.exports._items import instant, known, opened, short
from wardship.connectors.file.formats import Format, SourceOptions
from wardship.connectors.file.formats.json_text import inner_rows, scalars
from wardship.model.access import CredentialType
from wardship.model.errors import DataError
from wardship.model.exposure import DetectorTier, Exposure, Place
from wardship.model.identity import System
from wardship.model.scan import Scope
from wardship.sdk.connector import Connection, Record
from wardship.sdk.i18n import N_
from wardship.secrets.places import environment_of_path, place_of

NAME = "trivy"
TITLE = N_("trivy report (JSON), its secrets")

_KEPT = ("RuleID", "Category", "Severity", "Title", "StartLine", "EndLine")
_CONFIDENCE = 0.6  # trivy gives none; its rules are of providers' formats and of names beside values alike
# trivy's own rule ids (pkg/fanal/secret/builtin-rules, 2026-11) -> what it is
_TYPES = {
    "aws-access-key-id": CredentialType.ACCESS_KEY,
    "aws-secret-access-key": CredentialType.ACCESS_KEY,
    "private-key": CredentialType.SSH_KEY,
}


def recognise(path: Path, head: bytes) -> bool:
    del path
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"{") and b'"SchemaVersion"' in head and b'"ArtifactName"' in head


def scopes(path: Path, connection: Connection) -> Iterable[Scope]:
    """The authority is what was scanned: "image:registry.example/app:1.2", "trivy:PATH" for a folder."""
    del connection
    told = scalars(path, ("ArtifactName", "ArtifactType"))
    name = short(told.get("ArtifactName"), 500) or path.stem
    image = told.get("ArtifactType") == "container_image"
    return [Scope(connector="file", authority=f"{'image' if image else 'trivy'}:{name}", kind="trivy.secret")]


def rows(path: Path, scope: Scope) -> Iterator[object]:
    """The report's own facts, then each secret without any text of the code around it."""
    told = scalars(path, ("ArtifactType", "CreatedAt"))
    yield {"report": {"kind": short(told.get("ArtifactType"), 60), "at": short(told.get("CreatedAt"), 60)}}
    options = SourceOptions(format=Format.JSON, records=("Results",))
    del scope
    for outer, row in inner_rows(path, options, "Secrets"):
        if row.problem is not None:
            yield {"where": row.where, "problem": row.problem}
            continue
        kept = {name: row.cells.get(name) for name in _KEPT if isinstance(row.cells.get(name), str | int)}
        yield {"where": row.where, "secret": {**kept, "Target": outer.get("Target")}}


def parse(scope: Scope, item: Any, connection: Connection) -> Iterable[Record]:
    del connection
    if isinstance(item, dict) and "report" in item:
        told = opened(item, "report", "trivy")
        kind = "container_image" if scope.authority.startswith("image:") else "file_source"
        at = instant(told, "at")
        return [
            System(
                authority=scope.authority,
                kind=kind,
                name=scope.authority.partition(":")[2],
                attributes=known({"scanned_at": at.isoformat() if at else None}),
            )
        ]
    told = opened(item, "secret", "trivy")
    rule, target = told.text("RuleID"), told.text("Target")
    if not rule or not target:
        raise DataError("a secret without a rule or a target")
    line = told.integer("StartLine")
    provider = told.text("Category") not in (None, "Generic", "Custom")
    place = place_of(target)
    return [
        Exposure(
            authority=scope.authority,
            location=target[:800],
            detector=f"trivy.{rule[:100]}",
            tier=DetectorTier.PROVIDER if provider else DetectorTier.GENERIC,
            confidence=_CONFIDENCE,
            place=Place.CONTAINER if place is Place.FILE and scope.authority.startswith("image:") else place,
            fingerprint=None,
            credential_type=_TYPES.get(rule, CredentialType.UNKNOWN),
            line=line if line and line > 0 else None,
            environment=environment_of_path(target),
            attributes=known({"severity_by_trivy": told.text("Severity"), "title": short(told.text("Title"), 200)}),
        )
    ]

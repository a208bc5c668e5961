"""The register of suppliers: a CSV that somebody keeps by hand, with the ids by which their identities are recognised.

One row is one supplier. Columns may be named in English or Spanish, in any order; several ids stand in one cell,
separated by blanks, commas, semicolons or bars. A supplier is recognised by exact ids (Entra tenant, AWS account, DNS
domain), never by its name. Whether a contract has ended is judged elsewhere, with a clock.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from wardship.model.errors import ConfigError, DataError, NotVisible
from wardship.model.identity import MAX_TEXT_CHARS, Supplier, System
from wardship.model.scan import RawPage, Scope
from wardship.sdk.connector import (
    BlindSpot,
    CallStats,
    Capability,
    CheckResult,
    Connection,
    Drift,
    DriftLog,
    Evidence,
    Manifest,
    Permission,
    Record,
    Setting,
    SetupGuide,
    nothing_to_grant,
)
from wardship.sdk.i18n import N_, _

MANIFEST = Manifest(
    name="suppliers",
    title="Suppliers register (CSV)",
    systems=("suppliers_register",),
    permissions={
        Capability.DISCOVER: (Permission(name=N_("read the file"), why=N_("the register is one CSV file")),),
        Capability.IMPORT: (),
    },
    settings=(
        Setting(name="path", help=N_("the CSV file; it is read again at every scan"), required=True),
        Setting(name="register", help=N_("a name for this register, where there are several"), default="register"),
    ),
    blind_spots=(
        BlindSpot(
            id="suppliers.kept_by_hand",
            text=N_("The register is as true as whoever keeps it: a supplier that is not in it stays unknown."),
        ),
        BlindSpot(
            id="suppliers.exact_ids",
            text=N_(
                "Suppliers are recognised by exact ids only; an identity of a supplier's without one is not matched."
            ),
        ),
        BlindSpot(
            id="suppliers.sponsor_not_checked",
            text=N_("Whether the internal sponsor still works here is known only where a directory is read."),
        ),
    ),
    unavailable={"act": N_("a register is changed by whoever keeps it")},
    evidence=Evidence.DOCUMENTATION,
    imports=(N_("CSV with a header: name, tenant ids, account ids, domains, sponsor, contract end"),),
)

MAX_BYTES = 64 * 1024 * 1024
_KIND = "suppliers.row"
_SPLIT = re.compile(r"[\s,;|]+")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ACCOUNT = re.compile(r"\d{12}")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}")
_EMAIL = re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;]{1,253}")
_NAMES: Mapping[str, frozenset[str]] = {
    "id": frozenset({"id", "supplier id", "codigo", "código", "cif", "nif"}),
    "name": frozenset({"name", "supplier", "nombre", "proveedor"}),
    "tenants": frozenset({"tenant ids", "tenant id", "tenants", "tenant", "entra tenant", "inquilinos"}),
    "accounts": frozenset({"account ids", "account id", "accounts", "aws accounts", "cuentas", "cuentas aws"}),
    "domains": frozenset({"domains", "domain", "dominios", "dominio"}),
    "sponsor": frozenset(
        {"sponsor", "internal sponsor", "sponsor email", "internal sponsor email", "responsable", "responsable interno"}
    ),
    "contract_end": frozenset(
        {"contract end", "contract end date", "contract end on", "contract until", "fin de contrato", "fin contrato"}
    ),
}


class Register:
    """The rows of one or several register files. The same for a scan and for an import."""

    manifest = MANIFEST

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.stats = CallStats()
        self.drift: Drift = DriftLog()
        self._paths = paths
        self._authority = f"suppliers:{name}"

    def scopes(self) -> Iterable[Scope]:
        return [Scope(connector=MANIFEST.name, authority=self._authority, kind=_KIND)]

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        """One page: a register is small. Raises NotVisible when a file cannot be read as a whole."""
        del scope, token
        rows: list[Mapping[str, Any]] = []
        for path in self._paths:
            rows.extend(_rows(path, self.drift))
            self.stats.api_calls += 1
        items = [{"register": [path.name for path in self._paths]}, *rows]
        yield RawPage(items=items, expected_total=len(items))

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        del scope
        if isinstance(item, dict) and "register" in item:
            return [System(authority=self._authority, kind="suppliers_register", name=_names(item["register"]))]
        return [_supplier(self._authority, item)]

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        """Whether the file still has the supplier."""
        if family != "supplier":
            return None
        for page in self.fetch(scope, None):
            for item in page.items[1:]:
                try:
                    if _supplier(self._authority, item).native_id == native_id:
                        return True
                except DataError:
                    return None  # it may be the row that cannot be read
        return False

    def check(self) -> Sequence[CheckResult]:
        results = []
        for path in self._paths:
            try:
                count = len(_rows(path, self.drift))
            except NotVisible as refused:
                results.append(_result(allowed=False, detail=refused.message))
            else:
                results.append(_result(allowed=True, detail=_("%(path)s: %(n)d rows") % {"path": path, "n": count}))
        return results

    def setup(self, capability: Capability) -> SetupGuide:
        """A template to begin with; there is nothing to grant but the right to read the file."""
        if capability is not Capability.DISCOVER:
            raise nothing_to_grant(capability, (Capability.DISCOVER,))
        header = "name,tenant ids,account ids,domains,internal sponsor,contract end"
        return SetupGuide(
            capability=capability,
            terraform="# read the file: a register is a file beside Wardship; there is nothing to deploy\n",
            cli=f"printf '%s\\n' '{header}' > suppliers.csv   # Wardship must be able to read the file\n"
            "wardship connect add suppliers register path=$PWD/suppliers.csv\n",
            portal=(N_("Keep the list in a spreadsheet and save it as CSV where Wardship can read the file."),),
            remove="rm suppliers.csv\n",
        )


def connect(connection: Connection) -> Register:
    """The register that the connection's `path` names. Raises ConfigError without one."""
    path = connection.settings.get("path")
    if not path:
        raise ConfigError(_("this connection has no path"), advice=_("set path to the CSV file of the register"))
    return Register([Path(path)], connection.settings.get("register") or "register")


def import_files(paths: Sequence[Path], connection: Connection) -> Register:
    """Registers read once. Raises ConfigError for a file that cannot be read as a whole."""
    for path in paths:
        try:
            _rows(path, DriftLog())
        except NotVisible as refused:
            raise ConfigError(refused.message, advice=refused.advice) from None
    return Register(paths, connection.settings.get("register") or "register")


def _result(*, allowed: bool, detail: str) -> CheckResult:
    return CheckResult(permission="read the file", capability=Capability.DISCOVER, allowed=allowed, detail=detail)


# ------------------------------------------------------------------ the file


def _rows(path: Path, drift: Drift) -> list[Mapping[str, Any]]:
    """Rows as {"line": n, "cells": {our column: text}, "extra": cells beyond the header}."""
    text = _text(path)
    if text[:4].lower() == "sep=":  # Excel's own first line
        text = text.partition("\n")[2]
    header_line = text.partition("\n")[0]
    delimiter = max(";,\t|", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = next(reader, [])
        columns = [_column(cell) for cell in header]
        if "name" not in columns:
            raise NotVisible(
                _("%(path)s: no column for the supplier's name") % {"path": path},
                advice=_(
                    "the first row names the columns: name, tenant ids, account ids, domains, sponsor, contract end"
                ),
            )
        for cell, column in zip(header, columns, strict=True):
            if column is None:
                drift.unknown_value("suppliers.column", cell)
        rows: list[Mapping[str, Any]] = []
        for cells in reader:
            if any(cell.strip() for cell in cells):
                named = {column: cell for column, cell in zip(columns, cells, strict=False) if column}
                extra = [cell for cell in cells[len(columns) :] if cell.strip()]
                rows.append({"line": reader.line_num, "cells": named, "extra": extra})
    except csv.Error as broken:
        raise NotVisible(
            _("%(path)s: line %(line)d: %(what)s") % {"path": path, "line": reader.line_num, "what": broken},
            advice=_("save it again as CSV"),
        ) from None
    return rows


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise NotVisible(
                _("%(path)s: over %(max_bytes)s bytes") % {"path": path, "max_bytes": MAX_BYTES},
                advice=_("a register of suppliers is smaller"),
            )
        raw = path.read_bytes()
    except OSError as failed:
        raise NotVisible(
            _("%(path)s: %(what)s") % {"path": path, "what": failed.strerror},
            advice=_("check the path and its permissions"),
        ) from None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")  # what Excel writes in Western Europe when it is not told otherwise


def _column(cell: str) -> str | None:
    words = re.sub(r"[\s_\-]+", " ", cell.strip().lower())
    return next((column for column, names in _NAMES.items() if words in names), None)


# ------------------------------------------------------------------ one row


def _supplier(authority: str, item: Any) -> Supplier:
    """Raises DataError that names the line and what is wrong with it."""
    if not isinstance(item, dict) or not isinstance(item.get("cells"), dict):
        raise DataError("a row without cells")
    where = f"line {item.get('line')}"
    if item.get("extra"):
        raise DataError(f"{where}: more cells than the header has columns")
    cells: dict[str, str] = {}
    for column, value in item["cells"].items():
        if not isinstance(value, str):
            raise DataError(f"{where}: a cell that is no text")
        if "\x00" in value or "\ufffd" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise DataError(f"{where}: unreadable characters")
        if len(value) > MAX_TEXT_CHARS:
            raise DataError(f"{where}: a cell of {len(value)} characters")
        cells[str(column)] = value.strip()
    name = cells.get("name", "")
    if not name:
        raise DataError(f"{where}: no name")
    matches = [
        *_ids(cells.get("tenants", ""), _GUID, f"{where}: no tenant id"),
        *_ids(cells.get("accounts", ""), _ACCOUNT, f"{where}: no AWS account id (12 digits)"),
        *_ids(cells.get("domains", ""), _DOMAIN, f"{where}: no domain"),
    ]
    sponsor = cells.get("sponsor") or None
    if sponsor is not None and not _EMAIL.fullmatch(sponsor):
        raise DataError(f"{where}: the sponsor is not an e-mail address")
    return Supplier(
        authority=authority,
        native_id=(cells.get("id") or name).casefold(),
        name=name,
        matches=tuple(dict.fromkeys(matches)),
        sponsor=sponsor.lower() if sponsor else None,
        contract_end_on=_date(cells.get("contract_end", ""), where),
    )


def _names(files: Any) -> str | None:
    return ", ".join(str(name) for name in files) if isinstance(files, list) else None


def _ids(cell: str, form: re.Pattern[str], otherwise: str) -> list[str]:
    found = [one.lower().strip(".") for one in _SPLIT.split(cell) if one]
    for one in found:
        if not form.fullmatch(one):
            raise DataError(otherwise)
    return found


def _date(cell: str, where: str) -> date | None:
    """ISO, or day/month/year as in Spain; never month/day/year, which cannot be told apart from it."""
    if not cell:
        return None
    try:
        if spanish := re.fullmatch(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})", cell):
            day, month, year = (int(part) for part in spanish.groups())
            return date(year, month, day)
        return date.fromisoformat(cell)
    except ValueError:
        raise DataError(f"{where}: contract end is no date (2026-12-31 or 31/12/2026)") from None

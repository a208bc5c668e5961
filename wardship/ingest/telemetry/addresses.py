"""What an address means: its canonical text, the network it belongs to, the autonomous system and the country.

An address that is none gives nothing. The networks that the customer declares win over the databases, the smallest
that holds the address over larger ones; else the network is the /24 (IPv6: the /48), which is what one site has.
"""

from __future__ import annotations

import contextlib
import csv
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from wardship.config import TelemetrySettings
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _

if TYPE_CHECKING:
    import maxminddb

MAX_NETWORKS = 200_000
_V4_BITS, _V6_BITS = 24, 48

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an address is, as far as that is known."""

    ip: str
    network: str
    asn: int | None
    country: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    name: str
    country: str | None
    asn: int | None
    environment: str | None


class Addresses(contextlib.AbstractContextManager["Addresses"]):
    """Looks addresses up. `folder`: that of the workspace, to which the settings' paths are relative.

    Raises ConfigError for a file of the settings that is missing or not what it should be.
    """

    def __init__(self, settings: TelemetrySettings, folder: Path) -> None:
        self._declared = _networks(folder / settings.networks) if settings.networks else {}
        self._lengths = {
            version: sorted({net.prefixlen for net in self._declared if net.version == version}, reverse=True)
            for version in (4, 6)
        }
        self._asn = _database(folder / settings.asn_database) if settings.asn_database else None
        self._country = _database(folder / settings.country_database) if settings.country_database else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in (self._asn, self._country):
            if reader is not None:
                reader.close()

    def place(self, text: str) -> Place | None:
        """What `text` means; None: it is no address. `192.0.2.1:443`, `[2001:db8::1]:443` and a zone are understood."""
        found = _address(text)
        if found is None:
            return None
        declared = self._smallest(found)
        bits = _V4_BITS if found.version == 4 else _V6_BITS
        around = ipaddress.ip_network((found, bits), strict=False)
        return Place(
            ip=str(found),
            network=declared.name if declared else str(around),
            asn=declared.asn if declared and declared.asn is not None else _asn(self._asn, found),
            country=declared.country if declared and declared.country else _country(self._country, found),
        )

    def _smallest(self, found: _Address) -> _Declared | None:
        for bits in self._lengths[found.version]:
            if declared := self._declared.get(ipaddress.ip_network((found, bits), strict=False)):
                return declared
        return None


def _address(text: str) -> _Address | None:
    """The address in `text`; an IPv4 address written as IPv6 is the IPv4 one."""
    text = text.strip()
    if len(text) > 100:
        return None
    for spelling in _spellings(text):
        try:
            found = ipaddress.ip_address(spelling)
        except ValueError:
            continue
        return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found
    return None


def _spellings(text: str) -> Iterator[str]:
    yield text.partition("%")[0]
    if text.startswith("["):
        yield text[1:].partition("]")[0].partition("%")[0]
    elif text.count(":") == 1:
        yield text.partition(":")[0]


def _networks(path: Path) -> dict[_Network, _Declared]:
    """The declared networks: CSV with a header; `network` and `name` are needed, the rest may be empty or absent."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            found: dict[_Network, _Declared] = {}
            for number, row in enumerate(csv.DictReader(stream), 2):
                network, declared = _declaration(row, path, number)
                found[network] = declared
                if len(found) > MAX_NETWORKS:
                    raise ConfigError(
                        _("%(path)s declares more than %(n)d networks") % {"path": path, "n": MAX_NETWORKS}
                    )
            return found
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            _("the networks %(path)s cannot be read: %(reason)s") % {"path": path, "reason": type(error).__name__},
            advice=_(
                "it is a CSV file with the columns network,name,country,asn,environment; see setting telemetry.networks"
            ),
        ) from None


def _declaration(row: dict[str, Any], path: Path, number: int) -> tuple[_Network, _Declared]:
    try:
        network = ipaddress.ip_network((row.get("network") or "").strip(), strict=False)
        columns = ("name", "country", "asn", "environment")
        name, country, asn, environment = ((row.get(key) or "").strip() for key in columns)
        number_of = int(asn.upper().removeprefix("AS")) if asn else None
    except ValueError:
        name = ""
    if not name or (country and len(country) != 2):
        raise ConfigError(
            _("%(path)s, line %(line)d: not a network with a name") % {"path": path, "line": number},
            advice=_("write for example: 192.0.2.0/24,Madrid office,ES,64500"),
        )
    declared = _Declared(
        name=name[:200],
        country=country.upper() or None,
        asn=_storable(number_of),
        environment=environment.lower()[:80] or None,
    )
    return network, declared


def _database(path: Path) -> maxminddb.Reader:
    try:
        import maxminddb
    except ImportError:
        raise ConfigError(
            _("reading MMDB files needs a package that is not installed"), advice=_("pip install 'wardship[geo]'")
        ) from None
    try:
        return maxminddb.open_database(path)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise ConfigError(
            _("%(path)s cannot be read as an MMDB file: %(reason)s") % {"path": path, "reason": type(error).__name__},
            advice=_("see settings telemetry.asn_database and telemetry.country_database"),
        ) from None


def _found(reader: maxminddb.Reader | None, address: _Address) -> dict[str, Any]:
    if reader is None:
        return {}
    try:
        record = reader.get(address)
    except ValueError:  # an IPv6 address in a database of IPv4 ones
        return {}
    return record if isinstance(record, dict) else {}


def _asn(reader: maxminddb.Reader | None, address: _Address) -> int | None:
    """The number, under any of the names that the free databases give it."""
    record = _found(reader, address)
    for name in ("autonomous_system_number", "asn", "as_number"):
        value = record.get(name)
        if isinstance(value, str) and value.upper().removeprefix("AS").isdigit():
            value = int(value.upper().removeprefix("AS"))
        if isinstance(value, int):
            return _storable(value)
    return None


def _storable(number: int | None) -> int | None:
    """The number as the column holds it; what is larger is for private use and says nothing."""
    return number if number is not None and 0 <= number < 2**31 else None


def _country(reader: maxminddb.Reader | None, address: _Address) -> str | None:
    record = _found(reader, address)
    for name in ("country", "registered_country", "country_code"):
        value = record.get(name)
        code = value.get("iso_code") if isinstance(value, dict) else value
        if isinstance(code, str) and len(code) == 2 and code.isalpha():
            return code.upper()
    return None


def declared_networks(path: Path) -> list[dict[str, Any]]:
    """The networks of a declaration, as rows of the table `own_network`. Raises ConfigError."""
    return [
        {"network": str(network), "name": one.name, "country": one.country, "asn": one.asn}
        for network, one in _networks(path).items()
    ]


def environments_of(path: Path) -> dict[str, str]:
    """Name of a declared network -> its environment, where it has exactly one. Raises ConfigError."""
    said: dict[str, set[str]] = {}
    for one in _networks(path).values():
        said.setdefault(one.name, set()).update([one.environment] if one.environment else [])
    return {name: next(iter(found)) for name, found in said.items() if len(found) == 1}

"""What an address means: valid or nothing, its network, and what was declared of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ingest.telemetry.mmdb import write_mmdb
from wardship.config import TelemetrySettings
from wardship.ingest.telemetry.addresses import Addresses, environments_of
from wardship.model.errors import ConfigError

CSV = "network,name,country,asn\n192.0.2.0/24,Madrid,es,AS64500\n192.0.2.128/25,Printers,,\n2001:db8::/32,Lab,DE,\n"


def place(folder: Path, text: str, csv: str = CSV) -> object:
    (folder / "n.csv").write_text(csv)
    with Addresses(TelemetrySettings(networks=Path("n.csv")), folder) as asked:
        found = asked.place(text)
    return found and (found.ip, found.network, found.asn, found.country)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("198.51.100.7", ("198.51.100.7", "198.51.100.0/24", None, None)),
        ("192.0.2.5:443", ("192.0.2.5", "Madrid", 64500, "ES")),
        ("192.0.2.200", ("192.0.2.200", "Printers", None, None)),
        ("::ffff:192.0.2.5", ("192.0.2.5", "Madrid", 64500, "ES")),
        ("[2001:DB8::1]:443", ("2001:db8::1", "Lab", None, "DE")),
        ("fe80::1%eth0", ("fe80::1", "fe80::/48", None, None)),
        ("AWS Internal", None),
        ("ec2.amazonaws.com", None),
        ("300.1.1.1", None),
        ("", None),
        ("1" * 5_000, None),
    ],
)
def test_addresses(tmp_path: Path, text: str, expected: object) -> None:
    assert place(tmp_path, text) == expected


@pytest.mark.parametrize("csv", ["network,name\nnone,x\n", "network,name\n10.0.0.0/8,\n", "a\n\xff"])
def test_wrong_networks_are_refused(tmp_path: Path, csv: str) -> None:
    with pytest.raises(ConfigError):
        place(tmp_path, "10.0.0.1", csv)


def test_a_missing_database_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Addresses(TelemetrySettings(asn_database=Path("none.mmdb")), tmp_path)


@pytest.fixture
def databases(tmp_path: Path) -> TelemetrySettings:
    """One of each, with the different names that free databases have for the same things."""
    pytest.importorskip("maxminddb")
    write_mmdb(
        tmp_path / "asn.mmdb",
        {
            "198.51.100.0/24": {"autonomous_system_number": 64_501, "autonomous_system_organization": "Example"},
            "203.0.113.0/25": {"asn": "AS64502"},
            "203.0.113.128/25": {"as_number": 4_200_000_000},
        },
    )
    write_mmdb(
        tmp_path / "country.mmdb",
        {
            "198.51.100.0/24": {"country": {"iso_code": "ES", "names": {"en": "Spain"}}},
            "203.0.113.0/25": {"country_code": "de"},
            "203.0.113.128/25": {"country": "nowhere"},
        },
    )
    (tmp_path / "n.csv").write_text("network,name,country,asn\n198.51.100.64/26,Office,FR,\n")
    return TelemetrySettings(
        networks=Path("n.csv"), asn_database=Path("asn.mmdb"), country_database=Path("country.mmdb")
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("198.51.100.7", ("198.51.100.0/24", 64_501, "ES")),
        ("198.51.100.70", ("Office", 64_501, "FR")),  # what is declared wins, and leaves the rest to the databases
        ("203.0.113.5", ("203.0.113.0/24", 64_502, "DE")),
        ("203.0.113.200", ("203.0.113.0/24", None, None)),  # a number that the column cannot hold, and no country
        ("192.0.2.1", ("192.0.2.0/24", None, None)),
        ("2001:db8::1", ("2001:db8::/48", None, None)),  # the databases hold IPv4 only
    ],
)
def test_databases_say_system_and_country(
    databases: TelemetrySettings, tmp_path: Path, text: str, expected: object
) -> None:
    with Addresses(databases, tmp_path) as asked:
        found = asked.place(text)
    assert found is not None
    assert (found.network, found.asn, found.country) == expected


def test_a_database_that_is_none_is_said(tmp_path: Path) -> None:
    pytest.importorskip("maxminddb")
    (tmp_path / "asn.mmdb").write_bytes(b"not a database")
    with pytest.raises(ConfigError, match="MMDB"):
        Addresses(TelemetrySettings(asn_database=Path("asn.mmdb")), tmp_path)


def test_a_network_belongs_to_the_environment_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "networks.csv"
    path.write_text(
        "network,name,environment\n192.0.2.0/25,test cluster,Test\n192.0.2.128/25,test cluster,\n"
        "198.51.100.0/25,both,test\n198.51.100.128/25,both,production\n203.0.113.0/24,office,\n"
    )
    assert environments_of(path) == {"test cluster": "test"}
    path.write_text("network,name\n192.0.2.0/24,office\n")
    assert environments_of(path) == {}

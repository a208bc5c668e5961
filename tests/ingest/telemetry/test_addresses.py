"""What an address means: valid or nothing, its network, and what was declared of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wardship.config import TelemetrySettings
from wardship.ingest.telemetry.addresses import Addresses
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

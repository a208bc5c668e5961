"""The Sigma pack: every detection is in it or listed with its reason, and its rules are what Sigma's tools read."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from wardship.model.errors import ConfigError
from wardship.sdk.detection import load_detections
from wardship.services.sigma import COUNTS, HISTORY, Pack, make_pack, rows, write_pack

LEVELS = {"informational", "low", "medium", "high", "critical"}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return make_pack(load_detections(), tmp_path_factory.mktemp("sigma"))


def test_every_detection_is_a_rule_or_has_a_reason(pack: Pack) -> None:
    said = {rule.detection for rule in pack.rules}
    assert said | pack.left_out.keys() == {one.id for one in load_detections()}
    assert not said & pack.left_out.keys()
    assert pack.left_out["new_country"] == HISTORY
    assert pack.left_out["password_spray"] == COUNTS
    assert len(said) >= 25
    assert {row["detection"]: row["rules"] > 0 for row in rows(pack)} == {
        **dict.fromkeys(said, True),
        **dict.fromkeys(pack.left_out, False),
    }


def test_a_folder_that_cannot_be_is_told(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"no rule can be written to .*file/rules: Not a directory"):
        write_pack(pack, tmp_path / "file" / "rules")


def test_every_rule_has_what_the_specification_asks_for(pack: Pack) -> None:
    for rule in pack.rules:
        told: dict[str, Any] = yaml.safe_load(rule.text())
        assert uuid.UUID(told["id"]).version == 5
        assert 0 < len(told["title"]) <= 256
        assert told["status"] == "experimental"
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", told["date"])
        assert all(re.fullmatch(r"attack\.t\d{4}(\.\d{3})?", tag) for tag in told["tags"])
        assert told["logsource"].keys() <= {"category", "product", "service"}
        assert told["falsepositives"]
        assert told["level"] in LEVELS
        names = told["detection"].keys() - {"condition"}
        assert any(name.startswith("selection_") for name in names)
        assert ("filter_failed" in names) is ("filter_failed" in told["detection"]["condition"])
    assert len({rule.content["id"] for rule in pack.rules}) == len(pack.rules)


def test_a_rule_names_the_operations_that_the_detection_fires_for(pack: Pack) -> None:
    rules = {rule.name: rule.content["detection"] for rule in pack.rules}
    trail = [one for name, one in rules["logging_switched_off_aws"].items() if name.startswith("selection")]
    assert any("StopLogging" in one["eventName"] for one in trail)
    shell = [one for name, one in rules["pod_entered_kubernetes"].items() if name.startswith("selection")]
    wanted = {"objectRef.resource": "pods", "objectRef.subresource": "exec"}
    assert any(wanted.items() <= one.items() and "create" in one["verb"] for one in shell)


def test_the_tools_of_sigma_read_the_pack(pack: Pack, tmp_path: Path) -> None:
    collection = pytest.importorskip("sigma.collection", reason="not checked: pySigma is not installed")
    write_pack(pack, tmp_path / "rules")
    read = collection.SigmaCollection.load_ruleset([str(tmp_path / "rules")])
    assert len(read.rules) == len(pack.rules)
    assert [rule.errors for rule in read.rules if rule.errors] == []

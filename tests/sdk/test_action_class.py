"""What operations mean: the tables are complete, ours, and agree with independent lists where there are any."""

from __future__ import annotations

import fnmatch
import io
import json
import tarfile
import tomllib
from pathlib import Path

import pytest
import zstandard
from botocore.session import get_session

from wardship.model.errors import ConfigError
from wardship.sdk.action_class import FOLDER, ORDINARY, ActionClass, Meaning, action_classes

AWS = tomllib.loads((FOLDER / "aws.toml").read_text(encoding="utf-8"))
NOT_SO = {  # what the catalogue counts as an escalation and we name otherwise, with our reason
    "codestar": "the service is closed",
    "ec2-instance-connect": "SendSSHPublicKey runs commands: execution",
    "glue": "a development endpoint runs code: execution",
    "iam:PassRole": "is checked inside other calls and never logged as one",
    "iam:CreateServiceLinkedRole": "its policy is fixed by AWS: an identity that stays, persistence",
    "iam:ResyncMFADevice": "gives nobody a new factor",
}
ESCALATES = {ActionClass.CREDENTIAL_CREATION, ActionClass.PRIVILEGE_CHANGE, ActionClass.TRUST_CHANGE}


def test_an_operation_is_found_whatever_its_case_and_punctuation() -> None:
    classes = action_classes()
    consent = Meaning(action_class=ActionClass.CONSENT, privileged=True)
    assert classes.meaning("AzureActiveDirectory", "Consent to application.") == consent
    assert classes.meaning("azureactivedirectory", "consent to application") == consent


def test_a_name_goes_before_a_pattern_and_a_service_before_any() -> None:
    classes = action_classes()
    buckets = classes.meaning("s3.amazonaws.com", "ListBuckets")
    assert buckets == Meaning(action_class=ActionClass.DISCOVERY, privileged=False)
    listed = classes.meaning("apigateway.amazonaws.com", "ListApiKeys")
    assert listed == Meaning(action_class=ActionClass.SECRET_READ, privileged=True)
    versioned = classes.meaning("lambda.amazonaws.com", "AddPermission20150331v2")
    assert versioned == Meaning(action_class=ActionClass.PERSISTENCE, privileged=True)
    shared = classes.meaning("sqs.amazonaws.com", "AddPermission")
    assert shared == Meaning(action_class=ActionClass.EXFILTRATION, privileged=True)


def test_the_same_verb_means_what_it_is_done_to() -> None:
    classes = action_classes()
    found = {
        resource: meaning.action_class
        for resource in ("pods/exec", "serviceaccounts/token", "clusterrolebindings", "pods")
        if (meaning := classes.meaning("kubernetes", f"create {resource}"))
    }
    assert found == {
        "pods/exec": ActionClass.EXECUTION,
        "serviceaccounts/token": ActionClass.CREDENTIAL_CREATION,
        "clusterrolebindings": ActionClass.PRIVILEGE_CHANGE,
        "pods": ActionClass.ORDINARY,
    }
    of_google = classes.meaning("k8s.io", "io.k8s.core.v1.pods.exec.create")
    assert of_google == Meaning(action_class=ActionClass.EXECUTION, privileged=True)


def test_an_unnamed_operation_is_ordinary_and_an_unknown_service_is_not_known() -> None:
    assert action_classes().meaning("s3.amazonaws.com", "GetObject") == ORDINARY
    assert action_classes().meaning("service.of.nobody", "GetObject") is None
    assert action_classes().meaning(None, "CreateAccessKey") is None


def test_rows_leave_out_what_is_not_known() -> None:
    asked = [("iam.amazonaws.com", "CreateUser", None), ("service.of.nobody", "x", None)]
    assert list(action_classes().rows(asked)) == [
        {
            "service": "iam.amazonaws.com",
            "operation": "CreateUser",
            "resource_type": None,
            "action_class": "persistence",
            "privileged": True,
        }
    ]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_table_says_where_it_comes_from_and_names_nothing_twice(path: Path) -> None:
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    assert told["source"].startswith("https://")
    assert told["date"].isoformat() >= "2026-11-22"
    keys = [
        (group.get("service", "*"), name.lower().rstrip("."), resource)
        for group in told["operation"]
        for name in group["names"]
        for resource in group.get("resources", ["*"])
    ]
    assert sorted({key for key in keys if keys.count(key) > 1}) == []


def test_a_bad_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(
        'title = "Acme"\nsource = "https://acme.example"\ndate = 2026-11-22\nservices = ["acme"]\n'
        '[[operation]]\nclass = "mischief"\nprivileged = true\nnames = ["x"]\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=r"acme.toml: 'mischief' is not a valid ActionClass"):
        action_classes(tmp_path)


def test_every_name_of_aws_is_one_that_aws_has(shared: Path) -> None:
    session = get_session()
    known = {
        operation.lower()
        for service in session.get_available_services()
        for operation in session.get_service_model(service).operation_names
    }
    known |= {action.partition(":")[2].lower() for actions in _catalogue(shared).values() for action in actions}
    known |= {name.lower() for name in AWS["only_in_logs"]}
    names = [name for group in AWS["operation"] for name in group["names"]]
    assert [name for name in names if not fnmatch.filter(known, name.lower())] == []


def test_what_a_catalogue_calls_escalation_is_in_the_table_of_aws(shared: Path) -> None:
    classes = action_classes()
    missing = []
    for action in _catalogue(shared)["PrivEsc"]:
        prefix, _, name = action.partition(":")
        meaning = classes.meaning(f"{prefix}.amazonaws.com", name)
        if (meaning is None or meaning.action_class not in ESCALATES) and not NOT_SO.keys() & {prefix, action}:
            missing.append(action)
    assert missing == []


def _catalogue(shared: Path) -> dict[str, list[str]]:
    packed = (shared / "data/iam-catalogs/catalogs.tar.zst").read_bytes()
    unpacked = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)).read()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        member = next(one for one in archive.getmembers() if one.name.endswith("iam-dataset/aws/tags.json"))
        file = archive.extractfile(member)
        assert file is not None
        found: dict[str, list[str]] = json.load(file)["iam"]
        return found

"""Records of Microsoft's logs with anything in any place: activities, nothing, or a DataError, and nothing else."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sources import test_azure_activity as azure
from tests.sources import test_entra_audit as audit
from tests.sources import test_entra_signin as signin
from tests.sources import test_m365_audit as m365
from tests.sources import test_windows_security as windows
from wardship.model.activity import FIELDS
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.registry import source

SAMPLES: dict[str, list[dict[str, Any]]] = {
    "entra.signin": [
        signin.service_principal(servicePrincipalCredentialKeyId=signin.KEY),
        signin.exported("NonInteractiveUserSignInLogs", userId=signin.USER, appId=signin.APP),
        signin.exported("UserRiskEvents", userId=signin.USER, riskEventType="x", keyIds=["a"]),
    ],
    "entra.audit": [
        audit.event(
            "Add service principal credentials", {"KeyDescription": ("[]", json.dumps([audit.key(audit.APP)]))}
        ),
        audit.event("Update application", {"FederatedIdentityCredentials": (None, '[{"Subject": "s"}]')}),
    ],
    "azure.activity": [azure.api(properties={"requestbody": "{}"}), {"message": json.dumps(azure.api()) * 2}],
    "graph.activity": [
        {
            "category": "MicrosoftGraphActivityLogs",
            "time": signin.AT,
            "properties": {"requestMethod": "GET", "requestUri": "https://g/v1.0/me", "appId": signin.APP},
        }
    ],
    "m365.audit": [
        m365.event("New-InboxRule", Parameters=m365.parameters(ForwardTo="a@b.c"), Actor=[{"ID": "x", "Type": 5}]),
        {"RecordType": 1, "CreationDate": "3/1/2026 9:05:00 PM", "AuditData": json.dumps(m365.event("Set-Mailbox"))},
        m365.event("Update user.", "AzureActiveDirectory", ModifiedProperties=[{"Name": "a", "NewValue": "[]"}]),
    ],
    "windows.security": [
        *windows.FORMS.values(),
        windows.samba("Authentication", eventId=4624, remoteAddress="ipv4:1.2.3.4:1", becameSid=windows.SID),
        windows.samba("dsdbChange", attributes={"servicePrincipalName": {"actions": [{"values": [{"value": "x"}]}]}}),
    ],
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**20), max_value=10**20),
    st.floats(),
    st.text(max_size=40),
    st.sampled_from(
        ["/Date(999999999999999)/", "99/99/2026 1:1:1 AM", "0001-01-01T00:00:00+14:00", "[::1", "{", "[[", "{}"]
    ),
    st.sampled_from(
        ["9999-12-31T23:59:59-14:00", "[" * 2000, "\x00", "\ud800", "https://[x/", "S-1-5-21-1", "%%7688 {"]
    ),
    st.lists(st.one_of(st.none(), st.text(max_size=5), st.dictionaries(st.text(max_size=5), st.text(max_size=5)))),
    st.dictionaries(
        st.sampled_from(["value", "Name", "Value", "id", "#text", "type", "user", "app"]), st.text(max_size=8)
    ),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside, the innermost too."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in [(*path, key), *places(item, (*path, key))]]


@st.composite
def bent(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """A sample of the source with odd values in some places, and some taken out."""
    record = copy.deepcopy(draw(st.sampled_from(SAMPLES[name])))
    for _change in range(draw(st.integers(1, 4))):
        where = draw(st.sampled_from(places(record) or [("x",)]))
        holder: Any = record
        for key in where[:-1]:
            holder = holder[key]
        old = holder.get(where[-1]) if isinstance(holder, dict) else holder[where[-1]]
        if isinstance(old, str) and len(old) > 20 and draw(st.booleans()):
            cut = draw(st.integers(0, len(old)))
            holder[where[-1]] = old[:cut] + draw(st.text(max_size=5)) + old[cut + draw(st.integers(0, 5)) :]
        elif isinstance(holder, dict) and draw(st.integers(0, 4)) == 0:
            holder.pop(where[-1], None)
        else:
            holder[where[-1]] = draw(ODD)
    return dict(record)


def check(name: str, record: dict[str, Any]) -> None:
    reads = source(name)
    assert reads.claims(record) in (True, False)
    try:
        found = list(reads.parse(record, DriftLog()))
    except DataError:
        return
    for one in found:
        values = {field: getattr(one, field) for field in FIELDS if field != "detail"}
        for value in values.values():
            assert value is None or isinstance(value, str | bool | int) or field_is_time(value)
        text = json.dumps(dict(one.detail), allow_nan=False)
        assert len(text) < 100_000
        # What a database or a file refuses is gone: lone surrogates and NUL.
        "".join(str(value) for value in values.values()).encode()
        assert "\\x00" not in repr(values)
        assert "\\u0000" not in text


def field_is_time(value: Any) -> bool:
    return hasattr(value, "utcoffset")


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_nothing_but_activities_or_a_data_error(name: str, data: st.DataObject) -> None:
    check(name, data.draw(bent(name)))


@pytest.mark.chaos
@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nothing_but_activities_or_a_data_error_ten_thousand_times(name: str, data: st.DataObject) -> None:
    check(name, data.draw(bent(name)))

"""Audit logs of MariaDB and MySQL, in the forms that their documentation shows."""

from __future__ import annotations

from typing import Any

import pytest

from wardship.model.activity import Activity, ActivityClass
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sources.mariadb_audit import claims, parse


def told(record: str | dict[str, Any]) -> Activity:
    given = {"message": record} if isinstance(record, str) else record
    assert claims(given)
    (found,) = parse(given, DriftLog())
    return found


@pytest.mark.parametrize(
    ("line", "operation", "class_uid", "outcome", "mutating", "resource"),
    [
        ("{t},db1,app,203.0.113.9,5,0,CONNECT,shop,,0", "CONNECT", 3002, "success", False, "shop"),
        ("{t},db1,app,203.0.113.9,5,0,FAILED_CONNECT,,,1045", "FAILED_CONNECT", 3002, "failure", False, None),
        (
            "{t},db1,app,203.0.113.9,5,7,QUERY,shop,'select \\'a\\', b from t',0",
            "SELECT",
            6005,
            "success",
            False,
            "shop",
        ),
        ("{t},db1,app,203.0.113.9,5,7,QUERY,shop,'create user x',1227", "CREATE USER", 3001, "failure", True, "shop"),
        ("{t},db1,app,203.0.113.9,5,7,QUERY,shop,'grant all on *.* to x',0", "GRANT", 3005, "success", True, "shop"),
        ("{t},db1,app,203.0.113.9,5,7,WRITE,shop,orders,", "WRITE", 6005, "success", True, "shop/orders"),
        ("{t},db1,app,203.0.113.9,5,7,READ,shop,orders,", "READ", 6005, "success", False, "shop/orders"),
        ("{t},db1,app,203.0.113.9,5,7,VACUUM,shop,orders,", "VACUUM", 6005, "success", None, "shop/orders"),
    ],
)
def test_lines_of_server_audit(
    *, line: str, operation: str, class_uid: int, outcome: str, mutating: bool | None, resource: str | None
) -> None:
    found = told(line.format(t="20260301 10:00:00"))
    assert (found.operation, found.class_uid, found.outcome.value) == (operation, class_uid, outcome)
    assert (found.actor_authority, found.actor_id, found.src_ip) == ("mysql:?", "app", "203.0.113.9")
    assert (found.mutating, found.resource_id, found.account) == (mutating, resource, "db1")
    assert found.time.isoformat() == "2026-03-01T10:00:00+00:00"


def test_json_of_mysql_enterprise_as_it_stands_in_its_array() -> None:
    found = told(
        '{ "timestamp": "2026-03-01 10:00:00", "id": 3, "class": "connection", "event": "connect", "connection_id": 9,'
        ' "account": { "user": "app", "host": "web1" }, "login": { "user": "app", "ip": "203.0.113.9" },'
        ' "connection_data": { "connection_type": "ssl", "status": 1045, "db": "shop",'
        ' "connection_attributes": { "program_name": "mysqldump" } } },'
    )
    assert (found.operation, found.class_uid, found.outcome.value) == (
        "connect",
        ActivityClass.AUTHENTICATION,
        "failure",
    )
    assert (found.actor_id, found.src_ip, found.user_agent, found.outcome_code) == (
        "app", "203.0.113.9", "mysqldump", "1045",
    )  # fmt: skip


def test_xml_of_mysql_enterprise() -> None:
    found = told(
        {
            "TIMESTAMP": "2026-03-01T10:00:00 UTC", "RECORD_ID": "6_2026-03-01T09:00:00", "NAME": "Query",
            "CONNECTION_ID": "5", "STATUS": "0", "USER": "root[root] @ localhost [127.0.0.1]", "HOST": "localhost",
            "IP": "127.0.0.1", "COMMAND_CLASS": "drop_table", "SQLTEXT": "DROP TABLE customers",
        }
    )  # fmt: skip
    assert (found.operation, found.actor_id, found.uid) == ("drop_table", "root", "6_2026-03-01T09:00:00")
    assert (found.mutating, found.outcome.value) == (True, "success")
    assert "customers" not in str(found)


@pytest.mark.parametrize(
    "line", ["", "20260301 10:00:00,db1", "{", "x,y,z,1,2,3,4,5,6,7", "20260301 99:00:00,a,b,c,5,0,CONNECT,d,,0"]
)
def test_what_is_no_record_is_refused(line: str) -> None:
    with pytest.raises(DataError):
        list(parse({"message": line}, DriftLog()))

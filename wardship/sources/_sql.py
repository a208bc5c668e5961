"""What kind of statement a database log tells of. The text itself is never kept: it may hold data and passwords."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wardship.model.activity import ActivityClass

_WORDS = re.compile(r"\s*+([A-Za-z]{2,30})(?:\s++([A-Za-z]{2,30}))?")
_TWO_WORDS = frozenset(("CREATE", "ALTER", "DROP", "SET", "RENAME", "REASSIGN", "SHOW", "LOCK", "UNLOCK", "FLUSH"))
_READS = frozenset(
    ("SELECT", "SHOW", "EXPLAIN", "DESCRIBE", "DESC", "VALUES", "TABLE", "FETCH", "DECLARE", "CLOSE", "BEGIN", "START",
     "COMMIT", "ROLLBACK", "END", "ABORT", "SAVEPOINT", "RELEASE", "SET", "RESET", "DISCARD", "LISTEN", "UNLISTEN",
     "USE", "CHECKPOINT", "DEALLOCATE", "PREPARE", "HELP", "CHECK", "ANALYZE")
)  # fmt: skip
_UNKNOWN = frozenset(("WITH", "EXECUTE", "CALL", "DO", "PARSE", "BIND"))  # they may do either
_ACCOUNTS = frozenset(("ROLE", "USER", "GROUP"))
_MAX_COMMENTS = 20


@dataclass(frozen=True, slots=True)
class Statement:
    """`kind`: "SELECT", "ALTER ROLE"; `mutating` None: it may do either."""

    kind: str
    class_uid: ActivityClass
    mutating: bool | None


def statement(sql: str) -> Statement:
    """The kind of a statement by its first words, comments passed over."""
    found = _WORDS.match(_after_comments(sql[:10_000]))
    first, second = (found[1].upper(), (found[2] or "").upper()) if found else ("", "")
    kind = f"{first} {second}" if first in _TWO_WORDS and second else first
    if first in ("GRANT", "REVOKE") or (first == "ALTER" and second == "DEFAULT"):
        class_uid = ActivityClass.USER_ACCESS_MANAGEMENT
    elif first in ("CREATE", "ALTER", "DROP", "RENAME") and second in _ACCOUNTS:
        class_uid = ActivityClass.ACCOUNT_CHANGE
    elif (first, second) == ("SET", "PASSWORD"):
        return Statement(kind, ActivityClass.ACCOUNT_CHANGE, True)
    else:
        class_uid = ActivityClass.DATASTORE_ACTIVITY
    return Statement(kind or "statement", class_uid, None if not first or first in _UNKNOWN else first not in _READS)


def _after_comments(sql: str) -> str:
    for _time in range(_MAX_COMMENTS):
        sql = sql.lstrip(" \t\r\n;(")
        if sql.startswith("--"):
            sql = sql.partition("\n")[2]
        elif sql.startswith("/*"):
            sql = sql.partition("*/")[2]
        else:
            break
    return sql

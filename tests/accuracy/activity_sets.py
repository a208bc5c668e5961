"""How activities are held against what others made of the same raw events: one measure for every source.

A record *parses* when its source makes at least one activity of it, or skips it where the label drops it too. Of a
parsed record five things are compared, each only where the label has it: actor, action, source address, outcome, time.
The label's words are another product's; what counts as the same is said at each comparison.
"""

from __future__ import annotations

import io
import ipaddress
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zstandard

from wardship.model.activity import Activity, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.source import Source

ASPECTS = ("actor", "action", "source", "outcome", "time")


@dataclass(slots=True)
class Score:
    """Of one stream: records, those parsed, and per aspect (agreed, compared). `misses` are for whoever mends."""

    records: int = 0
    parsed: int = 0
    agreed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ASPECTS, 0))
    compared: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ASPECTS, 0))
    misses: list[tuple[str, str, Any, Any]] = field(default_factory=list)

    @property
    def parse_rate(self) -> float:
        return self.parsed / self.records if self.records else 1.0

    @property
    def agreement(self) -> float:
        compared = sum(self.compared.values())
        return sum(self.agreed.values()) / compared if compared else 1.0


def members(archive: Path) -> dict[str, bytes]:
    """name -> content of the files in a `.tar.zst`."""
    unpacked = zstandard.ZstdDecompressor().stream_reader(archive.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        files = ((entry.name.removeprefix("./"), tar.extractfile(entry)) for entry in tar if entry.isfile())
        return {name: content.read() for name, content in files if content}


def labelled_lines(content: bytes) -> Iterator[tuple[str, Any, dict[str, Any] | None]]:
    """As `labelled`, of a file's content."""
    for line in content.decode("utf-8").splitlines():
        one = json.loads(line)
        yield one["id"], one["input"], one["expected"]


def labelled(path: Path) -> Iterator[tuple[str, Any, dict[str, Any] | None]]:
    """(id, raw input, expected or None) of each record of one stream of elastic-events."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            one = json.loads(line)
            yield one["id"], one["input"], one["expected"]


def raw_record(given: Any) -> dict[str, Any]:
    """What ingest would hand to `parse`: an object as it is, a line of JSON read, other text as a message."""
    if isinstance(given, dict):
        return given
    try:
        read = json.loads(given)
    except ValueError:
        return {"message": given}
    return read if isinstance(read, dict) else {"message": given}


def score(source: Source, records: Iterable[tuple[str, Any, dict[str, Any] | None]]) -> Score:
    """Parses every record and compares the first activity of each with its label."""
    found, drift = Score(), DriftLog()
    for ident, given, expected in records:
        found.records += 1
        try:
            activities = list(source.parse(raw_record(given), drift))
        except DataError as error:
            found.misses.append((ident, "parse", str(error), None))
            continue
        if activities or expected is None:
            found.parsed += 1
        else:
            found.misses.append((ident, "parse", "skipped", None))
        if activities and expected is not None:
            _compare(found, ident, activities[0], expected)
    return found


def _compare(found: Score, ident: str, ours: Activity, expected: Mapping[str, Any]) -> None:
    event = expected.get("event") or {}
    pairs: dict[str, tuple[set[str], set[str]]] = {
        "actor": (_ours_actor(ours), _actors(expected)),
        "action": (
            _words(ours.operation, ours.detail.get("action")),
            _words(*_each(event.get("action")), event.get("code")),
        ),
        "source": (_address(ours.src_ip), _address((expected.get("source") or {}).get("ip"))),
        "outcome": ({ours.outcome.value}, {event["outcome"]} & set(Outcome) if event.get("outcome") else set()),
        "time": ({_second(ours.time)}, _times(expected)),
    }
    for aspect, (mine, theirs) in pairs.items():
        if not theirs:
            continue
        found.compared[aspect] += 1
        if mine & theirs:
            found.agreed[aspect] += 1
        else:
            found.misses.append((ident, aspect, sorted(mine), sorted(theirs)))


def _ours_actor(ours: Activity) -> set[str]:
    """Our name and id, whole and the part that people call it by."""
    said = {ours.actor_name, ours.actor_id, ours.on_behalf_of} - {None}
    said |= {re.split(r"[/\\]", text)[-1] for text in said if text}
    said |= {text.partition("@")[0] for text in said if text}
    return _words(*said)


def _actors(expected: Mapping[str, Any]) -> set[str]:
    """Who acted by the label: its user; where it names none, there is nothing to compare."""
    user = expected.get("user") or {}
    names = {each for name in ("name", "email", "id", "full_name") for each in _each(user.get(name))} - {None, ""}
    names |= {name.partition("@")[0] for name in names if isinstance(name, str)}
    return _words(*names)


def _each(value: Any) -> list[Any]:
    """The entries of a label that is a list, as some are; another one alone."""
    return value if isinstance(value, list) else [value]


def _words(*texts: Any) -> set[str]:
    """Texts without case and punctuation: `Add user.` and `add-user` are the same word."""
    return {re.sub(r"[\W_]+", "", str(text)).lower() for text in texts if text not in (None, "")} - {""}


def _address(text: Any) -> set[str]:
    try:
        return {str(ipaddress.ip_address(text))} if text else set()
    except ValueError:
        return set()


def _times(expected: Mapping[str, Any]) -> set[str]:
    said = {
        expected.get("@timestamp"),
        (expected.get("event") or {}).get("created"),
        (expected.get("event") or {}).get("start"),
    }
    return {_second(at) for text in said if isinstance(text, str) and (at := _instant(text))}


def _instant(text: str) -> datetime | None:
    """A time of a label; None for one that is none (a made-up sample has 62 seconds)."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _second(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")

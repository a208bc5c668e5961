"""How activities are held against what others made of the same raw events: one measure for every source.

A record *parses* when its source makes at least one activity of it, or skips it where the label drops it too. Of a
parsed record five things are compared, each only where the label has it: actor, action, source address, outcome, time.
How often each was compared is counted and part of the floors, for an agreement of nothing would be one too.

The label's words are another product's, so the measure is lenient, and says where: words are compared without case and
punctuation, and one word in common is enough; an actor is also known by the part of a name before its @ or after its
last slash. What agrees by a second word alone is agreed *loosely*, and counted as that: on whose behalf it was
done; for the action the vendor's code, the word beside our operation, or the label's without its product (`status` of
`mysql-status`); the label's other times. Of a record with several activities the first is compared. What we tell and
the label does not, nobody checks here.
"""

from __future__ import annotations

import io
import ipaddress
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zstandard

from wardship.model.activity import Activity, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import Drift, DriftLog

Parse = Callable[[dict[str, Any], Drift], Iterable[Activity]]
ASPECTS = ("actor", "action", "source", "outcome", "time")


@dataclass(slots=True)
class Score:
    """Of one stream: records, those parsed, and per aspect agreed (of them by a second word alone) and compared.

    `misses` are for whoever mends.
    """

    records: int = 0
    parsed: int = 0
    agreed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ASPECTS, 0))
    loosely: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ASPECTS, 0))
    compared: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ASPECTS, 0))
    misses: list[tuple[str, str, Any, Any]] = field(default_factory=list)

    @property
    def parse_rate(self) -> float:
        return self.parsed / self.records

    @property
    def agreement(self) -> float | None:
        """None: the labels had nothing to compare with."""
        compared = sum(self.compared.values())
        return sum(self.agreed.values()) / compared if compared else None

    def __str__(self) -> str:
        told = {name: f"{self.agreed[name]}/{self.compared[name]}" for name in ASPECTS}
        return f"{self.records} records, parsed {self.parse_rate:.3f}, agreement {self.agreement}, {told}"

    def __add__(self, other: Score) -> Score:
        return Score(
            records=self.records + other.records,
            parsed=self.parsed + other.parsed,
            agreed={name: self.agreed[name] + other.agreed[name] for name in ASPECTS},
            loosely={name: self.loosely[name] + other.loosely[name] for name in ASPECTS},
            compared={name: self.compared[name] + other.compared[name] for name in ASPECTS},
            misses=self.misses + other.misses,
        )


def hold(found: Score, floor: Mapping[str, Any]) -> None:
    """That a stream reaches its floor, and that the floor says of what: nothing is left out, nothing agrees unsaid."""
    assert found.records == floor["records"]
    assert found.parse_rate >= floor["parsed"], found.misses[:5]
    assert {name: count for name, count in found.compared.items() if count} == floor["compared"]
    assert {name: count for name, count in found.loosely.items() if count} == floor.get("loosely", {})
    if found.agreement is None:
        assert "agreement" not in floor, "nothing was compared"
    else:
        assert found.agreement >= floor["agreement"], found.misses[:5]


def members(archive: Path) -> dict[str, bytes]:
    """name -> content of the files in a `.tar.zst`."""
    unpacked = zstandard.ZstdDecompressor().stream_reader(archive.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        files = ((entry.name.removeprefix("./"), tar.extractfile(entry)) for entry in tar if entry.isfile())
        return {name: content.read() for name, content in files if content}


def labelled_lines(content: bytes) -> Iterator[tuple[str, Any, dict[str, Any] | None]]:
    """(id, raw input, expected or None) of each record of one stream of elastic-events."""
    for line in content.decode("utf-8").splitlines():
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


def score(parse: Parse, records: Iterable[tuple[str, Any, dict[str, Any] | None]]) -> Score:
    """Parses every record and compares the first activity of each with its label."""
    found, drift = Score(), DriftLog()
    for ident, given, expected in records:
        found.records += 1
        try:
            activities = list(parse(raw_record(given), drift))
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
    """Each aspect: our words, the label's; then the second words of both, which count where the first differ."""
    event = expected.get("event") or {}
    none: set[str] = set()
    aspects: dict[str, tuple[set[str], set[str], set[str], set[str]]] = {
        "actor": (_called(ours.actor_name, ours.actor_id), _actors(expected), _called(ours.on_behalf_of), none),
        "action": (
            _words(ours.operation),
            _words(*_each(event.get("action"))),
            _words(ours.detail.get("action")),
            _words(event.get("code"), *(str(said).partition("-")[2] for said in _each(event.get("action")))),
        ),
        "source": (_address(ours.src_ip), _address((expected.get("source") or {}).get("ip")), none, none),
        "outcome": ({ours.outcome.value}, {str(event.get("outcome"))} & set(Outcome), none, none),
        "time": (
            {_second(ours.time)},
            _times(expected.get("@timestamp")),
            none,
            _times(event.get("created"), event.get("start")),
        ),
    }
    for aspect, (mine, theirs, mine_too, theirs_too) in aspects.items():
        if not theirs | theirs_too:
            continue
        found.compared[aspect] += 1
        if mine & theirs:
            found.agreed[aspect] += 1
        elif (mine | mine_too) & (theirs | theirs_too):
            found.agreed[aspect] += 1
            found.loosely[aspect] += 1
        else:
            found.misses.append((ident, aspect, sorted(mine), sorted(theirs)))


def _called(*names: str | None) -> set[str]:
    """A name whole, and the part that people call it by. `ann@a.example` is `ann`, and not `ann@b.example`."""
    said = {name for name in names if name}
    said |= {re.split(r"[/\\]", name)[-1] for name in said}
    said |= {name.partition("@")[0] for name in said}
    return _words(*said)


def _actors(expected: Mapping[str, Any]) -> set[str]:
    """Who acted by the label: its user; where it names none, there is nothing to compare."""
    user = expected.get("user") or {}
    return _words(*(each for name in ("name", "email", "id", "full_name") for each in _each(user.get(name))))


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


def _times(*said: Any) -> set[str]:
    return {_second(at) for text in said if isinstance(text, str) and (at := _instant(text))}


def _instant(text: str) -> datetime | None:
    """A time of a label; None for one that is none (a made-up sample has 62 seconds)."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _second(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")

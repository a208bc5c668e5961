"""Writes the generated pages of docs/: one a connector and one a telemetry source, made from their manifests and the
floors of accuracy. `--check` says what is out of date.

python scripts/pages.py [--check]
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardship.sdk.connector import BlindSpot, Capability, Manifest, Permission, Setting
from wardship.sdk.log_mapping import MappedLog
from wardship.sdk.registry import connector_names, manifest, source, source_names
from wardship.sdk.source import KEPT_BY_ITS_OWNER, LiveSource, Source

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "connectors"
SOURCES = ROOT / "docs" / "sources"
FLOORS = ROOT / "tests" / "accuracy" / "floors.toml"
NOT_KNOWN = "not known"


def connector_page(told: Manifest) -> str:
    """The page of one connector, in Markdown."""
    lines = [
        f"# {told.title}",
        "",
        f"Connector `{told.name}`. Systems: {', '.join(told.systems) or 'none: it reads a register'}.",
        f"Evidence: {told.evidence}.",
    ]
    if told.contracts:
        lines.append(f"\nHeld against the descriptions: {', '.join(told.contracts)}.")
    if told.extra:
        lines.append(f"\nNeeds the optional dependency group `{told.extra}`: `pip install 'wardship[{told.extra}]'`.")
    lines += _settings(told.settings)
    lines += ["", "## Least permissions"]
    for capability in Capability:
        if capability not in told.permissions:
            continue
        lines += ["", f"### {capability}", ""]
        needed = told.permissions[capability]
        if not needed:
            lines.append("None.")
            continue
        lines += _permissions(needed)
    lines += ["", f"`wardship connect setup {told.name}` prints them as Terraform, CLI and portal steps."]
    lines += _blind_spots(told.blind_spots)
    if told.unavailable:
        lines += ["", "## What the system does not have", ""]
        lines += [f"- `{name}`: {why}" for name, why in told.unavailable.items()]
    if told.imports:
        lines += ["", "## Files that `wardship import` takes", ""]
        lines += [f"- {form}" for form in told.imports]
    lines += _links(told.links)
    return "\n".join(lines) + "\n"


def _settings(settings: Iterable[Setting]) -> list[str]:
    lines = []
    for setting in settings:
        notes = [
            note
            for note, holds in (
                ("required", setting.required),
                ("a reference such as `env:NAME` or `file:/path`, never the value", setting.secret),
                (f"default `{setting.default}`", setting.default is not None),
            )
            if holds
        ]
        lines.append(f"| `{setting.name}` | {setting.help}{' (' + '; '.join(notes) + ')' if notes else ''} |")
    return ["", "## Settings", "", "| setting | what it is |", "|---|---|", *lines] if lines else []


def _permissions(permissions: Iterable[Permission]) -> list[str]:
    lines = ["| permission | why | without it |", "|---|---|---|"]
    for permission in permissions:
        without = "the rest is read, and coverage says so" if permission.optional else "this cannot be done"
        lines.append(f"| `{permission.name}` | {permission.why} | {without} |")
    return lines


def _blind_spots(spots: Sequence[BlindSpot]) -> list[str]:
    return ["", "## What it cannot tell", "", *(f"- `{spot.id}`: {spot.text}" for spot in spots)] if spots else []


def _links(links: Sequence[str]) -> list[str]:
    return ["", "## Links", "", *(f"- <{link}>" for link in links)] if links else []


def index_page(manifests: list[Manifest]) -> str:
    """The list of connectors."""
    lines = ["# Connectors", "", "| connector | reads | can change | evidence |", "|---|---|---|---|"]
    acting = {Capability.ROTATE, Capability.DISABLE, Capability.DELETE}
    for told in manifests:
        changes = ", ".join(str(one) for one in Capability if one in acting & set(told.permissions)) or "nothing"
        lines.append(f"| [{told.title}]({told.name}.md) | {', '.join(told.systems)} | {changes} | {told.evidence} |")
    lines += ["", "No command changes a system yet: the verbs are there, proved, and wait for plans and approvals."]
    return "\n".join(lines) + "\n"


def source_page(log: Source, measured: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of one telemetry source, in Markdown. `measured`: floors by the stream of labelled events."""
    told = log.MANIFEST
    lines = [f"# {told.title}", "", f"Log `{told.name}`. Evidence: {told.evidence}."]
    if told.contracts:
        lines.append(f"\nHeld against the descriptions: {', '.join(told.contracts)}.")
    if isinstance(log, MappedLog):
        lines.append(
            f"\nDeclared in `wardship/data/logs/{told.name}.yaml`, as [mapping a log](../log-mapping.md) explains."
        )
    if told.connector:
        lines.append(f"\nActors have the ids of the connector [{told.connector}](../connectors/{told.connector}.md).")
    lines += ["", "## Files", "", f"`wardship telemetry import {told.name} FILE` takes:", ""]
    lines += [f"- {form}" for form in told.forms]
    lines += ["", "## Live", "", _live(log)]
    if told.permissions:
        lines += ["", *_permissions(told.permissions)]
    lines += _settings(told.settings)
    lines += ["", "## What it covers", "", "| question | answer |", "|---|---|"]
    lines += [f"| {question} | {answer} |" for question, answer in _coverage(log)]
    lines += _blind_spots(told.blind_spots)
    lines += _measured(measured)
    lines += _links(told.links)
    return "\n".join(lines) + "\n"


def _measured(floors: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not floors:
        return []
    lines = [
        "",
        "## Measured",
        "",
        "Labelled events of others: the least that is accepted. Agreement is of actor, action, source address, outcome",
        "and time, as often as the label has them (compared). Case and punctuation do not count, one word in common is",
        "enough, and a name is also known by its part before the @. Loosely: by a second word alone, such as the code",
        "of a vendor, on whose behalf it was done, or another of the label's times.",
        "",
        "| stream | records | read | agreement | compared |",
        "|---|---|---|---|---|",
    ]
    for name, floor in floors.items():
        loosely = floor.get("loosely", {})
        compared = [
            f"{aspect} {count}{f' ({loosely[aspect]} loosely)' if aspect in loosely else ''}"
            for aspect, count in floor["compared"].items()
        ]
        cells = (
            name,
            floor["records"],
            f"{floor['parsed']:.2f}",
            _agreement([floor]),
            ", ".join(compared) or "nothing",
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines + [f"\n{name}: {floor['why']}." for name, floor in floors.items() if "why" in floor]


def _agreement(floors: Iterable[Mapping[str, Any]]) -> str:
    """The lowest; of streams whose labels say nothing there is none."""
    told = [floor["agreement"] for floor in floors if "agreement" in floor]
    return f"{min(told):.2f}" if told else "not measured"


def _live(log: Source) -> str:
    told = log.MANIFEST
    if not isinstance(log, LiveSource):
        return "It is read from files only."
    of = f"the connector `{told.connector}`" if told.connector else "its own (see the settings)"
    return f"`wardship telemetry sync` reads it through the system's own interface, with a connection of {of}."


def _coverage(log: Source) -> list[tuple[str, str]]:
    told = log.MANIFEST
    reads = {
        True: "yes",
        False: "no, or not all: nobody is called unused for want of them",
        None: "where that is switched on, or in files that have them",
    }
    return [
        ("How late may an event still come?", _hours(told.delay_hours)),
        ("How long does the vendor keep it?", _kept(told.retention_days)),
        ("Are reads logged?", NOT_KNOWN if _nobody_says(log) else reads[told.logs_reads]),
    ]


def _nobody_says(log: Source) -> bool:
    """Whether reads are in a log that was declared by its records: a mapping cannot tell, and has no word for it."""
    return isinstance(log, MappedLog) and log.MANIFEST.logs_reads is None


def _kept(days: float | None) -> str:
    if days is None:
        return NOT_KNOWN
    return "as long as you keep it" if days == KEPT_BY_ITS_OWNER else f"{days:g} days"


def _hours(hours: float | None) -> str:
    if hours is None:
        return NOT_KNOWN
    return f"{round(hours * 60)} minutes" if hours < 1 else "1 hour" if hours == 1 else f"{hours:g} hours"


def source_index_page(sources: Sequence[Source], measured: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The list of telemetry sources."""
    lines = [
        "# Logs that Wardship reads",
        "",
        "Each from files (`wardship telemetry import`), some live too (`wardship telemetry sync`). Agreement: of",
        "actor, action, source address, outcome and time with labelled events of others, the least that is accepted;",
        "the pages say how often each of these was compared, and how leniently.",
        "A log that is not here needs a file that says what its records mean: [mapping a log](../log-mapping.md).",
        "",
        "| log | name | live | reads logged | blind spots | agreement | evidence |",
        "|---|---|---|---|---|---|---|",
    ]
    for log in sources:
        told = log.MANIFEST
        cells = (
            f"[{told.title}]({told.name}.md)",
            f"`{told.name}`",
            "yes" if isinstance(log, LiveSource) else "files",
            NOT_KNOWN if _nobody_says(log) else {True: "always", False: "no", None: "depends"}[told.logs_reads],
            str(len(told.blind_spots)),
            _agreement(measured.get(told.name, {}).values()),
            str(told.evidence),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _floors() -> dict[str, dict[str, Mapping[str, Any]]]:
    """Source -> stream of labelled events -> what is reached at least."""
    told = tomllib.loads(FLOORS.read_text(encoding="utf-8"))["activity"]
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for stream, floor in told.items():
        if "compared" in floor:
            found.setdefault(floor.get("source", stream), {})[stream] = floor
    return found


def _source_pages() -> dict[Path, str]:
    sources = sorted((source(name) for name in source_names()), key=lambda one: one.MANIFEST.title.casefold())
    measured = _floors()
    return {
        SOURCES / "index.md": source_index_page(sources, measured),
        **{
            SOURCES / f"{one.MANIFEST.name}.md": source_page(one, measured.get(one.MANIFEST.name, {}))
            for one in sources
        },
    }


def pages() -> dict[Path, str]:
    """Every generated page and its content."""
    manifests = [manifest(name) for name in connector_names()]
    return {
        **_source_pages(),
        FOLDER / "index.md": index_page(manifests),
        **{FOLDER / f"{told.name}.md": connector_page(told) for told in manifests},
    }


def main() -> int:
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"out of date: {path.relative_to(ROOT)}; run: python scripts/pages.py")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages()[path], encoding="utf-8")
        print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes the generated pages of docs/: one a connector, made from its manifest. `--check` says what is out of date.

python scripts/pages.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from wardship.sdk.connector import Capability, Manifest
from wardship.sdk.registry import connector_names, manifest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "connectors"


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
    if told.settings:
        lines += ["", "## Settings", "", "| setting | what it is |", "|---|---|"]
        for setting in told.settings:
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
    lines += ["", "## Least permissions"]
    for capability in Capability:
        if capability not in told.permissions:
            continue
        lines += ["", f"### {capability}", ""]
        needed = told.permissions[capability]
        if not needed:
            lines.append("None.")
            continue
        lines += ["| permission | why | without it |", "|---|---|---|"]
        for permission in needed:
            without = "the rest is read, and coverage says so" if permission.optional else "this cannot be done"
            lines.append(f"| `{permission.name}` | {permission.why} | {without} |")
    lines += ["", f"`wardship connect setup {told.name}` prints them as Terraform, CLI and portal steps."]
    if told.blind_spots:
        lines += ["", "## What it cannot tell", ""]
        lines += [f"- `{spot.id}`: {spot.text}" for spot in told.blind_spots]
    if told.unavailable:
        lines += ["", "## What the system does not have", ""]
        lines += [f"- `{name}`: {why}" for name, why in told.unavailable.items()]
    if told.imports:
        lines += ["", "## Files that `wardship import` takes", ""]
        lines += [f"- {form}" for form in told.imports]
    if told.links:
        lines += ["", "## Links", ""]
        lines += [f"- <{link}>" for link in told.links]
    return "\n".join(lines) + "\n"


def index_page(manifests: list[Manifest]) -> str:
    """The list of connectors."""
    lines = ["# Connectors", "", "| connector | reads | can change | evidence |", "|---|---|---|---|"]
    acting = {Capability.ROTATE, Capability.DISABLE, Capability.DELETE}
    for told in manifests:
        changes = ", ".join(str(one) for one in Capability if one in acting & set(told.permissions)) or "nothing"
        lines.append(f"| [{told.title}]({told.name}.md) | {', '.join(told.systems)} | {changes} | {told.evidence} |")
    lines += ["", "No command changes a system yet: the verbs are there, proved, and wait for plans and approvals."]
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """Every generated page and its content."""
    manifests = [manifest(name) for name in connector_names()]
    return {
        FOLDER / "index.md": index_page(manifests),
        **{FOLDER / f"{told.name}.md": connector_page(told) for told in manifests},
    }


def main() -> int:
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"out of date: {path.relative_to(ROOT)}; run: python scripts/pages.py")
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(pages()[path], encoding="utf-8")
        print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

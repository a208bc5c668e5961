"""Writes docs/detections/: one page a detection, the index, and what the operations of each vendor are taken for.

Run it after a detection or a table of action classes has changed; a test fails while the pages say something else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from wardship.sdk.action_class import Vendor, action_classes
from wardship.sdk.detection import Detection, load_detections
from wardship.sdk.rule import frameworks

DOCS = Path(__file__).resolve().parents[1] / "docs"
_ATTACK = "https://attack.mitre.org/techniques"


def pages() -> dict[str, str]:
    """Path below docs -> text of every page that is made."""
    found = load_detections()
    made = {f"detections/{one.id}.md": "\n".join(_page(one)) + "\n" for one in found}
    made["detections/index.md"] = "\n".join(_index(found)) + "\n"
    made["detections/action-classes.md"] = "\n".join(_classes()) + "\n"
    return made


def _index(found: Sequence[Detection]) -> Iterator[str]:
    yield "# Detections"
    yield ""
    yield "Made from `wardship/detections/*.yaml` by `scripts/detection_docs.py`. A detection looks at new events of"
    yield "audit logs; its weight says, in percent, how sure one hit alone makes that somebody must look. How weights"
    yield "become the score of an alert is told in [alerts](../alerts.md), what an operation is taken for in"
    yield "[action classes](action-classes.md), how to write one in [writing detections](../detections-writing.md)."
    for title, needing in (("From the first event on", False), ("Once an identity has been watched", True)):
        yield from (
            "",
            f"## {title}",
            "",
            "| detection | severity | weight | ATT&CK | what was done |",
            "|---|---|---|---|---|",
        )
        for one in sorted(found, key=lambda each: (-each.weight, each.id)):
            if one.needs.mature_baseline is needing:
                techniques = ", ".join(one.attack)
                yield f"| [{one.id}]({one.id}.md) | {one.severity} | {one.weight} | {techniques} | {one.title} |"


def _page(one: Detection) -> Iterator[str]:
    known = frameworks()["owasp-nhi"]
    yield f"# {one.id}"
    yield ""
    yield f"**{one.title}.** Severity {one.severity}, weight {one.weight}, {one.confidence}, aspect {one.aspect},"
    yield f"version {one.version}."
    yield ""
    yield one.rationale
    notes = []
    if one.needs.mature_baseline:
        notes.append(
            "It compares with what is usual, so it counts little until an identity has been watched for long enough."
        )
    if one.needs.sources:
        notes.append(f"It needs a log of {', '.join(one.needs.sources)}.")
    if not one.dampened:
        notes.append("Provisioning tools and announced changes do not lower it.")
    if notes:
        yield from ("", " ".join(notes))
    yield from ("", "## What to do", "")
    for number, step in enumerate(one.what_to_do, 1):
        yield f"{number}. {step.text}{'' if step.reversible else ' **There is no way back.**'}"
    yield from ("", "## What it cannot see", "", *(f"- {text}" for text in one.limits))
    yield from ("", "## Techniques and risks", "")
    yield from (f"- MITRE ATT&CK [{name}]({_ATTACK}/{name.replace('.', '/')}/)" for name in one.attack)
    yield from (f"- {known.title}: {number}, {known.controls[number]}" for number in one.owasp_nhi)
    yield from ("", "## Question to the events", "", "```sql", one.query.strip(), "```")
    yield from ("", "## Examples", "")
    yield from (f"- Fires: {example.why}" for example in one.fires)
    yield from (f"- Passes: {example.why}" for example in one.passes)


def _classes() -> Iterator[str]:
    classes = action_classes()
    yield "# What operations are taken for"
    yield ""
    yield "Made from `wardship/data/action_classes/*.toml` by `scripts/detection_docs.py`. Names in bold are"
    yield "privileged: worth a look by themselves. `*` is any text. An operation of these services that is not named"
    yield "is ordinary; of other services nothing is known ([why](../adr/0034-action-classes.md))."
    for vendor in classes.vendors:
        yield from ("", f"## {vendor.title}", "", f"From <{vendor.source}>, {vendor.date.isoformat()}.", "")
        yield from _of_vendor(vendor)


def _of_vendor(vendor: Vendor) -> Iterator[str]:
    named: dict[str, dict[str, None]] = defaultdict(dict)
    for entry in action_classes().entries:
        if entry.vendor == vendor.name and not entry.written.startswith("io.k8s."):
            text = entry.written.replace("*", "\\*").replace("_", "\\_")
            where = f" ({', '.join(entry.resources)})" if entry.resources else ""
            named[entry.meaning.action_class][(f"**{text}**" if entry.meaning.privileged else text) + where] = None
    yield from (f"- {name.replace('_', ' ')}: {', '.join(texts)}" for name, texts in named.items())


def main() -> None:
    """Writes every page; pages of detections that are gone are removed."""
    made = pages()
    for path in (DOCS / "detections").glob("*.md"):
        if f"detections/{path.name}" not in made:
            path.unlink()
    for name, text in made.items():
        (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

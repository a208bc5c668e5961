"""Draws a workflow's table for the documentation: what is shown is what runs."""

from __future__ import annotations

from collections.abc import Mapping

from wardship.lifecycle.machine import Arrow


def diagram(arrows: Mapping[tuple[str, str], Arrow]) -> str:
    """The arrows as a Mermaid state diagram and as a Markdown table, in the table's own order."""
    first = next(iter(arrows))[0]
    sources = {state for state, _event in arrows}
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {state} --> {arrow.to}: {event}" for (state, event), arrow in arrows.items()]
    ends = dict.fromkeys(arrow.to for arrow in arrows.values() if arrow.to not in sources)
    lines += [f"    {state} --> [*]" for state in ends]
    lines += ["```", "", "| state | event | leads to | step | undone by |", "|---|---|---|---|---|"]
    lines += [
        f"| {state} | {event} | {arrow.to} | {arrow.step or ''} | {arrow.compensation or ''} |"
        for (state, event), arrow in arrows.items()
    ]
    return "\n".join(lines) + "\n"

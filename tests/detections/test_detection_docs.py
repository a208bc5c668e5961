"""docs/detections/ says what the detections and the tables of action classes say."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_page_is_as_it_is_made() -> None:
    """Mended by `python scripts/detection_docs.py`."""
    made = runpy.run_path(str(ROOT / "scripts" / "detection_docs.py"))["pages"]()
    kept = {f"detections/{path.name}": path.read_text("utf-8") for path in (ROOT / "docs" / "detections").glob("*.md")}
    assert kept.keys() == made.keys()
    assert [name for name in made if made[name] != kept[name]] == []

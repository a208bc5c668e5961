"""Where our rules and detections lie, and their titles without a check of the files: what lists need, quickly.

A title stands near the top of its file, so little of each is read. What is wrong with a file is for `sdk.rule` and
`sdk.detection` to say.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).resolve().parents[1] / "rules"
DETECTIONS = Path(__file__).resolve().parents[1] / "detections"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def titles_in(*folders: Path) -> dict[str, str]:
    """The title of each file of the folders, by id. A file that cannot be read, or has none, is left out."""
    found: dict[str, str] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.yaml"))):
        with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
            title = _title(path)
            if title:
                found[path.stem] = title
    return found


def _title(path: Path) -> str | None:
    """The value of the outermost key `title`; events are asked for no further than that."""
    depth, key = 0, None
    with path.open(encoding="utf-8") as stream:
        for event in yaml.parse(stream, Loader=_Loader):
            if depth == 1 and isinstance(event, yaml.ScalarEvent):
                if key == "title":
                    return str(event.value)
                key = str(event.value) if key is None else None
                continue
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
                if depth == 1:
                    key = None
    return None

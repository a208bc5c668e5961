"""Declared logs: one YAML file says what the records of a log mean, and is a telemetry source (docs/log-mapping.md).

No code of a mapping runs, and nothing in one can be slow: fields are looked up, texts are taken apart by patterns that
are linear in their length, words are looked up in tables.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from wardship.sdk.log_mapping.load import load_log
from wardship.sdk.log_mapping.log import MappedLog

SHIPPED = Path(__file__).parents[2] / "data" / "logs"

__all__ = ["SHIPPED", "MappedLog", "load_log", "shipped_log", "shipped_names"]


@cache
def shipped_names() -> tuple[str, ...]:
    """The names of the logs that come declared with Wardship."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.yaml")))


@cache
def shipped_log(name: str) -> MappedLog:
    """The shipped log called so; its file is. Raises KeyError for an unknown one."""
    if name not in shipped_names():
        raise KeyError(name)
    return load_log(SHIPPED / f"{name}.yaml")
